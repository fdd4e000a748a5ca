// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/event"
)

// bytesOf returns the length of arguments in memory, with a NUL behind each.
func bytesOf(args []string) int {
	n := 0
	for _, a := range args {
		n += len(a) + 1
	}
	return n
}

func many(n int) []string {
	args := make([]string, n)
	for i := range args {
		args[i] = fmt.Sprint(i)
	}
	return args
}

func TestArgumentsAreRecordedByteForByte(t *testing.T) {
	r := recordExecs(t)
	path := install(t, filepath.Join(t.TempDir(), "prog"), exitProgram())
	for name, args := range map[string][]string{
		"none but the name":              {"prog"},
		"an empty name":                  {""},
		"empty arguments":                {"prog", "", "a", "", ""},
		"control characters":             {"prog", "new\nline", "\x1b[31mred\x1b[0m", "\t\r\b\x7f"},
		"bytes that are no UTF-8":        {"\xff\xfe", "caf\xe9", "\xf0\x9f\x98", "\xed\xa0\x80"},
		"every byte but NUL":             {"prog", allBytes()},
		"a name that is not the path":    {"/usr/bin/innocent", "x"},
		"5,000 arguments":                append([]string{"prog"}, many(4999)...),
		"exactly a chunk":                {"prog", strings.Repeat("x", 4096-len("prog\x00\x00"))},
		"one byte more than a chunk":     {"prog", strings.Repeat("x", 4096-len("prog\x00\x00")+1)},
		"exactly the default limit":      {"prog", strings.Repeat("y", 32<<10-len("prog\x00\x00"))},
		"several chunks, none at a seam": {"prog", strings.Repeat("ab", 3000), strings.Repeat("cd", 3001), "end"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := bare(path)
			cmd.Args = args
			p := r.run(t, cmd)
			if !slices.Equal(p.Args, args) {
				t.Errorf("args %.200q, want %.200q", p.Args, args)
			}
			if p.ArgsCount != len(args) || p.ArgsBytes != bytesOf(args) {
				t.Errorf("%d arguments of %d bytes, want %d of %d", p.ArgsCount, p.ArgsBytes, len(args), bytesOf(args))
			}
			if p.Flags != 0 {
				t.Errorf("flags %b", p.Flags)
			}
		})
	}
}

func allBytes() string {
	b := make([]byte, 255)
	for i := range b {
		b[i] = byte(i + 1)
	}
	return string(b)
}

func TestEmptyArgvIsOneEmptyArgument(t *testing.T) {
	r := recordExecs(t)
	path := install(t, filepath.Join(t.TempDir(), "prog"), exitProgram())
	for name, argv := range map[string][]string{"a null pointer": nil, "a vector of none": {}} {
		t.Run(name, func(t *testing.T) {
			p := r.run(t, (&plan{Path: path, Argv: argv}).command(t))
			// Since Linux 5.18 (commit dcd46d897adb) the kernel gives such a program an empty argv[0].
			if !slices.Equal(p.Args, []string{""}) || p.ArgsCount != 1 || p.ArgsBytes != 1 {
				t.Errorf("args %q, %d of %d bytes, want one that is empty", p.Args, p.ArgsCount, p.ArgsBytes)
			}
			if p.File.Path != path {
				t.Errorf("path %q", p.File.Path)
			}
		})
	}
}

// maxArgStrlen is the longest argument that Linux takes, its NUL included (include/uapi/linux/binfmts.h MAX_ARG_STRLEN).
const maxArgStrlen = 32 * 4096

func TestArgumentsAboveTheLimitAreCut(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "prog"), exitProgram())
	longest := strings.Repeat("z", maxArgStrlen-1)
	recorders := map[int]*recorder{} // by limit: loading the programs takes longer than the tests
	for _, tt := range []struct {
		name  string
		limit int // 0 for the default
		args  []string
		want  []string
	}{
		{"a byte above the default", 0, []string{"prog", strings.Repeat("y", 32<<10-len("prog\x00"))},
			[]string{"prog", strings.Repeat("y", 32<<10-len("prog\x00"))}}, // what is cut is the NUL
		{"far above the default", 0, []string{"prog", longest, "end"}, []string{"prog", longest[:32<<10-len("prog\x00")]}},
		{"many arguments", 0, append([]string{"p"}, slices.Repeat([]string{"1234567"}, 20000)...),
			append([]string{"p"}, append(slices.Repeat([]string{"1234567"}, 4095), "123456")...)},
		{"a limit between arguments", 10, []string{"prog", "0123", "abc"}, []string{"prog", "0123"}},
		{"a limit within an argument", 10, []string{"prog", "0123456789"}, []string{"prog", "01234"}},
		{"a limit of odd size above a chunk", 5001, []string{"prog", longest}, []string{"prog", longest[:5001-len("prog\x00")]}},
		{"the largest limit", 128 << 10, []string{longest, "end"}, []string{longest}},
		{"the largest limit and many", 128 << 10, append([]string{"p"}, slices.Repeat([]string{strings.Repeat("q", 1023)}, 200)...),
			append([]string{"p"}, append(slices.Repeat([]string{strings.Repeat("q", 1023)}, 127), strings.Repeat("q", 1022))...)},
	} {
		r, ok := recorders[tt.limit]
		if !ok {
			r = recordExecs(t, func(c *config.Process) {
				if tt.limit != 0 {
					c.MaxArgsSize = tt.limit
				}
			})
			recorders[tt.limit] = r
		}
		t.Run(tt.name, func(t *testing.T) {
			cmd := bare(path)
			cmd.Args = tt.args
			p := r.run(t, cmd)
			if !slices.Equal(p.Args, tt.want) {
				t.Errorf("%d args of %d bytes %.200q, want %d of %d bytes", len(p.Args), bytesOf(p.Args), p.Args, len(tt.want), bytesOf(tt.want))
			}
			if p.ArgsCount != len(tt.args) || p.ArgsBytes != bytesOf(tt.args) {
				t.Errorf("told %d arguments of %d bytes, truly %d of %d", p.ArgsCount, p.ArgsBytes, len(tt.args), bytesOf(tt.args))
			}
			if p.Flags != event.ArgsCut {
				t.Errorf("flags %b, want %b", p.Flags, event.ArgsCut)
			}
		})
	}
}

func TestLongestArgumentIsWhole(t *testing.T) {
	r := recordExecs(t, func(c *config.Process) { c.MaxArgsSize = 128 << 10 })
	path := install(t, filepath.Join(t.TempDir(), "prog"), exitProgram())
	// Every position differs from its neighbours, so that a chunk at the wrong place shows.
	longest := make([]byte, maxArgStrlen-1)
	for i := range longest {
		longest[i] = byte(1 + i%251)
	}
	cmd := bare(path)
	cmd.Args = []string{string(longest)}
	p := r.run(t, cmd)
	if len(p.Args) != 1 || p.Args[0] != string(longest) || p.ArgsBytes != maxArgStrlen || p.Flags != 0 {
		t.Errorf("%d args, the first of %d bytes, told as %d; flags %b", len(p.Args), len(p.Args[0]), p.ArgsBytes, p.Flags)
	}
}

// spoof writes over its own arguments and name, as malware does to look like something else.
func spoof([]string) {
	for _, a := range os.Args {
		b := unsafe.Slice(unsafe.StringData(a), len(a)) // the memory that execve filled
		for i := range b {
			b[i] = 'X'
		}
	}
	name := []byte("innocent\x00")
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0); err != nil {
		fail("set the name", err)
	}
	cmdline, err := os.ReadFile("/proc/self/cmdline")
	if err != nil || !strings.HasPrefix(string(cmdline), "XXX") {
		fail(fmt.Sprintf("spoof: /proc/self/cmdline is %q", cmdline), err)
	}
}

func TestSpoofedArgumentsAndNameChangeNothing(t *testing.T) {
	r := recordExecs(t)
	cmd := program("spoof", "one", "two")
	p := r.run(t, cmd)
	if want := []string{cmd.Path, "one", "two"}; !slices.Equal(p.Args, want) {
		t.Errorf("args %q, want %q", p.Args, want)
	}
	exit := r.waitExit(cmd.Process.Pid)
	if exit.Process != p {
		t.Errorf("the exit tells of %+v, the exec of %+v", exit.Process, p)
	}
}

func TestNoEnvironmentIsRecordedByDefault(t *testing.T) {
	r := recordExecs(t)
	path := install(t, filepath.Join(t.TempDir(), "prog"), exitProgram())
	p := r.run(t, (&plan{Path: path, Argv: []string{"prog"}, Env: []string{"PATH=/bin", "SECRET=hush"}}).command(t))
	if p.Env != nil || p.Flags != 0 {
		t.Errorf("environment %q, flags %b", p.Env, p.Flags)
	}
}

func TestEnvironmentIsRecordedByName(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "prog"), exitProgram())
	recorders := map[int]*recorder{}
	for _, tt := range []struct {
		name  string
		env   []string
		want  []string
		limit int
		flags event.Flags
	}{
		{name: "only what is named", env: []string{"SECRET=hush", "WEIRD=a\nb=\xff\x1b", "=odd"}, want: []string{"WEIRD=a\nb=\xff\x1b"}},
		{name: "not what begins alike", env: []string{"PATHX=1", "PAT=2", "XPATH=3", "path=4"}},
		{name: "an empty value", env: []string{"EMPTY="}, want: []string{"EMPTY="}},
		{name: "a variable given twice", env: []string{"PATH=/bin:/usr/bin", "SECRET=hush", "PATH=/second"},
			want: []string{"PATH=/bin:/usr/bin", "PATH=/second"}},
		{name: "a name without a value", env: []string{"EMPTY", "PATH=/bin"}, want: []string{"EMPTY", "PATH=/bin"}},
		{name: "no environment"},
		{name: "several chunks", env: []string{"BIG=" + strings.Repeat("x", 20000), "PATH=" + strings.Repeat("y", 10000)},
			want: []string{"PATH=" + strings.Repeat("y", 10000)}},
		{name: "exactly the limit", env: []string{"PATH=0123456789"}, want: []string{"PATH=0123456789"}, limit: 16},
		{name: "cut by the limit", env: []string{"PATH=0123456789a"}, want: []string{"PATH=0123456789a"}, limit: 16, flags: event.EnvCut},
		{name: "cut in the middle", env: []string{"EMPTY=", "PATH=0123456789"}, want: []string{"EMPTY=", "PATH=0123"}, limit: 16, flags: event.EnvCut},
		{name: "behind the limit", env: []string{"PATH=0", "BIG=12345678", "EMPTY="}, want: []string{"PATH=0"}, limit: 16, flags: event.EnvCut},
	} {
		r, ok := recorders[tt.limit]
		if !ok {
			r = recordExecs(t, func(c *config.Process) {
				c.Environment = []string{"PATH", "EMPTY", "WEIRD"}
				if tt.limit != 0 {
					c.MaxEnvironmentSize = tt.limit
				}
			})
			recorders[tt.limit] = r
		}
		t.Run(tt.name, func(t *testing.T) {
			// With execve(2) itself: os/exec drops what is given twice.
			p := r.run(t, (&plan{Path: path, Argv: []string{"prog", "arg"}, Env: tt.env}).command(t))
			if !slices.Equal(p.Env, tt.want) {
				t.Errorf("environment %.300q, want %.300q", p.Env, tt.want)
			}
			if p.Flags != tt.flags {
				t.Errorf("flags %b, want %b", p.Flags, tt.flags)
			}
			if !slices.Equal(p.Args, []string{"prog", "arg"}) {
				t.Errorf("args %q", p.Args)
			}
		})
	}
}

func TestLongArgumentsAndEnvironmentTravelTogether(t *testing.T) {
	r := recordExecs(t, func(c *config.Process) {
		c.MaxArgsSize, c.MaxEnvironmentSize, c.Environment = 128<<10, 128<<10, []string{"A", "Z"}
	})
	path := install(t, filepath.Join(t.TempDir(), "prog"), exitProgram())
	args := []string{"prog", strings.Repeat("1", 50001), strings.Repeat("2", 49999)}
	env := []string{"A=" + strings.Repeat("3", 30001), "B=" + strings.Repeat("4", 60000), "Z=5"}
	p := r.run(t, (&plan{Path: path, Argv: args, Env: env}).command(t))
	if !slices.Equal(p.Args, args) || !slices.Equal(p.Env, []string{env[0], env[2]}) || p.Flags != 0 {
		t.Errorf("%d args of %d bytes, %d variables of %d bytes, flags %b", len(p.Args), bytesOf(p.Args), len(p.Env), bytesOf(p.Env), p.Flags)
	}
}

func TestArgumentsOfAProcessThatRunsAlready(t *testing.T) {
	path := install(t, filepath.Join(t.TempDir(), "prog"), pauseProgram())
	args := []string{"prog", "", "new\nline", strings.Repeat("x", 100), "end", ""}
	for name, tt := range map[string]struct {
		limit int
		want  []string
		flags event.Flags
	}{
		"whole": {32 << 10, args, 0},
		"cut":   {20, []string{"prog", "", "new\nline", "xxxxx"}, event.ArgsCut},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := bare(path)
			cmd.Args = args
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			r := recordExecs(t, func(c *config.Process) { c.MaxArgsSize = tt.limit })
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed, which Wait calls an error
			p := r.waitExit(cmd.Process.Pid).Process
			if !slices.Equal(p.Args, tt.want) || p.ArgsCount != len(args) || p.ArgsBytes != bytesOf(args) || p.Flags != tt.flags {
				t.Errorf("args %q (%d of %d bytes), flags %b", p.Args, p.ArgsCount, p.ArgsBytes, p.Flags)
			}
		})
	}
}
