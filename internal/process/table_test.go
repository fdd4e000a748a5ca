// SPDX-License-Identifier: Apache-2.0

package process

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringside-otel/ringside/internal/event"
)

const grace = 10 * time.Second

// follower feeds a table with what a test says that happened, each a second after the other.
type follower struct {
	*Table
	t         *testing.T
	now       time.Duration
	completed int
}

func follow(t *testing.T) *follower {
	f := &follower{t: t}
	f.Table = NewTable(grace, func(p *event.Process) { f.completed++; p.UserName = "completed" })
	return f
}

func (f *follower) tick() time.Duration {
	f.now += time.Second
	return f.now
}

// id is that of a process created at a second, which with its children executed a program so many times.
func id(pid uint32, start int, execs uint64) event.ID {
	return event.ID{PID: pid, Start: uint64(time.Duration(start) * time.Second), Exec: execs}
}

func (f *follower) exec(id, parent event.ID, path string) event.Event {
	ev := event.Event{Kind: event.Exec, Boot: f.tick()}
	f.Exec(&event.Process{ID: id, Parent: parent, File: event.File{Path: path}, ExecTime: ev.Boot, CgroupID: 7, CgroupPath: "/seven"}, &ev)
	return ev
}

func (f *follower) fork(id, parent, creator event.ID) {
	f.tick()
	f.Fork(event.Birth{ID: id, Parent: parent, Creator: creator, CgroupID: 7, VPID: id.PID}, nil)
}

func (f *follower) forkTold(id, creator event.ID) event.Event {
	ev := event.Event{Kind: event.Fork, Boot: f.tick()}
	f.Fork(event.Birth{ID: id, Parent: creator, Creator: creator, CgroupID: 7, VPID: id.PID}, &ev)
	return ev
}

// exit returns nil when the end was told before.
func (f *follower) exit(id, parent event.ID) *event.Event {
	ev := event.Event{Kind: event.Exit, Boot: f.tick()}
	if !f.Exit(event.Death{ID: id, Parent: parent, Status: event.ExitStatus{Code: 3}}, ev.Boot, &ev) {
		return nil
	}
	return &ev
}

func (f *follower) wantLen(n int) {
	f.t.Helper()
	if f.Len() != n {
		f.t.Errorf("%d entries, want %d", f.Len(), n)
	}
}

func TestExecIsToldWithParentAndCreator(t *testing.T) {
	f := follow(t)
	parent, creator := id(1, 0, 1), id(2, 1, 1)
	first := f.exec(parent, event.ID{}, "/parent").Process
	f.fork(id(3, 2, 1), parent, creator)
	got := f.exec(id(3, 2, 2), parent, "/child")
	if p := got.Process; p.Parent != parent || p.Creator != creator || p.FromFork || p.UserName != "completed" || got.Parent != first {
		t.Errorf("%+v of %+v", p, got.Parent)
	}
	if again := f.exec(id(3, 2, 3), parent, "/next"); again.Process.Creator != creator || again.Process.File.Path != "/next" {
		t.Errorf("the second exec: %+v", again.Process)
	}
	f.wantLen(2) // the creator was not seen itself
}

func TestForkHasTheImageOfItsCreator(t *testing.T) {
	f := follow(t)
	root := id(1, 0, 5)
	image := f.exec(root, event.ID{}, "/image").Process
	image.Flags = event.SetUID | event.NoNewPrivs | event.ArgsCut
	// Three generations with no exec, of which the first two are never asked for.
	a, b, c := id(2, 1, 5), id(3, 2, 5), id(4, 3, 5)
	f.fork(a, root, root)
	f.fork(b, a, a)
	completed := f.completed
	got := f.forkTold(c, b)
	p := got.Process
	if p.File != image.File || !p.FromFork || p.ID != c || p.Parent != b || p.Creator != b || p.ExecTime != 0 || p.VPID != 4 || p.TID != 4 {
		t.Errorf("fork of a fork: %+v", p)
	}
	if p.Flags != event.NoNewPrivs {
		t.Errorf("flags %b of an exec that was another's", p.Flags)
	}
	if got.Parent == nil || got.Parent.ID != b || got.Parent.File != image.File {
		t.Errorf("parent %+v", got.Parent)
	}
	if f.completed != completed+2 {
		t.Errorf("%d images were written out, want the two that are told", f.completed-completed)
	}
	if image.ID != root || image.FromFork {
		t.Errorf("the creator's image was changed: %+v", image)
	}
}

func TestForkKeepsTheImageOfItsTime(t *testing.T) {
	f := follow(t)
	root := id(1, 0, 1)
	f.exec(root, event.ID{}, "/before")
	f.fork(id(2, 1, 1), root, root)
	f.exec(id(1, 0, 2), event.ID{}, "/after")
	if got := f.exit(id(2, 1, 1), id(1, 0, 2)); got.Process.File.Path != "/before" || got.Parent.File.Path != "/after" {
		t.Errorf("%+v, parent %+v", got.Process, got.Parent)
	}
}

func TestForkIntoAnotherCgroupIsNotWhereItsCreatorIs(t *testing.T) {
	f := follow(t)
	root := id(1, 0, 1)
	f.exec(root, event.ID{}, "/root").Process.Container = &event.Container{ID: "c"}
	f.Fork(event.Birth{ID: id(2, 1, 1), Parent: root, Creator: root, CgroupID: 8}, nil) // CLONE_INTO_CGROUP
	if p := f.Lookup(id(2, 1, 1)); p.CgroupID != 8 || p.CgroupPath != "" || p.Container != nil {
		t.Errorf("%+v", p)
	}
	if used := f.Cgroups(); len(used) != 2 || !used[7] || !used[8] {
		t.Errorf("cgroups %v", used)
	}
}

func TestExitIsToldOnceWithWhatIsKnown(t *testing.T) {
	parent, child := id(1, 0, 1), id(2, 1, 2)
	forked := id(2, 1, 1)
	for name, test := range map[string]struct {
		seen       func(f *follower)
		path       string
		fromFork   bool
		hasCreator bool
	}{
		"fork and exec":     {func(f *follower) { f.fork(forked, parent, parent); f.exec(child, parent, "/child") }, "/child", false, true},
		"exec alone":        {func(f *follower) { f.exec(child, parent, "/child") }, "/child", false, false},
		"nothing":           {func(*follower) {}, "", true, false},
		"another exec":      {func(f *follower) { f.exec(id(2, 1, 1), parent, "/other") }, "", true, false},
		"found by snapshot": {func(f *follower) { f.Add(&event.Process{ID: child, File: event.File{Path: "/found"}}) }, "/found", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := follow(t)
			known := f.exec(parent, event.ID{}, "/parent").Process
			test.seen(f)
			got := f.exit(child, parent)
			if got == nil {
				t.Fatal("the exit is not told")
			}
			if p := got.Process; p.ID != child || p.File.Path != test.path || p.FromFork != test.fromFork || !p.Creator.IsZero() != test.hasCreator {
				t.Errorf("%+v", p)
			}
			if got.Parent != known || got.Exit.Code != 3 {
				t.Errorf("parent %+v, status %+v", got.Parent, got.Exit)
			}
			if f.exit(child, parent) != nil {
				t.Error("the exit is told twice")
			}
		})
	}
}

func TestExitOfAForkHasTheImageOfItsCreator(t *testing.T) {
	f := follow(t)
	root := id(1, 0, 1)
	f.exec(root, event.ID{}, "/root")
	f.fork(id(2, 1, 1), root, root)
	if got := f.exit(id(2, 1, 1), root); got.Process.File.Path != "/root" || !got.Process.FromFork || got.Process.Creator != root {
		t.Errorf("%+v", got.Process)
	}
}

func TestExitStatusIsTheEventsOwn(t *testing.T) {
	f := follow(t)
	x := event.Death{ID: id(1, 0, 1), Status: event.ExitStatus{Code: 1}}
	var ev event.Event
	f.Exit(x, 0, &ev)
	x.Status.Code = 2
	if ev.Exit.Code != 1 {
		t.Error("the event's status is that of the record, which is used again")
	}
}

func TestParentThatLeftIsKnownForTheGrace(t *testing.T) {
	f := follow(t)
	parent := id(1, 0, 1)
	f.exec(parent, event.ID{}, "/parent")
	left := f.exit(parent, event.ID{}).Boot
	f.Expire(left + grace - 1)
	if ev := f.exec(id(2, 1, 2), parent, "/child"); ev.Parent == nil || ev.Parent.File.Path != "/parent" {
		t.Errorf("parent %+v within the grace", ev.Parent)
	}
	f.Expire(left + grace)
	if ev := f.exec(id(3, 1, 2), parent, "/child"); ev.Parent != nil || ev.Process.Parent != parent {
		t.Errorf("parent %+v after the grace", ev.Parent)
	}
	f.wantLen(2)
}

func TestPIDThatIsUsedAgainIsAnotherEntry(t *testing.T) {
	f := follow(t)
	first, second := id(9, 1, 2), id(9, 2, 2)
	f.exec(first, event.ID{}, "/first")
	left := f.exit(first, event.ID{}).Boot
	f.exec(second, event.ID{}, "/second")
	if a, b := f.Lookup(first), f.Lookup(second); a.File.Path != "/first" || b.File.Path != "/second" {
		t.Errorf("%+v and %+v", a, b)
	}
	f.Expire(left + grace)
	if a, b := f.Lookup(first), f.Lookup(second); a != nil || b == nil {
		t.Errorf("after the grace %+v and %+v", a, b)
	}
}

func TestLookupDoesNotTakeAnEarlierExecForALaterOne(t *testing.T) {
	f := follow(t)
	f.exec(id(1, 0, 3), event.ID{}, "/three")
	for execs, known := range map[uint64]bool{2: true, 3: true, 4: false} {
		// Before is asked for by what came from a snapshot, which is newer than the ring.
		if got := f.Lookup(id(1, 0, execs)); (got != nil) != known {
			t.Errorf("exec %d: %+v", execs, got)
		}
	}
	if f.Lookup(id(2, 0, 3)) != nil || f.Lookup(id(1, 1, 3)) != nil {
		t.Error("a process that is not there was found")
	}
}

func TestAddKeepsWhatIsNewer(t *testing.T) {
	f := follow(t)
	f.exec(id(1, 0, 3), event.ID{}, "/ring")
	for _, execs := range []uint64{2, 3} {
		f.Add(&event.Process{ID: id(1, 0, execs), File: event.File{Path: "/snapshot"}})
		if got := f.Lookup(id(1, 0, 3)); got.File.Path != "/ring" {
			t.Errorf("replaced by a snapshot of exec %d: %+v", execs, got)
		}
	}
	f.Add(&event.Process{ID: id(1, 0, 4), File: event.File{Path: "/snapshot"}})
	if got := f.Lookup(id(1, 0, 4)); got == nil || got.File.Path != "/snapshot" || got.UserName != "completed" {
		t.Errorf("an exec that was lost: %+v", got)
	}
	f.wantLen(1)
}

func TestReconcileBuriesThoseWhoseExitWasLost(t *testing.T) {
	f := follow(t)
	alive, lost, forked, young, ended := id(1, 1, 1), id(2, 2, 1), id(3, 3, 1), id(4, 20, 1), id(5, 4, 1)
	for _, id := range []event.ID{alive, lost, young, ended} {
		f.exec(id, event.ID{}, "/x")
	}
	f.fork(forked, lost, lost)
	left := f.exit(ended, event.ID{}).Boot
	now := left + time.Second
	// The table knows of fewer execs than there were, as when one was lost.
	if n := f.Reconcile(map[event.ID]bool{id(1, 1, 9): true}, 15*time.Second, now); n != 2 {
		t.Errorf("%d were buried, want the two whose exit was lost", n)
	}
	f.wantLen(5) // for the grace
	if n := f.Reconcile(map[event.ID]bool{alive: true}, 15*time.Second, now); n != 0 {
		t.Errorf("%d were buried again", n)
	}
	f.Expire(now + grace)
	f.wantLen(2)
	if f.Lookup(alive) == nil || f.Lookup(young) == nil {
		t.Error("one that lives was forgotten")
	}
}

func TestExitThatWasOnlyLateIsStillTold(t *testing.T) {
	f := follow(t)
	late := id(1, 1, 1)
	image := f.exec(late, event.ID{}, "/late").Process
	if n := f.Reconcile(nil, 15*time.Second, f.now); n != 1 {
		t.Fatalf("%d were buried", n)
	}
	if got := f.exit(late, event.ID{}); got == nil || got.Process != image {
		t.Errorf("exit %+v", got)
	}
	if f.exit(late, event.ID{}) != nil {
		t.Error("the exit is told twice")
	}
	f.Expire(f.now + grace)
	f.wantLen(0)
	// Later than the grace, what is left is told.
	if got := f.exit(late, event.ID{}); got == nil || got.Process.ID != late {
		t.Errorf("exit %+v", got)
	}
}

// TestTableIsBounded runs many processes, and holds the table to those that live and those in their grace.
func TestTableIsBounded(t *testing.T) {
	f := follow(t)
	random := rand.New(rand.NewPCG(1, 2))
	root := id(1, 0, 1)
	f.exec(root, event.ID{}, "/root")
	living := []event.ID{root}
	var exits []time.Duration
	for i := range 50_000 {
		if len(living) > 1 && random.IntN(2) == 0 {
			n := 1 + random.IntN(len(living)-1)
			ev := f.exit(living[n], root)
			if ev == nil {
				t.Fatalf("the exit of %v was told before", living[n])
			}
			exits = append(exits, ev.Boot)
			living[n] = living[len(living)-1]
			living = living[:len(living)-1]
		} else {
			child := id(uint32(i+2), i, 1)
			f.fork(child, root, root)
			if random.IntN(2) == 0 {
				child.Exec++
				f.exec(child, root, "/child")
			}
			living = append(living, child)
		}
		f.Expire(f.now)
		for len(exits) > 0 && exits[0]+grace <= f.now {
			exits = exits[1:]
		}
		if f.Len() != len(living)+len(exits) {
			t.Fatalf("%d entries, %d live and %d are in their grace", f.Len(), len(living), len(exits))
		}
		if waiting := len(f.dead) - f.first; waiting != len(exits) || cap(f.dead) > 1024 {
			t.Fatalf("%d deaths wait, want %d; room for %d", waiting, len(exits), cap(f.dead))
		}
	}
}

func TestProcessOfWhichNothingWasSeenIsMarked(t *testing.T) {
	f := follow(t)
	parent, lost, child := id(1, 0, 1), id(2, 1, 5), id(3, 2, 5)
	f.exec(parent, event.ID{}, "/parent")
	// The fork and the exec of one did not get here, but the fork of its child did.
	f.fork(child, lost, lost)
	if ev := f.exit(child, lost); !ev.Process.Unseen {
		t.Errorf("%+v is not marked, though nothing is known of what it ran", ev.Process)
	}
	if ev := f.exit(lost, parent); !ev.Process.Unseen || ev.Parent.Unseen || ev.Parent.File.Path != "/parent" {
		t.Errorf("%+v is not marked, or its parent %+v is", ev.Process, ev.Parent)
	}
}
