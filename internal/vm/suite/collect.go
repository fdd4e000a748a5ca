// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is what "go tool test2json" says; its documentation is go doc test2json.
type event struct {
	Action string
	Test   string
	Output string
}

// Counts are how tests went. A test with subtests is not counted beside them, unless it failed by itself.
type Counts struct {
	Passed, Failed, Skipped int
}

// Finding is a test that did not pass, and why.
type Finding struct {
	Kernel, Package, Test, Reason string
}

// collector follows the tests of one package.
type collector struct {
	out     io.Writer
	verbose bool

	tests   map[string]*progress
	order   []string            // names of running tests, oldest first
	pending map[string][]string // output of unfinished top-level tests; "" is the package's own
	counts  Counts
	failed  []string
	skipped []Finding // Test and Reason only
}

// progress is a test that is not over.
type progress struct {
	lines     []string // its own output
	subtests  bool
	subFailed bool
}

func newCollector(out io.Writer, verbose bool) *collector {
	return &collector{out: out, verbose: verbose, tests: map[string]*progress{}, pending: map[string][]string{}}
}

func (c *collector) add(e event) {
	switch e.Action {
	case "run":
		c.run(e.Test)
	case "output":
		c.output(e.Test, e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			c.over(e.Test, e.Action)
		}
	}
}

func (c *collector) run(name string) {
	c.tests[name] = &progress{}
	c.order = append(c.order, name)
	if p := c.tests[parent(name)]; p != nil {
		p.subtests = true
	}
}

// parent is the name of the test that a subtest belongs to. A slash in the name of a subtest itself makes levels that
// do not exist; the nearest that does is meant by the caller's look-up, or none.
func parent(name string) string {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)]
}

// root is the top-level test that a test belongs to.
func root(name string) string {
	top, _, _ := strings.Cut(name, "/")
	return top
}

func (c *collector) output(name, text string) {
	if p := c.tests[name]; p != nil {
		p.lines = append(p.lines, text)
	}
	if c.verbose {
		fmt.Fprint(c.out, text)
		return
	}
	c.pending[root(name)] = append(c.pending[root(name)], text)
}

func (c *collector) over(name, action string) {
	p := c.tests[name]
	if p == nil {
		p = &progress{}
	}
	delete(c.tests, name)
	c.order = slices.DeleteFunc(c.order, func(s string) bool { return s == name })
	switch {
	case action == "fail":
		c.markParents(name)
		if !p.subFailed {
			c.counts.Failed++
			c.failed = append(c.failed, name)
		}
	case action == "skip":
		c.counts.Skipped++
		c.skipped = append(c.skipped, Finding{Test: name, Reason: skipReason(p.lines)})
	case !p.subtests:
		c.counts.Passed++
	}
	if name != root(name) {
		return
	}
	if action == "fail" {
		c.flush(name)
	}
	delete(c.pending, name)
}

// markParents tells the tests around a failed one that their failure is explained.
func (c *collector) markParents(name string) {
	for up := parent(name); up != ""; up = parent(up) {
		if p := c.tests[up]; p != nil {
			p.subFailed = true
		}
	}
}

func (c *collector) flush(name string) {
	for _, text := range c.pending[name] {
		fmt.Fprint(c.out, text)
	}
}

// finish is called when there is no more output. Tests that are still running have failed with their package; bad is
// why the package failed, or empty.
func (c *collector) finish(bad string) {
	var unfinished []string
	for _, name := range c.order {
		if p := c.tests[name]; !p.subtests {
			unfinished = append(unfinished, name)
		}
	}
	for _, name := range unfinished {
		c.markParents(name)
		c.failed = append(c.failed, name)
		c.counts.Failed++
	}
	// A package that fails with no test to blame counts as one failure.
	if bad != "" && len(c.failed) == 0 {
		c.counts.Failed++
		c.failed = append(c.failed, "")
	}
	if bad == "" && len(unfinished) == 0 {
		return
	}
	for _, name := range c.order {
		if name == root(name) {
			c.flush(name)
		}
	}
	c.flush("")
}

// logLine is a line of a test's log: indentation, file, line number, text.
var logLine = regexp.MustCompile(`^\s+[^\s:]+\.go:\d+: (.*)`)

// skipReason is the last thing that a test logged, which is what it called Skip with.
func skipReason(lines []string) string {
	var reason []string
	for _, line := range lines {
		line = strings.TrimRight(line, "\n")
		if m := logLine.FindStringSubmatch(line); m != nil {
			reason = []string{m[1]}
		} else if len(reason) > 0 && strings.HasPrefix(line, "        ") {
			reason = append(reason, strings.TrimSpace(line))
		}
	}
	if len(reason) == 0 {
		return "no reason given"
	}
	return strings.Join(reason, " ")
}

// line is the last one for a package, as go test has it.
func packageLine(ok bool, kernel, pkg string, seconds float64, c Counts) string {
	word := "ok  "
	if !ok {
		word = "FAIL"
	}
	skipped := ""
	if c.Skipped > 0 {
		skipped = fmt.Sprintf(" (%d skipped)", c.Skipped)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%.3fs%s", word, kernel, pkg, seconds, skipped)
}
