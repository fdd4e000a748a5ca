// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/ringside-otel/ringside/internal/event"
)

var update = flag.Bool("update", false, "write the golden files in testdata/records")

func TestRecords(t *testing.T) {
	pod := plainExec()
	inPod(pod.Process)
	killed := plainExit()
	killed.Exit.Signal, killed.Exit.CoreDumped = int(syscall.SIGSEGV), true

	for name, e := range map[string]event.Event{
		"exec": plainExec(), "exec_in_pod": pod, "exec_strange": strangeExec(),
		"exit": plainExit(), "exit_killed": killed, "fork": plainFork(), "loss": loss(),
	} {
		t.Run(name, func(t *testing.T) {
			logs := newConverter(testHost(), "1.0.0", []string{"LANG", "PATH"}).convert([]event.Event{e})
			for lr := range records(logs) {
				assert.WithinDuration(t, time.Now(), lr.ObservedTimestamp().AsTime(), time.Minute)
				lr.SetObservedTimestamp(0)
			}
			compact, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
			require.NoError(t, err)
			var got bytes.Buffer
			require.NoError(t, json.Indent(&got, compact, "", " "))
			got.WriteByte('\n')

			path := filepath.Join("testdata", "records", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(path, got.Bytes(), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err, "go test -update writes it")
			assert.Equal(t, string(want), got.String())
		})
	}
}

func TestRecordsAreGroupedByContainer(t *testing.T) {
	in := func(pid uint32, container *event.Container) event.Event {
		e := batchOf(pid)[0]
		e.Process.Container = container
		return e
	}
	a, b := &event.Container{ID: "a", Runtime: "docker"}, &event.Container{ID: "b", PodUID: "pod"}
	sameAsA := &event.Container{ID: "a", Runtime: "docker"} // another value for the same container
	c := newConverter(testHost(), "1.0.0", nil)
	for range 2 { // the second batch must know nothing of the first
		logs := c.convert([]event.Event{in(1, a), in(2, nil), in(3, b), in(4, sameAsA), in(5, nil), in(6, a), loss()})
		require.Equal(t, 3, logs.ResourceLogs().Len())
		for i, want := range []struct {
			resource map[string]any
			pids     []int64
		}{
			{map[string]any{"container.id": "a", "container.runtime.name": "docker"}, []int64{1, 4, 6}},
			{map[string]any{}, []int64{2, 5}}, // and the loss, which has no PID
			{map[string]any{"container.id": "b", "k8s.pod.uid": "pod"}, []int64{3}},
		} {
			want.resource["host.name"], want.resource["os.type"] = "node-1", "linux"
			rl := logs.ResourceLogs().At(i)
			assert.Equal(t, want.resource, rl.Resource().Attributes().AsRaw())
			assert.Equal(t, schemaURL, rl.SchemaUrl())
			one := plog.NewLogs()
			rl.CopyTo(one.ResourceLogs().AppendEmpty())
			assert.Equal(t, want.pids, pidsOf(one))
		}
	}
}

func TestRecordsOutliveTheNextBatch(t *testing.T) {
	c := newConverter(testHost(), "1.0.0", nil)
	first := c.convert(batchOf(1, 2, 3))
	before := plog.NewLogs()
	first.CopyTo(before)
	for i := range uint32(100) {
		c.convert([]event.Event{strangeExec(), plainExit(), batchOf(i)[0]})
	}
	assert.Equal(t, everyText(before), everyText(first))
}

func TestTextOfABatchMayBeLongerThanExpected(t *testing.T) {
	e := plainExec()
	e.Process.Args = append(e.Process.Args, string(bytes.Repeat([]byte("x"), 3*textPerRecord)))
	logs := newConverter(testHost(), "1.0.0", nil).convert([]event.Event{plainExec(), e, e, e})
	for lr := range records(logs) {
		id, _ := lr.Attributes().Get(attrExecID)
		assert.Equal(t, testHost().node.ExecID(e.Process.ID), id.Str())
		assert.Contains(t, lr.Body().Str(), "process host /usr/bin/curl http://cilium.io")
	}
}

func TestSeverity(t *testing.T) {
	ended := func(status event.ExitStatus) event.Event {
		e := plainExit()
		e.Exit = &status
		return e
	}
	for _, tc := range []struct {
		name  string
		event event.Event
		want  plog.SeverityNumber
		text  string
	}{
		{"exec", plainExec(), plog.SeverityNumberInfo, "INFO"},
		{"fork", plainFork(), plog.SeverityNumberInfo, "INFO"},
		{"exit", ended(event.ExitStatus{Code: 1}), plog.SeverityNumberInfo, "INFO"},
		{"ended by another", ended(event.ExitStatus{Signal: int(syscall.SIGTERM)}), plog.SeverityNumberInfo, "INFO"},
		{"crash", ended(event.ExitStatus{Signal: int(syscall.SIGABRT)}), plog.SeverityNumberWarn, "WARN"},
		{"core dump", ended(event.ExitStatus{Signal: int(syscall.SIGQUIT), CoreDumped: true}), plog.SeverityNumberWarn, "WARN"},
		{"loss", loss(), plog.SeverityNumberError, "ERROR"},
	} {
		lr := plog.NewLogRecord()
		setSeverity(lr, &tc.event)
		assert.Equal(t, tc.want, lr.SeverityNumber(), tc.name)
		assert.Equal(t, tc.text, lr.SeverityText(), tc.name)
	}
}

// attributesOf returns the attributes of the record of one event.
func attributesOf(e event.Event) map[string]any {
	for lr := range records(newConverter(testHost(), "1.0.0", nil).convert([]event.Event{e})) {
		return lr.Attributes().AsRaw()
	}
	return nil
}

func TestWhatIsLackingIsSaid(t *testing.T) {
	for _, tc := range []struct {
		name                  string
		event                 event.Event
		change                func(e *event.Event)
		truncated, unreadable []any
	}{
		{"nothing", plainExec(), func(*event.Event) {}, nil, nil},
		{"cut", plainExec(), func(e *event.Event) {
			e.Process.Flags = event.PathCut | event.CwdCut | event.ArgsCut | event.EnvCut
		}, []any{attrPath, attrCwd, attrArgs, attrEnv}, nil},
		{"unreadable", plainExec(), func(e *event.Event) {
			e.Process.Flags = event.ArgsUnreadable | event.EnvUnreadable
		}, nil, []any{attrArgs, attrEnv}},
		{"an empty path", plainExec(), func(e *event.Event) { e.Process.File.Path = "" }, nil, []any{attrPath}},
		{"an empty directory", plainExit(), func(e *event.Event) { e.Process.Cwd = "" }, nil, []any{attrCwd}},
		{"a path of which a part is missing", plainExec(), func(e *event.Event) { e.Process.Flags = event.PathUnreadable },
			nil, []any{attrPath, attrCwd}},
		{"the path that is missing", plainExec(), func(e *event.Event) {
			e.Process.Flags, e.Process.Cwd = event.PathUnreadable, ""
		}, nil, []any{attrCwd}},
		{"the name of a script", plainExec(), func(e *event.Event) { e.Process.Flags = event.IsScript }, nil, []any{attrScript}},
		{"namespaces", plainExec(), func(e *event.Event) { e.Process.Namespaces = event.Namespaces{} }, nil, []any{attrNamespace}},
		{"a parent with cut arguments", plainExec(), func(e *event.Event) { e.Parent.Flags = event.ArgsCut }, []any{attrParentLine}, nil},
		{"a parent with unreadable arguments", plainExec(), func(e *event.Event) { e.Parent.Flags = event.ArgsUnreadable },
			nil, []any{attrParentLine}},
		{"a parent without a file", plainExec(), func(e *event.Event) { e.Parent.File.Path = "" },
			nil, []any{"ringside.process.parent.executable.path"}},
		{"long arguments of a parent", plainExec(), func(e *event.Event) {
			e.Parent.Args = []string{"sh", strings.Repeat("x", maxParentLine-len("sh")), "x"}
		}, []any{attrParentLine}, nil},
		{"arguments of a parent that just fit", plainExec(), func(e *event.Event) {
			e.Parent.Args = []string{"sh", strings.Repeat("x", maxParentLine-len("sh "))}
		}, nil, nil},
		{"all but the identity", plainExit(), func(e *event.Event) {
			e.Process = &event.Process{ID: e.Process.ID, Parent: e.Process.Parent, FromFork: true, Unseen: true}
		}, nil, []any{attrPath, attrCwd, attrArgs, attrUser, attrRealUser}},
		{"an exit does not tell of the environment", plainExit(), func(e *event.Event) {
			e.Process.Flags = event.EnvCut | event.EnvUnreadable | event.IsScript
		}, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.change(&tc.event)
			got := attributesOf(tc.event)
			for name, want := range map[string][]any{attrTruncated: tc.truncated, attrUnreadable: tc.unreadable} {
				if want == nil {
					assert.NotContains(t, got, name)
				} else {
					assert.Equal(t, want, got[name])
				}
			}
		})
	}
}

func TestNothingIsMadeUpOfAProcessWhoseExecWasLost(t *testing.T) {
	e := plainExit()
	e.Process = &event.Process{ID: e.Process.ID, Parent: e.Process.Parent, FromFork: true, Unseen: true}
	got := attributesOf(e)
	for _, name := range []string{attrUser, attrRealUser, "process.user.name", "process.args_count", attrPath, "process.executable.name"} {
		assert.NotContains(t, got, name)
	}
	assert.Contains(t, got, attrExecID)
}

func TestWhatIsLeftOut(t *testing.T) {
	plain := attributesOf(plainExec())
	for _, name := range []string{
		"process.saved_user.id", "ringside.process.real_group.id", "ringside.process.capabilities.effective",
		"ringside.process.capabilities.bounding", "ringside.process.namespace.mnt", "ringside.process.namespace.pid_for_children",
		"ringside.process.executable.mode", "ringside.process.executable.links", "ringside.process.executable.given_path",
		"ringside.process.cgroup.id", "ringside.process.creator_exec_id", "ringside.process.gained",
		"ringside.process.executable.sha256_missing", "ringside.process.args_size",
	} {
		assert.NotContains(t, plain, name)
	}

	orphan := plainExec()
	orphan.Parent, orphan.Process.Parent, orphan.Process.Creator = nil, event.ID{}, event.ID{}
	orphan.Process.VPID, orphan.Process.SessionPID, orphan.Process.UserName = 0, 0, ""
	orphan.Process.File.Ino = 0
	orphan.Process.Cred.LoginUID, orphan.Process.Cred.AuditSession = unset, unset
	bare := attributesOf(orphan)
	for _, name := range []string{
		"process.parent_pid", "ringside.process.parent_exec_id", "ringside.process.parent.executable.path", attrParentLine, "process.vpid",
		"process.session_leader.pid", "process.user.name", "ringside.process.executable.inode", "ringside.process.executable.device",
		"ringside.process.login_user.id", "ringside.process.audit_session.id",
	} {
		assert.Contains(t, plain, name)
		assert.NotContains(t, bare, name)
	}

	unhashed := plainExec()
	unhashed.Digest = event.Digest{Missing: "too_large"}
	for _, name := range []string{"ringside.process.executable.size", "ringside.process.executable.changed"} {
		assert.NotContains(t, plain, name)
		assert.Contains(t, attributesOf(unhashed), name)
		unknown := unhashed
		unknown.Process = orphan.Process
		assert.NotContains(t, attributesOf(unknown), name)
	}

	none := plainExec()
	none.Process.Args, none.Process.ArgsCount = nil, 0
	assert.Equal(t, []any{}, attributesOf(none)[attrArgs], "no arguments are a list, and an empty one")
	assert.EqualValues(t, 0, attributesOf(none)["process.args_count"])
}

func TestTimes(t *testing.T) {
	e := plainExec()
	logs := newConverter(testHost(), "1.0.0", nil).convert([]event.Event{e})
	for lr := range records(logs) {
		assert.Equal(t, pcommon.NewTimestampFromTime(e.Time), lr.Timestamp())
	}
	e.Process.StartTime = time.Date(2026, 3, 2, 1, 2, 3, 4, time.FixedZone("", 3600))
	assert.Equal(t, "2026-03-02T00:02:03.000000004Z", attributesOf(e)["process.creation.time"])
}
