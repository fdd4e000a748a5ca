// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Enum is the list of an enum's constants.
type Enum struct {
	Name   string // empty for an anonymous enum
	Size   uint32 // bytes
	Signed bool
	Values []EnumValue // in the order of the source
}

// EnumValue is a constant of an enum. Of a signed enum, Value is the number with its sign extended to 64 bits.
type EnumValue struct {
	Name  string
	Value uint64
}

// Enum returns the constants of an enum type; false for other types.
func (t Type) Enum() (Enum, bool) {
	under, ok := strip(t.written).(*btf.Enum)
	if !ok {
		return Enum{}, false
	}
	e := Enum{Name: under.Name, Size: under.Size, Signed: under.Signed, Values: make([]EnumValue, len(under.Values))}
	for i, v := range under.Values {
		e.Values[i] = EnumValue{v.Name, v.Value}
	}
	return e, true
}

// Value returns the number of a constant.
func (e Enum) Value(name string) (uint64, bool) {
	i := slices.IndexFunc(e.Values, func(v EnumValue) bool { return v.Name == name })
	if i < 0 {
		return 0, false
	}
	return e.Values[i].Value, true
}

// Text is the name of the first constant that has the value, or the number.
func (e Enum) Text(value uint64) string {
	for _, v := range e.Values {
		if v.Value == value {
			return v.Name
		}
	}
	if e.Signed {
		return strconv.FormatInt(int64(value), 10)
	}
	return strconv.FormatUint(value, 10)
}

// Flags is the names of the constants that have one bit each, for the bits of the value: "FMODE_READ|FMODE_WRITE|0x40". It is the
// name of a constant that is 0, or "0", for none.
func (e Enum) Flags(value uint64) string {
	var names []string
	rest := value
	for _, v := range e.Values {
		if bits.OnesCount64(v.Value) == 1 && rest&v.Value != 0 {
			names = append(names, v.Name)
			rest &^= v.Value
		}
	}
	if value == 0 {
		if i := slices.IndexFunc(e.Values, func(v EnumValue) bool { return v.Value == 0 }); i >= 0 {
			return e.Values[i].Name
		}
		return "0"
	}
	if rest != 0 {
		names = append(names, "0x"+strconv.FormatUint(rest, 16))
	}
	return strings.Join(names, "|")
}

// EnumConstant finds a constant by its name alone, in any enum of the kernel, and tells the name of that enum, which is
// empty for an anonymous one. The error is a *NotFound. A call reads all types (15 ms).
func (f *Facts) EnumConstant(name string) (value uint64, enum string, err error) {
	found := false
	err = f.scan(func(b btfBlob, r btfRecord) bool {
		if r.kind == kindEnum || r.kind == kindEnum64 {
			if value, found = b.constant(r, name); found {
				enum = string(r.name)
			}
		}
		return !found
	})
	if err == nil && !found {
		err = &NotFound{What: "enum constant", Name: name, Near: f.nearConstants(name)}
	}
	return value, enum, err
}

// constant looks for a constant of an enum.
func (b btfBlob) constant(r btfRecord, name string) (uint64, bool) {
	each := btfTail[r.kind].each
	for t := r.tail; len(t) >= each; t = t[each:] {
		if string(b.name(b.order.Uint32(t))) != name {
			continue
		}
		low := b.order.Uint32(t[4:])
		switch {
		case r.kind == kindEnum64:
			return uint64(b.order.Uint32(t[8:]))<<32 | uint64(low), true
		case r.flag:
			return uint64(int64(int32(low))), true
		}
		return uint64(low), true
	}
	return 0, false
}

func (f *Facts) nearConstants(name string) []string {
	return near(name, func(yield func(string) bool) {
		_ = f.scan(func(b btfBlob, r btfRecord) bool {
			if r.kind != kindEnum && r.kind != kindEnum64 {
				return true
			}
			each := btfTail[r.kind].each
			for t := r.tail; len(t) >= each; t = t[each:] {
				if !yield(string(b.name(b.order.Uint32(t)))) {
					return false
				}
			}
			return true
		})
	})
}

// TypeByName returns a type by its name in C: "struct file", "union bpf_attr", "enum bpf_cmd", a typedef ("umode_t"), an integer
// ("unsigned long"), or any of these with asterisks behind. A name alone is a typedef or integer if there is one, else a
// structure, a union or an enum. The error is a *NotFound.
func (f *Facts) TypeByName(text string) (Type, error) {
	spec, err := f.spec("")
	if err != nil {
		return Type{}, err
	}
	t, name, ok := findType(spec, text)
	if !ok {
		return Type{}, &NotFound{What: "type", Name: text, Near: near(name, slices.Values(f.typeNames()))}
	}
	return t, nil
}

// ModuleType is TypeByName for a type that only a module has.
func (f *Facts) ModuleType(module, text string) (Type, error) {
	spec, err := f.spec(module)
	if err != nil {
		return Type{}, err
	}
	t, _, ok := findType(spec, text)
	if !ok {
		return Type{}, &NotFound{What: "type", Name: text, Reason: fmt.Sprintf("module %s has none of that name", module)}
	}
	return t, nil
}
