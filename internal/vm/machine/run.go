// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/console"
	"github.com/ringside-otel/ringside/internal/vm/wire"
)

// consoleTail is how many lines of the console an Outcome has.
const consoleTail = 100

// run is what is known of a machine while it runs.
type run struct {
	sink    Sink
	log     *console.Log
	names   []string
	limit   time.Duration
	started time.Time

	task   int // the one that runs or ran last; -1 before the first
	begun  time.Time
	ended  int
	ready  bool
	done   bool
	told   int // splats that were given to the sink with a task
	fatal  string
	during string
}

type frame struct {
	t       wire.Type
	payload []byte
	err     error
}

func (r *run) consoleWriter(extra io.Writer) io.Writer {
	if extra == nil {
		return r.log
	}
	return io.MultiWriter(r.log, extra)
}

// follow handles frames until the machine has ended, or must be.
func (r *run) follow(ctx context.Context, p *process) error {
	frames := make(chan frame)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			t, payload, err := wire.Read(p.port)
			select {
			case frames <- frame{t, payload, err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	r.during = "boot"
	current := bootLimit
	timer := time.NewTimer(current)
	defer timer.Stop()
	reset := func(d time.Duration) {
		current = d
		timer.Stop()
		if d > 0 {
			timer.Reset(d)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the virtual machine was ended during %s: %w", r.during, context.Cause(ctx))
		case <-timer.C:
			return &HungError{During: r.during, Limit: current}
		case f := <-frames:
			if errors.Is(f.err, io.EOF) {
				// QEMU is going; what it has still to say of the kernel comes before exited.
				return r.awaitExit(p)
			}
			if f.err != nil {
				return fmt.Errorf("during %s: %w", r.during, f.err)
			}
			if err := r.handle(ctx, f, reset); err != nil {
				return err
			}
		}
	}
}

func (r *run) awaitExit(p *process) error {
	select {
	case <-p.exited:
		return nil
	case <-time.After(shutdownLimit):
		return &HungError{During: "power off", Limit: shutdownLimit}
	}
}

func (r *run) handle(ctx context.Context, f frame, limit func(time.Duration)) error {
	switch f.t {
	case wire.Hello:
		r.ready = true
		r.sink.Ready(string(f.payload), time.Since(r.started))
	case wire.Begin:
		r.task++
		r.begun = time.Now()
		if r.task >= len(r.names) {
			return fmt.Errorf("%w: more tasks than were asked for", wire.ErrCorrupt)
		}
		r.during = r.names[r.task]
		limit(r.limit)
		r.sink.Begin(r.task)
	case wire.Stdout, wire.Stderr:
		r.sink.Output(r.task, f.t, f.payload)
	case wire.File:
		if len(f.payload) == 0 {
			return fmt.Errorf("during %s: %w: a file without a number", r.during, wire.ErrCorrupt)
		}
		r.sink.File(r.task, int(f.payload[0]), f.payload[1:])
	case wire.End:
		limit(shutdownLimit)
		return r.end(ctx, f.payload)
	case wire.Done:
		r.done = true
		r.during = "power off"
	case wire.Fatal:
		r.fatal = string(f.payload)
	}
	return nil
}

// end gives a task's result to the sink, when the console has come as far.
func (r *run) end(ctx context.Context, payload []byte) error {
	result := Result{Elapsed: time.Since(r.begun)}
	if err := json.Unmarshal(payload, &result.Exit); err != nil {
		return fmt.Errorf("read exit of %s: %w: %w", r.during, wire.ErrCorrupt, err)
	}
	waiting, cancel := context.WithTimeout(ctx, markerLimit)
	defer cancel()
	if err := r.log.Await(waiting, r.task); err != nil {
		return fmt.Errorf("read console of %s: %w", r.during, err)
	}
	for _, s := range r.log.Splats()[r.told:] {
		r.told++
		result.Splats = append(result.Splats, s)
	}
	r.ended++
	r.during = "what follows " + r.names[r.task]
	r.sink.End(r.task, result)
	return nil
}

func (r *run) outcome() Outcome {
	return Outcome{
		Ended: r.ended, Started: r.task + 1,
		Splats: r.log.Splats()[r.told:], Console: r.log.Tail(consoleTail),
	}
}

// explain turns an end that came too early into an error.
func (r *run) explain(err error, p *process) error {
	if err != nil || r.done {
		return err
	}
	reasons := []string{r.fatal, strings.TrimSpace(p.stderr.String())}
	for _, line := range r.log.Tail(consoleTail) {
		// What init had to say when there was no port to say it through.
		if said, ok := strings.CutPrefix(line, wire.Marker+" "); ok && r.fatal == "" {
			reasons = append(reasons, said)
		}
	}
	if splats := r.log.Splats()[r.told:]; len(splats) > 0 {
		reasons = append(reasons, splats[0].Headline)
	}
	if p.err != nil {
		reasons = append(reasons, p.err.Error())
	}
	var known []string
	for _, reason := range reasons {
		if reason != "" {
			known = append(known, reason)
		}
	}
	return &DiedError{During: r.during, Reason: strings.Join(known, ": ")}
}
