// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
)

// Bounds of what is believed of a file, which may be made to hurt its readers.
const (
	maxProgHeaders = 128      // real programs have about a dozen
	maxSections    = 512      // and about 40 of these
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
// The note segments count first, which is what the kernel sees of a program too; then the note sections, since the linker
// of Go makes a segment for the Go build id only. debug/elf is not made for hostile files: it allocates for as many headers
// as a file claims to have, and for a table of section names of any size. It is given a header with few entries of the
// exact size and without the table of names, so that it reads and allocates some ten kilobytes whatever the file is.
func readBuildIDs(file io.ReaderAt, size int64) buildIDs {
	var ids buildIDs
	f, ok := parseELF(file)
	if !ok {
		return ids
	}
	budget := uint64(maxNotes)
	scan := func(off, length, align uint64) {
		if off > uint64(size) {
			return
		}
		notes := make([]byte, min(length, uint64(size)-off, budget))
		budget -= uint64(len(notes))
		if _, err := file.ReadAt(notes, int64(off)); err != nil {
			return
		}
		if align != 8 {
			align = 4 // the rule; zero and one are seen too
		}
		ids.scan(notes, f.ByteOrder, align)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_NOTE {
			scan(p.Off, p.Filesz, p.Align)
		}
	}
	if ids.gnu != "" && ids.golang != "" {
		return ids
	}
	for _, s := range f.Sections {
		if s.Type == elf.SHT_NOTE && s.Flags&(elf.SHF_ALLOC|elf.SHF_COMPRESSED) == elf.SHF_ALLOC {
			scan(s.Offset, s.FileSize, s.Addralign)
		}
	}
	return ids
}

// parseELF reads the program headers, and the section headers if there are any to be had: a program runs without them.
func parseELF(file io.ReaderAt) (*elf.File, bool) {
	header, fields, ok := readELFHeader(file)
	if !ok {
		return nil, false
	}
	f, err := elf.NewFile(&patchedFile{header: header, file: file})
	if err != nil {
		fields.dropSections(header)
		f, err = elf.NewFile(&patchedFile{header: header, file: file})
	}
	return f, err == nil
}

// elfFields are offsets in the header of one class of ELF files, and the sizes of what it leads to, in bytes.
type elfFields struct {
	size                               int // of the header
	shoff, shoffEnd                    int
	phentsize, phnum, shentsize, shnum int // two bytes each, up to shstrndx, the last field
	shstrndx                           int
	progSize, sectionSize              uint16
}

var (
	elfFields32 = elfFields{
		size: 52, shoff: 32, shoffEnd: 36, phentsize: 42, phnum: 44, shentsize: 46, shnum: 48, shstrndx: 50,
		progSize: 32, sectionSize: 40,
	}
	elfFields64 = elfFields{
		size: 64, shoff: 40, shoffEnd: 48, phentsize: 54, phnum: 56, shentsize: 58, shnum: 60, shstrndx: 62,
		progSize: 56, sectionSize: 64,
	}
)

func (f *elfFields) dropSections(header []byte) {
	clear(header[f.shoff:f.shoffEnd])
	clear(header[f.shnum:f.size])
}

// readELFHeader reads the header and removes sections beyond the bounds from it. Program headers beyond them are refused.
func readELFHeader(file io.ReaderAt) ([]byte, *elfFields, bool) {
	header := make([]byte, elfHeaderSize)
	n, err := file.ReadAt(header, 0)
	if n < elf.EI_NIDENT || err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, false
	}
	f := &elfFields64
	if elf.Class(header[elf.EI_CLASS]) == elf.ELFCLASS32 {
		f = &elfFields32
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(header[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	if n < f.size || order.Uint16(header[f.phentsize:]) != f.progSize || order.Uint16(header[f.phnum:]) > maxProgHeaders {
		return nil, nil, false
	}
	header = header[:f.size]
	clear(header[f.shstrndx:])
	// A number of zero may mean that the number, of any size, is in the first section.
	sections := order.Uint16(header[f.shnum:])
	if sections == 0 || sections > maxSections || order.Uint16(header[f.shentsize:]) != f.sectionSize {
		f.dropSections(header)
	}
	return header, f, true
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
