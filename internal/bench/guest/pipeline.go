// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/ringside-otel/ringside/receiver"
)

// settle is long enough for everything on the ring to be read.
const settle = 200 * time.Millisecond

// counter is a consumer that does nothing but count, and keep what it gets while it is told to.
type counter struct {
	records atomic.Int64

	mu   sync.Mutex
	keep bool
	kept []plog.Logs
}

func (*counter) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (c *counter) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	c.records.Add(int64(logs.LogRecordCount()))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep {
		c.kept = append(c.kept, logs)
	}
	return nil
}

// cost is what the measuring process itself did, for one process of a load.
type cost struct{ instructions, allocations, bytes float64 }

func (c cost) minus(d cost) cost {
	return cost{c.instructions - d.instructions, c.allocations - d.allocations, c.bytes - d.bytes}
}

func (c cost) plus(d cost) cost {
	return cost{c.instructions + d.instructions, c.allocations + d.allocations, c.bytes + d.bytes}
}

func (c cost) over(n int) cost {
	return cost{c.instructions / float64(n), c.allocations / float64(n), c.bytes / float64(n)}
}

// pipeline measures user space, from the ring to a consumer that does nothing, and the size of a record.
func pipeline(b *bench) (err error) {
	if err := setStats(false); err != nil {
		return err
	}
	c := &counter{}
	factory := receiver.NewFactory()
	r, err := factory.CreateLogs(context.Background(), receivertest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), c)
	if err != nil {
		return fmt.Errorf("make receiver: %w", err)
	}
	if err := r.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		return fmt.Errorf("start receiver: %w", err)
	}
	defer func() { err = errors.Join(err, r.Shutdown(context.Background())) }()
	if err := b.recordSize(c); err != nil {
		return err
	}
	if err := b.idle("the pipeline", ownInstructions); err != nil {
		return err
	}
	if err := b.events(c); err != nil {
		return err
	}
	return b.profiled(func() error {
		return lives(10_000 / b.scale).run(nothing)
	})
}

// events measures what an event costs. The kernel does not make an exec alone, so it is what is left of the life of a process.
//
// The garbage collector works now and then, and would be all in one figure or the other: it is switched off for the
// figures, and what it costs a process is added in proportion to the memory that each kind of event takes.
func (b *bench) events(c *counter) error {
	// The digest is computed, the heap grows to its size.
	if err := c.settled(lives(2000 / b.scale)); err != nil {
		return err
	}
	collection, err := b.collection(c)
	if err != nil {
		return err
	}
	defer withoutCollector()()
	life, err := b.average(1000, func(n int) (cost, error) {
		return c.during(2*n+2, func() error { return lives(n).run(nothing) })
	})
	if err != nil {
		return err
	}
	exit, err := b.average(1000, c.exits)
	if err != nil {
		return err
	}
	forked, err := b.average(1000, c.forks)
	if err != nil {
		return err
	}
	executed := life.minus(exit).minus(forked)
	for _, part := range []struct {
		what string
		cost *cost
	}{{"fork", &forked}, {"exec", &executed}, {"exit", &exit}, {"fork, exec and exit", &life}} {
		share := collection * part.cost.bytes / life.bytes
		b.explain("user space, %s: %.0f instructions and %.0f for the garbage collector, %.2f allocations of %.0f bytes",
			part.what, part.cost.instructions, share, part.cost.allocations, part.cost.bytes)
		part.cost.instructions += share
	}
	b.report("user_exec", executed.instructions)
	b.report("user_exit", exit.instructions)
	b.report("user_fork", forked.instructions)
	b.report("exec_allocations", executed.allocations)
	b.report("exec_allocated", executed.bytes)
	return nil
}

// lives are processes that are made, execute a program and end.
func lives(n int) workload { return workload{processes: n, clone: vfork, execute: true} }

// exits measures the ends of n processes that executed a program.
func (c *counter) exits(n int) (cost, error) {
	crowd, err := lives(n).gather(pausing)
	if err != nil {
		return cost{}, err
	}
	time.Sleep(settle)
	return c.during(n+1, crowd.end)
}

// forks measures the making of n processes that execute nothing.
func (c *counter) forks(n int) (cost, error) {
	var crowd *crowd
	used, err := c.during(1, func() (err error) {
		crowd, err = workload{processes: n, clone: fork}.gather()
		return err
	})
	if err != nil {
		return cost{}, err
	}
	err = crowd.end()
	time.Sleep(settle)
	return used, err
}

// settled runs a load and waits until its events are delivered.
func (c *counter) settled(w workload) error {
	_, err := c.during(2*w.processes+2, func() error { return w.run(nothing) })
	return err
}

// collection returns what the garbage collector costs the life of a process: over some whole rounds of its work, the difference to as much work with
// the garbage collector off.
func (b *bench) collection(c *counter) (float64, error) {
	const rounds = 8
	chunk := lives(250)
	perLife := func(done func(chunks int) bool) (float64, error) {
		chunks := 0
		n, err := difference(ownInstructions, func() error {
			for !done(chunks) {
				if err := c.settled(chunk); err != nil {
					return err
				}
				chunks++
			}
			return nil
		})
		return n / float64(chunks*chunk.processes), err
	}
	runtime.GC()
	end := collections() + rounds
	with, err := perLife(func(int) bool { return collections() >= end })
	if err != nil {
		return 0, err
	}
	defer withoutCollector()()
	without, err := perLife(func(chunks int) bool { return chunks >= 20 })
	b.explain("user space, fork, exec and exit in chunks: %.0f instructions, without the garbage collector %.0f", with, without)
	return with - without, err
}

// collections returns how many rounds the garbage collector has finished.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// average returns the cost of one process, over some loads of n of them. What a load costs that is made of one process, the
// waiting for events included, does not count.
func (b *bench) average(n int, measure func(n int) (cost, error)) (cost, error) {
	const rounds = 4
	n /= b.scale
	var sum cost
	for range rounds {
		one, err := measure(1)
		if err != nil {
			return cost{}, err
		}
		all, err := measure(1 + n)
		if err != nil {
			return cost{}, err
		}
		sum = sum.plus(all.minus(one))
	}
	return sum.over(rounds * n), nil
}

// withoutCollector switches the garbage collector off, and has memory ready so that none is got from the kernel for the first
// time, which would cost more than the garbage collector does. The function that it returns undoes it.
func withoutCollector() (undo func()) {
	const ready = 192 << 20
	percent := debug.SetGCPercent(-1)
	var chunks [][]byte
	for range ready >> 20 {
		chunk := make([]byte, 1<<20)
		for i := 0; i < len(chunk); i += 4096 {
			chunk[i] = 1
		}
		chunks = append(chunks, chunk)
	}
	runtime.KeepAlive(chunks)
	runtime.GC()
	return func() { debug.SetGCPercent(percent) }
}

// during returns what this process did from the start of f until so many records more have come and all is quiet.
func (c *counter) during(records int, f func() error) (cost, error) {
	var before, after runtime.MemStats
	want := c.records.Load() + int64(records)
	runtime.ReadMemStats(&before)
	instructions, err := difference(ownInstructions, func() error {
		if err := f(); err != nil {
			return err
		}
		err := await(fmt.Sprintf("%d records", records), func() (bool, error) { return c.records.Load() >= want, nil })
		time.Sleep(settle) // forks are no records
		return err
	})
	runtime.ReadMemStats(&after)
	if err != nil {
		return cost{}, err
	}
	if got := c.records.Load(); got != want {
		return cost{}, fmt.Errorf("%d records came more than there were events", got-want)
	}
	return cost{instructions, float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)}, nil
}

// idle tells what is executed when nothing happens.
func (b *bench) idle(what string, counter func() (float64, error)) error {
	const seconds = 2
	// What was started has settled by then.
	time.Sleep(2 * time.Second)
	n, err := difference(counter, func() error {
		time.Sleep(seconds * time.Second)
		return nil
	})
	b.explain("%s, idle: %.0f instructions in a second", what, n/seconds)
	return err
}

// recordSize reports the size of the record of an ordinary exec.
func (b *bench) recordSize(c *counter) error {
	c.mu.Lock()
	c.keep = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.keep, c.kept = false, nil
	}()
	cmd := exec.Command("/bin/true")
	cmd.Dir = "/root"
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run a program: %w", err)
	}
	return await("the exec of /bin/true", func() (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, logs := range c.kept {
			for _, resource := range logs.ResourceLogs().All() {
				for _, scope := range resource.ScopeLogs().All() {
					for _, record := range scope.LogRecords().All() {
						if record.EventName() == "process.exec" && strings.Contains(record.Body().AsString(), "/true") {
							b.reportSize(resource, record)
							return true, nil
						}
					}
				}
			}
		}
		return false, nil
	})
}

// reportSize reports the size of a record, the frame in the batch included, without what is told once per batch.
func (b *bench) reportSize(resource plog.ResourceLogs, record plog.LogRecord) {
	size := func(n int) int {
		logs := plog.NewLogs()
		resource.Resource().CopyTo(logs.ResourceLogs().AppendEmpty().Resource())
		scope := logs.ResourceLogs().At(0).ScopeLogs().AppendEmpty()
		for range n {
			record.CopyTo(scope.LogRecords().AppendEmpty())
		}
		return (&plog.ProtoMarshaler{}).LogsSize(logs)
	}
	b.explain("record: %s", record.Body().AsString())
	for key, value := range record.Attributes().All() {
		b.explain("  %s = %s", key, value.AsString())
	}
	b.report("record_size", float64(size(2)-size(1)))
}
