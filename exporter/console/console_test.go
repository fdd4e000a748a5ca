// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

func logsOf(bodies ...string) plog.Logs {
	logs := plog.NewLogs()
	for _, body := range bodies {
		record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.Body().SetStr(body)
	}
	return logs
}

func TestEachRecordIsOneLineInOrder(t *testing.T) {
	var out bytes.Buffer
	p := &printer{out: &out}
	require.NoError(t, p.print(t.Context(), logsOf("process /bin/true", "exit /bin/true 0")))
	require.NoError(t, p.print(t.Context(), plog.NewLogs()))
	require.NoError(t, p.print(t.Context(), logsOf("process /bin/false")))
	require.Equal(t, "process /bin/true\nexit /bin/true 0\nprocess /bin/false\n", out.String())
}

func TestWhatDoesNotPrintIsEscaped(t *testing.T) {
	for _, c := range []struct{ name, body, line string }{
		{"plain", `cat "a" b\c`, `cat "a" b\c`},
		{"line ends", "a\nb\r\tc", `a\nb\r\tc`},
		{"terminal control", "\x1b]0;owned\a", `\x1b]0;owned\a`},
		{"invalid UTF-8", "a\xff\xc3", `a\xff\xc3`},
		{"right to left", "a\u202eb", `a\u202eb`},
		{"line separator", "a\u2028b", `a\u2028b`},
		{"C1 control", "a\u009bb", `a\u009bb`},
		{"other scripts", "/srv/données/日本", "/srv/données/日本"},
		{"replacement character", "a\ufffdb", "a\ufffdb"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.line, string(appendPrintable(nil, c.body)))
		})
	}
}

func FuzzALineIsOnePrintableLine(f *testing.F) {
	f.Add("a\nb\x1b[2J")
	f.Add("\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		line := string(appendPrintable(nil, s))
		require.True(t, utf8.ValidString(line))
		require.False(t, strings.ContainsAny(line, "\n\r\x1b\u0085\u2028\u2029\u009b"))
	})
}

func TestTimeStandsBeforeTheLineWhenAskedFor(t *testing.T) {
	var out bytes.Buffer
	p := &printer{out: &out, timeFormat: time.RFC3339Nano}
	at := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
	logs := logsOf("process /bin/true")
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(pcommon.NewTimestampFromTime(at))
	require.NoError(t, p.print(t.Context(), logs))

	stamp, line, found := strings.Cut(out.String(), " ")
	require.True(t, found)
	require.Equal(t, "process /bin/true\n", line)
	shown, err := time.Parse(time.RFC3339Nano, stamp)
	require.NoError(t, err)
	require.True(t, at.Equal(shown), "%s is not %s", shown, at)
}

func TestARecordWithNoTextBodyStillHasALine(t *testing.T) {
	var out bytes.Buffer
	logs := logsOf("", "")
	first := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	pcommon.NewValueEmpty().CopyTo(first.Body())
	first.SetEventName("process.exec")
	second := logs.ResourceLogs().At(1).ScopeLogs().At(0).LogRecords().At(0)
	second.Body().SetEmptyMap().PutStr("key", "a\nb")
	require.NoError(t, (&printer{out: &out}).print(t.Context(), logs))
	require.Equal(t, "process.exec\n"+`{"key":"a\nb"}`+"\n", out.String())
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestAFailedWriteIsPermanent(t *testing.T) {
	cause := errors.New("no space left")
	err := (&printer{out: brokenWriter{cause}}).print(t.Context(), logsOf("x"))
	require.ErrorIs(t, err, cause)
	require.True(t, consumererror.IsPermanent(err))
}

func TestALargeBatchDoesNotKeepItsBuffer(t *testing.T) {
	var out bytes.Buffer
	p := &printer{out: &out}
	require.NoError(t, p.print(t.Context(), logsOf(strings.Repeat("x", 2*maxKeptBuffer))))
	require.LessOrEqual(t, cap(p.buf), maxKeptBuffer)
	require.Equal(t, 2*maxKeptBuffer+1, out.Len())
}

func TestTheFactoryWritesToStandardOutput(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = write
	t.Cleanup(func() { os.Stdout = stdout })

	factory := NewFactory()
	require.Equal(t, "console", factory.Type().String())
	exp, err := factory.CreateLogs(t.Context(), exportertest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig())
	require.NoError(t, err)
	require.NoError(t, exp.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, exp.ConsumeLogs(t.Context(), logsOf("process /bin/true")))
	require.NoError(t, exp.Shutdown(context.Background()))

	got := make([]byte, 64)
	n, err := read.Read(got)
	require.NoError(t, err)
	require.Equal(t, "process /bin/true\n", string(got[:n]))
}
