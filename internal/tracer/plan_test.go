// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
)

// plan is what the program "plan" does to itself before it executes another program: what os/exec cannot ask for.
// It travels on standard input.
type plan struct {
	Write   map[string]string // files to write, and what
	Calls   []call            // system calls, in order; all on the thread that executes
	NoCaps  bool              // give up all capabilities, after Calls
	Seccomp bool              // install a filter that allows everything
	Remove  string            // file or empty directory

	FD   int // directory or, without a Path, file to execute; 0 for none
	Path string
	Argv []string // nil is a null pointer
	Env  []string
}

// call is a system call whose arguments are numbers.
type call struct {
	Number uintptr
	Args   [5]uintptr
}

func prctl(args ...uintptr) call {
	c := call{Number: unix.SYS_PRCTL}
	copy(c.Args[:], args)
	return c
}

func runPlan([]string) {
	var p plan
	if err := gob.NewDecoder(os.Stdin).Decode(&p); err != nil {
		fail("read the plan", err)
	}
	runtime.LockOSThread() // most of what a plan changes belongs to one thread
	for name, contents := range p.Write {
		if err := os.WriteFile(name, []byte(contents), 0); err != nil {
			fail("write", err)
		}
	}
	if p.Remove != "" {
		if err := os.Remove(p.Remove); err != nil {
			fail("remove", err)
		}
	}
	for _, c := range p.Calls {
		if _, _, errno := unix.RawSyscall6(c.Number, c.Args[0], c.Args[1], c.Args[2], c.Args[3], c.Args[4], 0); errno != 0 {
			fail(fmt.Sprintf("call %+v", c), errno)
		}
	}
	if p.NoCaps {
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			fail("give up capabilities", err)
		}
	}
	if p.Seccomp {
		installFilter()
	}
	p.execute()
}

func (p *plan) execute() {
	at, flags := unix.AT_FDCWD, 0
	if p.FD != 0 {
		at = p.FD
	}
	if p.Path == "" {
		flags = unix.AT_EMPTY_PATH
	}
	path, argv, env := cStrings(p.Path), cStrings(p.Argv...), cStrings(p.Env...)
	vector := unsafe.Pointer(&argv[0])
	if p.Argv == nil {
		vector = nil
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(at), uintptr(unsafe.Pointer(path[0])), uintptr(vector),
		uintptr(unsafe.Pointer(&env[0])), uintptr(flags), 0)
	fail("execute "+p.Path, errno)
}

// cStrings is a null-terminated vector as execve(2) takes it.
func cStrings(all ...string) []*byte {
	var v []*byte
	for _, s := range all {
		v = append(v, &append([]byte(s), 0)[0])
	}
	return append(v, nil)
}

func installFilter() {
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		fail("install a filter", errno)
	}
}

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, what+":", err)
	os.Exit(126)
}

// command returns a command that carries out the plan.
func (p *plan) command(t *testing.T, files ...*os.File) *exec.Cmd {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(p); err != nil {
		t.Fatal(err)
	}
	cmd := program("plan")
	cmd.Stdin = &b
	cmd.ExtraFiles = files
	return cmd
}

// bare returns a command with exactly these arguments and no environment.
func bare(path string, argv ...string) *exec.Cmd {
	return &exec.Cmd{Path: path, Args: append([]string{path}, argv...), Env: []string{}, Stderr: os.Stderr}
}

// recordExecs starts a tracer that reads no executables, which most tests of this package do not look at.
func recordExecs(t *testing.T, options ...func(*config.Process)) *recorder {
	t.Helper()
	r := record(t, append([]func(*config.Process){func(c *config.Process) { c.Digest.Enabled = false }}, options...)...)
	t.Cleanup(func() {
		if !t.Failed() {
			r.stopWhole()
		}
	})
	return r
}

// within makes a subtest the one that fails, until the returned function is called.
func (r *recorder) within(t *testing.T) func() {
	outer := r.t
	r.t = t
	return func() { r.t = outer }
}

// run runs a command to its end and returns the last execution of the process.
func (r *recorder) run(t *testing.T, cmd *exec.Cmd) *event.Process {
	t.Helper()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	return r.last(t, cmd.Process.Pid)
}

// last returns the last execution of a process that ended.
func (r *recorder) last(t *testing.T, pid int) *event.Process {
	t.Helper()
	defer r.within(t)()
	exit := r.waitExit(pid)
	p := r.wait(fmt.Sprintf("exec of %d", pid), func(e *event.Event) bool { return e.Kind == event.Exec && e.Process == exit.Process })
	return p.Process
}

// hold starts a command whose last execution is the program at path, which pauses, and returns that execution while
// the process lives. The test's end kills it.
func (r *recorder) hold(t *testing.T, path string, cmd *exec.Cmd) *event.Process {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed, which Wait calls an error
	})
	defer r.within(t)()
	ev := r.wait("exec of "+path, func(e *event.Event) bool {
		return e.Kind == event.Exec && int(e.Process.ID.PID) == cmd.Process.Pid && e.Process.File.Path == path
	})
	return ev.Process
}

// publicDir returns a temporary directory that every user can enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// asUser makes a command run as a user that is not root and has no capabilities.
func asUser(cmd *exec.Cmd, uid, gid uint32) *exec.Cmd {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	return cmd
}
