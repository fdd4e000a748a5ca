// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"strconv"
	"strings"
)

// Arg is one value that a hook reads: a parameter, something reached from it, or something of the current task.
type Arg struct {
	Pos Position
	// Index is the number of the parameter, from 0. For a tracepoint that is not raw it is the number of the field in
	// the tracepoint's format, the four common ones counted.
	Index int
	Type  ArgType
	// Label is the name of the argument in events; empty for the parameter's own.
	Label string
	// Resolve leads from the parameter (or the task, or a register) to the value; nil for the parameter itself.
	Resolve []Step
	// BTFType is the structure that the parameter points to, where BTF does not tell (uprobes), in BTFModule.
	BTFType, BTFModule string
	Source             Source
	// Register is the register to read, for FromRegisters.
	Register string
	// SizeArg is the index of the parameter that holds the length of this one, or -1. The language counts it from 1 in
	// sizeArgIndex; here it counts from 0, as Index does.
	SizeArg int
	// MaxData asks for as much data as a record can hold.
	MaxData bool
	// ReturnCopy asks to read the content when the function returns.
	ReturnCopy bool
	// Implicit marks an argument that a filter or a metric needs and that the policy does not declare: it is read, and
	// is no part of the event unless the hook reports all its arguments.
	Implicit bool
}

// Source is where an Arg comes from.
type Source uint8

// The sources.
const (
	FromArguments Source = iota
	FromCurrentTask
	FromRegisters
)

var sourceNames = [...]string{"", "current_task", "pt_regs"}

// String returns the name in the language, empty for the default.
func (s Source) String() string { return sourceNames[s] }

// Step is one step of a path through structures: to a field, or to an element.
type Step struct {
	Field string
	// Element is the index when Field is empty.
	Element int
}

// String returns the step as it is written.
func (s Step) String() string {
	if s.Field == "" {
		return "[" + strconv.Itoa(s.Element) + "]"
	}
	return "." + s.Field
}

// MaxParameters is how many parameters a function may have for BPF to see them: MAX_BPF_FUNC_ARGS of the kernel.
const MaxParameters = 12

// MaxSyscallParameters is how many arguments a syscall can have on any architecture.
const MaxSyscallParameters = 6

// arg reads an item of args, data or returnArg; what names it in messages.
func (r *reader) arg(n *node, what string) Arg {
	a := Arg{Pos: n.pos, SizeArg: -1}
	var resolve, source *node
	r.object(n, what, []field{
		{"index", false, func(n *node) { a.Index = r.index(n, "index") }},
		{"type", false, func(n *node) { a.Type = r.argType(n) }},
		{"label", false, func(n *node) {
			if n.text != "" || n.kind != kindScalar {
				a.Label = r.text(n, "label")
			}
		}},
		{"resolve", false, func(n *node) { resolve = n }},
		{"btfType", false, func(n *node) { a.BTFType = r.identifier(n, "btfType") }},
		{"btfTypeModule", false, func(n *node) { a.BTFModule = r.identifier(n, "btfTypeModule") }},
		{"source", false, func(n *node) { source = n }},
		{"sizeArgIndex", false, func(n *node) { a.SizeArg = int(r.integer(n, "sizeArgIndex", 0, MaxParameters)) - 1 }},
		{"maxData", false, func(n *node) { a.MaxData = r.boolean(n, "maxData") }},
		{"returnCopy", false, func(n *node) { a.ReturnCopy = r.boolean(n, "returnCopy") }},
	})
	r.source(&a, source)
	if resolve != nil {
		r.resolve(&a, resolve)
	}
	r.checkArg(n, &a)
	return a
}

func (r *reader) source(a *Arg, n *node) {
	if n == nil || n.kind == kindScalar && n.text == "" {
		return
	}
	s, _ := r.scalar(n, "source")
	switch s {
	case "current_task":
		a.Source = FromCurrentTask
	case "pt_regs":
		a.Source = FromRegisters
	default:
		r.fail(n.pos, didYouMean(s, sourceNames[1:]), "there is no source %q", clip(s))
	}
}

// resolve reads a path. For registers its first step is the register.
func (r *reader) resolve(a *Arg, n *node) {
	s, ok := r.scalar(n, "resolve")
	if !ok || s == "" {
		return
	}
	steps, bad := parsePath(s)
	if bad != "" {
		r.fail(n.pos, "write it as in C, with dots only: mm.owner.comm, files.fdt.fd[0]", "the path %q %s", clip(s), bad)
		return
	}
	if a.Source == FromRegisters {
		if steps[0].Field == "" {
			r.fail(n.pos, "", "the path %q must begin with a register", clip(s))
			return
		}
		a.Register, steps = steps[0].Field, steps[1:]
	}
	if len(steps) > 0 {
		a.Resolve = steps
	}
}

// parsePath parses a path of fields and indices; bad tells what is wrong with it.
func parsePath(s string) (steps []Step, bad string) {
	// "a->b" is what C calls "a.b" through a pointer; BTF tells which it is.
	rest := strings.ReplaceAll(s, "->", ".")
	for first := true; first || rest != ""; first = false {
		if strings.HasPrefix(rest, "[") {
			index, after, ok := strings.Cut(rest[1:], "]")
			i, err := strconv.ParseUint(index, 0, 31)
			switch {
			case !ok:
				return nil, "has a [ without ]"
			case err != nil:
				return nil, "has an index that is no number"
			}
			steps, rest = append(steps, Step{Element: int(i)}), after
			continue
		}
		if !first {
			after, dot := strings.CutPrefix(rest, ".")
			if !dot {
				return nil, "has something behind a ] that is neither a dot nor a ["
			}
			rest = after
		}
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		if !isIdentifier(rest[:end]) {
			return nil, "has a field name that is none in C"
		}
		steps, rest = append(steps, Step{Field: rest[:end]}), rest[end:]
	}
	return steps, ""
}

// checkArg looks for fields that do not go together.
func (r *reader) checkArg(n *node, a *Arg) {
	t := a.Type.Info()
	if a.Type != Auto && !t.Sized {
		for name, set := range map[string]bool{"sizeArgIndex": a.SizeArg >= 0, "returnCopy": a.ReturnCopy, "maxData": a.MaxData} {
			if set {
				r.fail(n.pos, "leave it out, or use char_buf, char_iovec or iov_iter", "`%s` has no meaning for an argument of type %s", name, t.Name)
			}
		}
	}
	if a.Source == FromRegisters && a.Register == "" {
		r.fail(n.pos, "for example `resolve: rdi`", "`source: pt_regs` needs the register in `resolve`")
	}
	if a.Source == FromCurrentTask && len(a.Resolve) == 0 {
		r.fail(n.pos, "for example `resolve: real_parent.tgid`", "`source: current_task` needs the way from the task in `resolve`")
	}
	if a.BTFModule != "" && a.BTFType == "" {
		r.fail(n.pos, "", "`btfTypeModule` needs `btfType`")
	}
}

func (r *reader) identifier(n *node, what string) string {
	s, ok := r.scalar(n, what)
	if !ok || s == "" {
		return ""
	}
	if !isIdentifier(s) {
		r.fail(n.pos, "", "%s must be a name of C, not %q", what, clip(s))
		return ""
	}
	return s
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) < math.MaxUint8
}
