// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Metric is something that is counted in the kernel instead of, or besides, an event. In the language it is an item of
// `metrics`, of a hook (for each match of any selector) or of an action Metrics (for each match of its selector):
//
//	metrics:
//	- name: block_io.latency        # as it is exported
//	  type: histogram               # counter, sum or histogram
//	  value: duration               # duration, return, arg0 or the label of an argument; a counter has none
//	  unit: s
//	  description: time from issue to completion
//	  by: [executable, error, arg1] # attributes; one series for each combination
//	  maxSeries: 1000               # what comes after them is counted in one overflow series
//	  scale: 3                      # of a histogram: 2^scale buckets for each power of two
type Metric struct {
	Pos         Position
	Name        string
	Type        MetricType
	Value       MetricValue
	Unit        string
	Description string
	By          []Attribute
	MaxSeries   int
	Scale       int
}

// MetricType is what is kept of the values.
type MetricType uint8

// The types of metrics.
const (
	Counter MetricType = iota
	Sum
	Histogram
)

var metricTypes = [...]string{"counter", "sum", "histogram"}

// String returns the name in the language.
func (t MetricType) String() string { return metricTypes[t] }

// MetricValue is what is summed, or what a histogram is of.
type MetricValue struct {
	From ValueFrom
	// Arg is the position in Hook.Args, for ValueArg.
	Arg int
}

// ValueFrom is where a value comes from.
type ValueFrom uint8

// The sources of values. ValueOne is the value of a counter. A duration is that of the call, in seconds when exported.
const (
	ValueOne ValueFrom = iota
	ValueDuration
	ValueReturn
	ValueArg
)

var valueNames = [...]string{"", "duration", "return", "arg"}

// String returns the name in the language.
func (v ValueFrom) String() string { return valueNames[v] }

// Attribute tells series apart.
type Attribute struct {
	Pos  Position
	Kind AttributeKind
	// Arg is the position in Hook.Args, for ByArg.
	Arg int
}

// AttributeKind is what the series of a metric differ in.
type AttributeKind uint8

// The attributes. ByError is the name of the error that the call returned.
const (
	ByPolicy AttributeKind = iota
	ByHook
	ByWorkload
	ByExecutable
	ByError
	ByReturn
	ByArg
)

var attributeNames = [...]string{"policy", "hook", "workload", "executable", "error", "return", "arg"}

// String returns the name in the language.
func (k AttributeKind) String() string { return attributeNames[k] }

// Limits of metrics.
const (
	// DefaultSeries is maxSeries when it is not given.
	DefaultSeries = 1000
	// MaxSeries bounds the kernel memory of a metric: a histogram's series takes some two kilobytes.
	MaxSeries = 100_000
	// DefaultScale gives eight buckets for each power of two: an error of at most 4.4 %.
	DefaultScale = 3
	// MinScale is the least scale of the OTel exponential histogram.
	MinScale = -10
	// MaxScale is the greatest.
	MaxScale = 20
	// MaxBy is how many attributes a metric can have: the key of a map in the kernel is at most 512 bytes on the stack.
	MaxBy = 8
	// maxMetricName and maxUnit are those of the OTel specification.
	maxMetricName, maxUnit = 255, 63
)

// metrics reads a list of metrics.
func (h *hookReader) metrics(n *node) []Metric {
	var all []Metric
	h.each(n, "metrics", func(_ int, item *node) { all = append(all, h.metric(item)) })
	if n.kind == kindList && len(n.items) == 0 {
		h.fail(n.pos, "", "metrics is empty")
	}
	return all
}

func (h *hookReader) metric(n *node) Metric {
	m := Metric{Pos: n.pos, MaxSeries: DefaultSeries}
	var value, scale *node
	ok := h.object(n, "a metric", []field{
		{"name", true, func(n *node) { m.Name = h.metricName(n) }},
		{"type", true, func(n *node) { m.Type = h.metricType(n) }},
		{"value", false, func(n *node) { value = n }},
		{"unit", false, func(n *node) { m.Unit = h.unit(n) }},
		{"description", false, func(n *node) { m.Description = h.text(n, "description") }},
		{"by", false, func(n *node) { m.By = h.attributes(n) }},
		{"maxSeries", false, func(n *node) { m.MaxSeries = int(h.integer(n, "maxSeries", 1, MaxSeries)) }},
		{"scale", false, func(n *node) { scale = n }},
	})
	if !ok {
		return m
	}
	h.metricValue(&m, n, value)
	switch {
	case m.Type == Histogram && scale == nil:
		m.Scale = DefaultScale
	case m.Type == Histogram:
		m.Scale = int(h.integer(scale, "scale", MinScale, MaxScale))
	case scale != nil:
		h.fail(scale.pos, "leave it out", "only a histogram has a scale")
	}
	return m
}

func (h *hookReader) metricValue(m *Metric, n, value *node) {
	switch {
	case m.Type == Counter && value != nil:
		h.fail(value.pos, "use `type: sum` to add values up", "a counter counts matches and has no value")
	case m.Type == Counter:
	case value == nil:
		h.fail(n.pos, "for example `value: duration`", "a %s needs a value", m.Type)
	default:
		m.Value = h.value(value)
	}
}

func (h *hookReader) value(n *node) MetricValue {
	s, ok := h.scalar(n, "value")
	if !ok {
		return MetricValue{}
	}
	if i := slices.Index(valueNames[:], s); i > 0 && s != "arg" {
		return MetricValue{From: ValueFrom(i)}
	}
	arg, ok := h.namedArg(s, n.pos, valueNames[1:3])
	if !ok {
		return MetricValue{}
	}
	h.numeric(arg, n.pos)
	return MetricValue{From: ValueArg, Arg: arg}
}

// attributes reads `by`.
func (h *hookReader) attributes(n *node) []Attribute {
	var all []Attribute
	seen := make(map[Attribute]bool)
	for _, v := range h.texts(n, "by") {
		a := Attribute{Pos: v.Pos, Kind: ByArg}
		if i := slices.Index(attributeNames[:ByArg], v.Text); i >= 0 {
			a.Kind = AttributeKind(i)
		} else if arg, ok := h.namedArg(v.Text, v.Pos, attributeNames[:ByArg]); ok {
			a.Arg = arg
			h.numeric(arg, v.Pos)
		} else {
			continue
		}
		if key := (Attribute{Kind: a.Kind, Arg: a.Arg}); !seen[key] {
			seen[key] = true
			all = append(all, a)
		}
	}
	if len(all) > MaxBy {
		h.fail(n.pos, "", "a metric can have at most %d attributes, not %d", MaxBy, len(all))
	}
	return all
}

// namedArg finds the argument that "arg2" or a label stands for. "arg2" is the parameter with index 2.
func (h *hookReader) namedArg(s string, pos Position, others []string) (int, bool) {
	names := slices.Clone(others)
	for i, a := range h.hook.Args {
		if a.Label == s && s != "" {
			return i, true
		}
		if a.Label != "" {
			names = append(names, a.Label)
		}
	}
	if digits, ok := strings.CutPrefix(s, "arg"); ok {
		if i, err := strconv.ParseUint(digits, 10, 15); err == nil && h.checkIndex(int(i), pos) {
			return h.argument(int(i), pos), true
		}
	}
	h.fail(pos, didYouMean(s, append(names, "arg0")), "%q is neither known nor an argument", clip(s))
	return 0, false
}

// numeric reports an argument that cannot be added up or be an attribute of a metric. One of type Auto is looked at when
// its type is known.
func (h *hookReader) numeric(arg int, pos Position) {
	if t := h.hook.Args[arg].Type; t != Auto && t.Info().Class&(ClassNumber|ClassSyscall) == 0 {
		h.fail(pos, "use an integer or an enumeration", "an argument of type %s is nothing for a metric", t)
	}
}

func (r *reader) metricName(n *node) string {
	s := r.text(n, "the name of a metric")
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789_.-/", rune(c))) {
			r.fail(n.pos, "for example block_io.latency", "%q is no name of a metric", clip(s))
			return ""
		}
	}
	if len(s) > maxMetricName {
		r.fail(n.pos, "", "the name of a metric has at most %d characters", maxMetricName)
	}
	return s
}

func (r *reader) unit(n *node) string {
	s := r.text(n, "unit")
	if len(s) > maxUnit || strings.ContainsFunc(s, func(c rune) bool { return c > math.MaxInt8 }) {
		r.fail(n.pos, "for example s, By or {event}", "a unit is at most %d characters of ASCII", maxUnit)
	}
	return s
}

func (r *reader) metricType(n *node) MetricType {
	s, ok := r.scalar(n, "the type of a metric")
	if !ok {
		return Counter
	}
	if i := slices.Index(metricTypes[:], s); i >= 0 {
		return MetricType(i)
	}
	r.fail(n.pos, didYouMean(s, metricTypes[:]), "there is no type of metrics %q", clip(s))
	return Counter
}
