// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"net/netip"
	"slices"
	"strings"
)

// Raw is a value as it was written.
type Raw struct {
	Pos  Position
	Text string
}

// Operand is what a filter compares with, parsed. Which fields are set depends on the Test. Lists are sorted, and have
// nothing twice, so that two filters that mean the same are the same.
type Operand struct {
	Intervals []Interval
	// Bits and Signed describe the numbers in Intervals, and the argument that they are compared with.
	Bits   int
	Signed bool
	Mask   uint64
	// Texts are sequences of bytes, without a NUL at the end.
	Texts    []string
	Networks []netip.Prefix
	Calls    []Call
	// List is a list whose members only the kernel can tell.
	List *List
	Expr *Expr
}

// MaxText is how many bytes of a text can be compared: those that the kernel part reads of a path or a text argument
// (PATH_MAX without the NUL).
const MaxText = 4095

// operandContext is where values stand: what they are compared with, and what they can refer to.
type operandContext struct {
	*reader
	pos   Position // of the filter
	class Class    // one class
	what  numbers
	lists map[string]*List
	types []ArgType // of the arguments of the filter
	test  Test      // of the operator; TestNone when the values and the class decide
	// paths tells that texts are paths of files.
	paths bool
	// whole tells that texts are compared from the first byte: those that paths need a leading slash for.
	whole bool
}

// operandReader reads the values of an operator into out. It returns the test when the operator leaves it open.
type operandReader func(c *operandContext, values []Raw, out *Operand) Test

// readSet reads what Equal and In compare with, whatever it is.
func readSet(c *operandContext, values []Raw, out *Operand) Test {
	switch c.class {
	case ClassNumber:
		return readNumbers(c, values, out)
	case ClassText, ClassPath, ClassAddress:
		return readTexts(c, values, out)
	case ClassCapabilities:
		out.Mask = c.capabilitySet(c.needed(values))
		return TestCapabilities
	case ClassSyscall:
		readSyscalls(c, values, out)
		return TestSyscall
	default:
		return TestNone
	}
}

// needed reports an operator without values.
func (c *operandContext) needed(values []Raw) []Raw {
	if len(values) == 0 {
		c.fail(c.pos, "add `values: [...]`", "the operator needs values to compare with")
	}
	return values
}

// numbersOf reads values as numbers; a list:NAME stands for the list's values.
func (c *operandContext) numbersOf(values []Raw, parse func(string) (Interval, error)) []Interval {
	var all []Interval
	for _, v := range c.listed(c.needed(values)) {
		i, err := parse(v.Text)
		if err != nil {
			c.fail(v.Pos, "", "%q %s", clip(v.Text), err)
			continue
		}
		all = append(all, i)
	}
	return c.what.normal(all)
}

// listed replaces each list:NAME by the values of the list.
func (c *operandContext) listed(values []Raw) []Raw {
	var all []Raw
	for _, v := range values {
		name, ok := strings.CutPrefix(v.Text, listPrefix)
		if !ok || c.lists == nil {
			all = append(all, v)
			continue
		}
		l := c.lookup(c.lists, name, v.Pos)
		switch {
		case l == nil:
		case l.Kind != FunctionList:
			c.fail(v.Pos, "only an argument of type syscall64 can be compared with it", "the list %q is one of syscalls or functions of the kernel", name)
		default:
			all = append(all, l.Values...)
		}
	}
	return all
}

func readNumbers(c *operandContext, values []Raw, out *Operand) Test {
	out.Intervals = c.numbersOf(values, c.what.span)
	out.Bits, out.Signed = c.what.bits, c.what.signed
	return TestNumber
}

// readAbove turns "greater than" into intervals; with several values one of them is enough.
func readAbove(c *operandContext, values []Raw, out *Operand) Test {
	return readSide(c, values, out, c.what.greatest(), func(v uint64) Interval { return Interval{v + 1, c.what.greatest()} })
}

func readBelow(c *operandContext, values []Raw, out *Operand) Test {
	return readSide(c, values, out, c.what.least(), func(v uint64) Interval { return Interval{c.what.least(), v - 1} })
}

func readSide(c *operandContext, values []Raw, out *Operand, end uint64, side func(uint64) Interval) Test {
	for _, raw := range c.needed(values) {
		v, err := c.what.parse(raw.Text)
		switch {
		case err != nil:
			c.fail(raw.Pos, "", "%q %s", clip(raw.Text), err)
		case v == end:
			c.fail(raw.Pos, "", "no number of this type is beyond %s", clip(raw.Text))
		default:
			out.Intervals = append(out.Intervals, side(v))
		}
	}
	out.Intervals = c.what.normal(out.Intervals)
	out.Bits, out.Signed = c.what.bits, c.what.signed
	return TestNumber
}

func readMask(c *operandContext, values []Raw, out *Operand) Test {
	if c.class == ClassCapabilities {
		out.Mask, out.Bits = c.capabilitySet(c.needed(values)), 64
		return TestBits
	}
	// Bits have no sign; a negative number is its pattern.
	signed, unsigned := c.what, c.what
	signed.signed, unsigned.signed = true, false
	for _, v := range c.needed(values) {
		m, err := unsigned.parse(v.Text)
		if err != nil && strings.Contains(v.Text, "-") {
			m, err = signed.parse(v.Text)
		}
		switch {
		case err != nil:
			c.fail(v.Pos, "", "%q %s", clip(v.Text), err)
		case m == 0:
			c.fail(v.Pos, "compare a value without bits with Equal", "%q has no bit set, so that nothing can match it", clip(v.Text))
		}
		out.Mask |= m & (^uint64(0) >> (64 - c.what.bits))
	}
	out.Bits = c.what.bits
	return TestBits
}

func readPorts(c *operandContext, values []Raw, out *Operand) Test {
	c.what = numbers{bits: 16}
	out.Intervals, out.Bits = c.numbersOf(values, parsePort), 16
	return TestNone
}

// readPrivileged is for the operators that have their value in their name: ports that only root may bind.
func readPrivileged(c *operandContext, values []Raw, out *Operand) Test {
	if len(values) > 0 {
		c.fail(values[0].Pos, "leave `values` out, or use SPort or DPort", "the operator takes no values")
	}
	out.Intervals, out.Bits = []Interval{{0, 1023}}, 16
	return TestNone
}

func readProtocols(c *operandContext, values []Raw, out *Operand) Test {
	return c.numbered(values, out, 16, func(s string) (uint64, error) {
		return parseNumbered(s, "IPPROTO_", "protocol", protocols, 16)
	})
}

func readFamilies(c *operandContext, values []Raw, out *Operand) Test {
	return c.numbered(values, out, 16, func(s string) (uint64, error) {
		return parseNumbered(s, "AF_", "address family", families, 16)
	})
}

func readStates(c *operandContext, values []Raw, out *Operand) Test {
	return c.numbered(values, out, 8, func(s string) (uint64, error) {
		return parseNumbered(s, "TCP_", "TCP state", stateTable(), 8)
	})
}

func (c *operandContext) numbered(values []Raw, out *Operand, bits int, parse func(string) (uint64, error)) Test {
	c.what = numbers{bits: bits}
	out.Bits = bits
	out.Intervals = c.numbersOf(values, func(s string) (Interval, error) {
		v, err := parse(s)
		return Interval{v, v}, err
	})
	return TestNone
}

// fileTypes are the names of file types, with the bits of the mode.
var fileTypes = []numbered{
	{"sock", 0o140000}, {"socket", 0o140000}, {"lnk", 0o120000}, {"link", 0o120000}, {"reg", 0o100000}, {"regular", 0o100000},
	{"blk", 0o60000}, {"block", 0o60000}, {"dir", 0o40000}, {"directory", 0o40000}, {"chr", 0o20000}, {"char", 0o20000},
	{"fifo", 0o10000}, {"pipe", 0o10000},
}

func readFileTypes(c *operandContext, values []Raw, out *Operand) Test {
	return c.numbered(values, out, 16, func(s string) (uint64, error) {
		return parseNumbered(s, "", "file type", fileTypes, 16)
	})
}

func readGained(c *operandContext, values []Raw, out *Operand) Test {
	if len(c.types) != 2 && c.types != nil {
		c.fail(c.pos, "for example `args: [0, 1]`", "CapabilitiesGained compares two arguments, the set before and the set after")
	}
	out.Mask = math.MaxUint64
	if len(values) > 0 {
		out.Mask = c.capabilitySet(values)
	}
	return TestGained
}

func readSyscalls(c *operandContext, values []Raw, out *Operand) {
	for _, v := range c.needed(values) {
		name, isList := strings.CutPrefix(v.Text, listPrefix)
		switch {
		case isList:
			l := c.lookup(c.lists, name, v.Pos)
			switch {
			case l == nil:
			case l.Kind == SyscallList:
				out.Calls = append(out.Calls, l.Calls...)
			case l.Kind == GeneratedSyscalls:
				out.List = l
			default:
				c.fail(v.Pos, "give the list `type: syscalls`", "the list %q is none of syscalls", name)
			}
		case v.Text != "" && v.Text[0] >= '0' && v.Text[0] <= '9':
			i, err := numbers{bits: 32}.span(v.Text)
			if err != nil {
				c.fail(v.Pos, "", "%q %s", clip(v.Text), err)
				continue
			}
			out.Intervals = append(out.Intervals, i)
		default:
			if call, ok := c.syscall(v); ok {
				out.Calls = append(out.Calls, call)
			}
		}
	}
	out.Intervals, out.Bits = numbers{bits: 32}.normal(out.Intervals), 32
	out.Calls = normalCalls(out.Calls)
}

func sortedTexts(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
