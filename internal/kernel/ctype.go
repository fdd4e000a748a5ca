// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// cType is a type as C text, taken apart: words, asterisks, and the length of an array.
type cType struct {
	keyword  string // "struct", "union", "enum" or empty
	name     string // "file", "umode_t", "unsigned long"; empty for void
	pointers int
	isConst  bool // of what is pointed to
	array    int  // elements; -1 when it is none
}

// parseCType takes apart "const char *", "struct sockaddr __user *", "unsigned long", "char[16]". Prototypes of functions are
// not understood.
func parseCType(text string) (cType, bool) {
	t := cType{array: -1}
	if before, after, ok := strings.Cut(text, "["); ok {
		length, ok := strings.CutSuffix(strings.TrimSpace(after), "]")
		if !ok || strings.Contains(length, "[") {
			return cType{}, false
		}
		text = before
		// A length that is an expression of the source is not known here; an array of unknown length is like a flexible one.
		n, _ := strconv.ParseUint(length, 10, 31)
		t.array = int(n)
	}
	var words []string
	for _, w := range strings.Fields(strings.ReplaceAll(text, "*", " * ")) {
		switch {
		case w == "*":
			t.pointers++
		case w == "const":
			t.isConst = t.isConst || t.pointers == 0
		case w == "volatile", w == "restrict", w == "__user", w == "__rcu", w == "__percpu", w == "__kernel", w == "__iomem":
		case w == "struct", w == "union", w == "enum":
			if t.keyword != "" || len(words) > 0 {
				return cType{}, false
			}
			t.keyword = w
		case !isName(w) || t.pointers > 0:
			return cType{}, false
		default:
			words = append(words, w)
		}
	}
	if t.pointers > maxDepth || t.keyword != "" && len(words) != 1 || len(words) == 0 {
		return cType{}, false
	}
	t.name = strings.Join(words, " ")
	if t.name == "void" {
		t.name = ""
	}
	return t, true
}

func isName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i], i > 0) {
			return false
		}
	}
	return s != ""
}

// find looks the name up and builds what is around it.
func (c cType) find(spec *btf.Spec) (Type, bool) {
	var t btf.Type = (*btf.Void)(nil)
	if c.name != "" {
		t = c.base(spec)
		switch {
		case t != nil:
		case c.keyword == "struct" && c.pointers > 0:
			t = &btf.Fwd{Name: c.name} // nothing of this kernel needs its fields
		default:
			return Type{}, false
		}
	}
	if c.isConst {
		t = &btf.Const{Type: t}
	}
	for range c.pointers {
		t = &btf.Pointer{Target: t}
	}
	if c.array >= 0 {
		t = &btf.Array{Type: t, Nelems: uint32(c.array)}
	}
	return typeOf(t), true
}

func (c cType) base(spec *btf.Spec) btf.Type {
	if c.keyword == "" {
		for _, name := range integerNames(c.name) {
			if t := firstOf(spec, name, "typedef", "int"); t != nil {
				return t
			}
		}
		return firstOf(spec, c.name, "struct", "union", "enum")
	}
	return firstOf(spec, c.name, c.keyword)
}

// firstOf returns the first type of a name in the order of the keywords. When several structures have the name, the first of them
// is meant, as it is for the kernel.
func firstOf(spec *btf.Spec, name string, keywords ...string) btf.Type {
	all, err := spec.AnyTypesByName(name)
	if err != nil {
		return nil
	}
	for _, k := range keywords {
		if i := slices.IndexFunc(all, func(t btf.Type) bool { return keywordOf(t) == k }); i >= 0 {
			return all[i]
		}
	}
	return nil
}

func keywordOf(t btf.Type) string {
	switch t.(type) {
	case *btf.Typedef:
		return "typedef"
	case *btf.Int:
		return "int"
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Enum:
		return "enum"
	}
	return ""
}

// integerNames lists how compilers name an integer type, for "unsigned long": gcc "long unsigned int", clang "unsigned long".
func integerNames(name string) []string {
	words := strings.Fields(name)
	longs, kind, sign := 0, "", ""
	for _, w := range words {
		switch w {
		case "long":
			longs++
		case "short", "char":
			kind = w
		case "unsigned", "signed":
			sign = w
		case "bool", "_Bool":
			return []string{"bool", "_Bool"}
		case "int":
		default:
			return []string{name}
		}
	}
	if kind == "char" {
		return []string{strings.TrimSpace(sign + " char")}
	}
	kind = strings.TrimSpace(strings.Repeat("long ", min(longs, 2)) + kind)
	if sign != "unsigned" {
		sign = ""
	}
	gcc := strings.Join(strings.Fields(kind+" "+sign+" int"), " ")
	clang := strings.Join(strings.Fields(sign+" "+kind), " ")
	if kind == "" {
		clang = strings.TrimSpace(sign + " int")
	}
	return []string{gcc, clang}
}

// findType finds a type by its C text, and tells the name in it.
func findType(spec *btf.Spec, text string) (Type, string, bool) {
	c, ok := parseCType(text)
	if !ok {
		return Type{}, text, false
	}
	t, ok := c.find(spec)
	return t, c.name, ok
}
