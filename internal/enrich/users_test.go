// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

const passwd = `root:x:0:0:root:/root:/bin/bash
alice:x:1000:1000:Alice,,,:/home/alice:/bin/sh
`

func writePasswd(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func newUsers(t *testing.T, cfg UsersConfig) *Users {
	t.Helper()
	u := NewUsers(cfg)
	t.Cleanup(u.Close)
	return u
}

func TestParsePasswdSkipsMalformedLines(t *testing.T) {
	got := parsePasswd([]byte(strings.Join([]string{
		"root:x:0:0:root:/root:/bin/bash",
		"",
		"# comment:x:1:1:::",
		"+nis::::::",
		"-nis:x:2:2:::",
		"few:x:3:3::",
		"many:x:4:4::::",
		":x:5:5:::",
		"nouid:x::6:::",
		"negative:x:-7:7:::",
		"signed:x:+7:7:::",
		"hex:x:0x8:8:::",
		"wide:x:4294967296:9:::",
		"nobody32:x:4294967295:9:::",
		"nul\x00:x:10:10:::",
		strings.Repeat("n", maxUserName+1) + ":x:11:11:::",
		"toor:x:0:0:the second name of a uid:/root:/bin/sh",
		"max:x:4294967294:12:::",
		"bytes\xff:x:13:13:::",
		"last:x:14:14:no newline at the end::",
	}, "\n")))
	want := map[uint32]string{0: "root", 4294967294: "max", 13: "bytes\xff", 14: "last"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestUsersAreKnownAtStart(t *testing.T) {
	u := newUsers(t, UsersConfig{Path: writePasswd(t, passwd)})
	if err := u.Err(); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[uint32]string{0: "root", 1000: "alice", 1001: ""} {
		if got := u.Name(uid); got != want {
			t.Errorf("Name(%d) = %q, want %q", uid, got, want)
		}
	}
}

func TestUsersFollowChangesOfTheFile(t *testing.T) {
	path := writePasswd(t, passwd)
	u := newUsers(t, UsersConfig{Path: path, Interval: time.Millisecond})
	awaitName := func(uid uint32, want string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); u.Name(uid) != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("Name(%d) = %q, want %q (%v)", uid, u.Name(uid), want, u.Err())
			}
		}
	}
	t.Log("replaced, as useradd does")
	if err := os.WriteFile(path+"+", []byte(passwd+"bob:x:1001:1001:::\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"+", path); err != nil {
		t.Fatal(err)
	}
	awaitName(1001, "bob")
	t.Log("written in place")
	if err := os.WriteFile(path, []byte("carol:x:1001:1001:::\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	awaitName(1001, "carol")
	awaitName(1000, "")
}

func TestUsersReadTheFileOnlyWhenItChanged(t *testing.T) {
	u := newUsers(t, UsersConfig{Path: writePasswd(t, passwd), Interval: time.Hour})
	before := u.names.Load()
	u.refresh()
	if u.names.Load() != before {
		t.Error("an unchanged file was read again")
	}
}

func TestUsersStayKnownWhileTheFileIsUnreadable(t *testing.T) {
	path := writePasswd(t, passwd)
	u := newUsers(t, UsersConfig{Path: path, Interval: time.Hour})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	u.refresh()
	if !errors.Is(u.Err(), fs.ErrNotExist) {
		t.Errorf("Err() = %v, want one that tells that the file does not exist", u.Err())
	}
	if got := u.Name(1000); got != "alice" {
		t.Errorf("Name(1000) = %q, want alice", got)
	}
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
	u.refresh() // must not wait for a writer
	if err := u.Err(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Err() = %v for a fifo", err)
	}
}

func TestUsersRecoverWhenTheFileAppears(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	u := newUsers(t, UsersConfig{Path: path, Interval: time.Hour})
	if u.Err() == nil || u.Name(0) != "" {
		t.Fatalf("no file, but Err() = %v, Name(0) = %q", u.Err(), u.Name(0))
	}
	if err := os.WriteFile(path, []byte(passwd), 0o644); err != nil {
		t.Fatal(err)
	}
	u.refresh()
	if u.Err() != nil || u.Name(0) != "root" {
		t.Errorf("Err() = %v, Name(0) = %q", u.Err(), u.Name(0))
	}
}

func TestUsersResolveLinksWithinTheRoot(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc/static", "usr"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/static/passwd"), []byte("inside:x:0:0:::\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/etc/static/passwd", "static/passwd", "../../../../../etc/static/passwd"} {
		link := filepath.Join(root, "etc/passwd")
		if err := errors.Join(os.RemoveAll(link), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
		u := newUsers(t, UsersConfig{Root: root})
		if got := u.Name(0); got != "inside" {
			t.Errorf("link to %s: Name(0) = %q (%v), want inside", target, got, u.Err())
		}
	}
}

func TestUsersOfTheHostByTheRootOfProcessOne(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("following /proc/1/root needs root")
	}
	if _, err := os.Stat("/proc/1/root/etc/passwd"); err != nil {
		t.Skip("this machine has no passwd file")
	}
	u := newUsers(t, UsersConfig{Root: "/proc/1/root"})
	if got := u.Name(0); got != "root" {
		t.Errorf("Name(0) = %q (%v), want root", got, u.Err())
	}
}

func TestUsersCloseLeavesNoGoroutineAndKeepsNames(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	u := NewUsers(UsersConfig{Path: writePasswd(t, passwd), Interval: time.Millisecond})
	u.Close()
	u.Close()
	if got := u.Name(1000); got != "alice" {
		t.Errorf("Name(1000) = %q, want alice", got)
	}
}

func TestUsersNameDoesNotAllocate(t *testing.T) {
	u := newUsers(t, UsersConfig{Path: writePasswd(t, passwd), Interval: time.Hour})
	if n := testing.AllocsPerRun(100, func() { u.Name(1000) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParsePasswd(f *testing.F) {
	f.Add([]byte(passwd))
	f.Add([]byte("a:x:1:1:::\n+::::::\n#\n\n:::::::\n"))
	f.Add([]byte("a:x:4294967295:1:::"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for uid, name := range parsePasswd(data) {
			if name == "" || len(name) > maxUserName || strings.ContainsAny(name, ":\n\x00") {
				t.Fatalf("name %q of %d", name, uid)
			}
			if uid == 1<<32-1 {
				t.Fatal("the uid that stands for none has a name")
			}
			if !bytes.Contains(data, []byte(name+":")) {
				t.Fatalf("name %q is not in the file", name)
			}
		}
	})
}

func BenchmarkUsersName(b *testing.B) {
	u := NewUsers(UsersConfig{})
	defer u.Close()
	b.ReportAllocs()
	for b.Loop() {
		u.Name(0)
	}
}
