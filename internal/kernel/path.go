// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/cilium/ebpf/btf"
)

// Path says how a value is reached from the address of a structure: for each hop, load the pointer at its offset and go on
// at the address that was loaded; the value is at Offset from the last address.
type Path struct {
	Hops   []Hop
	Offset uint32 // bytes
	// Type is that of the value. A structure, union or array is meant by its address; Size bytes are there.
	Type Type
	// Of a bit field: load Load bytes at Offset, shift right by Shift (on a little-endian machine), and keep Bits bits. Bits is 0 for
	// all others, for which Load is the size of an integer, enum or pointer, and 0 for what is meant by its address.
	Load, Shift, Bits uint32
}

// Hop is a pointer that is followed.
type Hop struct {
	Offset uint32 // of the pointer, from the address before
	Type   Type   // of the pointer
}

// The longest path, and the most members that are followed. A path of a policy has at most a dozen.
const (
	maxPath    = 4096
	maxIndices = 1 << 31
)

// pathStep is a name or an index of a path.
type pathStep struct {
	name   string // empty for an index
	index  uint32
	column int
}

// parsePath splits "a.b[2].c" or "[1].c".
func parsePath(path string) ([]pathStep, error) {
	if len(path) > maxPath {
		return nil, &PathError{Path: path[:32] + "...", Reason: fmt.Sprintf("it is longer than %d bytes", maxPath)}
	}
	var steps []pathStep
	fail := func(at int, reason string) ([]pathStep, error) {
		return nil, &PathError{Path: path, Column: at, Reason: reason}
	}
	for i := 0; i < len(path); {
		switch {
		case path[i] == '[':
			end := i + 1
			for end < len(path) && path[end] >= '0' && path[end] <= '9' {
				end++
			}
			n, err := strconv.ParseUint(path[i+1:end], 10, 31)
			if err != nil {
				return fail(i+1, "an index is a number from 0 to "+strconv.Itoa(maxIndices-1))
			}
			if end == len(path) || path[end] != ']' {
				return fail(end, "a ] is missing")
			}
			steps = append(steps, pathStep{index: uint32(n), column: i})
			i = end + 1
			continue
		case path[i] == '.' && len(steps) > 0:
			i++
		case len(steps) > 0:
			return fail(i, "a . or [ is expected")
		}
		end := i
		for end < len(path) && isNameByte(path[end], end > i) {
			end++
		}
		if end == i {
			return fail(i, "the name of a field is expected")
		}
		steps = append(steps, pathStep{name: path[i:end], column: i})
		i = end
	}
	if len(steps) == 0 {
		return fail(0, "it is empty")
	}
	return steps, nil
}

func isNameByte(c byte, notFirst bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || notFirst && c >= '0' && c <= '9'
}

// Resolve follows a path of fields and indices, "f_path.dentry.d_inode.i_ino" or "cpus[3].state", that starts at the type:
// at a structure whose address is known, or at a pointer whose value is known. Pointers on the way are followed, anonymous structures
// and unions are looked into, an index goes into an array or, as in C, along a pointer. The error is a *PathError.
//
// It needs no facts but the types that this one leads to.
func (t Type) Resolve(path string) (Path, error) {
	steps, err := parsePath(path)
	if err != nil {
		return Path{}, err
	}
	w := walker{path: path, at: t.written}
	if t.Kind == Pointer {
		w.at, w.along = t.Elem().written, true
	}
	for _, s := range steps {
		if s.name != "" {
			err = w.field(s)
		} else {
			err = w.element(s)
		}
		if err != nil {
			return Path{}, err
		}
	}
	return w.finish()
}

// walker is a place in memory: offset from the address after the hops, where something of type at is.
type walker struct {
	path   string
	hops   []Hop
	bit    uint64 // offset
	bits   uint32 // width, of a bit field
	at     btf.Type
	along  bool // at was reached by a pointer alone, and an index goes along the pointer
	column int
}

func (w *walker) fail(s pathStep, reason string, near ...string) error {
	return &PathError{Path: w.path, Column: s.column, Reason: reason, Near: near}
}

// hop follows the pointer at the place.
func (w *walker) hop(s pathStep) error {
	t := typeOf(w.at)
	if w.bit/8 > 1<<31 {
		return w.fail(s, "the offset is out of range")
	}
	w.hops = append(w.hops, Hop{Offset: uint32(w.bit / 8), Type: t})
	w.bit, w.at = 0, t.Elem().written
	return nil
}

func (w *walker) field(s pathStep) error {
	if t := typeOf(w.at); t.Kind == Pointer {
		if err := w.hop(s); err != nil {
			return err
		}
	}
	w.along = false
	t := typeOf(w.at)
	if t.Kind != Struct && t.Kind != Union {
		return w.fail(s, fmt.Sprintf("%s has no fields", t))
	}
	if _, declared := strip(w.at).(*btf.Fwd); declared {
		return w.fail(s, fmt.Sprintf("the fields of %s are not known: it is only declared", t))
	}
	member, offset, ok := findMember(w.at, s.name, 0)
	if !ok {
		names := memberNames(w.at, nil, 0)
		return w.fail(s, fmt.Sprintf("%s has no field %s", t, s.name), near(s.name, slices.Values(names))...)
	}
	w.bit += uint64(offset)
	w.bits, w.at, w.column = uint32(member.BitfieldSize), member.Type, s.column
	return nil
}

func (w *walker) element(s pathStep) error {
	t := typeOf(w.at)
	switch {
	case w.along:
		// The place is the first of what the pointer points to.
	case t.Kind == Array:
		if n := t.Len(); n > 0 && s.index >= n {
			return w.fail(s, fmt.Sprintf("the array has %d elements, from 0", n))
		}
		w.at = t.Elem().written
	case t.Kind == Pointer:
		if err := w.hop(s); err != nil {
			return err
		}
	default:
		return w.fail(s, fmt.Sprintf("%s is neither an array nor a pointer", t))
	}
	w.along = false
	size := sizeOf(w.at)
	if size == 0 && s.index > 0 {
		return w.fail(s, fmt.Sprintf("the size of %s is not known", typeOf(w.at)))
	}
	w.bit += uint64(s.index) * uint64(size) * 8
	return nil
}

func (w *walker) finish() (Path, error) {
	if w.bit/8 > 1<<31 {
		return Path{}, w.fail(pathStep{}, "the offset is out of range")
	}
	p := Path{Hops: w.hops, Offset: uint32(w.bit / 8), Type: typeOf(w.at)}
	if w.bits > 0 {
		if !p.bitField(w.bit, w.bits) {
			return Path{}, w.fail(pathStep{column: w.column}, "the bit field lies in no aligned integer")
		}
		return p, nil
	}
	switch p.Type.Kind {
	case Int, Bool, EnumKind, Pointer:
		p.Load = p.Type.Size
	}
	return p, nil
}

// bitField finds the smallest aligned integer that holds the bits.
func (p *Path) bitField(bit uint64, bits uint32) bool {
	for size := uint64(1); size <= 8; size *= 2 {
		start := bit / 8 &^ (size - 1)
		if shift := bit - start*8; shift+uint64(bits) <= size*8 {
			p.Offset, p.Load, p.Shift, p.Bits = uint32(start), uint32(size), uint32(shift), bits
			return true
		}
	}
	return false
}

// findMember looks for a member, also in anonymous structures and unions, and returns its offset in bits.
func findMember(t btf.Type, name string, depth int) (btf.Member, btf.Bits, bool) {
	if depth > maxDepth {
		return btf.Member{}, 0, false
	}
	members := membersOf(t)
	for _, m := range members {
		if m.Name == name {
			return m, m.Offset, true
		}
	}
	for _, m := range members {
		if m.Name != "" {
			continue
		}
		if found, offset, ok := findMember(m.Type, name, depth+1); ok {
			return found, m.Offset + offset, true
		}
	}
	return btf.Member{}, 0, false
}

func memberNames(t btf.Type, names []string, depth int) []string {
	for _, m := range membersOf(t) {
		switch {
		case m.Name != "":
			names = append(names, m.Name)
		case depth < maxDepth:
			names = memberNames(m.Type, names, depth+1)
		}
	}
	return names
}
