// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strconv"
	"strings"
)

// Assignment is what an action gives a register of a user function: a number; or, when From is set, the register plus
// Value, or what is in memory there when Memory is set.
type Assignment struct {
	Register string
	From     string
	Value    int64
	Memory   bool
}

// registers reads argRegs: "rax=11", "rbp=%rsp", "rip=8%rsp", "rip=8(%rsp)".
func (r *reader) registers(n *node) []Assignment {
	var all []Assignment
	for _, v := range r.texts(n, "argRegs") {
		a, ok := parseAssignment(v.Text)
		if !ok {
			r.fail(v.Pos, "for example rax=11, rbp=%rsp, rip=8%rsp or rip=8(%rsp)", "%q is no assignment to a register", clip(v.Text))
			continue
		}
		all = append(all, a)
	}
	return all
}

func parseAssignment(s string) (Assignment, bool) {
	var a Assignment
	to, from, ok := strings.Cut(s, "=")
	if !ok || !isIdentifier(to) {
		return a, false
	}
	a.Register = to
	number, register, ok := strings.Cut(from, "%")
	if ok {
		a.Memory = strings.HasSuffix(number, "(")
		register, closed := strings.CutSuffix(register, ")")
		if a.From = register; !isIdentifier(register) || closed != a.Memory {
			return a, false
		}
		number = strings.TrimSuffix(number, "(")
	}
	if number == "" {
		return a, a.From != ""
	}
	v, err := strconv.ParseInt(number, 0, 64)
	a.Value = v
	return a, err == nil
}
