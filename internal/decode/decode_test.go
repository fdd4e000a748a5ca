// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/event"
)

var update = flag.Bool("update", false, "write what the recorded records decode to")

// recordings are what a kernel put on the ring, record by record (internal/load, TestRingHasRecordsOfEachKind).
func recordings(t testing.TB) map[string][][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.ring")
	if err != nil || len(names) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	all := map[string][][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for len(b) > 0 {
			size, err := Size(b)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[name] = append(all[name], b[:size:size])
			b = b[size:]
		}
	}
	return all
}

func TestRecordingsDecodeToWhatWasAccepted(t *testing.T) {
	for name, records := range recordings(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			d := New()
			d.pageSize = 4096
			var got bytes.Buffer
			out := json.NewEncoder(&got)
			out.SetIndent("", " ")
			for i, b := range records {
				var r Record
				if err := d.Decode(b, &r); err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
				if err := out.Encode(r); err != nil {
					t.Fatal(err)
				}
			}
			golden := strings.TrimSuffix(name, ".ring") + ".json"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
			for i := range min(len(gotLines), len(wantLines)) {
				if gotLines[i] != wantLines[i] {
					t.Fatalf("%s:%d: %s, got %s", golden, i+1, wantLines[i], gotLines[i])
				}
			}
			if len(gotLines) != len(wantLines) {
				t.Errorf("%d lines, %s has %d", len(gotLines), golden, len(wantLines))
			}
		})
	}
}

// build makes a record: the struct, with its size and kind, and what follows it.
func build[T any](kind Kind, v T, tail ...string) []byte {
	b := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))...)
	b = append(b, strings.Join(tail, "")...)
	h := (*bpf.ProcessHeader)(unsafe.Pointer(&b[0]))
	h.Kind, h.Size = uint8(kind), uint32(len(b))
	return b
}

// exec makes an exec record with these strings.
func exec(v bpf.ProcessExecRecord, path, cwd, given, interp, args, env string) []byte {
	v.PathLen, v.CwdLen, v.GivenLen, v.InterpLen = uint16(len(path)), uint16(len(cwd)), uint16(len(given)), uint16(len(interp))
	v.ArgsLen, v.EnvLen = uint32(len(args)), uint32(len(env))
	return build(bpf.ProcessKindKIND_EXEC, v, path, cwd, given, interp, args, env)
}

func decoded(t *testing.T, b []byte) *Record {
	t.Helper()
	var r Record
	if err := New().Decode(b, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// Each number of the struct is another, so that none can be taken for its neighbour.
func TestEveryFieldOfAnExecArrivesWhereItBelongs(t *testing.T) {
	v := bpf.ProcessExecRecord{
		Header: bpf.ProcessHeader{Seq: 1, Time: 2, Cpu: 3},
		Id:     bpf.ProcessProcessId{Start: 4, Exec: 5, Pid: 6}, Parent: bpf.ProcessProcessId{Start: 7, Exec: 8, Pid: 9},
		Cgroup: 10, Tid: 11, Vpid: 12, Session: 13, Tty: 136<<20 | 14, Argc: 2, ArgsBytes: 16,
		Flags: bpf.ProcessExecFlagFLAG_SCRIPT | bpf.ProcessExecFlagFLAG_NO_NEW_PRIVS,
	}
	c := &v.Cred
	c.Uid, c.Euid, c.Suid, c.Fsuid, c.Gid, c.Egid, c.Sgid, c.Fsgid = 20, 21, 22, 23, 24, 25, 26, 27
	c.LoginUid, c.AuditSession, c.SecureBits, c.Seccomp = 28, 29, 30, 2
	c.Effective, c.Permitted, c.Inheritable, c.Ambient, c.Bounding = 1<<40|31, 1<<40|32, 1<<40|33, 1<<40|34, 1<<40|35
	n := &v.Ns
	n.Uts, n.Ipc, n.Mnt, n.Pid, n.PidForChildren, n.Net, n.Time, n.TimeForChildren, n.Cgroup, n.User = 40, 41, 42, 43, 44, 45, 46, 47, 48, 49
	f := &v.File
	f.Ino, f.Size, f.CtimeSec, f.CtimeNsec, f.Dev, f.Links, f.Uid, f.Gid, f.Mode = 50, 51, 52, 53, 54, 55, 56, 57, 58

	r := decoded(t, exec(v, "sh\x00bin\x00", "x\x00home\x00", "./s\x00", "/bin/sh\x00", "/bin/sh\x00./s\x00", "A=1\x00B=\x00"))
	if want := (Header{Kind: bpf.ProcessKindKIND_EXEC, Seq: 1, CPU: 3, Boot: 2}); r.Header != want {
		t.Errorf("header %+v, want %+v", r.Header, want)
	}
	want := &event.Process{
		ID: event.ID{Start: 4, Exec: 5, PID: 6}, Parent: event.ID{Start: 7, Exec: 8, PID: 9}, ExecTime: 2,
		CgroupID: 10, TID: 11, VPID: 12, SessionPID: 13, TTY: "pts/14", ArgsCount: 2, ArgsBytes: 16,
		Flags: event.IsScript | event.NoNewPrivs,
		Cred: event.Cred{
			UID: 20, EUID: 21, SUID: 22, FSUID: 23, GID: 24, EGID: 25, SGID: 26, FSGID: 27, LoginUID: 28, AuditSession: 29, SecureBits: 30, Seccomp: 2,
			Effective: 1<<40 | 31, Permitted: 1<<40 | 32, Inheritable: 1<<40 | 33, Ambient: 1<<40 | 34, Bounding: 1<<40 | 35,
		},
		Namespaces: event.Namespaces{UTS: 40, IPC: 41, Mnt: 42, PID: 43, PIDForChildren: 44, Net: 45, Time: 46, TimeForChildren: 47, Cgroup: 48, User: 49},
		File:       event.File{Path: "/bin/sh", Ino: 50, Size: 51, CTimeSec: 52, CTimeNsec: 53, Dev: 54, Links: 55, UID: 56, GID: 57, Mode: 58},
		Cwd:        "/home/x", Given: "./s", Interp: "/bin/sh", Script: "/home/x/s", Args: []string{"/bin/sh", "./s"}, Env: []string{"A=1", "B="},
	}
	if !reflect.DeepEqual(r.Process, want) {
		t.Errorf("process %+v, want %+v", r.Process, want)
	}
}

func TestWhatAProcessIsCalled(t *testing.T) {
	for _, tt := range []struct {
		name       string
		flags      event.Flags
		path, cwd  string
		given      string
		wantPath   string
		wantCwd    string
		wantScript string
	}{
		{name: "plain", path: "true\x00bin\x00", cwd: "tmp\x00", given: "/bin/true\x00", wantPath: "/bin/true", wantCwd: "/tmp"},
		{name: "in the root directory", path: "init\x00", given: "/init\x00", wantPath: "/init", wantCwd: "/"},
		{name: "memory", flags: event.Memfd | event.Unlinked, path: "memfd:x\x00", given: "/dev/fd/3\x00", wantPath: "memfd:x", wantCwd: "/"},
		{name: "memory with an odd name", flags: event.Memfd, path: "memfd:a/b\n\xff\x00", wantPath: "memfd:a/b\n\xff", wantCwd: "/"},
		{name: "nothing could be read", flags: event.PathUnreadable},
		{name: "only the end of the path could be read", flags: event.PathUnreadable, path: "true\x00", wantPath: "/true"},
		{name: "cut", flags: event.PathCut | event.CwdCut, path: "true\x00deep\x00", cwd: "deep\x00", wantPath: "/deep/true", wantCwd: "/deep"},
		{name: "script", flags: event.IsScript, path: "sh\x00", cwd: "tmp\x00", given: "a/b\x00", wantPath: "/sh", wantCwd: "/tmp", wantScript: "/tmp/a/b"},
		{name: "script, name unreadable", flags: event.IsScript | event.PathUnreadable, path: "sh\x00", cwd: "tmp\x00", wantPath: "/sh", wantCwd: "/tmp"},
		{name: "script, directory unreadable", flags: event.IsScript | event.PathUnreadable, path: "sh\x00", given: "./s\x00", wantPath: "/sh", wantScript: "./s"},
		{name: "script in the root directory", flags: event.IsScript, path: "sh\x00", given: "./s\x00", wantPath: "/sh", wantCwd: "/", wantScript: "/s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := decoded(t, exec(bpf.ProcessExecRecord{Flags: bpf.ProcessExecFlag(tt.flags)}, tt.path, tt.cwd, tt.given, "", "", "")).Process
			if p.File.Path != tt.wantPath || p.Cwd != tt.wantCwd || p.Script != tt.wantScript || p.Given != strings.TrimSuffix(tt.given, "\x00") {
				t.Errorf("path %q, cwd %q, script %q, given %q", p.File.Path, p.Cwd, p.Script, p.Given)
			}
			if p.Flags != tt.flags {
				t.Errorf("flags %b, want %b", p.Flags, tt.flags)
			}
		})
	}
}

func TestTaskOfTheSnapshotHasNoExecTime(t *testing.T) {
	v := bpf.ProcessExecRecord{Header: bpf.ProcessHeader{Time: 5}}
	if r := decoded(t, build(bpf.ProcessKindKIND_TASK, v)); r.Process.ExecTime != 0 || r.KernelThread {
		t.Errorf("process %+v, kernel thread %v", r.Process, r.KernelThread)
	}
	v.Flags, v.GivenLen = bpf.ProcessExecFlagFLAG_KTHREAD|bpf.ProcessExecFlagFLAG_NO_NEW_PRIVS, 8
	r := decoded(t, build(bpf.ProcessKindKIND_TASK, v, "kworker\x00"))
	if !r.KernelThread || r.Process.ExecTime != 0 || r.Process.Given != "kworker" || r.Process.Flags != event.NoNewPrivs || r.Process.Cwd != "" {
		t.Errorf("kernel thread %v: %+v", r.KernelThread, r.Process)
	}
}

func TestForkAndCgroup(t *testing.T) {
	a, b, c := bpf.ProcessProcessId{Start: 1, Exec: 2, Pid: 3}, bpf.ProcessProcessId{Start: 4, Exec: 5, Pid: 6}, bpf.ProcessProcessId{Start: 7, Exec: 8, Pid: 9}
	r := decoded(t, build(bpf.ProcessKindKIND_FORK, bpf.ProcessForkRecord{Id: a, Parent: b, Creator: c, Cgroup: 10, Vpid: 11}))
	if want := (event.Birth{ID: event.ID{Start: 1, Exec: 2, PID: 3}, Parent: event.ID{Start: 4, Exec: 5, PID: 6}, Creator: event.ID{Start: 7, Exec: 8, PID: 9},
		CgroupID: 10, VPID: 11}); r.Fork != want {
		t.Errorf("fork %+v, want %+v", r.Fork, want)
	}
	for leafFirst, want := range map[string]string{"": "/", "a\x00": "/a", "c\x00b\x00a\x00": "/a/b/c"} {
		v := bpf.ProcessCgroupRecord{Id: 12, PathLen: uint32(len(leafFirst))}
		if r := decoded(t, build(bpf.ProcessKindKIND_CGROUP, v, leafFirst)); r.Cgroup != (Cgroup{ID: 12, Path: want}) {
			t.Errorf("cgroup %+v, want %q", r.Cgroup, want)
		}
	}
}

func TestExitStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		status uint32
		want   event.ExitStatus
	}{
		"success":              {0, event.ExitStatus{}},
		"code":                 {42 << 8, event.ExitStatus{Code: 42}},
		"largest code":         {255 << 8, event.ExitStatus{Code: 255}},
		"signal":               {9, event.ExitStatus{Signal: 9}},
		"signal and core dump": {11 | 0x80, event.ExitStatus{Signal: 11, CoreDumped: true}},
		"real-time signal":     {64, event.ExitStatus{Signal: 64}},
	} {
		t.Run(name, func(t *testing.T) {
			v := bpf.ProcessExitRecord{
				Header: bpf.ProcessHeader{Time: 5e9}, Id: bpf.ProcessProcessId{Start: 2e9, Exec: 1, Pid: 7}, Parent: bpf.ProcessProcessId{Pid: 8},
				Utime: 1, Stime: 3, Runtime: 400, MaxRss: 3, ReadBytes: 4, WriteBytes: 5, Status: tt.status,
			}
			d := New()
			d.pageSize = 16384
			var r Record
			if err := d.Decode(build(bpf.ProcessKindKIND_EXIT, v), &r); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Duration, want.User, want.System, want.MaxRSS, want.ReadBytes, want.WriteBytes = 3*time.Second, 100, 300, 3*16384, 4, 5
			if r.Exit.Status != want || r.Exit.ID.PID != 7 || r.Exit.Parent.PID != 8 {
				t.Errorf("exit %+v, want status %+v", r.Exit, want)
			}
		})
	}
}

func TestMalformedRecordsAreErrors(t *testing.T) {
	whole := exec(bpf.ProcessExecRecord{}, "a\x00", "b\x00", "c\x00", "d\x00", "e\x00", "f\x00")
	change := func(b []byte, f func(*bpf.ProcessExecRecord)) []byte {
		b = slices.Clone(b)
		f((*bpf.ProcessExecRecord)(unsafe.Pointer(&b[0])))
		return b
	}
	cgroup := build(bpf.ProcessKindKIND_CGROUP, bpf.ProcessCgroupRecord{PathLen: 3}, "a\x00")
	for name, b := range map[string][]byte{
		"empty":                     {},
		"less than a header":        whole[:20],
		"a size of nothing":         change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Size = 0 }),
		"a size less than a header": change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Size = 23 }),
		"a size beyond the bytes":   change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Size++ }),
		"the largest size":          change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Size = 1<<32 - 1 }),
		"a size that ends early":    change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Size-- }),
		"a size of a header":        change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Size = 24 }),
		"a path that is too long":   change(whole, func(r *bpf.ProcessExecRecord) { r.PathLen = 13 }),
		"the largest path":          change(whole, func(r *bpf.ProcessExecRecord) { r.PathLen = 1<<16 - 1 }),
		"a directory too long":      change(whole, func(r *bpf.ProcessExecRecord) { r.CwdLen = 100 }),
		"a name too long":           change(whole, func(r *bpf.ProcessExecRecord) { r.GivenLen = 100 }),
		"an interpreter too long":   change(whole, func(r *bpf.ProcessExecRecord) { r.InterpLen = 100 }),
		"arguments too long":        change(whole, func(r *bpf.ProcessExecRecord) { r.ArgsLen = 1<<32 - 1 }),
		"environment too long":      change(whole, func(r *bpf.ProcessExecRecord) { r.EnvLen = 3 }),
		"no kind":                   change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Kind = 0 }),
		"an unknown kind":           change(whole, func(r *bpf.ProcessExecRecord) { r.Header.Kind = 200 }),
		"a short exit":              build(bpf.ProcessKindKIND_EXIT, bpf.ProcessHeader{}),
		"a short fork":              build(bpf.ProcessKindKIND_FORK, bpf.ProcessHeader{}),
		"a short cgroup":            build(bpf.ProcessKindKIND_CGROUP, bpf.ProcessHeader{}),
		"a cgroup's path too long":  cgroup,
	} {
		t.Run(name, func(t *testing.T) {
			var r Record
			err := New().Decode(b, &r)
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v, record %+v", err, r)
			}
			if r.Process != nil {
				t.Errorf("an error came with %+v", r.Process)
			}
		})
	}
}

func TestTruncatedRecordingsAreErrors(t *testing.T) {
	for name, records := range recordings(t) {
		for i, b := range records {
			for n := range b {
				var r Record
				if err := New().Decode(b[:n:n], &r); !errors.Is(err, ErrMalformed) {
					t.Fatalf("%s: record %d, cut to %d of %d bytes: error %v", name, i, n, len(b), err)
				}
			}
		}
	}
}

func TestBytesBehindARecordAreIgnored(t *testing.T) {
	b := exec(bpf.ProcessExecRecord{}, "a\x00", "", "", "", "", "x\x00")
	with, without := decoded(t, append(slices.Clone(b), "\x00garbage"...)), decoded(t, b)
	if !reflect.DeepEqual(with, without) {
		t.Errorf("%+v, want %+v", with.Process, without.Process)
	}
}

func TestNothingThatIsReturnedSharesTheInput(t *testing.T) {
	for name, records := range recordings(t) {
		d, clean := New(), New()
		for i, b := range records {
			in := slices.Clone(b)
			var r, want Record
			if err := d.Decode(in, &r); err != nil {
				t.Fatal(err)
			}
			for j := range in {
				in[j] = 0xaa
			}
			if err := clean.Decode(b, &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(r, want) {
				t.Fatalf("%s: record %d changed with its input", name, i)
			}
		}
		if !reflect.DeepEqual(d.paths, clean.paths) {
			t.Errorf("%s: kept paths changed with the input", name)
		}
	}
}

func TestPathsThatAreKeptAreBounded(t *testing.T) {
	d := New()
	for i := range 3 * maxPaths {
		name := strings.Repeat("x", i%200) + string(rune('a'+i%26)) + strings.Repeat("y", i/200) + "\x00"
		if got, want := d.path([]byte(name)), "/"+name[:len(name)-1]; got != want {
			t.Fatalf("path %q, want %q", got, want)
		}
		if len(d.paths) > maxPaths {
			t.Fatalf("%d paths are kept", len(d.paths))
		}
	}
	long := bytes.Repeat([]byte("d\x00"), maxPathKept)
	before := len(d.paths)
	if got := d.path(long); len(got) != len(long) || len(d.paths) != before {
		t.Errorf("a path of %d bytes came back with %d, and %d more are kept", len(long), len(got), len(d.paths)-before)
	}
}
