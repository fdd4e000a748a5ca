// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHooksSayWhyNot(t *testing.T) {
	f := fixture(t, Fentry, Kprobe, KprobeMulti, OverrideReturn)
	const caller = "; hook a function that calls it"
	for _, c := range []struct{ name, fentry, kprobe, multi, override string }{
		{name: "security_file_open"},
		{
			name: "copies", fentry: "fentry on copies cannot be used: 2 functions have this name and cannot be told apart" + caller,
			kprobe:   "kprobe on copies cannot be used: 2 functions have this name and cannot be told apart" + caller,
			multi:    "kprobe.multi on copies cannot be used: 2 functions have this name and cannot be told apart" + caller,
			override: "bpf_override_return on copies cannot be used: 2 functions have this name and cannot be told apart" + caller,
		},
		{
			name: "hidden", fentry: "fentry on hidden cannot be used: it is marked notrace, or was made without the entry that ftrace needs" + caller,
			multi:    "kprobe.multi on hidden cannot be used: it is marked notrace, or was made without the entry that ftrace needs" + caller,
			override: "bpf_override_return on hidden cannot be used: it is not marked ALLOW_ERROR_INJECTION; deny it in an LSM hook",
		},
		{
			name: "idle", kprobe: "kprobe on idle cannot be used: the kernel's kprobe blacklist has it" + caller,
			multi:    "kprobe.multi on idle cannot be used: the kernel's kprobe blacklist has it" + caller,
			override: "bpf_override_return on idle cannot be used: the kernel's kprobe blacklist has it" + caller,
		},
		{
			name: "printk", fentry: "fentry on printk cannot be used: it takes a variable number of arguments; use a kprobe",
			override: "bpf_override_return on printk cannot be used: it is not marked ALLOW_ERROR_INJECTION; deny it in an LSM hook",
		},
		{
			name: "wide_arguments", fentry: "fentry on wide_arguments cannot be used: argument b is a structure of 24 bytes, and fentry takes 16; use a kprobe",
			override: "bpf_override_return on wide_arguments cannot be used: it is not marked ALLOW_ERROR_INJECTION; deny it in an LSM hook",
		},
		{
			name: "many_arguments", fentry: "fentry on many_arguments cannot be used: its arguments take 7 words, and fentry takes 6 on this kernel; use a kprobe",
			override: "bpf_override_return on many_arguments cannot be used: it is not marked ALLOW_ERROR_INJECTION; deny it in an LSM hook",
		},
	} {
		h, err := f.Hook(c.name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, way := range []struct {
			what string
			got  error
			want string
		}{{"fentry", h.Fentry, c.fentry}, {"kprobe", h.Kprobe, c.kprobe}, {"kprobe.multi", h.KprobeMulti, c.multi}, {"override", h.Override, c.override}} {
			switch {
			case way.got == nil && way.want == "":
			case way.got == nil || way.got.Error() != way.want:
				t.Errorf("got  %v\nwant %s", way.got, way.want)
			case !errors.Is(way.got, errors.ErrUnsupported):
				t.Errorf("%v is not certain", way.got)
			}
		}
	}
	if h, err := fixture(t, Fentry, StackArguments).Hook("many_arguments"); err != nil || h.Fentry != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestFunctionsWithoutTypesCanBeProbed(t *testing.T) {
	f := fixture(t, Fentry, Kprobe)
	h, err := f.Hook("untyped")
	if err != nil || h.Kprobe != nil || h.Fentry == nil {
		t.Errorf("%+v, %v", h, err)
	}
	if h, err = f.Hook("ext_open"); err != nil || h.Module != "ext" || h.Kprobe != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestListsThatCannotBeReadHoldNothingAgainstAFunction(t *testing.T) {
	files := fixtureFiles(t)
	delete(files, "sys/kernel/tracing/available_filter_functions")
	delete(files, "sys/kernel/debug/kprobes/blacklist")
	f := Fixture(files, Fentry, Kprobe)
	for _, name := range []string{"hidden", "idle"} {
		if h, err := f.Hook(name); err != nil || h.Fentry != nil || h.Kprobe != nil {
			t.Errorf("%+v, %v", h, err)
		}
	}
	if _, err := f.Traceable(); err == nil {
		t.Error("the list of traceable functions is there")
	}
}

func TestTraceableAreSortedAndOnce(t *testing.T) {
	names, err := fixture(t).Traceable()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bpf_lsm_file_open", "copies", "ext_open", "idle", "many_arguments", "printk", "security_file_open", "untyped", "walk", "wide_arguments"}
	if got := slices.Collect(names); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestSymbolsAreFunctionsThatCanBeHooked(t *testing.T) {
	s, err := parseKallsyms(strings.NewReader(fixtureSymbols))
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(s.all())
	if !slices.IsSorted(names) || len(names) != s.len()-1 { // copies is twice there
		t.Errorf("%q", names)
	}
	for _, not := range []string{"__pfx_idle", "data", "idle.cold", "bpf_prog_6deef7357e7b4530", "a"} {
		if slices.Contains(names, not) {
			t.Errorf("%s is a symbol", not)
		}
	}
	modules, err := fixture(t).Modules()
	if err != nil || !slices.Equal(modules, []string{"ext"}) {
		t.Errorf("%q, %v", modules, err)
	}
	if got := slices.Collect(s.withPrefix("__ia32_")); !slices.Equal(got, []string{"__ia32_compat_sys_openat", "__ia32_sys_read"}) {
		t.Errorf("%q", got)
	}
}

func TestSyscallsOfEachABI(t *testing.T) {
	f := fixture(t)
	abis, err := f.ABIs()
	if err != nil || !slices.Equal(abis, []ABI{X8664, I386}) {
		t.Fatalf("%v, %v", abis, err)
	}
	for _, name := range []string{"openat", "sys_openat", "__x64_sys_openat", "__ia32_compat_sys_openat"} {
		calls, err := f.Syscall(name)
		if err != nil || len(calls) != 2 {
			t.Fatalf("%s: %+v, %v", name, calls, err)
		}
		if c := calls[0]; c != (Syscall{"openat", X8664, 257, "__x64_sys_openat", "sys_openat", false}) {
			t.Errorf("%+v", c)
		}
		if c := calls[1]; c != (Syscall{"openat", I386, 295, "__ia32_compat_sys_openat", "compat_sys_openat", false}) {
			t.Errorf("%+v", c)
		}
	}
	for _, name := range []string{"stat", "newstat", "sys_newstat"} {
		if c, err := f.Syscall(name); err != nil || c[0].Number != 4 || c[0].Name != "stat" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if c, err := f.Syscall("quite_new"); err != nil || c[0].Number != -1 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := f.Syscall("io_uring_setup"); err != nil || !c[0].Stub {
		t.Errorf("%+v, %v", c, err)
	}
	for name, want := range map[string]string{
		"opneat":   "no syscall opneat in this kernel; did you mean openat?",
		"renameat": "no syscall renameat in this kernel: its function is not there; these have it: [x86_64 i386 x32 arm64 arm]",
		"rtas":     "no syscall rtas in this kernel",
	} {
		if c, err := f.Syscall(name); !errors.Is(err, ErrNotFound) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v\ngot  %v\nwant %s", c, err, want)
		}
	}
}

func TestSyscallParametersComeFromTheTable(t *testing.T) {
	f := fixture(t)
	calls, err := f.Syscall("openat")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		params, ok := f.SyscallParams(c)
		if !ok || len(params) != 4 || params[1].Name != "filename" || params[1].Type.String() != "const char *" || params[3].Slot != 3 {
			t.Errorf("%s: %+v", c.Entry, params)
		}
	}
	if p, ok := f.SyscallParams(Syscall{Implementation: "compat_sys_fanotify_mark"}); ok {
		t.Errorf("%+v", p)
	}
	if p, ok := f.SyscallParams(Syscall{Implementation: "sys_getpid"}); !ok || len(p) != 0 {
		t.Errorf("%+v, %t", p, ok)
	}
}

// TestTablesOfSyscallsAreWhole checks what users of the tables rely on.
func TestTablesOfSyscallsAreWhole(t *testing.T) {
	type key struct {
		abi    ABI
		number int
	}
	numbers, count := map[key]string{}, [abiCount]int{}
	for s := range tableRows() {
		k := key{s.ABI, s.Number}
		if other := numbers[k]; other != "" || s.Name == "" || s.Number < 0 || !strings.Contains(s.Implementation, "sys_") {
			t.Errorf("%+v, %s", s, other)
		}
		numbers[k] = s.Name
		count[s.ABI]++
	}
	for i, least := range [abiCount]int{X8664: 360, I386: 430, X32: 360, ARM64: 320, ARM: 410} {
		if count[i] < least {
			t.Errorf("%s: %d system calls", ABI(i), count[i])
		}
	}
	for _, c := range []struct {
		abi    ABI
		number int
		name   string
	}{{X8664, 59, "execve"}, {I386, 11, "execve"}, {X32, 520, "execve"}, {ARM64, 221, "execve"}, {ARM, 11, "execve"},
		{ARM64, 79, "newfstatat"}, {ARM64, 25, "fcntl"}, {ARM, 462, "mseal"}, {X8664, 469, "file_setattr"}} {
		if name, ok := SyscallNameOf(c.abi, c.number); !ok || name != c.name {
			t.Errorf("%s %d: %q", c.abi, c.number, name)
		}
	}
	if name, ok := SyscallNameOf(X8664, 100000); ok {
		t.Error(name)
	}
}

func TestFeaturesOfAFixture(t *testing.T) {
	f := fixture(t, Kprobe)
	if err := f.Has(Kprobe); err != nil {
		t.Error(err)
	}
	err := f.Has(Fentry)
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "use a kprobe") {
		t.Error(err)
	}
	if err := f.Has(featureCount); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	for _, feature := range Features() {
		row := rows()[feature]
		if row.name == "" || row.try == nil {
			t.Errorf("feature %d has no row", feature)
		}
	}
}

func TestLSMNeedsToBeActive(t *testing.T) {
	for text, active := range map[string]bool{"capability,bpf\n": true, "lockdown,capability,bpfish": false, "": false} {
		f := Fixture(fstest.MapFS{lsmFile: {Data: []byte(text)}})
		if err := f.lsmActive(); (err == nil) != active {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := Fixture(fstest.MapFS{}).lsmActive(); err != nil {
		t.Error(err)
	}
}

func FuzzKallsyms(f *testing.F) {
	f.Add(fixtureSymbols)
	f.Add("0 t a\n0 t a\t[m]\n0 W b [m]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseKallsyms(strings.NewReader(text))
		if err != nil {
			return // a line without end
		}
		for i := range s.at {
			from, to := s.find(string(s.name(i)))
			if i < from || i >= to || int(s.module[i]) >= len(s.modules) {
				t.Fatalf("%q is found at %d to %d, not %d", s.name(i), from, to, i)
			}
		}
	})
}

func FuzzLists(f *testing.F) {
	f.Add(fixtureFilter)
	f.Add(fixtureBlacklist)
	f.Add("security_file_open\tERRNO\next_open [ext]\tNULL\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseKallsyms(strings.NewReader(fixtureSymbols))
		if err != nil {
			t.Fatal(err)
		}
		for _, read := range []func() error{
			func() error { return s.filter(strings.NewReader(text)) },
			func() error { return s.blacklist(strings.NewReader(text)) },
			func() error { return s.readInjectable(strings.NewReader(text)) },
		} {
			if err := read(); err != nil && len(text) < maxLine {
				t.Fatal(err)
			}
		}
		if !slices.IsSorted(s.injectable) {
			t.Fatal(s.injectable)
		}
	})
}
