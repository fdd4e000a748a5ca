// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// recorder is a test that only remembers how it ended.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) {
	r.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) { r.Skip(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func record(t *testing.T, f func(testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestSkipUnless(t *testing.T) {
	tests := map[string]struct {
		kernel       string
		has          bool
		skips, fails bool
	}{
		"has it":                        {kernel: "6.1", has: true},
		"has it, alone":                 {kernel: "", has: true},
		"lacks it and may":              {kernel: "6.1", skips: true},
		"lacks it and must not":         {kernel: "6.12", fails: true},
		"lacks it on an unknown kernel": {kernel: "", skips: true},
		"lacks it on the host":          {kernel: Host, skips: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(kernelEnv, tt.kernel)
			r := record(t, func(tb testing.TB) { SkipUnless(tb, tt.has, "kprobe.multi", "6.12") })
			if (r.skipped != "") != tt.skips || (r.failed != "") != tt.fails {
				t.Errorf("skipped %q, failed %q", r.skipped, r.failed)
			}
			if message := r.skipped + r.failed; message != "" && !strings.Contains(message, "kprobe.multi") {
				t.Errorf("%q does not name the feature", message)
			}
		})
	}
}

func TestRootFailsWherePrivilegeIsPromised(t *testing.T) {
	if os.Geteuid() == 0 && loadProgram() == nil {
		t.Setenv(kernelEnv, "6.12")
		if r := record(t, Root); r.skipped != "" || r.failed != "" {
			t.Errorf("with privilege: skipped %q, failed %q", r.skipped, r.failed)
		}
		return
	}
	t.Setenv(kernelEnv, "6.12")
	if r := record(t, Root); r.failed == "" {
		t.Error("did not fail on a promised kernel")
	}
	t.Setenv(kernelEnv, "")
	if r := record(t, Root); r.skipped == "" || r.failed != "" {
		t.Errorf("alone: skipped %q, failed %q", r.skipped, r.failed)
	}
}
