// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/load"
)

// bareLoop measures what the kernel part adds to a loop of dynamically linked programs. Nobody reads the ring, which is large
// enough for all records.
func bareLoop(b *bench) error {
	if err := setStats(false); err != nil {
		return err
	}
	// The first processes of a machine cost twice as much: memory is used for the first time.
	for range 2 {
		if _, err := b.loop(); err != nil {
			return err
		}
	}
	// The two kinds take turns, so that what changes in the machine with time changes both.
	const rounds = 3
	var without, with float64
	for round := range rounds {
		bare, err := b.loop()
		if err != nil {
			return err
		}
		watched, err := b.watchedLoop()
		if err != nil {
			return err
		}
		b.explain("round %d: %.0f instructions for a process, watched %.0f", round, bare, watched)
		without += bare
		with += watched
	}
	b.explain("added: %.0f instructions", (with-without)/rounds)
	b.report("loop_added", 100*(with-without)/without)
	return nil
}

// loop returns the instructions for one process.
func (b *bench) loop() (float64, error) {
	processes := workload{processes: 600 / b.scale, clone: fork, execute: true}
	n, err := difference(othersInstructions, func() error { return processes.run("/bin/true") })
	return n / float64(processes.processes), err
}

func (b *bench) watchedLoop() (_ float64, err error) {
	defaults := config.Default().Process
	programs, err := load.LoadProcess(load.Options{RingSize: defaults.RingSize, MaxArgs: defaults.MaxArgsSize})
	if err != nil {
		return 0, fmt.Errorf("load programs: %w", err)
	}
	defer func() { err = errors.Join(err, programs.Close()) }()
	n, err := b.loop()
	if err != nil {
		return 0, err
	}
	account, err := programs.Account()
	if err == nil && account.LostRecords > 0 {
		err = fmt.Errorf("%d records did not fit the ring", account.LostRecords)
	}
	return n, err
}
