// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample has a package of each fate. It is a module of its own, so that ./... of this one does not see it.
const sample = "testdata/sample"

// buildSample builds packages of the sample and returns what the compiler said, too.
func buildSample(t *testing.T, patterns ...string) ([]Package, string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not installed")
	}
	t.Chdir(sample)
	var compiler bytes.Buffer
	packages, err := Build(t.Context(), patterns, "", t.TempDir(), &compiler)
	if err != nil {
		t.Fatal(err)
	}
	return packages, compiler.String()
}

// onHost runs packages on the running kernel.
func onHost(t *testing.T, verbose bool, packages ...Package) (Counts, string) {
	t.Helper()
	convert, err := Converter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := &Suite{
		Kernels: []string{Host}, Packages: packages, Limit: 3 * time.Second, Out: &out, Verbose: verbose, Convert: convert,
		Args: []string{"-test.v=test2json", "-test.paniconexit0"},
	}
	counts, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return counts, out.String()
}

func TestEveryFateIsCountedOnce(t *testing.T) {
	tests := map[string]struct {
		want  Counts
		shows []string
		hides []string
	}{
		"sample/passes": {Counts{Passed: 3}, []string{"ok  \thost\tsample/passes"}, []string{"quiet", "kernel is host"}},
		"sample/fails": {
			Counts{Passed: 1, Failed: 2},
			[]string{"FAIL\thost\tsample/fails", "this is why", "TestParent/bad: exit status 1", "TestAlone: exit"},
			[]string{"TestParent: ", "quiet"},
		},
		"sample/skips":  {Counts{Passed: 1, Skipped: 2}, []string{"(2 skipped)", "TestSkips: no such feature second line"}, nil},
		"sample/panics": {Counts{Passed: 1, Failed: 1}, []string{"panic: at the disco", "exit status 2"}, nil},
		"sample/exits":  {Counts{Failed: 1}, []string{"exit status 42", "last words", "TestExits: exit"}, nil},
		"sample/killed": {Counts{Failed: 1}, []string{"ended by signal 9"}, nil},
		"sample/hangs":  {Counts{Failed: 1}, []string{"took more than 3s", "TestHangs: "}, nil},
		"sample/broken": {Counts{Failed: 1}, []string{"FAIL\tsample/broken [build failed]"}, nil},
		"sample/main":   {Counts{Failed: 1}, []string{"TestMain has no mind to run", "sample/main: exit status 3"}, nil},
		"sample/empty":  {Counts{}, []string{"?   \tsample/empty\t[no test files]"}, nil},
	}
	packages, compiler := buildSample(t, "./...")
	if !strings.Contains(compiler, "undefined: nothing") {
		t.Errorf("the compiler's errors are not shown:\n%s", compiler)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(packages, func(p Package) bool { return p.ImportPath == name })
			if i < 0 {
				t.Fatalf("not among %+v", packages)
			}
			got, out := onHost(t, false, packages[i])
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			for _, s := range tt.shows {
				if !strings.Contains(out, s) {
					t.Errorf("%q is not shown", s)
				}
			}
			for _, s := range tt.hides {
				if strings.Contains(out, s) {
					t.Errorf("%q is shown", s)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

func TestOneBadPackageDoesNotStopTheOthers(t *testing.T) {
	packages, _ := buildSample(t, "./missing", "./broken", "./panics", "./exits", "./v2", "./passes")
	counts, out := onHost(t, false, packages...)
	if want := (Counts{Passed: 5, Failed: 4}); counts != want {
		t.Errorf("got %+v, want %+v\n%s", counts, want, out)
	}
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	if last := lines[len(lines)-1]; last != "5 passed, 4 failed, 0 skipped" {
		t.Errorf("last line is %q", last)
	}
}

func TestVerboseShowsEverything(t *testing.T) {
	packages, _ := buildSample(t, "./passes")
	_, out := onHost(t, true, packages...)
	for _, s := range []string{"=== RUN   TestPasses", "--- PASS: TestPasses", "quiet", "kernel is host"} {
		if !strings.Contains(out, s) {
			t.Errorf("%q is not shown:\n%s", s, out)
		}
	}
}

func TestBinariesOfTheSameNameAreKeptApart(t *testing.T) {
	packages, compiler := buildSample(t, "./passes", "./deep/passes", "./v2")
	var binaries []string
	for _, p := range packages {
		if p.Err != nil {
			t.Errorf("%s: %v\n%s", p.ImportPath, p.Err, compiler)
		}
		if !filepath.IsAbs(p.Dir) {
			t.Errorf("folder of %s is %q", p.ImportPath, p.Dir)
		}
		binaries = append(binaries, p.Binary)
	}
	slices.Sort(binaries)
	if n := len(slices.Compact(binaries)); n != 3 {
		t.Errorf("%d binaries for 3 packages", n)
	}
}

func TestSkipReason(t *testing.T) {
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"one line":     {[]string{"=== RUN   TestX\n", "    x_test.go:12: no kprobe\n", "--- SKIP: TestX (0.00s)\n"}, "no kprobe"},
		"logs before":  {[]string{"    x_test.go:11: noise\n", "    x_test.go:12: no kprobe\n"}, "no kprobe"},
		"two lines":    {[]string{"    x_test.go:12: no kprobe\n", "        and no fentry\n"}, "no kprobe and no fentry"},
		"no reason":    {[]string{"=== RUN   TestX\n", "--- SKIP: TestX (0.00s)\n"}, "no reason given"},
		"own printing": {[]string{"hello\n", "    x_test.go:12: why\n", "bye\n"}, "why"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := skipReason(tt.lines); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSkipsOfSeveralKernelsAreOneLine(t *testing.T) {
	got := merge([]Finding{
		{"6.1", "p", "TestA", "why"}, {"6.1", "p", "TestB", "why"}, {"6.12", "p", "TestA", "why"},
		{"6.12", "p", "TestA", "why"}, {"host", "p", "TestA", "other"},
	})
	want := []string{"6.1,6.12 p TestA: why", "6.1 p TestB: why", "host p TestA: other"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
