// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// exitAttributes are on the records of exits, besides the attributes of the process.
var exitAttributes = []attr{
	integer("process.exit.code",
		func(r *record) bool { return r.e.Exit.Signal == 0 },
		func(r *record) int64 { return int64(r.e.Exit.Code) }),
	seconds("ringside.process.duration", nil, func(r *record) time.Duration { return r.e.Exit.Duration }),
	seconds("ringside.process.exec.duration",
		func(r *record) bool { return r.p.ExecTime != 0 },
		func(r *record) time.Duration { return r.e.Boot - r.p.ExecTime }),
	seconds("ringside.process.cpu.user", nil, func(r *record) time.Duration { return r.e.Exit.User }),
	seconds("ringside.process.cpu.system", nil, func(r *record) time.Duration { return r.e.Exit.System }),
	integer("ringside.process.memory.max_rss", nil, func(r *record) int64 { return int64(r.e.Exit.MaxRSS) }),
	integer("ringside.process.io.read", nil, func(r *record) int64 { return int64(r.e.Exit.ReadBytes) }),
	integer("ringside.process.io.write", nil, func(r *record) int64 { return int64(r.e.Exit.WriteBytes) }),
	integer("ringside.process.exit.signal",
		func(r *record) bool { return r.e.Exit.Signal != 0 },
		func(r *record) int64 { return int64(r.e.Exit.Signal) }),
	boolean("ringside.process.exit.core_dumped", func(r *record) bool { return r.e.Exit.CoreDumped }),
}

// crashed tells whether a process ended because of a fault of its own.
func crashed(s *event.ExitStatus) bool {
	if s.CoreDumped {
		return true
	}
	switch unix.Signal(s.Signal) {
	case unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS:
		return true
	}
	return false
}
