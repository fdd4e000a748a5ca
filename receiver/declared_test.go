// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/load"
	"github.com/ringside-otel/ringside/internal/tracer"
	"github.com/ringside-otel/ringside/receiver/internal/metadata"
)

// declaration is what these tests need of metadata.yaml.
type declaration struct {
	ResourceAttributes map[string]struct{ Type string } `yaml:"resource_attributes"`
	Attributes         map[string]struct {
		Type string
		Enum []string
	} `yaml:"attributes"`
	Events    map[string]struct{ Attributes []string } `yaml:"events"`
	Telemetry struct {
		Metrics map[string]struct {
			Attributes []string
			Unit       string
		}
	} `yaml:"telemetry"`
}

func readDeclaration(t *testing.T) (d declaration) {
	data, err := os.ReadFile("metadata.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &d))
	return d
}

// everything returns events that between them have all attributes.
func everything() []event.Event {
	noPath := strangeExec()
	noPath.Process.CgroupPath = ""
	noPath.Process.Flags |= event.PathUnreadable
	noPath.Digest = event.Digest{Missing: "pending"}

	killed := plainExit()
	killed.Exit.Signal, killed.Exit.CoreDumped = 11, true
	killed.Process.FromFork = true

	policy := loss()
	policy.Lost.Policy = "passwd\xff"

	batch := []event.Event{plainExec(), strangeExec(), noPath, plainExit(), killed, plainFork(), loss(), policy}
	for _, make := range []func() event.Event{plainExit, plainFork} {
		e := make()
		e.Process = strangeExec().Process
		batch = append(batch, e)
	}
	return batch
}

func TestWhatIsEmittedIsDeclaredAndTheOtherWayRound(t *testing.T) {
	t.Setenv(envNodeName, "node-1")
	d := readDeclaration(t)
	h, err := readHost("testdata/host")
	require.NoError(t, err)
	h.capabilities = allCapabilities
	logs := newConverter(h, "1.0.0", []string{"LANG", "PATH"}).convert(everything())

	emitted := map[string]map[string]bool{}
	for lr := range records(logs) {
		names := emitted[lr.EventName()]
		if names == nil {
			names = map[string]bool{}
			emitted[lr.EventName()] = names
		}
		for name, v := range lr.Attributes().All() {
			if strings.HasPrefix(name, attrEnv+".") {
				name = attrEnv
			}
			names[name] = true
			declared := d.Attributes[name]
			assert.Equal(t, declared.Type, typeName(v.Type()), "%s of %s", name, lr.EventName())
			if len(declared.Enum) > 0 {
				assert.Contains(t, declared.Enum, v.Str(), name)
			}
		}
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(d.Events)), slices.Collect(maps.Keys(emitted)), "events")
	for name, e := range d.Events {
		assert.ElementsMatch(t, e.Attributes, slices.Collect(maps.Keys(emitted[name])), "attributes of %s", name)
	}

	resources := map[string]bool{}
	for _, rl := range logs.ResourceLogs().All() {
		for name, v := range rl.Resource().Attributes().All() {
			resources[name] = true
			assert.Equal(t, d.ResourceAttributes[name].Type, typeName(v.Type()), name)
		}
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(d.ResourceAttributes)), slices.Collect(maps.Keys(resources)), "resource attributes")
}

// typeName is what metadata.yaml calls a type.
func typeName(v pcommon.ValueType) string {
	if v == pcommon.ValueTypeStr {
		return "string"
	}
	return strings.ToLower(v.String())
}

func TestReasonsAndStagesAreDeclared(t *testing.T) {
	d := readDeclaration(t)
	stages := []string{
		string(event.StageRingFull), string(event.StageTooLarge), string(event.StageBusy), string(event.StageUnaccounted),
		string(event.StageDecode), string(event.StageRefused), string(event.StageShutdown),
	}
	assert.Equal(t, stages, d.Attributes["ringside.loss.stage"].Enum)
	assert.Equal(t, stages, d.Attributes["stage"].Enum)

	var names []string
	for _, k := range append(event.Kinds[:], 0) {
		names = append(names, eventName(k))
	}
	assert.Equal(t, names, d.Attributes["event"].Enum)
}

func TestMetricsAreThoseDeclared(t *testing.T) {
	d := readDeclaration(t)
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	reads := 0
	report, err := startTelemetry(set, &account{age: time.Hour, source: func() (tracer.Stats, error) {
		reads++
		return someStats(), nil
	}})
	require.NoError(t, err)

	var rm metricdata.ResourceMetrics
	require.NoError(t, tel.Reader.Collect(context.Background(), &rm))
	points := map[string][]point{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			points[m.Name] = pointsOf(t, m.Data)
			declared := d.Telemetry.Metrics[strings.TrimPrefix(m.Name, "otelcol_")]
			assert.Equal(t, declared.Unit, m.Unit, m.Name)
			for _, p := range points[m.Name] {
				assert.ElementsMatch(t, declared.Attributes, slices.Collect(maps.Keys(p.attributes)), m.Name)
				assert.Equal(t, set.ID.String(), p.attributes["receiver"], m.Name)
			}
		}
	}
	assert.Len(t, points, len(d.Telemetry.Metrics))
	assert.Equal(t, 1, reads, "all metrics of one collection come from one account")
	for name, want := range map[string]map[string]float64{
		"otelcol_ringside_events_produced":  {"process.exec": 100, "process.exit": 90},
		"otelcol_ringside_events_delivered": {"process.exec": 95, "process.exit": 90},
		"otelcol_ringside_events_lost":      {"process.exec ring_full": 3, "unknown decode": 2},
		"otelcol_ringside_program_runs":     {"exec": 12},
		"otelcol_ringside_program_run_time": {"exec": 0.0025},
		"otelcol_ringside_ring_used":        {"": 4096},
		"otelcol_ringside_ring_size":        {"": 8 << 20},
		"otelcol_ringside_queue_length":     {"": 7},
		"otelcol_ringside_queue_capacity":   {"": 4096},
		"otelcol_ringside_processes":        {"": 321},
		"otelcol_ringside_decode_errors":    {"": 2},
		"otelcol_ringside_sequence_gaps":    {"": 1},
	} {
		got := map[string]float64{}
		for _, p := range points[name] {
			got[strings.TrimSpace(p.attributes["event"]+p.attributes["program"]+" "+p.attributes["stage"])] = p.value
		}
		assert.Equal(t, want, got, name)
	}

	report.stop()
	rm = metricdata.ResourceMetrics{}
	require.NoError(t, tel.Reader.Collect(context.Background(), &rm))
	assert.Empty(t, rm.ScopeMetrics, "metrics after the end")
}

func TestMetricsAreLeftOutWhenTheAccountCannotBeRead(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.NewNop()
	report, err := startTelemetry(set, &account{source: func() (tracer.Stats, error) { return tracer.Stats{}, errBusy }})
	require.NoError(t, err)
	defer report.stop()
	var rm metricdata.ResourceMetrics
	require.NoError(t, tel.Reader.Collect(context.Background(), &rm))
	assert.Empty(t, rm.ScopeMetrics)
}

func someStats() tracer.Stats {
	return tracer.Stats{
		Produced:     map[event.Kind]uint64{event.Exec: 100, event.Exit: 90},
		Delivered:    map[event.Kind]uint64{event.Exec: 95, event.Exit: 90},
		Lost:         map[tracer.LostKey]uint64{{Stage: event.StageRingFull, Kind: event.Exec}: 3, {Stage: event.StageDecode}: 2},
		RingBytes:    4096,
		RingSize:     8 << 20,
		QueueLength:  7,
		QueueSize:    4096,
		Processes:    321,
		DecodeErrors: 2,
		SequenceGaps: 1,
		Programs:     []load.Program{{Name: "exec", RunTime: 2500 * time.Microsecond, Runs: 12}, {Name: "exit"}},
	}
}

// point is one point of a sum or gauge.
type point struct {
	attributes map[string]string
	value      float64
}

func pointsOf(t *testing.T, data metricdata.Aggregation) (points []point) {
	add := func(set attribute.Set, value float64) {
		p := point{attributes: map[string]string{}, value: value}
		for _, kv := range set.ToSlice() {
			p.attributes[string(kv.Key)] = kv.Value.AsString()
		}
		points = append(points, p)
	}
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, float64(p.Value))
		}
	case metricdata.Sum[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, float64(p.Value))
		}
	default:
		t.Fatalf("unexpected %T", data)
	}
	return points
}
