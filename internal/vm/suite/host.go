// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/vm/wire"
)

// Host names the running kernel, here and in package vmtest.
const Host = "host"

// onHost runs packages on the running kernel.
func (s *Suite) onHost(ctx context.Context, packages []Package) {
	var uts unix.Utsname
	release := "unknown"
	if err := unix.Uname(&uts); err == nil {
		release = unix.ByteSliceToString(uts.Release[:])
	}
	fmt.Fprintf(s.Out, "=== kernel %s: Linux %s\n", Host, release)
	for _, p := range packages {
		if ctx.Err() != nil {
			return
		}
		run := s.begin(Host, p.ImportPath)
		run.end(s.execute(ctx, p, run))
	}
}

// hostWriter forwards output to a packageRun.
type hostWriter struct{ run *packageRun }

func (w hostWriter) Write(p []byte) (int, error) {
	w.run.write(p)
	return len(p), nil
}

// execute runs one test binary and returns why it failed.
func (s *Suite) execute(ctx context.Context, p Package, run *packageRun) string {
	if s.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Limit, fmt.Errorf("took more than %v", s.Limit))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, p.Binary, s.Args...)
	cmd.Dir = p.Dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "RINGSIDE_KERNEL=")
	}), "RINGSIDE_KERNEL="+Host)
	cmd.Stdout = hostWriter{run}
	cmd.Stderr = cmd.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// What the test has started goes with it.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	// Pdeathsig is bound to the thread that starts the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil:
		return fmt.Sprintf("ended: %v", context.Cause(ctx))
	case errors.As(err, &exit):
		status := exit.Sys().(syscall.WaitStatus)
		result := wire.Exit{Code: status.ExitStatus()}
		if status.Signaled() {
			result.Signal = int(status.Signal())
		}
		return exitReason(result)
	}
	return err.Error()
}
