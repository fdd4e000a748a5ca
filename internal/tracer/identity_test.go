// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// worker is a program that, for each byte it is sent, runs another and tells its PID; at the end of its input it exits with code 4.
func worker(t *testing.T) string {
	target := trivial(t)
	a := newAsm(t)
	pid, got := a.space(8), a.space(8)
	a.repeat(1<<30, func() {
		a.call(sysRead, 0, a.space(8), 1)
		a.store(got)
		a.child(func() { a.exit(4) }) // nothing was read
		a.call(sysVfork)
		a.child(func() { a.exec(target, "child"); a.exit(127) })
		a.store(pid)
		a.call(sysWait4, word(pid), 0, 0, 0)
		a.tell(pid)
	})
	return a.build()
}

// child makes a worker run one child, and returns its PID.
func (p *running) child() int {
	p.t.Helper()
	p.goOn()
	return p.word()
}

const lastPID = "/proc/sys/kernel/ns_last_pid"

// withPID starts a program so that it gets a PID which was used before.
func withPID(t *testing.T, pid int, path string) *exec.Cmd {
	t.Helper()
	for range 1000 { // others make processes and threads too
		if err := os.WriteFile(lastPID, []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "again")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if cmd.Process.Pid == pid {
			return cmd
		}
	}
	t.Fatalf("no process got the PID %d again", pid)
	return nil
}

func TestPIDThatIsUsedAgainIsAnotherProcess(t *testing.T) {
	_, err := os.Stat(lastPID)
	vmtest.SkipUnless(t, err == nil, lastPID, "6.1", "6.12")
	r := record(t)
	p := start(t, worker(t))
	pid := p.child()
	first := r.waitExit(pid)
	withPID(t, pid, trivial(t))
	p.finish()
	events := r.stopWhole()

	parent := historyOf(events, p.pid()).last(t, event.Exec).Process
	h := historyOf(events, pid)
	second := h.last(t, event.Exec)
	if first.Process.ID == second.Process.ID || first.Process.ID.Start >= second.Process.ID.Start {
		t.Errorf("identities %v and %v of two processes with one PID", first.Process.ID, second.Process.ID)
	}
	if first.Process.Parent != parent.ID || first.Parent != parent || first.Process.Creator != parent.ID {
		t.Errorf("parent of the first %v, want %v", first.Process.Parent, parent.ID)
	}
	if p := second.Process; int(p.Parent.PID) != os.Getpid() || p.Parent != second.Parent.ID || p.Creator != p.Parent {
		t.Errorf("parent of the second %v, want the test, %d", p.Parent, os.Getpid())
	}
	if exit := h.last(t, event.Exit); exit.Process != second.Process {
		t.Errorf("exit of %+v, want that of the second, %+v", exit.Process, second.Process)
	}
}

// startTicks is when a process was created, as /proc tells it, in hundredths of a second since boot.
func startTicks(t *testing.T, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// proc_pid_stat(5): field 22; the second, in parentheses, may hold anything.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	n, err := strconv.ParseUint(fields[22-3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestProcessOlderThanTheTracerIsKnown(t *testing.T) {
	path := worker(t)
	p := start(t, path, "one", "", "three\n")
	ticks := startTicks(t, p.pid())
	r := record(t)
	child := p.child()
	p.finish()
	events := r.stopWhole()

	made := historyOf(events, child)
	made.want(t, "exec exit")
	old := made[0].Parent
	if old == nil {
		t.Fatal("the child's parent is not known")
	}
	if made[0].Process.Parent != old.ID || made[0].Process.Creator != old.ID {
		t.Errorf("child of %v, created by %v, want %v", made[0].Process.Parent, made[0].Process.Creator, old.ID)
	}
	if int(old.ID.PID) != p.pid() || old.ID.Start/uint64(10*time.Millisecond) != ticks {
		t.Errorf("identity %v, want PID %d and a start of %d ticks", old.ID, p.pid(), ticks)
	}
	if old.File.Path != path || old.FromFork || old.ExecTime != 0 || int(old.Parent.PID) != os.Getpid() {
		t.Errorf("older process: %+v", old)
	}
	if fmt.Sprintf("%q", old.Args) != fmt.Sprintf("%q", []string{path, "one", "", "three\n"}) || old.ArgsCount != 4 {
		t.Errorf("arguments %q", old.Args)
	}
	h := historyOf(events, p.pid())
	h.want(t, "exit")
	if h[0].Process != old || h[0].Exit.Code != 4 || h[0].Parent == nil || int(h[0].Parent.ID.PID) != os.Getpid() {
		t.Errorf("exit %+v of %+v, want that of %+v", h[0].Exit, h[0].Process, old)
	}
}

func TestProcessThatEndedBeforeTheStartIsNotKnown(t *testing.T) {
	before := record(t)
	zombie := start(t, trivial(t))
	alive := start(t, worker(t))
	if err := unix.Waitid(unix.P_PID, zombie.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	ended, lives := before.waitExit(zombie.pid()).Process.ID, before.waitExec(alive.pid()).Process.ID
	before.stopWhole()

	// It is still in the kernel's list of processes, and will never exit again.
	after := record(t)
	after.stopWhole()
	if p := after.table.Lookup(ended); p != nil {
		t.Errorf("in the table: %+v", p)
	}
	if after.table.Lookup(lives) == nil {
		t.Error("a process that lives is not in the table")
	}
	zombie.finish()
	alive.finish()
}
