// SPDX-License-Identifier: Apache-2.0

package policy

// CmdArgFilter is an item of matchCmdArgs: a condition on the arguments that the program was executed with, as the kernel
// kept them, each on its own. Argument 0 is the name that the program was given.
type CmdArgFilter struct {
	Pos Position
	// Index is the argument to look at, or AnyArg: the test holds when it holds for one of them.
	Index   int
	Test    Test
	Negated bool
	Texts   []string
}

// AnyArg stands for each argument of a process.
const AnyArg = -1

var cmdArgOps = []Operator{
	OpEqual, OpNotEqual, OpIn, OpNotIn, OpPrefix, OpNotPrefix, OpPostfix, OpNotPostfix, OpSubString, OpNotSubString, OpSubStringIgnCase,
	OpNotSubStringIgnCase,
}

func (h *hookReader) cmdArg(n *node) CmdArgFilter {
	f := CmdArgFilter{Pos: n.pos, Index: AnyArg}
	op := OpNone
	var values []Raw
	h.object(n, "an item of matchCmdArgs", []field{
		{"index", false, func(n *node) { f.Index = h.index(n, "index") }},
		{"operator", true, func(n *node) { op = h.operator(n, "matchCmdArgs", cmdArgOps) }},
		{"values", true, func(n *node) { values = h.texts(n, "values") }},
	})
	if op == OpNone {
		return f
	}
	row := op.Info()
	c := &operandContext{reader: h.reader, pos: n.pos, class: ClassText, lists: h.lists, test: row.Test, whole: true}
	var out Operand
	test := row.operand(c, values, &out)
	if f.Test = row.Test; f.Test == TestNone {
		f.Test = test
	}
	if f.Test == TestContainsFold {
		out.Texts = foldTexts(out.Texts)
	}
	f.Negated, f.Texts = row.Negated, out.Texts
	return f
}
