// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"testing"

	"github.com/ringside-otel/ringside/internal/event"
)

// history is what was told of one process, in order.
type history []event.Event

// historyOf returns what events tell of the process with a PID.
func historyOf(events []event.Event, pid int) history {
	var h history
	for _, ev := range events {
		if ev.Process != nil && int(ev.Process.ID.PID) == pid {
			h = append(h, ev)
		}
	}
	return h
}

// kinds says what was told, as "fork exec exit".
func (h history) kinds() string {
	s := ""
	for i := range h {
		if i > 0 {
			s += " "
		}
		s += h[i].Kind.String()
	}
	return s
}

// want fails the test at once unless h tells these kinds, in this order.
func (h history) want(t *testing.T, kinds string) {
	t.Helper()
	if got := h.kinds(); got != kinds {
		t.Fatalf("told %q, want %q: %+v", got, kinds, h)
	}
}

// last returns the last event of a kind, which must be there.
func (h history) last(t *testing.T, kind event.Kind) event.Event {
	t.Helper()
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Kind == kind {
			return h[i]
		}
	}
	t.Fatalf("no %v among %q", kind, h.kinds())
	return event.Event{}
}
