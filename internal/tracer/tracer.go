// SPDX-License-Identifier: Apache-2.0

// Package tracer is the loop: it reads the kernel's ring, decodes, follows processes, enriches, and hands events in order to
// a sink.
//
// Two goroutines carry an event, one for each place where it may have to wait: the reader waits for the kernel, the
// deliverer for digests and for the sink. The queue between them is bounded; when it is full the reader stops, and the
// ring absorbs. Every event that the kernel generated is delivered or counted as lost, with where and why.
package tracer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/decode"
	"github.com/ringside-otel/ringside/internal/enrich"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/kernel"
	"github.com/ringside-otel/ringside/internal/load"
	"github.com/ringside-otel/ringside/internal/process"
)

// Sink takes events. Consume is called by one goroutine at a time, in order, and may block: while it does, events wait in
// the queue and then in the kernel's ring. What the events of the batch point to may be kept, but not changed, after
// the call; the batch itself may not be kept. An error means that the whole batch is lost for good; the tracer counts it.
type Sink interface {
	Consume(ctx context.Context, batch []event.Event) error
}

// drainTime bounds a shutdown: the collector gives its components no deadline, and whoever stops it (systemd, the kubelet) waits for
// tens of seconds before it kills.
const drainTime = 10 * time.Second

// Tracer owns the kernel part and the way of an event from there to a sink.
type Tracer struct {
	cfg  config.Process
	sink Sink
	log  *zap.Logger

	programs *load.Process
	ring     *ringbuf.Reader
	users    *enrich.Users
	digests  *enrich.Digests // nil when switched off
	clock    *clock
	account  *account

	// Of the reader alone, once it runs.
	decoder  *decode.Decoder
	table    *process.Table
	cgroups  *cgroups
	host     event.Namespaces
	sequence sequence

	running   sync.Mutex // held while what Stats looks at comes or goes
	queue     chan item
	stopping  chan struct{}      // closed to ask the reader to drain and end
	draining  context.Context    // ends when there is no more time
	abandon   context.CancelFunc // ends all waiting
	goroutine sync.WaitGroup
}

// New returns a tracer that is not started.
func New(cfg config.Process, sink Sink, log *zap.Logger) *Tracer {
	return &Tracer{cfg: cfg, sink: sink, log: log, account: newAccount()}
}

// Start loads and attaches the kernel part, takes the snapshot of running processes, and begins to read. When
// it returns an error nothing is left behind.
func (t *Tracer) Start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, t.release(ctx))
		}
	}()
	if err := kernel.Check(); err != nil {
		return err
	}
	for _, limit := range kernel.Limits() {
		t.log.Warn("Some things will not be known: " + limit)
	}
	maxEnv := 0
	if len(t.cfg.Environment) > 0 {
		maxEnv = t.cfg.MaxEnvironmentSize
	}
	t.programs, err = load.LoadProcess(load.Options{RingSize: t.cfg.RingSize, MaxArgs: t.cfg.MaxArgsSize, MaxEnv: maxEnv})
	if err != nil {
		return kernel.Explain(err)
	}
	if t.ring, err = ringbuf.NewReader(t.programs.Ring()); err != nil {
		return fmt.Errorf("map the ring buffer: %w", err)
	}
	if t.clock, err = newClock(); err != nil {
		return err
	}
	t.users = enrich.NewUsers(enrich.UsersConfig{})
	if d := t.cfg.Digest; d.Enabled {
		t.digests = enrich.NewDigests(enrich.DigestConfig{MaxFileSize: d.MaxFileSize, CacheSize: d.CacheSize})
	}
	t.decoder = decode.New()
	t.table = process.NewTable(t.cfg.ExitGrace, t.complete)
	t.cgroups = newCgroups()
	if _, err := t.snapshot(); err != nil {
		return err
	}
	t.run()
	return nil
}

// Stats returns the account. It may be called at any time by any goroutine; while the tracer does not run it is the last one.
func (t *Tracer) Stats() (Stats, error) {
	t.running.Lock()
	defer t.running.Unlock()
	var programs []load.Program
	s := Stats{QueueSize: t.cfg.QueueSize, QueueLength: len(t.queue)}
	if t.queue != nil {
		a, err := t.programs.Account()
		if err != nil {
			return Stats{}, err
		}
		t.account.setKernel(a)
		if programs, err = t.programs.Programs(); err != nil {
			return Stats{}, err
		}
		s.RingBytes, s.RingSize = uint64(t.ring.AvailableBytes()), uint64(t.ring.BufferSize())
	}
	t.account.fill(&s)
	s.Programs = programs
	return s, nil
}

func (t *Tracer) run() {
	t.running.Lock()
	defer t.running.Unlock()
	t.queue = make(chan item, t.cfg.QueueSize)
	t.stopping = make(chan struct{})
	t.draining, t.abandon = context.WithCancel(context.Background())
	t.goroutine.Go(t.read)
	t.goroutine.Go(t.deliver)
}

// Shutdown detaches, drains ring and queue until ctx ends, for ten seconds at most, and counts the rest as lost.
func (t *Tracer) Shutdown(ctx context.Context) error {
	if t.queue == nil {
		return t.release(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	errs := []error{t.programs.Detach()}
	close(t.stopping)
	errs = append(errs, t.ring.Flush())
	stop := context.AfterFunc(ctx, t.abandon)
	t.goroutine.Wait()
	stop()
	t.abandon()
	t.running.Lock()
	defer t.running.Unlock()
	t.queue = nil
	return errors.Join(append(errs, t.release(context.WithoutCancel(ctx)))...)
}

// release gives back what Start took, whatever part of it that is.
func (t *Tracer) release(ctx context.Context) error {
	var errs []error
	if t.ring != nil {
		errs = append(errs, t.ring.Close())
	}
	if t.programs != nil {
		if a, err := t.programs.Account(); err == nil {
			t.account.setKernel(a)
		}
		errs = append(errs, t.programs.Close())
	}
	if t.digests != nil {
		errs = append(errs, t.digests.Close(ctx))
	}
	if t.users != nil {
		t.users.Close()
	}
	if t.clock != nil {
		t.clock.close()
	}
	t.ring, t.digests, t.users, t.clock = nil, nil, nil, nil
	return errors.Join(errs...)
}
