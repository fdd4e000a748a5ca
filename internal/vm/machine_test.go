// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/kernels"
)

// The tests of this file boot machines. They do not fetch what is missing: that is for the commands.

// runner builds the command; skips when this machine cannot run one.
func runner(t *testing.T, versions ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("boots machines")
	}
	for _, program := range []string{"go", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	for _, version := range versions {
		dir := kernels.Open(os.Stderr).Dir
		if _, err := os.Stat(filepath.Join(dir, "kernels", version)); err != nil {
			t.Skipf("kernel %s was not fetched: %v", version, err)
		}
	}
	bin := filepath.Join(t.TempDir(), "vm")
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

type ran struct {
	status         int
	stdout, stderr string
}

// start runs the command in dir with no standard input.
func start(t *testing.T, dir, bin string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func script(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunOnKernels(t *testing.T) {
	tests := map[string]struct {
		script         string
		flags          []string
		status         int
		stdout, stderr []string
	}{
		"output and status come back": {
			script: "echo out; echo err >&2; exit 7", status: 7, stdout: []string{"out\n"}, stderr: []string{"err\n"},
		},
		"signal": {script: "kill -9 $$", status: 137},
		"the system is complete": {
			script: `set -e
				cat /proc/self/mounts; cat /sys/kernel/btf/vmlinux >/dev/null; cat testdata/file
				echo $RINGSIDE_KERNEL-$RINGSIDE_X-$HOME-$1; : >/tmp/x; : >/dev/shm/x; cat </dev/null`,
			stdout: []string{
				"bpf /sys/fs/bpf bpf", "cgroup2 /sys/fs/cgroup", "tracefs /sys/kernel/tracing", "debugfs /sys/kernel/debug",
				"fixture\n", "6.12-set-/root-argument\n",
			},
		},
		"what runs on is ended": {script: "sleep 1000 & echo started", stdout: []string{"started\n"}},
		"warning": {
			script: "echo '<4>WARNING: CPU: 0 PID: 1 at made.c:1' >/dev/kmsg", status: statusFailed,
			stderr: []string{"the kernel complained: WARNING: CPU: 0", "from the console"},
		},
		"status of the program wins over a warning": {
			script: "echo '<4>WARNING: CPU: 0 PID: 1 at made.c:1' >/dev/kmsg; exit 3", status: 3,
			stderr: []string{"WARNING: CPU: 0"},
		},
		"panic": {
			script: "echo before; echo c >/proc/sysrq-trigger; sleep 100", status: statusFailed,
			stdout: []string{"before\n"}, stderr: []string{"died during script", "Kernel panic"},
		},
		"hang": {
			script: "echo before; echo '<2>last sign of life' >/dev/kmsg; sleep 1000", flags: []string{"-timeout", "2s"}, status: statusFailed,
			stdout: []string{"before\n"}, stderr: []string{"script took more than 2s", "last sign of life"},
		},
		"no such program": {script: "exec /not/there", status: 127},
		"kernel that does not boot": {
			flags: []string{"-append", "rdinit=/bin/false"}, status: statusFailed, stderr: []string{"died during boot", "Attempted to kill init"},
		},
	}
	bin := runner(t, "6.12")
	t.Setenv("RINGSIDE_X", "set")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "testdata"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "testdata/file"), []byte("fixture\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"run", "-kernel", "6.12"}, tt.flags...)
			got := start(t, dir, bin, append(args, script(t, dir, tt.script), "argument")...)
			if got.status != tt.status {
				t.Errorf("status %d, want %d", got.status, tt.status)
			}
			for _, want := range tt.stdout {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("stdout has no %q", want)
				}
			}
			for _, want := range tt.stderr {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("stderr has no %q", want)
				}
			}
			if t.Failed() {
				t.Logf("stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
			}
		})
	}
}

func TestFilesGoInAndComeBack(t *testing.T) {
	bin := runner(t, "6.1")
	dir, fixtures := t.TempDir(), t.TempDir()
	contents := bytes.Repeat([]byte("0123456789abcdef\x00\xff\n"), 100_000)
	if err := os.WriteFile(filepath.Join(fixtures, "in"), contents, 0o600); err != nil {
		t.Fatal(err)
	}
	got := start(t, dir, bin, "run", "-kernel", "6.1", "-with", filepath.Join(fixtures, "in")+"=/opt/in",
		"-get", "/tmp/out", "-get", "/tmp/empty=void", "-get", "/tmp/none",
		script(t, dir, "cat /opt/in >/tmp/out; : >/tmp/empty"))
	if got.status != 0 {
		t.Fatalf("status %d\n%s", got.status, got.stderr)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil || !bytes.Equal(out, contents) {
		t.Errorf("%d of %d bytes came back, %v", len(out), len(contents), err)
	}
	if void, err := os.ReadFile(filepath.Join(dir, "void")); err != nil || len(void) != 0 {
		t.Errorf("the empty file has %d bytes, %v", len(void), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there came back: %v", err)
	}
}

func TestBenchCountsInstructions(t *testing.T) {
	bin := runner(t, "6.12")
	dir := t.TempDir()
	got := start(t, dir, bin, "bench", "-kernel", "6.12", "--",
		script(t, dir, "cat /proc/sys/kernel/bpf_stats_enabled; echo count=$RINGSIDE_COUNT; cat /proc/stat"))
	if got.status != 0 {
		t.Fatalf("status %d\n%s", got.status, got.stderr)
	}
	if !strings.HasPrefix(got.stdout, "1\ncount=1\n") || !strings.Contains(got.stdout, "\ncpu0 ") || strings.Contains(got.stdout, "\ncpu1 ") {
		t.Errorf("got:\n%s", got.stdout)
	}
	if got := start(t, dir, bin, "bench", "-kernel", "6.1", "/bin/true"); got.status != statusBroken {
		t.Errorf("6.1: status %d, want %d", got.status, statusBroken)
	}
}

func TestMachineDoesNotOutliveItsRunner(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			bin := runner(t, "6.12")
			dir := t.TempDir()
			cmd := exec.Command(bin, "run", script(t, dir, "echo up; sleep 1000"))
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Dir = dir
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stdout.Read(make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			qemu := childOf(t, cmd.Process.Pid)
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("a runner that was ended says that all went well")
			}
			deadline := time.Now().Add(10 * time.Second)
			for !gone(qemu) {
				if time.Now().After(deadline) {
					t.Fatalf("QEMU, process %d, is still there", qemu)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

func TestSuiteReplacesAMachineThatDied(t *testing.T) {
	bin := runner(t, "6.1", "6.12")
	got := start(t, "suite/testdata/sample", bin, "suite", "-kernels", "6.1,6.12", "./passes", "./crashes", "./skips")
	if got.status != statusFailed {
		t.Errorf("status %d, want %d", got.status, statusFailed)
	}
	for _, want := range []string{
		"ok  \t6.1\tsample/passes", "ok  \t6.1\tsample/skips", "ok  \t6.12\tsample/passes", "ok  \t6.12\tsample/skips",
		"FAIL\t6.1\tsample/crashes", "Kernel panic - not syncing: sysrq triggered crash",
		"failed\t6.12 sample/crashes TestCrashes: the virtual machine died during crashes.test: Kernel panic",
		"skipped\t6.1,6.12 sample/skips TestParent/skips: not here",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	// For each kernel: 3 passed in passes, 1 before the crash, 1 in skips.
	if want := "\n10 passed, 2 failed, 4 skipped\n"; !strings.HasSuffix(got.stdout, want) {
		t.Errorf("last line is not %q", want)
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
	}
}
