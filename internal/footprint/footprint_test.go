// SPDX-License-Identifier: Apache-2.0

package footprint

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

const maps = `00400000-04129000 r-xp 00000000 fe:00 9992506                            /usr/bin/ringside
04129000-080b2000 r--p 03d29000 fe:00 9992506                            /usr/bin/ringside
080b2000-08286000 rw-p 07cb2000 fe:00 9992506                            /usr/bin/ringside
08286000-0a2ef000 rw-p 00000000 00:00 0 
7f00dead0000-7f00deae0000 r--s 00000000 fe:00 9992506                    /usr/bin/ringside
7f6d9e9dc000-7f6d9f9dd000 r--s 00001000 00:10 1038                       anon_inode:bpf-map
7f6de6dd4000-7f6de6dd6000 r-xp 00000000 00:00 0                          [vdso]
7f6de6de0000-7f6de6de1000 r--p 00000000 fe:00 17                         /usr/lib/libc.so.6
`

func TestOnlyPrivateReadOnlyMappingsOfTheExecutableAreDropped(t *testing.T) {
	got, err := readOnly(strings.NewReader(maps), "/usr/bin/ringside")
	if err != nil {
		t.Fatal(err)
	}
	want := []addresses{{0x400000, 0x4129000}, {0x4129000, 0x80b2000}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestMalformedMappingIsAnError(t *testing.T) {
	for _, line := range []string{"x", "00400000 r-xp", "zz-yy r-xp 0 0:0 0 a"} {
		if _, err := readOnly(strings.NewReader(line+"\n"), "a"); err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%q: got %v, want an error that names the line", line, err)
		}
	}
}

// The code that runs after the release is itself among what was dropped.
func TestTheProcessGoesOnAfterRelease(t *testing.T) {
	before := resident(t)
	if err := Release(); err != nil {
		t.Fatal(err)
	}
	if after := resident(t); after >= before {
		t.Errorf("resident file pages did not shrink: %d kB before, %d after", before, after)
	}
}

// resident returns the resident pages of files, in kB.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "RssFile:")
	kB := 0
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}
