// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Tracepoint is a classic tracepoint: the record that it writes for perf and ftrace, which programs read.
type Tracepoint struct {
	Group, Name string
	ID          int
	Fields      []TraceField // in the order of the record; first those that all have ("common_pid")
}

// TraceField is a field of the record.
type TraceField struct {
	Name   string
	Text   string // its C type as the tracepoint tells it: "pid_t", "char[16]", "const char *"
	Offset uint32 // bytes, from the start of the record
	Size   uint32 // bytes
	Signed bool
	// Data says that the field is not the value but tells where it is: a 32-bit number whose low half is the offset and whose high
	// half is the size of the data. Text is then the type of the data: "char[]".
	Data DataLocation
	// Type is Text as a type of the kernel; void when the kernel's types have none of that name.
	Type Type
}

// DataLocation tells from where the offset in a TraceField counts.
type DataLocation uint8

// The places of data.
const (
	InPlace     DataLocation = iota // the field is the value
	FromRecord                      // __data_loc: from the start of the record
	FromFieldOn                     // __rel_loc: from the end of the field
)

// Field returns the field of a name.
func (t Tracepoint) Field(name string) (TraceField, error) {
	i := slices.IndexFunc(t.Fields, func(f TraceField) bool { return f.Name == name })
	if i < 0 {
		names := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			names[i] = f.Name
		}
		return TraceField{}, &NotFound{What: "field of tracepoint " + t.Group + ":" + t.Name, Name: name, Near: near(name, slices.Values(names))}
	}
	return t.Fields[i], nil
}

// Tracepoint returns a classic tracepoint, "sched" and "sched_process_exec". It needs tracefs and the right to read it: without,
// the error is an *Unsupported whose Unknown is set.
func (f *Facts) Tracepoint(group, name string) (Tracepoint, error) {
	if !isEventName(group) || !isEventName(name) {
		return Tracepoint{}, &NotFound{What: "tracepoint", Name: group + ":" + name}
	}
	folder, err := f.eventFolder()
	if err != nil {
		return Tracepoint{}, err
	}
	b, err := fs.ReadFile(f.root, folder+group+"/"+name+"/format")
	if missing(err) {
		return Tracepoint{}, &NotFound{What: "tracepoint", Name: group + ":" + name, Near: f.nearTracepoints(folder, group, name)}
	}
	if err != nil {
		return Tracepoint{}, fmt.Errorf("read tracepoint %s:%s: %w", group, name, err)
	}
	t, err := parseFormat(b)
	if err != nil {
		return Tracepoint{}, fmt.Errorf("read tracepoint %s:%s: %w", group, name, err)
	}
	t.Group = group
	spec, err := f.spec("")
	if err != nil {
		return t, nil //nolint:nilerr // the fields are known by size and sign, only their types are not
	}
	for i := range t.Fields {
		if c, ok := parseCType(t.Fields[i].Text); ok {
			t.Fields[i].setType(c, spec)
		}
	}
	return t, nil
}

// setType gives a field its type, unless the kernel's type of that name is not what the tracepoint tells.
func (t *TraceField) setType(c cType, spec *btf.Spec) {
	found, ok := c.find(spec)
	if ok && (t.Data != InPlace || found.Size == t.Size) {
		t.Type = found
	}
}

func isEventName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}

// eventFolder finds where tracefs is mounted.
func (f *Facts) eventFolder() (string, error) {
	var err error
	for _, folder := range tracefs {
		if _, err = fs.Stat(f.root, folder+"events"); err == nil {
			return folder + "events/", nil
		}
	}
	return "", &Unsupported{What: "classic tracepoints", Unknown: true, Err: err,
		Reason: "tracefs is not mounted, or not to be read", Instead: "mount it on /sys/kernel/tracing and run as root, or use raw: true"}
}

// Tracepoints lists the classic tracepoints as "group:name", sorted.
func (f *Facts) Tracepoints() ([]string, error) {
	folder, err := f.eventFolder()
	if err != nil {
		return nil, err
	}
	groups, err := fs.ReadDir(f.root, strings.TrimSuffix(folder, "/"))
	if err != nil {
		return nil, fmt.Errorf("list tracepoints: %w", err)
	}
	var names []string
	for _, group := range groups {
		if !group.IsDir() {
			continue
		}
		events, err := fs.ReadDir(f.root, folder+group.Name())
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the group of a module that was just removed
			return nil, fmt.Errorf("list tracepoints: %w", err)
		}
		for _, e := range events {
			if e.IsDir() {
				names = append(names, group.Name()+":"+e.Name())
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// nearTracepoints looks in the group, or, when there is no such group, everywhere.
func (f *Facts) nearTracepoints(folder, group, name string) []string {
	if events, err := fs.ReadDir(f.root, folder+group); err == nil {
		found := near(name, func(yield func(string) bool) {
			for _, e := range events {
				if !yield(e.Name()) {
					return
				}
			}
		})
		for i := range found {
			found[i] = group + ":" + found[i]
		}
		if len(found) > 0 {
			return found
		}
	}
	all, err := f.Tracepoints()
	if err != nil {
		return nil
	}
	var same []string
	for _, t := range all {
		if _, n, _ := strings.Cut(t, ":"); n == name && len(same) < maxNear {
			same = append(same, t)
		}
	}
	if len(same) > 0 {
		return same
	}
	return near(group+":"+name, slices.Values(all))
}

// The most that is believed of a format.
const maxTraceFields = 256

var errFormat = errors.New("the format is not understood")

// parseFormat reads the format file of a tracepoint. It is strict: a field that is not understood is an error.
func parseFormat(b []byte) (Tracepoint, error) {
	var t Tracepoint
	inFields := false
	for line := range bytes.Lines(b) {
		s := strings.TrimSpace(string(line))
		switch {
		case strings.HasPrefix(s, "name:"):
			t.Name = strings.TrimSpace(s[len("name:"):])
		case strings.HasPrefix(s, "ID:"):
			id, err := strconv.ParseUint(strings.TrimSpace(s[len("ID:"):]), 10, 31)
			if err != nil {
				return Tracepoint{}, fmt.Errorf("%w: its ID: %q", errFormat, s)
			}
			t.ID = int(id)
		case s == "format:":
			inFields = true
		case strings.HasPrefix(s, "print fmt:"):
			return t.checked(inFields)
		case inFields && s != "":
			field, err := parseTraceField(s)
			if err != nil {
				return Tracepoint{}, err
			}
			t.Fields = append(t.Fields, field)
		}
	}
	return t.checked(inFields)
}

func (t Tracepoint) checked(fields bool) (Tracepoint, error) {
	switch {
	case t.Name == "" || !fields:
		return Tracepoint{}, fmt.Errorf("%w: it has no name or no fields", errFormat)
	case len(t.Fields) > maxTraceFields:
		return Tracepoint{}, fmt.Errorf("%w: it has %d fields", errFormat, len(t.Fields))
	}
	return t, nil
}

// parseTraceField reads "field:char comm[16];	offset:8;	size:16;	signed:0;".
func parseTraceField(s string) (TraceField, error) {
	var t TraceField
	seen := map[string]bool{}
	declaration := ""
	for part := range strings.SplitSeq(strings.TrimSuffix(s, ";"), ";") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok || seen[key] {
			return t, fmt.Errorf("%w: %q", errFormat, s)
		}
		seen[key] = true
		if key == "field" {
			declaration = value
			continue
		}
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return t, fmt.Errorf("%w: %q", errFormat, s)
		}
		switch key {
		case "offset":
			t.Offset = uint32(n)
		case "size":
			t.Size = uint32(n)
		case "signed":
			t.Signed = n != 0
		}
	}
	if !seen["field"] || !seen["offset"] || !seen["size"] {
		return t, fmt.Errorf("%w: %q", errFormat, s)
	}
	return t, t.declare(declaration)
}

// declare takes the declaration of a field apart: "__data_loc char[] filename", "unsigned long args[6]", "const char * name".
func (t *TraceField) declare(s string) error {
	s = strings.TrimSpace(s)
	switch {
	case strings.HasPrefix(s, "__data_loc "):
		t.Data, s = FromRecord, s[len("__data_loc "):]
	case strings.HasPrefix(s, "__rel_loc "):
		t.Data, s = FromFieldOn, s[len("__rel_loc "):]
	}
	if t.Data != InPlace && t.Size != 4 {
		return fmt.Errorf("%w: the place of %q takes %d bytes", errFormat, s, t.Size)
	}
	length := ""
	if i := strings.LastIndexByte(s, '['); i >= 0 && strings.HasSuffix(s, "]") {
		s, length = s[:i], s[i:]
	}
	i := strings.LastIndexAny(s, " *\t]")
	name := s[i+1:]
	if i < 0 || !isName(name) {
		return fmt.Errorf("%w: %q declares no field", errFormat, s)
	}
	t.Name, t.Text = name, strings.TrimSpace(s[:i+1])+length
	return nil
}
