// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

func TestScriptTellsBothFiles(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	interp := install(t, dir+"/bin/interp", exitProgram())
	for link, target := range map[string]string{"/bin/link": interp, "/tolink": dir + "/plain"} {
		if err := os.Symlink(target, dir+link); err != nil {
			t.Fatal(err)
		}
	}
	scripts := map[string]string{
		"plain":             "#!" + interp + "\nx\n",
		"argument":          "#! " + interp + "  -x one two  \n",
		"linked":            "#!" + dir + "/bin/link\n",
		"relative":          "#!bin/interp\n",
		"nested":            "#!" + dir + "/plain\n",
		"deeper":            "#!" + dir + "/nested arg\n",
		"sub/inner":         "#!" + interp + "\n",
		"new\nline\x1b\xff": "#!" + interp + "\n",
	}
	for name, text := range scripts {
		install(t, filepath.Join(dir, name), []byte(text))
	}
	for _, tt := range []struct {
		name   string
		given  string // to exec, with argv ["script", "a"]
		cwd    string
		script string
		interp string
		args   []string
	}{
		{"absolute", dir + "/plain", "", dir + "/plain", interp, []string{interp, dir + "/plain", "a"}},
		{"with an argument", dir + "/argument", "", dir + "/argument", interp, []string{interp, "-x one two", dir + "/argument", "a"}},
		{"with a link as its interpreter", dir + "/linked", "", dir + "/linked", dir + "/bin/link",
			[]string{dir + "/bin/link", dir + "/linked", "a"}},
		{"with a relative interpreter", "./relative", dir, dir + "/relative", "bin/interp", []string{"bin/interp", "./relative", "a"}},
		{"by a link", dir + "/tolink", "", dir + "/tolink", interp, []string{interp, dir + "/tolink", "a"}},
		{"in the working directory", "plain", dir, dir + "/plain", interp, []string{interp, "plain", "a"}},
		{"with ./", "./plain", dir, dir + "/plain", interp, []string{interp, "./plain", "a"}},
		{"below the working directory", "sub/inner", dir, dir + "/sub/inner", interp, []string{interp, "sub/inner", "a"}},
		{"above the working directory", "../plain", dir + "/sub", dir + "/sub/../plain", interp, []string{interp, "../plain", "a"}},
		{"from the root directory", strings.TrimPrefix(dir, "/") + "/plain", "/", dir + "/plain", interp,
			[]string{interp, strings.TrimPrefix(dir, "/") + "/plain", "a"}},
		{"with a script as its interpreter", dir + "/nested", "", dir + "/nested", interp,
			[]string{interp, dir + "/plain", dir + "/nested", "a"}},
		{"with two scripts before its interpreter", dir + "/deeper", "", dir + "/deeper", interp,
			[]string{interp, dir + "/plain", dir + "/nested", "arg", dir + "/deeper", "a"}},
		{"with an odd name", dir + "/new\nline\x1b\xff", "", dir + "/new\nline\x1b\xff", interp, []string{interp, dir + "/new\nline\x1b\xff", "a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := r.run(t, &exec.Cmd{Path: tt.given, Args: []string{"script", "a"}, Dir: tt.cwd, Env: []string{}, Stderr: os.Stderr})
			if p.File.Path != interp {
				t.Errorf("file %q, want %q", p.File.Path, interp)
			}
			if p.Script != tt.script || p.Interp != tt.interp || p.Given != tt.given {
				t.Errorf("script %q, interpreter %q, given %q; want %q, %q, %q", p.Script, p.Interp, p.Given, tt.script, tt.interp, tt.given)
			}
			if !slices.Equal(p.Args, tt.args) || p.ArgsCount != len(tt.args) {
				t.Errorf("args %q (%d), want %q", p.Args, p.ArgsCount, tt.args)
			}
			if p.Flags != event.IsScript {
				t.Errorf("flags %b, want %b", p.Flags, event.IsScript)
			}
		})
	}
}

func TestProgramIsNoScript(t *testing.T) {
	r := recordExecs(t)
	path := install(t, t.TempDir()+"/prog", exitProgram())
	p := r.run(t, bare(path))
	if p.Script != "" || p.Interp != "" || p.Given != path || p.Flags != 0 {
		t.Errorf("script %q, interpreter %q, given %q, flags %b", p.Script, p.Interp, p.Given, p.Flags)
	}
}

// A script that is executed through a descriptor has the name that the kernel makes up for its interpreter to open.
func TestScriptByDescriptorHasTheNameThatItsInterpreterGets(t *testing.T) {
	r := recordExecs(t)
	dir := t.TempDir()
	interp := install(t, dir+"/interp", exitProgram())
	install(t, dir+"/script", []byte("#!"+interp+"\n"))
	for _, tt := range []struct {
		name, open, path, script string
	}{
		{"the file", dir + "/script", "", "/dev/fd/3"},
		{"its directory", dir, "script", "/dev/fd/3/script"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Open(tt.open)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			p := r.run(t, (&plan{FD: 3, Path: tt.path, Argv: []string{"s"}}).command(t, f))
			if p.File.Path != interp || p.Script != tt.script || p.Given != tt.script || p.Flags != event.IsScript {
				t.Errorf("file %q, script %q, given %q, flags %b", p.File.Path, p.Script, p.Given, p.Flags)
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		f := memfd(t, "script", []byte("#!"+interp+"\n"))
		p := r.run(t, (&plan{FD: 3, Argv: []string{"s"}}).command(t, f))
		if p.File.Path != interp || p.Script != "/dev/fd/3" || p.Flags != event.IsScript {
			t.Errorf("file %q, script %q, flags %b", p.File.Path, p.Script, p.Flags)
		}
	})
}

// memfd returns a file without a name on any file system.
func memfd(t *testing.T, name string, contents []byte) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { _ = f.Close() }) // a test may have closed it
	if _, err := f.Write(contents); err != nil {
		t.Fatal(err)
	}
	return f
}
