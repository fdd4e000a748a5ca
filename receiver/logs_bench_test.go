// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/ringside-otel/ringside/internal/event"
)

// batchSize is about how many events come at once from a machine that is busy.
const batchSize = 64

func benchmarkConvert(b *testing.B, e event.Event) {
	c := newConverter(testHost(), "1.0.0", nil)
	batch := make([]event.Event, batchSize)
	for i := range batch {
		batch[i] = e
	}
	b.ReportAllocs()
	// b.N counts records, so that the figures are per event.
	for left := b.N; left > 0; left -= batchSize {
		n := min(left, batchSize)
		if logs := c.convert(batch[:n]); logs.LogRecordCount() != n {
			b.Fatalf("%d records of %d events", logs.LogRecordCount(), n)
		}
	}
}

func BenchmarkExecRecord(b *testing.B) { benchmarkConvert(b, plainExec()) }
func BenchmarkExitRecord(b *testing.B) { benchmarkConvert(b, plainExit()) }
func BenchmarkLossRecord(b *testing.B) { benchmarkConvert(b, loss()) }

func BenchmarkExecRecordInPod(b *testing.B) {
	e := plainExec()
	inPod(e.Process)
	benchmarkConvert(b, e)
}

func BenchmarkExecRecordAsProtobuf(b *testing.B) {
	c := newConverter(testHost(), "1.0.0", nil)
	batch := []event.Event{plainExec()}
	logs := c.convert(batch)
	var marshaler plog.ProtoMarshaler
	b.ReportAllocs()
	for b.Loop() {
		if _, err := marshaler.MarshalLogs(logs); err != nil {
			b.Fatal(err)
		}
	}
}
