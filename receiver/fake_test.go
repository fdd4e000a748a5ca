// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/tracer"
)

// fakeSource is an event source that needs no kernel: it hands what a test gives it to the sink, one batch at a time, and counts as
// a tracer does.
type fakeSource struct {
	cfg      config.Process
	sink     tracer.Sink
	startErr error
	stopErr  error

	batches chan []event.Event
	done    sync.WaitGroup

	mu      sync.Mutex
	started int
	stopped int
	stats   tracer.Stats
	err     error // of Stats
}

// factory is a newSource that gives out f.
func (f *fakeSource) factory(cfg config.Process, sink tracer.Sink, _ *zap.Logger) eventSource {
	f.cfg, f.sink = cfg, sink
	f.batches = make(chan []event.Event)
	f.stats.Delivered, f.stats.Lost = map[event.Kind]uint64{}, map[tracer.LostKey]uint64{}
	return f
}

func (f *fakeSource) Start(context.Context) error {
	if f.startErr != nil {
		return f.startErr
	}
	f.started++
	f.done.Go(func() {
		for batch := range f.batches {
			err := f.sink.Consume(context.Background(), batch)
			f.mu.Lock()
			for _, e := range batch {
				if err != nil {
					f.stats.Lost[tracer.LostKey{Stage: event.StageRefused, Kind: e.Kind}]++
				} else {
					f.stats.Delivered[e.Kind]++
				}
			}
			f.mu.Unlock()
		}
	})
	return nil
}

func (f *fakeSource) Shutdown(context.Context) error {
	f.stopped++
	close(f.batches)
	f.done.Wait()
	return f.stopErr
}

func (f *fakeSource) Stats() (tracer.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats, f.err
}

// change changes what Stats returns.
func (f *fakeSource) change(change func(s *tracer.Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
}
