// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// reader reads nodes into types and collects what is wrong with them. Its functions return a zero value, and false
// where that tells something, after they reported an error.
type reader struct {
	arch     string
	errs     Errors
	warnings Errors
}

func (r *reader) fail(pos Position, remedy, format string, args ...any) {
	r.errs = append(r.errs, &Error{Pos: pos, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *reader) warn(pos Position, remedy, format string, args ...any) {
	r.warnings = append(r.warnings, &Error{Pos: pos, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// field is one key that a map may have.
type field struct {
	name     string
	required bool
	read     func(*node)
}

// object reads a map: each key by its row, in the order of the rows, so that the order in a document means nothing.
// Unknown, repeated and missing keys are errors. A key without a value is as good as absent.
func (r *reader) object(n *node, what string, fields []field) bool {
	if n.kind != kindMap {
		r.fail(n.pos, "", "%s must be a map, this is %s", what, n.kind)
		return false
	}
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	have := make(map[string]pair, len(n.pairs))
	for _, p := range n.pairs {
		if first, again := have[p.key]; again {
			r.repeated(p, first.pos)
			continue
		}
		have[p.key] = p
		if !slices.Contains(names, p.key) {
			r.fail(p.pos, didYouMean(p.key, names), "%s has no field `%s`", what, clip(p.key))
		}
	}
	for _, f := range fields {
		p, ok := have[f.name]
		switch {
		case ok && p.value.kind != kindNull:
			f.read(p.value)
		case f.required:
			r.fail(n.pos, "", "%s needs the field `%s`", what, f.name)
		}
	}
	return true
}

func (r *reader) repeated(p pair, first Position) {
	remedy := "keep one"
	if p.key == "action" {
		remedy = "each action is a list item of its own: `- action: ...`"
	}
	where := ""
	if first.Line > 0 {
		where = fmt.Sprintf(", first on line %d", first.Line)
	}
	r.fail(p.pos, remedy, "the key `%s` is given twice%s", clip(p.key), where)
}

// refuse is the reader of a field that is known and refused.
func (r *reader) refuse(remedy, format string, args ...any) func(*node) {
	return func(n *node) { r.fail(n.pos, remedy, format, args...) }
}

// each calls f for each item of a list.
func (r *reader) each(n *node, what string, f func(i int, item *node)) {
	if n.kind != kindList {
		r.fail(n.pos, "write it as a list, each item after a dash", "%s must be a list, this is %s", what, n.kind)
		return
	}
	for i, item := range n.items {
		f(i, item)
	}
}

// scalar returns the text of a value.
func (r *reader) scalar(n *node, what string) (string, bool) {
	if n.kind != kindScalar {
		r.fail(n.pos, "", "%s must be a single value, this is %s", what, n.kind)
		return "", false
	}
	return n.text, true
}

// text returns a text that is not empty and holds no control characters.
func (r *reader) text(n *node, what string) string {
	s, ok := r.scalar(n, what)
	switch {
	case !ok:
	case s == "":
		r.fail(n.pos, "", "%s is empty", what)
	case strings.ContainsFunc(s, isControl):
		r.fail(n.pos, "", "%s %q holds a control character", what, clip(s))
	default:
		return s
	}
	return ""
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f || c == 0xfffd }

// boolean returns a truth value.
func (r *reader) boolean(n *node, what string) bool {
	s, ok := r.scalar(n, what)
	if !ok {
		return false
	}
	switch strings.ToLower(s) {
	case "true":
		return true
	case "false":
		return false
	}
	r.fail(n.pos, "write true or false", "%s must be true or false, not %q", what, clip(s))
	return false
}

// integer returns a number of the given range, written in any of Go's notations.
func (r *reader) integer(n *node, what string, low, high int64) int64 {
	s, ok := r.scalar(n, what)
	if !ok {
		return 0
	}
	v, err := strconv.ParseInt(s, 0, 64)
	switch {
	case err != nil && !isOutOfRange(err):
		r.fail(n.pos, "", "%s must be a whole number, not %q", what, clip(s))
	case err != nil || v < low || v > high:
		r.fail(n.pos, "", "%s must be from %d to %d, not %s", what, low, high, clip(s))
	default:
		return v
	}
	return 0
}

func (r *reader) index(n *node, what string) int {
	return int(r.integer(n, what, 0, math.MaxInt16))
}

// texts returns the items of a list of values, each with its position.
func (r *reader) texts(n *node, what string) []Raw {
	var all []Raw
	r.each(n, what, func(_ int, item *node) {
		if s, ok := r.scalar(item, "an item of "+what); ok {
			all = append(all, Raw{Pos: item.pos, Text: s})
		}
	})
	return all
}

// clip shortens what a message repeats of the user's text.
func clip(s string) string {
	const most = 60
	if c := []rune(s); len(c) > most {
		return string(c[:most]) + "..."
	}
	return s
}
