// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// Filter is one item of matchArgs, matchData or matchReturnArgs: a condition on a value.
type Filter struct {
	Pos Position
	// Args are positions in Hook.Args (in Hook.Data for Selector.Data); none for the return value. One, except for
	// CapabilitiesGained, which has two, and CelExpr, which has any number.
	Args     []int
	Operator Operator
	Test     Test
	Negated  bool
	Operand  Operand
	// Bound tells that the types of all Args are known and that Test and Operand are what the filter means. A filter on
	// an argument of type Auto is not bound before Hook.Bind.
	Bound bool
	// Raw are the values as written, for listings and for Bind.
	Raw []Raw
}

// place is the list that a filter is in.
type place uint8

const (
	inArgs place = iota
	inData
	inReturn
)

var placeNames = [...]string{"matchArgs", "matchData", "matchReturnArgs"}

// hookReader reads the parts of a hook that refer to its arguments.
type hookReader struct {
	*reader
	hook   *Hook
	lists  map[string]*List
	macros map[string]*node
	// loose marks a macro that no hook uses: what its filters refer to is not known.
	loose bool
}

// filter reads an item of matchArgs, matchData or matchReturnArgs.
func (h *hookReader) filter(n *node, in place) Filter {
	if h.loose {
		in = inArgs
	}
	f := Filter{Pos: n.pos}
	var index, args *node
	ok := h.object(n, "an item of "+placeNames[in], []field{
		{"index", false, func(n *node) { index = n }},
		{"args", false, func(n *node) { args = n }},
		{"operator", true, func(n *node) { f.Operator = h.operator(n, placeNames[in], nil) }},
		{"values", false, func(n *node) { f.Raw = h.texts(n, "values") }},
	})
	if !ok || f.Operator == OpNone {
		return f
	}
	if f.Args, ok = h.subjects(&f, in, index, args); ok {
		h.bind(&f, in, nil)
	}
	return f
}

// subjects finds the arguments that a filter is about.
func (h *hookReader) subjects(f *Filter, in place, index, args *node) ([]int, bool) {
	switch {
	case in == inReturn:
		if args != nil || index != nil && h.index(index, "index") != 0 {
			h.fail(f.Pos, "leave `index` and `args` out", "there is one return value only")
			return nil, false
		}
		if h.hook.Return == nil {
			h.hook.Return = &Arg{Pos: f.Pos, SizeArg: -1, Implicit: true}
		}
		return nil, true
	case args != nil:
		return h.listedArgs(f, in, args)
	case in == inData:
		if index == nil {
			return h.position(0, f.Pos, in)
		}
		return h.position(h.index(index, "index"), index.pos, in)
	case index != nil:
		i := h.index(index, "index")
		if !h.checkIndex(i, index.pos) {
			return nil, false
		}
		return []int{h.argument(i, index.pos)}, true
	case f.Operator == OpCelExpr:
		// An expression may name any declared argument.
		all := make([]int, len(h.hook.Args))
		for i := range all {
			all[i] = i
		}
		return all, true
	default:
		return []int{h.argument(0, f.Pos)}, true
	}
}

// listedArgs reads `args`: positions in the hook's own list.
func (h *hookReader) listedArgs(f *Filter, in place, n *node) ([]int, bool) {
	var all []int
	ok := true
	h.each(n, "args", func(_ int, item *node) {
		one, good := h.position(h.index(item, "an item of args"), item.pos, in)
		all, ok = append(all, one...), ok && good
	})
	switch {
	case !ok || len(all) == 0:
		if ok {
			h.fail(n.pos, "", "args is empty")
		}
		return nil, false
	case len(all) > 1 && f.Operator != OpCelExpr && f.Operator != OpCapabilitiesGained:
		h.fail(n.pos, "write one item for each; all must match", "the operator %s compares one argument", f.Operator)
		return nil, false
	}
	return all, true
}

// position checks a position in args or data.
func (h *hookReader) position(i int, pos Position, in place) ([]int, bool) {
	if h.loose {
		return []int{h.argument(i, pos)}, true
	}
	have, name := len(h.hook.Args), "args"
	if in == inData {
		have, name = len(h.hook.Data), "data"
	}
	for have > 0 && in == inArgs && h.hook.Args[have-1].Implicit {
		have--
	}
	if i >= have {
		h.fail(pos, "", "there is no item %d in `%s`, which has %d", i, name, have)
		return nil, false
	}
	return []int{i}, true
}

// argument returns the position in Hook.Args of the parameter with an index, and adds it when the policy declares none.
func (h *hookReader) argument(index int, pos Position) int {
	for i := range h.hook.Args {
		if a := &h.hook.Args[i]; a.Index == index && a.Source == FromArguments {
			return i
		}
	}
	h.hook.Args = append(h.hook.Args, Arg{Pos: pos, Index: index, SizeArg: -1, Implicit: true})
	return len(h.hook.Args) - 1
}

// argOf returns the i-th argument of a filter.
func (h *Hook) argOf(f *Filter, in place, i int) *Arg {
	switch in {
	case inReturn:
		return h.Return
	case inData:
		return &h.Data[f.Args[i]]
	default:
		return &h.Args[f.Args[i]]
	}
}

// bind gives a filter its test and operand. Without bindings, what depends on a type that only BTF knows stays open,
// and what does not is checked all the same.
func (h *hookReader) bind(f *Filter, in place, bindings map[*Arg]Binding) {
	row := f.Operator.Info()
	f.Negated, f.Test, f.Operand = row.Negated, TestNone, Operand{}
	c := &operandContext{reader: h.reader, pos: f.Pos, lists: h.lists, test: row.Test}
	count := len(f.Args)
	if in == inReturn {
		count = 1
	}
	open := false
	for i := range count {
		a := h.hook.argOf(f, in, i)
		t := a.Type.Info()
		open = open || a.Type == Auto
		if t.Class&row.Classes == 0 && a.Type != Auto {
			h.mismatch(f, a, row)
			return
		}
		c.types = append(c.types, a.Type)
		c.class = t.Class
		c.what = numbersOf(a, bindings[a], h.arch)
	}
	c.paths = c.class == ClassPath
	c.whole = row.Test == TestNone || row.Test == TestPrefix
	if open {
		h.check(c, f, row)
		return
	}
	test := row.operand(c, f.Raw, &f.Operand)
	if f.Test = row.Test; f.Test == TestNone {
		f.Test = test
	}
	if f.Test == TestContainsFold {
		f.Operand.Texts = foldTexts(f.Operand.Texts)
	}
	if f.Test == TestExpr {
		f.Operand.Expr = h.typedExpr(f, in, bindings)
	}
	f.Bound = true
}

// numbersOf is what the numbers of an argument are.
func numbersOf(a *Arg, b Binding, arch string) numbers {
	t := a.Type.Info()
	d := numbers{bits: t.Bits, signed: t.Signed, truth: a.Type == Bool, arch: arch, names: b.Names, typed: true}
	if b.Bits != 0 && a.Type == Enum {
		d.bits, d.signed = b.Bits, b.Signed
	}
	if d.bits == 0 {
		d.bits = 64
	}
	return d
}

// check looks at what can be known of a filter whose argument has no type yet.
func (h *hookReader) check(c *operandContext, f *Filter, row OperatorInfo) {
	var scratch Operand
	switch {
	case f.Operator == OpCelExpr:
		f.Operand.Expr = h.untypedExpr(f)
	case row.Test == TestNumber, row.Test == TestBits, row.Test == TestNone && row.Classes == classSet:
		c.needed(f.Raw)
		for _, v := range f.Raw {
			if name, ok := strings.CutPrefix(v.Text, listPrefix); ok {
				h.lookup(h.lists, name, v.Pos)
			}
		}
	default:
		row.operand(c, f.Raw, &scratch)
	}
}

func (h *hookReader) mismatch(f *Filter, a *Arg, row OperatorInfo) {
	remedy := ""
	if ops := opsFor(a.Type.Info().Class); len(ops) > 0 {
		remedy = "for it there are " + strings.Join(ops, ", ")
	}
	switch {
	case a.Type.Info().Class == ClassAddress && (row.Test == TestDestAddr || row.Test == TestDestPort):
		remedy = "a sockaddr is one address: use SAddr or SPort"
	case a.Type.Info().Class == ClassOpaque:
		remedy = "reach for a field of it with `resolve`"
	}
	h.fail(f.Pos, remedy, "the operator %s does not apply to an argument of type %s (a %s)", row.Name, a.Type, a.Type.Info().Class)
}
