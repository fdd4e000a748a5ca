// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Kind is what a type is once typedefs and qualifiers are taken away.
type Kind uint8

// The kinds of types.
const (
	Void Kind = iota
	Int
	Bool
	Float
	EnumKind
	Pointer
	Array
	Struct
	Union
	Func // a prototype, that is, what a pointer to a function points to
)

var kindNames = [...]string{"void", "int", "bool", "float", "enum", "pointer", "array", "struct", "union", "function"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Type is a type of the kernel. The zero value is void.
type Type struct {
	Kind   Kind
	Size   uint32 // bytes; 0 for void, prototypes, and structures that are only declared
	Signed bool   // of an integer or enum
	// Name is that of the structure, union, enum or integer ("long unsigned int"); empty when it has none.
	Name string
	// Typedef is the outermost typedef name that leads here ("umode_t", "kuid_t"); empty when there is none.
	Typedef string
	// Tag is the type tag of what a pointer points to, as "user", "percpu" or "rcu". Kernels built by gcc have none.
	Tag string

	written btf.Type
}

// BTF is the type as it is written in the source, typedefs and qualifiers included; nil for void.
func (t Type) BTF() btf.Type { return t.written }

// String is the type as C text: "const struct path *".
func (t Type) String() string { return declare(t.written, "", 0) }

// IsChar tells whether it is char, of any sign, which in arrays and behind pointers usually is text.
func (t Type) IsChar() bool {
	return t.Kind == Int && t.Size == 1 && strings.HasSuffix(t.Name, "char") && t.Typedef == ""
}

// Elem is what a pointer points to or an array holds, and void for others.
func (t Type) Elem() Type {
	switch under := strip(t.written).(type) {
	case *btf.Pointer:
		return typeOf(under.Target)
	case *btf.Array:
		return typeOf(under.Type)
	}
	return Type{}
}

// Len is the number of elements of an array; 0 for a flexible one and for others.
func (t Type) Len() uint32 {
	if a, ok := strip(t.written).(*btf.Array); ok {
		return a.Nelems
	}
	return 0
}

// Field is a member of a structure or union.
type Field struct {
	Name string // empty for an anonymous structure or union
	Type Type
	Bit  uint32 // offset, in bits
	Bits uint32 // width of a bit field, 0 for others
}

// Fields lists the members of a structure or union in their order.
func (t Type) Fields() []Field {
	members := membersOf(t.written)
	fields := make([]Field, len(members))
	for i, m := range members {
		fields[i] = Field{Name: m.Name, Type: typeOf(m.Type), Bit: uint32(m.Offset), Bits: uint32(m.BitfieldSize)}
	}
	return fields
}

func membersOf(t btf.Type) []btf.Member {
	switch under := strip(t).(type) {
	case *btf.Struct:
		return under.Members
	case *btf.Union:
		return under.Members
	}
	return nil
}

// maxDepth bounds chains of typedefs, qualifiers and nested declarators, which are unbounded in types that are not well-formed.
const maxDepth = 64

// strip takes typedefs, qualifiers and tags away.
func strip(t btf.Type) btf.Type {
	for range maxDepth {
		switch q := t.(type) {
		case *btf.Typedef:
			t = q.Type
		case *btf.Const:
			t = q.Type
		case *btf.Volatile:
			t = q.Type
		case *btf.Restrict:
			t = q.Type
		case *btf.TypeTag:
			t = q.Type
		default:
			return t
		}
	}
	return nil
}

// typeOf says what a type is.
func typeOf(written btf.Type) Type {
	t := Type{written: written}
	for w, i := written, 0; i < maxDepth; i++ {
		switch q := w.(type) {
		case *btf.Typedef:
			t.Typedef = q.Name
			i = maxDepth
		case *btf.Const:
			w = q.Type
		case *btf.Volatile:
			w = q.Type
		case *btf.TypeTag:
			w = q.Type
		default:
			i = maxDepth
		}
	}
	switch under := strip(written).(type) {
	case *btf.Int:
		t.Kind, t.Size, t.Name = Int, under.Size, under.Name
		t.Signed = under.Encoding == btf.Signed
		if under.Encoding == btf.Bool {
			t.Kind = Bool
		}
	case *btf.Float:
		t.Kind, t.Size, t.Name = Float, under.Size, under.Name
	case *btf.Enum:
		t.Kind, t.Size, t.Name, t.Signed = EnumKind, under.Size, under.Name, under.Signed
	case *btf.Pointer:
		t.Kind, t.Size = Pointer, pointerSize
		if tag, ok := under.Target.(*btf.TypeTag); ok {
			t.Tag = tag.Value
		}
	case *btf.Array:
		t.Kind, t.Size = Array, sizeOf(under)
	case *btf.Struct:
		t.Kind, t.Size, t.Name = Struct, under.Size, under.Name
	case *btf.Union:
		t.Kind, t.Size, t.Name = Union, under.Size, under.Name
	case *btf.Fwd:
		t.Kind, t.Name = Struct, under.Name
		if under.Kind == btf.FwdUnion {
			t.Kind = Union
		}
	case *btf.FuncProto:
		t.Kind = Func
	}
	return t
}

// pointerSize is that of all machines which run the programs.
const pointerSize = 8

// sizeOf is the size in bytes, 0 where there is none.
func sizeOf(t btf.Type) uint32 {
	if t == nil {
		return 0
	}
	n, err := btf.Sizeof(t)
	if err != nil || n < 0 {
		return 0
	}
	return uint32(n)
}

// declare writes the declaration of what inner declares, which is empty for the bare type, a name, or a declarator
// around a name.
func declare(t btf.Type, inner string, depth int) string {
	if depth > maxDepth {
		return "..."
	}
	depth++
	switch w := t.(type) {
	case *btf.Pointer:
		return declarePointer(w, inner, depth)
	case *btf.Array:
		return declare(w.Type, fmt.Sprintf("%s[%d]", inner, w.Nelems), depth)
	case *btf.FuncProto:
		return declare(w.Return, inner+"("+declareParams(w, depth)+")", depth)
	case *btf.Const:
		return qualify("const", w.Type, inner, depth)
	case *btf.Volatile:
		return qualify("volatile", w.Type, inner, depth)
	case *btf.Restrict:
		return qualify("restrict", w.Type, inner, depth)
	case *btf.TypeTag:
		return declare(w.Type, "__"+w.Value+" "+inner, depth)
	}
	base := baseText(t)
	if inner == "" || inner[0] == '[' {
		return base + inner
	}
	return base + " " + inner
}

// qualify puts the qualifier of a pointer behind the asterisk, and any other first.
func qualify(word string, t btf.Type, inner string, depth int) string {
	if _, ok := t.(*btf.Pointer); !ok {
		return word + " " + declare(t, inner, depth)
	}
	return declare(t, strings.TrimRight(word+" "+inner, " "), depth)
}

func declarePointer(p *btf.Pointer, inner string, depth int) string {
	inner = "*" + inner
	switch p.Target.(type) {
	case *btf.Array, *btf.FuncProto:
		inner = "(" + inner + ")"
	}
	return declare(p.Target, inner, depth)
}

func declareParams(proto *btf.FuncProto, depth int) string {
	if len(proto.Params) == 0 {
		return "void"
	}
	params := make([]string, len(proto.Params))
	for i, p := range proto.Params {
		if _, void := strip(p.Type).(*btf.Void); void && p.Name == "" {
			params[i] = "..."
			continue
		}
		params[i] = declare(p.Type, p.Name, depth)
	}
	return strings.Join(params, ", ")
}

func baseText(t btf.Type) string {
	switch w := t.(type) {
	case nil, *btf.Void:
		return "void"
	case *btf.Struct:
		return named("struct", w.Name)
	case *btf.Union:
		return named("union", w.Name)
	case *btf.Enum:
		return named("enum", w.Name)
	case *btf.Fwd:
		return named(w.Kind.String(), w.Name)
	case *btf.Int:
		if w.Encoding == btf.Bool {
			return "bool"
		}
		return integerText(w.Name)
	}
	return t.TypeName()
}

func named(keyword, name string) string {
	if name == "" {
		return keyword + " {...}"
	}
	return keyword + " " + name
}

// integerText turns the compiler's name of an integer type into the usual one: "long unsigned int" into "unsigned long".
func integerText(name string) string {
	name, unsigned := strings.CutSuffix(" "+name+" ", " unsigned int ")
	if unsigned && strings.TrimSpace(name) != "" {
		return "unsigned " + strings.TrimSpace(name)
	}
	if unsigned {
		return "unsigned int"
	}
	name = strings.TrimSpace(name)
	if short, ok := strings.CutSuffix(name, " int"); ok && short != "unsigned" {
		return short
	}
	return name
}
