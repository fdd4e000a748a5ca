// SPDX-License-Identifier: Apache-2.0

package initramfs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unpack writes the tree and has the cpio program, which knows nothing of this package, unpack it.
func unpack(t *testing.T, tree *Tree) string {
	t.Helper()
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("cpio is not installed")
	}
	var archive bytes.Buffer
	n, err := tree.WriteTo(&archive)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(archive.Len()) {
		t.Errorf("WriteTo said %d bytes and wrote %d", n, archive.Len())
	}
	dir := t.TempDir()
	// Only root can make the console.
	cmd := exec.Command("cpio", "--extract", "--quiet", "--no-absolute-filenames", "--nonmatching", "dev/console")
	cmd.Dir, cmd.Stdin = dir, &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v\n%s", err, out)
	}
	return dir
}

func write(t *testing.T, path, contents string, perm os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, perm); err != nil {
		t.Fatal(err)
	}
}

func TestFilesArriveWithContentsAndMode(t *testing.T) {
	host := t.TempDir()
	write(t, filepath.Join(host, "a/setuid"), "program", 0o755|os.ModeSetuid)
	write(t, filepath.Join(host, "a/b/odd"), "12345", 0o640)
	write(t, filepath.Join(host, "a/empty"), "", 0o600)
	if err := os.Symlink("b/odd", filepath.Join(host, "a/link")); err != nil {
		t.Fatal(err)
	}
	tree := New()
	if err := tree.Path("/fixtures", filepath.Join(host, "a")); err != nil {
		t.Fatal(err)
	}
	if err := tree.Bytes("/etc/hostname", 0o644, []byte("guest\n")); err != nil {
		t.Fatal(err)
	}
	dir := unpack(t, tree)
	files := []struct {
		name, contents string
		mode           os.FileMode
	}{
		{"fixtures/setuid", "program", 0o755 | os.ModeSetuid},
		{"fixtures/b/odd", "12345", 0o640},
		{"fixtures/empty", "", 0o600},
		{"etc/hostname", "guest\n", 0o644},
	}
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil {
			t.Error(err)
			continue
		}
		info, err := os.Stat(filepath.Join(dir, f.name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != f.contents || info.Mode() != f.mode {
			t.Errorf("%s: got %q with %v, want %q with %v", f.name, got, info.Mode(), f.contents, f.mode)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "fixtures/link")); err != nil || target != "b/odd" {
		t.Errorf("link: %q, %v", target, err)
	}
}

func TestLinkNamedByItselfIsFollowed(t *testing.T) {
	host := t.TempDir()
	write(t, filepath.Join(host, "dash"), "shell", 0o755)
	if err := os.Symlink("dash", filepath.Join(host, "sh")); err != nil {
		t.Fatal(err)
	}
	tree := New()
	if err := tree.Path("/bin/sh", filepath.Join(host, "sh")); err != nil {
		t.Fatal(err)
	}
	dir := unpack(t, tree)
	got, err := os.ReadFile(filepath.Join(dir, "usr/bin/sh"))
	if err != nil || string(got) != "shell" {
		t.Errorf("got %q, %v", got, err)
	}
	if target, err := os.Readlink(filepath.Join(dir, "bin")); err != nil || target != "usr/bin" {
		t.Errorf("/bin is a link to %q, %v; want usr/bin", target, err)
	}
}

func TestPathsThatCannotBeAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x", 0o644)
	tests := map[string]func(*Tree) error{
		"relative":           func(t *Tree) error { return t.Bytes("etc/x", 0o644, nil) },
		"the root":           func(t *Tree) error { return t.Bytes("/", 0o644, nil) },
		"NUL":                func(t *Tree) error { return t.Dir("/a\x00b") },
		"below a file":       func(t *Tree) error { return errors.Join(t.Path("/x", file), t.Path("/x/y", file)) },
		"folder is a file":   func(t *Tree) error { return errors.Join(t.Path("/x", file), t.Dir("/x")) },
		"file is a folder":   func(t *Tree) error { return errors.Join(t.Dir("/x"), t.Path("/x", file)) },
		"nothing there":      func(t *Tree) error { return t.Path("/x", file+"-not") },
		"neither of the two": func(t *Tree) error { return t.Path("/x", "/dev/null") },
	}
	for name, add := range tests {
		t.Run(name, func(t *testing.T) {
			if err := add(New()); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestWhatIsAddedTwiceIsThereOnce(t *testing.T) {
	tree := New()
	for _, contents := range []string{"first", "2nd"} {
		if err := tree.Bytes("/x", 0o644, []byte(contents)); err != nil {
			t.Fatal(err)
		}
	}
	if want := New().Size() + 3; tree.Size() != want {
		t.Errorf("size is %d, want %d", tree.Size(), want)
	}
	got, err := os.ReadFile(filepath.Join(unpack(t, tree), "x"))
	if err != nil || string(got) != "2nd" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFileThatShrankIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "long contents", 0o644)
	tree := New()
	if err := tree.Path("/x", file); err != nil {
		t.Fatal(err)
	}
	write(t, file, "short", 0o644)
	if _, err := tree.WriteTo(&bytes.Buffer{}); err == nil {
		t.Error("an archive with a wrong length was written")
	}
}

func TestProgramBringsItsLoaderAndLibraries(t *testing.T) {
	program, err := exec.LookPath("true")
	if err != nil {
		t.Skip("no program to try it with")
	}
	tree := New()
	if err := tree.Program("/bin/true", program); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range tree.nodes {
		names = append(names, name)
	}
	has := func(part string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, part) })
	}
	if !has("usr/bin/true") {
		t.Error("the program is not there")
	}
	if has("/ld-") != has("/libc.so") {
		t.Errorf("loader and libc go together: %v", names)
	}
}
