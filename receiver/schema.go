// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// maxLayouts bounds how many layouts a schema keeps. A machine has some dozens of them; only somebody who tries gets more.
const maxLayouts = 256

// schema is all attributes that records of one kind of event may have.
//
// A map of pdata looks through all its keys whenever one is put. A schema therefore keeps, for each combination of attributes that
// it met, a map with these keys in order; a record gets a copy of it, and its values are filled in by position.
type schema struct {
	groups []group
	known  map[presence]*layout
	last   *layout
}

// presence has a bit for each attribute of a schema.
type presence [2]uint64

// maxAttrs is how many attributes a record can have.
const maxAttrs = 64 * len(presence{})

// layout is one combination of attributes.
type layout struct {
	presence presence
	keys     pcommon.Map // the names, without values
}

// newSchema returns a schema with the attributes of groups, in their order.
func newSchema(groups ...group) *schema {
	s := &schema{known: map[presence]*layout{}}
	n := 0
	for _, g := range groups {
		g.attrs = slices.Clone(g.attrs) // another schema may have the same, at other places
		for i := range g.attrs {
			g.attrs[i].bit[n/64] = 1 << (n % 64)
			n++
		}
		s.groups = append(s.groups, g)
	}
	s.last = s.layout(presence{})
	return s
}

// value is the value of an attribute of a record.
type value struct {
	attr   *attr
	text   string
	number int64
}

// fill puts the attributes of r into m, in place of what it holds.
func (s *schema) fill(r *record, m pcommon.Map) {
	present := s.collect(r)
	l := s.last
	if l.presence != present {
		l = s.layout(present)
		s.last = l
	}
	l.keys.CopyTo(m)
	i := 0
	for _, v := range m.All() {
		value := &r.values[i]
		i++
		switch a := value.attr; {
		case a.text != nil:
			r.setText(v, a.name, value.text)
		case a.number != nil:
			v.SetInt(value.number)
		case a.double != nil:
			v.SetDouble(a.double(r))
		case a.list != nil:
			r.setList(v, a.name, a.list(r))
		default:
			v.SetBool(true)
		}
	}
}

// collect puts the attributes that r has into r.values, with those values that decide about it, and tells which they are.
func (s *schema) collect(r *record) (present presence) {
	n := 0
	for i := range s.groups {
		g := &s.groups[i]
		if g.when != nil && !g.when(r) {
			continue
		}
		for i := range g.attrs {
			a := &g.attrs[i]
			if a.when != nil && !a.when(r) {
				continue
			}
			value := &r.values[n]
			if a.text != nil {
				if value.text = a.text(r); value.text == "" {
					continue
				}
			} else if a.number != nil {
				value.number = a.number(r)
			}
			value.attr = a
			n++
			present[0] |= a.bit[0]
			present[1] |= a.bit[1]
		}
	}
	return present
}

// layout returns the layout of a combination of attributes.
func (s *schema) layout(present presence) *layout {
	if l, ok := s.known[present]; ok {
		return l
	}
	l := &layout{presence: present, keys: pcommon.NewMap()}
	for _, g := range s.groups {
		for _, a := range g.attrs {
			if present[0]&a.bit[0]|present[1]&a.bit[1] != 0 {
				l.keys.PutEmpty(a.name)
			}
		}
	}
	if len(s.known) >= maxLayouts {
		clear(s.known)
	}
	s.known[present] = l
	return l
}
