// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	celop "cel.dev/cel-go/common/operators"
	celtypes "cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
)

// maxExprNodes bounds an expression, so that what is made of it fits a verifier's patience: each node is a few
// instructions, and a hook may have many expressions.
const maxExprNodes = 256

// readExpr looks at the number of values only; typedExpr does the rest.
func readExpr(c *operandContext, values []Raw, _ *Operand) Test {
	if len(values) != 1 {
		c.fail(c.pos, "join conditions with && or ||", "CelExpr takes one expression, not %d", len(values))
	}
	return TestExpr
}

// celReader turns the tree of an expression into a typed one. open marks that some types are not known yet: then only
// what holds for any type is looked at.
type celReader struct {
	*reader
	pos    Position
	source string
	tree   *ast.AST
	args   []ExprType
	open   bool
	nodes  int
	failed bool
}

func (h *hookReader) typedExpr(f *Filter, in place, bindings map[*Arg]Binding) *Expr {
	var args []ExprType
	for i := range f.Args {
		a := h.hook.argOf(f, in, i)
		d := numbersOf(a, bindings[a], h.arch)
		t := ExprType{Bits: d.bits, Signed: d.signed}
		if a.Type == Bool {
			t = truth
		}
		args = append(args, t)
	}
	if in == inReturn {
		d := numbersOf(h.hook.Return, bindings[h.hook.Return], h.arch)
		args = []ExprType{{Bits: d.bits, Signed: d.signed}}
	}
	return h.expr(f, args, false)
}

func (h *hookReader) untypedExpr(f *Filter) *Expr {
	args := make([]ExprType, max(1, len(f.Args)))
	for i := range args {
		args[i] = ExprType{Bits: 64, Signed: true}
	}
	return h.expr(f, args, true)
}

// expr parses the expression of a filter; nil when it is wrong.
func (h *hookReader) expr(f *Filter, args []ExprType, open bool) *Expr {
	if len(f.Raw) != 1 {
		readExpr(&operandContext{reader: h.reader, pos: f.Pos}, f.Raw, nil)
		return nil
	}
	c := &celReader{reader: h.reader, pos: f.Raw[0].Pos, source: f.Raw[0].Text, args: args, open: open}
	if !c.parse() {
		return nil
	}
	e := c.node(c.tree.Expr())
	if c.failed {
		return nil
	}
	if e.Type != truth && !open {
		c.bad(c.tree.Expr(), "compare it with something", "the expression is a number, not true or false")
		return nil
	}
	return e
}

// parse has the library parse the expression.
func (c *celReader) parse() bool {
	// No macros: all(), map() and such are for lists, and there are none here.
	p, err := parser.NewParser(parser.EnablePrattParser(true), parser.MaxRecursionDepth(64), parser.MaxExpressionNodeCount(maxExprNodes))
	if err != nil {
		c.fail(c.pos, "", "cannot parse expressions: %s", err)
		return false
	}
	tree, errs := p.Parse(common.NewTextSource(c.source))
	if list := errs.GetErrors(); len(list) > 0 {
		first := list[0]
		message, _, _ := strings.Cut(strings.TrimPrefix(first.Message, "Syntax error: "), "\n")
		at := ""
		if first.Location != nil && first.Location.Column() >= 0 {
			at = fmt.Sprintf(" at character %d", first.Location.Column()+1)
		}
		c.fail(c.pos, "", "%q is no CEL expression: %s%s", clip(c.source), message, at)
		return false
	}
	c.tree = tree
	return true
}

// bad reports what is wrong with a node, once for an expression.
func (c *celReader) bad(e ast.Expr, remedy, format string, args ...any) *Expr {
	if !c.failed {
		at := ""
		if offset, ok := c.tree.SourceInfo().GetOffsetRange(e.ID()); ok {
			at = fmt.Sprintf(" (at character %d)", offset.Start+1)
		}
		c.fail(c.pos, remedy, "in the expression %q: %s%s", clip(c.source), fmt.Sprintf(format, args...), at)
	}
	c.failed = true
	return &Expr{}
}

func (c *celReader) node(e ast.Expr) *Expr {
	if c.nodes++; c.nodes > maxExprNodes {
		return c.bad(e, "split it into several filters", "it has more than %d parts", maxExprNodes)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return c.literal(e)
	case ast.IdentKind:
		return c.name(e)
	case ast.CallKind:
		return c.call(e)
	default:
		return c.bad(e, "only numbers, arguments, operators and conversions can be compiled", "this has no meaning in a policy")
	}
}

func (c *celReader) literal(e ast.Expr) *Expr {
	switch v := e.AsLiteral().(type) {
	case celtypes.Bool:
		n := &Expr{Op: ExprConst, Type: truth}
		if v {
			n.Value = 1
		}
		return n
	case celtypes.Int:
		return &Expr{Op: ExprConst, Type: ExprType{Bits: 64, Signed: true}, Value: uint64(v)}
	case celtypes.Uint:
		return &Expr{Op: ExprConst, Type: ExprType{Bits: 64}, Value: uint64(v)}
	default:
		return c.bad(e, "compare texts with Equal, Prefix or SubString", "only whole numbers and truth values can be used")
	}
}

// name reads arg0 and so on, and constants.
func (c *celReader) name(e ast.Expr) *Expr {
	name := e.AsIdent()
	for _, prefix := range [...]string{"arg", "data"} {
		digits, ok := strings.CutPrefix(name, prefix)
		i, err := strconv.Atoi(digits)
		if !ok || err != nil {
			continue
		}
		if i < 0 || i >= len(c.args) {
			return c.bad(e, fmt.Sprintf("%s0 is the first of the filter's `args`", prefix), "there is no %s: the filter has %d", name, len(c.args))
		}
		return &Expr{Op: ExprArg, Type: c.args[i], Arg: i}
	}
	if v, ok := Constant(name, c.arch); ok {
		return &Expr{Op: ExprConst, Type: ExprType{Bits: 64, Signed: true}, Value: uint64(v)}
	}
	return c.bad(e, didYouMean(name, append(constantNames(), "arg0")), "there is no %q", clip(name))
}

// celBinary are the operators with two operands; swapped ones are written as their mirror image.
var celBinary = map[string]struct {
	op      ExprOp
	swapped bool
}{
	celop.Add: {op: ExprAdd}, celop.Subtract: {op: ExprSub}, celop.Multiply: {op: ExprMul}, celop.Divide: {op: ExprDiv},
	celop.Modulo: {op: ExprMod}, celop.Equals: {op: ExprEqual}, celop.NotEquals: {op: ExprNotEqual}, celop.Less: {op: ExprLess},
	celop.LessEquals: {op: ExprLessEqual}, celop.Greater: {ExprLess, true}, celop.GreaterEquals: {ExprLessEqual, true},
	celop.LogicalAnd: {op: ExprAnd}, celop.LogicalOr: {op: ExprOr},
	"math.bitAnd": {op: ExprBitAnd}, "math.bitOr": {op: ExprBitOr}, "math.bitXor": {op: ExprBitXor},
}

// celConversions are the functions that give a number another type.
var celConversions = map[string]ExprType{
	"int": {64, true}, "int8": {8, true}, "int16": {16, true}, "int32": {32, true}, "int64": {64, true},
	"uint": {64, false}, "uint8": {8, false}, "uint16": {16, false}, "uint32": {32, false}, "uint64": {64, false},
}

func (c *celReader) call(e ast.Expr) *Expr {
	call := e.AsCall()
	name := call.FunctionName()
	if call.IsMemberFunction() {
		target := call.Target()
		if target.Kind() != ast.IdentKind || target.AsIdent() != "math" {
			return c.bad(e, "", "there is no method %q", clip(name))
		}
		name = "math." + name
	}
	args := call.Args()
	if b, ok := celBinary[name]; ok && len(args) == 2 {
		x, y := c.node(args[0]), c.node(args[1])
		if b.swapped {
			x, y = y, x
		}
		return c.pair(e, b.op, x, y)
	}
	if t, ok := celConversions[name]; ok && len(args) == 1 {
		return c.convert(c.node(args[0]), t)
	}
	switch {
	case name == celop.LogicalNot && len(args) == 1:
		x := c.truth(args[0], c.node(args[0]))
		return &Expr{Op: ExprNot, Type: truth, X: x}
	case name == celop.Negate && len(args) == 1:
		x := c.node(args[0])
		if x.Type == truth && !c.failed {
			return c.bad(e, "", "a truth value has no sign")
		}
		return &Expr{Op: ExprNeg, Type: x.Type, X: x}
	case name == celop.Conditional && len(args) == 3:
		return c.conditional(e, args)
	case name == celop.In && len(args) == 2 && args[1].Kind() == ast.ListKind:
		return c.in(e, args)
	}
	known := []string{"math.bitAnd", "math.bitOr", "math.bitXor"}
	for n := range celConversions {
		known = append(known, n)
	}
	slices.Sort(known)
	return c.bad(e, didYouMean(name, known), "there is no function %q of %d operands", clip(name), len(args))
}

func (c *celReader) conditional(e ast.Expr, args []ast.Expr) *Expr {
	x, y, z := c.truth(args[0], c.node(args[0])), c.node(args[1]), c.node(args[2])
	y, z = c.same(e, y, z)
	return &Expr{Op: ExprCond, Type: y.Type, X: x, Y: y, Z: z}
}

// in writes "x in [a, b]" as "x == a || x == b".
func (c *celReader) in(e ast.Expr, args []ast.Expr) *Expr {
	result := &Expr{Op: ExprConst, Type: truth}
	for i, item := range args[1].AsList().Elements() {
		one := c.pair(e, ExprEqual, c.node(args[0]), c.node(item))
		if i == 0 {
			result = one
			continue
		}
		result = &Expr{Op: ExprOr, Type: truth, X: result, Y: one}
	}
	return result
}

func (c *celReader) truth(e ast.Expr, x *Expr) *Expr {
	if x.Type != truth && !c.open && !c.failed {
		return c.bad(e, "compare the number with something", "a truth value is needed here, and this is of type %s", x.Type)
	}
	return x
}

// pair makes an operation on two operands, after giving them one type.
func (c *celReader) pair(e ast.Expr, op ExprOp, x, y *Expr) *Expr {
	logical := op == ExprAnd || op == ExprOr
	if logical {
		return &Expr{Op: op, Type: truth, X: c.truth(e, x), Y: c.truth(e, y)}
	}
	x, y = c.same(e, x, y)
	n := &Expr{Op: op, Type: x.Type, X: x, Y: y}
	compares := op == ExprEqual || op == ExprNotEqual
	if x.Type == truth && !compares && !c.open && !c.failed {
		return c.bad(e, "", "the operation needs numbers, and these are truth values")
	}
	if compares || op == ExprLess || op == ExprLessEqual {
		n.Type = truth
	}
	return n
}

// same gives two operands one type: a constant takes that of the other, and a narrower number is widened where that keeps
// its value.
func (c *celReader) same(e ast.Expr, x, y *Expr) (*Expr, *Expr) {
	a, b := x.Type, y.Type
	switch {
	case a == b || c.open || c.failed:
		return x, y
	case a == truth || b == truth:
		return c.bad(e, "", "a truth value and a number do not go together"), y
	case y.Op == ExprConst && fits(y, a):
		return x, c.convert(y, a)
	case x.Op == ExprConst && fits(x, b):
		return c.convert(x, b), y
	case widens(a, b):
		return c.convert(x, b), y
	case widens(b, a):
		return x, c.convert(y, a)
	}
	return c.bad(e, "convert one of them, for example with int64()", "the types %s and %s do not go together", a, b), y
}

// fits tells whether a constant has the same value in another type.
func fits(e *Expr, t ExprType) bool {
	d := numbers{bits: t.Bits, signed: t.Signed}
	if e.Type.Signed && int64(e.Value) < 0 {
		return t.Signed && int64(e.Value) >= int64(d.least())
	}
	return e.Value <= d.greatest()
}

func widens(from, to ExprType) bool {
	return from.Bits < to.Bits && (to.Signed || !from.Signed)
}

// convert gives a number a type; a constant at once.
func (c *celReader) convert(x *Expr, t ExprType) *Expr {
	if x.Type == t {
		return x
	}
	if x.Op == ExprConst {
		v := x.Value << (64 - t.Bits)
		if t.Signed {
			v = uint64(int64(v) >> (64 - t.Bits))
		} else {
			v >>= 64 - t.Bits
		}
		return &Expr{Op: ExprConst, Type: t, Value: v}
	}
	return &Expr{Op: ExprConvert, Type: t, X: x}
}
