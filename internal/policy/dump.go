// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Dump writes the policy as text, for people and for golden files: each field that says something, with the lines that
// it comes from.
func (p *Policy) Dump(w io.Writer) error {
	d := dumper{positions: true}
	d.value("policy", reflect.ValueOf(p).Elem(), 0)
	_, err := io.WriteString(w, d.b.String())
	return err
}

// Hash returns a digest of what the policy means. It is the same for two policies that differ in formatting, comments,
// positions, the order of keys and of a filter's values, or names for the same number; and for one that was read
// from a file and one that came inline.
func (p *Policy) Hash() [sha256.Size]byte {
	same := *p
	same.Kind, same.Labels, same.Annotations, same.Warnings = 0, nil, nil, nil
	// A list matters through what refers to it.
	same.Lists = nil
	d := dumper{}
	d.value("policy", reflect.ValueOf(same), 0)
	return sha256.Sum256([]byte(d.b.String()))
}

// Hash returns a digest of what the hook means; see Policy.Hash.
func (h *Hook) Hash() [sha256.Size]byte {
	d := dumper{}
	d.value("hook", reflect.ValueOf(h).Elem(), 0)
	return sha256.Sum256([]byte(d.b.String()))
}

// dumper writes values by reflection, so that a new field is never forgotten in a hash. Zero values are left out: in all
// types of this package they mean the same as nothing.
type dumper struct {
	b         strings.Builder
	positions bool
}

var (
	positionType = reflect.TypeFor[Position]()
	rawType      = reflect.TypeFor[[]Raw]()
	listType     = reflect.TypeFor[*List]()
	exprType     = reflect.TypeFor[*Expr]()
	operandType  = reflect.TypeFor[Operand]()
	durationType = reflect.TypeFor[time.Duration]()
	filterType   = reflect.TypeFor[Filter]()

	// worded are structures that their String tells wholly.
	worded = []reflect.Type{reflect.TypeFor[Step](), reflect.TypeFor[Interval](), reflect.TypeFor[Call]()}
)

func (d *dumper) line(depth int, name, text string) {
	d.b.WriteString(strings.Repeat("  ", depth) + name + " " + text + "\n")
}

func (d *dumper) value(name string, v reflect.Value, depth int) {
	if v.IsZero() {
		return
	}
	switch v.Type() {
	case rawType, positionType:
		return // what it says is elsewhere, parsed
	case listType:
		if v.Interface().(*List).Kind == FunctionList || d.positions && depth > 2 {
			d.line(depth, name, strconv.Quote(v.Interface().(*List).Name))
			return
		}
	case exprType:
		d.line(depth, name, v.Interface().(*Expr).String())
		return
	case operandType:
		d.operand(name, v.Interface().(Operand), depth)
		return
	case durationType:
		d.line(depth, name, v.Interface().(time.Duration).String())
		return
	}
	plain := v.Kind() != reflect.Struct && v.Kind() != reflect.Pointer || slices.Contains(worded, v.Type())
	if s, ok := v.Interface().(fmt.Stringer); ok && plain {
		d.line(depth, name, s.String())
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		d.value(name, v.Elem(), depth)
	case reflect.Struct:
		d.fields(name, v, depth)
	case reflect.Slice:
		for i := range v.Len() {
			d.item(fmt.Sprintf("%s[%d]", name, i), v.Index(i), depth)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			d.item(fmt.Sprintf("%s[%q]", name, k.String()), v.MapIndex(k), depth)
		}
	case reflect.String:
		d.line(depth, name, strconv.Quote(v.String()))
	default:
		d.line(depth, name, fmt.Sprint(v.Interface()))
	}
}

// item writes an element of a list, also when it is zero: its place means something.
func (d *dumper) item(name string, v reflect.Value, depth int) {
	switch {
	case !v.IsZero():
		d.value(name, v, depth)
	case slices.Contains(worded, v.Type()):
		d.line(depth, name, v.Interface().(fmt.Stringer).String())
	case v.Kind() == reflect.String:
		d.line(depth, name, `""`)
	default:
		d.line(depth, name, "0")
	}
}

func (d *dumper) fields(name string, v reflect.Value, depth int) {
	head := ""
	if p := v.FieldByName("Pos"); p.IsValid() && d.positions {
		pos := p.Interface().(Position)
		if head = fmt.Sprintf("@%d:%d", pos.Line, pos.Column); pos.File == "" {
			head = "@" + pos.Path
		}
	}
	t := v.Type()
	if t.PkgPath() == reflect.TypeFor[Target]().PkgPath() && reflect.PointerTo(t).Implements(reflect.TypeFor[Target]()) {
		head = strings.TrimSpace(t.Name() + " " + head)
	}
	d.b.WriteString(strings.TrimRight(strings.Repeat("  ", depth)+name+" "+head, " ") + "\n")
	if t == filterType {
		d.unbound(v.Interface().(Filter), depth+1)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || !d.positions && (f.Name == "Macros" || f.Name == "Bound") {
			continue
		}
		d.value(f.Name, v.Field(i), depth+1)
	}
}

// unbound writes the values of a filter that has no operand yet.
func (d *dumper) unbound(f Filter, depth int) {
	if f.Bound {
		return
	}
	var texts []string
	for _, v := range f.Raw {
		texts = append(texts, v.Text)
	}
	for _, s := range sortedTexts(texts) {
		d.line(depth, "unbound", strconv.Quote(s))
	}
}

// operand writes numbers in the sign that they have.
func (d *dumper) operand(name string, o Operand, depth int) {
	d.b.WriteString(strings.Repeat("  ", depth) + name + "\n")
	depth++
	form := numbers{bits: o.Bits, signed: o.Signed}
	for _, i := range o.Intervals {
		d.line(depth, "interval", form.format(i))
	}
	if o.Bits != 0 {
		d.line(depth, "type", ExprType{Bits: o.Bits, Signed: o.Signed}.String())
	}
	if o.Mask != 0 {
		d.line(depth, "mask", fmt.Sprintf("%#x", o.Mask))
	}
	for _, s := range o.Texts {
		d.line(depth, "text", strconv.Quote(s))
	}
	for _, n := range o.Networks {
		d.line(depth, "network", n.String())
	}
	for _, c := range o.Calls {
		d.line(depth, "call", c.String())
	}
	d.value("list", reflect.ValueOf(o.List), depth)
	d.value("expr", reflect.ValueOf(o.Expr), depth)
}
