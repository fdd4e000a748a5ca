// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"slices"
	"testing"
	"time"
)

func TestLimitFollowsFromTheProgramsOwnTimeout(t *testing.T) {
	tests := map[string]struct {
		flag time.Duration
		args []string
		want time.Duration
	}{
		"nothing said":        {want: defaultLimit},
		"go test's form":      {args: []string{"-test.paniconexit0", "-test.timeout=2m0s"}, want: 2*time.Minute + grace},
		"two dashes":          {args: []string{"--test.timeout=1s"}, want: time.Second + grace},
		"two arguments":       {args: []string{"-test.timeout", "1s"}, want: time.Second + grace},
		"the last one counts": {args: []string{"-test.timeout=1s", "-test.timeout=2s"}, want: 2*time.Second + grace},
		"for ever":            {args: []string{"-test.timeout=0"}, want: 0},
		"the runner's flag":   {flag: time.Second, args: []string{"-test.timeout=1h"}, want: time.Second},
		"not understood":      {args: []string{"-test.timeout=soon"}, want: defaultLimit},
		"cut off":             {args: []string{"-test.timeout"}, want: defaultLimit},
		"not for the program": {args: []string{"--", "-test.timeout=1s"}, want: defaultLimit},
		"no flag":             {args: []string{"test.timeout=1s"}, want: defaultLimit},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := limit(tt.flag, tt.args); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWrongArgumentsAreStatusTwo(t *testing.T) {
	tests := map[string][]string{
		"no command":           {},
		"unknown command":      {"boot"},
		"no program":           {"run"},
		"no program, bench":    {"bench", "-m", "1024"},
		"no packages":          {"suite"},
		"unknown flag":         {"run", "-x", "/bin/true"},
		"too little memory":    {"run", "-m", "64", "/bin/true"},
		"no CPU":               {"run", "-smp", "0", "/bin/true"},
		"negative time":        {"run", "-timeout", "-1s", "/bin/true"},
		"two kernels":          {"run", "-kernel", "6.1,6.12", "/bin/true"},
		"the host":             {"run", "-kernel", "host", "/bin/true"},
		"a path for a version": {"fetch", "-kernel", "../../etc"},
		"no repetition":        {"suite", "-count", "0", "./..."},
		"empty fixture":        {"run", "-with", "", "/bin/true"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			var status *statusError
			if err := dispatch(t.Context(), args); !errors.As(err, &status) || status.status != statusUsage {
				t.Errorf("got %v, want status %d", err, statusUsage)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	err := dispatch(t.Context(), []string{"run", "-h"})
	if !errors.Is(err, flag.ErrHelp) || exitStatus(err) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestArgumentsOfTheProgramAreLeftAlone(t *testing.T) {
	f := newFlags("bench")
	if err := f.parse([]string{"-m", "512", "--", "./x", "-m", "1", "--"}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"./x", "-m", "1", "--"}; !slices.Equal(f.Args(), want) || f.memory != 512 {
		t.Errorf("program is %q with %d MiB, want %q with 512", f.Args(), f.memory, want)
	}
}

func TestFixturesComeFromFlagsAndEnvironment(t *testing.T) {
	t.Setenv("RINGSIDE_VM_WITH", "/a::/b=/c")
	f := newFlags("run")
	if err := f.parse([]string{"-with", "/d", "-with", "/e=/f"}); err != nil {
		t.Fatal(err)
	}
	o, closeOptions, err := f.options()
	if err != nil {
		t.Fatal(err)
	}
	if err := closeOptions(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/a", "/b=/c", "/d", "/e=/f"}; !slices.Equal(o.With, want) {
		t.Errorf("got %q, want %q", o.With, want)
	}
}
