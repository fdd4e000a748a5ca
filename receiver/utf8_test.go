// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/ringside-otel/ringside/internal/event"
)

// hostile is text that no part of a record may pass on as it is.
const hostile = "a\\\xff\xc3(\x00\xed\xa0\x80\n"

// poison sets every string that can be reached from v, whatever fields events get in time.
func poison(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), text)
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), text)
		}
	case reflect.String:
		v.SetString(text)
	}
}

// checkText checks all text of a value.
func checkText(t *testing.T, v pcommon.Value, what string) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		assert.True(t, utf8.ValidString(v.Str()), "%s: %q", what, v.Str())
	case pcommon.ValueTypeSlice:
		for _, element := range v.Slice().All() {
			checkText(t, element, what)
		}
	case pcommon.ValueTypeMap:
		checkMap(t, v.Map())
	}
}

func checkMap(t *testing.T, m pcommon.Map) {
	for name, v := range m.All() {
		assert.True(t, utf8.ValidString(name), "%q", name)
		checkText(t, v, name)
	}
}

// checkLogs checks all text of logs, and that OTLP takes them.
func checkLogs(t *testing.T, logs plog.Logs) {
	for _, rl := range logs.ResourceLogs().All() {
		checkMap(t, rl.Resource().Attributes())
	}
	for lr := range records(logs) {
		checkText(t, lr.Body(), "body")
		checkMap(t, lr.Attributes())
		assert.True(t, utf8.ValidString(lr.EventName()))
	}
	for _, form := range []struct {
		name      string
		marshal   func(plogotlp.ExportRequest) ([]byte, error)
		unmarshal func(plogotlp.ExportRequest, []byte) error
	}{
		{"protobuf", plogotlp.ExportRequest.MarshalProto, plogotlp.ExportRequest.UnmarshalProto},
		{"JSON", plogotlp.ExportRequest.MarshalJSON, plogotlp.ExportRequest.UnmarshalJSON},
	} {
		data, err := form.marshal(plogotlp.NewExportRequestFromLogs(logs))
		require.NoError(t, err, form.name)
		back := plogotlp.NewExportRequest()
		require.NoError(t, form.unmarshal(back, data), form.name)
		assert.Equal(t, everyText(logs), everyText(back.Logs()), form.name)
	}
}

// everyText is the content of logs in a form that can be compared.
func everyText(logs plog.Logs) (content []any) {
	for _, rl := range logs.ResourceLogs().All() {
		content = append(content, rl.Resource().Attributes().AsRaw())
	}
	for lr := range records(logs) {
		content = append(content, lr.Body().AsRaw(), lr.Attributes().AsRaw())
	}
	return content
}

func TestRecordsAreValidUTF8WhateverEventsHold(t *testing.T) {
	batch := everything()
	for i := range batch {
		poison(reflect.ValueOf(&batch[i]), hostile)
	}
	c := newConverter(testHost(), "1.0.0", []string{hostile})
	logs := c.convert(batch)
	require.Equal(t, len(batch), logs.LogRecordCount())
	checkLogs(t, logs)

	for lr := range records(logs) {
		list, ok := lr.Attributes().Get(attrEscaped)
		if lr.EventName() == eventLoss {
			continue // has no text but stage and policy, tested below
		}
		require.True(t, ok, lr.EventName())
		escaped := map[string]bool{}
		for _, name := range list.Slice().All() {
			assert.False(t, escaped[name.Str()], "%s is named twice", name.Str())
			escaped[name.Str()] = true
		}
		for name, v := range lr.Attributes().All() {
			switch v.Type() {
			case pcommon.ValueTypeStr:
				if escaped[name] {
					assert.Equal(t, hostile, unescape(t, v.Str()), name)
				}
			case pcommon.ValueTypeSlice:
				if escaped[name] {
					for _, element := range v.Slice().All() {
						assert.Equal(t, hostile, unescape(t, element.Str()), name)
					}
				}
			}
		}
	}
}

func TestEscapedAttributesAreNamed(t *testing.T) {
	e := plainExec()
	e.Process.Args = []string{`back\slash`, "\xff"}
	e.Process.Cwd = `C:\`
	e.Parent.Args = []string{"\xfe"}
	e.Process.Env = []string{"LANG=\xfd"}
	policy := loss()
	policy.Lost.Policy = "\xff"
	logs := newConverter(testHost(), "1.0.0", []string{"LANG"}).convert([]event.Event{e, policy})
	var raw []map[string]any
	for lr := range records(logs) {
		raw = append(raw, lr.Attributes().AsRaw())
	}
	assert.Equal(t, []any{`back\\slash`, `\xff`}, raw[0][attrArgs], "all elements are escaped alike")
	assert.Equal(t, `C:\`, raw[0][attrCwd], "valid text is left alone")
	assert.Equal(t, `\xfd`, raw[0][attrEnv+".LANG"])
	assert.Equal(t, `\xfe`, raw[0][attrParentLine], "a line is escaped in its own way")
	assert.Equal(t, []any{attrArgs, attrEnv + ".LANG"}, raw[0][attrEscaped])
	assert.Equal(t, []any{"ringside.loss.policy"}, raw[1][attrEscaped])
}

func FuzzRecordsAreValidUTF8(f *testing.F) {
	f.Add(hostile)
	f.Add("=")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		batch := everything()
		for i := range batch {
			poison(reflect.ValueOf(&batch[i]), text)
		}
		checkLogs(t, newConverter(testHost(), "1.0.0", []string{text}).convert(batch))
	})
}
