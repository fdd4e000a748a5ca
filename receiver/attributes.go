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
	attrNamespace  = "ringside.process.namespace"
	attrScript     = "ringside.process.script.path"
	attrParentArgs = "ringside.process.parent.command_args"
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

// attr is one attribute of a record. The tables of attributes are the only place that knows which field of an event
// becomes which attribute, and when one is left out.
type attr struct {
	name string
	// when tells whether the attribute is there. Nil is for attributes that nearly every record has: set may then leave
	// the value empty, which leaves the attribute out.
	when func(*record) bool
	set  func(*record, pcommon.Value)
}

// schema is the attributes of one kind of event, divided by how they are put into the map. A map of pdata looks through all
// its keys at each Put; the keys that most records have are therefore copied in one go and the values filled in by position.
type schema struct {
	usual    []attr      // when is nil
	keys     pcommon.Map // the names of usual, without values
	rare     []attr
	reserved int // the capacity that a map gets
}

// roomForRare is how many attributes beyond the usual ones a map has room for before it must grow: a pod has six namespaces of
// its own, a login two more.
const roomForRare = 12

func newSchema(tables ...[]attr) schema {
	s := schema{keys: pcommon.NewMap()}
	for _, table := range tables {
		for _, a := range table {
			if a.when != nil {
				s.rare = append(s.rare, a)
				continue
			}
			s.usual = append(s.usual, a)
			s.keys.PutEmpty(a.name)
		}
	}
	s.reserved = len(s.usual) + roomForRare
	return s
}

// fill puts the attributes of r into m, which must be empty.
func (s *schema) fill(r *record, m pcommon.Map) {
	m.EnsureCapacity(s.reserved)
	s.keys.CopyTo(m)
	i, left := 0, 0
	for _, v := range m.All() {
		a := &s.usual[i]
		r.name = a.name
		a.set(r, v)
		if v.Type() == pcommon.ValueTypeEmpty {
			left++
		}
		i++
	}
	if left > 0 {
		m.RemoveIf(func(_ string, v pcommon.Value) bool { return v.Type() == pcommon.ValueTypeEmpty })
	}
	put(r, m, s.rare)
}

// put puts those of attributes that are there into m.
func put(r *record, m pcommon.Map, attributes []attr) {
	for i := range attributes {
		if a := &attributes[i]; a.when(r) {
			r.name = a.name
			a.set(r, m.PutEmpty(a.name))
		}
	}
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

// optionalText sets v to s when there is one.
func (r *record) optionalText(v pcommon.Value, s string) {
	if s != "" {
		r.text(v, s)
	}
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

// rendered sets v to what render appends.
func (r *record) rendered(v pcommon.Value, render func([]byte) []byte) {
	r.scratch = render(r.scratch[:0])
	v.SetStr(r.keep(r.scratch))
}

// has tells whether the process has one of flags.
func (r *record) has(flags event.Flags) bool { return r.p.Flags&flags != 0 }

// processAttributes are on each record about a process.
var processAttributes = []attr{
	{name: attrExecID, set: func(r *record, v pcommon.Value) {
		v.SetStr(r.execID(r.p.ID))
	}},
	{name: "ringside.process.parent_exec_id", set: func(r *record, v pcommon.Value) {
		if !r.p.Parent.IsZero() {
			v.SetStr(r.execID(r.p.Parent))
		}
	}},
	{name: "process.pid", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.p.ID.PID))
	}},
	{name: "process.parent_pid", set: func(r *record, v pcommon.Value) {
		if !r.p.Parent.IsZero() {
			v.SetInt(int64(r.p.Parent.PID))
		}
	}},
	{name: "process.vpid", set: func(r *record, v pcommon.Value) {
		if r.p.VPID != 0 {
			v.SetInt(int64(r.p.VPID))
		}
	}},
	{name: attrPath, set: func(r *record, v pcommon.Value) {
		r.optionalText(v, r.p.File.Path)
	}},
	{name: "process.executable.name", set: func(r *record, v pcommon.Value) {
		r.optionalText(v, r.p.File.Path[strings.LastIndexByte(r.p.File.Path, '/')+1:])
	}},
	{name: attrArgs, set: func(r *record, v pcommon.Value) {
		r.texts(v, r.p.Args)
	}},
	{name: "process.args_count", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.p.ArgsCount))
	}},
	{name: attrCwd, set: func(r *record, v pcommon.Value) {
		r.optionalText(v, r.p.Cwd)
	}},
	{name: "process.creation.time", set: func(r *record, v pcommon.Value) {
		v.SetStr(r.timestamp(r.p.StartTime))
	}},
	{name: "process.user.id", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.p.Cred.EUID))
	}},
	{name: "process.user.name", set: func(r *record, v pcommon.Value) {
		r.optionalText(v, r.p.UserName)
	}},
	{name: "process.real_user.id", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.p.Cred.UID))
	}},
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
	{name: "ringside.loss.stage", set: func(r *record, v pcommon.Value) {
		r.text(v, string(r.e.Lost.Stage))
	}},
	{name: "ringside.loss.count", set: func(r *record, v pcommon.Value) {
		v.SetInt(int64(r.e.Lost.Count))
	}},
	{
		name: "ringside.loss.event",
		when: func(r *record) bool { return r.e.Lost.Event != 0 },
		set:  func(r *record, v pcommon.Value) { v.SetStr(eventName(r.e.Lost.Event)) },
	},
	{
		name: "ringside.loss.policy",
		when: func(r *record) bool { return r.e.Lost.Policy != "" },
		set:  func(r *record, v pcommon.Value) { r.text(v, r.e.Lost.Policy) },
	},
	namesOf(attrEscaped, func(r *record) []string { return r.escaped }),
}

// qualityAttributes tell of the attributes that were set before them.
var qualityAttributes = []attr{
	namesOf(attrEscaped, func(r *record) []string { return r.escaped }),
	namesOf(attrTruncated, func(r *record) []string { return r.truncated }),
	namesOf(attrUnreadable, func(r *record) []string { return r.unreadable }),
}

// boolean is an attribute that is there, and true, when holds says so.
func boolean(name string, holds func(*record) bool) attr {
	return attr{name: name, when: holds, set: func(_ *record, v pcommon.Value) { v.SetBool(true) }}
}

// integer is an attribute that is there when holds says so.
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
