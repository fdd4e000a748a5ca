// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ringside-otel/ringside/internal/event"
)

func TestBody(t *testing.T) {
	exec := func(change func(p *event.Process)) event.Event {
		e := plainExec()
		change(e.Process)
		return e
	}
	exit := func(status event.ExitStatus) event.Event {
		e := plainExit()
		e.Exit = &status
		return e
	}
	args := func(args ...string) event.Event {
		return exec(func(p *event.Process) { p.Args = args })
	}
	lost := loss()
	lost.Lost = &event.LossReport{Stage: event.StageRefused, Policy: "passwd\nreads", Count: 3}

	for _, tc := range []struct {
		name  string
		event event.Event
		want  string
	}{
		{"exec", plainExec(), "process host /usr/bin/curl http://cilium.io"},
		{"exec in a container", exec(func(p *event.Process) { inPod(p) }), "process 3f1c9a0b7d2e /usr/bin/curl http://cilium.io"},
		{"a container with a short name", exec(func(p *event.Process) { p.Container = &event.Container{ID: "web"} }),
			"process web /usr/bin/curl http://cilium.io"},
		{"no arguments at all", args(), "process host /usr/bin/curl"},
		{"only argv[0]", args("x"), "process host /usr/bin/curl"},
		{"an empty argument", args("curl", "", "x"), `process host /usr/bin/curl "" x`},
		{"spaces and quotes", args("curl", "a b", `say "hi"`, `"`), `process host /usr/bin/curl "a b" "say \"hi\"" "\""`},
		{"control characters", args("curl", "a\nb", "\x1b]0;x\x07"), `process host /usr/bin/curl a\nb \x1b]0;x\x07`},
		{"bytes that are not UTF-8", args("curl", "\xff é"), `process host /usr/bin/curl "\xff é"`},
		{"a path that cannot be read", exec(func(p *event.Process) { p.File.Path = "" }), "process host ? http://cilium.io"},
		{"a path with a line break", exec(func(p *event.Process) { p.File.Path = "/tmp/a\nb" }), `process host /tmp/a\nb http://cilium.io`},
		{"cut arguments", exec(func(p *event.Process) { p.Flags = event.ArgsCut }), "process host /usr/bin/curl http://cilium.io …"},
		{"unreadable arguments", exec(func(p *event.Process) { p.Args, p.Flags = nil, event.ArgsUnreadable }), "process host /usr/bin/curl ?"},
		{"exit", exit(event.ExitStatus{}), "exit host /usr/bin/curl 0"},
		{"exit code", exit(event.ExitStatus{Code: 22}), "exit host /usr/bin/curl 22"},
		{"signal", exit(event.ExitStatus{Signal: int(syscall.SIGKILL)}), "exit host /usr/bin/curl SIGKILL"},
		{"core dump", exit(event.ExitStatus{Signal: int(syscall.SIGSEGV), CoreDumped: true}), "exit host /usr/bin/curl SIGSEGV (core dumped)"},
		{"real-time signal", exit(event.ExitStatus{Signal: 40}), "exit host /usr/bin/curl signal 40"},
		{"fork", plainFork(), "fork host /usr/bin/bash 20871"},
		{"loss", loss(), "loss ring_full process.exec 12"},
		{"loss of a policy's events", lost, `loss refused unknown passwd\nreads 3`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, string(appendBody(nil, &tc.event)))
			assert.Equal(t, "x"+tc.want, string(appendBody([]byte("x"), &tc.event)))
		})
	}
}

func TestBodyIsBounded(t *testing.T) {
	e := plainExec()
	e.Process.Args = append([]string{"curl"}, strings.Split(strings.Repeat("é ", 5000), " ")...)
	body := string(appendBody([]byte("before"), &e))[len("before"):]
	assert.LessOrEqual(t, len(body), maxBody)
	assert.Greater(t, len(body), maxBody-8)
	assert.True(t, strings.HasSuffix(body, "…"), "%q", body[len(body)-10:])
	assert.True(t, strings.HasPrefix(body, "process host /usr/bin/curl é é "))
}

func FuzzBodyIsOneLine(f *testing.F) {
	f.Add("/usr/bin/curl", "http://cilium.io", "3f1c9a0b7d2e4c5f", true)
	f.Add("", "\n\x1b[2J\xff\u202e", "", false)
	f.Add(strings.Repeat("/\x00", 4096), strings.Repeat(`"`, 9000), "\xff", true)
	f.Fuzz(func(t *testing.T, path, arg, container string, cut bool) {
		e := plainExec()
		e.Process.File.Path = path
		e.Process.Args = []string{"x", arg, arg}
		e.Process.Container = &event.Container{ID: container}
		if cut {
			e.Process.Flags = event.ArgsCut
		}
		body := string(appendBody(nil, &e))
		require.LessOrEqual(t, len(body), maxBody)
		for _, r := range body {
			require.True(t, r != unicode.ReplacementChar || strings.Contains(path+arg, "\ufffd"), "%q", body)
			require.True(t, unicode.IsPrint(r), "%q", body)
		}
	})
}
