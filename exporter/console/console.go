// SPDX-License-Identifier: Apache-2.0

// Package console is a collector exporter that shows logs to a person: one line on standard output per record.
//
// The line is the record's body (its event name when it has none), with an optional time before it. Whatever
// a record holds, it is one line and cannot steer a terminal: runes that do not print are escaped as in a Go string.
// The lines of a batch are written at once, in order, before the batch is acknowledged, so a terminal that is
// stopped slows the pipeline and loses nothing. A failed write is a permanent error: part of the batch may
// have been shown, and a second try would show it twice.
//
// Standard output is used as it was inherited. It may be a terminal, a file, a pipe or the socket of a journal,
// which cannot be opened by a path.
package console

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"unicode/utf8"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Config is what a user sets.
type Config struct {
	// TimeFormat is the layout of the time before each line, as for time.Time.Format, in local time. Empty, the
	// default, for no time.
	TimeFormat string `mapstructure:"time_format"`
}

// NewFactory returns the factory of the exporter, of type "console", for logs.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		component.MustNewType("console"),
		func() component.Config { return &Config{} },
		exporter.WithLogs(newLogs, component.StabilityLevelBeta),
	)
}

func newLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	p := &printer{out: os.Stdout, timeFormat: cfg.(*Config).TimeFormat}
	return exporterhelper.NewLogs(ctx, set, cfg, p.print,
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0})) // a stopped terminal is waited for
}

// printer writes one batch at a time.
type printer struct {
	out        io.Writer
	timeFormat string

	mu  sync.Mutex // pipelines call in parallel
	buf []byte
}

// maxKeptBuffer is the size in bytes above which the buffer is not kept for the next batch.
const maxKeptBuffer = 1 << 20

func (p *printer) print(_ context.Context, logs plog.Logs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	buf := p.buf[:0]
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				buf = p.appendLine(buf, record)
			}
		}
	}
	if cap(buf) <= maxKeptBuffer {
		p.buf = buf
	}
	if len(buf) == 0 {
		return nil
	}
	if _, err := p.out.Write(buf); err != nil {
		return consumererror.NewPermanent(fmt.Errorf("write to standard output: %w", err))
	}
	return nil
}

// appendLine appends the line of one record, its end included.
func (p *printer) appendLine(buf []byte, record plog.LogRecord) []byte {
	if p.timeFormat != "" {
		buf = record.Timestamp().AsTime().Local().AppendFormat(buf, p.timeFormat)
		buf = append(buf, ' ')
	}
	switch body := record.Body(); body.Type() {
	case pcommon.ValueTypeEmpty:
		buf = appendPrintable(buf, record.EventName())
	case pcommon.ValueTypeStr:
		buf = appendPrintable(buf, body.Str())
	default:
		buf = appendPrintable(buf, body.AsString())
	}
	return append(buf, '\n')
}

// appendPrintable appends s with the runes that do not print escaped.
func appendPrintable(buf []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			buf = fmt.Appendf(buf, `\x%02x`, s[i])
		case strconv.IsPrint(r):
			buf = append(buf, s[i:i+size]...)
		default:
			quoted := strconv.AppendQuoteRune(nil, r)
			buf = append(buf, quoted[1:len(quoted)-1]...)
		}
		i += size
	}
	return buf
}
