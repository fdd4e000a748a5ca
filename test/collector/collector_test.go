// SPDX-License-Identifier: Apache-2.0

// Package collector tests the built collector from outside, as its users have it: a binary and YAML files.
package collector

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// patience bounds every wait. An emulated machine that runs a binary of 130 MB for the first time is slow.
const patience = 90 * time.Second

// binary returns the path of the collector.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/ringside")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if vmtest.Kernel() != "" {
			t.Fatalf("the collector was promised: %v", err)
		}
		t.Skipf("the collector is not built (make build): %v", err)
	}
	return path
}

const defaultConfig = "../../config/collector.yaml"

// collector is a running collector.
type collector struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    string // file that standard output goes to
	events string // file of OTLP JSON, one batch a line
	log    bytes.Buffer
	ended  chan error
}

// start runs the collector on the default configuration, with a second exporter that writes OTLP to a file, and waits until it is ready.
func start(t *testing.T, attr *syscall.SysProcAttr, overlay string) *collector {
	t.Helper()
	vmtest.Root(t)
	bin := binary(t)
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	c := &collector{t: t, out: dir + "/stdout", events: dir + "/events.jsonl", ended: make(chan error, 1)}
	if overlay == "" {
		overlay = "service: {pipelines: {logs: {exporters: [console, file]}}}\n"
	}
	overlay += fmt.Sprintf("exporters: {file: {path: %q, flush_interval: 100ms}}\n", c.events)
	if err := os.WriteFile(dir+"/overlay.yaml", []byte(overlay), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(c.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c.cmd = exec.Command(bin, "--config", defaultConfig, "--config", dir+"/overlay.yaml")
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.SysProcAttr = out, &c.log, attr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it has ended already, as a rule
		if t.Failed() {
			t.Logf("the collector's log:\n%s", c.log.String())
		}
	})
	c.waitReady()
	return c
}

func (c *collector) waitReady() {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-c.ended:
			c.t.Fatalf("the collector ended: %v\n%s", err, c.log.String())
		default:
		}
		if _, status := get("http://localhost:13133"); status == http.StatusOK {
			return
		}
	}
	c.t.Fatal("the collector did not become ready")
}

// get returns the body and the status of an HTTP answer; the status is 0 when there was none.
func get(url string) (string, int) {
	r, err := http.Get(url) //nolint:noctx // the address is this machine's, and the test has a time limit
	if err != nil {
		return "", 0
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", 0
	}
	return string(body), r.StatusCode
}

// stop ends the collector as systemd and Kubernetes do, and returns the records that it exported.
func (c *collector) stop() []record {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	select {
	case err := <-c.ended:
		if err != nil {
			c.t.Fatalf("the collector ended with %v", err)
		}
	case <-time.After(patience):
		c.t.Fatal("the collector did not end")
	}
	return c.records()
}

// record is one exported record with its resource.
type record struct {
	resource pcommon.Map
	plog.LogRecord
}

func (r record) attribute(name string) string {
	v, ok := r.Attributes().Get(name)
	if !ok {
		return ""
	}
	return v.AsString()
}

func (c *collector) records() []record {
	c.t.Helper()
	b, err := os.ReadFile(c.events)
	if err != nil {
		c.t.Fatal(err)
	}
	var all []record
	for line := range bytes.Lines(b) {
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		if err != nil {
			c.t.Fatalf("exported OTLP: %v", err)
		}
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					all = append(all, record{rl.Resource().Attributes(), lr})
				}
			}
		}
	}
	return all
}

// waitRecord waits until a record is exported.
func (c *collector) waitRecord(what string, match func(record) bool) record {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if _, err := os.Stat(c.events); err != nil {
			continue
		}
		b, err := os.ReadFile(c.events)
		if err != nil || !bytes.HasSuffix(b, []byte("\n")) {
			continue
		}
		for _, r := range c.records() {
			if match(r) {
				return r
			}
		}
	}
	c.t.Fatalf("not exported: %s", what)
	return record{}
}

// run runs a command to its end, whatever that is, and returns its pid.
func run(t *testing.T, name string, args ...string) int {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit is what the test is about
	return cmd.Process.Pid
}

func ofProcess(event string, pid int) func(record) bool {
	return func(r record) bool {
		return r.EventName() == event && r.attribute("process.pid") == fmt.Sprint(pid)
	}
}

func TestDefaultConfigurationExportsEachExecAndExit(t *testing.T) {
	c := start(t, nil, "")
	pid := run(t, "/bin/sh", "-c", "exit 3", "name\x1b[31m")
	exec := c.waitRecord("exec", ofProcess("process.exec", pid))
	exit := c.waitRecord("exit", ofProcess("process.exit", pid))

	for name, want := range map[string]string{
		"process.args_count":      "4",
		"process.parent_pid":      fmt.Sprint(os.Getpid()),
		"process.user.id":         "0",
		"process.command_args":    `["/bin/sh","-c","exit 3","name\u001b[31m"]`,
		"process.executable.name": filepath.Base(exec.attribute("process.executable.path")),
	} {
		if got := exec.attribute(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if id := exec.attribute("ringside.process.exec_id"); id == "" || id != exit.attribute("ringside.process.exec_id") {
		t.Errorf("exec_id %q of the exec, %q of the exit", id, exit.attribute("ringside.process.exec_id"))
	}
	if len(exec.attribute("ringside.process.executable.sha256")) != 64 {
		t.Errorf("no digest: %v", exec.Attributes().AsRaw())
	}
	if got := exit.attribute("process.exit.code"); got != "3" {
		t.Errorf("exit code %q", got)
	}
	if v, ok := exec.resource.Get("host.name"); !ok || v.Str() == "" {
		t.Errorf("no host.name: %v", exec.resource.AsRaw())
	}
	checkMetrics(t)
	c.stop()

	out, err := os.ReadFile(c.out)
	if err != nil {
		t.Fatal(err)
	}
	path := exec.attribute("process.executable.path")
	for _, want := range []string{
		"process host " + path + ` -c "exit 3" name\x1b[31m` + "\n",
		"exit host " + path + " 3\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("standard output lacks %q", want)
		}
	}
}

// checkMetrics holds the collector's own metrics to the account.
func checkMetrics(t *testing.T) {
	t.Helper()
	body, status := get("http://localhost:8888/metrics")
	if status != http.StatusOK {
		t.Fatalf("the collector's metrics: status %d", status)
	}
	for _, want := range []string{
		`otelcol_ringside_events_produced{event="process.exec"`,
		`otelcol_ringside_events_delivered{event="process.exec"`,
		`otelcol_ringside_ring_size{`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the collector's metrics lack %s", want)
		}
	}
	if strings.Contains(body, "otelcol_ringside_events_lost{") {
		t.Errorf("events were lost:\n%s", body)
	}
}

func TestTwoReceiversInOneCollectorEachSeeEverything(t *testing.T) {
	c := start(t, nil, `
receivers: {ringside/second: {process: {ring_size: 1048576}}}
service: {pipelines: {logs: {receivers: [ringside, ringside/second], exporters: [console, file]}}}
`)
	pid := run(t, "/bin/sh", "-c", "exit 0")
	c.waitRecord("exit", ofProcess("process.exit", pid))
	seen := 0
	ids := map[string]bool{}
	for _, r := range c.stop() {
		if ofProcess("process.exec", pid)(r) {
			seen++
			ids[r.attribute("ringside.process.exec_id")] = true
		}
	}
	if seen != 2 || len(ids) != 1 {
		t.Errorf("the exec was told %d times with the ids %v, want twice with the same", seen, ids)
	}
}

const nobody = 65534

func TestRunsWithoutRootOnTwoCapabilities(t *testing.T) {
	const capPerfmon, capBPF = 38, 39
	c := start(t, &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{capPerfmon, capBPF},
	}, "")
	pid := run(t, "/bin/sh", "-c", "exit 0")
	c.waitRecord("exit", ofProcess("process.exit", pid))
	c.stop()
}

// fails runs the collector with arguments, waits for it to fail, and returns what it said.
func fails(t *testing.T, attr *syscall.SysProcAttr, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary(t), args...)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("%v succeeded:\n%s", args, out)
	}
	return string(out)
}

func TestMissingPrivilegesAreNamedWithTheRemedy(t *testing.T) {
	vmtest.Root(t)
	out := fails(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}, "--config", defaultConfig)
	for _, want := range []string{"CAP_BPF, CAP_PERFMON", "AmbientCapabilities="} {
		if !strings.Contains(out, want) {
			t.Errorf("the error lacks %q:\n%s", want, out)
		}
	}
}

func TestValidateRefusesBadSettings(t *testing.T) {
	for _, tt := range []struct{ name, process, want string }{
		{"unknown key", "{ring_sise: 65536}", "ring_sise"},
		{"size that is no power of two", "{ring_size: 100000}", "ring_size"},
		{"negative wait", "{digest: {wait: -1s}}", "wait"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir() + "/bad.yaml"
			yaml := "receivers: {ringside: {process: " + tt.process + "}}\nexporters: {console: {}}\n" +
				"service: {pipelines: {logs: {receivers: [ringside], exporters: [console]}}}\n"
			if err := os.WriteFile(path, []byte(yaml), 0o644); err != nil {
				t.Fatal(err)
			}
			if out := fails(t, nil, "validate", "--config", path); !strings.Contains(out, tt.want) {
				t.Errorf("the error does not name %q:\n%s", tt.want, out)
			}
		})
	}
}
