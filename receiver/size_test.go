// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/ringside-otel/ringside/internal/event"
)

func TestSizeOfRecords(t *testing.T) {
	// What a record costs in every pipeline, store and bill behind the collector.
	podExec := plainExec()
	inPod(podExec.Process)
	for _, tc := range []struct {
		name  string
		event event.Event
		most  int
	}{
		{"exec", plainExec(), 1500},
		{"exec in a pod", podExec, 1800},
		{"exit", plainExit(), 1000},
		{"fork", plainFork(), 800},
		{"loss", loss(), 250},
	} {
		c := newConverter(testHost(), "1.0.0", nil)
		size := func(n int) int {
			batch := make([]event.Event, n)
			for i := range batch {
				batch[i] = tc.event
			}
			return (&plog.ProtoMarshaler{}).LogsSize(c.convert(batch))
		}
		each := size(2) - size(1) // without the resource, which is there once in a batch
		t.Logf("%s: %d bytes", tc.name, each)
		assert.LessOrEqual(t, each, tc.most, tc.name)
	}
}
