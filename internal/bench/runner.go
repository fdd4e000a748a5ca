// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// measurement is what one machine does.
type measurement struct {
	name      string   // as internal/bench/guest knows it
	figures   []string // that it reports
	collector bool     // it needs the collector and its configuration
}

// measurements take longest first.
var measurements = []measurement{
	{name: "memory", figures: []string{"resident_memory"}, collector: true},
	{name: "pipeline", figures: []string{"user_exec", "user_exit", "user_fork", "exec_allocations", "exec_allocated", "record_size"}},
	{name: "together", figures: []string{"process_together"}, collector: true},
	{name: "loop", figures: []string{"loop_added"}},
	{name: "kernel", figures: []string{"bpf_process", "maps_memory"}},
	{name: "start", figures: []string{"start_time"}, collector: true},
}

// Where the guest has what it needs.
const (
	guestCollector = "/usr/local/bin/ringside"
	guestConfig    = "/etc/ringside/collector.yaml"
	guestProfile   = "/tmp/profile"
)

// unitFile tells with which environment the collector is run, from the root of the repository.
const unitFile = "config/systemd/ringside.service"

// runner runs measurements in machines.
type runner struct {
	environment []string // of the measured programs
	root        string
	verbose     bool
	parallel    int
	scale       int
	profiles    string

	printing sync.Mutex
}

// measure builds what is needed, runs the measurements for these figures, and returns what was measured, which can be more.
func (r *runner) measure(ctx context.Context, figures []figure) (map[string]float64, error) {
	wanted, err := plan(figures)
	if err != nil {
		return nil, err
	}
	unit, err := os.ReadFile(filepath.Join(r.root, unitFile))
	if err != nil {
		return nil, fmt.Errorf("read how the collector is run: %w", err)
	}
	r.environment = unitEnvironment(string(unit))
	dir, err := os.MkdirTemp("", "ringside-bench-")
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	defer os.RemoveAll(dir)
	guest := filepath.Join(dir, "guest")
	if err := r.build(ctx, guest, wanted); err != nil {
		return nil, err
	}
	measured := map[string]float64{}
	results := make([]map[string]float64, len(wanted))
	errs := make([]error, len(wanted))
	slots := make(chan struct{}, max(r.parallel, 1))
	var running sync.WaitGroup
	for i, m := range wanted {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			results[i], errs[i] = r.boot(ctx, guest, m)
		})
	}
	running.Wait()
	for _, result := range results {
		for name, value := range result {
			measured[name] = value
		}
	}
	return measured, errors.Join(errs...)
}

// plan returns the measurements that report these figures.
func plan(figures []figure) ([]measurement, error) {
	want := map[string]bool{}
	for _, f := range figures {
		want[f.Name] = true
	}
	var wanted []measurement
	for _, m := range measurements {
		needed := false
		for _, name := range m.figures {
			needed = needed || want[name]
			delete(want, name)
		}
		if needed {
			wanted = append(wanted, m)
		}
	}
	for name := range want {
		return nil, fmt.Errorf("nothing measures %s", name)
	}
	return wanted, nil
}

// build builds the guest, and by the Makefile what else is missing or old.
func (r *runner) build(ctx context.Context, guest string, wanted []measurement) error {
	targets := []string{"bin/vm"}
	for _, m := range wanted {
		if m.collector {
			targets = append(targets, "bin/ringside")
			break
		}
	}
	for _, command := range [][]string{
		append([]string{"make", "--silent", "--no-print-directory"}, targets...),
		{"go", "build", "-o", guest, "./internal/bench/guest"},
	} {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir, cmd.Env = r.root, append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", command[0], err)
		}
	}
	return nil
}

// boot runs one measurement in a machine of its own.
func (r *runner) boot(ctx context.Context, guest string, m measurement) (map[string]float64, error) {
	args := []string{"bench", "-kernel", "6.12"}
	if m.collector {
		args = append(args, "-with", filepath.Join(r.root, "bin/ringside")+"="+guestCollector,
			"-with", filepath.Join(r.root, "config/collector.yaml")+"="+guestConfig)
	}
	flags := []string{"-scale", fmt.Sprint(r.scale), "-collector", guestCollector, "-config", guestConfig}
	if r.profiles != "" {
		if err := os.MkdirAll(r.profiles, 0o755); err != nil {
			return nil, fmt.Errorf("write profiles: %w", err)
		}
		args = append(args, "-get", guestProfile+"="+filepath.Join(r.profiles, m.name+".pprof"))
		flags = append(flags, "-profile", guestProfile)
	}
	args = append(append(append(args, "--", guest), flags...), m.name)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(r.root, "bin/vm"), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", &stdout, &stderr
	// What the caller sets, to try something, goes before; the runner of machines passes GOGC and its like on.
	cmd.Env = append(slices.Clone(r.environment), os.Environ()...)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("measure %s: %w\n%s", m.name, err, &stderr)
	}
	if r.verbose {
		r.printing.Lock()
		defer r.printing.Unlock()
		fmt.Fprintf(os.Stderr, "== %s\n%s", m.name, &stderr)
	}
	return parseReport(m, &stdout)
}

// unitEnvironment returns what the Environment lines of a systemd unit set.
func unitEnvironment(unit string) []string {
	var environment []string
	for line := range strings.SplitSeq(unit, "\n") {
		if value, ok := strings.CutPrefix(line, "Environment="); ok {
			environment = append(environment, strings.Fields(value)...)
		}
	}
	return environment
}

// parseReport reads what the guest reported and checks that it is all that it should.
func parseReport(m measurement, report *bytes.Buffer) (map[string]float64, error) {
	measured := map[string]float64{}
	for decoder := json.NewDecoder(report); decoder.More(); {
		var line struct {
			Name  string  `json:"name"`
			Value float64 `json:"value"`
		}
		if err := decoder.Decode(&line); err != nil {
			return nil, fmt.Errorf("read the report of %s: %w", m.name, err)
		}
		measured[line.Name] = line.Value
	}
	for _, name := range m.figures {
		if _, ok := measured[name]; !ok {
			return nil, fmt.Errorf("%s did not report %s", m.name, name)
		}
	}
	return measured, nil
}
