// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"time"

	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/internal/event"
)

// maxBatch is how many events the sink gets at most at once.
const maxBatch = 512

// deliver carries items from the queue to the sink, in order, until the queue is closed and empty.
func (t *Tracer) deliver() {
	batch := make([]event.Event, 0, maxBatch)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := range t.queue {
		batch = append(batch[:0], t.finish(first, timer))
	more:
		for len(batch) < maxBatch {
			select {
			case it, open := <-t.queue:
				if !open {
					break more
				}
				batch = append(batch, t.finish(it, timer))
			default:
				break more
			}
		}
		t.consume(batch)
		clear(batch) // what the events point to is not ours to keep
	}
}

func (t *Tracer) consume(batch []event.Event) {
	if t.draining.Err() != nil {
		t.account.refuse(event.StageShutdown, batch)
		return
	}
	if err := t.sink.Consume(t.draining, batch); err != nil {
		stage := event.StageRefused
		if t.draining.Err() != nil {
			stage = event.StageShutdown
		}
		t.account.refuse(stage, batch)
		t.log.Error("Events are lost: the next consumer refused them for good", zap.Int("events", len(batch)), zap.Error(err))
		return
	}
	t.account.deliver(batch)
}

// finish waits for the digest of an item, for no longer than the user allows.
func (t *Tracer) finish(it item, timer *time.Timer) event.Event {
	if it.ticket == nil {
		return it.event
	}
	if !it.ticket.IsDone() {
		timer.Reset(t.cfg.Digest.Wait - time.Since(it.read))
		select {
		case <-it.ticket.Done():
		case <-timer.C:
		case <-t.draining.Done():
		}
	}
	it.event.Digest = it.ticket.Result()
	return it.event
}
