// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

const (
	// maxBody bounds the body, in bytes: it is for people, the attributes hold everything.
	maxBody = 4 << 10
	// shortID is how much of a container's ID people use.
	shortID = 12
	// unknown stands in the body for what could not be read.
	unknown = "?"
)

// appendBody appends the body of e's record: one printable line of at most maxBody bytes.
//
//	process host /usr/bin/curl http://cilium.io
//	exit    3f1c9a0b7d2e /usr/bin/curl 0
//	fork    host /usr/bin/bash 4711
//	loss    ring_full process.exec 12
//
// (with one space where the columns are shown).
func appendBody(dst []byte, e *event.Event) []byte {
	start := len(dst)
	limit := start + maxBody + 1 // one more than is kept shows that something was cut
	switch e.Kind {
	case event.Exec:
		dst = appendSubject(append(dst, "process "...), e.Process, limit)
		if args := e.Process.Args; len(args) > 1 {
			dst = appendArgs(append(dst, ' '), args[1:], limit)
		}
		switch {
		case e.Process.Flags&event.ArgsUnreadable != 0:
			dst = append(append(dst, ' '), unknown...)
		case e.Process.Flags&event.ArgsCut != 0:
			dst = append(dst, " …"...)
		}
	case event.Exit:
		dst = appendSubject(append(dst, "exit "...), e.Process, limit)
		dst = appendStatus(dst, e.Exit)
	case event.Fork:
		dst = appendSubject(append(dst, "fork "...), e.Process, limit)
		dst = strconv.AppendUint(append(dst, ' '), uint64(e.Process.ID.PID), 10)
	case event.Loss:
		dst = appendLoss(dst, e.Lost, limit)
	}
	return dst[:start+len(cutLine(dst[start:], maxBody))]
}

// appendSubject appends where the process runs and what it runs.
func appendSubject(dst []byte, p *event.Process, limit int) []byte {
	if p.Container == nil {
		dst = append(dst, "host "...)
	} else {
		id := p.Container.ID
		dst = append(appendLine(dst, id[:min(len(id), shortID)], limit), ' ')
	}
	if p.File.Path == "" {
		return append(dst, unknown...)
	}
	return appendLine(dst, p.File.Path, limit)
}

// appendArgs appends arguments, divided by spaces. One that is empty, or holds a space or a quote, is quoted, so that it can be
// seen where each ends.
func appendArgs(dst []byte, args []string, limit int) []byte {
	for i, arg := range args {
		if len(dst) >= limit {
			break
		}
		if i > 0 {
			dst = append(dst, ' ')
		}
		if arg != "" && strings.IndexByte(arg, ' ') < 0 && strings.IndexByte(arg, '"') < 0 {
			dst = appendLine(dst, arg, limit)
			continue
		}
		dst = append(dst, '"')
		for {
			plain, rest, quote := strings.Cut(arg, `"`)
			dst = appendLine(dst, plain, limit)
			if !quote {
				break
			}
			dst = append(dst, '\\', '"')
			arg = rest
		}
		dst = append(dst, '"')
	}
	return dst
}

// appendStatus appends the exit code, or the signal that ended the process.
func appendStatus(dst []byte, s *event.ExitStatus) []byte {
	dst = append(dst, ' ')
	if s.Signal == 0 {
		return strconv.AppendInt(dst, int64(s.Code), 10)
	}
	if name := unix.SignalName(unix.Signal(s.Signal)); name != "" {
		dst = append(dst, name...)
	} else {
		dst = strconv.AppendInt(append(dst, "signal "...), int64(s.Signal), 10)
	}
	if s.CoreDumped {
		dst = append(dst, " (core dumped)"...)
	}
	return dst
}

func appendLoss(dst []byte, l *event.LossReport, limit int) []byte {
	dst = appendLine(append(dst, "loss "...), string(l.Stage), limit)
	dst = append(append(dst, ' '), eventName(l.Event)...)
	if l.Policy != "" {
		dst = appendLine(append(dst, ' '), l.Policy, limit)
	}
	return strconv.AppendUint(append(dst, ' '), l.Count, 10)
}
