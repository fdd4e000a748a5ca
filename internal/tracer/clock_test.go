// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
)

func TestClockKeepsTheOffsetOfEachMoment(t *testing.T) {
	const hour = time.Hour
	// Booted at 1,000 s; set an hour ahead after 20 s, and back after 30 s.
	c := &clock{offsets: []offset{
		{from: 10 * time.Second, wall: 1000 * time.Second},
		{from: 20 * time.Second, wall: 1000*time.Second + hour},
		{from: 30 * time.Second, wall: 1000 * time.Second},
	}}
	for _, test := range []struct{ boot, want time.Duration }{
		{0, 1000 * time.Second},
		{5 * time.Second, 1005 * time.Second}, // before the first look
		{10 * time.Second, 1010 * time.Second},
		{20*time.Second - 1, 1020*time.Second - 1},
		{20 * time.Second, 1020*time.Second + hour},
		{30*time.Second - 1, 1030*time.Second + hour - 1},
		{30 * time.Second, 1030 * time.Second},
		{100 * time.Hour, 1000*time.Second + 100*time.Hour},
	} {
		if got := c.wall(test.boot); got.UnixNano() != int64(test.want) {
			t.Errorf("%v after boot is %v, want %v", test.boot, got, time.Unix(0, int64(test.want)))
		}
	}
}

func TestClockForgetsTheOldestOffset(t *testing.T) {
	c := &clock{}
	for i := range maxOffsets {
		// None of them is now's.
		c.offsets = append(c.offsets, offset{from: time.Duration(i), wall: time.Duration(-i) * time.Hour})
	}
	c.sample()
	if len(c.offsets) != maxOffsets || c.offsets[0].from != 1 {
		t.Errorf("%d offsets, the first from %v", len(c.offsets), c.offsets[0].from)
	}
	newest := c.offsets[maxOffsets-1]
	c.sample()
	if got := c.offsets[maxOffsets-1]; got.from != newest.from && (got.wall-newest.wall).Abs() < drift {
		t.Errorf("an offset that is as before was noted again: %v after %v", got, newest)
	}
	if got := time.Since(c.wall(bootTime())).Abs(); got > time.Minute {
		t.Errorf("now is wrong by %v", got)
	}
}

func TestEventsKeepTheirTimeAcrossAClockStep(t *testing.T) {
	if !quiet() {
		t.Skip("only a machine of its own may have its clock set")
	}
	const step, tolerance = time.Hour, 10 * time.Minute
	r := newRecorder(t, func(c *config.Process) { c.QueueSize = 1 })
	g := closeGate(r)
	r.start()
	path := trivial(t)
	// With the sink and the queue full, what comes then waits in the kernel across the step.
	for range 4 {
		run(t, path)
	}
	<-g.entered
	before, _, _ := run(t, path)
	began := time.Now()
	if s := r.stats(); s.RingBytes == 0 {
		t.Errorf("nothing waits in the ring: %+v", s)
	}
	setClock(t, began.Add(step))
	t.Cleanup(func() { setClock(t, began.Add(time.Since(began))) }) // the difference is by the monotonic clock
	r.until("the step noticed", func(Stats) bool {
		r.clock.mu.Lock()
		defer r.clock.mu.Unlock()
		return len(r.clock.offsets) > 1
	})
	after, _, _ := run(t, path)
	close(g.opened)
	r.settle()
	events := r.stopWhole()
	for pid, want := range map[int]time.Time{before: began, after: began.Add(step)} {
		h := historyOf(events, pid)
		h.want(t, "exec exit")
		for _, ev := range h {
			if off := ev.Time.Round(0).Sub(want.Round(0)).Abs(); off > tolerance {
				t.Errorf("%v at %v, want about %v", ev.Kind, ev.Time, want)
			}
		}
		if off := h.last(t, event.Exec).Process.StartTime.Sub(want.Round(0)).Abs(); off > tolerance {
			t.Errorf("started at %v, want about %v", h[0].Process.StartTime, want)
		}
	}
}

func setClock(t *testing.T, to time.Time) {
	t.Helper()
	tv := unix.NsecToTimeval(to.UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		t.Fatalf("set the clock: %v", err)
	}
}
