// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// programs are what the test binary does instead of testing when helperEnv names one: it is the
// program that the tests execute.
var programs = map[string]func(args []string){
	"true":   func([]string) {},
	"plan":   runPlan,
	"spoof":  spoof,
	"launch": launch,
	"stack":  stack,
	"inner":  inner,
	"pivot":  pivot,
	"parent": parent,
}

// helperEnv names the program that the test binary is to be.
const helperEnv = "RINGSIDE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		program, ok := programs[name]
		if !ok {
			fmt.Fprintln(os.Stderr, "no such program:", name)
			os.Exit(127)
		}
		program(os.Args[1:])
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// recorder is a tracer under test, with a sink that keeps everything.
type recorder struct {
	*Tracer
	t *testing.T

	mu     sync.Mutex
	events []event.Event
	// consume, when set, decides about each batch instead.
	consume func(ctx context.Context, batch []event.Event) error
}

// record starts a tracer. stop, or the end of the test, stops it.
func record(t *testing.T, options ...func(*config.Process)) *recorder {
	t.Helper()
	r := newRecorder(t, options...)
	r.start()
	return r
}

func newRecorder(t *testing.T, options ...func(*config.Process)) *recorder {
	t.Helper()
	vmtest.Root(t)
	cfg := config.Default().Process
	for _, o := range options {
		o(&cfg)
	}
	r := &recorder{t: t}
	r.Tracer = New(cfg, r, zaptest.NewLogger(t))
	return r
}

func (r *recorder) start() {
	r.t.Helper()
	if err := r.Start(context.Background()); err != nil {
		r.t.Fatalf("start: %+v", err)
	}
	r.t.Cleanup(func() {
		if err := r.Shutdown(context.Background()); err != nil {
			r.t.Errorf("shutdown: %v", err)
		}
	})
}

// Consume is the sink.
func (r *recorder) Consume(ctx context.Context, batch []event.Event) error {
	if r.consume != nil {
		if err := r.consume(ctx, batch); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, batch...)
	return nil
}

// stop shuts the tracer down, checks that every event is accounted for, and returns what was delivered.
func (r *recorder) stop() []event.Event {
	r.t.Helper()
	if err := r.Shutdown(context.Background()); err != nil {
		r.t.Fatalf("shutdown: %v", err)
	}
	r.checkAccount()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}

// stopWhole is stop for a test in which nothing may be lost.
func (r *recorder) stopWhole() []event.Event {
	r.t.Helper()
	events := r.stop()
	s, err := r.Stats()
	if err != nil {
		r.t.Fatal(err)
	}
	if len(s.Lost) > 0 {
		r.t.Errorf("events were lost: %v", s.Lost)
	}
	return events
}

// checkAccount holds a stopped tracer to: produced = delivered + lost, and no gap that no counter explains.
func (r *recorder) checkAccount() {
	r.t.Helper()
	s, err := r.Stats()
	if err != nil {
		r.t.Fatal(err)
	}
	if s.SequenceGaps != 0 || s.DecodeErrors != 0 {
		r.t.Errorf("%d unexplained gaps, %d decode errors", s.SequenceGaps, s.DecodeErrors)
	}
	lost := map[event.Kind]uint64{}
	for k, n := range s.Lost {
		lost[k.Kind] += n
	}
	for _, kind := range event.Kinds {
		if s.Produced[kind] != s.Delivered[kind]+lost[kind] {
			r.t.Errorf("%v: %d produced, but %d delivered and %d lost: %+v", kind, s.Produced[kind], s.Delivered[kind], lost[kind], s)
		}
	}
}

// wait returns the first delivered event that matches, waiting up to ten seconds for it.
func (r *recorder) wait(what string, match func(*event.Event) bool) event.Event {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		for i := range r.events {
			if match(&r.events[i]) {
				ev := r.events[i]
				r.mu.Unlock()
				return ev
			}
		}
		r.mu.Unlock()
	}
	r.t.Fatalf("no event: %s", what)
	return event.Event{}
}

// waitExec waits for the exec of a process.
func (r *recorder) waitExec(pid int) event.Event {
	r.t.Helper()
	return r.wait(fmt.Sprintf("exec of %d", pid), func(e *event.Event) bool {
		return e.Kind == event.Exec && int(e.Process.ID.PID) == pid
	})
}

// waitExit waits for the exit of a process.
func (r *recorder) waitExit(pid int) event.Event {
	r.t.Helper()
	return r.wait(fmt.Sprintf("exit of %d", pid), func(e *event.Event) bool {
		return e.Kind == event.Exit && int(e.Process.ID.PID) == pid
	})
}
