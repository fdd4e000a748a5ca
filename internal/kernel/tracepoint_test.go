// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFormatsTellFields(t *testing.T) {
	f := fixture(t)
	tp, err := f.Tracepoint("sched", "sched_process_exec")
	if err != nil {
		t.Fatal(err)
	}
	if tp.ID != 311 || tp.Group != "sched" || tp.Name != "sched_process_exec" || len(tp.Fields) != 9 {
		t.Errorf("%+v", tp)
	}
	for name, want := range map[string]string{
		"common_type": "unsigned short@0+2 unsigned short 0",
		"common_pid":  "int@4+4s int 0",
		"filename":    "char[]@8+4 char[0] 1",
		"mode":        "umode_t@12+2 umode_t 0",
		"where":       "const char *@16+8 const char * 0",
		"comm":        "char[16]@24+16 char[16] 0",
		"file":        "struct file *@40+8 struct file * 0",
		"what":        "kunknown_t@48+4s void 0",
		"tail":        "char[]@52+4 char[0] 2",
	} {
		field, err := tp.Field(name)
		if err != nil {
			t.Error(err)
			continue
		}
		sign := ""
		if field.Signed {
			sign = "s"
		}
		if got := fmt.Sprintf("%s@%d+%d%s %s %d", field.Text, field.Offset, field.Size, sign, field.Type, field.Data); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	var lost *NotFound
	if _, err := tp.Field("filenmae"); !errors.As(err, &lost) || !slices.Equal(lost.Near, []string{"filename"}) {
		t.Error(err)
	}
}

func TestTracepointsThatAreNotThere(t *testing.T) {
	f := fixture(t)
	for name, near := range map[string][]string{
		"sched:sched_process_exce": {"sched:sched_process_exec"},
		"shced:sched_process_exec": {"sched:sched_process_exec"},
		"schde:sched_process_exce": {"sched:sched_process_exec"},
		"../..:format":             nil,
		":":                        nil,
		"sched:":                   nil,
	} {
		group, event, _ := strings.Cut(name, ":")
		_, err := f.Tracepoint(group, event)
		var lost *NotFound
		if !errors.As(err, &lost) || !slices.Equal(lost.Near, near) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Tracepoint("sched", "sched_process_fork"); !errors.Is(err, errFormat) {
		t.Error(err)
	}
	names, err := f.Tracepoints()
	if want := []string{"block:block_rq_issue", "sched:sched_process_exec", "sched:sched_process_fork"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestFormatsThatAreNotUnderstoodAreErrors(t *testing.T) {
	for _, line := range []string{
		"field:int x;\toffset:0;", "field:int x;\tsize:4;", "offset:0;\tsize:4;", "field:int x;\toffset:-1;\tsize:4;",
		"field:int x;\toffset:0;\tsize:four;", "field:int x;\toffset:0;\toffset:0;\tsize:4;", "field:int;\toffset:0;\tsize:4;",
		"field:int 4x;\toffset:0;\tsize:4;", "field:__data_loc char[] x;\toffset:0;\tsize:8;", "int x", "field:int x;\toffset:0;\tsize:70000;",
	} {
		if tp, err := parseFormat([]byte("name: n\nID: 1\nformat:\n\t" + line + "\n")); !errors.Is(err, errFormat) {
			t.Errorf("%q: %+v, %v", line, tp, err)
		}
	}
	many := "name: n\nformat:\n" + strings.Repeat("\tfield:int x;\toffset:0;\tsize:4;\n", maxTraceFields+1)
	for _, text := range []string{"", "name: n\n", "format:\n", "name: n\nID: x\nformat:\n", many} {
		if tp, err := parseFormat([]byte(text)); !errors.Is(err, errFormat) {
			t.Errorf("%q: %+v, %v", text, tp, err)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte(fixtureFormat))
	f.Add([]byte("name: n\nID: 1\nformat:\n\tfield:int x;\toffset:0;\tsize:4;\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tp, err := parseFormat(b)
		if err != nil {
			if !errors.Is(err, errFormat) {
				t.Fatal(err)
			}
			return
		}
		for _, field := range tp.Fields {
			if !isName(field.Name) {
				t.Fatalf("%+v", field)
			}
			parseCType(field.Text)
		}
	})
}

func FuzzCType(f *testing.F) {
	for _, seed := range []string{"const char *", "struct file *", "char[16]", "unsigned long", "a[", "***", "struct struct"} {
		f.Add(seed)
	}
	facts := fixture(f)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := facts.TypeByName(text)
		if err != nil {
			return
		}
		// What is written again means the same.
		again, err := facts.TypeByName(got.String())
		if err != nil || again.String() != got.String() {
			t.Fatalf("%q is %s, which is %s, %v", text, got, again, err)
		}
	})
}

func FuzzTypes(f *testing.F) {
	f.Add(blob(f, fixtureTypes()...))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		b, err := parseBlob(raw)
		if err != nil {
			return
		}
		_ = b.walk(func(r btfRecord) bool {
			if r.kind == kindEnum || r.kind == kindEnum64 {
				_, _ = b.constant(r, "MODE_READ")
			}
			return true
		})
	})
}

func TestNearNamesAreThoseThatWereMeant(t *testing.T) {
	names := []string{"security_file_open", "security_file_free", "security_path_rename", "tcp_connect", "tcp_v4_connect", "do_exit", "vfs_open", "open"}
	for wrong, want := range map[string][]string{
		"security_file_opne":               {"security_file_open", "security_file_free"},
		"tcp_conect":                       {"tcp_connect"},
		"tcp_connectt":                     {"tcp_connect"},
		"do_exti":                          {"do_exit"},
		"opn":                              {"open"},
		"v4_connect":                       {"tcp_v4_connect", "tcp_connect"},
		"completely_else":                  nil,
		"":                                 nil,
		"open":                             nil, // the name itself is no suggestion
		strings.Repeat("x", maxNearName+1): nil,
	} {
		got := near(wrong, slices.Values(names))
		if wrong == "v4_connect" { // by what it holds, and by typing errors: either order is right
			slices.Sort(got)
			want = slices.Sorted(slices.Values(want))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", wrong, got, want)
		}
	}
}

// slowDistance is the definition, without the band.
func slowDistance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

func FuzzDistance(f *testing.F) {
	f.Add("security_file_open", "security_flie_opne")
	f.Add("ab", "ba")
	f.Add("", "abc")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > maxNearName || len(b) > maxNearName || b == "" {
			return
		}
		n := newNearest(a)
		want := slowDistance(a, b)
		for range 2 { // the second time what the first left in the rows must not matter
			got := n.distance(b)
			if got != want && (want <= n.limit || got <= n.limit) {
				t.Fatalf("%q %q: %d, not %d", a, b, got, want)
			}
			n.distance(a + "x")
		}
		if want <= n.limit && bits.OnesCount64(letters(a)^letters(b)) > 2*n.limit {
			t.Fatalf("%q and %q are ruled out by their letters", a, b)
		}
	})
}

func TestNearIsQuickAmongManyNames(t *testing.T) {
	names := make([]string, 60000)
	for i := range names {
		names[i] = fmt.Sprintf("subsystem_%d_operation_%d", i%97, i)
	}
	start := time.Now()
	near("security_file_opne", slices.Values(names))
	// It takes 3 ms; the limit is for a busy machine and the race detector.
	if took := time.Since(start); took > time.Second {
		t.Errorf("%s", took)
	}
}

func BenchmarkNear(b *testing.B) {
	names := make([]string, 60000)
	for i := range names {
		names[i] = fmt.Sprintf("security_%d_file_%d", i%97, i)
	}
	for b.Loop() {
		near("security_file_opne", slices.Values(names))
	}
}
