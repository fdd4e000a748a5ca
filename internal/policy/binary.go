// SPDX-License-Identifier: Apache-2.0

package policy

// BinaryFilter is an item of matchBinaries or matchParentBinaries: a condition on the file that the process executed.
// For a script there are two such files, its interpreter and itself; the test holds when it holds for either.
type BinaryFilter struct {
	Pos Position
	// Test is TestExact, TestPrefix, TestSuffix or TestSameFile.
	Test    Test
	Negated bool
	// Paths are absolute for TestExact and TestSameFile; sorted.
	Paths []string
	// FollowChildren makes the test hold for a process too when it held for a process that it descends from, at the time
	// that one forked.
	FollowChildren bool
	Raw            []Raw
}

var binaryOps = []Operator{OpIn, OpNotIn, OpEqual, OpNotEqual, OpPrefix, OpNotPrefix, OpPostfix, OpNotPostfix, OpSameFile, OpNotSameFile}

// binary reads an item of matchBinaries or matchParentBinaries.
func (r *reader) binary(n *node, what string) BinaryFilter {
	f := BinaryFilter{Pos: n.pos}
	op := OpNone
	r.object(n, "an item of "+what, []field{
		{"operator", true, func(n *node) { op = r.operator(n, what, binaryOps) }},
		{"values", true, func(n *node) { f.Raw = r.texts(n, "values") }},
		{"followChildren", false, func(n *node) { f.FollowChildren = r.boolean(n, "followChildren") }},
	})
	if op == OpNone {
		return f
	}
	row := op.Info()
	c := &operandContext{reader: r, pos: n.pos, class: ClassPath, test: row.Test, paths: true,
		whole: row.Test == TestNone || row.Test == TestPrefix}
	var out Operand
	test := row.operand(c, f.Raw, &out)
	if f.Test = row.Test; f.Test == TestNone {
		f.Test = test
	}
	f.Negated, f.Paths = row.Negated, out.Texts
	return f
}
