// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Converter returns the path of "go tool test2json", which knows how to read what tests print.
func Converter(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "tool", "-n", "test2json").Output()
	if err != nil {
		return "", fmt.Errorf("find %w: %w", errConverter, err)
	}
	path := strings.TrimSpace(string(out))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// The path is that of a build that has not happened yet; running the tool builds it.
	if err := goCommand(ctx, "tool", "test2json", "/bin/true").Run(); err != nil {
		return "", fmt.Errorf("build %w: %w", errConverter, err)
	}
	return path, nil
}

// packageRun is one package on one kernel.
type packageRun struct {
	suite       *Suite
	kernel, pkg string
	began       time.Time
	collector   *collector
	input       io.WriteCloser
	decoded     chan error
	writeErr    error
	drained     bool
	err         error // of the converter; valid when drained
}

// begin starts to follow a package's output.
func (s *Suite) begin(kernel, pkg string) *packageRun {
	p := &packageRun{
		suite: s, kernel: kernel, pkg: pkg, began: time.Now(),
		collector: newCollector(s.Out, s.Verbose), decoded: make(chan error, 1),
	}
	cmd := exec.Command(s.Convert, "-p", pkg)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		p.decoded <- err
		return p
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		p.decoded <- err
		return p
	}
	if err := cmd.Start(); err != nil {
		p.decoded <- err
		return p
	}
	p.input = input
	go func() {
		err := p.decode(output)
		if err = errors.Join(err, cmd.Wait()); err != nil {
			err = fmt.Errorf("%w: %w: %s", errConverter, err, strings.TrimSpace(stderr.String()))
		}
		p.decoded <- err
	}()
	return p
}

func (p *packageRun) decode(r io.Reader) error {
	for decoder := json.NewDecoder(r); ; {
		var e event
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			// The tool must not block on a pipe that nobody reads.
			_, copyErr := io.Copy(io.Discard, r)
			return errors.Join(err, copyErr)
		}
		p.collector.add(e)
	}
}

// write takes output. An error comes out at the end; the program goes on.
func (p *packageRun) write(b []byte) {
	if p.input == nil || p.writeErr != nil {
		return
	}
	_, p.writeErr = p.input.Write(b)
}

// drain waits until all output is read and, as far as it is shown, printed. There is no more write after it.
func (p *packageRun) drain() {
	if p.drained {
		return
	}
	p.drained = true
	if p.input != nil {
		p.input.Close()
	}
	p.err = errors.Join(<-p.decoded, p.writeErr)
}

// end takes why the package failed, or nothing, prints the result and counts it.
func (p *packageRun) end(reason string) {
	p.drain()
	if p.err != nil && reason == "" {
		reason = p.err.Error()
	}
	c, s := p.collector, p.suite
	c.finish(reason)
	if len(c.failed) > 0 && reason == "" {
		reason = "tests failed"
	}
	if reason != "" {
		fmt.Fprintf(s.Out, "%s\n", reason)
	}
	fmt.Fprintln(s.Out, packageLine(reason == "", p.kernel, p.pkg, time.Since(p.began).Seconds(), c.counts))
	s.counts.Passed += c.counts.Passed
	s.counts.Failed += c.counts.Failed
	s.counts.Skipped += c.counts.Skipped
	for _, test := range c.failed {
		s.failed = append(s.failed, Finding{Kernel: p.kernel, Package: p.pkg, Test: test, Reason: reason})
	}
	for _, f := range c.skipped {
		f.Kernel, f.Package = p.kernel, p.pkg
		s.skipped = append(s.skipped, f)
	}
}
