// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loadPath is where a load program is while it runs.
const loadPath = "/run/bench-load"

// run makes the processes and waits for them all.
func (l workload) run(argv ...string) error {
	cmd, err := l.command(argv...)
	if err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the load: %w", err)
	}
	return nil
}

func (l workload) command(argv ...string) (*exec.Cmd, error) {
	if err := writeProgram(loadPath, l.code()); err != nil {
		return nil, err
	}
	cmd := exec.Command(loadPath, argv...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// crowd is a load whose processes stay.
type crowd struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// gather makes the processes and returns when all of them are there.
func (l workload) gather(argv ...string) (*crowd, error) {
	l.stay = true
	cmd, err := l.command(argv...)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("gather processes: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("gather processes: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("gather processes: %w", err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		return nil, fmt.Errorf("gather processes: %w", err)
	}
	return &crowd{cmd, stdin}, nil
}

// end ends all processes, and returns when the first of them, which made the others, has ended.
func (c *crowd) end() error {
	if err := c.stdin.Close(); err != nil {
		return fmt.Errorf("end processes: %w", err)
	}
	var failed *exec.ExitError
	if err := c.cmd.Wait(); !errors.As(err, &failed) || failed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return errors.Join(errors.New("end processes: the load ended by itself"), err)
	}
	return nil
}

// ownInstructions returns what this process has executed so far, its share of the kernel included.
func ownInstructions() (float64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read own CPU time: %w", err)
	}
	return float64(ts.Nano()), nil
}

// allInstructions returns what the machine has executed so far in processes, idling left out.
func allInstructions() (float64, error) {
	// The kernel adds what a thread has executed when it leaves the CPU.
	time.Sleep(time.Millisecond)
	text, err := os.ReadFile("/proc/schedstat")
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[0] != "cpu0" {
			continue
		}
		var n float64
		if _, err := fmt.Sscan(fields[7], &n); err != nil {
			return 0, fmt.Errorf("read CPU time: /proc/schedstat: %q: %w", line, err)
		}
		return n, nil
	}
	return 0, errors.New("read CPU time: /proc/schedstat has no line for cpu0")
}

// difference returns by how much a counter rises while f runs.
func difference(counter func() (float64, error), f func() error) (float64, error) {
	before, err := counter()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := counter()
	return after - before, err
}

// othersInstructions is allInstructions without those of this process.
func othersInstructions() (float64, error) {
	all, err := allInstructions()
	if err != nil {
		return 0, err
	}
	own, err := ownInstructions()
	return all - own, err
}

// setStats switches the kernel's measuring of BPF programs, which costs time itself.
func setStats(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	if err := os.WriteFile("/proc/sys/kernel/bpf_stats_enabled", []byte(value), 0); err != nil {
		return fmt.Errorf("switch BPF statistics: %w", err)
	}
	return nil
}

// await returns when done does, looking every few milliseconds.
func await(what string, done func() (bool, error)) error {
	const step, patience = 10 * time.Millisecond, 30 * time.Second
	for waited := time.Duration(0); waited < patience; waited += step {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		time.Sleep(step)
	}
	return fmt.Errorf("%s: not within %v", what, patience)
}
