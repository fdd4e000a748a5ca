// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
)

// Expr is a node of a CelExpr operator's expression, typed: no conversion is left to the reader. Numbers wrap at the width
// of their type; division by zero gives 0, and the remainder by zero the dividend, as eBPF has it.
type Expr struct {
	Op   ExprOp
	Type ExprType
	// Value is the pattern of an ExprConst, sign-extended to 64 bits when signed; 0 or 1 when it is a truth value.
	Value uint64
	// Arg is the item of Filter.Args that an ExprArg reads.
	Arg int
	// X, Y and Z are the operands: X of Neg, Not and Convert, X and Y of those with two, and of Cond X is the condition, Y
	// what it gives when true, Z when false.
	X, Y, Z *Expr
}

// ExprOp is what a node does.
type ExprOp uint8

// The operations.
const (
	ExprConst ExprOp = iota
	ExprArg
	ExprNeg
	ExprNot
	// ExprConvert gives X the node's type: cut to its width, or extended by the sign of X's type. A number made of a truth
	// value is 0 or 1.
	ExprConvert
	ExprAdd
	ExprSub
	ExprMul
	ExprDiv
	ExprMod
	ExprBitAnd
	ExprBitOr
	ExprBitXor
	ExprEqual
	ExprNotEqual
	ExprLess
	ExprLessEqual
	ExprAnd
	ExprOr
	ExprCond
)

var exprNames = [...]string{
	"const", "arg", "neg", "not", "convert", "add", "sub", "mul", "div", "mod", "bit_and", "bit_or", "bit_xor", "equal", "not_equal", "less",
	"less_equal", "and", "or", "cond",
}

// String returns a name for listings.
func (o ExprOp) String() string { return exprNames[o] }

// ExprType is the type of a node: a truth value when Bits is 0, a number else.
type ExprType struct {
	Bits   int
	Signed bool
}

var truth = ExprType{}

// String returns the name that the type has in expressions.
func (t ExprType) String() string {
	switch {
	case t == truth:
		return "bool"
	case t.Signed:
		return fmt.Sprintf("int%d", t.Bits)
	}
	return fmt.Sprintf("uint%d", t.Bits)
}

// String writes the expression with the operation before its operands, for listings.
func (e *Expr) String() string {
	if e == nil {
		return ""
	}
	switch e.Op {
	case ExprConst:
		if e.Type.Signed {
			return fmt.Sprintf("%d:%s", int64(e.Value), e.Type)
		}
		return fmt.Sprintf("%d:%s", e.Value, e.Type)
	case ExprArg:
		return fmt.Sprintf("arg%d:%s", e.Arg, e.Type)
	}
	parts := []string{e.Op.String()}
	if e.Op == ExprConvert {
		parts[0] = e.Type.String()
	}
	for _, x := range []*Expr{e.X, e.Y, e.Z} {
		if x != nil {
			parts = append(parts, x.String())
		}
	}
	return "(" + strings.Join(parts, " ") + ")"
}
