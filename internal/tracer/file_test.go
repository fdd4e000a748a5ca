// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// told returns what a file's status is as an exec tells it.
func told(t *testing.T, path string, st *unix.Stat_t) event.File {
	t.Helper()
	return event.File{
		Path: path,
		Dev:  unix.Major(st.Dev)<<20 | unix.Minor(st.Dev),
		Ino:  st.Ino, Size: st.Size, CTimeSec: st.Ctim.Sec, CTimeNsec: uint32(st.Ctim.Nsec),
		Mode: uint16(st.Mode), Links: uint32(st.Nlink), UID: st.Uid, GID: st.Gid,
	}
}

func stat(t *testing.T, path string) *unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return &st
}

// mount mounts until the test ends.
func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		vmtest.SkipUnless(t, false, fmt.Sprintf("way to mount %s here: %v", fstype, err), "6.1", "6.12")
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
	})
}

func TestFileIsToldAsStatTellsIt(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	check := func(t *testing.T, run, path string, flags event.Flags) {
		t.Helper()
		p := r.run(t, bare(run))
		if want := told(t, path, stat(t, run)); p.File != want {
			t.Errorf("file %+v, want %+v", p.File, want)
		}
		if p.Flags != flags {
			t.Errorf("flags %b, want %b", p.Flags, flags)
		}
		if p.Given != run {
			t.Errorf("given %q, want %q", p.Given, run)
		}
	}
	t.Run("plain", func(t *testing.T) {
		path := install(t, dir+"/plain", exitProgram())
		check(t, path, path, 0)
	})
	t.Run("owner, mode and changes", func(t *testing.T) {
		path := install(t, dir+"/owned", append(exitProgram(), make([]byte, 12345)...))
		if err := os.Chown(path, 1234, 5678); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o751); err != nil {
			t.Fatal(err)
		}
		check(t, path, path, 0)
		if err := os.Chmod(path, 0o711); err != nil { // which changes ctime
			t.Fatal(err)
		}
		check(t, path, path, 0)
	})
	t.Run("hard link", func(t *testing.T) {
		path := install(t, dir+"/first", exitProgram())
		if err := os.Link(path, dir+"/second"); err != nil {
			t.Fatal(err)
		}
		check(t, dir+"/second", dir+"/second", 0)
		if p := r.run(t, bare(path)); p.File.Links != 2 || p.File.Path != path {
			t.Errorf("%d links, path %q", p.File.Links, p.File.Path)
		}
	})
	t.Run("symbolic links", func(t *testing.T) {
		path := install(t, dir+"/real/prog", exitProgram())
		for link, target := range map[string]string{"/tofile": "real/prog", "/todir": "real"} {
			if err := os.Symlink(target, dir+link); err != nil {
				t.Fatal(err)
			}
		}
		check(t, dir+"/tofile", path, 0)
		check(t, dir+"/todir/../todir/./prog", path, 0)
	})
	t.Run("tmpfs", func(t *testing.T) {
		mount(t, "tmpfs", dir+"/tmpfs", "tmpfs", 0, "")
		path := install(t, dir+"/tmpfs/a/prog", exitProgram())
		check(t, path, path, 0)
	})
	t.Run("bind mount", func(t *testing.T) {
		install(t, dir+"/source/prog", exitProgram())
		mount(t, dir+"/source", dir+"/target/deep", "", unix.MS_BIND, "")
		check(t, dir+"/target/deep/prog", dir+"/target/deep/prog", 0)
	})
	t.Run("bind mount of the file", func(t *testing.T) {
		path := install(t, dir+"/bound", exitProgram())
		over := install(t, dir+"/over", []byte("hidden"))
		if err := unix.Mount(path, over, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		check(t, over, over, 0)
		if err := unix.Unmount(over, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("mount over a mount", func(t *testing.T) {
		mount(t, "tmpfs", dir+"/twice", "tmpfs", 0, "")
		mount(t, "tmpfs", dir+"/twice", "tmpfs", 0, "")
		path := install(t, dir+"/twice/prog", exitProgram())
		check(t, path, path, 0)
	})
	t.Run("32-bit", func(t *testing.T) {
		path := install(t, dir+"/prog32", elf32(exitCode386))
		if err := bare(path).Run(); err != nil {
			vmtest.SkipUnless(t, false, fmt.Sprintf("32-bit programs: %v", err), "6.1", "6.12")
		}
		check(t, path, path, 0)
	})
	t.Run("run by another program", func(t *testing.T) {
		path := install(t, dir+"/launched", exitProgram())
		cmd := program("launch", path, "x")
		r.run(t, cmd)
		exec := r.waitExec(cmd.Process.Pid)
		// The launcher is what the kernel executed; what it then loads is an argument to it.
		if want := told(t, cmd.Path, stat(t, cmd.Path)); exec.Process.File != want || exec.Process.Args[1] != path {
			t.Errorf("file %+v, want %+v; args %q", exec.Process.File, want, exec.Process.Args)
		}
	})
}

// launch runs the program in its arguments as ld.so does: it maps the file and jumps there, with no exec.
func launch(args []string) {
	contents, err := os.ReadFile(args[0])
	if err != nil {
		fail("launch", err)
	}
	f, err := os.Open(args[0])
	if err != nil {
		fail("launch", err)
	}
	if _, err := unix.Mmap(int(f.Fd()), 0, len(contents), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE); err != nil {
		fail("launch", err)
	}
}

func TestOverlayTellsWhichLayer(t *testing.T) {
	r := recordExecs(t)
	base := t.TempDir()
	mount(t, "tmpfs", base, "tmpfs", 0, "") // /tmp may itself be an overlay, which cannot be an upper layer
	install(t, base+"/lower/image", exitProgram())
	install(t, base+"/lower/changed", exitProgram())
	for _, d := range []string{"/upper", "/work"} {
		if err := os.Mkdir(base+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	merged := base + "/merged"
	mount(t, "overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", base, base, base))
	install(t, merged+"/sub/dropped", exitProgram())
	if err := os.Chmod(merged+"/changed", 0o700); err != nil { // which copies it up
		t.Fatal(err)
	}
	for name, flags := range map[string]event.Flags{"image": 0, "changed": event.OverlayUpper, "sub/dropped": event.OverlayUpper} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(merged, name)
			p := r.run(t, bare(path))
			if p.Flags != flags {
				t.Errorf("flags %b, want %b", p.Flags, flags)
			}
			if want := told(t, path, stat(t, path)); p.File != want {
				t.Errorf("file %+v, want %+v", p.File, want)
			}
		})
	}
}

func TestFileInMemoryOrDeletedIsFlagged(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	t.Run("memory", func(t *testing.T) {
		f := memfd(t, "payload", exitProgram())
		for name, p := range map[string]*event.Process{
			"fexecve":         r.run(t, (&plan{FD: 3, Argv: []string{"[kworker]"}}).command(t, f)),
			"/proc/self/fd/N": r.run(t, (&plan{Path: "/proc/self/fd/3", Argv: []string{"[kworker]"}}).command(t, f)),
		} {
			var st unix.Stat_t
			if err := unix.Fstat(int(f.Fd()), &st); err != nil {
				t.Fatal(err)
			}
			if want := told(t, "memfd:payload", &st); p.File != want {
				t.Errorf("%s: file %+v, want %+v", name, p.File, want)
			}
			if want := event.Memfd | event.Unlinked; p.Flags != want {
				t.Errorf("%s: flags %b, want %b", name, p.Flags, want)
			}
		}
	})
	t.Run("deleted, by descriptor", func(t *testing.T) {
		path := install(t, dir+"/gone", exitProgram())
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, given := range []string{"", "/proc/self/fd/3"} {
			fd := 0
			if given == "" {
				fd = 3
			}
			p := r.run(t, (&plan{Remove: removeOnce(path), FD: fd, Path: given, Argv: []string{"x"}}).command(t, f))
			if p.Flags != event.Unlinked || p.File.Links != 0 || p.File.Path != path {
				t.Errorf("given %q: flags %b, %d links, path %q", given, p.Flags, p.File.Links, p.File.Path)
			}
			if want := map[bool]string{true: "/dev/fd/3", false: given}[given == ""]; p.Given != want {
				t.Errorf("given %q, want %q", p.Given, want)
			}
		}
	})
	t.Run("deleted, by /proc/self/exe", func(t *testing.T) {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		path := install(t, dir+"/copy", self)
		cmd := (&plan{Remove: path, Path: "/proc/self/exe", Argv: []string{path, "true"}, Env: []string{helperEnv + "=true"}}).command(t)
		cmd.Path, cmd.Args[0] = path, path
		p := r.run(t, cmd)
		if p.Flags != event.Unlinked || p.File.Links != 0 || p.File.Path != path || p.Given != "/proc/self/exe" {
			t.Errorf("flags %b, %d links, path %q, given %q", p.Flags, p.File.Links, p.File.Path, p.Given)
		}
		if first := r.waitExec(cmd.Process.Pid).Process; first.Flags != 0 || first.File.Links != 1 || first.File.Ino != p.File.Ino {
			t.Errorf("before it was deleted: flags %b, %+v", first.Flags, first.File)
		}
	})
}

func TestFileThatLostItsNameOrNeverHadOne(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	t.Run("one of two names deleted", func(t *testing.T) {
		path := install(t, dir+"/name", exitProgram())
		if err := os.Link(path, dir+"/other"); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := r.run(t, (&plan{Remove: path, FD: 3, Argv: []string{"x"}}).command(t, f))
		if p.Flags != event.Unlinked || p.File.Links != 1 || p.File.Path != path {
			t.Errorf("flags %b, %d links, path %q", p.Flags, p.File.Links, p.File.Path)
		}
	})
	t.Run("never had one", func(t *testing.T) {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		w := os.NewFile(uintptr(fd), "tmpfile")
		defer w.Close()
		if _, err := w.Write(exitProgram()); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)) // a file open for writing cannot be executed
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		p := r.run(t, (&plan{FD: 3, Argv: []string{"x"}}).command(t, f))
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		// The kernel names it by its inode.
		if want := told(t, fmt.Sprintf("%s/#%d", dir, st.Ino), &st); p.File != want || p.Flags != event.Unlinked {
			t.Errorf("file %+v, want %+v; flags %b", p.File, want, p.Flags)
		}
	})
}

// removeOnce returns path if there is such a file.
func removeOnce(path string) string {
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

func TestOpenFileIsToldByItsOwnPath(t *testing.T) {
	r := recordExecs(t)
	path := install(t, t.TempDir()+"/prog", exitProgram())
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for given, p := range map[string]*event.Process{
		"/proc/self/fd/3": r.run(t, (&plan{Path: "/proc/self/fd/3", Argv: []string{"x"}}).command(t, f)),
		"/dev/fd/3":       r.run(t, (&plan{FD: 3, Argv: []string{"x"}}).command(t, f)),
	} {
		if want := told(t, path, stat(t, path)); p.File != want || p.Given != given || p.Flags != 0 {
			t.Errorf("file %+v, want %+v; given %q, want %q; flags %b", p.File, want, p.Given, given, p.Flags)
		}
	}
}

func TestNamesAreRecordedByteForByte(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	for _, name := range []string{
		"new\nline", "\x1b[2J", "\xff\xfe\x80", "prog (deleted)", " ", "memfd:x", "a\\b\"c'd", strings.Repeat("n", 255), "\u202egpj.exe", "#1",
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			path := install(t, filepath.Join(dir, name, name), exitProgram())
			p := r.run(t, &exec.Cmd{Path: path, Args: []string{name}, Dir: filepath.Dir(path), Env: []string{}})
			if p.File.Path != path || p.Given != path || p.Cwd != filepath.Dir(path) || p.Flags != 0 {
				t.Errorf("path %q, given %q, cwd %q, flags %b", p.File.Path, p.Given, p.Cwd, p.Flags)
			}
		})
	}
}

func TestArchitectureHasPrograms(t *testing.T) {
	if exitCode[runtime.GOARCH] == nil || pauseCode[runtime.GOARCH] == nil {
		t.Errorf("the tests have no programs for %s", runtime.GOARCH)
	}
}
