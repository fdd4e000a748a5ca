// SPDX-License-Identifier: Apache-2.0

// Package console reads what the kernel of a virtual machine prints and finds what it should never print.
//
// A [Log] is an io.Writer for the bytes of the console. It keeps the lines and collects every [Splat]: a report of
// a bug in the kernel, of a warning, a stall, a panic. What a report looks like is decided by how the text of a
// message starts, because messages that merely hold such a word ("Spectre V2 : WARNING: ...") are harmless.
//
// Lines that start with [wire.Marker] divide the log into tasks; see [Log.Await].
package console

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/ringside-otel/ringside/internal/vm/wire"
)

const (
	maxLine  = 4096  // bytes of a line that are kept
	maxLines = 20000 // lines that are kept
	// splatLines is how many lines of a report are kept: registers and stack of a few CPUs.
	splatLines = 120
	// before is how many lines before a report are kept with it.
	before = 3
)

// NoTask is the number of the task while none runs: during boot, between tasks and at the end.
const NoTask = -1

// Splat is a report of the kernel about itself.
type Splat struct {
	// Task is the number of the task that ran, or NoTask.
	Task int
	// Headline is the message that the report was recognised by, without its time stamp.
	Headline string
	// Lines are the lines around it.
	Lines []string
}

// heads match the start of messages that no healthy kernel prints.
var heads = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`BUG: `,         // bad pointers, KASAN, sleeping in atomic, workqueue lockups
	`kernel BUG at`, // BUG()
	`WARNING: `,     // WARN(), lockdep, suspicious RCU usage
	`Oops\b`,
	`Kernel panic`,
	`general protection fault`,
	`stack segment: `, `double fault: `, `divide error: `, `invalid opcode: `, `int3: `,
	`KASAN: `, `KCSAN: `, `KFENCE: `, `UBSAN: `, `kmemleak: \d`,
	`unregister_netdevice: waiting`,
	`watchdog: BUG: `, `watchdog: Watchdog detected hard LOCKUP`, `NMI watchdog: Watchdog detected`,
	`rcu: INFO: rcu.* (?:detected|stall)`, `INFO: rcu.* (?:detected|stall)`, `rcu: rcu_\w+ kthread starved`,
	`INFO: task .* blocked for more than`, `INFO: lockdep is turned off`,
	`(?:refcount_t|list_add corruption|list_del corruption)\b`,
	`unchecked MSR access error`,
	`Out of memory: `, `Kernel stack is corrupted`, `Unable to mount root`,
	`page_pool_release_retry`,
}, `|`) + `)`)

// anywhere matches within a message. The verifier tells of its own bugs in several wordings.
var anywhere = regexp.MustCompile(`(?i)verifier bug|RCU stall|\bhung task\b|\[#\d+\] (?:PREEMPT|SMP|$)`)

// harmless matches messages that the ones above would, and that say nothing about the kernel's health.
var harmless = regexp.MustCompile(`^traps: `)

// end matches the last line of a report.
var end = regexp.MustCompile(`^---\[ end (?:trace|Kernel panic)`)

// stamp is what is before a message: level, time, and the caller's task or CPU.
var stamp = regexp.MustCompile(`^(?:<\d+>)?(?:\[ *\d+\.\d+\] ?)?(?:\[ *[TC]\d+\] ?)?`)

// Log collects a console. It can be used by several goroutines. Use New.
type Log struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	splats  []Splat
	open    int // lines that still go to the last splat
	task    int
	ended   int // the highest task whose end marker was seen, or NoTask
	changed chan struct{}
}

// New returns an empty log.
func New() *Log {
	return &Log{task: NoTask, ended: NoTask, changed: make(chan struct{})}
}

// Write takes bytes as they come. It never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for {
		line, rest, found := bytes.Cut(p, []byte{'\n'})
		if room := maxLine - len(l.partial); room > 0 {
			l.partial = append(l.partial, line[:min(len(line), room)]...)
		}
		if !found {
			return n, nil
		}
		l.line(strings.TrimRight(string(l.partial), "\r"))
		l.partial, p = l.partial[:0], rest
	}
}

// Close ends the last line if it has no end: a kernel that dies does not finish its sentences.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.line(strings.TrimRight(string(l.partial), "\r"))
		l.partial = nil
	}
	return nil
}

func (l *Log) line(s string) {
	if len(l.lines) == maxLines {
		l.lines = append(l.lines[:0], l.lines[maxLines/2:]...)
	}
	message := stamp.ReplaceAllString(s, "")
	if l.marker(message) {
		return
	}
	l.lines = append(l.lines, s)
	if l.open > 0 {
		last := &l.splats[len(l.splats)-1]
		last.Lines = append(last.Lines, s)
		l.open--
		if end.MatchString(message) {
			l.open = 0
		}
		return
	}
	if harmless.MatchString(message) || !heads.MatchString(message) && !anywhere.MatchString(message) {
		return
	}
	from := max(0, len(l.lines)-1-before)
	l.splats = append(l.splats, Splat{
		Task: l.task, Headline: message, Lines: append([]string(nil), l.lines[from:]...),
	})
	l.open = splatLines
}

// marker takes a line that divides the log. It belongs to the runner, so it is not kept.
func (l *Log) marker(message string) bool {
	rest, ok := strings.CutPrefix(message, wire.Marker+" ")
	if !ok {
		return false
	}
	what, number, _ := strings.Cut(rest, " ")
	task, err := strconv.Atoi(number)
	if err != nil || task < 0 {
		return false
	}
	switch what {
	case "begin":
		l.task = task
	case "end":
		l.task, l.ended = NoTask, max(l.ended, task)
	default:
		return false
	}
	l.open = 0
	close(l.changed)
	l.changed = make(chan struct{})
	return true
}

// Await waits until the log has come to the end of a task, so that Splats has all that belongs to it. It returns the
// context's error when that ends first.
func (l *Log) Await(ctx context.Context, task int) error {
	for {
		l.mu.Lock()
		ended, changed := l.ended, l.changed
		l.mu.Unlock()
		if ended >= task {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Splats returns the reports so far, in order.
func (l *Log) Splats() []Splat {
	l.mu.Lock()
	defer l.mu.Unlock()
	splats := make([]Splat, len(l.splats))
	for i, s := range l.splats {
		s.Lines = append([]string(nil), s.Lines...)
		splats[i] = s
	}
	return splats
}

// Tail returns the last n lines.
func (l *Log) Tail(n int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines[max(0, len(l.lines)-n):]...)
}
