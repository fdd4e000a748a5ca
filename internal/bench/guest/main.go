// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
)

// measurements by name. Each reports its figures through its bench.
var measurements = map[string]func(*bench) error{
	"kernel":   kernelPart,
	"pipeline": pipeline,
	"together": together,
	"loop":     bareLoop,
	"memory":   residentMemory,
	"start":    start,
}

// bench is what a measurement is given.
type bench struct {
	collector string // path of bin/ringside
	config    string // path of config/collector.yaml
	scale     int    // divides the number of processes
	profile   string // file for a CPU profile, or empty
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "guest: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	b := &bench{}
	flags := flag.NewFlagSet("guest", flag.ContinueOnError)
	flags.StringVar(&b.collector, "collector", "/usr/local/bin/ringside", "the collector's `program`")
	flags.StringVar(&b.config, "config", "/etc/ringside/collector.yaml", "the collector's configuration `file`")
	flags.StringVar(&b.profile, "profile", "", "write a CPU profile of the measuring process to this `file`")
	flags.IntVar(&b.scale, "scale", 1, "divide the number of processes by this")
	if err := flags.Parse(args); err != nil {
		return err
	}
	measure, known := measurements[flags.Arg(0)]
	if flags.NArg() != 1 || !known || b.scale < 1 {
		return errors.New("want one measurement and a scale of 1 or more")
	}
	if os.Getenv("RINGSIDE_COUNT") == "" {
		return errors.New("this machine does not count instructions: run it with vm bench")
	}
	if err := writePrograms(); err != nil {
		return err
	}
	return measure(b)
}

// profiled runs f with the CPU profile that was asked for.
func (b *bench) profiled(f func() error) error {
	if b.profile == "" {
		return f()
	}
	file, err := os.Create(b.profile)
	if err != nil {
		return fmt.Errorf("write profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(fmt.Errorf("start profile: %w", err), file.Close())
	}
	err = f()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}

// report tells a figure to the runner.
func (b *bench) report(name string, value float64) {
	line, err := json.Marshal(struct {
		Name  string  `json:"name"`
		Value float64 `json:"value"`
	}{name, value})
	if err != nil {
		panic(err) // a string and a finite number
	}
	fmt.Printf("%s\n", line)
}

// explain tells a person.
func (b *bench) explain(format string, args ...any) {
	fmt.Fprintf(os.Stderr, strings.TrimRight(format, "\n")+"\n", args...)
}

// names returns the keys in order.
func names[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
