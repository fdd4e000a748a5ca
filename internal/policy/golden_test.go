// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file beside the test data, or writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%s; run the test with -update to write it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%s", file, firstDifference(string(got), string(want)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return "got  " + a + "\nwant " + b
		}
	}
	return ""
}

// amd64 keeps the golden files the same wherever the test runs.
var amd64 = Parser{Arch: "amd64"}

func corpus(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/valid/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("the corpus has %d files: %v", len(files), err)
	}
	return files
}

func parseFile(t testing.TB, file string) []*Policy {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	policies, err := amd64.Parse(filepath.Base(file), data)
	if err != nil {
		t.Fatalf("parse:\n%s", err)
	}
	return policies
}

func TestValidPoliciesParseToWhatTheGoldenFilesShow(t *testing.T) {
	for _, file := range corpus(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var out bytes.Buffer
			for _, p := range parseFile(t, file) {
				if err := p.Dump(&out); err != nil {
					t.Fatal(err)
				}
				for _, w := range p.Warnings {
					out.WriteString("warning " + w.Error() + "\n")
				}
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", out.Bytes())
		})
	}
}
