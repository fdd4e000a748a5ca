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
	start := len(b)
	b = append(append(b, cached.date...), "00:00:00.000000000Z"...)
	clock := b[start+len(cached.date):]
	s := uint(sec)
	digits(clock[0:2], s/3600)
	digits(clock[3:5], s/60%60)
	digits(clock[6:8], s%60)
	digits(clock[9:18], uint(nsec))
	return b
}

// digits writes the last digits of v, as many as there is room for.
func digits(room []byte, v uint) {
	for i := len(room) - 1; i >= 0; i-- {
		room[i] = '0' + byte(v%10)
		v /= 10
	}
}
