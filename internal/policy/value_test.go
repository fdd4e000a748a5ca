// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNumbersAreReadInAllNotations(t *testing.T) {
	const minus1 = math.MaxUint64
	tests := []struct {
		text   string
		bits   int
		signed bool
		want   uint64
	}{
		{"0", 32, true, 0},
		{"-0", 8, false, 0},
		{"42", 8, true, 42},
		{"-128", 8, true, minus1 - 127},
		{"0x7f", 8, true, 127},
		{"0xff", 8, true, minus1},
		{"0b11111111", 8, true, minus1},
		{"0xff", 8, false, 255},
		{"0X1F", 16, false, 31},
		{"017", 16, false, 15},
		{"0o17", 16, false, 15},
		{"1_000", 16, false, 1000},
		{"0xffffffff", 32, true, minus1},
		{"0xffffffff", 64, true, math.MaxUint32},
		{"-9223372036854775808", 64, true, 1 << 63},
		{"9223372036854775807", 64, true, math.MaxInt64},
		{"0xffffffffffffffff", 64, true, minus1},
		{"18446744073709551615", 64, false, minus1},
		{"O_RDWR", 32, true, 2},
		{" O_CREAT | O_EXCL |2", 32, true, 0o302},
		{"AT_FDCWD", 32, true, minus1 - 99},
		{"-EPERM", 64, true, minus1},
		{"EPERM", 64, true, 1},
		{"CAP_BPF", 32, true, 39},
		{"TCP_LISTEN", 8, false, 10},
		{"AF_INET6", 16, false, 10},
		{"MY_ENUMERATOR", 32, true, 7},
	}
	for _, test := range tests {
		d := numbers{bits: test.bits, signed: test.signed, arch: "amd64", names: map[string]int64{"MY_ENUMERATOR": 7}}
		got, err := d.parse(test.text)
		if err != nil || got != test.want {
			t.Errorf("%q in %d bits, signed %t: got %#x, %v; want %#x", test.text, test.bits, test.signed, got, err, test.want)
		}
	}
}

func TestNumbersThatDoNotFitAreRefused(t *testing.T) {
	tests := []struct {
		text   string
		bits   int
		signed bool
	}{
		{"128", 8, true}, {"-129", 8, true}, {"0x100", 8, true}, {"256", 8, false}, {"-1", 8, false}, {"4294967295", 32, true},
		{"-9223372036854775809", 64, true}, {"9223372036854775808", 64, true}, {"18446744073709551616", 64, false},
		{"AT_FDCWD", 32, false}, {"O_CREAT|999999999999", 32, true}, {"--1", 32, true}, {"- 1", 32, true}, {"", 32, true},
		{"|", 32, true}, {"1|", 32, true}, {"0x", 32, true}, {"O_creat", 32, true}, {"1.0", 32, true}, {"０", 32, true},
	}
	for _, test := range tests {
		if got, err := (numbers{bits: test.bits, signed: test.signed}).parse(test.text); err == nil {
			t.Errorf("%q in %d bits, signed %t: read as %#x", test.text, test.bits, test.signed, got)
		}
	}
}

func TestIntervalsAreSortedAndJoined(t *testing.T) {
	signed := numbers{bits: 8, signed: true}
	tests := []struct {
		d    numbers
		in   []string
		want string
	}{
		{signed, []string{"5", "-3:-1", "0:4", "5"}, "-3:5"},
		{signed, []string{"127", "-128"}, "-128 127"},
		{signed, []string{"-128:127", "0"}, "-128:127"},
		{numbers{bits: 8}, []string{"255", "0", "254"}, "0 254:255"},
		{numbers{bits: 64}, []string{"0xffffffffffffffff", "1:2", "2:9"}, "1:9 18446744073709551615"},
		{numbers{bits: 64, signed: true}, []string{"-1:1", "0x7fffffffffffffff"}, "-1:1 9223372036854775807"},
	}
	for _, test := range tests {
		var in []Interval
		for _, s := range test.in {
			i, err := test.d.span(s)
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, i)
		}
		var got []string
		for _, i := range test.d.normal(in) {
			got = append(got, test.d.format(i))
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%v: got %s, want %s", test.in, s, test.want)
		}
	}
}

// The syscall package has the numbers of the architecture that the test runs on.
func TestConstantsHaveTheKernelsNumbers(t *testing.T) {
	tests := map[string]int64{
		"O_WRONLY": syscall.O_WRONLY, "O_CREAT": syscall.O_CREAT, "O_EXCL": syscall.O_EXCL, "O_TRUNC": syscall.O_TRUNC,
		"O_APPEND": syscall.O_APPEND, "O_DIRECT": syscall.O_DIRECT, "O_DIRECTORY": syscall.O_DIRECTORY, "O_NOFOLLOW": syscall.O_NOFOLLOW,
		"O_CLOEXEC": syscall.O_CLOEXEC, "O_SYNC": syscall.O_SYNC, "O_NONBLOCK": syscall.O_NONBLOCK, "O_NOATIME": syscall.O_NOATIME,
		"S_IFMT": syscall.S_IFMT, "S_IFSOCK": syscall.S_IFSOCK, "S_ISUID": syscall.S_ISUID, "PROT_EXEC": syscall.PROT_EXEC,
		"MAP_ANONYMOUS": syscall.MAP_ANON, "MAP_FIXED": syscall.MAP_FIXED, "CLONE_NEWUSER": syscall.CLONE_NEWUSER,
		"CLONE_NEWNS": syscall.CLONE_NEWNS, "CLONE_NEWPID": syscall.CLONE_NEWPID, "CLONE_NEWNET": syscall.CLONE_NEWNET, "CLONE_VFORK": syscall.CLONE_VFORK,
		"MS_BIND": syscall.MS_BIND, "MS_MOVE": syscall.MS_MOVE, "MS_PRIVATE": syscall.MS_PRIVATE, "PTRACE_ATTACH": syscall.PTRACE_ATTACH,
		"SOCK_RAW": syscall.SOCK_RAW, "SOCK_CLOEXEC": syscall.SOCK_CLOEXEC, "AF_PACKET": syscall.AF_PACKET, "AF_NETLINK": syscall.AF_NETLINK,
		"IPPROTO_SCTP": syscall.IPPROTO_SCTP, "IPPROTO_ICMPV6": syscall.IPPROTO_ICMPV6, "SIGKILL": int64(syscall.SIGKILL),
		"SIGSYS": int64(syscall.SIGSYS), "EPERM": int64(syscall.EPERM), "ECONNREFUSED": int64(syscall.ECONNREFUSED),
		"EHOSTUNREACH": int64(syscall.EHOSTUNREACH), "ELOOP": int64(syscall.ELOOP), "EINPROGRESS": int64(syscall.EINPROGRESS), "AT_FDCWD": -100,
	}
	for name, want := range tests {
		if got, ok := Constant(name, runtime.GOARCH); !ok || got != want {
			t.Errorf("%s is %d, %t; want %d", name, got, ok, want)
		}
	}
	if arm, _ := Constant("O_DIRECTORY", "arm64"); arm != 0o40000 {
		t.Errorf("O_DIRECTORY on arm64 is %#o", arm)
	}
	names := constantNames()
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("of %d names %d are unique", len(names), len(unique))
	}
}

func TestNetworksAreNormal(t *testing.T) {
	tests := map[string]string{
		"10.1.2.3":               "10.1.2.3/32",
		"10.1.2.3/8":             "10.0.0.0/8",
		"0.0.0.0/0":              "0.0.0.0/0",
		"::1":                    "::1/128",
		"2001:db8::1/32":         "2001:db8::/32",
		"::ffff:10.0.0.1":        "10.0.0.1/32",
		"::ffff:10.0.0.0/104":    "10.0.0.0/8",
		"::ffff:0:0/90":          "::ffc0:0:0/90",
		"::/0":                   "::/0",
		"fe80:0000:0::0001/0128": "fe80::1/128",
	}
	for in, want := range tests {
		got, err := parseNetwork(in)
		if in == "::ffff:0:0/90" { // wider than what is mapped: stays IPv6
			want = netip.MustParsePrefix("::ffff:0:0/90").Masked().String()
		}
		if err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestDurationsAreSecondsOrHaveAUnit(t *testing.T) {
	tests := map[string]time.Duration{"0": 0, "10": 10 * time.Second, "5s": 5 * time.Second, "2m": 2 * time.Minute, "1h": time.Hour, "250ms": 250 * time.Millisecond}
	for in, want := range tests {
		if got, ok := parseDuration(in); !ok || got != want {
			t.Errorf("%s: got %s, %t; want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "5 s", "s", "1d", "-1"} {
		if got, ok := parseDuration(in); ok {
			t.Errorf("%q: read as %s", in, got)
		}
	}
}

func TestPathsThroughStructuresAreSplit(t *testing.T) {
	tests := map[string]string{
		"pid": ".pid", "mm.owner.comm": ".mm.owner.comm", "file->f_path.dentry": ".file.f_path.dentry", "fd[0]": ".fd[0]",
		"a[1][0x2].b": ".a[1][2].b", "[3].x": "[3].x",
	}
	for in, want := range tests {
		steps, bad := parsePath(in)
		got := ""
		for _, s := range steps {
			got += s.String()
		}
		if bad != "" || got != want {
			t.Errorf("%s: got %s (%s), want %s", in, got, bad, want)
		}
	}
	for _, in := range []string{"", ".", "a.", ".a", "a..b", "a[", "a[]", "a[-1]", "a[1]b", "a[1].", "a.[1]", "a[1].[2]", "a b", "é", "[99999999999]"} {
		if steps, bad := parsePath(in); bad == "" {
			t.Errorf("%q: read as %v", in, steps)
		}
	}
}

func TestSyscallsHaveTheirBareName(t *testing.T) {
	tests := map[string]string{
		"sys_mount": "syscall mount", "__x64_sys_mount": "syscall mount", "__ia32_compat_sys_execve": "syscall execve",
		"mount": "syscall mount", "i386/sys_dup": "syscall dup (compat)", "arm64/sys_dup": "syscall dup (native)", "x64/dup": "syscall dup (native)",
		"sys_sysinfo": "syscall sysinfo",
	}
	for in, want := range tests {
		r := Parser{}.reader()
		if c, ok := r.syscall(Raw{Text: in}); !ok || c.String() != want {
			t.Errorf("%s: got %s, %v; want %s", in, c, r.errs, want)
		}
	}
	for in, want := range map[string]bool{
		"sys_mount": true, "__arm64_sys_mount": true, "i386/sys_dup": true, "sys_": false, "ksys_write": false, "do_sys_open": false,
		"security_file_open": false, "__se_sys_mount": false, "a/b": false,
	} {
		if got := looksLikeSyscall(in); got != want {
			t.Errorf("%s looks like a syscall: %t", in, got)
		}
	}
}

func TestRegisterAssignmentsAreParsed(t *testing.T) {
	tests := map[string]Assignment{
		"rax=11":       {Register: "rax", Value: 11},
		"rax=-0x10":    {Register: "rax", Value: -16},
		"rbp=%rsp":     {Register: "rbp", From: "rsp"},
		"rbp=(%rsp)":   {Register: "rbp", From: "rsp", Memory: true},
		"rip=8%rsp":    {Register: "rip", From: "rsp", Value: 8},
		"rip=-8(%rsp)": {Register: "rip", From: "rsp", Value: -8, Memory: true},
	}
	for in, want := range tests {
		if got, ok := parseAssignment(in); !ok || got != want {
			t.Errorf("%s: got %+v, %t; want %+v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "rax", "rax=", "=1", "rax=x", "rax=(%rsp", "rax=%rsp)", "rax=8(rsp)", "rax=()", "rax=%"} {
		if got, ok := parseAssignment(in); ok {
			t.Errorf("%q: read as %+v", in, got)
		}
	}
}

func TestNearestFindsMisspeltWords(t *testing.T) {
	choices := []string{"kprobes", "uprobes", "tracepoints", "lsmhooks", "usdts"}
	tests := map[string]string{
		"Kprobes": "kprobes", "kprobe": "kprobes", "krpobes": "kprobes", "probes": "kprobes uprobes", "tracepoint": "tracepoints",
		"lsmHooks": "lsmhooks", "xyz": "", "": "", strings.Repeat("k", 100): "",
	}
	for in, want := range tests {
		if got := strings.Join(Nearest(in, choices), " "); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
