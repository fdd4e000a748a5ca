// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strings"
	"unicode/utf8"

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
	set  func(*record, pcommon.Value)
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
	// name is the attribute that is being set.
	name string
	// The attributes with these properties, in the order in which they were set.
	escaped, truncated, unreadable []string
}

// text sets v to s, escaped when it is not valid UTF-8.
func (r *record) text(v pcommon.Value, s string) {
	s, escaped := validText(s)
	if escaped {
		r.escaped = append(r.escaped, r.name)
	}
	v.SetStr(s)
}

// texts sets v to a list. When one element must be escaped all are, so that a reader knows how to take each.
func (r *record) texts(v pcommon.Value, list []string) {
	escape := false
	for _, s := range list {
		if !utf8.ValidString(s) {
			escape = true
			r.escaped = append(r.escaped, r.name)
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

// put puts those of attributes that are there into m.
func put(r *record, m pcommon.Map, attributes []attr) {
	for i := range attributes {
		if a := &attributes[i]; a.when(r) {
			r.name = a.name
			a.set(r, m.PutEmpty(a.name))
		}
	}
}

// processAttributes are on each record about a process.
var processAttributes = []attr{
	{name: attrExecID, set: func(r *record, v pcommon.Value) { v.SetStr(r.execID(r.p.ID)) }},
	{name: "ringside.process.parent_exec_id", when: hasParent, set: func(r *record, v pcommon.Value) { v.SetStr(r.execID(r.p.Parent)) }},
	integer("process.pid", nil, func(r *record) int64 { return int64(r.p.ID.PID) }),
	integer("process.parent_pid", hasParent, func(r *record) int64 { return int64(r.p.Parent.PID) }),
	integer("process.vpid",
		func(r *record) bool { return r.p.VPID != 0 },
		func(r *record) int64 { return int64(r.p.VPID) }),
	optional(attrPath, func(r *record) string { return r.p.File.Path }),
	{
		name: "process.executable.name",
		when: func(r *record) bool { return r.p.File.Path != "" },
		set: func(r *record, v pcommon.Value) {
			r.text(v, r.p.File.Path[strings.LastIndexByte(r.p.File.Path, '/')+1:])
		},
	},
	{name: attrArgs, set: func(r *record, v pcommon.Value) { r.texts(v, r.p.Args) }},
	integer("process.args_count", nil, func(r *record) int64 { return int64(r.p.ArgsCount) }),
	optional(attrCwd, func(r *record) string { return r.p.Cwd }),
	{name: "process.creation.time", set: func(r *record, v pcommon.Value) {
		v.SetStr(r.timestamp(r.p.StartTime.Unix(), r.p.StartTime.Nanosecond()))
	}},
	integer("process.user.id", nil, func(r *record) int64 { return int64(r.p.Cred.EUID) }),
	optional("process.user.name", func(r *record) string { return r.p.UserName }),
	integer("process.real_user.id", nil, func(r *record) int64 { return int64(r.p.Cred.UID) }),
	{
		name: "ringside.process.creator_exec_id",
		when: func(r *record) bool { return r.p.Creator != r.p.Parent && !r.p.Creator.IsZero() },
		set:  func(r *record, v pcommon.Value) { v.SetStr(r.execID(r.p.Creator)) },
	},
	{
		name: "ringside.process.args_size",
		when: func(r *record) bool { return r.has(event.ArgsCut) },
		set:  func(r *record, v pcommon.Value) { v.SetInt(int64(r.p.ArgsBytes)) },
	},
}

// forkedAttributes are on the records about a process that may not have executed anything.
var forkedAttributes = []attr{
	boolean("ringside.process.forked", func(r *record) bool { return r.p.FromFork }),
}

// lossAttributes are on the records about lost events.
var lossAttributes = []attr{
	{name: "ringside.loss.stage", set: func(r *record, v pcommon.Value) { r.text(v, string(r.e.Lost.Stage)) }},
	integer("ringside.loss.count", nil, func(r *record) int64 { return int64(r.e.Lost.Count) }),
	{
		name: "ringside.loss.event",
		when: func(r *record) bool { return r.e.Lost.Event != 0 },
		set:  func(r *record, v pcommon.Value) { v.SetStr(eventName(r.e.Lost.Event)) },
	},
	optional("ringside.loss.policy", func(r *record) string { return r.e.Lost.Policy }),
}

// qualityAttributes tell of the attributes that were set before them.
var qualityAttributes = []attr{
	namesOf(attrEscaped, func(r *record) []string { return r.escaped }),
	namesOf(attrTruncated, func(r *record) []string { return r.truncated }),
	namesOf(attrUnreadable, func(r *record) []string { return r.unreadable }),
}

// hasParent tells whether the parent is known.
func hasParent(r *record) bool { return !r.p.Parent.IsZero() }

// boolean is an attribute that is there, and true, when holds says so.
func boolean(name string, holds func(*record) bool) attr {
	return attr{name: name, when: holds, set: func(_ *record, v pcommon.Value) { v.SetBool(true) }}
}

// integer is an attribute that is there when holds says so, always when that is nil.
func integer(name string, holds func(*record) bool, value func(*record) int64) attr {
	return attr{name: name, when: holds, set: func(r *record, v pcommon.Value) { v.SetInt(value(r)) }}
}

// optional is a text that is there when it is not empty.
func optional(name string, value func(*record) string) attr {
	return attr{
		name: name,
		when: func(r *record) bool { return value(r) != "" },
		set:  func(r *record, v pcommon.Value) { r.text(v, value(r)) },
	}
}

// namesOf is a list of attribute names that is there when it is not empty.
func namesOf(name string, names func(*record) []string) attr {
	return attr{
		name: name,
		when: func(r *record) bool { return len(names(r)) > 0 },
		set:  func(r *record, v pcommon.Value) { r.texts(v, names(r)) },
	}
}
