// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

func TestPrototypesAreC(t *testing.T) {
	f := fixture(t)
	for name, want := range map[string]string{
		"security_file_open": "int security_file_open(struct file *file)",
		"idle":               "void idle(void)",
		"printk":             "int printk(const char *fmt, ...)",
		"walk":               "unsigned long walk(struct path path, int (*fn)(void *arg), char *const *const argv)",
		"wide_arguments":     "void wide_arguments(struct big b, volatile unsigned int n)",
		"from_user":          "bool from_user(const char __user *s)",
	} {
		fn, err := f.Function(name)
		if err != nil {
			t.Error(err)
		} else if got := fn.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestParametersTellTheirSlotsAndTypes(t *testing.T) {
	f := fixture(t)
	fn, err := f.Function("wide_arguments")
	if err != nil {
		t.Fatal(err)
	}
	if fn.Params[0].Slots != 3 || fn.Params[1].Slot != 3 || fn.Slots() != 4 {
		t.Errorf("%+v", fn.Params)
	}
	if n, ok := fn.Param("n"); !ok || n.Type.Kind != Int || n.Type.Signed || n.Type.Size != 4 {
		t.Errorf("n: %+v", n)
	}
	if _, ok := fn.Param("m"); ok {
		t.Error("a parameter that there is not")
	}
	if fn, err = f.Function("printk"); err != nil || !fn.Variadic || len(fn.Params) != 1 {
		t.Errorf("%+v, %v", fn, err)
	}
	if fn, err = f.Function("from_user"); err != nil || fn.Params[0].Type.Tag != "user" || !fn.Params[0].Type.Elem().IsChar() || fn.Return.Kind != Bool {
		t.Errorf("%+v, %v", fn, err)
	}
}

func TestFunctionsThatAreNotThere(t *testing.T) {
	f := fixture(t)
	for name, want := range map[string]string{
		"security_file_opne": "no function security_file_opne in this kernel; did you mean security_file_open?",
		"changed":            "no function changed in this kernel: the compiler has made changed.isra.0 of it, whose arguments differ",
		"untyped":            "no function untyped in this kernel: the symbol is there, but the kernel's type information has no such function",
		"zzzzzz":             "no function zzzzzz in this kernel",
		"file_open":          "no function file_open in this kernel; did you mean bpf_lsm_file_open, security_file_open?",
	} {
		_, err := f.Function(name)
		if !errors.Is(err, ErrNotFound) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestLSMHooks(t *testing.T) {
	f := fixture(t)
	hooks, err := f.LSMHooks()
	if err != nil || !slices.Equal(hooks, []string{"file_open"}) {
		t.Errorf("%v, %v", hooks, err)
	}
	if _, err := f.LSMHook("func_proto"); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is no hook: %v", err)
	}
	hook, err := f.LSMHook("file_open")
	if err != nil || hook.Name != "bpf_lsm_file_open" || hook.ID == 0 {
		t.Errorf("%+v, %v", hook, err)
	}
}

func TestRawTracepointsHideTheirOwnParameter(t *testing.T) {
	f := fixture(t)
	tp, err := f.RawTracepoint("sched_process_exec")
	if err != nil || tp.String() != "void sched_process_exec(struct file *p, int old)" || tp.Params[0].Slot != 0 {
		t.Errorf("%s, %v", tp, err)
	}
	var lost *NotFound
	if _, err = f.RawTracepoint("sched_process_exce"); !errors.As(err, &lost) || !slices.Equal(lost.Near, []string{"sched_process_exec"}) {
		t.Error(err)
	}
}

func TestKfuncsNeedTheNameOnlyWhereNoneIsTagged(t *testing.T) {
	if _, err := fixture(t).Kfunc("idle"); err != nil {
		t.Error(err)
	}
	if _, err := fixture(t).Kfunc("nothing"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestTypesByName(t *testing.T) {
	f := fixture(t)
	for text, want := range map[string]string{
		"struct file": "struct file", "file": "struct file", "struct file *": "struct file *", "enum mode": "enum mode",
		"umode_t": "umode_t", "unsigned long": "unsigned long", "long unsigned int": "unsigned long", "unsigned": "unsigned int",
		"const char *": "const char *", "char[16]": "char[16]", "bool": "bool", "void *": "void *", "unsigned short": "unsigned short",
		"struct nowhere *": "struct nowhere *", "const char __user *const *": "const char **",
	} {
		got, err := f.TypeByName(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "*", "struct", "struct nowhere", "struct file file", "int (*)(void)", "a[1][2]", "file x", "char[", "* int"} {
		if got, err := f.TypeByName(text); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	_, err := f.TypeByName("struct fiel")
	if want := "no type struct fiel in this kernel; did you mean file?"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestEnumsTellNamesAndFlags(t *testing.T) {
	f := fixture(t)
	mode, err := f.TypeByName("enum mode")
	if err != nil {
		t.Fatal(err)
	}
	e, ok := mode.Enum()
	if v, found := e.Value("MODE_EXEC"); !ok || !found || v != 4 {
		t.Errorf("%+v", e)
	}
	for value, want := range map[uint64][2]string{
		0: {"MODE_NONE", "MODE_NONE"}, 3: {"3", "MODE_READ|MODE_WRITE"}, 4: {"MODE_EXEC", "MODE_EXEC"},
		7: {"MODE_ALL", "MODE_READ|MODE_WRITE|MODE_EXEC"}, 0x41: {"65", "MODE_READ|0x40"},
	} {
		if text, flags := e.Text(value), e.Flags(value); text != want[0] || flags != want[1] {
			t.Errorf("%d: %s, %s", value, text, flags)
		}
	}
	for name, want := range map[string]uint64{"MODE_WRITE": 2, "BAD": 1<<64 - 1, "WIDE_TOP": 1 << 63} {
		if got, _, err := f.EnumConstant(name); err != nil || got != want {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	if _, enum, _ := f.EnumConstant("MODE_WRITE"); enum != "mode" {
		t.Errorf("enum %q", enum)
	}
	var lost *NotFound
	if _, _, err := f.EnumConstant("MODE_WRTIE"); !errors.As(err, &lost) || lost.Near[0] != "MODE_WRITE" {
		t.Error(err)
	}
	if _, ok := (Type{}).Enum(); ok {
		t.Error("void is an enum")
	}
}

// TestNothingIsKnownOfAnEmptySystem has errors that tell what could not be read, and no panic.
func TestNothingIsKnownOfAnEmptySystem(t *testing.T) {
	f := Fixture(fstest.MapFS{})
	_, e1 := f.Function("x")
	_, e2 := f.LSMHooks()
	_, e3 := f.TypeByName("int")
	_, e4 := f.Modules()
	for _, err := range []error{e1, e2, e3, e4} {
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	var unknown *Unsupported
	if _, err := f.Tracepoint("a", "b"); !errors.As(err, &unknown) || !unknown.Unknown || errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if f.Release() != "" {
		t.Error(f.Release())
	}
}

// TestTypesAloneAreEnough: golden tests of a compiler need a blob of types and no other file.
func TestTypesAloneAreEnough(t *testing.T) {
	f := Fixture(fstest.MapFS{"sys/kernel/btf/vmlinux": {Data: blob(t, fixtureTypes()...)}}, Fentry, Kprobe)
	h, err := f.Hook("security_file_open")
	if err != nil || h.Fentry != nil || h.Kprobe != nil || h.Copies != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	if !errors.Is(h.KprobeMulti, errors.ErrUnsupported) {
		t.Error(h.KprobeMulti)
	}
	_, err = f.Hook("security_file_opne")
	if err == nil || !strings.Contains(err.Error(), "did you mean security_file_open?") {
		t.Error(err)
	}
}

func TestBrokenTypesAreToldNotTrusted(t *testing.T) {
	whole := blob(t, fixtureTypes()...)
	for n := range whole {
		f := Fixture(fstest.MapFS{"sys/kernel/btf/vmlinux": {Data: whole[:n]}})
		if _, err := f.LSMHooks(); err == nil {
			t.Fatalf("%d of %d bytes were taken for types", n, len(whole))
		}
	}
}

func TestForgetReadsAgain(t *testing.T) {
	files := fixtureFiles(t)
	f := Fixture(files, Fentry)
	if _, err := f.Hook("late"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	files["proc/kallsyms"] = &fstest.MapFile{Data: []byte(fixtureSymbols + "0 T late\n")}
	if _, err := f.Hook("late"); !errors.Is(err, ErrNotFound) {
		t.Errorf("facts changed without Forget: %v", err)
	}
	f.Forget()
	if _, err := f.Hook("late"); err != nil {
		t.Error(err)
	}
}

func TestFactsMayBeAskedConcurrently(t *testing.T) {
	f := fixture(t, Fentry)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if h, err := f.Hook("security_file_open"); err != nil || h.Fentry != nil {
					t.Errorf("%+v, %v", h, err)
				}
				if _, err := f.Syscalls(); err != nil {
					t.Error(err)
				}
				f.Forget()
			}
		})
	}
	all.Wait()
}
