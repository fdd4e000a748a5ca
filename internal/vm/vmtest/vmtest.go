// SPDX-License-Identifier: Apache-2.0

// Package vmtest is for tests that run on several kernels: what they may skip, and what they may not.
//
// The runner tells a test which kernel it runs on. There, what a kernel is known to have is not a matter of luck, and a
// test that wanted to skip for lack of it fails: otherwise a broken probe would look like a pass.
package vmtest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// kernelEnv is set by the runner.
const kernelEnv = "RINGSIDE_KERNEL"

// Host is what Kernel returns when the suite runs on the running kernel, with no machine around it.
const Host = "host"

// Kernel returns the kernel that the runner promised, "6.1", "6.12" or Host. It is empty when the test runs by
// itself, under a plain go test.
func Kernel() string { return os.Getenv(kernelEnv) }

// Counting tells whether time is the number of executed instructions (vm bench), so that durations are figures that can be
// compared with others.
func Counting() bool { return os.Getenv("RINGSIDE_COUNT") != "" }

// SkipUnless skips the test when the running kernel does not have a feature, and fails it when the kernel is one of those
// that have it. The feature is named as the reader of the summary should see it: "kprobe.multi links".
func SkipUnless(t testing.TB, has bool, feature string, kernels ...string) {
	t.Helper()
	if has {
		return
	}
	if kernel := Kernel(); kernel != "" && slices.Contains(kernels, kernel) {
		t.Fatalf("kernel %s should have %s, and has not", kernel, feature)
	}
	where := ""
	if len(kernels) > 0 {
		where = " (kernels that have it: " + strings.Join(kernels, ", ") + ")"
	}
	t.Skipf("this kernel has no %s%s", feature, where)
}

// Root skips the test unless it runs as root and may load BPF programs. Under the runner, where this is promised, it
// fails instead.
func Root(t testing.TB) {
	t.Helper()
	reason := ""
	if os.Geteuid() != 0 {
		reason = "not running as root"
	} else if err := loadProgram(); err != nil {
		reason = "cannot load BPF programs: " + err.Error()
	}
	switch {
	case reason == "":
	case Kernel() != "":
		t.Fatalf("%s, although kernel %q was promised", reason, Kernel())
	default:
		t.Skip(reason)
	}
}

// loadProgram loads the least program of a kind that only tracers may load.
func loadProgram() error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "may_load", Type: ebpf.RawTracepoint, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return err
	}
	return program.Close()
}
