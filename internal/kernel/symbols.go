// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"slices"
	"sort"
	"sync"
)

// symbols are the functions of the kernel and its modules: names in one block of memory, and one offset, module and set of marks for each,
// in the order of the names. 60,000 functions take 2 MB.
// All but the marks is immutable, and the marks are after lists was done.
type symbols struct {
	names   []byte // each ended by a zero
	at      []uint32
	module  []uint16 // index of modules
	weak    []uint64 // a bit for each: it may be a stub
	marks   []mark
	modules []string // "" first, for the kernel itself
	lists   sync.Once
	// What the lists tell that is not a mark, and why one of them could not be read.
	injectable                             []string // sorted
	filterErr, blacklistErr, injectableErr error
}

// mark is what is known of a symbol.
type mark uint8

const (
	traceable   mark = 1 << iota // ftrace can hook it
	blacklisted                  // kprobes may not
)

// The longest line of the files that list symbols: KSYM_NAME_LEN is 512.
const maxLine = 4096

// syms reads the symbols when they are first asked for.
func (f *Facts) syms() (*symbols, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.symbols != nil {
		return f.symbols, nil
	}
	file, err := f.root.Open(kallsymsFile)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's symbols: %w", err)
	}
	defer file.Close()
	s, err := parseKallsyms(file)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's symbols: %w", err)
	}
	f.symbols = s
	return s, nil
}

// marked returns the symbols with what the lists of ftrace, kprobes and error injection tell of them.
func (f *Facts) marked() (*symbols, error) {
	s, err := f.syms()
	if err != nil {
		return nil, err
	}
	s.lists.Do(func() {
		s.filterErr = f.readFilter(s)
		s.blacklistErr = f.readList(blacklistFile, s.blacklist)
		s.injectableErr = f.readList(injectionFile, s.readInjectable)
	})
	return s, nil
}

func (f *Facts) readFilter(s *symbols) error {
	var first error
	for _, folder := range tracefs {
		err := f.readList(folder+filterFile, s.filter)
		if err == nil {
			return nil
		}
		if first == nil || missing(first) {
			first = err
		}
	}
	return first
}

func (f *Facts) readList(name string, read func(io.Reader) error) error {
	file, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := read(file); err != nil {
		return fmt.Errorf("read /%s: %w", name, err)
	}
	return nil
}

// eachLine calls visit with each line, which is valid for the call only.
func eachLine(r io.Reader, visit func([]byte)) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), 64<<10)
	for scanner.Scan() {
		if line := scanner.Bytes(); len(line) <= maxLine {
			visit(line)
		}
	}
	return scanner.Err()
}

// cutField cuts the first field off a line.
func cutField(line []byte) (field, rest []byte) {
	start := 0
	for start < len(line) && (line[start] == ' ' || line[start] == '\t') {
		start++
	}
	for end := start; end < len(line); end++ {
		if line[end] == ' ' || line[end] == '\t' {
			return line[start:end], line[end:]
		}
	}
	return line[start:], nil
}

// unwrap takes the brackets off "[module]".
func unwrap(b []byte) []byte {
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		return b[1 : len(b)-1]
	}
	return nil
}

// symbol is one while they are sorted. The first bytes of its name decide most comparisons.
type symbol struct {
	first  uint64
	at     uint32
	module uint16
	weak   bool
}

// parseKallsyms reads lines of "ffffffff81000000 t name\t[module]" and keeps functions. Lines that are otherwise are skipped, as
// is what nobody hooks: padding before functions, programs of other tracers, cold parts.
func parseKallsyms(r io.Reader) (*symbols, error) {
	names, found := make([]byte, 0, 2<<20), make([]symbol, 0, 64<<10)
	modules, index := []string{""}, map[string]uint16{"": 0}
	err := eachLine(r, func(line []byte) {
		_, rest := cutField(line)
		kind, rest := cutField(rest)
		name, rest := cutField(rest)
		module := unwrap(bytes.TrimSpace(rest))
		if len(kind) != 1 || len(name) == 0 || !hookable(kind[0], name, module) {
			return
		}
		m, known := index[string(module)]
		if !known {
			if len(modules) > math.MaxUint16 {
				return
			}
			m = uint16(len(modules))
			index[string(module)] = m
			modules = append(modules, string(module))
		}
		found = append(found, symbol{firstBytes(name), uint32(len(names)), m, kind[0] == 'w' || kind[0] == 'W'})
		names = append(append(names, name...), 0)
	})
	if err == nil && len(names) > math.MaxUint32 {
		err = fmt.Errorf("there are %d bytes of names", len(names))
	}
	if err != nil {
		return nil, err
	}
	return newSymbols(slices.Clone(names), found, modules), nil
}

func firstBytes(name []byte) uint64 {
	var b [8]byte
	copy(b[:], name)
	return binary.BigEndian.Uint64(b[:])
}

func newSymbols(names []byte, found []symbol, modules []string) *symbols {
	s := &symbols{names: names, modules: modules}
	slices.SortFunc(found, func(a, b symbol) int {
		if c := cmp.Compare(a.first, b.first); c != 0 {
			return c
		}
		return cmp.Or(bytes.Compare(s.nameAt(a.at), s.nameAt(b.at)), cmp.Compare(a.at, b.at))
	})
	n := len(found)
	s.at, s.module, s.marks, s.weak = make([]uint32, n), make([]uint16, n), make([]mark, n), make([]uint64, (n+63)/64)
	for i, one := range found {
		s.at[i], s.module[i] = one.at, one.module
		if one.weak {
			s.weak[i/64] |= 1 << (i % 64)
		}
	}
	return s
}

func hookable(kind byte, name, module []byte) bool {
	switch kind {
	case 't', 'T', 'w', 'W':
	default:
		return false
	}
	switch string(module) {
	case "bpf", "__builtin__ftrace", "__builtin__kprobes":
		return false
	}
	for _, prefix := range [...]string{"__pfx_", "__cfi_", "__SCT__", "__ksymtab"} {
		if len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix {
			return false
		}
	}
	return !bytes.HasSuffix(name, []byte(".cold"))
}

func (s *symbols) len() int { return len(s.at) }

// name is that of the i-th symbol, not to be changed.
func (s *symbols) name(i int) []byte { return s.nameAt(s.at[i]) }

func (s *symbols) nameAt(at uint32) []byte {
	b := s.names[at:]
	return b[:bytes.IndexByte(b, 0)]
}

func (s *symbols) isWeak(i int) bool { return s.weak[i/64]&(1<<(i%64)) != 0 }

// find returns the range of the symbols of a name, which is empty when there is none.
func (s *symbols) find(name string) (from, to int) { return s.findBytes([]byte(name)) }

func (s *symbols) findBytes(name []byte) (from, to int) {
	from = sort.Search(len(s.at), func(i int) bool { return bytes.Compare(s.name(i), name) >= 0 })
	for to = from; to < len(s.at) && bytes.Equal(s.name(to), name); to++ {
	}
	return from, to
}

// variant returns the name of the function that the compiler made of one of this name, with a suffix: foo.isra.0.
func (s *symbols) variant(name string) string {
	i := sort.Search(len(s.at), func(i int) bool { return bytes.Compare(s.name(i), []byte(name+".")) >= 0 })
	if i < len(s.at) && bytes.HasPrefix(s.name(i), []byte(name+".")) {
		return string(s.name(i))
	}
	return ""
}

// all yields each name once, sorted.
func (s *symbols) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		last := ""
		for i := range s.at {
			name := string(s.name(i))
			if name != last && !yield(name) {
				return
			}
			last = name
		}
	}
}

// withPrefix yields each name that starts so, sorted.
func (s *symbols) withPrefix(prefix string) iter.Seq[string] {
	return func(yield func(string) bool) {
		i, _ := s.find(prefix)
		for last := ""; i < len(s.at) && bytes.HasPrefix(s.name(i), []byte(prefix)); i++ {
			name := string(s.name(i))
			if name != last && !yield(name) {
				return
			}
			last = name
		}
	}
}

// filter reads available_filter_functions: "name" or "name [module]" for each function that ftrace can hook.
func (s *symbols) filter(r io.Reader) error {
	return eachLine(r, func(line []byte) {
		name, rest := cutField(line)
		module, _ := cutField(rest)
		module = unwrap(module)
		from, to := s.findBytes(name)
		for i := from; i < to; i++ {
			if s.modules[s.module[i]] == string(module) {
				s.marks[i] |= traceable
			}
		}
	})
}

// blacklist reads kprobes/blacklist: "0xstart-0xend\tname" for each function that kprobes may not hook.
func (s *symbols) blacklist(r io.Reader) error {
	return eachLine(r, func(line []byte) {
		_, rest := cutField(line)
		name, _ := cutField(rest)
		from, to := s.findBytes(name)
		for i := from; i < to; i++ {
			s.marks[i] |= blacklisted
		}
	})
}

// readInjectable reads error_injection/list: "name [module]\tERRNO" for each function whose return may be overridden.
func (s *symbols) readInjectable(r io.Reader) error {
	err := eachLine(r, func(line []byte) {
		if name, _ := cutField(line); len(name) > 0 {
			s.injectable = append(s.injectable, string(name))
		}
	})
	slices.Sort(s.injectable)
	s.injectable = slices.Compact(s.injectable)
	return err
}

// modulesWith lists the modules that have a function of this name.
func (f *Facts) modulesWith(name string) []string {
	s, err := f.syms()
	if err != nil {
		return nil
	}
	var modules []string
	from, to := s.find(name)
	for i := from; i < to; i++ {
		if m := s.modules[s.module[i]]; m != "" && !slices.Contains(modules, m) {
			modules = append(modules, m)
		}
	}
	return modules
}

// Modules lists the loaded modules that have functions, sorted.
func (f *Facts) Modules() ([]string, error) {
	s, err := f.syms()
	if err != nil {
		return nil, err
	}
	modules := slices.Clone(s.modules[1:])
	slices.Sort(modules)
	return modules, nil
}

// HasSymbol tells whether the kernel or a module has a function of this name, whatever is known of its types. The error is that of
// reading the symbols.
func (f *Facts) HasSymbol(name string) (bool, error) {
	s, err := f.syms()
	if err != nil {
		if missing(err) {
			_, err := f.functionIn("", name)
			return err == nil, nil
		}
		return false, err
	}
	from, to := s.find(name)
	return from < to, nil
}

// Traceable yields the names of the functions that ftrace can hook, of modules too, sorted, each once: what a pattern
// of generated_ftrace is matched with. The error tells why the kernel's list cannot be read.
func (f *Facts) Traceable() (iter.Seq[string], error) {
	s, err := f.marked()
	if err != nil {
		return nil, err
	}
	if s.filterErr != nil {
		return nil, &Unsupported{What: "the list of functions that ftrace can hook", Reason: "it cannot be read",
			Instead: "mount tracefs on /sys/kernel/tracing and run as root", Unknown: !missing(s.filterErr), Err: s.filterErr}
	}
	return func(yield func(string) bool) {
		last := ""
		for i := range s.at {
			if s.marks[i]&traceable == 0 {
				continue
			}
			name := string(s.name(i))
			if name != last && !yield(name) {
				return
			}
			last = name
		}
	}, nil
}

// missing tells whether a file is not there, rather than not to be read.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
