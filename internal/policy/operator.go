// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// Operator is the name of a comparison in the language. What it does is told by its Test and by whether it is negated.
type Operator uint8

// The operators.
const (
	OpNone Operator = iota
	OpEqual
	OpNotEqual
	OpIn
	OpNotIn
	OpInMap
	OpNotInMap
	OpGT
	OpLT
	OpInRange
	OpNotInRange
	OpMask
	OpPrefix
	OpNotPrefix
	OpPostfix
	OpNotPostfix
	OpSubString
	OpNotSubString
	OpSubStringIgnCase
	OpNotSubStringIgnCase
	OpSPort
	OpNotSPort
	OpSPortPriv
	OpNotSPortPriv
	OpDPort
	OpNotDPort
	OpDPortPriv
	OpNotDPortPriv
	OpSAddr
	OpNotSAddr
	OpDAddr
	OpNotDAddr
	OpProtocol
	OpNotProtocol
	OpFamily
	OpNotFamily
	OpState
	OpNotState
	OpFileType
	OpNotFileType
	OpSameFile
	OpNotSameFile
	OpCapabilitiesGained
	OpCelExpr
)

// Test is what a filter does with a value: the operators with what they have in common taken out. A filter is true
// when its test holds and the operator is not negated, or the test does not hold and it is.
type Test uint8

// The tests. Each tells which field of Operand it uses.
const (
	// TestNone is that of an operator whose test depends on a type that is not known yet; see Hook.Bind.
	TestNone Test = iota
	// TestNumber: the number is in one of Operand.Intervals. Equal, GT, LT and InRange all end here.
	TestNumber
	// TestBits: the number and Operand.Mask have a bit in common.
	TestBits
	// TestExact: the bytes are one of Operand.Texts.
	TestExact
	// TestPrefix: the bytes begin with one of Operand.Texts.
	TestPrefix
	// TestSuffix: the bytes end with one of Operand.Texts.
	TestSuffix
	// TestContains: one of Operand.Texts is somewhere in the bytes.
	TestContains
	// TestContainsFold: as TestContains, ASCII letters in either case. Operand.Texts are in lower case.
	TestContainsFold
	// TestSourcePort, TestDestPort: the port is in one of Operand.Intervals.
	TestSourcePort
	TestDestPort
	// TestSourceAddr, TestDestAddr: the address is in one of Operand.Networks.
	TestSourceAddr
	TestDestAddr
	// TestProtocol, TestFamily, TestState: as TestNumber, on what a socket has.
	TestProtocol
	TestFamily
	TestState
	// TestFileType: the type bits of the file's mode (S_IFMT) are in one of Operand.Intervals.
	TestFileType
	// TestSameFile: the file is the one that one of Operand.Texts leads to: same device and inode.
	TestSameFile
	// TestGained: the second set of capabilities has one of Operand.Mask that the first has not.
	TestGained
	// TestCapabilities: the set is exactly Operand.Mask.
	TestCapabilities
	// TestSyscall: the syscall is one of Operand.Calls, or has a number in Operand.Intervals, or is in Operand.List.
	TestSyscall
	// TestExpr: Operand.Expr gives true.
	TestExpr
)

var testNames = [...]string{
	"none", "number", "bits", "exact", "prefix", "suffix", "contains", "contains_fold", "source_port", "dest_port", "source_addr",
	"dest_addr", "protocol", "family", "state", "file_type", "same_file", "gained", "capabilities", "syscall", "expr",
}

// String returns a name for listings.
func (t Test) String() string { return testNames[t] }

// OperatorInfo is what is known of an operator.
type OperatorInfo struct {
	Op   Operator
	Name string
	// Aliases are other names for it. Names are compared with case ignored.
	Aliases []string
	Negated bool
	// Classes are the argument classes that it applies to.
	Classes Class
	// Test is what it does; TestNone when that depends on the class, as it does for Equal.
	Test Test
	// Operand reads its values.
	operand operandReader
}

const (
	classBytes = ClassText | ClassPath | ClassAddress
	classSet   = ClassNumber | classBytes | ClassCapabilities | ClassSyscall
	classFile  = ClassPath | ClassInode
)

// operators returns the row of each operator, at its number. It is a function because the rows refer to functions that
// look operators up.
func operators() []OperatorInfo {
	return []OperatorInfo{
		{Op: OpNone},
		{Op: OpEqual, Name: "Equal", Aliases: []string{"eq"}, Classes: classSet, operand: readSet},
		{Op: OpNotEqual, Name: "NotEqual", Aliases: []string{"neq"}, Negated: true, Classes: classSet, operand: readSet},
		{Op: OpIn, Name: "In", Classes: classSet, operand: readSet},
		{Op: OpNotIn, Name: "NotIn", Negated: true, Classes: classSet, operand: readSet},
		{Op: OpInMap, Name: "InMap", Classes: classSet, operand: readSet},
		{Op: OpNotInMap, Name: "NotInMap", Negated: true, Classes: classSet, operand: readSet},
		{Op: OpGT, Name: "GT", Aliases: []string{"GreaterThan"}, Classes: ClassNumber, Test: TestNumber, operand: readAbove},
		{Op: OpLT, Name: "LT", Aliases: []string{"LessThan"}, Classes: ClassNumber, Test: TestNumber, operand: readBelow},
		{Op: OpInRange, Name: "InRange", Classes: ClassNumber, Test: TestNumber, operand: readNumbers},
		{Op: OpNotInRange, Name: "NotInRange", Negated: true, Classes: ClassNumber, Test: TestNumber, operand: readNumbers},
		{Op: OpMask, Name: "Mask", Classes: ClassNumber | ClassCapabilities, Test: TestBits, operand: readMask},
		{Op: OpPrefix, Name: "Prefix", Classes: classBytes, Test: TestPrefix, operand: readTexts},
		{Op: OpNotPrefix, Name: "NotPrefix", Negated: true, Classes: classBytes, Test: TestPrefix, operand: readTexts},
		{Op: OpPostfix, Name: "Postfix", Aliases: []string{"Suffix"}, Classes: classBytes, Test: TestSuffix, operand: readTexts},
		{Op: OpNotPostfix, Name: "NotPostfix", Aliases: []string{"NotSuffix"}, Negated: true, Classes: classBytes, Test: TestSuffix, operand: readTexts},
		{Op: OpSubString, Name: "SubString", Classes: classBytes, Test: TestContains, operand: readTexts},
		{Op: OpNotSubString, Name: "NotSubString", Negated: true, Classes: classBytes, Test: TestContains, operand: readTexts},
		{Op: OpSubStringIgnCase, Name: "SubStringIgnCase", Classes: classBytes, Test: TestContainsFold, operand: readTexts},
		{Op: OpNotSubStringIgnCase, Name: "NotSubStringIgnCase", Negated: true, Classes: classBytes, Test: TestContainsFold, operand: readTexts},
		{Op: OpSPort, Name: "SPort", Classes: ClassSocket | ClassAddress, Test: TestSourcePort, operand: readPorts},
		{Op: OpNotSPort, Name: "NotSPort", Negated: true, Classes: ClassSocket | ClassAddress, Test: TestSourcePort, operand: readPorts},
		{Op: OpSPortPriv, Name: "SPortPriv", Classes: ClassSocket | ClassAddress, Test: TestSourcePort, operand: readPrivileged},
		{Op: OpNotSPortPriv, Name: "NotSPortPriv", Negated: true, Classes: ClassSocket | ClassAddress, Test: TestSourcePort, operand: readPrivileged},
		{Op: OpDPort, Name: "DPort", Classes: ClassSocket, Test: TestDestPort, operand: readPorts},
		{Op: OpNotDPort, Name: "NotDPort", Negated: true, Classes: ClassSocket, Test: TestDestPort, operand: readPorts},
		{Op: OpDPortPriv, Name: "DPortPriv", Classes: ClassSocket, Test: TestDestPort, operand: readPrivileged},
		{Op: OpNotDPortPriv, Name: "NotDPortPriv", Negated: true, Classes: ClassSocket, Test: TestDestPort, operand: readPrivileged},
		{Op: OpSAddr, Name: "SAddr", Classes: ClassSocket | ClassAddress, Test: TestSourceAddr, operand: readNetworks},
		{Op: OpNotSAddr, Name: "NotSAddr", Negated: true, Classes: ClassSocket | ClassAddress, Test: TestSourceAddr, operand: readNetworks},
		{Op: OpDAddr, Name: "DAddr", Classes: ClassSocket, Test: TestDestAddr, operand: readNetworks},
		{Op: OpNotDAddr, Name: "NotDAddr", Negated: true, Classes: ClassSocket, Test: TestDestAddr, operand: readNetworks},
		{Op: OpProtocol, Name: "Protocol", Classes: ClassSocket, Test: TestProtocol, operand: readProtocols},
		{Op: OpNotProtocol, Name: "NotProtocol", Negated: true, Classes: ClassSocket, Test: TestProtocol, operand: readProtocols},
		{Op: OpFamily, Name: "Family", Classes: ClassSocket | ClassAddress, Test: TestFamily, operand: readFamilies},
		{Op: OpNotFamily, Name: "NotFamily", Negated: true, Classes: ClassSocket | ClassAddress, Test: TestFamily, operand: readFamilies},
		{Op: OpState, Name: "State", Classes: ClassSocket, Test: TestState, operand: readStates},
		{Op: OpNotState, Name: "NotState", Negated: true, Classes: ClassSocket, Test: TestState, operand: readStates},
		{Op: OpFileType, Name: "FileType", Classes: classFile, Test: TestFileType, operand: readFileTypes},
		{Op: OpNotFileType, Name: "NotFileType", Negated: true, Classes: classFile, Test: TestFileType, operand: readFileTypes},
		{Op: OpSameFile, Name: "SameFile", Classes: classFile, Test: TestSameFile, operand: readFiles},
		{Op: OpNotSameFile, Name: "NotSameFile", Negated: true, Classes: classFile, Test: TestSameFile, operand: readFiles},
		{Op: OpCapabilitiesGained, Name: "CapabilitiesGained", Classes: ClassCapabilities, Test: TestGained, operand: readGained},
		{Op: OpCelExpr, Name: "CelExpr", Classes: ClassNumber, Test: TestExpr, operand: readExpr},
	}
}

// Operators returns the table of the operators.
func Operators() []OperatorInfo { return operators()[1:] }

// Info returns what is known of the operator.
func (o Operator) Info() OperatorInfo { return operators()[o] }

// String returns the name in the language.
func (o Operator) String() string { return o.Info().Name }

// opsFor returns the names of the operators that apply to a class.
func opsFor(c Class) []string {
	var names []string
	for _, row := range Operators() {
		if row.Classes&c != 0 {
			names = append(names, row.Name)
		}
	}
	return names
}

// operator reads the name of an operator; allowed limits them, nil allows all.
func (r *reader) operator(n *node, what string, allowed []Operator) Operator {
	s, ok := r.scalar(n, "operator")
	if !ok {
		return OpNone
	}
	var names []string
	for _, row := range Operators() {
		usable := allowed == nil
		for _, a := range allowed {
			usable = usable || a == row.Op
		}
		for _, name := range append([]string{row.Name}, row.Aliases...) {
			if strings.EqualFold(name, s) && usable {
				return row.Op
			}
			if strings.EqualFold(name, s) {
				r.fail(n.pos, "use "+strings.Join(opNames(allowed), ", "), "the operator %s has no meaning in %s", row.Name, what)
				return OpNone
			}
			if usable {
				names = append(names, name)
			}
		}
	}
	r.fail(n.pos, didYouMean(s, names), "there is no operator %q", clip(s))
	return OpNone
}

func opNames(ops []Operator) []string {
	names := make([]string, len(ops))
	for i, o := range ops {
		names[i] = o.String()
	}
	return names
}
