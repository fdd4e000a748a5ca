// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// output is the OTLP file of the collector.
const output = "/tmp/events.otlp"

// process is a running collector.
type process struct {
	cmd   *exec.Cmd
	begun time.Time

	mu    sync.Mutex
	lines []string // of its log, with the time since the start
	done  sync.WaitGroup
}

// launch starts the collector on its own configuration and what is said differently in overrides.
func (b *bench) launch(stdout io.Writer, overrides ...string) (*process, error) {
	args := []string{"--config", b.config}
	for _, o := range overrides {
		args = append(args, "--config", "yaml:"+o)
	}
	p := &process{cmd: exec.Command(b.collector, args...)}
	p.cmd.Stdout = stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("start the collector: %w", err)
	}
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the collector: %w", err)
	}
	p.done.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, fmt.Sprintf("%6.3f s  %s", time.Since(p.begun).Seconds(), lines.Text()))
			p.mu.Unlock()
		}
	})
	return p, nil
}

// toFile are overrides that make the collector write OTLP protobuf to output.
var toFile = []string{
	"exporters::file::path: " + output, "exporters::file::format: proto", "exporters::file::flush_interval: 200ms",
	"service::pipelines::logs::exporters: [file]",
}

// log returns what the collector has logged.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// ready waits until the collector says that it runs.
func (p *process) ready() error {
	err := await("the collector's start", func() (bool, error) {
		if strings.Contains(p.log(), "Everything is ready") {
			return true, nil
		}
		return false, p.cmd.Process.Signal(syscall.Signal(0))
	})
	if err != nil {
		return fmt.Errorf("%w; it said:\n%s", err, p.log())
	}
	return nil
}

// stop ends the collector as a service manager does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the collector: %w", err)
	}
	p.done.Wait()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("stop the collector: %w; it said:\n%s", err, p.log())
	}
	return nil
}

// together measures everything at once: kernel part, collector and exporter.
func together(b *bench) (err error) {
	if err := setStats(false); err != nil {
		return err
	}
	processes := lives(2000 / b.scale)
	// The first processes of a machine cost twice as much: memory is used for the first time.
	if err := processes.run(nothing); err != nil {
		return err
	}
	without, err := b.each("without", processes, func() error { return processes.run(nothing) })
	if err != nil {
		return err
	}
	p, err := b.launch(nil, toFile...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.ready(); err != nil {
		return err
	}
	f, err := os.Open(output)
	if err != nil {
		return fmt.Errorf("open the collector's output: %w", err)
	}
	defer f.Close()
	file := &reader{file: f}
	watched := func() error {
		*file = reader{file: f}
		if err := processes.run(nothing); err != nil {
			return err
		}
		return file.await(2*processes.processes + 2)
	}
	if err := watched(); err != nil {
		return err
	}
	if err := b.idle("the collector", othersInstructions); err != nil {
		return err
	}
	with, err := b.each("with", processes, watched)
	if err != nil {
		return err
	}
	b.explain("file: %.0f bytes for a record, in %d batches", float64(file.bytes)/float64(file.records), file.batches)
	b.report("process_together", with-without)
	return nil
}

// each returns what one of the processes costs the machine, over several rounds of the load.
func (b *bench) each(what string, processes workload, run func() error) (float64, error) {
	const rounds = 6 // the collector's garbage collector works in some of them
	var sum float64
	for range rounds {
		n, err := difference(othersInstructions, run)
		if err != nil {
			return 0, err
		}
		n /= float64(processes.processes)
		b.explain("%s: %.0f instructions for a process", what, n)
		sum += n
	}
	return sum / rounds, nil
}

// reader follows the file of the collector.
type reader struct {
	file                    *os.File
	rest                    []byte // the start of a batch that is not whole yet
	bytes, records, batches int
}

// await reads until there are so many records.
func (r *reader) await(records int) error {
	return await(fmt.Sprintf("%d records in the file", records), func() (bool, error) {
		if err := r.read(); err != nil {
			return false, err
		}
		return r.records >= records, nil
	})
}

// read reads what is new. A batch is 4 bytes with its length, and OTLP.
func (r *reader) read() error {
	fresh, err := io.ReadAll(r.file)
	if err != nil {
		return fmt.Errorf("read the collector's output: %w", err)
	}
	r.bytes += len(fresh)
	r.rest = append(r.rest, fresh...)
	for len(r.rest) >= 4 {
		size := int(binary.BigEndian.Uint32(r.rest))
		if len(r.rest) < 4+size {
			return nil
		}
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(r.rest[4 : 4+size])
		if err != nil {
			return fmt.Errorf("read the collector's output: %w", err)
		}
		r.records += logs.LogRecordCount()
		r.batches++
		r.rest = r.rest[4+size:]
	}
	return nil
}

// residentMemory measures the whole collector after 10,000 processes, with its default configuration.
func residentMemory(b *bench) (err error) {
	p, err := b.launch(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.ready(); err != nil {
		return err
	}
	if _, err := p.memory(b, "after the start"); err != nil {
		return err
	}
	if err := lives(10_000 / b.scale).run(nothing); err != nil {
		return err
	}
	time.Sleep(time.Second)
	resident, err := p.memory(b, "after 10,000 processes")
	b.report("resident_memory", resident)
	return err
}

// memory returns the resident memory in bytes.
func (p *process) memory(b *bench, when string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the collector's memory: %w", err)
	}
	var resident float64
	for line := range strings.SplitSeq(string(text), "\n") {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "VmRSS", "VmHWM", "RssAnon", "RssFile", "RssShmem":
			b.explain("%s: %s %s", when, key, strings.TrimSpace(value))
		}
		if key == "VmRSS" {
			if _, err := fmt.Sscan(value, &resident); err != nil {
				return 0, fmt.Errorf("read the collector's memory: %q: %w", line, err)
			}
		}
	}
	return resident * 1024, nil
}

// start measures the time until the collector shows the first exec, with its default configuration.
func start(b *bench) (err error) {
	// Something to be seen, all the time; it takes less than a tenth of the CPU.
	visible, err := workload{processes: 1 << 20, clone: vfork, execute: true, pause: 10_000_000}.command(nothing)
	if err != nil {
		return err
	}
	if err := visible.Start(); err != nil {
		return fmt.Errorf("start the load: %w", err)
	}
	defer func() {
		err = errors.Join(err, visible.Process.Kill())
		var killed *exec.ExitError
		if waited := visible.Wait(); !errors.As(waited, &killed) {
			err = errors.Join(err, fmt.Errorf("the load ended by itself: %w", waited))
		}
	}()
	stdout, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the collector: %w", err)
	}
	defer stdout.Close()
	p, err := b.launch(writer)
	writer.Close()
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	took := time.Since(p.begun)
	if err != nil {
		return fmt.Errorf("read the collector's output: %w; it said:\n%s", err, p.log())
	}
	b.explain("first: %s", line)
	// The rest is read, so that the collector can stop.
	var copied error
	p.done.Go(func() { _, copied = io.Copy(io.Discard, stdout) })
	time.Sleep(100 * time.Millisecond)
	b.explain("%s", p.log())
	b.report("start_time", took.Seconds())
	return errors.Join(p.stop(), copied)
}
