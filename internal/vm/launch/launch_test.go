// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ringside-otel/ringside/internal/vm/initramfs"
)

func TestEnvironmentHasWhatConcernsTheTestAndNothingElse(t *testing.T) {
	env := Environment([]string{
		"RINGSIDE_X=1", "RINGSIDE_KERNEL=old", "RINGSIDE_COUNT=old", "GODEBUG=a=b", "SECRET=1", "PATH=/host", "GOCOVERDIR=/x",
	}, "6.12", false)
	for _, want := range []string{"RINGSIDE_X=1", "GODEBUG=a=b", "RINGSIDE_KERNEL=6.12", "HOME=/root"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
	for _, other := range []string{"RINGSIDE_KERNEL=old", "RINGSIDE_COUNT=old", "SECRET=1", "PATH=/host", "GOCOVERDIR=/x"} {
		if slices.Contains(env, other) {
			t.Errorf("%s is in %q", other, env)
		}
	}
	if env := Environment(nil, "6.12", true); !slices.Contains(env, "RINGSIDE_COUNT=1") {
		t.Errorf("counting is not told: %q", env)
	}
}

func TestFixtureIsPackedAtItsOwnOrTheGivenPath(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fixture")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ arg, want string }{
		"own path":   {file, file},
		"given path": {file + "=/opt/other", "/opt/other"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tree := initramfs.New()
			if err := addFixture(tree, tt.arg); err != nil {
				t.Fatal(err)
			}
			if !tree.Has(tt.want) {
				t.Errorf("nothing at %s", tt.want)
			}
		})
	}
}

func TestJobBringsItsTestdata(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "testdata/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "x.test")
	for _, f := range []string{program, filepath.Join(dir, "testdata/deep/golden"), filepath.Join(dir, "other")} {
		if err := os.WriteFile(f, []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree := initramfs.New()
	task, err := Options{}.task(tree, Job{Program: program, Args: []string{"-test.v"}, Dir: dir}, "6.12")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{program, "-test.v"}; !slices.Equal(task.Args, want) {
		t.Errorf("arguments are %q, want %q", task.Args, want)
	}
	if !tree.Has(filepath.Join(dir, "testdata/deep/golden")) || !tree.Has(program) {
		t.Error("testdata or program is missing")
	}
	if tree.Has(filepath.Join(dir, "other")) {
		t.Error("a file beside testdata was packed")
	}
}
