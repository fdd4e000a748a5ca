// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/vm/wire"
)

// perform runs a task and tells everything about it. What is wrong with the task is told to the runner; the error is for
// what makes it impossible to go on.
func perform(p *port, number int, task wire.Task) error {
	if err := mark("begin", number); err != nil {
		return err
	}
	before, err := taint()
	if err != nil {
		return err
	}
	if err := p.send(wire.Begin, nil); err != nil {
		return err
	}
	exit, err := execute(p, task)
	if err != nil {
		return err
	}
	if err := sendFiles(p, task.Get); err != nil {
		return err
	}
	after, err := taint()
	if err != nil {
		return err
	}
	exit.Taint = after &^ before
	if err := mark("end", number); err != nil {
		return err
	}
	payload, err := json.Marshal(exit)
	if err != nil {
		return fmt.Errorf("tell exit: %w", err)
	}
	return p.send(wire.End, payload)
}

// execute runs the program, forwards what it prints, and ends what it has left running.
func execute(p *port, task wire.Task) (wire.Exit, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return wire.Exit{}, fmt.Errorf("open stdin: %w", err)
	}
	defer null.Close()
	output := &forwarder{port: p}
	stdout, err := output.pipe(wire.Stdout)
	if err != nil {
		return wire.Exit{}, err
	}
	stderr := stdout
	if !task.Merge {
		if stderr, err = output.pipe(wire.Stderr); err != nil {
			return wire.Exit{}, err
		}
	}
	// Not os/exec: as init this process must wait for every orphan, and only one wait may be at work.
	pid, startErr := syscall.ForkExec(task.Path, task.Args, &syscall.ProcAttr{
		Dir: task.Dir, Env: task.Env,
		Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	output.closeWriters()
	if startErr != nil {
		return wire.Exit{Error: fmt.Sprintf("start %s in %s: %v", task.Path, task.Dir, startErr)}, output.wait()
	}
	exit, err := reapUntil(pid)
	if err != nil {
		return wire.Exit{}, err
	}
	if err := killRest(); err != nil {
		return wire.Exit{}, err
	}
	return exit, output.wait()
}

// reapUntil waits for all children, adopted ones too, until this one has ended.
func reapUntil(pid int) (wire.Exit, error) {
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return wire.Exit{}, fmt.Errorf("wait: %w", err)
		}
		if got != pid {
			continue
		}
		if status.Signaled() {
			return wire.Exit{Signal: int(status.Signal())}, nil
		}
		return wire.Exit{Code: status.ExitStatus()}, nil
	}
}

// killRest ends what a task has left behind, so that the next one finds a quiet machine.
func killRest() error {
	for {
		// From process 1 this reaches all others.
		if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill what is left: %w", err)
		}
		_, err := unix.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for what is left: %w", err)
		}
	}
}

// forwarder copies from pipes to the port.
type forwarder struct {
	port    *port
	writers []*os.File
	group   sync.WaitGroup
	mu      sync.Mutex
	err     error
}

// pipe returns the end that a task writes to.
func (f *forwarder) pipe(t wire.Type) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	f.writers = append(f.writers, w)
	f.group.Go(func() {
		defer r.Close()
		if err := f.port.copy(t, nil, r); err != nil {
			f.mu.Lock()
			f.err = errors.Join(f.err, err)
			f.mu.Unlock()
		}
	})
	return w, nil
}

func (f *forwarder) closeWriters() {
	for _, w := range f.writers {
		w.Close()
	}
}

func (f *forwarder) wait() error {
	f.group.Wait()
	return f.err
}

// copy sends all of r in frames that start with prefix.
func (p *port) copy(t wire.Type, prefix []byte, r io.Reader) error {
	buf := make([]byte, 32<<10)
	head := copy(buf, prefix)
	for {
		n, err := r.Read(buf[head:])
		if n > 0 {
			if err := p.send(t, buf[:head+n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read output: %w", err)
		}
	}
}

func sendFiles(p *port, paths []string) error {
	for i, path := range paths {
		if err := sendFile(p, byte(i), path); err != nil {
			return err
		}
	}
	return nil
}

func sendFile(p *port, index byte, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("send file: %w", err)
	}
	defer f.Close()
	// An empty chunk first: an empty file is a file too.
	if err := p.send(wire.File, []byte{index}); err != nil {
		return err
	}
	return p.copy(wire.File, []byte{index}, f)
}

// mark writes a marker to the kernel's log, at a level that the console always shows.
func mark(what string, number int) error {
	// Opened anew each time: the kernel limits the rate per open file.
	line := fmt.Sprintf("<2>%s %s %d\n", wire.Marker, what, number)
	if err := os.WriteFile("/dev/kmsg", []byte(line), 0); err != nil {
		return fmt.Errorf("mark console: %w", err)
	}
	return nil
}

func taint() (uint64, error) {
	text, err := os.ReadFile("/proc/sys/kernel/tainted")
	if err != nil {
		return 0, fmt.Errorf("read taint: %w", err)
	}
	bits, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read taint: %w", err)
	}
	return bits, nil
}
