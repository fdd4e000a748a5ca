// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// clock turns time since boot into wall-clock time, by the offset that was in force at that moment: when someone sets the clock, what happened
// before keeps its time. The kernel tells of such a step at once (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET); the slow
// drift of an adjusted clock is followed by sampling.
type clock struct {
	timer *os.File
	ended chan struct{}

	latest  atomic.Pointer[offset] // the last of offsets, which is the one for nearly every event
	mu      sync.Mutex
	offsets []offset // oldest first, never empty
}

// offset is the difference of wall-clock time and time since boot, from a moment on.
type offset struct {
	from time.Duration // since boot
	wall time.Duration // CLOCK_REALTIME - CLOCK_BOOTTIME
}

const (
	maxOffsets = 64
	drift      = 100 * time.Microsecond // of the offset that is worth an entry
)

func newClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create a timer that tells of clock steps: %w", err)
	}
	c := &clock{timer: os.NewFile(uintptr(fd), "timerfd"), ended: make(chan struct{})}
	if err := c.arm(); err != nil {
		return nil, errors.Join(err, c.timer.Close())
	}
	c.sample()
	go c.follow()
	return c, nil
}

// arm sets the timer to the end of time. It never fires; reading it fails when the clock is set.
func (c *clock) arm() error {
	never := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt32}}
	err := unix.TimerfdSettime(int(c.timer.Fd()), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil)
	if err != nil && !errors.Is(err, unix.ECANCELED) {
		return fmt.Errorf("set a timer that tells of clock steps: %w", err)
	}
	return nil
}

func (c *clock) follow() {
	defer close(c.ended)
	var b [8]byte
	for {
		_, err := c.timer.Read(b[:])
		if errors.Is(err, os.ErrClosed) {
			return
		}
		c.sample()
		if c.arm() != nil {
			return // sampling goes on, with each look of the reader
		}
	}
}

// sample notes the offset of now, if it is another than before.
func (c *clock) sample() {
	now := readOffset()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.offsets); n > 0 && (c.offsets[n-1].wall-now.wall).Abs() < drift {
		return
	}
	if len(c.offsets) == maxOffsets {
		c.offsets = append(c.offsets[:0], c.offsets[1:]...)
	}
	c.offsets = append(c.offsets, now)
	c.latest.Store(&now)
}

// readOffset reads both clocks, and again until nothing came between.
func readOffset() offset {
	best := offset{}
	narrowest := time.Duration(math.MaxInt64)
	for range 5 {
		before := now(unix.CLOCK_BOOTTIME)
		wall := now(unix.CLOCK_REALTIME)
		after := now(unix.CLOCK_BOOTTIME)
		if window := after - before; window < narrowest {
			narrowest = window
			middle := before + window/2
			best = offset{from: middle, wall: wall - middle}
		}
	}
	return best
}

func now(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0 // cannot be: both clocks exist in every kernel that has BPF
	}
	return time.Duration(ts.Nano())
}

// wall returns the wall-clock time of a moment since boot.
func (c *clock) wall(boot time.Duration) time.Time {
	if latest := c.latest.Load(); latest != nil && boot >= latest.from {
		return time.Unix(0, int64(boot+latest.wall))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := len(c.offsets) - 1
	for i > 0 && c.offsets[i].from > boot {
		i--
	}
	return time.Unix(0, int64(boot+c.offsets[i].wall))
}

func (c *clock) close() {
	_ = c.timer.Close() // closing a timer cannot fail, and nothing follows from it
	<-c.ended
}
