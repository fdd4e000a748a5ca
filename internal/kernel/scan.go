// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// The library decodes a type with all that it leads to, and knows names only by hash. Listing names takes a walk over the
// encoded types, which reads their names and nothing else: 15 ms and nothing held, where decoding them all takes 300 ms
// and 35 MB.

// What the encoding has, as in include/uapi/linux/btf.h.
const (
	btfMagic      = uint16(0xeb9f)
	btfHeaderSize = 24
	btfTypeSize   = 12

	kindFunc    = 12
	kindTypedef = 8
	kindEnum    = 6
	kindEnum64  = 19
)

// btfTail is the number of bytes that follow the type record of each kind: fixed, and for each of its vlen elements.
var btfTail = [...]struct{ fixed, each int }{
	1: {4, 0}, 2: {}, 3: {12, 0}, 4: {0, 12}, 5: {0, 12}, 6: {0, 8}, 7: {}, 8: {}, 9: {}, 10: {}, 11: {}, 12: {},
	13: {0, 8}, 14: {4, 0}, 15: {0, 12}, 16: {}, 17: {4, 0}, 18: {}, 19: {0, 12},
}

var errBTF = errors.New("not the types of a kernel")

// btfRecord is one type of a walk.
type btfRecord struct {
	kind int
	name []byte // of the blob: to be copied if it is kept
	flag bool   // kind_flag: of an enum, that its values are signed
	tail []byte // what follows the record
}

// btfBlob is an encoded set of types that does not build on another.
type btfBlob struct {
	order   binary.ByteOrder
	types   []byte
	strings []byte
}

func parseBlob(raw []byte) (btfBlob, error) {
	if len(raw) < btfHeaderSize {
		return btfBlob{}, fmt.Errorf("%w: %d bytes", errBTF, len(raw))
	}
	var b btfBlob
	switch btfMagic {
	case binary.LittleEndian.Uint16(raw):
		b.order = binary.LittleEndian
	case binary.BigEndian.Uint16(raw):
		b.order = binary.BigEndian
	default:
		return btfBlob{}, fmt.Errorf("%w: they start with %x", errBTF, raw[:2])
	}
	at := func(i int) uint64 { return uint64(b.order.Uint32(raw[i:])) }
	head, size := at(4), uint64(len(raw))
	cut := func(from, n uint64) []byte {
		if head+from+n > size {
			return nil
		}
		return raw[head+from : head+from+n]
	}
	b.types, b.strings = cut(at(8), at(12)), cut(at(16), at(20))
	if b.types == nil || len(b.strings) == 0 || b.strings[len(b.strings)-1] != 0 {
		return btfBlob{}, fmt.Errorf("%w: a section is out of bounds", errBTF)
	}
	return b, nil
}

func (b btfBlob) name(offset uint32) []byte {
	if uint64(offset) >= uint64(len(b.strings)) {
		return nil
	}
	s := b.strings[offset:]
	return s[:bytes.IndexByte(s, 0)] // the section ends with a zero
}

// walk calls visit with each type until it returns false.
func (b btfBlob) walk(visit func(btfRecord) bool) error {
	for rest := b.types; len(rest) > 0; {
		if len(rest) < btfTypeSize {
			return fmt.Errorf("%w: a record is cut", errBTF)
		}
		info := b.order.Uint32(rest[4:])
		r := btfRecord{kind: int(info >> 24 & 0x1f), name: b.name(b.order.Uint32(rest)), flag: info>>31 != 0}
		if r.kind == 0 || r.kind >= len(btfTail) {
			return fmt.Errorf("%w: kind %d", errBTF, r.kind)
		}
		n := btfTail[r.kind].fixed + btfTail[r.kind].each*int(info&0xffff)
		if len(rest) < btfTypeSize+n {
			return fmt.Errorf("%w: a record is cut", errBTF)
		}
		r.tail = rest[btfTypeSize : btfTypeSize+n]
		if !visit(r) {
			return nil
		}
		rest = rest[btfTypeSize+n:]
	}
	return nil
}

// scan walks over the types of the kernel itself.
func (f *Facts) scan(visit func(btfBlob, btfRecord) bool) error {
	raw, err := fs.ReadFile(f.root, btfFolder+kernelBTF)
	if err != nil {
		return fmt.Errorf("read the kernel's types: %w", err)
	}
	blob, err := parseBlob(raw)
	if err == nil {
		err = blob.walk(func(r btfRecord) bool { return visit(blob, r) })
	}
	if err != nil {
		return fmt.Errorf("list the kernel's types: %w", err)
	}
	return nil
}

// namesWithPrefix lists what follows the prefix in the names of a kind, sorted, each once.
func (f *Facts) namesWithPrefix(kind int, prefix string) ([]string, error) {
	var names []string
	err := f.scan(func(_ btfBlob, r btfRecord) bool {
		if r.kind == kind && len(r.name) > len(prefix) && string(r.name[:len(prefix)]) == prefix {
			names = append(names, string(r.name[len(prefix):]))
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// typeNames lists the names of all types but functions, for suggestions.
func (f *Facts) typeNames() []string {
	var names []string
	_ = f.scan(func(_ btfBlob, r btfRecord) bool {
		switch r.kind {
		case 4, 5, kindEnum, kindEnum64, kindTypedef:
			if len(r.name) > 0 && !strings.HasPrefix(string(r.name), rawPrefix) {
				names = append(names, string(r.name))
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}
