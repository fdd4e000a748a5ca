// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/receiver/internal/metadata"
)

var errBusy = errors.New("busy")

// fastRetry retries without a wait that a test would notice.
func fastRetry() configretry.BackOffConfig {
	return configretry.BackOffConfig{
		Enabled: true, InitialInterval: time.Microsecond, MaxInterval: time.Millisecond, Multiplier: 1.5, MaxElapsedTime: time.Minute,
	}
}

// script is a consumer that answers as a test tells it, and keeps the PIDs of what it took.
type script struct {
	mutates bool
	// answer gets the number of the call, from 0, and may change the records when mutates is set.
	answer func(call int, logs plog.Logs) error
	calls  int
	taken  []int64
	seen   [][]int64 // of each call
}

func (s *script) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: s.mutates}
}

func (s *script) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	pids := pidsOf(logs)
	s.seen = append(s.seen, pids)
	err := s.answer(s.calls, logs)
	s.calls++
	if err == nil {
		s.taken = append(s.taken, pids...)
	}
	return err
}

func pidsOf(logs plog.Logs) (pids []int64) {
	for lr := range records(logs) {
		if v, ok := lr.Attributes().Get("process.pid"); ok {
			pids = append(pids, v.Int())
		}
	}
	return pids
}

// records yields all records in order.
func records(logs plog.Logs) func(yield func(plog.LogRecord) bool) {
	return func(yield func(plog.LogRecord) bool) {
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					if !yield(lr) {
						return
					}
				}
			}
		}
	}
}

// batchOf returns execs with these PIDs.
func batchOf(pids ...uint32) []event.Event {
	batch := make([]event.Event, len(pids))
	for i, pid := range pids {
		batch[i] = plainExec()
		batch[i].Process.ID.PID = pid
	}
	return batch
}

func newTestSink(t *testing.T, next consumer.Logs, retry configretry.BackOffConfig) (*sink, *componenttest.Telemetry) {
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: set.ID, ReceiverCreateSettings: set})
	require.NoError(t, err)
	return &sink{next: next, converter: newConverter(testHost(), "1.0.0", nil), retry: retry, obs: obs, log: zap.NewNop()}, telemetry
}

func TestRefusedBatchIsOfferedAgainUntilTaken(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		t.Run(fmt.Sprintf("mutates=%v", mutates), func(t *testing.T) {
			next := &script{mutates: mutates, answer: func(call int, logs plog.Logs) error {
				if mutates { // what a processor does before one behind it refuses
					logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
				}
				if call%4 != 3 {
					return errBusy
				}
				return nil
			}}
			s, _ := newTestSink(t, next, fastRetry())
			for i := range uint32(5) {
				require.NoError(t, s.Consume(context.Background(), batchOf(10*i+1, 10*i+2)))
			}
			assert.Equal(t, []int64{1, 2, 11, 12, 21, 22, 31, 32, 41, 42}, next.taken)
			assert.Equal(t, 20, next.calls)
		})
	}
}

func TestPartOfABatchThatWasTakenIsNotOfferedAgain(t *testing.T) {
	for _, mutates := range []bool{false, true} {
		t.Run(fmt.Sprintf("mutates=%v", mutates), func(t *testing.T) {
			next := &script{mutates: mutates}
			next.answer = func(call int, logs plog.Logs) error {
				switch call {
				case 0: // takes the first record
					rest := plog.NewLogs()
					logs.CopyTo(rest)
					rest.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().RemoveIf(func(lr plog.LogRecord) bool {
						pid, _ := lr.Attributes().Get("process.pid")
						return pid.Int() == 1
					})
					return consumererror.NewLogs(errBusy, rest)
				case 1:
					if mutates {
						logs.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
					}
					return errBusy
				}
				return nil
			}
			s, _ := newTestSink(t, next, fastRetry())
			require.NoError(t, s.Consume(context.Background(), batchOf(1, 2, 3)))
			assert.Equal(t, [][]int64{{1, 2, 3}, {2, 3}, {2, 3}}, next.seen)
		})
	}
}

func TestBatchIsLost(t *testing.T) {
	permanent := consumererror.NewPermanent(errors.New("no such field"))
	ended, end := context.WithCancel(context.Background())
	end()
	short := fastRetry()
	short.MaxElapsedTime = time.Millisecond
	off := fastRetry()
	off.Enabled = false

	for _, tc := range []struct {
		name  string
		ctx   context.Context
		retry configretry.BackOffConfig
		err   error
		want  string
		calls int // 0 for any number
	}{
		{"when it is refused for good", context.Background(), fastRetry(), permanent, "refused for good", 1},
		{"when retries are off", context.Background(), off, errBusy, "retry_on_failure is off", 1},
		{"when the time for retries is over", context.Background(), short, errBusy, "max_elapsed_time (1ms)", 0},
		{"when the time for draining is over", ended, fastRetry(), errBusy, "gave up", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := &script{answer: func(int, plog.Logs) error { return tc.err }}
			s, telemetry := newTestSink(t, next, tc.retry)
			err := s.Consume(tc.ctx, batchOf(1, 2))
			require.ErrorContains(t, err, tc.want)
			require.ErrorIs(t, err, tc.err)
			if tc.ctx.Err() != nil {
				require.ErrorIs(t, err, tc.ctx.Err())
			}
			if tc.calls > 0 {
				assert.Equal(t, tc.calls, next.calls)
			}
			assert.Empty(t, next.taken)
			assert.EqualValues(t, 2, counter(t, telemetry, "otelcol_receiver_refused_log_records")+counter(t, telemetry, "otelcol_receiver_failed_log_records"))

			next.answer = func(int, plog.Logs) error { return nil }
			require.NoError(t, s.Consume(context.Background(), batchOf(3)), "one lost batch must not stop the next")
			assert.Equal(t, []int64{3}, next.taken)
			assert.EqualValues(t, 1, counter(t, telemetry, "otelcol_receiver_accepted_log_records"))
		})
	}
}

// counter returns the sum of all points of a metric, 0 when it is not there.
func counter(t *testing.T, telemetry *componenttest.Telemetry, name string) int64 {
	m, err := telemetry.GetMetric(name)
	if err != nil {
		return 0
	}
	sum, ok := m.Data.(metricdata.Sum[int64])
	require.True(t, ok, name)
	total := int64(0)
	for _, p := range sum.DataPoints {
		total += p.Value
	}
	return total
}
