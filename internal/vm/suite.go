// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ringside-otel/ringside/internal/vm/kernels"
	"github.com/ringside-otel/ringside/internal/vm/suite"
)

func suiteCommand(ctx context.Context, args []string) error {
	f := newFlags("suite")
	list := f.String("kernels", "6.1,6.12", "kernels, separated by commas; \"host\" is the running one")
	count := f.Int("count", 1, "run each test so many times")
	run := f.String("run", "", "run the tests that match this `regexp`")
	tags := f.String("tags", "", "build tags")
	short := f.Bool("short", false, "tell long tests to be short")
	verbose := f.Bool("v", false, "print all that tests print, as go test -v does")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return usageError(errors.New("which packages? \"vm suite [flags] PACKAGES...\""))
	}
	versions, err := kernels.ParseVersions(*list, suite.Host)
	if err != nil {
		return usageError(err)
	}
	if *count < 1 {
		return usageError(fmt.Errorf("-count %d: want at least 1", *count))
	}
	o, closeOptions, err := f.options()
	if err != nil {
		return err
	}
	timeout := f.timeout
	if timeout == 0 {
		timeout = defaultLimit
	}
	s := &suite.Suite{
		Kernels: versions, Launch: o, Limit: timeout + grace, Out: os.Stdout, Verbose: *verbose,
		Args: []string{
			"-test.v=test2json", "-test.paniconexit0", fmt.Sprintf("-test.timeout=%v", timeout),
			fmt.Sprintf("-test.count=%d", *count), "-test.run=" + *run, fmt.Sprintf("-test.short=%t", *short),
		},
	}
	counts, err := build(ctx, s, f.Args(), *tags)
	if err := errors.Join(err, closeOptions()); err != nil {
		return err
	}
	if counts.Failed > 0 {
		return &statusError{status: statusFailed}
	}
	return nil
}

// build builds the test binaries and runs the suite.
func build(ctx context.Context, s *suite.Suite, patterns []string, tags string) (suite.Counts, error) {
	dir, err := os.MkdirTemp("", "ringside-suite-")
	if err != nil {
		return suite.Counts{}, fmt.Errorf("build tests: %w", err)
	}
	defer os.RemoveAll(dir)
	if s.Convert, err = suite.Converter(ctx); err != nil {
		return suite.Counts{}, err
	}
	if s.Packages, err = suite.Build(ctx, patterns, tags, dir, os.Stderr); err != nil {
		return suite.Counts{}, err
	}
	return s.Run(ctx)
}
