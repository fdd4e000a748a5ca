// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// pathMax is the longest path in bytes that a program can name, its NUL included.
const pathMax = 4096

// nest makes directories below base, each in the one before, and the program at the innermost. It returns that directory, opened: its path may be
// longer than any system call takes.
func nest(t *testing.T, base string, components []string) *os.File {
	t.Helper()
	fd, err := unix.Open(base, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range components {
		if err := unix.Mkdirat(fd, c, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, c, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Close(fd); err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	dir := os.NewFile(uintptr(fd), "innermost")
	t.Cleanup(func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	x, err := unix.Openat(fd, "x", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(x), "x")
	defer f.Close()
	if _, err := f.Write(exitProgram()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inside returns a command that runs the program that nest put into dir, from there.
func inside(dir *os.File) *exec.Cmd {
	return &exec.Cmd{Path: "./x", Args: []string{"x"}, Dir: fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), Env: []string{}, Stderr: os.Stderr}
}

// split cuts a length into components, their slashes included.
func components(length int) []string {
	var all []string
	for length > 0 {
		n := min(length, 201)
		if rest := length - n; rest == 1 {
			n-- // a slash alone is no component
		}
		all = append(all, strings.Repeat("d", n-1))
		length -= n
	}
	return all
}

func TestLongPathsAreWholeUpToPathMax(t *testing.T) {
	r := recordExecs(t)
	for _, tt := range []struct {
		name         string
		length       int // of the file's path
		whole, cwdIs bool
	}{
		{"long", 3000, true, true},
		{"as long as a name can be", pathMax - 1, true, true},
		{"longer than a name can be, from a directory that is not", pathMax + 1, false, true},
		{"twice as long", 2 * pathMax, false, false},
		{"many times as long", 10 * pathMax, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := t.TempDir()
			parts := components(tt.length - len(base) - len("/x"))
			cwd := base + "/" + strings.Join(parts, "/")
			path := cwd + "/x"
			if len(path) != tt.length {
				t.Fatalf("the test made a path of %d bytes", len(path))
			}
			p := r.run(t, inside(nest(t, base, parts)))
			checkPath(t, "path", p.File.Path, path, tt.whole)
			checkPath(t, "cwd", p.Cwd, cwd, tt.cwdIs)
			if got := p.Flags&event.PathCut == 0; got != tt.whole {
				t.Errorf("told to be whole: %v, want %v", got, tt.whole)
			}
			if got := p.Flags&event.CwdCut == 0; got != tt.cwdIs {
				t.Errorf("cwd told to be whole: %v, want %v", got, tt.cwdIs)
			}
			if p.Given != "./x" {
				t.Errorf("given %q", p.Given)
			}
		})
	}
}

// checkPath holds a path to what it is, or, when it cannot be whole, to an end of it with whole components.
func checkPath(t *testing.T, what, got, want string, whole bool) {
	t.Helper()
	switch {
	case whole && got != want:
		t.Errorf("%s of %d bytes %.300q, want %d bytes %.300q", what, len(got), got, len(want), want)
	case !whole && (!strings.HasSuffix(want, got) || !strings.HasPrefix(got, "/") || len(got) < pathMax-256):
		t.Errorf("%s of %d bytes %.300q is not a long end of %.300q", what, len(got), got, want)
	}
}

func TestPathOfManyComponentsIsWhole(t *testing.T) {
	r := recordExecs(t)
	base := t.TempDir()
	parts := strings.Split(strings.Repeat("d ", 1990)+"d", " ")
	p := r.run(t, inside(nest(t, base, parts)))
	want := base + "/" + strings.Join(parts, "/")
	if p.File.Path != want+"/x" || p.Cwd != want || p.Flags != 0 {
		t.Errorf("path of %d bytes, cwd of %d, want %d and %d; flags %b", len(p.File.Path), len(p.Cwd), len(want)+2, len(want), p.Flags)
	}
}

func TestLongNamesAreGivenWhole(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	install(t, dir+"/x", exitProgram())
	t.Run("as long as execve takes", func(t *testing.T) {
		given := dir + strings.Repeat("/", pathMax-1-len(dir)-1) + "x"
		p := r.run(t, bare(given))
		if p.Given != given || p.File.Path != dir+"/x" || p.Flags != 0 {
			t.Errorf("given %d bytes, want %d; path %q, flags %b", len(p.Given), len(given), p.File.Path, p.Flags)
		}
	})
	t.Run("as long as execveat takes", func(t *testing.T) {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		name := strings.Repeat("./", (pathMax-2)/2) + "x"
		p := r.run(t, (&plan{FD: 3, Path: name, Argv: []string{"x"}}).command(t, f))
		if want := "/dev/fd/3/" + name; p.Given != want || p.File.Path != dir+"/x" || p.Flags != 0 {
			t.Errorf("given %d bytes, want %d; path %q, flags %b", len(p.Given), len(want), p.File.Path, p.Flags)
		}
	})
}

func TestMountsWithoutEndMarkThePathAsCut(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	path := install(t, dir+"/x", exitProgram())
	cmd := program("stack", dir, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	p := r.run(t, cmd)
	if p.Flags&event.PathCut == 0 || p.Flags&event.CwdCut != 0 || p.File.Path != "/x" {
		t.Errorf("flags %b, path %q", p.Flags, p.File.Path)
	}
}

// stack puts thousands of mounts on one directory, which is the way to make a path of few bytes long to walk, and executes a file there.
func stack(args []string) {
	for range 4300 {
		if err := unix.Mount(args[0], args[0], "", unix.MS_BIND, ""); err != nil {
			fail("bind", err)
		}
	}
	fail("execute", unix.Exec(args[1], []string{"x"}, nil))
}

func TestWorkingDirectory(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	path := install(t, dir+"/prog", exitProgram())
	if err := os.Symlink(dir, dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ dir, want string }{
		"root":                  {"/", "/"},
		"plain":                 {dir, dir},
		"by a link":             {dir + "/link", dir},
		"another file system":   {"/proc/sys/kernel", "/proc/sys/kernel"},
		"root of a mount":       {"/proc", "/proc"},
		"the parent's as given": {"", mustGetwd(t)},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := bare(path)
			cmd.Dir = tt.dir
			if p := r.run(t, cmd); p.Cwd != tt.want || p.Flags != 0 {
				t.Errorf("cwd %q, want %q; flags %b", p.Cwd, tt.want, p.Flags)
			}
		})
	}
	t.Run("deleted", func(t *testing.T) {
		gone := dir + "/gone"
		if err := os.Mkdir(gone, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := (&plan{Remove: gone, Path: path, Argv: []string{"x"}}).command(t)
		cmd.Dir = gone
		if p := r.run(t, cmd); p.Cwd != gone || p.Flags != 0 {
			t.Errorf("cwd %q, want %q; flags %b", p.Cwd, gone, p.Flags)
		}
	})
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if wd, err = filepath.EvalSymlinks(wd); err != nil {
		t.Fatal(err)
	}
	return wd
}
