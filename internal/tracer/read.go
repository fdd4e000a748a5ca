// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/decode"
	"github.com/ringside-otel/ringside/internal/enrich"
	"github.com/ringside-otel/ringside/internal/event"
)

const (
	// pollInterval is how long a record may wait on an otherwise quiet ring. The kernel part wakes the reader
	// earlier when much waits (bpf/ring.h, wake_bytes).
	pollInterval = 50 * time.Millisecond
	// upkeepInterval is how often losses are looked for and told.
	upkeepInterval = time.Second
	// sweepInterval is how often cgroups that are gone are looked for.
	sweepInterval = 5 * time.Minute
	// reconcileInterval is how often the table is compared with the kernel while records are being lost.
	reconcileInterval = 30 * time.Second
)

// item is an event on its way to the sink.
type item struct {
	event  event.Event
	ticket *enrich.Ticket // nil when the event has no digest to wait for
	read   time.Time      // when it was read from the ring, set while the digest is not known
}

// reader is what the reading goroutine keeps between records.
type reader struct {
	*Tracer
	record     decode.Record
	boot       time.Duration // of the latest record
	forks      uint64        // that were followed and not yet counted
	upkept     time.Time
	swept      time.Time
	reconciled time.Time
	exitsLost  uint64        // how many exits were lost, when the table was last compared for that
	noticed    uint64        // how many since
	lostBefore time.Duration // since boot; when the latter were noticed, or 0
	unwatched  int           // records since the clock was looked at
}

// read carries records from the ring to the queue until the tracer stops, and then what is left.
func (t *Tracer) read() {
	defer close(t.queue)
	r := &reader{Tracer: t, swept: time.Now()}
	var raw ringbuf.Record
	t.ring.SetDeadline(time.Now().Add(pollInterval))
	stopping := false
	for {
		err := t.ring.ReadInto(&raw)
		switch {
		case err == nil:
			r.handle(raw.RawSample)
			// Asking for the time costs as much as a part of the work on a record.
			if r.unwatched++; r.unwatched < 256 {
				continue
			}
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ringbuf.ErrFlushed):
			// The ring is empty. What came between this look and the end of the programs is left for one more.
			if stopping {
				r.upkeep(true)
				return
			}
			wait := pollInterval
			if stopping = t.isStopping(); stopping {
				wait = 0
			}
			t.ring.SetDeadline(time.Now().Add(wait))
		default:
			t.log.Error("Reading the ring buffer failed; no more events will come", zap.Error(err))
			return
		}
		r.unwatched = 0
		r.table.Expire(r.boot)
		if time.Since(r.upkept) >= upkeepInterval {
			r.upkeep(err != nil)
		}
	}
}

func (t *Tracer) isStopping() bool {
	select {
	case <-t.stopping:
		return true
	default:
		return false
	}
}

// handle takes one record.
func (r *reader) handle(raw []byte) {
	if err := r.decoder.Decode(raw, &r.record); err != nil {
		r.malformed(err)
		return
	}
	rec := &r.record
	r.sequence.see(rec.CPU, rec.Seq)
	r.boot = max(r.boot, rec.Boot)
	it := item{event: event.Event{Kind: event.Kind(rec.Kind), Boot: rec.Boot}}
	ev := &it.event
	switch rec.Kind {
	case bpf.ProcessKindKIND_CGROUP:
		r.cgroups.add(rec.Cgroup.ID, rec.Cgroup.Path)
		return
	case bpf.ProcessKindKIND_EXEC:
		r.table.Exec(rec.Process, ev)
		if r.digests != nil {
			it.ticket = r.digests.Lookup(rec.Process)
		} else {
			ev.Digest.Missing = "disabled"
		}
	case bpf.ProcessKindKIND_FORK:
		if !r.cfg.Fork {
			r.table.Fork(rec.Fork, nil)
			r.forks++
			return
		}
		r.table.Fork(rec.Fork, ev)
	case bpf.ProcessKindKIND_EXIT:
		if !r.table.Exit(rec.Exit, rec.Boot, ev) {
			r.account.repeat(event.Exit)
			return
		}
	default:
		return // the decoder knows no others on the ring
	}
	ev.Time = r.clock.wall(ev.Boot)
	r.enqueue(it)
}

// malformed accounts for a record that cannot be decoded.
func (r *reader) malformed(err error) {
	r.log.Error("A record of the kernel part is malformed", zap.Error(err))
	r.account.decodeError()
	rec := &r.record
	if rec.Kind == 0 {
		return // nothing is known of it, and the gap that it leaves in the sequence will be counted
	}
	r.sequence.see(rec.CPU, rec.Seq)
	if rec.Kind <= bpf.ProcessKindKIND_FORK {
		r.account.lose(event.StageDecode, event.Kind(rec.Kind), 1)
	}
}

// enqueue hands an item on, and waits while the queue is full.
func (r *reader) enqueue(it item) {
	if it.ticket != nil && !it.ticket.IsDone() {
		it.read = time.Now()
	}
	select {
	case r.queue <- it:
		return
	default:
	}
	select {
	case r.queue <- it:
	case <-r.draining.Done():
		r.account.refuse(event.StageShutdown, []event.Event{it.event})
	}
}

// upkeep is what is done now and then between records. drained tells that the ring was empty a moment ago.
func (r *reader) upkeep(drained bool) {
	now := time.Now()
	r.upkept = now
	r.clock.sample()
	r.account.followed(r.forks)
	r.forks = 0
	reached := r.boot // everything before this was read
	if drained {
		reached = max(reached, bootTime()-pollInterval)
	}
	r.table.Expire(reached)
	r.account.setProcesses(r.table.Len())
	// What is missing is read before what the kernel counted, which can only grow in between.
	missing := r.sequence.missing
	if a, err := r.programs.Account(); err != nil {
		r.log.Error("The kernel part's counters cannot be read", zap.Error(err))
	} else {
		r.account.setKernel(a)
		r.account.gaps(missing)
	}
	r.report()
	if now.Sub(r.swept) >= sweepInterval {
		r.swept = now
		r.sweepCgroups()
	}
	if exits := r.account.exitsLost(); exits > r.exitsLost && r.lostBefore == 0 {
		r.noticed, r.lostBefore = exits-r.exitsLost, bootTime()
	}
	// What happened before the loss was noticed has to be read first: a fork on its way would bring back what is removed now.
	if r.lostBefore != 0 && (drained || r.boot >= r.lostBefore) && now.Sub(r.reconciled) >= reconcileInterval {
		r.exitsLost += r.noticed
		r.lostBefore, r.reconciled = 0, now
		r.reconcile()
	}
}

// report makes an event of each kind of loss since the last one.
func (r *reader) report() {
	for k, n := range r.account.unreported() {
		boot := bootTime()
		r.enqueue(item{event: event.Event{
			Kind: event.Loss, Boot: boot, Time: r.clock.wall(boot),
			Lost: &event.LossReport{Stage: k.Stage, Event: k.Kind, Count: n},
		}})
	}
}

func (r *reader) sweepCgroups() {
	for _, id := range r.cgroups.sweep(r.table.Cgroups()) {
		if err := r.programs.ForgetCgroup(id); err != nil {
			r.log.Warn("A cgroup that is gone cannot be forgotten", zap.Error(err))
			continue
		}
		r.cgroups.forget(id)
	}
}

// reconcile removes processes whose exit was lost from the table.
func (r *reader) reconcile() {
	since := bootTime()
	alive, err := r.snapshot()
	if err != nil {
		r.log.Warn("The process table cannot be compared with the kernel", zap.Error(err))
		return
	}
	if n := r.table.Reconcile(alive, since, bootTime()); n > 0 {
		r.log.Info("Processes whose exit was lost were removed from the process table", zap.Int("processes", n))
	}
}

// sequence follows the sequence numbers of each CPU.
type sequence struct {
	next    []uint64
	missing uint64 // numbers that were skipped so far
}

func (s *sequence) see(cpu int, seq uint64) {
	for cpu >= len(s.next) {
		s.next = append(s.next, 0)
	}
	if seq > s.next[cpu] {
		s.missing += seq - s.next[cpu]
	}
	s.next[cpu] = seq + 1
}
