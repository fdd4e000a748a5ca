// SPDX-License-Identifier: Apache-2.0

package policy

import "strconv"

// Position is where something stands in what the user wrote.
type Position struct {
	// File is the name of the file; empty for what came as Go values from the collector's configuration.
	File string
	// Line and Column count from 1; both are 0 when File is empty. Column counts characters.
	Line, Column int
	// Path leads to the node from the top of the document: spec.kprobes[0].selectors[1].matchArgs[0].operator, or
	// policies[0].kprobes[1] for an inline policy.
	Path string
}

// String returns file:line:column, or the path when there is no file.
func (p Position) String() string {
	if p.File == "" {
		return p.Path
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// Source is the form for listings, without the column: file:line, or the path when there is no file.
func (p Position) Source() string {
	if p.File == "" {
		return p.Path
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

func (p Position) field(name string) string {
	if p.Path == "" {
		return name
	}
	return p.Path + "." + name
}

func (p Position) item(i int) string {
	return p.Path + "[" + strconv.Itoa(i) + "]"
}
