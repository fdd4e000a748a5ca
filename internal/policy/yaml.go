// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a document may be at most. YAML's aliases let a few lines stand for any number of nodes, so that a document
// needs some bound; these are far above a policy with ten thousand addresses.
const (
	maxDepth = 64
	maxNodes = 1 << 18

	tooDeep = "this is nested deeper than 64 levels"
)

// documents reads the YAML documents of a file. Empty ones are left out.
func documents(file string, data []byte) ([]*node, error) {
	var all []*node
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, Errors{yamlError(file, data, err)}
		}
		if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
			continue
		}
		c := converter{file: file}
		n, err := c.convert(doc.Content[0], "", 0)
		if err != nil {
			return nil, err
		}
		if n.kind != kindNull {
			all = append(all, n)
		}
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// yamlError gives a syntax error of the YAML library a position. The library tells the line in its text only.
func yamlError(file string, data []byte, err error) *Error {
	e := &Error{Pos: Position{File: file, Line: 1, Column: 1}, Message: "not YAML: " + err.Error()}
	if m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " ")); m != nil {
		e.Message = "not YAML: " + m[2]
		if strings.Contains(m[2], "cannot start any token") || strings.Contains(m[2], "mapping values are not allowed") {
			e.Remedy = "check the indentation, with spaces only"
		}
		if line, err := strconv.Atoi(m[1]); err == nil {
			e.Pos.Line = max(1, min(line, lineCount(data)))
		}
	}
	return e
}

// lineCount counts lines as YAML does: a carriage return and Unicode's separators end one too.
func lineCount(data []byte) int {
	s := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(data))
	return 1 + strings.Count(s, "\n")
}

// converter turns the library's nodes into this package's: aliases and merges followed, paths kept.
type converter struct {
	file  string
	nodes int
}

func (c *converter) convert(y *yaml.Node, path string, depth int) (*node, error) {
	n := &node{pos: Position{File: c.file, Line: max(1, y.Line), Column: max(1, y.Column), Path: path}}
	if c.nodes++; c.nodes > maxNodes {
		return nil, Errors{{Pos: n.pos, Message: fmt.Sprintf("this document has more than %d nodes, its aliases followed", maxNodes)}}
	}
	if depth > maxDepth {
		return nil, Errors{{Pos: n.pos, Message: tooDeep}}
	}
	switch y.Kind {
	case yaml.AliasNode:
		if y.Alias == nil {
			return n, nil
		}
		return c.convert(y.Alias, path, depth+1)
	case yaml.ScalarNode:
		c.scalar(n, y)
		return n, nil
	case yaml.SequenceNode:
		n.kind = kindList
		for i, item := range y.Content {
			one, err := c.convert(item, n.pos.item(i), depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, one)
		}
		return n, nil
	case yaml.MappingNode:
		n.kind = kindMap
		return n, c.mapping(n, y, depth)
	default:
		return n, nil
	}
}

func (c *converter) scalar(n *node, y *yaml.Node) {
	if y.ShortTag() == "!!null" {
		return
	}
	n.kind, n.text = kindScalar, y.Value
	n.plain = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

func (c *converter) mapping(n *node, y *yaml.Node, depth int) error {
	var merged []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode && k.Alias != nil {
			k = k.Alias
		}
		pos := Position{File: c.file, Line: max(1, k.Line), Column: max(1, k.Column), Path: n.pos.Path}
		if k.Kind != yaml.ScalarNode {
			return Errors{{Pos: pos, Message: "the key of a map must be a word"}}
		}
		if k.ShortTag() == "!!merge" {
			merged = append(merged, v)
			continue
		}
		pos.Path = n.pos.field(k.Value)
		value, err := c.convert(v, pos.Path, depth+1)
		if err != nil {
			return err
		}
		n.pairs = append(n.pairs, pair{key: k.Value, pos: pos, value: value})
	}
	for _, m := range merged {
		if err := c.merge(n, m, depth); err != nil {
			return err
		}
	}
	return nil
}

// merge adds what "<<" brings and the map itself does not say.
func (c *converter) merge(n *node, y *yaml.Node, depth int) error {
	from, err := c.convert(y, n.pos.Path, depth+1)
	if err != nil {
		return err
	}
	maps := []*node{from}
	if from.kind == kindList {
		maps = from.items
	}
	have := make(map[string]bool)
	for _, p := range n.pairs {
		have[p.key] = true
	}
	for _, m := range maps {
		if m.kind != kindMap {
			return Errors{{Pos: m.pos, Message: "only a map can be merged with <<, this is " + m.kind.String()}}
		}
		for _, p := range m.pairs {
			if !have[p.key] {
				have[p.key] = true
				n.pairs = append(n.pairs, p)
			}
		}
	}
	return nil
}
