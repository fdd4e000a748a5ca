// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// exitAttributes are on the records of exits, besides the attributes of the process.
var exitAttributes = []attr{
	{name: "process.exit.code", set: func(r *record, v pcommon.Value) {
		if r.e.Exit.Signal == 0 {
			v.SetInt(int64(r.e.Exit.Code))
		}
	}},
	{name: "ringside.process.duration", set: func(r *record, v pcommon.Value) {
		v.SetDouble(r.e.Exit.Duration.Seconds())
	}},
	{name: "ringside.process.exec.duration", set: func(r *record, v pcommon.Value) {
		if r.p.ExecTime != 0 {
			v.SetDouble((r.e.Boot - r.p.ExecTime).Seconds())
		}
	}},
	{name: "ringside.process.cpu.user", set: func(r *record, v pcommon.Value) {
		v.SetDouble(r.e.Exit.User.Seconds())
	}},
	{name: "ringside.process.cpu.system", set: func(r *record, v pcommon.Value) {
		v.SetDouble(r.e.Exit.System.Seconds())
	}},
	{name: "ringside.process.memory.max_rss", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.e.Exit.MaxRSS))
	}},
	{name: "ringside.process.io.read", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.e.Exit.ReadBytes))
	}},
	{name: "ringside.process.io.write", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.e.Exit.WriteBytes))
	}},
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
