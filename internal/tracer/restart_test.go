// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

func TestRestartKeepsIdentities(t *testing.T) {
	before := record(t)
	stays := start(t, worker(t))
	waiter := newAsm(t)
	waiter.await()
	waiter.exit(6)
	next := waiter.build()
	a := newAsm(t)
	a.await()
	a.exec(next, "next")
	changes := start(t, a.build())
	first := before.waitExec(stays.pid()).Process
	changed := before.waitExec(changes.pid()).Process
	child := stays.child()
	if got := before.waitExec(child).Process.Parent; got != first.ID {
		t.Errorf("parent %v of a child before the restart, want %v", got, first.ID)
	}
	before.stopWhole()

	// Nobody sees this.
	stays.child()
	changes.goOn()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", changes.pid())); err == nil && exe == next {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the program does not execute the next one")
		}
	}

	after := record(t)
	child = stays.child()
	stays.finish()
	changes.finish()
	events := after.stopWhole()
	made := historyOf(events, child)
	made.want(t, "exec exit")
	if made[0].Process.Parent != first.ID || made[0].Process.Creator != first.ID {
		t.Errorf("parent %v of a child after the restart, want %v", made[0].Process.Parent, first.ID)
	}
	h := historyOf(events, stays.pid())
	h.want(t, "exit")
	if got := h[0].Process; got.ID != first.ID || got.Parent != first.Parent || got.File != first.File || got.Args[0] != first.Args[0] || h[0].Exit.Code != 4 {
		t.Errorf("after the restart %+v, before it %+v", got, first)
	}
	h = historyOf(events, changes.pid())
	h.want(t, "exit")
	want := changed.ID
	want.Exec++
	if got := h[0].Process; got.ID != want || got.File.Path != next || got.Args[0] != "next" || h[0].Exit.Code != 6 {
		t.Errorf("after an exec that nobody saw %+v, want %v", got, want)
	}
}

func TestTwoTracersSeeTheSame(t *testing.T) {
	one, two := record(t, withForks), record(t, withForks)
	all := spawn(t, 100, 2)
	first, second := one.stopWhole(), two.stopWhole()
	for _, s := range all {
		checkSpawned(t, first, s)
		checkSpawned(t, second, s)
		for _, pid := range append(s.children, s.pid) {
			a, b := historyOf(first, pid), historyOf(second, pid)
			b.want(t, a.kinds())
			for i := range a {
				p, q := a[i].Process, b[i].Process
				if p.ID != q.ID || p.Parent != q.Parent || p.Creator != q.Creator || p.File != q.File {
					t.Errorf("one tells %+v, the other %+v", p, q)
				}
			}
		}
	}
}

// openFiles returns what the file descriptors of this process are.
func openFiles(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		// The one that read the directory is gone.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			files[e.Name()] = target
		}
	}
	return files
}

// bpfObjects are the ids of what this process holds open of BPF: "prog_id 12".
func bpfObjects(t *testing.T) []string {
	t.Helper()
	var ids []string
	for fd := range openFiles(t) {
		f, err := os.Open("/proc/self/fdinfo/" + fd)
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			name, value, _ := strings.Cut(s.Text(), ":")
			if name == "prog_id" || name == "map_id" || name == "link_id" {
				ids = append(ids, name+" "+strings.TrimSpace(value))
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// checkGone waits until the kernel has freed all of these, which it does after a grace period.
func checkGone(t *testing.T, objects map[string]bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for object := range objects {
		for exists(t, object) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is still in the kernel", object)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func exists(t *testing.T, object string) bool {
	t.Helper()
	var kind string
	var id uint32
	if _, err := fmt.Sscan(object, &kind, &id); err != nil {
		t.Fatal(err)
	}
	var closer interface{ Close() error }
	var err error
	switch kind {
	case "prog_id":
		closer, err = ebpf.NewProgramFromID(ebpf.ProgramID(id))
	case "map_id":
		closer, err = ebpf.NewMapFromID(ebpf.MapID(id))
	case "link_id":
		return false // a link ends with its program
	}
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatalf("look at %s: %v", object, err)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	return true
}

// inKernel counts all programs and maps of the machine.
func inKernel(t *testing.T) (programs, maps int) {
	t.Helper()
	for id, err := ebpf.ProgramGetNextID(0); err == nil; id, err = ebpf.ProgramGetNextID(id) {
		programs++
	}
	for id, err := ebpf.MapGetNextID(0); err == nil; id, err = ebpf.MapGetNextID(id) {
		maps++
	}
	return programs, maps
}

// startAndStop returns what the tracer had in the kernel in between.
func startAndStop(t *testing.T) []string {
	t.Helper()
	r := newRecorder(t)
	if err := r.Start(context.Background()); err != nil {
		t.Error(err)
		return nil
	}
	objects := bpfObjects(t)
	if err := r.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	r.checkAccount()
	return objects
}

func TestStartAndStopManyTimesLeavesNothing(t *testing.T) {
	const times, atOnce = 100, 2
	objects := make(map[string]bool)
	// The first one may open what stays: the poller of the runtime.
	for _, o := range startAndStop(t) {
		objects[o] = true
	}
	checkGone(t, objects)
	goroutines := goleak.IgnoreCurrent()
	files := openFiles(t)
	programs, maps := inKernel(t)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range atOnce {
		wait.Go(func() {
			for range times / atOnce {
				seen := startAndStop(t)
				mu.Lock()
				for _, o := range seen {
					objects[o] = true
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(objects) < times {
		t.Fatalf("only %d objects of BPF were seen", len(objects))
	}
	goleak.VerifyNone(t, goroutines)
	if now := openFiles(t); len(now) != len(files) {
		t.Errorf("open files before: %v, after: %v", files, now)
	}
	checkGone(t, objects)
	if vmtest.Kernel() != "6.1" && vmtest.Kernel() != "6.12" {
		return // others load and unload here
	}
	if p, m := inKernel(t); p > programs || m > maps {
		t.Errorf("%d programs and %d maps before, %d and %d after", programs, maps, p, m)
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	vmtest.Root(t)
	check := func(t *testing.T, try func() error) (failed bool) {
		t.Helper()
		goroutines := goleak.IgnoreCurrent()
		files := openFiles(t)
		err := try()
		goleak.VerifyNone(t, goroutines)
		if now := openFiles(t); len(now) != len(files) {
			t.Errorf("after %v: open files before: %v, after: %v", err, files, now)
		}
		if objects := bpfObjects(t); len(objects) > 0 {
			t.Errorf("after %v: objects of BPF are open: %v", err, objects)
		}
		return err != nil
	}
	t.Run("ring size", func(t *testing.T) {
		r := newRecorder(t, func(c *config.Process) { c.RingSize = 5000 })
		if !check(t, func() error { return r.Start(context.Background()) }) {
			t.Error("a ring of 5000 bytes was made")
		}
	})
	// Whatever Start opens, it is told once that it cannot; in a machine that is slow, every third.
	t.Run("files", func(t *testing.T) {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		failures, step := 0, 1
		if vmtest.Kernel() != "" && vmtest.Kernel() != vmtest.Host {
			step = 3
		}
		for allowed := len(openFiles(t)); ; allowed += step {
			r := newRecorder(t)
			failed := check(t, func() error {
				if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(allowed), Max: limit.Max}); err != nil {
					t.Fatal(err)
				}
				err := r.Start(context.Background())
				if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); back != nil {
					t.Fatal(back)
				}
				if err == nil {
					err = r.Shutdown(context.Background())
				}
				return err
			})
			if !failed {
				break
			}
			failures++
		}
		if failures < 3 {
			t.Errorf("Start failed only %d times for lack of files", failures)
		}
	})
	t.Run("again", func(t *testing.T) {
		r := record(t)
		pid, _, _ := run(t, trivial(t))
		historyOf(r.stopWhole(), pid).want(t, "exec exit")
	})
}
