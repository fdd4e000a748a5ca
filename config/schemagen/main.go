// SPDX-License-Identifier: Apache-2.0

// Command schemagen writes the JSON schema of the receiver's configuration to standard output. Run it in the folder of
// package config: it reads names and types from the Go types, descriptions from their comments, and ranges from Limits.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/ringside-otel/ringside/config"
)

// schema is as much of JSON schema as the configuration needs.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Additional  *bool              `json:"additionalProperties,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	Default     any                `json:"default,omitempty"`
}

// duration is what time.ParseDuration takes, without a sign.
const duration = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$`

func main() {
	if err := write(os.Stdout, "config.go"); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

// write writes the schema, with descriptions from the Go file source.
func write(w io.Writer, source string) error {
	comments, err := readComments(source)
	if err != nil {
		return fmt.Errorf("read comments of %s: %w", source, err)
	}
	g := generator{comments: comments, limits: map[string]config.Limit{}}
	for _, l := range config.Limits() {
		g.limits[l.Key] = l
	}
	root, err := g.object(reflect.ValueOf(config.Default()).Elem(), "")
	if err != nil {
		return err
	}
	root.Dialect = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "The ringside receiver"
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(root)
}

type generator struct {
	comments map[string]string // by Type and Type.Field
	limits   map[string]config.Limit
}

// object returns the schema of a struct; v holds the defaults, and prefix is where it stands.
func (g *generator) object(v reflect.Value, prefix string) (*schema, error) {
	strict := false
	s := &schema{Type: "object", Description: g.comments[v.Type().Name()], Properties: map[string]*schema{}, Additional: &strict}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("mapstructure")
		if name == "" {
			continue
		}
		property, err := g.property(v.Field(i), prefix+name)
		if err != nil {
			return nil, err
		}
		if text := g.comments[v.Type().Name()+"."+field.Name]; text != "" {
			property.Description = text
		}
		s.Properties[name] = property
	}
	return s, nil
}

// property returns the schema of a field with its default v.
func (g *generator) property(v reflect.Value, key string) (*schema, error) {
	switch value := v.Interface().(type) {
	case time.Duration:
		return &schema{Type: "string", Pattern: duration, Default: value.String()}, nil
	case []string:
		return &schema{Type: "array", Items: &schema{Type: "string"}, Default: append([]string{}, value...)}, nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return g.object(v, key+"::")
	case reflect.Bool:
		return &schema{Type: "boolean", Default: v.Bool()}, nil
	case reflect.Float64:
		return &schema{Type: "number", Default: v.Float()}, nil
	case reflect.Int, reflect.Int64:
		s := &schema{Type: "integer", Default: v.Int()}
		if l, ok := g.limits[key]; ok {
			s.Minimum, s.Maximum = &l.Min, &l.Max
		}
		return s, nil
	}
	return nil, fmt.Errorf("%s: no schema for the type %s", key, v.Type())
}

// readComments returns the comments of the types and fields of a Go file.
func readComments(source string) (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	comments := map[string]string{}
	for _, decl := range file.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			spec := spec.(*ast.TypeSpec)
			comments[spec.Name.Name] = sentence(types.Doc.Text())
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				for _, name := range field.Names {
					comments[spec.Name.Name+"."+name.Name] = sentence(field.Doc.Text())
				}
			}
		}
	}
	return comments, nil
}

// sentence is a comment on one line.
func sentence(comment string) string {
	return strings.Join(strings.Fields(comment), " ")
}
