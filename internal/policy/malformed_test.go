// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func malformed(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/malformed/*.yaml")
	if err != nil || len(files) < 150 {
		t.Fatalf("there are %d malformed policies: %v", len(files), err)
	}
	return files
}

// check is what a caller does with a file: read, then ask whether this build can do it.
func check(file string, data []byte) error {
	policies, err := amd64.Parse(file, data)
	if err != nil {
		return err
	}
	return Validate(policies, Capabilities{})
}

func TestMalformedPoliciesAreRefusedWithTheMessagesOfTheGoldenFile(t *testing.T) {
	var all bytes.Buffer
	for _, file := range malformed(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		err = check(filepath.Base(file), data)
		var list Errors
		if !errors.As(err, &list) || len(list) == 0 {
			t.Errorf("%s: not refused with a list of errors: %v", file, err)
			continue
		}
		checkPositions(t, file, data, list)
		all.WriteString(err.Error() + "\n")
	}
	golden(t, "testdata/malformed/messages.golden", all.Bytes())
}

// checkPositions holds that each error points into the file.
func checkPositions(t testing.TB, file string, data []byte, list Errors) {
	t.Helper()
	lines := lineCount(data)
	for i, e := range list {
		if e.Pos.File == "" || e.Pos.Line < 1 || e.Pos.Line > lines || e.Pos.Column < 1 || e.Message == "" {
			t.Errorf("%s: error without a place in the file: %#v", file, e)
		}
		if i > 0 && (list[i-1].Pos.Line > e.Pos.Line || *list[i-1] == *e) {
			t.Errorf("%s: errors are not sorted, or repeated: %s, %s", file, list[i-1], e)
		}
	}
}
