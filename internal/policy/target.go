// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"strconv"
	"strings"
)

// Target is where a hook attaches: *Functions, *Tracepoint, *LSMHook, *UserFunctions or *USDTProbe.
type Target interface{ target() }

// Functions are functions of the kernel or syscalls: of kprobes and fentries.
type Functions struct {
	// Calls are the functions, in the order of the list that names them.
	Calls []Call
	// List is a list whose members the kernel tells; Calls is empty then.
	List *List
}

// Tracepoint is one of the kernel's tracepoints. Raw ones have the parameters of the tracepoint's prototype, others the
// fields of its format.
type Tracepoint struct {
	Subsystem, Event string
	Raw              bool
}

// LSMHook is a hook of the kernel's security modules, without "security_".
type LSMHook struct{ Name string }

// UserFunctions are places in a program or library.
type UserFunctions struct {
	Path   string
	Points []UserPoint
	// InContainer tells that Path is looked up in the file system of each container.
	InContainer bool
	// BTFPath is a file with the types of the program.
	BTFPath string
}

// UserPoint is a place in a program: at Offset behind a symbol; or, without symbol, at a file offset or an address.
type UserPoint struct {
	Pos     Position
	Symbol  string
	Offset  uint64
	Address bool // Offset is an address
	// RefCtr is the file offset of the counter that the program looks at to know that it is traced; 0 for none.
	RefCtr uint64
}

// USDTProbe is a static probe in a program or library.
type USDTProbe struct {
	Path, Provider, Name string
	InContainer          bool
	BTFPath              string
}

func (*Functions) target()     {}
func (*Tracepoint) target()    {}
func (*LSMHook) target()       {}
func (*UserFunctions) target() {}
func (*USDTProbe) target()     {}

// functions reads an item of kprobes or fentries.
func (h *hookReader) functions(n *node) {
	var call, syscall *node
	var k hookNodes
	ok := h.object(n, h.hook.Type.article(), append(h.common(&k),
		field{"call", true, func(n *node) { call = n }},
		field{"syscall", false, func(n *node) { syscall = n }},
		field{"ignore", false, func(n *node) {
			h.object(n, "ignore", []field{
				{"callNotFound", false, func(n *node) { h.hook.IgnoreMissing = h.boolean(n, "callNotFound") }},
			})
		}},
	))
	h.hook.Target = &Functions{}
	if ok && call != nil {
		h.hook.Target = h.calls(call, syscall)
	}
	if ok {
		h.body(n, &k)
	}
}

// calls reads `call` and `syscall`. Without `syscall`, a name that begins as those of syscalls do is one.
func (h *hookReader) calls(n, syscall *node) *Functions {
	f := &Functions{}
	s := h.text(n, "call")
	if s == "" {
		return f
	}
	name, isList := strings.CutPrefix(s, listPrefix)
	if !isList {
		if c, ok := h.call(Raw{Pos: n.pos, Text: s}, syscall); ok {
			f.Calls = []Call{c}
		}
		return f
	}
	l := h.lookup(h.lists, name, n.pos)
	if l == nil {
		return f
	}
	if syscall != nil && l.Kind != FunctionList && h.boolean(syscall, "syscall") == (l.Kind == GeneratedFunctions) {
		h.fail(syscall.pos, "leave `syscall` out", "`syscall` contradicts the type of the list %q, %s", name, l.Kind)
	}
	switch l.Kind {
	case SyscallList:
		f.Calls = l.Calls
	case FunctionList:
		for _, v := range l.Values {
			if c, ok := h.call(v, syscall); ok {
				f.Calls = append(f.Calls, c)
			}
		}
	default:
		f.List = l
	}
	return f
}

func (h *hookReader) call(v Raw, syscall *node) (Call, bool) {
	is := looksLikeSyscall(v.Text)
	if syscall != nil {
		is = h.boolean(syscall, "syscall")
	}
	if is {
		return h.syscall(v)
	}
	return h.function(v)
}

// tracepoint reads an item of tracepoints.
func (h *hookReader) tracepoint(n *node) {
	t := &Tracepoint{}
	h.hook.Target = t
	var k hookNodes
	if h.object(n, h.hook.Type.article(), append(h.common(&k),
		field{"subsystem", true, func(n *node) { t.Subsystem = h.plainName(n, "subsystem") }},
		field{"event", true, func(n *node) { t.Event = h.plainName(n, "event") }},
		field{"raw", false, func(n *node) { t.Raw = h.boolean(n, "raw") }},
	)) {
		h.body(n, &k)
	}
}

// plainName reads the name of a subsystem, as those of tracefs are: also with dashes.
func (h *hookReader) plainName(n *node, what string) string {
	s := h.text(n, what)
	if s != "" && !isIdentifier(strings.ReplaceAll(s, "-", "_")) {
		h.fail(n.pos, "for example `subsystem: sched` and `event: sched_process_exec`", "%s: %q is no name of a tracepoint's", what, clip(s))
		return ""
	}
	return s
}

// lsm reads an item of lsmhooks.
func (h *hookReader) lsm(n *node) {
	t := &LSMHook{}
	h.hook.Target = t
	var k hookNodes
	if h.object(n, h.hook.Type.article(), append(h.common(&k),
		field{"hook", true, func(n *node) {
			t.Name = h.identifier(n, "hook")
			for _, prefix := range [...]string{"security_", "bpf_lsm_"} {
				if name, ok := strings.CutPrefix(t.Name, prefix); ok {
					h.warn(n.pos, "leave the prefix out", "the hook %q is read as %q", t.Name, name)
					t.Name = name
				}
			}
		}},
	)) {
		h.body(n, &k)
	}
}

// uprobe reads an item of uprobes.
func (h *hookReader) uprobe(n *node) {
	t := &UserFunctions{}
	h.hook.Target = t
	var k hookNodes
	var points [3][]UserPoint // by symbol, by offset, by address
	var counters []uint64
	keepSymbol := func(v Raw) { points[0] = append(points[0], h.symbol(v)) }
	ok := h.object(n, h.hook.Type.article(), append(h.common(&k),
		field{"path", true, func(n *node) { t.Path = h.path(n, "path") }},
		field{"symbols", false, func(n *node) {
			for _, v := range h.texts(n, "symbols") {
				keepSymbol(v)
			}
		}},
		field{"symbol", false, func(n *node) {
			if s := h.text(n, "symbol"); s != "" {
				keepSymbol(Raw{Pos: n.pos, Text: s})
			}
		}},
		field{"offsets", false, func(n *node) { points[1] = h.places(n, "offsets", false) }},
		field{"addrs", false, func(n *node) { points[2] = h.places(n, "addrs", true) }},
		field{"refCtrOffsets", false, func(n *node) {
			for _, p := range h.places(n, "refCtrOffsets", false) {
				counters = append(counters, p.Offset)
			}
		}},
		field{"resolvePathInContainer", false, func(n *node) { t.InContainer = h.boolean(n, "resolvePathInContainer") }},
		field{"btfPath", false, func(n *node) { t.BTFPath = h.path(n, "btfPath") }},
	))
	if !ok {
		return
	}
	used := 0
	for _, list := range points {
		if len(list) > 0 {
			used, t.Points = used+1, list
		}
	}
	if used != 1 {
		h.fail(n.pos, "for example `symbols: [readline]`", "a uprobe needs exactly one of `symbols`, `offsets` and `addrs`")
	}
	if len(counters) > 0 && len(counters) != len(t.Points) {
		h.fail(n.pos, "give one for each place, 0 for none", "there are %d refCtrOffsets for %d places", len(counters), len(t.Points))
		counters = nil
	}
	for i, c := range counters {
		t.Points[i].RefCtr = c
	}
	h.body(n, &k)
}

// symbol reads "name" or "name+offset".
func (h *hookReader) symbol(v Raw) UserPoint {
	p := UserPoint{Pos: v.Pos, Symbol: v.Text}
	// Go's and C++'s symbols hold nearly anything, a plus too (operator+): an offset is a number behind the last one.
	if i := strings.LastIndexByte(v.Text, '+'); i > 0 {
		if off, err := strconv.ParseUint(v.Text[i+1:], 0, 63); err == nil {
			p.Symbol, p.Offset = v.Text[:i], off
		}
	}
	if p.Symbol == "" || strings.ContainsFunc(p.Symbol, func(c rune) bool { return isControl(c) }) {
		h.fail(v.Pos, "", "%q is no symbol", clip(v.Text))
	}
	return p
}

// places reads file offsets or addresses.
func (h *hookReader) places(n *node, what string, address bool) []UserPoint {
	var all []UserPoint
	h.each(n, what, func(_ int, item *node) {
		s, ok := h.scalar(item, "an item of "+what)
		if !ok {
			return
		}
		v, err := strconv.ParseUint(s, 0, 64)
		if err != nil || !address && v > math.MaxInt64 {
			h.fail(item.pos, "for example 0x1a40", "%s: %q is no number of bytes", what, clip(s))
			return
		}
		all = append(all, UserPoint{Pos: item.pos, Offset: v, Address: address})
	})
	return all
}

// path reads the absolute path of a file. A library may be named without one: the loader's search finds it.
func (h *hookReader) path(n *node, what string) string {
	s := h.text(n, what)
	if s != "" && s[0] != '/' && (strings.Contains(s, "/") || what != "path") {
		h.fail(n.pos, "begin it with a slash, or name a library as the loader does: libc.so.6", "%s: %q is relative, and there is no directory that it would start from", what, clip(s))
	}
	return s
}

// usdt reads an item of usdts.
func (h *hookReader) usdt(n *node) {
	t := &USDTProbe{}
	h.hook.Target = t
	var k hookNodes
	if h.object(n, h.hook.Type.article(), append(h.common(&k),
		field{"path", true, func(n *node) { t.Path = h.path(n, "path") }},
		field{"provider", true, func(n *node) { t.Provider = h.text(n, "provider") }},
		field{"name", true, func(n *node) { t.Name = h.text(n, "name") }},
		field{"resolvePathInContainer", false, func(n *node) { t.InContainer = h.boolean(n, "resolvePathInContainer") }},
		field{"btfPath", false, func(n *node) { t.BTFPath = h.path(n, "btfPath") }},
	)) {
		h.body(n, &k)
	}
}
