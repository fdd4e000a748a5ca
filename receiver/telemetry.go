// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/internal/tracer"
	"github.com/ringside-otel/ringside/receiver/internal/metadata"
)

// statsAge is how old an account may be that the instruments report: all instruments of one collection use the same,
// and reading it takes system calls.
const statsAge = time.Second

// account is the tracer's account of its events, read not more often than every age. It is safe for concurrent use.
type account struct {
	source func() (tracer.Stats, error)
	age    time.Duration

	mu    sync.Mutex
	read  time.Time
	stats tracer.Stats
	err   error
}

// recent returns an account that is not older than age.
func (a *account) recent() (tracer.Stats, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.read.IsZero() || time.Since(a.read) >= a.age {
		a.stats, a.err = a.source()
		a.read = time.Now()
	}
	return a.stats, a.err
}

// telemetry reports the account as the collector's internal metrics.
type telemetry struct {
	builder  *metadata.TelemetryBuilder
	account  *account
	receiver attribute.KeyValue
	log      *zap.Logger
}

// startTelemetry begins to report. The metrics of two receivers differ by the attribute "receiver".
func startTelemetry(set receiver.Settings, a *account) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	t := &telemetry{builder: builder, account: a, receiver: attribute.String("receiver", set.ID.String()), log: set.Logger}
	if err := t.register(); err != nil {
		builder.Shutdown()
		return nil, err
	}
	return t, nil
}

// stop ends the reports.
func (t *telemetry) stop() { t.builder.Shutdown() }

func (t *telemetry) register() error {
	b := t.builder
	return errors.Join(
		b.RegisterRingsideEventsProducedCallback(t.integers(func(s *tracer.Stats, observe observeInt) {
			for kind, n := range s.Produced {
				observe(int64(n), attribute.String("event", eventName(kind)))
			}
		})),
		b.RegisterRingsideEventsDeliveredCallback(t.integers(func(s *tracer.Stats, observe observeInt) {
			for kind, n := range s.Delivered {
				observe(int64(n), attribute.String("event", eventName(kind)))
			}
		})),
		b.RegisterRingsideEventsLostCallback(t.integers(func(s *tracer.Stats, observe observeInt) {
			for key, n := range s.Lost {
				observe(int64(n), attribute.String("event", eventName(key.Kind)), attribute.String("stage", string(key.Stage)))
			}
		})),
		b.RegisterRingsideProgramRunsCallback(t.integers(func(s *tracer.Stats, observe observeInt) {
			for _, p := range s.Programs {
				if p.Runs > 0 { // otherwise the kernel does not count
					observe(int64(p.Runs), attribute.String("program", p.Name))
				}
			}
		})),
		b.RegisterRingsideProgramRunTimeCallback(t.runTimes),
		b.RegisterRingsideRingUsedCallback(t.integer(func(s *tracer.Stats) int64 { return int64(s.RingBytes) })),
		b.RegisterRingsideRingSizeCallback(t.integer(func(s *tracer.Stats) int64 { return int64(s.RingSize) })),
		b.RegisterRingsideQueueLengthCallback(t.integer(func(s *tracer.Stats) int64 { return int64(s.QueueLength) })),
		b.RegisterRingsideQueueCapacityCallback(t.integer(func(s *tracer.Stats) int64 { return int64(s.QueueSize) })),
		b.RegisterRingsideProcessesCallback(t.integer(func(s *tracer.Stats) int64 { return int64(s.Processes) })),
		b.RegisterRingsideDecodeErrorsCallback(t.integer(func(s *tracer.Stats) int64 { return int64(s.DecodeErrors) })),
		b.RegisterRingsideSequenceGapsCallback(t.integer(func(s *tracer.Stats) int64 { return int64(s.SequenceGaps) })),
	)
}

// observeInt reports one value; the attribute of the receiver is added to the others.
type observeInt func(value int64, attributes ...attribute.KeyValue)

// integers is a callback that reports some values of an account.
func (t *telemetry) integers(report func(*tracer.Stats, observeInt)) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		if stats, ok := t.recent(); ok {
			report(&stats, func(value int64, attributes ...attribute.KeyValue) {
				o.Observe(value, metric.WithAttributes(append(attributes, t.receiver)...))
			})
		}
		return nil
	}
}

// integer is a callback that reports one value of an account.
func (t *telemetry) integer(value func(*tracer.Stats) int64) metric.Int64Callback {
	return t.integers(func(s *tracer.Stats, observe observeInt) { observe(value(s)) })
}

// runTimes reports the run time of each program.
func (t *telemetry) runTimes(_ context.Context, o metric.Float64Observer) error {
	if stats, ok := t.recent(); ok {
		for _, p := range stats.Programs {
			if p.Runs > 0 {
				o.Observe(p.RunTime.Seconds(), metric.WithAttributes(attribute.String("program", p.Name), t.receiver))
			}
		}
	}
	return nil
}

// recent returns the account, and false when it cannot be read: then nothing is reported, which is not the same as zero.
func (t *telemetry) recent() (tracer.Stats, bool) {
	stats, err := t.account.recent()
	if err != nil {
		t.log.Warn("the account of events cannot be read; its metrics are not reported", zap.Error(err))
		return stats, false
	}
	return stats, true
}
