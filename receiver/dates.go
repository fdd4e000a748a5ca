// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"time"
)

const secondsPerDay = 24 * 60 * 60

// dates renders times. Every record holds one or two, mostly of a few days; it keeps the dates of those.
type dates struct {
	days [8]struct {
		date string // "2006-01-02T", empty when not in use
		day  int64  // since the epoch
	}
}

// append appends a time since the epoch in the form 2006-01-02T15:04:05.000000000Z.
func (d *dates) append(b []byte, sec int64, nsec int) []byte {
	day := sec / secondsPerDay
	sec -= day * secondsPerDay
	if sec < 0 { // before 1970
		day--
		sec += secondsPerDay
	}
	cached := &d.days[uint64(day)%uint64(len(d.days))]
	if cached.day != day || cached.date == "" {
		cached.day, cached.date = day, time.Unix(day*secondsPerDay, 0).UTC().Format("2006-01-02T")
	}
	s := uint(sec)
	b = append(b, cached.date...)
	b = appendDigits(b, s/3600, 2)
	b = append(b, ':')
	b = appendDigits(b, s/60%60, 2)
	b = append(b, ':')
	b = appendDigits(b, s%60, 2)
	b = append(b, '.')
	b = appendDigits(b, uint(nsec), 9)
	return append(b, 'Z')
}

// appendDigits appends the last n decimal digits of v.
func appendDigits(b []byte, v uint, n int) []byte {
	const zeros = "000000000"
	b = append(b, zeros[:n]...)
	for i := len(b) - 1; n > 0; n, i = n-1, i-1 {
		b[i] += byte(v % 10)
		v /= 10
	}
	return b
}
