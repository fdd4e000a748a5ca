// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a policy.
type Error struct {
	Pos Position
	// Message tells what is wrong, Remedy what to write instead; Remedy is empty where the message says it all.
	Message, Remedy string
}

// Error returns position, path, message and remedy in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if where := e.Pos.String(); where != "" {
		b.WriteString(where + ": ")
	}
	if e.Pos.File != "" && e.Pos.Path != "" {
		b.WriteString(e.Pos.Path + ": ")
	}
	b.WriteString(e.Message)
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Errors is everything that is wrong, in the order of files, lines and columns. It is never empty when it is
// returned as an error, and errors.As finds each *Error in it.
type Errors []*Error

// Error returns one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.Is and errors.As each error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// sorted returns the errors in order, each once: a macro that is used in ten hooks is wrong once.
func (e Errors) sorted() Errors {
	s := slices.Clone(e)
	slices.SortStableFunc(s, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.Pos.Path, b.Pos.Path),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.CompactFunc(s, func(a, b *Error) bool { return *a == *b })
}

// result is the list as an error: nil when it is empty.
func (e Errors) result() error {
	if len(e) == 0 {
		return nil
	}
	return e.sorted()
}
