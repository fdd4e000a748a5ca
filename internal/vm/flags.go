// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/kernels"
	"github.com/ringside-otel/ringside/internal/vm/launch"
)

const (
	// defaultLimit is how long a program may take that does not say itself how long: go test's own default.
	defaultLimit = 10 * time.Minute
	// grace is what a test has, after its own timeout, to print where it hung. go test gives up after a minute.
	grace = 30 * time.Second
)

// list is a flag that can be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	if s == "" {
		return errors.New("want a path")
	}
	*l = append(*l, s)
	return nil
}

// flags are those that all commands with machines share.
type flags struct {
	*flag.FlagSet
	memory, cpus int
	timeout      time.Duration
	with, get    list
	modules      string
	append       string
	console      string
}

func newFlags(command string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet("vm "+command, flag.ContinueOnError)}
	f.IntVar(&f.memory, "m", 2048, "memory of the machine in `MiB`; more is taken when the programs need it")
	f.IntVar(&f.cpus, "smp", 2, "number of CPUs")
	f.DurationVar(&f.timeout, "timeout", 0, "end the machine when a program takes longer (default: the program's -test.timeout and 30s, or 10m)")
	f.Var(&f.with, "with", "pack a `path` of this machine too, as PATH or PATH=GUEST; can be repeated. $RINGSIDE_VM_WITH has more, separated by colons")
	f.StringVar(&f.modules, "modules", "overlay", "kernel modules to load, each after those it needs, separated by commas")
	f.StringVar(&f.append, "append", "", "add to the kernel's command line")
	f.StringVar(&f.console, "console", "", "write all that the kernel prints to this `file`")
	return f
}

// parse parses and checks the flags.
func (f *flags) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		// The flag package has told it, with the usage.
		return &statusError{status: statusUsage}
	}
	switch {
	case f.memory < 256:
		return usageError(fmt.Errorf("-m %d: want at least 256 MiB", f.memory))
	case f.cpus < 1 || f.cpus > 64:
		return usageError(fmt.Errorf("-smp %d: want 1 to 64", f.cpus))
	case f.timeout < 0:
		return usageError(fmt.Errorf("-timeout %v: want a positive duration", f.timeout))
	}
	return nil
}

// options returns what the flags ask for. The function closes what was opened.
func (f *flags) options() (launch.Options, func() error, error) {
	o := launch.Options{
		Cache: kernels.Open(os.Stderr), Memory: f.memory, CPUs: f.cpus,
		With: append(splitList(os.Getenv("RINGSIDE_VM_WITH"), ":"), f.with...), Modules: splitList(f.modules, ","), Append: f.append,
		Limit: f.timeout,
	}
	if f.console == "" {
		return o, func() error { return nil }, nil
	}
	file, err := os.Create(f.console)
	if err != nil {
		return o, nil, fmt.Errorf("open console file: %w", err)
	}
	o.Console = file
	return o, file.Close, nil
}

// splitList splits and leaves out empty parts.
func splitList(s, separator string) []string {
	var parts []string
	for part := range strings.SplitSeq(s, separator) {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// limit is how long a program with these arguments may take; 0 is for ever. The flag of the runner goes before the
// program's own timeout, which a test binary takes as -test.timeout.
func limit(flag time.Duration, args []string) time.Duration {
	if flag > 0 {
		return flag
	}
	own, found := testTimeout(args)
	switch {
	case !found:
		return defaultLimit
	case own == 0:
		return 0
	}
	return own + grace
}

// testTimeout reads -test.timeout in any form that package flag takes.
func testTimeout(args []string) (timeout time.Duration, found bool) {
	for i, arg := range args {
		name, value, has := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if arg == "--" || arg == "-args" {
			break
		}
		if !strings.HasPrefix(arg, "-") || name != "test.timeout" {
			continue
		}
		if !has && i+1 < len(args) {
			value = args[i+1]
		}
		if d, err := time.ParseDuration(value); err == nil && d >= 0 {
			timeout, found = d, true
		}
	}
	return timeout, found
}
