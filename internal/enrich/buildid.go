// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"io"
)

// Bounds of what is believed of a file, which may be made to hurt its readers.
const (
	maxProgHeaders = 128      // real programs have about a dozen
	maxNotes       = 64 << 10 // bytes of notes that are searched in one file
	maxGNUBuildID  = 64       // bytes; linkers make 8 to 20
	maxGoBuildID   = 256      // characters; the go command makes 83
	elfHeaderSize  = 64       // of the 64-bit class, the larger one
)

// Types of notes, in the name spaces of their owners.
const (
	noteGNUBuildID = 3 // NT_GNU_BUILD_ID, owner "GNU"
	noteGoBuildID  = 4 // ELF_NOTE_GOBUILDID_TAG, owner "Go"
)

type buildIDs struct {
	gnu    string // lower-case hex
	golang string // printable ASCII
}

// readBuildIDs takes the build ids out of the notes of an ELF file. What is not ELF, malformed or beyond the bounds has none.
//
// Only program headers are read, as the kernel does to run the file; sections are not needed, and need not be there.
// debug/elf is not made for hostile files: it would allocate for as many headers and sections as the file
// claims to have. It is given a header without sections and with few program headers of the exact size, so that it
// reads and allocates some kilobytes whatever the file is.
func readBuildIDs(file io.ReaderAt, size int64) buildIDs {
	var ids buildIDs
	header, ok := readELFHeader(file)
	if !ok {
		return ids
	}
	f, err := elf.NewFile(&patchedFile{header: header, file: file})
	if err != nil {
		return ids
	}
	budget := uint64(maxNotes)
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Off > uint64(size) {
			continue
		}
		n := min(p.Filesz, uint64(size)-p.Off, budget)
		budget -= n
		notes := make([]byte, n)
		if _, err := file.ReadAt(notes, int64(p.Off)); err != nil {
			continue
		}
		align := uint64(4)
		if p.Align == 8 {
			align = 8
		}
		ids.scan(notes, f.ByteOrder, align)
	}
	return ids
}

// elfFields are the offsets of fields in the header of one class of ELF files.
type elfFields struct {
	size                         int
	shoff, shoffEnd              int
	phentsize, phnum, shnum, end int // two bytes each; shstrndx follows shnum
	progSize                     uint16
}

// readELFHeader reads the header and removes from it what leads to sections. It refuses program headers beyond the bounds.
func readELFHeader(file io.ReaderAt) ([]byte, bool) {
	header := make([]byte, elfHeaderSize)
	n, err := file.ReadAt(header, 0)
	if n < elf.EI_NIDENT || err != nil && n < elfHeaderSize && err != io.EOF {
		return nil, false
	}
	var f elfFields
	switch elf.Class(header[elf.EI_CLASS]) {
	case elf.ELFCLASS32:
		f = elfFields{size: 52, shoff: 32, shoffEnd: 36, phentsize: 42, phnum: 44, shnum: 48, end: 52, progSize: 32}
	case elf.ELFCLASS64:
		f = elfFields{size: 64, shoff: 40, shoffEnd: 48, phentsize: 54, phnum: 56, shnum: 60, end: 64, progSize: 56}
	default:
		return nil, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(header[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	if n < f.size || order.Uint16(header[f.phentsize:]) != f.progSize || order.Uint16(header[f.phnum:]) > maxProgHeaders {
		return nil, false
	}
	clear(header[f.shoff:f.shoffEnd])
	clear(header[f.shnum:f.end])
	return header[:f.size], true
}

// patchedFile is a file with another header.
type patchedFile struct {
	header []byte
	file   io.ReaderAt
}

func (p *patchedFile) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(p.header)) {
		if n = copy(b, p.header[off:]); n == len(b) {
			return n, nil
		}
	}
	m, err := p.file.ReadAt(b[n:], off+int64(n))
	return n + m, err
}

// scan looks for build ids in a sequence of notes: sizes of owner and description, type, owner, description, each padded
// to align. The first one of a kind counts.
func (ids *buildIDs) scan(notes []byte, order binary.ByteOrder, align uint64) {
	const header = 12
	for len(notes) >= header {
		ownerSize, descSize := uint64(order.Uint32(notes)), uint64(order.Uint32(notes[4:]))
		kind := order.Uint32(notes[8:])
		// Both sizes have 32 bits: their sum cannot overflow.
		desc := padded(header+ownerSize, align)
		end := desc + descSize
		if end > uint64(len(notes)) {
			return
		}
		ids.take(string(notes[header:header+ownerSize]), kind, notes[desc:end])
		notes = notes[min(padded(end, align), uint64(len(notes))):]
	}
}

func padded(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }

func (ids *buildIDs) take(owner string, kind uint32, desc []byte) {
	switch {
	case owner == "GNU\x00" && kind == noteGNUBuildID:
		if ids.gnu == "" && len(desc) <= maxGNUBuildID {
			ids.gnu = hex.EncodeToString(desc)
		}
	case owner == "Go\x00\x00" && kind == noteGoBuildID:
		if ids.golang == "" && len(desc) <= maxGoBuildID && isPrintable(desc) {
			ids.golang = string(desc)
		}
	}
}

func isPrintable(s []byte) bool {
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
