// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/footprint"
	"github.com/ringside-otel/ringside/internal/tracer"
)

// statusEvery is how often the receiver looks whether events are being lost.
const statusEvery = 2 * time.Second

// errLosing is why the receiver's status is a recoverable error.
var errLosing = errors.New("events are being lost; the ringside.loss events and otelcol_ringside_events_lost tell which and where")

// logsReceiver is the component. Start and Shutdown are called once each, in this order, or Shutdown alone.
type logsReceiver struct {
	set         receiver.Settings
	cfg         *config.Config
	next        consumer.Logs
	newSource   newSource
	statusEvery time.Duration

	source    eventSource
	telemetry *telemetry
	stopWatch func()
}

// Start implements component.Component. When it returns an error nothing is left behind.
func (r *logsReceiver) Start(ctx context.Context, host component.Host) error {
	if err := r.start(ctx, host); err != nil {
		return errors.Join(err, r.Shutdown(ctx))
	}
	return nil
}

func (r *logsReceiver) start(ctx context.Context, host component.Host) error {
	facts, err := readHost("/")
	if err != nil {
		return err
	}
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID:             r.set.ID,
		Transport:              "ebpf",
		LongLivedCtx:           true,
		ReceiverCreateSettings: r.set,
	})
	if err != nil {
		return fmt.Errorf("prepare the receiver's own metrics: %w", err)
	}
	source := r.newSource(r.cfg.Process, &sink{
		next:      r.next,
		converter: newConverter(facts, r.set.BuildInfo.Version, r.cfg.Process.Environment),
		retry:     r.cfg.Retry,
		obs:       obs,
		log:       r.set.Logger,
	}, r.set.Logger)
	if err := source.Start(ctx); err != nil {
		return fmt.Errorf("start the kernel part: %w", err)
	}
	r.source = source

	account := &account{source: source.Stats, age: min(statsAge, r.statusEvery/2)}
	if r.telemetry, err = startTelemetry(r.set, account); err != nil {
		return fmt.Errorf("report metrics: %w", err)
	}
	r.watch(host, account)
	// Receivers start last: what the start of the collector needed is not needed any more.
	if err := footprint.Release(); err != nil {
		r.set.Logger.Warn("the memory that only the start needed is kept", zap.Error(err))
	}
	return nil
}

// Shutdown implements component.Component. It drains what the kernel and the queue hold until ctx ends.
func (r *logsReceiver) Shutdown(ctx context.Context) error {
	if r.stopWatch != nil {
		r.stopWatch()
		r.stopWatch = nil
	}
	var err error
	if r.source != nil {
		if err = r.source.Shutdown(ctx); err != nil {
			err = fmt.Errorf("stop the kernel part: %w", err)
		}
		r.reportLoss()
		r.source = nil
	}
	if r.telemetry != nil {
		r.telemetry.stop()
		r.telemetry = nil
	}
	return err
}

// reportLoss tells what was lost since the start. Nothing else can tell of the events that were lost while stopping: their
// loss event would have come after the last batch.
func (r *logsReceiver) reportLoss() {
	stats, err := r.source.Stats()
	if err != nil {
		r.set.Logger.Warn("the account of events cannot be read", zap.Error(err))
		return
	}
	for key, n := range stats.Lost {
		if n > 0 {
			r.set.Logger.Warn("events were lost since the start",
				zap.String("event", eventName(key.Kind)), zap.String("stage", string(key.Stage)), zap.Uint64("count", n))
		}
	}
}

// watch follows the account and turns the status of the component to a recoverable error while events are being lost.
func (r *logsReceiver) watch(host component.Host, account *account) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(r.statusEvery)
		defer ticker.Stop()
		losing := false
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				stats, err := account.recent()
				if err == nil && stats.Losing != losing {
					losing = stats.Losing
					r.reportStatus(host, losing, stats)
				}
			}
		}
	})
	r.stopWatch = func() {
		cancel()
		done.Wait()
	}
}

func (r *logsReceiver) reportStatus(host component.Host, losing bool, stats tracer.Stats) {
	if !losing {
		r.set.Logger.Info("no events are being lost any more")
		componentstatus.ReportStatus(host, componentstatus.NewEvent(componentstatus.StatusOK))
		return
	}
	var lost uint64
	for _, n := range stats.Lost {
		lost += n
	}
	r.set.Logger.Error(errLosing.Error(), zap.Uint64("since_start", lost))
	componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(errLosing))
}
