// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/console"
	"github.com/ringside-otel/ringside/internal/vm/kernels"
	"github.com/ringside-otel/ringside/internal/vm/launch"
	"github.com/ringside-otel/ringside/internal/vm/machine"
	"github.com/ringside-otel/ringside/internal/vm/wire"
)

func fetchCommand(ctx context.Context, args []string) error {
	f := newFlags("fetch")
	list := f.String("kernel", "6.1,6.12", "kernels, separated by commas")
	if err := f.parse(args); err != nil {
		return err
	}
	versions, err := kernels.ParseVersions(*list)
	if err != nil {
		return usageError(err)
	}
	cache := kernels.Open(os.Stderr)
	qemu, err := cache.QEMU(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("qemu\t%s\n", qemu)
	for _, version := range versions {
		k, err := cache.Get(ctx, version)
		if err != nil {
			return err
		}
		fmt.Printf("%s\t%s\t%s\n", k.Version, k.Release, k.Image)
	}
	return nil
}

func runCommand(ctx context.Context, args []string) error {
	return single(ctx, "run", args, false)
}

func benchCommand(ctx context.Context, args []string) error {
	return single(ctx, "bench", args, true)
}

// single runs one program; count is what makes a measurement of it.
func single(ctx context.Context, command string, args []string, count bool) error {
	f := newFlags(command)
	kernel := f.String("kernel", "6.12", "version of the kernel")
	f.Var(&f.get, "get", "copy a `file` of the guest here when the program has ended, as GUEST or GUEST=PATH; can be repeated")
	verbose := f.Bool("v", false, "tell how long booting took")
	if err := f.parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return usageError(errors.New("which program? \"vm " + command + " [flags] BINARY [ARGS...]\""))
	}
	versions, err := kernels.ParseVersions(*kernel)
	if err != nil || len(versions) != 1 {
		return usageError(errors.Join(fmt.Errorf("-kernel %s: want one version", *kernel), err))
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find working directory: %w", err)
	}
	o, closeOptions, err := f.options()
	if err != nil {
		return err
	}
	o.Count, o.Limit = count, limit(f.timeout, f.Args()[1:])
	printer := &printer{stdout: os.Stdout, stderr: os.Stderr, verbose: *verbose}
	job := launch.Job{
		Program: f.Arg(0), Args: f.Args()[1:], Dir: dir, Merge: sameFile(os.Stdout, os.Stderr),
	}
	for _, get := range f.get {
		guest, host, renamed := strings.Cut(get, "=")
		if !renamed {
			host = filepath.Base(guest)
		}
		job.Get = append(job.Get, guest)
		printer.files = append(printer.files, host)
	}
	outcome, err := o.Run(ctx, versions[0], []launch.Job{job}, printer)
	err = errors.Join(err, printer.close(), closeOptions())
	return printer.verdict(outcome, err)
}

// sameFile tells whether stdout and stderr go to one place, where the order of their writes matters.
func sameFile(a, b *os.File) bool {
	first, err := a.Stat()
	if err != nil {
		return false
	}
	second, err := b.Stat()
	return err == nil && os.SameFile(first, second)
}

// printer passes on what one program prints.
type printer struct {
	stdout, stderr io.Writer
	verbose        bool
	files          []string // where to put the files that are sent back
	open           map[int]*os.File
	result         *machine.Result
	err            error
}

func (p *printer) Ready(release string, boot time.Duration) {
	if p.verbose {
		fmt.Fprintf(p.stderr, "vm: Linux %s booted in %.1fs\n", release, boot.Seconds())
	}
}

func (p *printer) Begin(int) {}

func (p *printer) Output(_ int, t wire.Type, b []byte) {
	w := p.stdout
	if t == wire.Stderr {
		w = p.stderr
	}
	_, err := w.Write(b)
	p.fail(err)
}

func (p *printer) File(_, index int, chunk []byte) {
	if index >= len(p.files) {
		return
	}
	f := p.open[index]
	if f == nil {
		var err error
		if f, err = os.Create(p.files[index]); err != nil {
			p.fail(err)
			return
		}
		if p.open == nil {
			p.open = map[int]*os.File{}
		}
		p.open[index] = f
	}
	_, err := f.Write(chunk)
	p.fail(err)
}

func (p *printer) End(_ int, r machine.Result) { p.result = &r }

// fail keeps the first error; the program goes on.
func (p *printer) fail(err error) {
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("pass output on: %w", err)
	}
}

func (p *printer) close() error {
	for _, f := range p.open {
		p.fail(f.Close())
	}
	return p.err
}

// verdict prints what went wrong in the machine and returns the exit status as an error.
func (p *printer) verdict(outcome machine.Outcome, err error) error {
	splats := outcome.Splats
	broken := ""
	if p.result != nil {
		splats = append(p.result.Splats, splats...)
		broken = p.result.Broken()
	}
	printSplats(p.stderr, splats)
	if err != nil && len(splats) == 0 && outcome.Console != nil {
		printConsole(p.stderr, outcome.Console)
	}
	var hung *machine.HungError
	var died *machine.DiedError
	switch {
	case errors.As(err, &hung), errors.As(err, &died):
		return &statusError{status: statusFailed, err: err}
	case err != nil:
		return &statusError{status: statusBroken, err: err}
	case p.result.Error != "":
		return &statusError{status: p.result.Status(), err: errors.New(p.result.Error)}
	case p.result.Status() != 0:
		return &statusError{status: p.result.Status()}
	case len(splats) > 0:
		return &statusError{status: statusFailed, err: fmt.Errorf("the kernel complained: %s", splats[0].Headline)}
	case broken != "":
		return &statusError{status: statusFailed, err: fmt.Errorf("the kernel complained: %s", broken)}
	}
	return nil
}

func printSplats(w io.Writer, splats []console.Splat) {
	for _, s := range splats {
		fmt.Fprintln(w, "vm: from the console:")
		for _, line := range s.Lines {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
}

func printConsole(w io.Writer, lines []string) {
	fmt.Fprintf(w, "vm: the console's last %d lines:\n", len(lines))
	for _, line := range lines {
		fmt.Fprintf(w, "    %s\n", line)
	}
}
