// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// terminal opens a pseudo-terminal and returns its slave, whose master stays open until the test ends.
func terminal(t *testing.T) (slave *os.File, name string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	name = "pts/" + strconv.Itoa(n)
	if slave, err = os.OpenFile("/dev/"+name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{slave, master} {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return slave, name
}

func TestSessionAndTerminal(t *testing.T) {
	r := recordExecs(t)
	path := install(t, t.TempDir()+"/prog", exitProgram())
	t.Run("of its own", func(t *testing.T) {
		slave, name := terminal(t)
		cmd := bare(path)
		cmd.Stdin = slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if p := r.run(t, cmd); p.TTY != name || p.SessionPID != p.ID.PID {
			t.Errorf("terminal %q, want %q; session %d of %d", p.TTY, name, p.SessionPID, p.ID.PID)
		}
	})
	t.Run("another terminal", func(t *testing.T) {
		_, first := terminal(t)
		slave, name := terminal(t)
		cmd := bare(path)
		cmd.Stdin = slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if p := r.run(t, cmd); p.TTY != name || name == first {
			t.Errorf("terminal %q, want %q", p.TTY, name)
		}
	})
	t.Run("of a parent", func(t *testing.T) {
		slave, name := terminal(t)
		cmd := program("parent", path)
		cmd.Stdin = slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		defer r.within(t)()
		child := r.wait("exec of "+path, func(e *event.Event) bool {
			return e.Process != nil && int(e.Process.Parent.PID) == cmd.Process.Pid && e.Process.File.Path == path
		}).Process
		if child.TTY != name || int(child.SessionPID) != cmd.Process.Pid {
			t.Errorf("terminal %q, want %q; session %d, want %d", child.TTY, name, child.SessionPID, cmd.Process.Pid)
		}
	})
	t.Run("without a terminal", func(t *testing.T) {
		slave, _ := terminal(t)
		cmd := bare(path)
		cmd.Stdin = slave // which makes it no controlling terminal
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if p := r.run(t, cmd); p.TTY != "" || p.SessionPID != p.ID.PID {
			t.Errorf("terminal %q, session %d of %d", p.TTY, p.SessionPID, p.ID.PID)
		}
	})
	t.Run("as that of the test", func(t *testing.T) {
		sid, err := unix.Getsid(0)
		if err != nil {
			t.Fatal(err)
		}
		if p := r.run(t, bare(path)); int(p.SessionPID) != sid {
			t.Errorf("session %d, want %d", p.SessionPID, sid)
		}
	})
}

// parent runs a program and waits for it.
func parent(args []string) {
	if err := bare(args[0]).Run(); err != nil {
		fail("run", err)
	}
}

func TestExecTellsWhenAndWho(t *testing.T) {
	r := recordExecs(t)
	path := install(t, t.TempDir()+"/prog", pauseProgram())
	before, wallBefore := bootTime(), time.Now()
	cmd := bare(path)
	p := r.hold(t, path, cmd)
	after, wallAfter := bootTime(), time.Now()
	ev := r.waitExec(cmd.Process.Pid)

	if ev.Boot < before || ev.Boot > after || p.ExecTime != ev.Boot {
		t.Errorf("at %v (%v in the process), want between %v and %v", ev.Boot, p.ExecTime, before, after)
	}
	// The two clocks are read one after the other.
	const slack = 20 * time.Millisecond
	if ev.Time.Before(wallBefore.Add(-slack)) || ev.Time.After(wallAfter.Add(slack)) {
		t.Errorf("at %v, want between %v and %v", ev.Time, wallBefore, wallAfter)
	}
	if start := time.Duration(p.ID.Start); start < before || start > ev.Boot || ev.Time.Sub(p.StartTime) != ev.Boot-start {
		t.Errorf("created at %v, %v since boot, executed at %v, %v since boot", p.StartTime, start, ev.Time, ev.Boot)
	}
	if p.TID != p.ID.PID || p.VPID != uint32(cmd.Process.Pid) || int(p.Parent.PID) != os.Getpid() || p.FromFork {
		t.Errorf("%+v", p)
	}
	// Field 22 of /proc/PID/stat is the start in hundredths of a second.
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.ID.PID))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if got := fmt.Sprint(p.ID.Start / 1e7); got != fields[19] {
		t.Errorf("created at tick %s, /proc tells %s", got, fields[19])
	}
}
