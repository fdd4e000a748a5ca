// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"iter"
	"math/bits"
	"slices"
	"strings"
)

// How many names are suggested, and the longest that are compared.
const (
	maxNear     = 3
	maxNearName = 128
)

// near returns the names that are most like the wrong one: first those that a few typing errors lead to, then those that hold it
// as a whole. It looks at 60,000 names in a few milliseconds, for most are ruled out by their length and letters.
func near(wrong string, names iter.Seq[string]) []string {
	if wrong == "" || len(wrong) > maxNearName {
		return nil
	}
	n := newNearest(wrong)
	for name := range names {
		n.add(name)
	}
	return n.best()
}

type candidate struct {
	name   string
	errors int
}

type nearest struct {
	wrong   string
	letters uint64
	limit   int // typing errors
	rows    [3][maxNearName + 1]int
	found   []candidate
}

func newNearest(wrong string) *nearest {
	return &nearest{wrong: wrong, letters: letters(wrong), limit: min(3, 1+len(wrong)/4)}
}

func (n *nearest) add(name string) {
	if name == n.wrong || name == "" {
		return
	}
	distance := len(name) - len(n.wrong)
	if max(distance, -distance) <= n.limit && bits.OnesCount64(letters(name)^n.letters) <= 2*n.limit {
		if errors := n.distance(name); errors <= n.limit {
			n.keep(candidate{name, errors})
			return
		}
	}
	if len(n.wrong) >= 5 && distance > 0 && strings.Contains(name, n.wrong) {
		n.keep(candidate{name, n.limit + distance})
	}
}

// keep holds the best, in order.
func (n *nearest) keep(c candidate) {
	at, found := slices.BinarySearchFunc(n.found, c, func(a, b candidate) int {
		if a.errors != b.errors {
			return a.errors - b.errors
		}
		return strings.Compare(a.name, b.name)
	})
	if found || at >= maxNear {
		return
	}
	c.name = strings.Clone(c.name)
	n.found = slices.Insert(n.found, at, c)
	n.found = n.found[:min(len(n.found), maxNear)]
}

func (n *nearest) best() []string {
	var names []string
	for _, c := range n.found {
		names = append(names, c.name)
	}
	return names
}

// letters is the set of bytes, folded into 64 bits: a typing error changes at most two of them.
func letters(s string) uint64 {
	var set uint64
	for i := range len(s) {
		set |= 1 << (s[i] & 63)
	}
	return set
}

// distance is the number of typing errors between the names: a byte too many, too few, another, or two exchanged. It is
// more than the limit, and not exact, when there are more: then paths far off the diagonal need not be looked at.
func (n *nearest) distance(name string) int {
	a, b := n.wrong, name
	if len(b) > maxNearName || len(b) > len(a)+n.limit || len(a) > len(b)+n.limit {
		return n.limit + 1
	}
	before, above, row := n.rows[0][:len(b)+1], n.rows[1][:len(b)+1], n.rows[2][:len(b)+1]
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		from, to := max(1, i-n.limit), min(len(b), i+n.limit)
		if from > to {
			return n.limit + 1
		}
		row[from-1] = n.limit + 1
		if from == 1 {
			row[0] = i
		}
		if to < len(b) {
			row[to+1] = n.limit + 1 // the next row looks there
		}
		least := n.limit + 1
		for j := from; j <= to; j++ {
			d := above[j-1]
			if a[i-1] != b[j-1] {
				d = 1 + min(d, above[j], row[j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
			least = min(least, d)
		}
		if least > n.limit {
			return least
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

// nearFunctions suggests functions, of modules too.
func (f *Facts) nearFunctions(wrong string) []string {
	s, err := f.syms()
	if err == nil && s.len() > 0 {
		return near(wrong, s.all())
	}
	names, _ := f.namesWithPrefix(kindFunc, "")
	return near(wrong, slices.Values(names))
}
