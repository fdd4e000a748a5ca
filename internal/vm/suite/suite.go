// SPDX-License-Identifier: Apache-2.0

// Package suite runs the tests of packages on several kernels and counts.
//
// Test binaries are built once. Each kernel boots once and runs them all, one after the other; when the machine dies or hangs
// in one package, that package has failed and the ones after it get a new machine. The kernel named "host" is the
// running one, with no machine around the tests.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/console"
	"github.com/ringside-otel/ringside/internal/vm/launch"
	"github.com/ringside-otel/ringside/internal/vm/machine"
	"github.com/ringside-otel/ringside/internal/vm/wire"
)

// Suite is what to run, and where to tell of it.
type Suite struct {
	Kernels  []string
	Packages []Package
	Launch   launch.Options
	Args     []string // for each test binary
	Limit    time.Duration
	Out      io.Writer
	Verbose  bool
	Convert  string // path of the test2json tool

	counts  Counts
	failed  []Finding
	skipped []Finding
}

// Run runs everything and prints the summary. It returns how tests went; the error is the context's.
func (s *Suite) Run(ctx context.Context) (Counts, error) {
	var runnable []Package
	for _, p := range s.Packages {
		switch {
		case p.HasTests():
			runnable = append(runnable, p)
		case p.Err != nil:
			fmt.Fprintf(s.Out, "FAIL\t%s [%v]\n", p.ImportPath, p.Err)
			s.fail(Finding{Package: p.ImportPath, Reason: p.Err.Error()})
		default:
			fmt.Fprintf(s.Out, "?   \t%s\t[no test files]\n", p.ImportPath)
		}
	}
	for _, kernel := range s.Kernels {
		if ctx.Err() != nil {
			break
		}
		if len(runnable) == 0 {
			break
		}
		if kernel == Host {
			s.onHost(ctx, runnable)
		} else {
			s.inMachines(ctx, kernel, runnable)
		}
	}
	if err := ctx.Err(); err != nil {
		s.fail(Finding{Reason: "the suite was interrupted"})
	}
	s.summary()
	return s.counts, ctx.Err()
}

// fail counts a failure that no test has.
func (s *Suite) fail(f Finding) {
	s.counts.Failed++
	s.failed = append(s.failed, f)
}

// inMachines runs packages on a kernel, with as many machines as it takes.
func (s *Suite) inMachines(ctx context.Context, kernel string, packages []Package) {
	o := s.Launch
	o.Limit = s.Limit
	for len(packages) > 0 && ctx.Err() == nil {
		var jobs []launch.Job
		for _, p := range packages {
			jobs = append(jobs, launch.Job{Program: p.Binary, Args: s.Args, Dir: p.Dir, Merge: true})
		}
		sink := &sink{suite: s, kernel: kernel, packages: packages}
		outcome, err := o.Run(ctx, kernel, jobs, sink)
		if err == nil && len(outcome.Splats) == 0 {
			return
		}
		if sink.current != nil {
			sink.current.drain()
		}
		if err == nil {
			err = fmt.Errorf("the kernel complained: %s", outcome.Splats[0].Headline)
		}
		s.printSplats(outcome.Splats)
		if len(outcome.Splats) == 0 && outcome.Console != nil {
			fmt.Fprintf(s.Out, "    the console's last %d lines:\n", len(outcome.Console))
			s.indent(outcome.Console)
		}
		if outcome.Started > outcome.Ended {
			sink.lost(err)
			packages = packages[outcome.Started:]
			continue
		}
		// It died with no package to blame: at boot, between packages, or at the end.
		fmt.Fprintf(s.Out, "FAIL\t%s\t%v\n", kernel, err)
		s.fail(Finding{Kernel: kernel, Reason: err.Error()})
		if outcome.Ended == 0 {
			return
		}
		packages = packages[outcome.Ended:]
	}
}

func (s *Suite) printSplats(splats []console.Splat) {
	for _, splat := range splats {
		fmt.Fprintln(s.Out, "    from the console:")
		s.indent(splat.Lines)
	}
}

func (s *Suite) indent(lines []string) {
	for _, line := range lines {
		fmt.Fprintf(s.Out, "        %s\n", line)
	}
}

// sink takes the output of one machine.
type sink struct {
	suite    *Suite
	kernel   string
	packages []Package
	current  *packageRun
}

func (k *sink) Ready(release string, boot time.Duration) {
	fmt.Fprintf(k.suite.Out, "=== kernel %s: Linux %s, booted in %.1fs\n", k.kernel, release, boot.Seconds())
}

func (k *sink) Begin(task int) {
	k.current = k.suite.begin(k.kernel, k.packages[task].ImportPath)
}

func (k *sink) Output(_ int, _ wire.Type, p []byte) { k.current.write(p) }

func (k *sink) File(int, int, []byte) {}

func (k *sink) End(_ int, r machine.Result) {
	k.current.drain()
	k.suite.printSplats(r.Splats)
	k.current.end(reason(r))
	k.current = nil
}

// lost ends the package in which the machine died.
func (k *sink) lost(err error) {
	if k.current != nil {
		k.current.end(err.Error())
		k.current = nil
	}
}

// reason tells why a package failed; it is empty when it did not.
func reason(r machine.Result) string {
	if broken := r.Broken(); broken != "" && r.Error == "" {
		return "the kernel complained: " + broken
	}
	return exitReason(r.Exit)
}

func exitReason(e wire.Exit) string {
	switch {
	case e.Error != "":
		return e.Error
	case e.Signal != 0:
		return fmt.Sprintf("ended by signal %d", e.Signal)
	case e.Code != 0:
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return ""
}

// summary prints what did not pass, and the counts as the last line.
func (s *Suite) summary() {
	for _, group := range merge(s.skipped) {
		fmt.Fprintf(s.Out, "skipped\t%s\n", group)
	}
	for _, f := range s.failed {
		fmt.Fprintf(s.Out, "failed\t%s\n", f.describe(f.Kernel))
	}
	fmt.Fprintf(s.Out, "%d passed, %d failed, %d skipped\n", s.counts.Passed, s.counts.Failed, s.counts.Skipped)
}

func (f Finding) describe(kernels string) string {
	var parts []string
	for _, part := range []string{kernels, f.Package, f.Test} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ") + ": " + f.Reason
}

// merge describes findings, each that differs in its kernel only once, in the order in which they came.
func merge(findings []Finding) []string {
	kernels := map[Finding][]string{}
	var order []Finding
	for _, f := range findings {
		key := f
		key.Kernel = ""
		if kernels[key] == nil {
			order = append(order, key)
		}
		if known := kernels[key]; len(known) == 0 || known[len(known)-1] != f.Kernel {
			kernels[key] = append(known, f.Kernel)
		}
	}
	var lines []string
	for _, key := range order {
		lines = append(lines, key.describe(strings.Join(kernels[key], ",")))
	}
	return lines
}

// errConverter is in the chain of errors of the tool that reads test output.
var errConverter = errors.New("test2json")
