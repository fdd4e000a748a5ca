// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReportsOfTheKernelAreFound(t *testing.T) {
	tests := map[string]string{
		"warning":             "[   12.345678] WARNING: CPU: 1 PID: 77 at kernel/bpf/verifier.c:100 check+0x1/0x2",
		"warning, newer form": "[   12.345678] WARNING: kernel/bpf/verifier.c:100 at check+0x1/0x2, CPU#1: load/77",
		"bug":                 "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008",
		"kasan":               "[    1.000000] BUG: KASAN: slab-out-of-bounds in foo+0x1/0x2",
		"sleeping":            "[    1.000000] BUG: sleeping function called from invalid context at mm/x.c:1",
		"BUG()":               "[    1.000000] kernel BUG at mm/slub.c:400!",
		"oops":                "[    1.000000] Oops: 0002 [#1] PREEMPT SMP NOPTI",
		"oops, newer form":    "[    1.000000] Oops: general protection fault, probably for non-canonical address 0x1",
		"protection fault":    "[    1.000000] general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP",
		"panic":               "[    1.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
		"soft lockup":         "[   50.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [swapper/0:1]",
		"rcu stall":           "[   50.000000] rcu: INFO: rcu_preempt self-detected stall on CPU",
		"rcu stall, tasks":    "[   50.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
		"hung task":           "[  242.000000] INFO: task cat:99 blocked for more than 120 seconds.",
		"verifier bug":        "[    3.000000] verifier bug: REG INVARIANTS VIOLATION (1): range bounds violation",
		"verifier, in a line": "[    3.000000] bpf: BPF VERIFIER BUG in mark_chain_precision",
		"caller field":        "[    3.000000][   T77] WARNING: CPU: 0 PID: 77 at x.c:1 y+0x1/0x2",
		"no time":             "WARNING: possible circular locking dependency detected",
		"level":               "<4>[    3.000000] BUG: workqueue lockup - pool cpus=0",
		"out of memory":       "[    3.000000] Out of memory: Killed process 77 (x.test)",
	}
	for name, line := range tests {
		t.Run(name, func(t *testing.T) {
			l := New()
			fmt.Fprintf(l, "[    0.1] before\r\n%s\r\n[    9.9] after\r\n", line)
			splats := l.Splats()
			if len(splats) != 1 {
				t.Fatalf("%d reports", len(splats))
			}
			if want := []string{"[    0.1] before", line, "[    9.9] after"}; !slices.Equal(splats[0].Lines, want) {
				t.Errorf("got %q, want %q", splats[0].Lines, want)
			}
		})
	}
}

func TestHarmlessMessagesAreNot(t *testing.T) {
	lines := []string{
		"[    0.5] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible!",
		"[    0.5] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks!",
		"[    0.5] MDS CPU bug present and SMT on, data leak possible.",
		"[    4.0] traps: helper[99] general protection fault ip:401000 sp:7ffc error:0 in helper[401000+1000]",
		"[    4.0] helper[99]: segfault at 0 ip 0000000000401000 sp 00007ffc error 4 in helper[401000+1000]",
		"[    4.0] **   NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE NOTICE   **",
		"[    4.0] x.test[9] is installing a program with bpf_probe_write_user helper that may corrupt user memory!",
		"[    0.7] mtrr: your CPUs had inconsistent fixed MTRR settings",
		"[    0.7] Kernel command line: console=ttyS0 oops=panic panic=-1",
		"[    0.7] rcu: \tRCU debug extended QS entry/exit.",
		"[    0.7] rcu: INFO: no callbacks are offloaded",
		"",
	}
	for _, line := range lines {
		l := New()
		fmt.Fprintln(l, line)
		if s := l.Splats(); len(s) != 0 {
			t.Errorf("%q was taken for a report", line)
		}
	}
}

func TestReportEndsAtItsEnd(t *testing.T) {
	l := New()
	fmt.Fprint(l, `[1.0] ------------[ cut here ]------------
[1.0] WARNING: CPU: 0 PID: 1 at a.c:1 a+0x1/0x2
[1.0] Call Trace:
[1.0] ---[ end trace 0000000000000000 ]---
[2.0] unrelated
[3.0] BUG: another
`)
	splats := l.Splats()
	if len(splats) != 2 {
		t.Fatalf("%d reports, want 2: %+v", len(splats), splats)
	}
	if n := len(splats[0].Lines); n != 4 {
		t.Errorf("first has %d lines, want 4: %q", n, splats[0].Lines)
	}
	if splats[1].Headline != "BUG: another" {
		t.Errorf("second is %q", splats[1].Headline)
	}
}

func TestReportsBelongToTheTaskThatRan(t *testing.T) {
	l := New()
	fmt.Fprint(l, `[1.0] BUG: at boot
[2.0] ringside-vm: begin 0
[2.1] fine
[2.2] ringside-vm: end 0
[3.0] ringside-vm: begin 1
[3.1] BUG: in the second
[3.2] ringside-vm: end 1
[4.0] BUG: afterwards
`)
	var got []int
	for _, s := range l.Splats() {
		got = append(got, s.Task)
	}
	if want := []int{NoTask, 1, NoTask}; !slices.Equal(got, want) {
		t.Errorf("tasks are %v, want %v", got, want)
	}
	if tail := strings.Join(l.Tail(100), "\n"); strings.Contains(tail, "ringside-vm") {
		t.Errorf("markers are shown:\n%s", tail)
	}
}

func TestAwaitReturnsWhenTheEndOfTheTaskWasRead(t *testing.T) {
	l := New()
	done := make(chan error, 1)
	go func() { done <- l.Await(t.Context(), 1) }()
	fmt.Fprint(l, "ringside-vm: end 0\n")
	select {
	case <-done:
		t.Fatal("returned at the end of the task before")
	case <-time.After(20 * time.Millisecond):
	}
	fmt.Fprint(l, "ringside-vm: end 1\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Await(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestLastLineWithoutEndIsReadAtClose(t *testing.T) {
	l := New()
	fmt.Fprint(l, "[1.0] Kernel panic - not sync")
	if len(l.Splats()) != 0 {
		t.Error("a line was judged before its end")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(l.Splats()) != 1 {
		t.Error("lost at close")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	l := New()
	for range 3 * maxLines {
		fmt.Fprintln(l, "noise")
	}
	if n := len(l.Tail(10 * maxLines)); n > maxLines {
		t.Errorf("%d lines kept", n)
	}
	fmt.Fprint(l, strings.Repeat("x", 10*maxLine), "\n")
	if n := len(l.Tail(1)[0]); n != maxLine {
		t.Errorf("%d bytes of a line kept", n)
	}
}

// However the bytes are cut, the same is read.
func FuzzLog(f *testing.F) {
	f.Add([]byte("[1.0] BUG: x\r\n---[ end trace 0 ]---\nringside-vm: begin 3\nWARNING: y\n"), 7)
	f.Add([]byte("ringside-vm: end 9999999999999999999\n<4>[ 1.2][ T1] Oops: 1\n\r\n\x00\xff"), 1)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		whole, cut := New(), New()
		if n, err := whole.Write(in); n != len(in) || err != nil {
			t.Errorf("%d of %d bytes written, %v", n, len(in), err)
		}
		step = 1 + max(step, -step, 0)%64
		for rest := range slices.Chunk(in, step) {
			if n, err := cut.Write(rest); n != len(rest) || err != nil {
				t.Errorf("%d of %d bytes written, %v", n, len(rest), err)
			}
		}
		if !reflect.DeepEqual(whole.Splats(), cut.Splats()) || !slices.Equal(whole.Tail(maxLines), cut.Tail(maxLines)) {
			t.Error("the reading depends on the cuts")
		}
		for _, s := range whole.Splats() {
			if !slices.ContainsFunc(s.Lines, func(l string) bool { return strings.HasSuffix(l, s.Headline) }) {
				t.Errorf("headline %q is not among the lines", s.Headline)
			}
		}
	})
}
