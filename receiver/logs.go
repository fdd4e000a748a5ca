// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strings"
	"time"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/receiver/internal/metadata"
)

const (
	// schemaURL tells which version of the semantic conventions the names come from.
	schemaURL = "https://opentelemetry.io/schemas/1.44.0"
	// textPerRecord is about how many bytes of text a record needs that are not in the event: IDs, times, body.
	textPerRecord = 256
)

// converter turns events into log records. It is not safe for concurrent use; what it returns does not refer to it.
type converter struct {
	host    *host
	version string

	exec, exit, fork, loss *schema
	// allCapabilities is the set of all capabilities of this kernel.
	allCapabilities uint64
	// environment maps the name of a variable to that of its attribute.
	environment map[string]string

	// arena is where the text that is made for the records of a batch is put, one behind the other: see made.
	arena  []byte
	dates  dates
	record record
	groups groups
}

func newConverter(h *host, version string, environment []string) *converter {
	c := &converter{
		host:            h,
		version:         version,
		allCapabilities: h.capabilities,
		exec:            newSchema(append([]group{{attrs: processAttributes}}, execGroups...)...),
		exit:            newSchema(group{attrs: processAttributes}, group{attrs: forkedAttributes}, group{attrs: exitAttributes}),
		fork:            newSchema(group{attrs: processAttributes}, group{attrs: forkedAttributes}),
		loss:            newSchema(group{attrs: lossAttributes}),
		environment:     make(map[string]string, len(environment)),
	}
	for _, name := range environment {
		key, _ := validText(name)
		c.environment[name] = attrEnv + "." + key
	}
	c.record.converter = c
	return c
}

// convert returns the records of a batch, in its order within each resource: one for the host, and one for each container.
func (c *converter) convert(batch []event.Event) plog.Logs {
	logs := plog.NewLogs()
	c.groups.reset(logs, c)
	c.arena = make([]byte, 0, textPerRecord*len(batch)) // the arena of the batch before belongs to its records
	observed := pcommon.NewTimestampFromTime(time.Now())
	for i := range batch {
		e := &batch[i]
		var container *event.Container
		if e.Process != nil {
			container = e.Process.Container
		}
		lr := c.groups.records(container, len(batch)-i).AppendEmpty()
		lr.SetObservedTimestamp(observed)
		c.fill(lr, e)
	}
	c.record.e, c.record.p = nil, nil // the batch can be freed before the next one comes
	return logs
}

// fill sets what lr tells of e.
func (c *converter) fill(lr plog.LogRecord, e *event.Event) {
	r := &c.record
	r.e, r.p = e, e.Process
	r.escaped, r.truncated, r.unreadable = r.escaped[:0], r.truncated[:0], r.unreadable[:0]

	lr.SetTimestamp(pcommon.NewTimestampFromTime(e.Time))
	lr.SetEventName(eventName(e.Kind))
	setSeverity(lr, e)
	lr.Body().SetStr(c.made(appendBody(c.arena, e)))

	m := lr.Attributes()
	switch e.Kind {
	case event.Exec:
		c.exec.fill(r, m)
		r.variables(m)
	case event.Exit:
		c.exit.fill(r, m)
	case event.Fork:
		c.fork.fill(r, m)
	case event.Loss:
		c.loss.fill(r, m)
	}
	if r.p != nil {
		r.judge()
	}
	r.putQuality(m)
}

// setSeverity sets how serious e is: a crash is a warning, and missing data an error.
func setSeverity(lr plog.LogRecord, e *event.Event) {
	severity, text := plog.SeverityNumberInfo, "INFO"
	switch {
	case e.Kind == event.Loss:
		severity, text = plog.SeverityNumberError, "ERROR"
	case e.Kind == event.Exit && crashed(e.Exit):
		severity, text = plog.SeverityNumberWarn, "WARN"
	}
	lr.SetSeverityNumber(severity)
	lr.SetSeverityText(text)
}

// judge notes which attributes are not whole.
func (r *record) judge() {
	const troubles = event.PathCut | event.CwdCut | event.ArgsCut | event.EnvCut |
		event.ArgsUnreadable | event.EnvUnreadable | event.PathUnreadable | event.IsScript
	exec := r.e.Kind == event.Exec
	if !r.has(troubles) && r.p.File.Path != "" && r.p.Cwd != "" &&
		(!exec || r.p.Namespaces.Mnt != 0 && (r.e.Parent == nil || r.e.Parent.File.Path != "")) {
		return // nearly always
	}
	for _, cut := range []struct {
		flag event.Flags
		name string
	}{{event.PathCut, attrPath}, {event.CwdCut, attrCwd}, {event.ArgsCut, attrArgs}} {
		if r.has(cut.flag) {
			r.truncated = append(r.truncated, cut.name)
		}
	}
	if exec && r.has(event.EnvCut) {
		r.truncated = append(r.truncated, attrEnv)
	}

	path, cwd := r.p.File.Path == "", r.p.Cwd == ""
	if r.has(event.PathUnreadable) && !path && !cwd {
		path, cwd = true, true // a part of one of them; which one is not told
	}
	for _, lacking := range []struct {
		holds bool
		name  string
	}{
		{path, attrPath},
		{cwd, attrCwd},
		{r.has(event.ArgsUnreadable) || r.p.Unseen, attrArgs},
		{r.p.Unseen, attrUser},
		{r.p.Unseen, attrRealUser},
		{exec && r.has(event.EnvUnreadable), attrEnv},
		{exec && r.has(event.IsScript) && r.p.Script == "", attrScript},
		{exec && r.p.Namespaces.Mnt == 0, attrNamespace}, // every process has a mount namespace
		{exec && r.e.Parent != nil && r.e.Parent.File.Path == "", attrParentPath},
	} {
		if lacking.holds {
			r.unreadable = append(r.unreadable, lacking.name)
		}
	}
}

// variables puts the chosen environment variables into m.
func (r *record) variables(m pcommon.Map) {
	for _, variable := range r.p.Env {
		name, value, _ := strings.Cut(variable, "=")
		key, chosen := r.environment[name]
		if !chosen {
			continue
		}
		// getenv takes the first, and so does this.
		if v, again := m.GetOrPutEmpty(key); !again {
			r.setText(v, key, value)
		}
	}
}

// made returns, as a string, what extended has more than the arena, and makes extended the arena. The text is not copied: the
// bytes of an arena are never written again, and when append moves an arena the old one stays where it is for its strings.
func (c *converter) made(extended []byte) string {
	text := extended[len(c.arena):]
	c.arena = extended
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// execID returns the exec_id of id.
func (c *converter) execID(id event.ID) string {
	return c.made(c.host.node.AppendExecID(c.arena, id))
}

// timestamp returns a time since the epoch as ISO 8601.
func (c *converter) timestamp(sec int64, nsec int) string {
	return c.made(c.dates.append(c.arena, sec, nsec))
}

// groups finds the records of a container within the logs of a batch.
type groups struct {
	*converter
	logs plog.Logs
	byID map[string]plog.LogRecordSlice // "" is the host
	last struct {
		container *event.Container
		records   plog.LogRecordSlice
		valid     bool
	}
}

func (g *groups) reset(logs plog.Logs, c *converter) {
	g.converter, g.logs = c, logs
	if g.byID == nil {
		g.byID = make(map[string]plog.LogRecordSlice)
	}
	clear(g.byID)
	g.last.valid = false
}

// records returns the records of a container, nil for the host. Expected is how many may be added at most.
func (g *groups) records(container *event.Container, expected int) plog.LogRecordSlice {
	if g.last.valid && g.last.container == container {
		return g.last.records
	}
	id := ""
	if container != nil {
		id = container.ID
	}
	records, ok := g.byID[id]
	if !ok {
		records = g.add(container)
		if len(g.byID) == 0 {
			records.EnsureCapacity(expected)
		}
		g.byID[id] = records
	}
	g.last.container, g.last.records, g.last.valid = container, records, true
	return records
}

// add adds the resource of a container.
func (g *groups) add(container *event.Container) plog.LogRecordSlice {
	rl := g.logs.ResourceLogs().AppendEmpty()
	rl.SetSchemaUrl(schemaURL)
	attributes := rl.Resource().Attributes()
	g.host.attributes.CopyTo(attributes)
	if container != nil {
		for _, a := range []struct{ name, value string }{
			{"container.id", container.ID},
			{"container.runtime.name", container.Runtime},
			{"k8s.pod.uid", container.PodUID},
		} {
			if a.value != "" {
				text, _ := validText(a.value)
				attributes.PutStr(a.name, text)
			}
		}
	}
	sl := rl.ScopeLogs().AppendEmpty()
	sl.SetSchemaUrl(schemaURL)
	sl.Scope().SetName(metadata.ScopeName)
	sl.Scope().SetVersion(g.version)
	return sl.LogRecords()
}
