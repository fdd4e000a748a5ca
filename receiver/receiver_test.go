// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/tracer"
	"github.com/ringside-otel/ringside/receiver/internal/metadata"
)

func newTestReceiver(t *testing.T, f *fakeSource, next consumer.Logs) *logsReceiver {
	cfg := config.Default()
	cfg.Process.Environment = []string{"LANG"}
	cfg.Retry = fastRetry()
	r, err := newFactory(f.factory).CreateLogs(context.Background(), receivertest.NewNopSettings(metadata.Type), cfg, next)
	require.NoError(t, err)
	return r.(*logsReceiver)
}

func TestReceiverDeliversEventsAndStops(t *testing.T) {
	f, next := &fakeSource{}, new(consumertest.LogsSink)
	r := newTestReceiver(t, f, next)
	require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
	assert.Equal(t, r.cfg.Process, f.cfg)
	for i := range uint32(100) {
		f.batches <- batchOf(i)
	}
	require.NoError(t, r.Shutdown(context.Background()))
	require.NoError(t, r.Shutdown(context.Background()), "a second Shutdown")

	assert.Equal(t, 1, f.started)
	assert.Equal(t, 1, f.stopped)
	assert.Equal(t, 100, next.LogRecordCount())
	for i, logs := range next.AllLogs() {
		assert.Equal(t, []int64{int64(i)}, pidsOf(logs))
	}
}

func TestReceiverStartsAndStopsManyTimes(t *testing.T) {
	for range 100 { // goleak in TestMain sees what stays behind
		r := newTestReceiver(t, &fakeSource{}, consumertest.NewNop())
		require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
		require.NoError(t, r.Shutdown(context.Background()))
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	cause := errors.New("no BTF")
	f := &fakeSource{startErr: cause}
	r := newTestReceiver(t, f, consumertest.NewNop())
	err := r.Start(context.Background(), componenttest.NewNopHost())
	require.ErrorIs(t, err, cause)
	assert.Zero(t, f.stopped, "a source that did not start must not be stopped")
	require.NoError(t, r.Shutdown(context.Background()))
}

func TestErrorOfShutdownIsReturned(t *testing.T) {
	cause := errors.New("detach")
	r := newTestReceiver(t, &fakeSource{stopErr: cause}, consumertest.NewNop())
	require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
	require.ErrorIs(t, r.Shutdown(context.Background()), cause)
}

// statusHost is a collector that keeps what components tell of their status.
type statusHost struct {
	component.Host
	events chan *componentstatus.Event
}

func (h statusHost) Report(e *componentstatus.Event) { h.events <- e }

func TestStatusFollowsLoss(t *testing.T) {
	f := &fakeSource{}
	r := newTestReceiver(t, f, consumertest.NewNop())
	r.statusEvery = time.Millisecond
	host := statusHost{componenttest.NewNopHost(), make(chan *componentstatus.Event, 10)}
	require.NoError(t, r.Start(context.Background(), host))

	for range 2 {
		f.change(func(s *tracer.Stats) { s.Losing = true })
		e := <-host.events
		assert.Equal(t, componentstatus.StatusRecoverableError, e.Status())
		require.ErrorIs(t, e.Err(), errLosing)

		f.change(func(s *tracer.Stats) { s.Losing = false })
		assert.Equal(t, componentstatus.StatusOK, (<-host.events).Status())
	}
	require.NoError(t, r.Shutdown(context.Background()))
	assert.Empty(t, host.events, "a status is reported when it changes, and only then")
}

// generator drives a receiver for receivertest.
type generator struct {
	t      *testing.T
	source *fakeSource
	last   atomic.Uint32
}

func (g *generator) Start() {}
func (g *generator) Stop()  {}

func (g *generator) Generate() []receivertest.UniqueIDAttrVal {
	pid := g.last.Add(2)
	g.source.batches <- batchOf(pid-1, pid)
	return []receivertest.UniqueIDAttrVal{
		receivertest.UniqueIDAttrVal(strconv.Itoa(int(pid - 1))), receivertest.UniqueIDAttrVal(strconv.Itoa(int(pid))),
	}
}

// identified gives the records that go through it the attribute by which receivertest knows them.
type identified struct{ consumer.Logs }

func (c identified) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	for lr := range records(logs) {
		pid, _ := lr.Attributes().Get("process.pid")
		lr.Attributes().PutStr(receivertest.UniqueIDAttrName, strconv.Itoa(int(pid.Int())))
	}
	return c.Logs.ConsumeLogs(ctx, logs)
}

func TestConsumeContract(t *testing.T) {
	f := &fakeSource{}
	inner := newFactory(f.factory)
	factory := receiver.NewFactory(inner.Type(), inner.CreateDefaultConfig,
		receiver.WithLogs(func(ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
			return inner.CreateLogs(ctx, set, cfg, identified{next})
		}, component.StabilityLevelAlpha))
	cfg := config.Default()
	cfg.Retry = fastRetry()
	receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
		T: t, Factory: factory, Signal: pipeline.SignalLogs, Config: cfg, Generator: &generator{t: t, source: f}, GenerateCount: 500,
	})
}

func TestRefusedEventsAreCounted(t *testing.T) {
	f := &fakeSource{}
	r := newTestReceiver(t, f, consumertest.NewErr(errBusy))
	r.cfg.Retry.Enabled = false
	require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
	f.batches <- batchOf(1, 2, 3)
	require.NoError(t, r.Shutdown(context.Background()))
	assert.Equal(t, map[tracer.LostKey]uint64{{Stage: event.StageRefused, Kind: event.Exec}: 3}, f.stats.Lost)
}
