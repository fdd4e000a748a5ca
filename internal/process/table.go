// SPDX-License-Identifier: Apache-2.0

// Package process follows which processes exist, so that each event tells of a process and of its parent, also when the parent has gone.
//
// A Table is fed with decoded records in the order of the ring and belongs to one goroutine. It holds one entry for
// each live process and, for a grace period, one for each that ended.
package process

import (
	"time"

	"github.com/ringside-otel/ringside/internal/event"
)

// key names a process through all of its execs.
type key struct {
	start uint64
	pid   uint32
}

func keyOf(id event.ID) key { return key{id.Start, id.PID} }

// entry is what is known of one process. Most processes execute a program right after they were forked, so what a fork hands down is only
// written out (by image) when someone asks for it.
type entry struct {
	fork     event.Birth
	inherits *event.Process // image of the creator at the time of the fork
	image    *event.Process // nil until known or asked for
	told     bool           // that it ended
	dead     bool           // it ended, told or not, and will be forgotten
}

// Completer fills in what the kernel's records do not hold: wall-clock times, the container and names.
type Completer func(p *event.Process)

// Table is the process table.
type Table struct {
	entries  map[key]*entry
	dead     []death // in the order of their exits, from first on
	first    int
	grace    time.Duration
	complete Completer
}

type death struct {
	key  key
	boot time.Duration
}

// NewTable returns an empty table that keeps a process for grace after its exit. complete is called once for each image.
func NewTable(grace time.Duration, complete Completer) *Table {
	return &Table{entries: make(map[key]*entry), grace: grace, complete: complete}
}

// Len returns the number of entries.
func (t *Table) Len() int { return len(t.entries) }

// Exec notes that a process executed a program, and fills in the event.
func (t *Table) Exec(p *event.Process, ev *event.Event) {
	e := t.entry(p.ID)
	p.Creator = e.fork.Creator
	e.image, e.inherits = p, nil
	t.complete(p)
	ev.Process, ev.Parent = p, t.Lookup(p.Parent)
}

// Fork notes a new process. With ev it fills in the event too, which costs an image.
func (t *Table) Fork(f event.Birth, ev *event.Event) {
	e := t.entry(f.ID)
	e.fork = f
	if creator, ok := t.entries[keyOf(f.Creator)]; ok {
		e.inherits = creator.image
		if creator.image == nil {
			e.inherits = creator.inherits
		}
	}
	if ev != nil {
		ev.Process, ev.Parent = t.image(e), t.Lookup(f.Parent)
	}
}

// Exit notes the end of a process, and fills in the event. It returns false when that end was told before.
func (t *Table) Exit(x event.Death, boot time.Duration, ev *event.Event) bool {
	e := t.entry(x.ID)
	if e.told {
		return false
	}
	e.told = true
	if e.image == nil || e.image.ID != x.ID {
		// Neither its fork nor its exec, or not its last exec, got here: what is told is what the exit itself tells.
		if e.image != nil || e.fork.ID.IsZero() {
			e.fork, e.inherits, e.image = event.Birth{ID: x.ID, Parent: x.Parent}, nil, nil
		}
	}
	ev.Process, ev.Parent = t.image(e), t.Lookup(x.Parent)
	status := x.Status
	ev.Exit = &status
	t.bury(e, keyOf(x.ID), boot)
	return true
}

func (t *Table) bury(e *entry, k key, boot time.Duration) {
	if e.dead {
		return
	}
	e.dead = true
	t.dead = append(t.dead, death{k, boot})
}

// Add notes a process that was found running. What was learnt from the ring since is newer and stays.
func (t *Table) Add(p *event.Process) {
	e := t.entry(p.ID)
	if e.image != nil && e.image.ID.Exec >= p.ID.Exec {
		return
	}
	t.complete(p)
	e.image, e.inherits = p, nil
}

// Lookup returns what is known of a process, or nil. When it executed a program since, and that was lost, it is not known.
func (t *Table) Lookup(id event.ID) *event.Process {
	e, ok := t.entries[keyOf(id)]
	if !ok {
		return nil
	}
	if p := t.image(e); p.ID.Exec >= id.Exec {
		return p
	}
	return nil
}

// Cgroups returns the ids of the cgroups that processes of the table are in.
func (t *Table) Cgroups() map[uint64]bool {
	used := make(map[uint64]bool)
	for _, e := range t.entries {
		if e.image != nil {
			used[e.image.CgroupID] = true
		} else {
			used[e.fork.CgroupID] = true
		}
	}
	return used
}

// Expire forgets the processes that ended longer than the grace before boot, the time of the latest event.
func (t *Table) Expire(boot time.Duration) {
	for t.first < len(t.dead) && t.dead[t.first].boot+t.grace <= boot {
		delete(t.entries, t.dead[t.first].key)
		t.first++
	}
	if t.first > len(t.dead)/2 && t.first > 0 {
		t.dead = append(t.dead[:0], t.dead[t.first:]...)
		t.first = 0
	}
}

// Reconcile buries the processes that are neither in alive nor younger than since: those whose exit was lost. When the exit was not lost but
// is still on its way, it will be told as any other. Reconcile returns how many it buried.
func (t *Table) Reconcile(alive map[event.ID]bool, since, boot time.Duration) int {
	live := make(map[key]bool, len(alive))
	for id := range alive {
		live[keyOf(id)] = true
	}
	buried := 0
	for k, e := range t.entries {
		if e.dead || live[k] || time.Duration(k.start) >= since {
			continue
		}
		t.bury(e, k, boot)
		buried++
	}
	return buried
}

func (t *Table) entry(id event.ID) *entry {
	e, ok := t.entries[keyOf(id)]
	if !ok {
		e = &entry{}
		t.entries[keyOf(id)] = e
	}
	return e
}

// image writes out what a process has from the one that forked it.
func (t *Table) image(e *entry) *event.Process {
	if e.image != nil {
		return e.image
	}
	p := &event.Process{Unseen: true}
	if e.inherits != nil {
		*p = *e.inherits
	}
	f := e.fork
	p.ID, p.Parent, p.Creator = f.ID, f.Parent, f.Creator
	p.TID, p.VPID = f.ID.PID, f.VPID
	p.ExecTime = 0
	p.FromFork = true
	// The exec was that of another process: what it gained or could not be read says nothing of this one.
	p.Flags &= event.Unlinked | event.Memfd | event.OverlayUpper | event.NoNewPrivs | event.IsScript
	if f.CgroupID != 0 && p.CgroupID != f.CgroupID {
		p.CgroupID, p.CgroupPath, p.Container = f.CgroupID, "", nil
	}
	t.complete(p)
	e.image = p
	return p
}
