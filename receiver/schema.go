// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxLayouts bounds how many layouts a schema keeps. A machine has some dozens of them; only somebody who tries gets more.
const maxLayouts = 256

// schema is all attributes that records of one kind of event may have.
//
// A map of pdata looks through all its keys whenever one is put. A schema therefore keeps, for each combination of attributes that
// it met, a map with these keys in order; a record gets a copy of it, and its values are filled in by position.
type schema struct {
	attrs  []attr
	groups []span
	known  map[presence]*layout
	last   *layout
}

// presence has a bit for each attribute of a schema.
type presence [2]uint64

// span is the place of a group in the attributes of a schema.
type span struct {
	when     func(*record) bool
	from, to int
}

// layout is one combination of attributes.
type layout struct {
	presence presence
	attrs    []*attr
	keys     pcommon.Map // their names, without values
}

func newSchema(groups ...group) *schema {
	s := &schema{known: map[presence]*layout{}}
	for _, g := range groups {
		from := len(s.attrs)
		s.attrs = append(s.attrs, g.attrs...)
		s.groups = append(s.groups, span{when: g.when, from: from, to: len(s.attrs)})
	}
	if limit := 64 * len(presence{}); len(s.attrs) > limit {
		panic("receiver: a record can have more attributes than presence has bits")
	}
	s.last = s.layout(presence{})
	return s
}

// fill puts the attributes of r into m, in place of what it holds.
func (s *schema) fill(r *record, m pcommon.Map) {
	var present presence
	for _, g := range s.groups {
		if g.when != nil && !g.when(r) {
			continue
		}
		for i := g.from; i < g.to; i++ {
			if when := s.attrs[i].when; when == nil || when(r) {
				present[i/64] |= 1 << (i % 64)
			}
		}
	}
	l := s.last
	if l.presence != present {
		l = s.layout(present)
		s.last = l
	}
	l.keys.CopyTo(m)
	i := 0
	for _, v := range m.All() {
		a := l.attrs[i]
		r.name = a.name
		a.set(r, v)
		i++
	}
}

// layout returns the layout of a combination of attributes.
func (s *schema) layout(present presence) *layout {
	if l, ok := s.known[present]; ok {
		return l
	}
	l := &layout{presence: present, keys: pcommon.NewMap()}
	for i := range s.attrs {
		if present[i/64]&(1<<(i%64)) != 0 {
			l.attrs = append(l.attrs, &s.attrs[i])
			l.keys.PutEmpty(s.attrs[i].name)
		}
	}
	if len(s.known) >= maxLayouts {
		clear(s.known)
	}
	s.known[present] = l
	return l
}
