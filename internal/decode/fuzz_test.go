// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ringside-otel/ringside/bpf"
)

// FuzzDecode holds the decoder to what its package promises for any bytes: an error or a record, no read past the record, and
// nothing shared with the input.
func FuzzDecode(f *testing.F) {
	for _, records := range recordings(f) {
		for _, b := range records {
			f.Add(b)
		}
	}
	f.Add(exec(bpf.ProcessExecRecord{Flags: bpf.ProcessExecFlagFLAG_SCRIPT}, "a\x00", "", "", "x\x00", "\x00\x00", "=\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := slices.Clone(b)[:len(b):len(b)] // a read past the end is a panic
		var r Record
		d := New()
		if err := d.Decode(in, &r); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v", err)
			}
			return
		}
		for i := range in {
			in[i] = ^in[i]
		}
		size, err := Size(b)
		if err != nil {
			t.Fatalf("decoded, but %v", err)
		}
		// What lies behind the record must not matter; nor what was decoded before.
		var again Record
		if err := d.Decode(append(slices.Clone(b[:size]), "behind"...), &again); err != nil {
			t.Fatalf("the second time: %v", err)
		}
		if !reflect.DeepEqual(r, again) {
			t.Errorf("%+v of %+v, then %+v of %+v", r, r.Process, again, again.Process)
		}
		checkStrings(t, &r, size)
	})
}

// checkStrings holds what was decoded to what a record of that size can hold.
func checkStrings(t *testing.T, r *Record, size int) {
	t.Helper()
	p := r.Process
	if p == nil {
		return
	}
	total := 0
	for _, s := range slices.Concat(p.Args, p.Env) {
		total += len(s) + 1
		if strings.Contains(s, "\x00") {
			t.Errorf("a NUL within %q", s)
		}
	}
	if total > size {
		t.Errorf("%d bytes of arguments and environment in a record of %d", total, size)
	}
	if strings.HasPrefix(p.File.Path, "/") && strings.Contains(p.File.Path, "\x00") {
		t.Errorf("path %q", p.File.Path)
	}
}
