// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
)

func withForks(c *config.Process) { c.Fork = true }

// trivial is a program that ends at once.
func trivial(t *testing.T) string {
	a := newAsm(t)
	a.exit(0)
	return a.build()
}

// ways are the ways to make a process. Each makes one, whose PID is the result.
var ways = map[string]func(a *asm, body func()){
	"fork":  func(a *asm, body func()) { a.call(sysFork); a.child(body) },
	"vfork": func(a *asm, body func()) { a.call(sysVfork); a.child(body) },
	// What posix_spawn does (glibc, sysdeps/unix/sysv/linux/spawni.c).
	"posix_spawn": func(a *asm, body func()) {
		a.call(sysClone, cloneVM|cloneVfork|sigChild, 0, 0, 0, 0)
		a.child(body)
	},
	"clone3": func(a *asm, body func()) {
		args := make([]any, 11) // struct clone_args
		for i := range args {
			args[i] = 0
		}
		args[4] = sigChild
		a.call(sysClone3, a.words(args...), 88)
		a.child(body)
	},
	// A process that shares memory with its creator and runs at the same time, yet is no thread.
	"clone with shared memory": func(a *asm, body func()) {
		a.call(sysClone, cloneVM|sigChild, 0, 0, 0, 0)
		a.child(body)
	},
}

func TestEveryWayToMakeAProcessIsFollowed(t *testing.T) {
	target := trivial(t)
	type made struct{ creator, pid int }
	all := make(map[string]made)
	r := record(t, withForks)
	for name, way := range ways {
		a := newAsm(t)
		pid := a.space(8)
		way(a, func() { a.exec(target, "name", "arg"); a.exit(127) })
		a.store(pid)
		a.call(sysWait4, -1, 0, 0, 0)
		a.tell(pid)
		a.exit(0)
		creator, words, _ := run(t, a.build())
		all[name] = made{creator, words[0]}
	}
	events := r.stopWhole()
	for name, m := range all {
		t.Run(name, func(t *testing.T) {
			self := historyOf(events, m.creator).last(t, event.Exec).Process
			h := historyOf(events, m.pid)
			h.want(t, "fork exec exit")
			forked, executed, exited := h[0], h[1], h[2]
			if p := forked.Process; !p.FromFork || p.Parent != self.ID || p.Creator != self.ID || forked.Parent != self {
				t.Errorf("fork: %+v of %+v", p, forked.Parent)
			}
			if p := forked.Process; p.File != self.File || len(p.Args) != 1 || p.Args[0] != self.Args[0] || p.ID.Exec != self.ID.Exec {
				t.Errorf("fork: %+v has another image than its creator %+v", p, self)
			}
			if p := executed.Process; p.FromFork || p.Parent != self.ID || p.Creator != self.ID || executed.Parent != self || p.File.Path != target {
				t.Errorf("exec: %+v of %+v", p, executed.Parent)
			}
			if a, b := forked.Process.ID, executed.Process.ID; a.Start != b.Start || a.Exec+1 != b.Exec {
				t.Errorf("identity %v after the fork, and %v after the exec", a, b)
			}
			if exited.Process != executed.Process || exited.Parent != self || exited.Exit.Code != 0 {
				t.Errorf("exit: %+v of %+v", exited.Exit, exited.Process)
			}
			if forked.Boot > executed.Boot || executed.Boot > exited.Boot {
				t.Errorf("fork at %v, exec at %v, exit at %v", forked.Boot, executed.Boot, exited.Boot)
			}
		})
	}
}

func TestExecByAThreadKeepsTheProcess(t *testing.T) {
	target := trivial(t)
	a := newAsm(t)
	a.call(sysGetpid)
	a.tellResult()
	a.thread(func() {
		a.call(sysGettid)
		a.tellResult()
		a.exec(target, "name")
		a.exit(127)
	})
	a.repeat(1<<30, func() { a.call(sysPause) })

	r := record(t, withForks)
	pid, words, cmd := run(t, a.build())
	events := r.stopWhole()
	if words[0] != pid || words[1] == pid {
		t.Fatalf("the program told pid %d and tid %d, want pid %d and another tid", words[0], words[1], pid)
	}
	h := historyOf(events, pid)
	h.want(t, "fork exec exec exit")
	before, after := h[1].Process, h[2].Process
	if int(before.TID) != pid || int(after.TID) != words[1] {
		t.Errorf("tid %d and then %d, want %d and %d", before.TID, after.TID, pid, words[1])
	}
	if after.ID.PID != before.ID.PID || after.ID.Start != before.ID.Start || after.ID.Exec != before.ID.Exec+1 {
		t.Errorf("identity %v before the exec, and %v after it", before.ID, after.ID)
	}
	if after.Parent != before.Parent || h[2].Parent != h[1].Parent || after.File.Path != target {
		t.Errorf("exec: %+v", after)
	}
	if h[3].Process != after || h[3].Exit.Code != 0 || !cmd.ProcessState.Success() {
		t.Errorf("exit: %+v of %+v, want that of %+v", h[3].Exit, h[3].Process, after)
	}
	if got := historyOf(events, words[1]); len(got) > 0 {
		t.Errorf("the thread is told as a process: %+v", got)
	}
}

func TestCloneParentTellsParentAndCreatorApart(t *testing.T) {
	target := trivial(t)
	a := newAsm(t)
	a.call(sysFork)
	a.child(func() {
		a.call(sysClone, cloneParent|sigChild, 0, 0, 0, 0)
		a.child(func() { a.exec(target, "name"); a.exit(127) })
		a.tellResult()
		a.await()
		a.exit(0)
	})
	a.tellResult()
	a.call(sysWait4, -1, 0, 0, 0)
	a.tellResult()
	a.call(sysWait4, -1, 0, 0, 0)
	a.exit(0)

	r := record(t, withForks)
	p := start(t, a.build())
	// In any order: the PID of the creator, and twice that of the child, which ends while the creator waits.
	words := []int{p.word(), p.word(), p.word()}
	slices.Sort(words)
	child := words[1]
	middle := words[0] + words[2] - child
	p.finish()
	events := r.stopWhole()
	outer := historyOf(events, p.pid()).last(t, event.Exec).Process
	h := historyOf(events, middle)
	h.want(t, "fork exit")
	creator := h[0].Process
	if creator.Parent != outer.ID || creator.Creator != outer.ID {
		t.Errorf("creator %+v, want a child of %v", creator, outer.ID)
	}
	h = historyOf(events, child)
	h.want(t, "fork exec exit")
	for _, ev := range h {
		if ev.Process.Parent != outer.ID || ev.Parent != outer || ev.Process.Creator != creator.ID {
			t.Errorf("%v: parent %v and creator %v, want %v and %v", ev.Kind, ev.Process.Parent, ev.Process.Creator, outer.ID, creator.ID)
		}
	}
}

// prSetChildSubreaper makes a process the one that orphans below it get as their parent.
const prSetChildSubreaper = 36

func TestDoubleForkTellsTheCreatorThatLeft(t *testing.T) {
	target := trivial(t)
	a := newAsm(t)
	middle, inner := a.space(8), a.space(8)
	a.call(sysPrctl, prSetChildSubreaper, 1, 0, 0, 0)
	a.call(sysFork)
	a.child(func() {
		a.call(sysFork)
		a.child(func() {
			a.await() // until the one that made it is gone
			a.call(sysGetppid)
			a.tellResult()
			a.exec(target, "name")
			a.exit(127)
		})
		a.tellResult()
		a.exit(3)
	})
	a.store(middle)
	a.call(sysWait4, word(middle), 0, 0, 0)
	a.tell(middle)
	a.call(sysWait4, -1, 0, 0, 0)
	a.store(inner)
	a.tell(inner)
	a.exit(0)

	r := record(t)
	p := start(t, a.build())
	pid, left := p.word(), p.word()
	r.waitExit(left)
	p.goOn()
	words := p.finish()
	if words[0] != p.pid() || words[1] != pid {
		t.Fatalf("the program told %v, want %d and %d", words, p.pid(), pid)
	}
	events := r.stopWhole()
	reaper := historyOf(events, p.pid()).last(t, event.Exec).Process
	h := historyOf(events, left)
	h.want(t, "exit")
	creator := h[0].Process
	if !creator.FromFork || creator.Parent != reaper.ID || creator.File != reaper.File || h[0].Exit.Code != 3 {
		t.Errorf("the process in the middle: %+v, %+v", creator, h[0].Exit)
	}
	h = historyOf(events, pid)
	h.want(t, "exec exit")
	for _, ev := range h {
		if ev.Process.Creator != creator.ID || ev.Process.Parent != reaper.ID || ev.Parent != reaper {
			t.Errorf("%v: creator %v and parent %v, want %v and %v", ev.Kind, ev.Process.Creator, ev.Process.Parent, creator.ID, reaper.ID)
		}
	}
}

func TestParentThatLeftFirstIsStillTold(t *testing.T) {
	a := newAsm(t)
	a.call(sysPrctl, prSetChildSubreaper, 1, 0, 0, 0)
	a.call(sysFork)
	a.child(func() {
		a.call(sysFork)
		a.child(func() { a.await(); a.exit(5) })
		a.tellResult()
		a.exit(0)
	})
	a.tellResult()
	a.repeat(2, func() { a.call(sysWait4, -1, 0, 0, 0) })
	a.exit(0)

	r := record(t)
	p := start(t, a.build())
	first, second := p.word(), p.word()
	// Whichever told first: the one that ends by itself is the parent.
	gone := r.wait("an exit", func(e *event.Event) bool {
		return e.Kind == event.Exit && (int(e.Process.ID.PID) == first || int(e.Process.ID.PID) == second)
	}).Process
	p.finish()
	events := r.stopWhole()
	h := historyOf(events, first+second-int(gone.ID.PID))
	h.want(t, "exit")
	if got := h[0].Process; got.Parent != gone.ID || got.Creator != gone.ID || got.File != gone.File || h[0].Exit.Code != 5 {
		t.Errorf("exit of %+v, want one whose parent was %+v", got, gone)
	}
	if int(h[0].Parent.ID.PID) != p.pid() {
		t.Errorf("the parent at the end was %+v, want the process that adopted it, %d", h[0].Parent, p.pid())
	}
}

func TestForkWithoutExecHasTheImageOfItsCreator(t *testing.T) {
	a := newAsm(t)
	a.call(sysFork)
	a.child(func() {
		a.call(sysFork)
		a.child(func() { a.exit(8) })
		a.tellResult()
		a.call(sysWait4, -1, 0, 0, 0)
		a.exit(7)
	})
	a.tellResult()
	a.call(sysWait4, -1, 0, 0, 0)
	a.exit(0)

	r := record(t) // forks make no events, but count
	pid, words, _ := run(t, a.build(), "argument")
	events := r.stopWhole()
	image := historyOf(events, pid).last(t, event.Exec).Process
	for _, child := range words {
		h := historyOf(events, child)
		h.want(t, "exit")
		p := h[0].Process
		if !p.FromFork || p.File != image.File || len(p.Args) != 2 || p.Args[1] != "argument" || p.ID.Exec != image.ID.Exec {
			t.Errorf("exit of %+v, want the image of %+v", p, image)
		}
		if want := map[int]int{8: 1, 7: 1}[h[0].Exit.Code]; want != 1 || p.ExecTime != 0 {
			t.Errorf("exit %+v, exec time %v", h[0].Exit, p.ExecTime)
		}
		if h[0].Parent == nil || h[0].Parent.ID != p.Parent || p.Creator != p.Parent {
			t.Errorf("parent %+v, want %v, which is also the creator: %v", h[0].Parent, p.Parent, p.Creator)
		}
	}
}

func TestKernelThreadsMakeNoEvents(t *testing.T) {
	r := record(t, withForks)
	// The kernel has a thread for each entry of such a map, for as long as there is the entry (kernel/bpf/cpumap.c).
	threads, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatalf("create a map that makes kernel threads: %v", err)
	}
	const queue = uint32(192)
	if err := threads.Put(uint32(0), queue); err != nil {
		t.Fatalf("make a kernel thread: %v", err)
	}
	if err := threads.Delete(uint32(0)); err != nil {
		t.Fatal(err)
	}
	if err := threads.Close(); err != nil {
		t.Fatal(err)
	}
	pid, _, _ := run(t, trivial(t))
	events := r.stopWhole()
	historyOf(events, pid).want(t, "fork exec exit")
	const kthreadd = 2 // the parent of all kernel threads
	for _, ev := range events {
		if p := ev.Process; p != nil && (p.ID.PID == kthreadd || p.Parent.PID == kthreadd || p.Creator.PID == kthreadd) {
			t.Errorf("%v of a kernel thread: %+v", ev.Kind, p)
		}
	}
}
