// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// checkStatus holds the exit that was told to the status that wait(2) returned.
func checkStatus(t *testing.T, got *event.ExitStatus, want syscall.WaitStatus) {
	t.Helper()
	code, signal := 0, 0
	if want.Exited() {
		code = want.ExitStatus()
	} else {
		signal = int(want.Signal())
	}
	if got.Code != code || got.Signal != signal || got.CoreDumped != want.CoreDump() {
		t.Errorf("told %+v, want what wait returned: code %d, signal %d, core dump %v", got, code, signal, want.CoreDump())
	}
}

// leaderFirst has a thread wait for the end of the leader.
func leaderFirst(a *asm) {
	running := a.words(1) // set to 0, with a wake-up, when the leader ends
	a.call(sysSetTidAddress, running)
	a.thread(func() {
		a.call(sysFutex, running, 0, 1, 0, 0, 0) // FUTEX_WAIT, while it is 1
		a.exitThread(12)
	})
	a.exitThread(13)
}

func TestExitTellsHowTheProcessEnded(t *testing.T) {
	kill := func(signal int) func(*asm) {
		return func(a *asm) {
			self := a.space(8)
			a.call(sysGetpid)
			a.store(self)
			a.call(sysKill, word(self), signal)
			a.repeat(1<<30, func() { a.call(sysPause) })
		}
	}
	forever := func(a *asm) { a.repeat(1<<30, func() { a.call(sysPause) }) }
	cases := map[string]struct {
		program      func(*asm)
		code, signal int
	}{
		"code 0":                  {program: func(a *asm) { a.exit(0) }},
		"code 255":                {program: func(a *asm) { a.exit(255) }, code: 255},
		"code cut to eight bits":  {program: func(a *asm) { a.exit(0x1234) }, code: 0x34},
		"exit of the one thread":  {program: func(a *asm) { a.exitThread(9) }, code: 9},
		"SIGKILL":                 {program: kill(9), signal: 9},
		"SIGTERM":                 {program: kill(15), signal: 15},
		"a real-time signal":      {program: kill(64), signal: 64},
		"a fault":                 {program: func(a *asm) { a.fault() }, signal: 4},
		"exit_group by a thread":  {program: func(a *asm) { a.thread(func() { a.exit(11) }); forever(a) }, code: 11},
		"a signal with threads":   {program: func(a *asm) { a.thread(func() { forever(a) }); kill(10)(a) }, signal: 10},
		"the leader leaves first": {program: leaderFirst, code: 12},
	}
	r := record(t)
	ended := make(map[string]*os.ProcessState)
	for name, c := range cases {
		a := newAsm(t)
		c.program(a)
		_, _, cmd := run(t, a.build())
		ended[name] = cmd.ProcessState
	}
	events := r.stopWhole()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := historyOf(events, ended[name].Pid())
			h.want(t, "exec exit")
			status, _ := ended[name].Sys().(syscall.WaitStatus)
			checkStatus(t, h[1].Exit, status)
			if got := h[1].Exit; got.Code != c.code || got.Signal != c.signal {
				t.Errorf("told %+v, want code %d and signal %d", got, c.code, c.signal)
			}
			if h[1].Process != h[0].Process || h[1].Exit.Duration <= 0 || h[1].Exit.Duration > h[1].Boot {
				t.Errorf("exit %+v at %v of %+v", h[1].Exit, h[1].Boot, h[1].Process)
			}
		})
	}
}

func TestExitTellsTheCoreDump(t *testing.T) {
	a := newAsm(t)
	const rlimitCore = 4
	a.call(sysSetrlimit, rlimitCore, a.words(-1, -1))
	a.call(sysChdir, a.text(t.TempDir()))
	a.fault()
	r := record(t)
	pid, _, cmd := run(t, a.build())
	events := r.stopWhole()
	h := historyOf(events, pid)
	h.want(t, "exec exit")
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	checkStatus(t, h[1].Exit, status)
	vmtest.SkipUnless(t, status.CoreDump(), "core dumps to files, as it is set up", "6.1", "6.12")
}

// racers is a program whose threads end at about the same time, the leader among them.
func racers(t *testing.T, threads int) string {
	a := newAsm(t)
	for i := range threads {
		a.thread(func() { a.burn(1 + 1000*(threads-1-i)); a.exitThread(i + 1) })
	}
	a.exitThread(100)
	return a.build()
}

func TestThreadsThatRaceToTheEndMakeOneExit(t *testing.T) {
	const processes = 200
	r := record(t)
	type told struct {
		parent int
		words  []int // PID and status of each process, as wait returned them
	}
	all := make(map[int]told)
	for _, threads := range []int{1, 2, 12} {
		path := racers(t, threads)
		a := newAsm(t)
		pid, status := a.space(8), a.space(8)
		a.repeat(processes, func() {
			a.call(sysVfork)
			a.child(func() { a.exec(path, "racers"); a.exit(127) })
			a.store(pid)
			a.call(sysWait4, word(pid), status, 0, 0)
			a.tell(pid)
			a.tell(status)
		})
		a.exit(0)
		parent, words, _ := run(t, a.build())
		all[threads] = told{parent, words}
	}
	events := r.stopWhole()
	for threads, want := range all {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			self := historyOf(events, want.parent).last(t, event.Exec).Process.ID
			var exits []event.Event
			for _, ev := range events {
				if ev.Kind == event.Exit && ev.Process.Parent == self {
					exits = append(exits, ev)
				}
			}
			if len(want.words) != 2*processes || len(exits) != processes {
				t.Fatalf("%d processes ran, %d exits were told", len(want.words)/2, len(exits))
			}
			for i, ev := range exits {
				if int(ev.Process.ID.PID) != want.words[2*i] {
					t.Fatalf("exit of %v, want that of %d", ev.Process.ID, want.words[2*i])
				}
				checkStatus(t, ev.Exit, syscall.WaitStatus(want.words[2*i+1]))
			}
		})
	}
}

// TestExitTellsTheTimeOfAllThreads has threads end together by the end of the process, so that many are not reaped when the last one passes.
func TestExitTellsTheTimeOfAllThreads(t *testing.T) {
	const processes = 40
	a := newAsm(t)
	for range 4 {
		a.thread(func() { a.burn(5_000_000); a.repeat(1<<30, func() { a.call(sysPause) }) })
	}
	a.burn(5_000_000)
	a.call(sysNanosleep, a.words(0, int(30*time.Millisecond)), 0)
	a.exit(0)
	path := a.build()
	r := record(t)
	used := make(map[int]time.Duration)
	for range processes {
		pid, _, cmd := run(t, path)
		used[pid] = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	events := r.stopWhole()
	for pid, want := range used {
		exit := historyOf(events, pid).last(t, event.Exit).Exit
		// One thread less would be a fifth less.
		if got := exit.User + exit.System; got < want*9/10 || got > want+time.Millisecond {
			t.Errorf("%v of CPU time, want %v or a little less", got, want)
		}
	}
}

func TestExitTellsWhatTheProcessUsed(t *testing.T) {
	const megabytes = 16
	a := newAsm(t)
	memory := a.space(8)
	const readWrite, private = 3, 0x22 // PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS
	a.call(sysMmap, 0, megabytes<<20, readWrite, private, -1, 0)
	a.store(memory)
	file := filepath.Join(t.TempDir(), "written")
	fd := a.space(8)
	a.call(sysOpen, a.text(file), os.O_CREATE|os.O_WRONLY, 0o600)
	a.store(fd)
	// The kernel touches the memory to read it.
	a.call(sysWrite, word(fd), word(memory), megabytes<<20)
	a.thread(func() { a.burn(100_000_000); a.exit(0) })
	a.burn(100_000_000)
	a.repeat(1<<30, func() { a.call(sysPause) })

	r := record(t)
	p := start(t, a.build())
	if err := unix.Waitid(unix.P_PID, p.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	// The process has ended and can still be looked at.
	read, written := ioOf(t, p.pid())
	p.finish()
	events := r.stopWhole()
	h := historyOf(events, p.pid())
	h.want(t, "exec exit")
	got := h[1].Exit
	usage, _ := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	user, system := time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())
	// What follows the tracepoint is in the figures of wait alone.
	if sum := got.User + got.System; sum > user+system+10*time.Millisecond || sum < (user+system)/2 {
		t.Errorf("%v of CPU time, want about %v", sum, user+system)
	}
	if got.User < user/2 || got.User == 0 {
		t.Errorf("%v of CPU time in user mode, want about %v", got.User, user)
	}
	if got.MaxRSS != uint64(usage.Maxrss)<<10 {
		t.Errorf("maximum resident size %d, want %d", got.MaxRSS, usage.Maxrss<<10)
	}
	if got.ReadBytes != read || got.WriteBytes != written {
		t.Errorf("%d bytes read and %d written, want %d and %d", got.ReadBytes, got.WriteBytes, read, written)
	}
	t.Logf("told %+v", got)
}

// ioOf returns what /proc tells of the storage that a process used.
func ioOf(t *testing.T, pid int) (read, written uint64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		_, _ = fmt.Sscanf(line, "read_bytes: %d", &read) // one line of several
		_, _ = fmt.Sscanf(line, "write_bytes: %d", &written)
	}
	return read, written
}
