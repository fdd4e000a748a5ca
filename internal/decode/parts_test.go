// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/event"
)

func TestJoin(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"\x00":                      "",
		"true\x00":                  "/true",
		"true\x00bin\x00usr\x00":    "/usr/bin/true",
		"a":                         "/a", // no NUL at the end
		"a\x00b":                    "/b/a",
		"\x00\x00":                  "/", // an empty name, which no kernel has
		"a\x00\x00b\x00":            "/b//a",
		"new\nline\x00\xff\x1b\x00": "/\xff\x1b/new\nline",
	} {
		if got := string(join([]byte(in))); got != want {
			t.Errorf("join(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		in    string
		count int
		want  []string
	}{
		{"", 0, nil},
		{"\x00", 1, []string{""}},
		{"\x00\x00", 2, []string{"", ""}},
		{"a\x00", 1, []string{"a"}},
		{"a\x00b\x00", 2, []string{"a", "b"}},
		{"a\x00\x00b\x00\x00", 4, []string{"a", "", "b", ""}},
		{"a\x00bc", 2, []string{"a", "bc"}}, // cut
		{"a\x00bc", 5000, []string{"a", "bc"}},
		{"a\x00b\x00", math.MaxInt, []string{"a", "b"}},
		{"A=1\x00B=2\x00", 0, []string{"A=1", "B=2"}}, // the environment has no count
		{"a\x00b\x00c\x00", 2, []string{"a", "b"}},    // more than there are: what could not be read is zero
		{"\x00\x00\x00\x00", 1, []string{""}},
	} {
		if got := split([]byte(tt.in), tt.count); !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("split(%q, %d) = %q, want %q", tt.in, tt.count, got, tt.want)
		}
	}
}

func TestAbsolute(t *testing.T) {
	for _, tt := range []struct{ name, cwd, want string }{
		{"/bin/x", "/tmp", "/bin/x"},
		{"x", "/tmp", "/tmp/x"},
		{"./x", "/tmp", "/tmp/x"},
		{"././/./x", "/tmp", "/tmp/x"},
		{"../x", "/tmp/a", "/tmp/a/../x"},
		{"a/../x", "/tmp", "/tmp/a/../x"},
		{"x", "/", "/x"},
		{"./x", "/", "/x"},
		{".x", "/tmp", "/tmp/.x"},
		{"..", "/tmp", "/tmp/.."},
		{"./", "/tmp", "/tmp/"},
		{"", "/tmp", ""},
		{"x", "", "x"}, // the directory is not known
	} {
		if got := absolute(tt.name, tt.cwd); got != tt.want {
			t.Errorf("absolute(%q, %q) = %q, want %q", tt.name, tt.cwd, got, tt.want)
		}
	}
}

func TestTTYName(t *testing.T) {
	for _, tt := range []struct {
		major, minor uint32
		want         string
	}{
		{0, 0, ""},
		{136, 0, "pts/0"},
		{136, 3, "pts/3"},
		{136, 1<<20 - 1, "pts/1048575"},
		{4, 1, "tty1"},
		{4, 63, "tty63"},
		{4, 64, "ttyS0"},
		{4, 67, "ttyS3"},
		{188, 2, "ttyUSB2"},
		{166, 1, "ttyACM1"},
		{204, 64, "ttyAMA0"},
		{204, 5, "204:5"},
		{229, 0, "hvc0"},
		{250, 7, "250:7"},
	} {
		if got := ttyName(tt.major<<20 | tt.minor); got != tt.want {
			t.Errorf("%d:%d is %q, want %q", tt.major, tt.minor, got, tt.want)
		}
	}
}

func TestCPUTime(t *testing.T) {
	for _, tt := range []struct {
		utime, stime, runtime uint64
		user, system          time.Duration
	}{
		{0, 0, 0, 0, 0},
		{0, 0, 1000, 1000, 0}, // nothing was sampled
		{5, 0, 1000, 1000, 0},
		{0, 5, 1000, 0, 1000},
		{1, 1, 1000, 500, 500},
		{3, 1, 1000, 750, 250},
		{4e6, 4e6, 100, 50, 50},           // less than was sampled
		{1, 1, 3, 2, 1},                   // which does not divide
		{1, 3, 1 << 60, 1 << 58, 3 << 58}, // 36 years
	} {
		user, system := cpuTime(tt.utime, tt.stime, tt.runtime)
		if user != tt.user || system != tt.system {
			t.Errorf("cpuTime(%d, %d, %d) = %d, %d, want %d, %d", tt.utime, tt.stime, tt.runtime, user, system, tt.user, tt.system)
		}
		if user < 0 || system < 0 || uint64(user+system) != tt.runtime {
			t.Errorf("%d and %d are not %d", user, system, tt.runtime)
		}
	}
}

func TestNumbersAreThoseOfTheKernelPart(t *testing.T) {
	for ours, theirs := range map[event.Kind]Kind{
		event.Exec: bpf.ProcessKindKIND_EXEC, event.Exit: bpf.ProcessKindKIND_EXIT, event.Fork: bpf.ProcessKindKIND_FORK,
	} {
		if uint32(ours) != uint32(theirs) {
			t.Errorf("%v is %d here and %d there", ours, ours, theirs)
		}
	}
	flags := map[event.Flags]bpf.ProcessExecFlag{
		event.Unlinked: bpf.ProcessExecFlagFLAG_UNLINKED, event.Memfd: bpf.ProcessExecFlagFLAG_MEMFD,
		event.OverlayUpper: bpf.ProcessExecFlagFLAG_OVERLAY_UPPER, event.SetUID: bpf.ProcessExecFlagFLAG_SETUID,
		event.SetGID: bpf.ProcessExecFlagFLAG_SETGID, event.FileCaps: bpf.ProcessExecFlagFLAG_FILE_CAPS,
		event.SecureExec: bpf.ProcessExecFlagFLAG_SECURE_EXEC, event.NoNewPrivs: bpf.ProcessExecFlagFLAG_NO_NEW_PRIVS,
		event.IsScript: bpf.ProcessExecFlagFLAG_SCRIPT, event.PathCut: bpf.ProcessExecFlagFLAG_PATH_CUT,
		event.CwdCut: bpf.ProcessExecFlagFLAG_CWD_CUT, event.ArgsCut: bpf.ProcessExecFlagFLAG_ARGS_CUT,
		event.EnvCut: bpf.ProcessExecFlagFLAG_ENV_CUT, event.ArgsUnreadable: bpf.ProcessExecFlagFLAG_ARGS_UNREADABLE,
		event.EnvUnreadable: bpf.ProcessExecFlagFLAG_ENV_UNREADABLE, event.PathUnreadable: bpf.ProcessExecFlagFLAG_PATH_UNREADABLE,
	}
	for ours, theirs := range flags {
		if uint32(ours) != uint32(theirs) {
			t.Errorf("flag %b is %b there", ours, theirs)
		}
	}
	// One more in either place would be a flag that the map above lacks.
	if next := event.PathUnreadable << 1; uint32(next) != uint32(bpf.ProcessExecFlagFLAG_KTHREAD) || len(flags) != 16 {
		t.Errorf("%d flags are compared, the next is %b", len(flags), next)
	}
}
