// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const enough = 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCheckNamesCauseAndRemedy(t *testing.T) {
	tests := []struct {
		name     string
		release  string
		caps     uint64
		noBTF    bool
		lockdown string
		want     []string // in the message; none for no error
	}{
		{name: "good", release: "6.1.0-56-cloud-amd64", caps: enough},
		{name: "root", release: "6.18.44", caps: 1 << unix.CAP_SYS_ADMIN},
		{name: "unknown release is tried", release: "custom", caps: enough},
		{name: "integrity lockdown", release: "6.12.1", caps: enough, lockdown: "none [integrity] confidentiality\n"},
		{name: "old", release: "5.15.0-1", caps: enough, want: []string{"5.15.0-1 is too old", "5.19 or later"}},
		{name: "oldest", release: "5.19.0", caps: enough},
		{name: "no BTF", release: "6.1.0", caps: enough, noBTF: true, want: []string{"BTF", "CONFIG_DEBUG_INFO_BTF=y"}},
		{name: "lockdown", release: "6.1.0", caps: enough, lockdown: "none integrity [confidentiality]\n", want: []string{"locked down", "lockdown=integrity"}},
		{name: "no capabilities", release: "6.1.0", want: []string{"CAP_BPF, CAP_PERFMON", "setcap"}},
		{name: "no CAP_PERFMON", release: "6.1.0", caps: 1 << unix.CAP_BPF, want: []string{"(CAP_PERFMON)", "setcap"}},
		{name: "no CAP_BPF", release: "6.1.0", caps: 1 << unix.CAP_PERFMON, want: []string{"(CAP_BPF)", "setcap"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			if !tt.noBTF {
				write(t, root+"/sys/kernel/btf/vmlinux", "")
			}
			if tt.lockdown != "" {
				write(t, root+"/sys/kernel/security/lockdown", tt.lockdown)
			}
			err := host{root: root, release: tt.release, caps: tt.caps}.check()
			if len(tt.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, ErrMissing) {
				t.Fatalf("got %v, want an error that is ErrMissing", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not contain %q", err, want)
				}
			}
		})
	}
}

func TestExplainKeepsTheKernelsError(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{unix.EPERM, "seccomp"},
		{unix.EACCES, "seccomp"},
		{unix.ENOMEM, "process.ring_size"},
		{ebpf.ErrNotSupported, "6.1 or later"},
		{&ebpf.VerifierError{Cause: unix.EACCES, Log: []string{"R1 is bad"}}, "R1 is bad"},
	} {
		err := Explain(fmt.Errorf("load: %w", tt.err))
		if !errors.Is(err, tt.err) && !errors.Is(err, unix.EACCES) {
			t.Errorf("%v does not wrap %v", err, tt.err)
		}
		if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: want an ErrMissing with %q", err, tt.want)
		}
	}
	if other := errors.New("other"); Explain(other) != other {
		t.Error("an error of another kind was changed")
	}
}
