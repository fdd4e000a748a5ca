// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/ringside-otel/ringside/internal/event"
)

// The names of events; metadata.yaml declares them.
const (
	eventExec = "process.exec"
	eventExit = "process.exit"
	eventFork = "process.fork"
	eventLoss = "ringside.loss"
)

// The names of attributes that more than one place needs; the others stand in the tables below and in
// attributes_exec.go and attributes_exit.go.
const (
	attrExecID     = "ringside.process.exec_id"
	attrPath       = "process.executable.path"
	attrArgs       = "process.command_args"
	attrCwd        = "process.working_directory"
	attrUser       = "process.user.id"
	attrRealUser   = "process.real_user.id"
	attrEnv        = "process.environment_variable"
	attrParentPath = "ringside.process.parent.executable.path"
	attrNamespace  = "ringside.process.namespace"
	attrScript     = "ringside.process.script.path"
	attrParentLine = "ringside.process.parent.command_line"
	attrEscaped    = "ringside.escaped"
	attrTruncated  = "ringside.truncated"
	attrUnreadable = "ringside.unreadable"
)

// eventName returns the event name of k, "unknown" for a kind without one.
func eventName(k event.Kind) string {
	switch k {
	case event.Exec:
		return eventExec
	case event.Exit:
		return eventExit
	case event.Fork:
		return eventFork
	case event.Loss:
		return eventLoss
	}
	return "unknown"
}

// attr is one attribute of a record. The tables of attributes are the only place that knows which field of an event becomes
// which attribute, and when one is left out.
type attr struct {
	name string
	// when tells whether the attribute is there. Nil stands for always.
	when func(*record) bool
	// One of these gives the value. A text is there when it is not empty; without any of them the value is true.
	text   func(*record) string
	number func(*record) int64
	double func(*record) float64
	list   func(*record) []string

	bit presence // its place in a schema
}

// group is attributes of which none is there unless when says so; nil when each is to be asked.
type group struct {
	when  func(*record) bool
	attrs []attr
}

// record is the state of one conversion.
type record struct {
	*converter
	e *event.Event
	p *event.Process
	// values are those of the attributes that the record has, in the order of its schema.
	values [maxAttrs]value
	// The attributes with these properties, in the order in which they were set.
	escaped, truncated, unreadable []string
}

// setText sets v, the value of the attribute name, to s; escaped when it is not valid UTF-8.
func (r *record) setText(v pcommon.Value, name, s string) {
	s, escaped := validText(s)
	if escaped {
		r.escaped = append(r.escaped, name)
	}
	v.SetStr(s)
}

// setList sets v, the value of the attribute name, to a list. When one element must be escaped all are, so that a reader
// knows how to take each.
func (r *record) setList(v pcommon.Value, name string, list []string) {
	escape := false
	for _, s := range list {
		if !isValid(s) {
			escape = true
			r.escaped = append(r.escaped, name)
			break
		}
	}
	slice := v.SetEmptySlice()
	slice.EnsureCapacity(len(list))
	for _, s := range list {
		if escape {
			s = escapeText(s)
		}
		slice.AppendEmpty().SetStr(s)
	}
}

// has tells whether the process has one of flags.
func (r *record) has(flags event.Flags) bool { return r.p.Flags&flags != 0 }

// processAttributes are on each record about a process.
var processAttributes = []attr{
	text(attrExecID, func(r *record) string { return r.execID(r.p.ID) }),
	{name: "ringside.process.parent_exec_id", when: hasParent, text: func(r *record) string { return r.execID(r.p.Parent) }},
	integer("process.pid", nil, func(r *record) int64 { return int64(r.p.ID.PID) }),
	integer("process.parent_pid", hasParent, func(r *record) int64 { return int64(r.p.Parent.PID) }),
	integer("process.vpid",
		func(r *record) bool { return r.p.VPID != 0 },
		func(r *record) int64 { return int64(r.p.VPID) }),
	text(attrPath, func(r *record) string { return r.p.File.Path }),
	text("process.executable.name", func(r *record) string { return r.p.File.Path[strings.LastIndexByte(r.p.File.Path, '/')+1:] }),
	{name: attrArgs, list: func(r *record) []string { return r.p.Args }},
	integer("process.args_count", seen, func(r *record) int64 { return int64(r.p.ArgsCount) }),
	text(attrCwd, func(r *record) string { return r.p.Cwd }),
	text("process.creation.time", func(r *record) string {
		return r.timestamp(r.p.StartTime.Unix(), r.p.StartTime.Nanosecond())
	}),
	integer(attrUser, seen, func(r *record) int64 { return int64(r.p.Cred.EUID) }),
	text("process.user.name", func(r *record) string { return r.p.UserName }),
	integer(attrRealUser, seen, func(r *record) int64 { return int64(r.p.Cred.UID) }),
	{
		name: "ringside.process.creator_exec_id",
		when: func(r *record) bool { return r.p.Creator != r.p.Parent && !r.p.Creator.IsZero() },
		text: func(r *record) string { return r.execID(r.p.Creator) },
	},
	integer("ringside.process.args_size",
		func(r *record) bool { return r.has(event.ArgsCut) },
		func(r *record) int64 { return int64(r.p.ArgsBytes) }),
}

// forkedAttributes are on the records about a process that may not have executed anything.
var forkedAttributes = []attr{
	boolean("ringside.process.forked", func(r *record) bool { return r.p.FromFork }),
}

// lossAttributes are on the records about lost events.
var lossAttributes = []attr{
	text("ringside.loss.stage", func(r *record) string { return string(r.e.Lost.Stage) }),
	integer("ringside.loss.count", nil, func(r *record) int64 { return int64(r.e.Lost.Count) }),
	{
		name: "ringside.loss.event",
		when: func(r *record) bool { return r.e.Lost.Event != 0 },
		text: func(r *record) string { return eventName(r.e.Lost.Event) },
	},
	text("ringside.loss.policy", func(r *record) string { return r.e.Lost.Policy }),
}

// putQuality puts what is to be told of the attributes that are there.
func (r *record) putQuality(m pcommon.Map) {
	for _, quality := range []struct {
		name  string
		names *[]string
	}{
		{attrEscaped, &r.escaped},
		{attrTruncated, &r.truncated},
		{attrUnreadable, &r.unreadable},
	} {
		if len(*quality.names) > 0 {
			r.setList(m.PutEmpty(quality.name), quality.name, *quality.names)
		}
	}
}

// seen tells whether more than the identity of the process is known.
func seen(r *record) bool { return !r.p.Unseen }

// hasParent tells whether the parent is known.
func hasParent(r *record) bool { return !r.p.Parent.IsZero() }

// text is a text that is there when it is not empty.
func text(name string, value func(*record) string) attr {
	return attr{name: name, text: value}
}

// boolean is an attribute that is there, and true, when holds says so.
func boolean(name string, holds func(*record) bool) attr {
	return attr{name: name, when: holds}
}

// integer is a number that is there when holds says so, always when that is nil.
func integer(name string, holds func(*record) bool, value func(*record) int64) attr {
	return attr{name: name, when: holds, number: value}
}

// seconds is a time in seconds that is there when holds says so, always when that is nil.
func seconds(name string, holds func(*record) bool, value func(*record) time.Duration) attr {
	return attr{name: name, when: holds, double: func(r *record) float64 { return value(r).Seconds() }}
}
