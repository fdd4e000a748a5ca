// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/tracer"
)

// discard is a sink that takes everything.
type discard struct{}

func (discard) Consume(context.Context, []event.Event) error { return nil }

// kernelPart measures the BPF programs by the kernel's own statistics, and the memory of the maps.
func kernelPart(b *bench) (err error) {
	t := tracer.New(config.Default().Process, discard{}, zap.NewNop())
	if err := t.Start(context.Background()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Shutdown(context.Background())) }()
	if err := b.mapMemory(); err != nil {
		return err
	}
	if err := setStats(true); err != nil {
		return err
	}
	processes := lives(100)
	// Caches of the kernel, and cgroups that are told once.
	if err := processes.run(nothing); err != nil {
		return err
	}
	before, err := programStats()
	if err != nil {
		return err
	}
	processes.processes = 2000 / b.scale
	if err := processes.run(nothing); err != nil {
		return err
	}
	after, err := programStats()
	if err != nil {
		return err
	}
	var all float64
	for _, name := range names(after) {
		time, runs := after[name].time-before[name].time, after[name].runs-before[name].runs
		if runs == 0 {
			continue
		}
		each := float64(time) / float64(processes.processes)
		b.explain("program %s: %.0f instructions per process, in %.2f runs", name, each, float64(runs)/float64(processes.processes))
		all += each
	}
	b.report("bpf_process", all)
	return nil
}

// programRuns is what the kernel measured of a program.
type programRuns struct {
	time time.Duration
	runs uint64
}

// programStats returns the figures of all BPF programs of the machine, by their names.
func programStats() (map[string]programRuns, error) {
	all := map[string]programRuns{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list programs: %w", err)
		}
		id = next
		if err := addProgramStats(all, id); err != nil {
			return nil, fmt.Errorf("read about program %d: %w", id, err)
		}
	}
}

func addProgramStats(all map[string]programRuns, id ebpf.ProgramID) error {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return err
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return err
	}
	stats, err := program.Stats()
	if err != nil {
		return err
	}
	sum := all[info.Name]
	all[info.Name] = programRuns{sum.time + stats.Runtime, sum.runs + stats.RunCount}
	return nil
}

// mapMemory reports the memory of the maps that this process holds. Maps for each CPU grow with the number of CPUs that
// the machine could have, which is one here.
func (b *bench) mapMemory() error {
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		return fmt.Errorf("list maps: %w", err)
	}
	seen := map[string]bool{}
	var sum float64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the folder itself, which is closed by now
		}
		facts := map[string]string{}
		for line := range strings.SplitSeq(string(text), "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok {
				facts[key] = strings.TrimSpace(value)
			}
		}
		id := facts["map_id"]
		if id == "" || seen[id] {
			continue
		}
		seen[id] = true
		var bytes float64
		if _, err := fmt.Sscan(facts["memlock"], &bytes); err != nil {
			return fmt.Errorf("read memory of map %s: %w", id, err)
		}
		b.explain("map %s: %.0f bytes: type %s, key %s, value %s, entries %s", id, bytes, facts["map_type"], facts["key_size"],
			facts["value_size"], facts["max_entries"])
		sum += bytes
	}
	if sum == 0 {
		return errors.New("this process holds no maps")
	}
	b.report("maps_memory", sum)
	return nil
}
