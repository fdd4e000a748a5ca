// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Interval is the numbers from Low to High, both included. They are the 64-bit patterns of the numbers: those of a
// signed type are sign-extended, and are to be compared as int64 then.
type Interval struct{ Low, High uint64 }

// String writes the interval as numbers without sign.
func (i Interval) String() string { return numbers{bits: 64}.format(i) }

// numbers is what a number may be: the type of an argument, as far as parsing goes.
type numbers struct {
	bits   int
	signed bool
	truth  bool // true and false are numbers
	arch   string
	names  map[string]int64 // enumerators, before the constants that every policy knows
	bare   bool             // names stand for nothing here
	typed  bool             // the type was declared, and BTF may know names that are not known here
}

func (d numbers) least() uint64 {
	if !d.signed {
		return 0
	}
	return ^uint64(0) << (d.bits - 1)
}

func (d numbers) greatest() uint64 {
	if d.signed {
		return ^d.least()
	}
	return ^uint64(0) >> (64 - d.bits)
}

func (d numbers) less(a, b uint64) bool {
	if d.signed {
		return int64(a) < int64(b)
	}
	return a < b
}

func isOutOfRange(err error) bool { return errors.Is(err, strconv.ErrRange) }

// parse returns the pattern of one number. It may be decimal, 0x, 0o, 0 (octal), or 0b; a name; or several of these
// joined with |. Hexadecimal and binary digits of a signed type may be its bit pattern: 0xffffffff is -1 as int32.
func (d numbers) parse(s string) (uint64, error) {
	parts := strings.Split(s, "|")
	if len(parts) == 1 {
		return d.one(strings.TrimSpace(s))
	}
	var all uint64
	for _, part := range parts {
		v, err := d.one(strings.TrimSpace(part))
		if err != nil {
			return 0, err
		}
		all |= v
	}
	return all, nil
}

func (d numbers) one(s string) (uint64, error) {
	if d.truth {
		switch strings.ToLower(s) {
		case "true":
			return 1, nil
		case "false":
			return 0, nil
		}
	}
	digits, negative := strings.CutPrefix(s, "-")
	if digits == "" {
		return 0, errors.New("is no number")
	}
	switch {
	case isIdentifier(digits) && d.truth:
		return 0, errors.New("is neither true nor false")
	case isIdentifier(digits) && !d.bare:
		return d.named(digits, negative)
	}
	v, err := strconv.ParseUint(digits, 0, 64)
	if err != nil && !isOutOfRange(err) {
		return 0, errors.New("is no number")
	}
	pattern := len(digits) > 1 && strings.ContainsAny(digits[:2], "xXbB")
	if err != nil {
		return 0, d.outOfRange()
	}
	return d.fit(v, negative, pattern)
}

// fit checks a magnitude against the type, and gives it its sign.
func (d numbers) fit(v uint64, negative, pattern bool) (uint64, error) {
	switch {
	case !d.signed && negative && v != 0, !d.signed && v > d.greatest():
		return 0, d.outOfRange()
	case !d.signed:
		return v, nil
	case negative && v <= -d.least():
		return -v, nil
	case !negative && v <= d.greatest():
		return v, nil
	case !negative && pattern && v>>(d.bits-1)>>1 == 0:
		return uint64(int64(v<<(64-d.bits)) >> (64 - d.bits)), nil
	}
	return 0, d.outOfRange()
}

func (d numbers) outOfRange() error {
	if d.signed {
		return fmt.Errorf("does not fit %d bits: it must be from %d to %d", d.bits, int64(d.least()), int64(d.greatest()))
	}
	return fmt.Errorf("does not fit %d bits without sign: it must be from 0 to %d", d.bits, d.greatest())
}

// named returns the number of a name. A name of an enumeration that only BTF knows needs Hook.Bind.
func (d numbers) named(name string, negative bool) (uint64, error) {
	v, ok := d.names[name]
	if !ok {
		v, ok = Constant(name, d.arch)
	}
	if !ok {
		known := make([]string, 0, len(d.names))
		for k := range d.names {
			known = append(known, k)
		}
		slices.Sort(known)
		remedy := didYouMean(name, append(known, constantNames()...))
		switch {
		case remedy == "" && d.typed:
			remedy = "write the number, or leave `type` out to use the names of the kernel's enumeration"
		case remedy == "":
			remedy = "write the number"
		}
		return 0, fmt.Errorf("is no number and no known name; %s", remedy)
	}
	if negative {
		v = -v
	}
	if v < 0 {
		return d.fit(uint64(-v), true, false)
	}
	return d.fit(uint64(v), false, true)
}

// span parses "low:high", or one number, which is both.
func (d numbers) span(s string) (Interval, error) {
	low, high, ranged := strings.Cut(s, ":")
	if !ranged {
		v, err := d.parse(s)
		return Interval{v, v}, err
	}
	a, err := d.parse(low)
	if err != nil {
		return Interval{}, err
	}
	b, err := d.parse(high)
	if err != nil {
		return Interval{}, err
	}
	if d.less(b, a) {
		return Interval{}, errors.New("is a range whose end is below its start")
	}
	return Interval{a, b}, nil
}

// normal sorts intervals and joins those that touch.
func (d numbers) normal(in []Interval) []Interval {
	slices.SortFunc(in, func(a, b Interval) int {
		switch {
		case d.less(a.Low, b.Low):
			return -1
		case d.less(b.Low, a.Low):
			return 1
		}
		return 0
	})
	var out []Interval
	for _, next := range in {
		if len(out) > 0 {
			last := &out[len(out)-1]
			touches := last.High == d.greatest() || !d.less(last.High+1, next.Low)
			if touches {
				if d.less(last.High, next.High) {
					last.High = next.High
				}
				continue
			}
		}
		out = append(out, next)
	}
	return out
}

// format shows an interval in the way the type is read.
func (d numbers) format(i Interval) string {
	show := func(v uint64) string {
		if d.signed {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatUint(v, 10)
	}
	if i.Low == i.High {
		return show(i.Low)
	}
	return show(i.Low) + ":" + show(i.High)
}
