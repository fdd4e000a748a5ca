// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// running returns the facts of the running kernel, and skips where it has no types.
func running(t *testing.T) *Facts {
	t.Helper()
	f := Running()
	_, err := f.spec("")
	vmtest.SkipUnless(t, err == nil, "type information", "6.1", "6.12", vmtest.Host)
	return f
}

// inVM tells whether the kernel is one of those that have all ways of attaching.
func inVM() bool { return vmtest.Kernel() == "6.1" || vmtest.Kernel() == "6.12" }

func TestRunningPrototypes(t *testing.T) {
	f := running(t)
	for name, want := range map[string]string{
		"security_file_open": "int security_file_open(struct file *file)",
		"fd_install":         "void fd_install(unsigned int fd, struct file *file)",
		"do_sys_openat2":     "long do_sys_openat2(int dfd, const char *filename, struct open_how *how)",
		"tcp_connect":        "int tcp_connect(struct sock *sk)",
	} {
		fn, err := f.Function(name)
		if err != nil {
			t.Error(err)
			continue
		}
		// 6.18 returns int from do_sys_openat2, and has it inlined in places.
		if got := fn.String(); got != want && !strings.HasPrefix(got, "int do_sys_openat2") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if fn.ID == 0 || fn.Module != "" {
			t.Errorf("%s: type %d of module %q", name, fn.ID, fn.Module)
		}
	}
}

func TestRunningPaths(t *testing.T) {
	f := running(t)
	for _, c := range []struct {
		root, path string
		hops       int
		load       uint32
		typ        string
	}{
		{"struct task_struct", "cred.uid.val", 1, 4, "uid_t"},
		{"struct task_struct", "group_leader.start_boottime", 1, 8, "u64"},
		{"struct task_struct", "mm.exe_file.f_inode.i_ino", 3, 8, "unsigned long"},
		{"struct task_struct", "comm", 0, 0, "char[16]"},
		{"struct task_struct", "comm[3]", 0, 1, "char"},
		{"struct file *", "f_path.dentry.d_inode.i_ino", 2, 8, "unsigned long"},
		{"struct sock", "__sk_common.skc_dport", 0, 2, "__be16"},
		{"struct sock", "__sk_common.skc_daddr", 0, 4, "__be32"}, // in a union in a struct, both without a name
		{"struct sk_buff", "dev.name[0]", 1, 1, "char"},
	} {
		root, err := f.TypeByName(c.root)
		if err != nil {
			t.Error(err)
			continue
		}
		p, err := root.Resolve(c.path)
		if err != nil {
			t.Errorf("%s %s: %v", c.root, c.path, err)
			continue
		}
		if len(p.Hops) != c.hops || p.Load != c.load || p.Type.String() != c.typ {
			t.Errorf("%s %s: %d hops, load %d, type %s", c.root, c.path, len(p.Hops), p.Load, p.Type)
		}
	}
	sock, err := f.TypeByName("struct sock")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := sock.Resolve("sk_ipv6only"); !errors.As(err, new(*PathError)) {
		t.Errorf("a macro of the source is found as a field: %+v", p)
	}
	if p, err := sock.Resolve("__sk_common.skc_ipv6only"); err != nil || p.Bits != 1 || p.Load != 1 {
		t.Errorf("a bit field: %+v, %v", p, err)
	}
}

func TestRunningTracepoints(t *testing.T) {
	f := running(t)
	raw, err := f.RawTracepoint("sched_process_exec")
	if err != nil {
		t.Fatal(err)
	}
	// 6.1: without the name of the program in the prototype? All have task, old pid, binprm.
	if len(raw.Params) != 3 || raw.Params[0].Type.String() != "struct task_struct *" || raw.Params[2].Type.String() != "struct linux_binprm *" {
		t.Errorf("raw: %s", raw)
	}
	names, err := f.RawTracepoints()
	if err != nil || len(names) < 100 || !slices.Contains(names, "sched_process_exec") {
		t.Errorf("%d raw tracepoints, %v", len(names), err)
	}

	classic, err := f.Tracepoint("sched", "sched_process_exec")
	var unsupported *Unsupported
	vmtest.SkipUnless(t, !errors.As(err, &unsupported), "tracefs", "6.1", "6.12")
	if err != nil {
		t.Fatal(err)
	}
	file, err := classic.Field("filename")
	if err != nil || file.Data != FromRecord || file.Text != "char[]" {
		t.Errorf("filename: %+v, %v", file, err)
	}
	pid, err := classic.Field("pid")
	if err != nil || pid.Size != 4 || !pid.Signed || pid.Type.String() != "pid_t" {
		t.Errorf("pid: %+v (%s), %v", pid, pid.Type, err)
	}
	_, err = f.Tracepoint("sched", "sched_process_exce")
	var lost *NotFound
	if !errors.As(err, &lost) || !slices.Contains(lost.Near, "sched:sched_process_exec") {
		t.Errorf("misspelt: %v", err)
	}
	all, err := f.Tracepoints()
	if err != nil || len(all) < 500 {
		t.Errorf("%d tracepoints, %v", len(all), err)
	}
	for _, name := range all {
		group, event, _ := strings.Cut(name, ":")
		// Those of ftrace itself are not tracepoints and have formats of their own.
		if _, err := f.Tracepoint(group, event); err != nil && group != "ftrace" && !missing(err) && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
}

func TestRunningLSMHooks(t *testing.T) {
	f := running(t)
	hooks, err := f.LSMHooks()
	if err != nil {
		t.Fatal(err)
	}
	vmtest.SkipUnless(t, len(hooks) > 0, "LSM hooks for programs", "6.1", "6.12")
	if len(hooks) < 200 || !slices.Contains(hooks, "file_open") || slices.Contains(hooks, "func_proto") {
		t.Errorf("%d hooks", len(hooks))
	}
	hook, err := f.LSMHook("file_open")
	if err != nil || hook.String() != "int bpf_lsm_file_open(struct file *file)" {
		t.Errorf("%s, %v", hook, err)
	}
	var lost *NotFound
	if _, err = f.LSMHook("file_opne"); !errors.As(err, &lost) || !slices.Contains(lost.Near, "file_open") {
		t.Errorf("misspelt: %v", err)
	}
}

func TestRunningHooks(t *testing.T) {
	f := running(t)
	h, err := f.Hook("tcp_connect")
	if err != nil {
		t.Fatal(err)
	}
	if h.Copies != 1 || h.Module != "" {
		t.Errorf("%+v", h)
	}
	if inVM() && (h.Fentry != nil || h.Kprobe != nil) {
		t.Errorf("fentry: %v; kprobe: %v", h.Fentry, h.Kprobe)
	}
	if vmtest.Kernel() == "6.12" && h.KprobeMulti != nil {
		t.Error(h.KprobeMulti)
	}
	if os.Geteuid() == 0 && h.Override == nil { // others cannot tell
		t.Error("bpf_override_return is told to work on tcp_connect")
	}
	if !inVM() {
		return
	}
	// Both are in the lists of each kernel: the first may not be traced at all, the second not by kprobes.
	for name, bad := range map[string]func(Hook) (fentry, kprobe bool){
		"notrace": func(h Hook) (bool, bool) { return h.Fentry != nil, h.Kprobe != nil },
	} {
		s, err := f.syms()
		if err != nil || s.filterErr != nil || s.blacklistErr != nil {
			t.Fatal(name, err, s.filterErr, s.blacklistErr)
		}
		seen := 0
		for i := range s.at {
			if s.marks[i]&blacklisted == 0 {
				continue
			}
			h, err := f.Hook(string(s.name(i)))
			if err != nil {
				continue
			}
			if _, kprobe := bad(h); !kprobe {
				t.Errorf("%s: on the blacklist, and kprobe is told to work", h.Function)
			}
			seen++
		}
		if seen < 50 {
			t.Errorf("%d functions of the blacklist seen", seen)
		}
	}
	several := 0
	for name := range mustSyms(t, f).all() {
		if from, to := f.symbols.find(name); to-from > 1 {
			several++
			if several == 1 {
				if h, err := f.Hook(name); err != nil || h.Kprobe == nil || !strings.Contains(h.Kprobe.Error(), "functions have this name") {
					t.Errorf("%s: %+v, %v", name, h, err)
				}
			}
		}
	}
	if several == 0 {
		t.Error("no name is that of several functions")
	}
}

func mustSyms(t *testing.T, f *Facts) *symbols {
	t.Helper()
	s, err := f.syms()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRunningModules(t *testing.T) {
	f := running(t)
	modules, err := f.Modules()
	if err != nil {
		t.Fatal(err)
	}
	vmtest.SkipUnless(t, slices.Contains(modules, "overlay"), "the overlay module", "6.1", "6.12")
	fn, err := f.Function("ovl_open")
	if err != nil || fn.Module != "overlay" || fn.Params[0].Type.String() != "struct inode *" {
		t.Errorf("%s of %q, %v", fn, fn.Module, err)
	}
	h, err := f.Hook("ovl_open")
	if err != nil || h.Module != "overlay" || h.Fentry != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestRunningSyscalls(t *testing.T) {
	f := running(t)
	all, err := f.Syscalls()
	if err != nil {
		t.Fatal(err)
	}
	count := map[ABI]int{}
	for _, s := range all {
		count[s.ABI]++
		if s.Number < 0 && inVM() {
			t.Errorf("%s is not in the tables", s.Entry)
		}
	}
	t.Log(count)
	if count[X8664] < 330 && count[ARM64] < 280 {
		t.Errorf("%v", count)
	}
	calls, err := f.Syscall("sys_openat")
	if err != nil {
		t.Fatal(err)
	}
	if inVM() {
		var entries []string
		for _, c := range calls {
			entries = append(entries, c.Entry)
		}
		want := []string{"__x64_sys_openat", "__ia32_compat_sys_openat"}
		if len(entries) < 2 || entries[0] != want[0] || entries[1] != want[1] {
			t.Errorf("openat: %v", entries)
		}
	}
	params, ok := f.SyscallParams(calls[0])
	if !ok || len(params) != 4 || params[1].Name != "filename" || params[1].Type.String() != "const char *" || params[3].Type.String() != "umode_t" {
		t.Errorf("openat: %+v", params)
	}
	if c, err := f.Syscall("stat"); err != nil || c[0].Implementation != "sys_newstat" {
		t.Errorf("stat: %+v, %v", c, err)
	}
	for _, s := range all {
		params, _ := f.SyscallParams(s)
		for _, p := range params {
			if p.Type.Kind == Void {
				t.Errorf("%s: the type of %s is not known", s.Entry, p.Name)
			}
		}
	}
}

func TestRunningFeatures(t *testing.T) {
	vmtest.Root(t)
	f := running(t)
	start := time.Now()
	for _, feature := range Features() {
		begin := time.Now()
		err := f.Has(feature)
		t.Logf("%-45s %8s %v", feature, time.Since(begin).Round(time.Microsecond), err)
		if again := f.Has(feature); again != err {
			t.Errorf("%s: %v, then %v", feature, err, again)
		}
	}
	t.Logf("all: %s", time.Since(start))

	always := []Feature{RawTracepoints, Uprobe, Loop, TaskStorage, LPMTrie, RingBuffer, StackTrace, BloomFilter, SendSignal, CompareStrings}
	probes := []Feature{Fentry, LSM, ModifyReturn, Kprobe, DPath, CopyFromUser, AttachCookie, FunctionIP}
	since := []Feature{KprobeMulti, UprobeMulti, StackArguments, OpenIterators, Version4, KprobeSession}
	want := map[string]map[Feature]bool{vmtest.Host: {}, "6.1": {}, "6.12": {}}
	for kernel, has := range want {
		for _, feature := range always {
			has[feature] = true
		}
		for _, feature := range probes {
			has[feature] = kernel != vmtest.Host || feature == AttachCookie || feature == FunctionIP
		}
		for _, feature := range since {
			has[feature] = kernel == "6.12"
		}
		has[OverrideReturn] = false
	}
	host := want[vmtest.Host]
	host[UprobeMulti], host[OpenIterators], host[Version4] = true, true, true
	for feature, has := range want[vmtest.Kernel()] {
		if err := f.Has(feature); (err == nil) != has {
			t.Errorf("%s: %v", feature, err)
		} else if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: not certain: %v", feature, err)
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRunningCost holds what facts cost while they are held, and that they can be let go.
func TestRunningCost(t *testing.T) {
	empty := heap()
	f := running(t)
	step := func(what string, do func()) {
		start := time.Now()
		do()
		took := time.Since(start)
		t.Logf("%-40s %10s, %7d bytes held", what, took.Round(time.Microsecond), heap()-empty)
	}
	step("types", func() { _, _ = f.spec("") })
	step("a function", func() { _, _ = f.Function("security_file_open") })
	step("another function", func() { _, _ = f.Function("tcp_connect") })
	step("symbols", func() { _, _ = f.syms() })
	step("a hook", func() { _, _ = f.Hook("fd_install") })
	step("all system calls", func() { _, _ = f.Syscalls() })
	step("list of LSM hooks", func() { _, _ = f.LSMHooks() })
	step("a misspelt function", func() {
		var lost *NotFound
		if _, err := f.Function("security_file_opne"); !errors.As(err, &lost) || !slices.Contains(lost.Near, "security_file_open") {
			t.Error(err)
		}
	})
	step("an enum constant", func() { _, _, _ = f.EnumConstant("BPF_MAP_CREATE") })
	if held := heap() - empty; held > 16<<20 {
		t.Errorf("%d bytes held", held)
	}
	f.Forget()
	if held := heap() - empty; held > 1<<20 {
		t.Errorf("%d bytes held after Forget", held)
	}
	if _, err := f.Function("security_file_open"); err != nil {
		t.Errorf("after Forget: %v", err)
	}
	runtime.KeepAlive(f)
}
