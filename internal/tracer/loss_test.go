// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// gate is a sink's consume that lets nothing through until it is opened.
type gate struct {
	entered chan struct{}
	opened  chan struct{}
	once    atomic.Bool
}

func closeGate(r *recorder) *gate {
	g := &gate{entered: make(chan struct{}), opened: make(chan struct{})}
	r.consume = func(ctx context.Context, _ []event.Event) error {
		if g.once.CompareAndSwap(false, true) {
			close(g.entered)
		}
		select {
		case <-g.opened:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g
}

// stats returns the account, at any time.
func (r *recorder) stats() Stats {
	r.t.Helper()
	s, err := r.Stats()
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// until waits for something to be so, for two minutes.
func (r *recorder) until(what string, so func(s Stats) bool) {
	r.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		s := r.stats()
		if so(s) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not within two minutes: %s: %+v", what, s)
		}
	}
}

// settle waits until everything on the way has arrived, so that the time limit of a shutdown is not what a test depends on.
func (r *recorder) settle() {
	r.t.Helper()
	r.until("all delivered", func(s Stats) bool { return s.RingBytes == 0 && s.QueueLength == 0 })
}

// toldLost sums the losses that events tell of.
func toldLost(events []event.Event) map[LostKey]uint64 {
	told := make(map[LostKey]uint64)
	for _, ev := range events {
		if ev.Kind == event.Loss {
			told[LostKey{ev.Lost.Stage, ev.Lost.Event}] += ev.Lost.Count
		}
	}
	return told
}

// checkTold holds what events told of losses to the account.
func (r *recorder) checkTold(events []event.Event) {
	r.t.Helper()
	told, lost := toldLost(events), r.stats().Lost
	if len(told) != len(lost) {
		r.t.Errorf("told to be lost: %v, lost: %v", told, lost)
	}
	for k, n := range lost {
		if told[k] != n {
			r.t.Errorf("%v: %d told to be lost, %d lost", k, told[k], n)
		}
	}
}

// quiet tells whether nothing but the test makes processes.
func quiet() bool { return vmtest.Kernel() == "6.1" || vmtest.Kernel() == "6.12" }

func TestRingThatIsTooSmallLosesExactlyWhatIsTold(t *testing.T) {
	const processes, spawners = 2000, 4
	r := newRecorder(t, func(c *config.Process) {
		c.RingSize = 64 << 10
		c.QueueSize = 16
		c.ExitGrace = 0
	})
	g := closeGate(r)
	run(t, trivial(t)) // the first time, package os makes another process to see what the kernel can do
	r.start()
	began := r.stats().Produced
	spawn(t, processes, spawners)
	close(g.opened)
	r.settle()
	// One more, which is not lost, comes after the losses in the ring.
	pid, _, _ := run(t, trivial(t))
	r.waitExit(pid)
	r.wait("loss", func(e *event.Event) bool { return e.Kind == event.Loss })
	checkReconciled(r)
	events := r.stop()
	r.checkTold(events)

	s := r.stats()
	for _, kind := range event.Kinds {
		lost := s.Lost[LostKey{event.StageRingFull, kind}]
		made := s.Produced[kind] - began[kind]
		if lost < processes/2 {
			t.Errorf("%v: only %d were lost", kind, lost)
		}
		// Each spawner and the last one are processes too.
		if want := uint64(processes + spawners + 1); made < want || quiet() && made != want {
			t.Errorf("%v: %d generated, want %d", kind, made, want)
		}
	}
	if !s.Losing {
		t.Error("the tracer is not said to be losing")
	}
	historyOf(events, pid).want(t, "exec exit")
}

// checkReconciled waits until the process table has given up those whose exit was lost.
func checkReconciled(r *recorder) {
	r.t.Helper()
	lost := r.stats().Lost[LostKey{event.StageRingFull, event.Exit}]
	r.until("the dead removed from the process table", func(s Stats) bool {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			r.t.Fatal(err)
		}
		alive := 0
		for _, e := range entries {
			if _, err := strconv.Atoi(e.Name()); err == nil {
				alive++
			}
		}
		// Where others make processes too, some come and go between one look and the other.
		return s.Processes > 0 && s.Processes <= alive+50 && lost > 200
	})
}

func TestStalledSinkLosesNothing(t *testing.T) {
	const processes, stall = 10_000, 5 * time.Second
	r := newRecorder(t)
	g := closeGate(r)
	r.start()
	began := time.Now()
	all := spawn(t, processes, 8)
	<-g.entered
	time.Sleep(stall - time.Since(began))
	if s := r.stats(); s.RingBytes == 0 || s.QueueLength == 0 || s.Delivered[event.Exec] != 0 {
		t.Errorf("nothing waited for the sink: %+v", s)
	}
	t.Logf("%d of %d bytes of the ring used", r.stats().RingBytes, r.stats().RingSize)
	close(g.opened)
	r.settle()
	events := r.stopWhole()
	for _, s := range all {
		checkSpawned(t, events, s)
	}
}

func TestRefusedEventsAreCountedAndTold(t *testing.T) {
	const processes = 20
	r := newRecorder(t, withForks)
	var refusing, refusedReport atomic.Bool
	refusing.Store(true)
	r.consume = func(_ context.Context, batch []event.Event) error {
		if !refusing.Load() {
			return nil
		}
		for i := range batch {
			if batch[i].Kind == event.Loss {
				refusedReport.Store(true)
			}
		}
		return errors.New("never")
	}
	r.start()
	path := trivial(t)
	for range processes {
		run(t, path)
	}
	// The first report of it is refused too, and has to be made again.
	r.until("a report that is refused", func(s Stats) bool {
		return refusedReport.Load() && s.Lost[LostKey{event.StageRefused, event.Exit}] >= processes
	})
	refusing.Store(false)
	pid, _, _ := run(t, path)
	r.wait("loss", func(e *event.Event) bool { return e.Kind == event.Loss })
	r.waitExit(pid)
	events := r.stop()
	r.checkTold(events)
	s := r.stats()
	for _, kind := range event.Kinds {
		if n := s.Lost[LostKey{event.StageRefused, kind}]; n < processes {
			t.Errorf("%v: %d counted as refused, want %d", kind, n, processes)
		}
	}
	historyOf(events, pid).want(t, "fork exec exit")
}

func TestShutdownWithAStuckSinkCountsTheRest(t *testing.T) {
	const processes = 300
	r := newRecorder(t, func(c *config.Process) { c.QueueSize = 64 })
	g := closeGate(r)
	r.start()
	path := trivial(t)
	run(t, spawner(t, processes, path, path))
	<-g.entered
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("shutdown: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the shutdown does not end, although its time is over")
	}
	r.checkAccount()
	s := r.stats()
	for _, kind := range []event.Kind{event.Exec, event.Exit} {
		if n := s.Lost[LostKey{event.StageShutdown, kind}]; n < processes || n != s.Produced[kind] {
			t.Errorf("%v: %d counted as lost at shutdown, %d were generated", kind, n, s.Produced[kind])
		}
	}
	if len(r.events) > 0 {
		t.Errorf("the sink took nothing, and has %d events", len(r.events))
	}
}

func TestShutdownDrainsWhatWaits(t *testing.T) {
	const processes = 500
	r := newRecorder(t, func(c *config.Process) { c.QueueSize = 64 })
	g := closeGate(r)
	r.start()
	path := shortLived(t, 0)
	pid, children, _ := run(t, spawner(t, processes, path, path))
	<-g.entered
	// What is on the ring is there when the programs have gone.
	time.AfterFunc(100*time.Millisecond, func() { close(g.opened) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	checkSpawned(t, r.stopWhole(), spawned{pid: pid, children: children})
}
