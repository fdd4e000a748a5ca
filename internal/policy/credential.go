// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"strings"
)

// Credential is one of the numbers that tell who a process acts as.
type Credential uint8

// The credentials.
const (
	UID Credential = iota
	EUID
	SUID
	FSUID
	GID
	EGID
	SGID
	FSGID
	LoginUID
)

var credentialNames = [...]string{"uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid", "loginuid"}

// String returns the name in the language.
func (c Credential) String() string { return credentialNames[c] }

// UnsetID is the login uid of a process that no login led to, and the uid that none is.
const UnsetID = math.MaxUint32

// CredentialFilter is an item of matchCredentials: a credential is in one of these ranges. The numbers are those that the
// host's user namespace gives.
type CredentialFilter struct {
	Pos        Position
	Credential Credential
	Negated    bool
	Ranges     []Interval // of 32 bits without sign, sorted
}

var credentialOps = []Operator{OpIn, OpNotIn, OpEqual, OpNotEqual, OpInRange, OpNotInRange, OpGT, OpLT}

// credential reads an item of matchCredentials: `type: euid`, an operator and values.
func (r *reader) credential(n *node) []CredentialFilter {
	f := CredentialFilter{Pos: n.pos}
	op := OpNone
	var values []Raw
	r.object(n, "an item of matchCredentials", []field{
		{"type", true, func(n *node) { f.Credential = r.credentialName(n) }},
		{"operator", true, func(n *node) { op = r.operator(n, "matchCredentials", credentialOps) }},
		{"values", true, func(n *node) { values = r.texts(n, "values") }},
	})
	r.ids(&f, op, values)
	return []CredentialFilter{f}
}

func (r *reader) credentialName(n *node) Credential {
	s, ok := r.scalar(n, "the type of a credential")
	if !ok {
		return UID
	}
	for i, name := range credentialNames {
		if strings.EqualFold(name, s) {
			return Credential(i)
		}
	}
	if strings.EqualFold(s, "auid") {
		return LoginUID
	}
	r.fail(n.pos, didYouMean(s, credentialNames[:]), "there is no credential %q", clip(s))
	return UID
}

// ids reads user and group numbers.
func (r *reader) ids(f *CredentialFilter, op Operator, values []Raw) {
	if op == OpNone {
		return
	}
	row := op.Info()
	f.Negated = row.Negated
	for i := range values {
		if values[i].Text == "unset" || values[i].Text == "-1" {
			values[i].Text = "4294967295"
		}
	}
	c := &operandContext{reader: r, pos: f.Pos, class: ClassNumber, test: row.Test, what: numbers{bits: 32, bare: true}}
	var out Operand
	row.operand(c, values, &out)
	f.Ranges = out.Intervals
}

// currentCred reads an item of matchCurrentCred, the other way to write credentials: a list under the name of each.
func (r *reader) currentCred(n *node) []CredentialFilter {
	var all []CredentialFilter
	fields := make([]field, len(credentialNames))
	for i, name := range credentialNames {
		fields[i] = field{name, false, func(list *node) {
			r.each(list, name, func(_ int, item *node) {
				f := CredentialFilter{Pos: item.pos, Credential: Credential(i)}
				op := OpNone
				var values []Raw
				r.object(item, "an item of "+name, []field{
					{"operator", true, func(n *node) { op = r.operator(n, "matchCurrentCred", credentialOps) }},
					{"values", true, func(n *node) { values = r.texts(n, "values") }},
				})
				r.ids(&f, op, values)
				all = append(all, f)
			})
		}}
	}
	if r.object(n, "an item of matchCurrentCred", fields) && len(n.pairs) == 0 {
		r.fail(n.pos, "for example `uid: [{operator: Equal, values: [0]}]`", "the item names no credential")
	}
	return all
}
