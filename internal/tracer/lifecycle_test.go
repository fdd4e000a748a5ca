// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringside-otel/ringside/internal/event"
)

// shortLived is a program that lives for about a millisecond.
func shortLived(t *testing.T, code int) string {
	a := newAsm(t)
	a.call(sysNanosleep, a.words(0, int(time.Millisecond)), 0)
	a.exit(code)
	return a.build()
}

// spawner is a program that runs another n times, one after the other, and tells the PID of each.
func spawner(t *testing.T, n int, path string, args ...string) string {
	a := newAsm(t)
	pid := a.space(8)
	a.repeat(n, func() {
		a.call(sysVfork)
		a.child(func() {
			a.exec(path, args...)
			a.exit(127)
		})
		a.store(pid)
		a.call(sysWait4, word(pid), 0, 0, 0)
		a.tell(pid)
	})
	a.exit(0)
	return a.build()
}

// spawned is what one spawner did.
type spawned struct {
	pid      int   // of the spawner
	children []int // in their order
	code     int   // with which they exit
}

// spawn runs n short-lived processes by several spawners at the same time.
func spawn(t *testing.T, n, spawners int) []spawned {
	t.Helper()
	all := make([]spawned, spawners)
	paths := make([]string, spawners)
	for i := range all {
		all[i].code = i + 1
		short := shortLived(t, all[i].code)
		paths[i] = spawner(t, n/spawners, short, short, "x")
	}
	processes := make([]*running, spawners)
	for i, path := range paths {
		processes[i] = start(t, path)
	}
	var wait sync.WaitGroup
	for i, p := range processes {
		wait.Go(func() {
			all[i].pid, all[i].children = p.pid(), p.finish()
		})
	}
	wait.Wait()
	for _, s := range all {
		if len(s.children) != n/spawners {
			t.Fatalf("spawner %d told %d children, want %d", s.pid, len(s.children), n/spawners)
		}
	}
	return all
}

// checkSpawned holds what was told of the children of a spawner to what it did.
func checkSpawned(t *testing.T, events []event.Event, s spawned) {
	t.Helper()
	self := historyOf(events, s.pid).last(t, event.Exec).Process
	var execs []int
	ended := make(map[event.ID]bool)
	begun := make(map[event.ID]*event.Process)
	for _, ev := range events {
		if ev.Process == nil || ev.Process.Parent != self.ID {
			continue
		}
		id := ev.Process.ID
		switch ev.Kind {
		case event.Exec:
			if ev.Parent != self || ev.Process.Creator != self.ID {
				t.Fatalf("parent %+v and creator %v of %v, want %v", ev.Parent, ev.Process.Creator, id, self.ID)
			}
			if begun[id] != nil {
				t.Fatalf("two execs of %v", id)
			}
			begun[id] = ev.Process
			execs = append(execs, int(id.PID))
		case event.Exit:
			if begun[id] != ev.Process || ended[id] {
				t.Fatalf("exit of %v, exec seen: %v, exit seen: %v", id, begun[id], ended[id])
			}
			ended[id] = true
			if ev.Exit.Code != s.code || ev.Exit.Signal != 0 || ev.Exit.Duration < time.Millisecond {
				t.Fatalf("exit of %v: %+v, want code %d", id, ev.Exit, s.code)
			}
		}
	}
	if !slices.Equal(execs, s.children) {
		t.Errorf("execs under %d: %d, want those %d that it started", s.pid, len(execs), len(s.children))
	}
	if len(ended) != len(s.children) {
		t.Errorf("exits under %d: %d, want %d", s.pid, len(ended), len(s.children))
	}
}

func TestTenThousandShortLivedProcesses(t *testing.T) {
	r := record(t)
	all := spawn(t, 10_000, 8)
	r.settle()
	events := r.stopWhole()
	for _, s := range all {
		checkSpawned(t, events, s)
	}
}
