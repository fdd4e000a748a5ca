// SPDX-License-Identifier: Apache-2.0

package kerneltest

import (
	"errors"
	"testing"

	"github.com/ringside-otel/ringside/internal/kernel"
)

func TestLinux612(t *testing.T) {
	f := Linux612(nil, kernel.Fentry, kernel.LSM)
	fn, err := f.Function("fd_install")
	if err != nil || fn.String() != "void fd_install(unsigned int fd, struct file *file)" {
		t.Fatalf("%s, %v", fn, err)
	}
	for path, hops := range map[string]int{"f_path.dentry.d_inode.i_ino": 2, "f_path.dentry.d_name.name": 1, "f_flags": 0, "f_inode.i_sb.s_dev": 2} {
		file, _ := fn.Param("file")
		p, err := file.Type.Resolve(path)
		if err != nil || len(p.Hops) != hops {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
	}
	if _, err := f.LSMHook("bprm_check_security"); err != nil {
		t.Error(err)
	}
	if tp, err := f.RawTracepoint("sched_process_exec"); err != nil || len(tp.Params) != 3 {
		t.Errorf("%s, %v", tp, err)
	}
	tp, err := f.Tracepoint("syscalls", "sys_enter_openat")
	if err != nil {
		t.Fatal(err)
	}
	if name, err := tp.Field("filename"); err != nil || name.Type.String() != "const char *" {
		t.Errorf("%+v, %v", name, err)
	}
	for _, name := range []string{"openat", "execve", "bpf"} {
		calls, err := f.Syscall(name)
		if err != nil || len(calls) != 2 || calls[0].ABI != kernel.X8664 || calls[1].ABI != kernel.I386 {
			t.Errorf("%s: %+v, %v", name, calls, err)
		}
	}
	h, err := f.Hook("tcp_connect")
	if err != nil || h.Fentry != nil || !errors.Is(h.Kprobe, errors.ErrUnsupported) {
		t.Errorf("%+v, %v", h, err)
	}
	if v, enum, err := f.EnumConstant("BPF_PROG_LOAD"); err != nil || v != 5 || enum != "bpf_cmd" {
		t.Errorf("%d of %s, %v", v, enum, err)
	}
}

func TestExtraFilesAreSeen(t *testing.T) {
	f := Linux612(map[string]string{"proc/kallsyms": "0 T tcp_connect\n0 t tcp_connect\n"}, kernel.Fentry)
	if h, err := f.Hook("tcp_connect"); err != nil || h.Copies != 2 || h.Fentry == nil {
		t.Errorf("%+v, %v", h, err)
	}
}
