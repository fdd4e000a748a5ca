// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"regexp"
	"slices"
)

// listPrefix is what a reference to a list begins with.
const listPrefix = "list:"

// List is a named list of a policy.
type List struct {
	Pos  Position
	Name string
	Kind ListKind
	// Values are the items as written; none for generated lists.
	Values []Raw
	// Calls are the syscalls of a SyscallList, in the order of the list.
	Calls []Call
	// Pattern selects the functions of a GeneratedFunctions list: a regular expression in Go's syntax.
	Pattern string
}

// ListKind tells what a list holds.
type ListKind uint8

// The kinds of lists.
const (
	// FunctionList holds names of functions, or values of filters.
	FunctionList ListKind = iota
	// SyscallList holds names of syscalls.
	SyscallList
	// GeneratedSyscalls stands for all syscalls of the kernel.
	GeneratedSyscalls
	// GeneratedFunctions stands for the functions that can be traced and that match a pattern.
	GeneratedFunctions
)

var listKinds = [...]string{"", "syscalls", "generated_syscalls", "generated_ftrace"}

// String returns the name in the language, empty for the default.
func (k ListKind) String() string { return listKinds[k] }

// list reads an item of lists.
func (r *reader) list(n *node) *List {
	l := &List{Pos: n.pos}
	var values, pattern *node
	r.object(n, "a list", []field{
		{"name", true, func(n *node) { l.Name = r.text(n, "the name of a list") }},
		{"type", false, func(n *node) { l.Kind = r.listKind(n) }},
		{"values", false, func(n *node) { values = n }},
		{"pattern", false, func(n *node) { pattern = n }},
		// What the field's own tools write there says nothing about this build.
		{"validated", false, func(n *node) { r.boolean(n, "validated") }},
	})
	if values != nil && len(values.items) > 0 && l.generated() {
		r.fail(values.pos, "leave `values` out", "a list of type %s gets its values from the kernel", l.Kind)
	} else if values != nil {
		l.Values = r.texts(values, "values")
	}
	if len(l.Values) == 0 && !l.generated() {
		r.fail(n.pos, "add `values: [...]`", "the list %q is empty", clip(l.Name))
	}
	r.pattern(l, n, pattern)
	if l.Kind == SyscallList {
		for _, v := range l.Values {
			if c, ok := r.syscall(v); ok {
				l.Calls = append(l.Calls, c)
			}
		}
	}
	return l
}

func (l *List) generated() bool { return l.Kind == GeneratedSyscalls || l.Kind == GeneratedFunctions }

func (r *reader) listKind(n *node) ListKind {
	s, ok := r.scalar(n, "the type of a list")
	if !ok {
		return FunctionList
	}
	if i := slices.Index(listKinds[:], s); i >= 0 {
		return ListKind(i)
	}
	r.fail(n.pos, didYouMean(s, listKinds[1:]), "there is no type of lists %q", clip(s))
	return FunctionList
}

func (r *reader) pattern(l *List, n, pattern *node) {
	switch {
	case l.Kind != GeneratedFunctions:
		if pattern != nil && pattern.text != "" {
			r.fail(pattern.pos, "use `type: generated_ftrace`", "only a list of type generated_ftrace has a pattern")
		}
	case pattern == nil:
		r.fail(n.pos, "for example `pattern: ^ksys_`", "a list of type generated_ftrace needs a pattern")
	default:
		l.Pattern = r.text(pattern, "pattern")
		if _, err := regexp.Compile(l.Pattern); err != nil {
			r.fail(pattern.pos, "", "the pattern is no regular expression: %s", err)
		}
	}
}

// lookup returns the list of a name, or nil after reporting that there is none.
func (r *reader) lookup(lists map[string]*List, name string, pos Position) *List {
	if l := lists[name]; l != nil {
		return l
	}
	names := make([]string, 0, len(lists))
	for n := range lists {
		names = append(names, n)
	}
	slices.Sort(names)
	remedy := didYouMean(name, names)
	if len(names) == 0 {
		remedy = "define it under `lists`"
	}
	r.fail(pos, remedy, "there is no list %q in this policy", clip(name))
	return nil
}
