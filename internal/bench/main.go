// SPDX-License-Identifier: Apache-2.0

// Command bench measures what Ringside costs, in instructions and bytes, and holds it to what was accepted.
//
//	go run ./internal/bench                 # all figures
//	go run ./internal/bench -only 1,4 -v    # those of some rows, with what explains them
//	go run ./internal/bench -accept         # write what was measured to figures.yaml
//
// It boots Linux 6.12 in a virtual machine whose clock counts instructions (see internal/vm), one for each measurement, runs
// internal/bench/guest there, and prints a table of figures, limits and what others take. The status is 1 when a figure is
// dearer than figures.yaml accepts. A limit that is not reached is told and is no failure, as long as
// the figure is not worse than what was accepted.
//
// The environment of the systemd unit (GOGC above all) is that of the measured programs; GOGC=400 go run ./internal/bench tries another.
//
// Figures repeat to about half a percent, also on a busy machine; it only takes longer there. They change with the Go release,
// and a little with each change of any code that runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// figuresFile is where the figures are, from the root of the repository.
const figuresFile = "internal/bench/figures.yaml"

// errDearer is returned when a figure does not pass.
var errDearer = errors.New("a figure is dearer than " + figuresFile + " accepts; when that is meant, go run ./internal/bench -accept")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	r := &runner{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "measure the figures of these `rows` of the table, or with these names, separated by commas")
	update := flags.Bool("accept", false, "write what was measured to "+figuresFile)
	flags.BoolVar(&r.verbose, "v", false, "print what explains the figures")
	flags.IntVar(&r.parallel, "j", 2, "`machines` that run at the same time")
	flags.IntVar(&r.scale, "scale", 1, "divide the number of processes by this: faster, less exact")
	flags.StringVar(&r.profiles, "profiles", "", "write CPU profiles of the measuring processes to this `folder`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	r.root = root
	path := filepath.Join(root, figuresFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	all, err := parseFigures(text)
	if err != nil {
		return err
	}
	figures, err := choose(all, *only)
	if err != nil {
		return err
	}
	measured, err := r.measure(ctx, figures)
	if err != nil {
		return err
	}
	if *update {
		if text, err = accept(text, measured); err != nil {
			return err
		}
		if figures, err = parseFigures(text); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write figures: %w", err)
		}
	}
	if !printTable(os.Stdout, figures, measured) {
		return errDearer
	}
	return nil
}

// choose returns the figures that are named by row or by name, all of them for an empty list.
func choose(figures []figure, list string) ([]figure, error) {
	if list == "" {
		return figures, nil
	}
	var chosen []figure
	for want := range strings.SplitSeq(list, ",") {
		found := false
		for _, f := range figures {
			if f.Name == want || strconv.Itoa(f.Row) == want {
				found = true
				if !slices.ContainsFunc(chosen, func(g figure) bool { return g.Name == f.Name }) {
					chosen = append(chosen, f)
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("-only %s: there is no such row or figure in %s", want, figuresFile)
		}
	}
	return chosen, nil
}

// findRoot returns the folder of the repository, which the working directory is in.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, figuresFile)); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: the working directory is not in it")
		}
		dir = parent
	}
}
