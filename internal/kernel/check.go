// SPDX-License-Identifier: Apache-2.0

// Package kernel knows facts about the running kernel: whether the programs can work here, and who this host and boot are.
//
// What is not so, and cannot be helped by trying again, is a *Missing: it names the cause and the remedy.
package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Missing is something that the programs need and do not have.
type Missing struct {
	What   string // what is missing, as the end of a sentence
	Remedy string // what the user can do
	Err    error  // what the kernel said, or nil
}

func (m *Missing) Error() string {
	s := m.What + ": " + m.Remedy
	if m.Err != nil {
		s += " (" + m.Err.Error() + ")"
	}
	return s
}

func (m *Missing) Unwrap() error { return m.Err }

// Is makes every Missing match ErrMissing.
func (m *Missing) Is(target error) bool { return target == ErrMissing }

// ErrMissing is matched by every *Missing.
var ErrMissing = errors.New("the kernel or the privileges do not allow it")

// The oldest kernel that has all that the programs use: bpf_ringbuf_reserve_dynptr is the youngest of it (commit bc34dee65a65).
const minMajor, minMinor = 5, 19

// host is where Check looks; tests look elsewhere.
type host struct {
	root    string // "" for /
	release string
	caps    uint64 // effective
}

// Check tells what is missing for the programs to be loaded, or nil.
func Check() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	caps, err := effectiveCaps()
	if err != nil {
		return err
	}
	return host{release: unix.ByteSliceToString(uts.Release[:]), caps: caps}.check()
}

func (h host) check() error {
	var major, minor int
	if _, err := fmt.Sscanf(h.release, "%d.%d", &major, &minor); err == nil {
		if major < minMajor || major == minMajor && minor < minMinor {
			return &Missing{
				What:   "Linux " + h.release + " is too old",
				Remedy: fmt.Sprintf("use Linux %d.%d or later; 6.1, 6.12 and 6.18 are tested", minMajor, minMinor),
			}
		}
	}
	if _, err := os.Stat(h.root + "/sys/kernel/btf/vmlinux"); err != nil {
		return &Missing{
			What:   "the kernel's type information (BTF) is not there",
			Remedy: "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as those of all current distributions are, and mount /sys",
			Err:    err,
		}
	}
	if b, err := os.ReadFile(h.root + "/sys/kernel/security/lockdown"); err == nil && strings.Contains(string(b), "[confidentiality]") {
		return &Missing{
			What:   "the kernel is locked down (confidentiality), which forbids programs to read kernel memory",
			Remedy: "boot with lockdown=integrity or lockdown=none",
		}
	}
	return checkCaps(h.caps)
}

func checkCaps(effective uint64) error {
	has := func(c int) bool { return effective&(1<<c) != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return nil
	}
	var missing []string
	if !has(unix.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	if len(missing) == 0 {
		return nil
	}
	return &Missing{
		What: "the privilege to load programs is missing (" + strings.Join(missing, ", ") + ")",
		Remedy: "run as root, or give the capabilities CAP_BPF and CAP_PERFMON: AmbientCapabilities= in a systemd unit, " +
			"securityContext.capabilities.add in a pod, or setcap cap_bpf,cap_perfmon+ep on the binary",
	}
}

// effectiveCaps reads the capabilities of this process.
func effectiveCaps() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read this process's capabilities: %w", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

// Explain adds to an error of loading or attaching a program what may be behind it.
func Explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier):
		return &Missing{
			What:   "the kernel's verifier refused a program",
			Remedy: "this is a defect: please report it with the version of the kernel and what follows",
			Err:    fmt.Errorf("%w\n%s", err, strings.Join(verifier.Log, "\n")),
		}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return &Missing{
			What: "the kernel forbids to load programs, though the capabilities are there",
			Remedy: "look for a seccomp profile without bpf(2) (in a pod: seccompProfile Unconfined or one that allows bpf and perf_event_open), " +
				"for SELinux or AppArmor in the audit log, and for kernel lockdown",
			Err: err,
		}
	case errors.Is(err, unix.ENOMEM):
		return &Missing{What: "there is not enough memory for the maps", Remedy: "make process.ring_size smaller, or raise the memory limit", Err: err}
	case errors.Is(err, ebpf.ErrNotSupported):
		return &Missing{What: "the kernel lacks a feature that the programs need", Remedy: "use Linux 6.1 or later", Err: err}
	}
	return err
}
