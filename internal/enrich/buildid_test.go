// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
)

const goID = "aBcDeFgHiJkLmNoPqRsT/0123456789abcdefghij/zyxwvutsrqponmlkjihg/ABCDEFGHIJKLMNOPQRST"

var gnuID = []byte{0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func note(order binary.AppendByteOrder, align int, owner string, kind uint32, desc []byte) []byte {
	b := order.AppendUint32(nil, uint32(len(owner)))
	b = order.AppendUint32(b, uint32(len(desc)))
	b = order.AppendUint32(b, kind)
	pad := func() {
		for len(b)%align != 0 {
			b = append(b, 0)
		}
	}
	b = append(b, owner...)
	pad()
	b = append(b, desc...)
	pad()
	return b
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// makeELF makes a program with one note segment for each of notes and no sections.
func makeELF(t testing.TB, class elf.Class, order byteOrder, align uint64, notes ...[]byte) []byte {
	t.Helper()
	data := elf.ELFDATA2LSB
	if order == byteOrder(binary.BigEndian) {
		data = elf.ELFDATA2MSB
	}
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(data), byte(elf.EV_CURRENT)}
	var header any
	var headers []any
	n := uint16(len(notes))
	off := uint64(64 + 56*len(notes))
	if class == elf.ELFCLASS32 {
		off = uint64(52 + 32*len(notes))
		header = &elf.Header32{Ident: ident, Type: 2, Version: 1, Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: n}
	} else {
		header = &elf.Header64{Ident: ident, Type: 2, Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: n}
	}
	for _, b := range notes {
		size := uint64(len(b))
		if class == elf.ELFCLASS32 {
			headers = append(headers, &elf.Prog32{
				Type: uint32(elf.PT_NOTE), Off: uint32(off), Filesz: uint32(size), Memsz: uint32(size), Align: uint32(align),
			})
		} else {
			headers = append(headers, &elf.Prog64{Type: uint32(elf.PT_NOTE), Off: off, Filesz: size, Memsz: size, Align: align})
		}
		off += size
	}
	var file bytes.Buffer
	for _, part := range append([]any{header}, headers...) {
		if err := binary.Write(&file, order, part); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range notes {
		file.Write(b)
	}
	return file.Bytes()
}

func idsOf(file []byte) buildIDs { return readBuildIDs(bytes.NewReader(file), int64(len(file))) }

func TestBuildIDsOfEveryClassAndByteOrder(t *testing.T) {
	want := buildIDs{gnu: hex.EncodeToString(gnuID), golang: goID}
	for _, class := range []elf.Class{elf.ELFCLASS32, elf.ELFCLASS64} {
		for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
			for _, align := range []int{4, 8} {
				abi := note(order, align, "GNU\x00", 1, make([]byte, 16))
				gnu := note(order, align, "GNU\x00", noteGNUBuildID, gnuID)
				golang := note(order, align, "Go\x00\x00", noteGoBuildID, []byte(goID))
				together := bytes.Join([][]byte{abi, gnu, golang}, nil)
				for name, file := range map[string][]byte{
					"one segment":    makeELF(t, class, order, uint64(align), together),
					"three segments": makeELF(t, class, order, uint64(align), abi, golang, gnu),
				} {
					if got := idsOf(file); got != want {
						t.Errorf("%v %v align %d, %s: %+v, want %+v", class, order, align, name, got, want)
					}
				}
			}
		}
	}
}

func TestBuildIDsOfThisTest(t *testing.T) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	got := readBuildIDs(f, info.Size())
	parsed, err := elf.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	for section, id := range map[string]string{".note.go.buildid": got.golang, ".note.gnu.build-id": got.gnu} {
		s := parsed.Section(section)
		if s == nil {
			if id != "" {
				t.Errorf("%s is not there, but gave %q", section, id)
			}
			continue
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		want := data[16:]
		if section == ".note.gnu.build-id" {
			want = []byte(hex.EncodeToString(want))
		}
		if id == "" || !bytes.HasPrefix(want, []byte(id)) {
			t.Errorf("%s: %q, want %q", section, id, want)
		}
	}
	if got.golang == "" {
		t.Error("a Go program has no Go build id")
	}
}

func TestTheFirstBuildIDCounts(t *testing.T) {
	order := binary.LittleEndian
	file := makeELF(t, elf.ELFCLASS64, order, 4,
		note(order, 4, "GNU\x00", noteGNUBuildID, gnuID), note(order, 4, "GNU\x00", noteGNUBuildID, make([]byte, 20)))
	if got := idsOf(file); got.gnu != hex.EncodeToString(gnuID) {
		t.Errorf("got %+v", got)
	}
}

// hostileELFs are files that must give no build id, quickly and in little memory.
func hostileELFs(t testing.TB) map[string][]byte {
	t.Helper()
	order := binary.LittleEndian
	good := func() []byte {
		return makeELF(t, elf.ELFCLASS64, order, 4, note(order, 4, "GNU\x00", noteGNUBuildID, gnuID))
	}
	edit := func(change func(b []byte)) []byte {
		b := good()
		change(b)
		return b
	}
	const prog, notes = 64, 64 + 56
	of := func(owner string, kind uint32, desc string) []byte {
		return makeELF(t, elf.ELFCLASS64, order, 4, note(order, 4, owner, kind, []byte(desc)))
	}
	return map[string][]byte{
		"empty":                        {},
		"script":                       []byte("#!/bin/sh\nexit 0\n"),
		"magic number only":            []byte("\x7fELF"),
		"header cut":                   good()[:63],
		"program headers cut":          good()[:notes-1],
		"notes cut":                    good()[:notes+20],
		"unknown class":                edit(func(b []byte) { b[elf.EI_CLASS] = 3 }),
		"unknown byte order":           edit(func(b []byte) { b[elf.EI_DATA] = 9 }),
		"other byte order":             edit(func(b []byte) { b[elf.EI_DATA] = 2 }),
		"most program headers":         edit(func(b []byte) { order.PutUint16(b[56:], math.MaxUint16) }),
		"more program headers than in": edit(func(b []byte) { order.PutUint16(b[56:], maxProgHeaders) }),
		"large program headers":        edit(func(b []byte) { order.PutUint16(b[54:], math.MaxUint16) }),
		"program headers at the end":   edit(func(b []byte) { order.PutUint64(b[32:], math.MaxInt64) }),
		"program headers before":       edit(func(b []byte) { order.PutUint64(b[32:], math.MaxUint64) }),
		"notes at the end":             edit(func(b []byte) { order.PutUint64(b[prog+8:], math.MaxUint64) }),
		"notes after the file":         edit(func(b []byte) { order.PutUint64(b[prog+8:], 1<<40) }),
		"no note segment":              edit(func(b []byte) { order.PutUint32(b[prog:], uint32(elf.PT_LOAD)) }),
		"endless owner":                edit(func(b []byte) { order.PutUint32(b[notes:], math.MaxUint32) }),
		"endless description":          edit(func(b []byte) { order.PutUint32(b[notes+4:], math.MaxUint32) }),
		"both endless": edit(func(b []byte) {
			order.PutUint64(b[notes:], math.MaxUint64)
		}),
		"owner not ended":              of("GNUx", noteGNUBuildID, "0123"),
		"owner of another length":      of("GNU", noteGNUBuildID, "0123"),
		"other type":                   of("GNU\x00", 5, "0123"),
		"empty GNU build id":           of("GNU\x00", noteGNUBuildID, ""),
		"long GNU build id":            of("GNU\x00", noteGNUBuildID, strings.Repeat("x", maxGNUBuildID+1)),
		"empty Go build id":            of("Go\x00\x00", noteGoBuildID, ""),
		"long Go build id":             of("Go\x00\x00", noteGoBuildID, strings.Repeat("x", maxGoBuildID+1)),
		"Go build id not printable":    of("Go\x00\x00", noteGoBuildID, "a\x1b[31mb"),
		"Go build id not UTF-8":        of("Go\x00\x00", noteGoBuildID, "a\xffb"),
		"only empty notes":             makeELF(t, elf.ELFCLASS64, order, 4, make([]byte, 1<<20)),
		"build id beyond what is read": makeELF(t, elf.ELFCLASS64, order, 4, make([]byte, maxNotes), good()[notes:]),
	}
}

func TestHostileFilesHaveNoBuildID(t *testing.T) {
	for name, file := range hostileELFs(t) {
		t.Run(name, func(t *testing.T) {
			if got := idsOf(file); got != (buildIDs{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// zeros is a file of any size that holds zeros after its beginning.
type zeros struct{ begin []byte }

func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(z.begin)) {
		copy(p, z.begin[off:])
	}
	return len(p), nil
}

func TestHostileFilesTakeLittleMemory(t *testing.T) {
	const limit = 512 << 10
	for name, file := range hostileELFs(t) {
		if used := allocated(zeros{file}); used > limit {
			t.Errorf("%s: %d bytes were allocated, want at most %d", name, used, limit)
		}
	}
}

func allocated(file io.ReaderAt) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	readBuildIDs(file, 1<<40)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestSectionsAreNotInTheWay holds that a section table that makes no sense hides no note segment and takes no memory.
func TestSectionsAreNotInTheWay(t *testing.T) {
	order := binary.LittleEndian
	for name, table := range map[string]struct {
		off         uint64
		size, count uint16
		names       uint16
	}{
		"most sections":         {1 << 20, 64, math.MaxUint16, 1},
		"count in the first":    {64, 64, 0, 0},
		"large sections":        {1 << 20, math.MaxUint16, 512, 1},
		"small sections":        {1 << 20, 1, 512, 1},
		"sections at the end":   {math.MaxInt64, 64, 512, 1},
		"sections before":       {math.MaxUint64, 64, 512, 1},
		"no place for sections": {0, 64, 3, 1},
		"zeros":                 {1 << 20, 64, 512, 1},
		"notes as sections":     {100, 64, 2, 1},
		"names out of range":    {1 << 20, 64, 3, math.MaxUint16},
	} {
		t.Run(name, func(t *testing.T) {
			file := makeELF(t, elf.ELFCLASS64, order, 4, note(order, 4, "GNU\x00", noteGNUBuildID, gnuID))
			order.PutUint64(file[40:], table.off)
			order.PutUint16(file[58:], table.size)
			order.PutUint16(file[60:], table.count)
			order.PutUint16(file[62:], table.names)
			for _, reader := range []io.ReaderAt{bytes.NewReader(file), zeros{file}} {
				if got := readBuildIDs(reader, 1<<40); got.gnu != hex.EncodeToString(gnuID) {
					t.Errorf("got %+v", got)
				}
			}
			if used := allocated(zeros{file}); used > 512<<10 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

func FuzzBuildIDs(f *testing.F) {
	for _, file := range hostileELFs(f) {
		if len(file) < 4096 {
			f.Add(file)
		}
	}
	for _, class := range []elf.Class{elf.ELFCLASS32, elf.ELFCLASS64} {
		for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
			f.Add(makeELF(f, class, order, 4,
				note(order, 4, "GNU\x00", noteGNUBuildID, gnuID), note(order, 4, "Go\x00\x00", noteGoBuildID, []byte(goID))))
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		got := idsOf(file)
		if len(got.gnu) > 2*maxGNUBuildID || !isHex(got.gnu) {
			t.Fatalf("GNU build id %q", got.gnu)
		}
		if raw, _ := hex.DecodeString(got.gnu); !bytes.Contains(file, raw) {
			t.Fatalf("GNU build id %q is not in the file", got.gnu)
		}
		if len(got.golang) > maxGoBuildID || !isPrintable([]byte(got.golang)) || !bytes.Contains(file, []byte(got.golang)) {
			t.Fatalf("Go build id %q", got.golang)
		}
	})
}
