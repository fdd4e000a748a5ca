// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v7"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/internal/event"
)

// dataFormat is what the collector's own telemetry calls the data that comes in.
const dataFormat = "ringside"

// sink turns events into records and hands them to the next consumer. It keeps a batch until that consumer took it, so that
// waiting for the consumer slows whoever calls Consume.
type sink struct {
	next      consumer.Logs
	converter *converter
	retry     configretry.BackOffConfig
	obs       *receiverhelper.ObsReport
	log       *zap.Logger
}

// Consume implements tracer.Sink.
func (s *sink) Consume(ctx context.Context, batch []event.Event) error {
	ctx = s.obs.StartLogsOp(ctx)
	err := s.deliver(ctx, batch)
	s.obs.EndLogsOp(ctx, dataFormat, len(batch), err)
	return err
}

// deliver offers a batch until it is taken, refused for good, or the time for retries or ctx is over.
func (s *sink) deliver(ctx context.Context, batch []event.Event) error {
	offer := offer{batch: batch, converter: s.converter, mutable: s.next.Capabilities().MutatesData}
	logs := offer.first()
	err := s.next.ConsumeLogs(ctx, logs)
	if err == nil {
		return nil
	}

	delays := backoff.ExponentialBackOff{
		InitialInterval:     s.retry.InitialInterval,
		RandomizationFactor: s.retry.RandomizationFactor,
		Multiplier:          s.retry.Multiplier,
		MaxInterval:         s.retry.MaxInterval,
	}
	started := time.Now()
	for ; err != nil; err = s.next.ConsumeLogs(ctx, logs) {
		if consumererror.IsPermanent(err) {
			return fmt.Errorf("refused for good: %w", err)
		}
		if !s.retry.Enabled {
			return fmt.Errorf("refused, and retry_on_failure is off: %w", err)
		}
		delay := delays.NextBackOff()
		if limit := s.retry.MaxElapsedTime; limit > 0 && time.Since(started)+delay > limit {
			return fmt.Errorf("refused for longer than retry_on_failure::max_elapsed_time (%v): %w", limit, err)
		}
		s.log.Info("the next consumer refused a batch; it is kept and offered again",
			zap.Error(err), zap.Int("events", len(batch)), zap.Duration("after", delay))
		if stopped := wait(ctx, delay); stopped != nil {
			return fmt.Errorf("gave up (%w) on a batch that was refused: %w", stopped, err)
		}
		logs = offer.again(logs, err)
	}
	return nil
}

// wait waits for d, or until ctx ends, and then returns why.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// offer makes the records that a consumer is offered at each attempt.
type offer struct {
	batch     []event.Event
	converter *converter
	mutable   bool // the consumer may have changed what it refused
	// rest is what a consumer that took a part of the records has left.
	rest    plog.Logs
	partial bool
}

func (o *offer) first() plog.Logs { return o.converter.convert(o.batch) }

// again returns what to offer after refused was met with err.
func (o *offer) again(refused plog.Logs, err error) plog.Logs {
	var part consumererror.Logs
	if errors.As(err, &part) {
		o.rest, o.partial = part.Data(), true
		refused = o.rest
	}
	switch {
	case !o.mutable:
		return refused
	case o.partial:
		logs := plog.NewLogs()
		o.rest.CopyTo(logs)
		return logs
	default:
		return o.converter.convert(o.batch)
	}
}
