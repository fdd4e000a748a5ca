// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

func pidText(pid uint32) string { return strconv.FormatUint(uint64(pid), 10) }

func TestDigestOfARunningProgram(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newProgram(t)
	pid, _ := start(t, exec.Command(path), "wait")
	p := &event.Process{ID: event.ID{PID: pid}, File: fileOf(t, path)}
	wantSHA256(t, await(t, d.Lookup(p)), sha256Of(t, path))
}

func TestDigestOfADeletedProgramThatRuns(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newProgram(t)
	want := sha256Of(t, path)
	pid, _ := start(t, exec.Command(path), "wait")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// Removing a name changes ctime: this is what is told of a program that was deleted before it was executed.
	p := &event.Process{ID: event.ID{PID: pid}, File: fileOf(t, "/proc/"+pidText(pid)+"/exe"), Flags: event.Unlinked}
	p.File.Path = path + " (deleted)"
	wantSHA256(t, await(t, d.Lookup(p)), want)
}

func TestDigestOfAProgramDeletedAfterItsExec(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newProgram(t)
	pid, _ := start(t, exec.Command(path), "wait")
	p := &event.Process{ID: event.ID{PID: pid}, File: fileOf(t, path)}
	changeCtime(t, path, func() error { return os.Remove(path) })
	wantMissing(t, await(t, d.Lookup(p)), "changed")
}

// changeCtime does what changes the ctime of a file that has path now, when the kernel's clock has moved on.
func changeCtime(t *testing.T, path string, change func() error) {
	t.Helper()
	fd, err := open(path, unix.O_PATH)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	before, _, _ := stat(fd)
	time.Sleep(20 * time.Millisecond)
	if err := change(); err != nil {
		t.Fatal(err)
	}
	if after, _, _ := stat(fd); after == before {
		t.Fatal("ctime did not change")
	}
}

func TestDigestOfAMemfd(t *testing.T) {
	fd, err := unix.MemfdCreate("prog", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	memfd := os.NewFile(uintptr(fd), "memfd")
	defer memfd.Close()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	if _, err := io.Copy(memfd, self); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{memfd}
	pid, _ := start(t, cmd, "wait")
	d := newTestDigests(t, DigestConfig{}).run(t)
	p := &event.Process{ID: event.ID{PID: pid}, File: fileOf(t, "/proc/"+pidText(pid)+"/exe"), Flags: event.Memfd}
	p.File.Path = "/memfd:prog (deleted)"
	want := sha256Of(t, "/proc/self/exe")
	wantSHA256(t, await(t, d.Lookup(p)), want)
	t.Log("with another device: no mount table has the mount of memfds, so the process's own executable is believed")
	q := *p
	q.File.Dev ^= 1
	wantSHA256(t, await(t, d.Lookup(&q)), want)
}

func TestDigestOfAnEndedProgramByTheRootOfItsParent(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newFile(t, "program")
	wantSHA256(t, await(t, d.Lookup(endedProcess(t, path))), sha256Of(t, path))
}

func TestDigestOfAnEndedProgramOfTheHostByTheRootOfProcessOne(t *testing.T) {
	host, proc := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(proc, "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(host, filepath.Join(proc, "1/root")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(host, "prog")
	if err := os.WriteFile(path, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := &event.Process{ID: event.ID{PID: 77}, Parent: event.ID{PID: 76}, File: fileOf(t, path)}
	p.File.Path = "/prog"
	d := newTestDigests(t, DigestConfig{ProcRoot: proc}).run(t)
	wantMissing(t, await(t, d.Lookup(p)), "gone")
	p.Namespaces.Host = mntIsHost
	wantSHA256(t, await(t, d.Lookup(p)), sha256Of(t, path))
}

func TestDigestOfAnEndedAndRemovedProgramIsGone(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newFile(t, "program")
	p := endedProcess(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, await(t, d.Lookup(p)), "gone")
}

// TestDigestIsNeverThatOfAnotherFile puts other things in the place of the executed file; each must be noticed, and none
// may hold up the worker.
func TestDigestIsNeverThatOfAnotherFile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		replace func(path, other string) error
		missing string
	}{
		{"renamed over", func(path, other string) error { return os.Rename(other, path) }, "changed"},
		{"written in place", func(path, _ string) error { return os.WriteFile(path, []byte("PROGRAM"), 0o755) }, "changed"},
		{"extended", func(path, _ string) error { return os.Truncate(path, 100) }, "changed"},
		{"emptied", func(path, _ string) error { return os.Truncate(path, 0) }, "changed"},
		{"mode changed", func(path, _ string) error { return os.Chmod(path, 0o700) }, "changed"},
		{"times set back", func(path, _ string) error {
			return os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0))
		}, "changed"},
		{"directory", func(path, _ string) error { return replaceBy(path, os.Mkdir(path+"+", 0o755)) }, "changed"},
		{"fifo", func(path, _ string) error { return replaceBy(path, unix.Mkfifo(path+"+", 0o755)) }, "changed"},
		{"symbolic link to another", func(path, other string) error {
			return replaceBy(path, os.Symlink(other, path+"+"))
		}, "gone"},
		{"symbolic link to the file", func(path, other string) error {
			if err := os.Rename(path, path+".moved"); err != nil {
				return err
			}
			return os.Symlink(path+".moved", path)
		}, "gone"},
		{"symbolic link to itself", func(path, _ string) error { return replaceBy(path, os.Symlink(path, path+"+")) }, "gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newTestDigests(t, DigestConfig{}).run(t)
			path, other := newFile(t, "program"), newFile(t, "PROGRAM")
			p := endedProcess(t, path)
			changeCtime(t, path, func() error { return tt.replace(path, other) })
			wantMissing(t, await(t, d.Lookup(p)), tt.missing)
			if n := d.opens.Load(); n != 0 {
				t.Errorf("%d files were opened, want none", n)
			}
		})
	}
}

// replaceBy puts path+"+", which was made with the result err, in the place of path.
func replaceBy(path string, err error) error {
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Rename(path+"+", path)
}

func TestDigestOfAFileThatChangesWhileItIsRead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(path string) error
	}{
		{"written", func(path string) error { return os.WriteFile(path, []byte("PROGRAM"), 0o755) }},
		{"truncated", func(path string) error { return os.Truncate(path, 1) }},
		{"extended", func(path string) error { return os.Truncate(path, 1000) }},
		{"renamed over, which the open file does not see but its ctime", func(path string) error {
			if err := os.WriteFile(path+"+", []byte("PROGRAM"), 0o755); err != nil {
				return err
			}
			return os.Rename(path+"+", path)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := newFile(t, "program")
			p := endedProcess(t, path)
			d := newTestDigests(t, DigestConfig{})
			d.onOpen = func(string) {
				d.opens.Add(1)
				changeCtime(t, path, func() error { return tt.change(path) })
			}
			d.run(t)
			wantMissing(t, await(t, d.Lookup(p)), "changed")
			if n := d.opens.Load(); n != 1 {
				t.Errorf("%d files were opened, want 1", n)
			}
		})
	}
}

func TestDigestDoesNotWaitForTheHolderOfALease(t *testing.T) {
	path := newFile(t, "program")
	p := endedProcess(t, path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skipf("take a lease: %v", err)
	}
	d := newTestDigests(t, DigestConfig{}).run(t)
	begin := time.Now()
	wantMissing(t, await(t, d.Lookup(p)), "gone")
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestDigestOfAReusedPIDIsNotThatOfTheNewProcess(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newFile(t, "program")
	p := &event.Process{ID: event.ID{PID: uint32(os.Getpid())}, File: fileOf(t, path)}
	p.File.Path = "/no/such/path"
	wantMissing(t, await(t, d.Lookup(p)), "changed")
}

func TestDigestOfAFileOnAnotherDeviceIsRefused(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	p := endedProcess(t, newFile(t, "program"))
	p.File.Dev ^= 1
	wantMissing(t, await(t, d.Lookup(p)), "changed")
}

func TestDigestWithoutAWholePathDependsOnTheProcess(t *testing.T) {
	for _, flag := range []event.Flags{event.PathCut, event.PathUnreadable, event.Memfd, event.Unlinked} {
		d := newTestDigests(t, DigestConfig{}).run(t)
		p := endedProcess(t, newFile(t, "program"))
		p.Flags = flag
		wantMissing(t, await(t, d.Lookup(p)), "gone")
	}
}

// TestDigestOnAnOverlay is about file systems whose stat tells another device than the kernel's event.
func TestDigestOnAnOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	if fs, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(fs), "\toverlay\n") {
		t.Skip("this kernel has no overlay file system loaded")
	}
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe", dir)
	cmd.SysProcAttr = unshareMounts
	pid, _ := start(t, cmd, "overlay")
	proc := "/proc/" + pidText(pid)
	path := filepath.Join(dir, "merged/prog")
	fd, err := open(proc+"/exe", unix.O_PATH)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(fd)
	key, _, err := stat(fd)
	if err != nil {
		t.Fatal(err)
	}
	dev, known := mountDevice(fd, proc)
	if !known || dev == key.dev {
		t.Fatalf("the test needs a device (%#x, by the mount table %#x, %v) that stat does not tell", key.dev, dev, known)
	}
	file := event.File{
		Path: path, Dev: dev, Ino: key.ino, Size: key.size, CTimeSec: key.ctimeSec, CTimeNsec: key.ctimeNsec,
	}
	want := sha256Of(t, "/proc/self/exe")
	running := &event.Process{ID: event.ID{PID: pid}, File: file}
	ended := &event.Process{ID: event.ID{PID: deadPID(t)}, Parent: event.ID{PID: pid}, File: file}
	for name, p := range map[string]*event.Process{"running": running, "ended": ended} {
		d := newTestDigests(t, DigestConfig{}).run(t)
		t.Run(name, func(t *testing.T) {
			wantSHA256(t, await(t, d.Lookup(p)), want)
			q := *p
			q.File.Dev ^= 1
			wantMissing(t, await(t, d.Lookup(&q)), "changed")
		})
	}
}

func TestFindMount(t *testing.T) {
	const table = `22 28 0:21 / /sys rw,nosuid shared:7 - sysfs sysfs rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
x 1 1:1 / / rw
280 28 0:1048575 / /big\040name rw - tmpfs tmpfs rw
31 28 4096:0 / / rw
32 28 0:1048576 / / rw
33 28
34`
	for _, tt := range []struct {
		id    uint64
		dev   uint32
		known bool
	}{
		{22, 21, true},
		{28, 254 << 20, true},
		{280, 1<<20 - 1, true},
		{2, 0, false},
		{31, 0, false},
		{32, 0, false},
		{33, 0, false},
		{34, 0, false},
	} {
		if dev, known := findMount(strings.NewReader(table), tt.id); dev != tt.dev || known != tt.known {
			t.Errorf("mount %d: %#x, %v; want %#x, %v", tt.id, dev, known, tt.dev, tt.known)
		}
	}
}
