// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// Users and groups that no system has.
const (
	user, group   = 61000, 61001 // who runs the tests' programs
	owner, owners = 61002, 61003 // whose files they run
)

const (
	netRaw   = 1 << unix.CAP_NET_RAW
	netAdmin = 1 << unix.CAP_NET_ADMIN
)

// fileCaps sets the capabilities of a file (struct vfs_cap_data, include/uapi/linux/capability.h).
func fileCaps(t *testing.T, path string, effective bool, permitted, inheritable uint64) {
	t.Helper()
	magic := uint32(0x02000000) // VFS_CAP_REVISION_2
	if effective {
		magic |= 1 // VFS_CAP_FLAGS_EFFECTIVE
	}
	var b []byte
	for _, v := range []uint32{magic, uint32(permitted), uint32(inheritable), uint32(permitted >> 32), uint32(inheritable >> 32)} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	if err := unix.Setxattr(path, "security.capability", b, 0); err != nil {
		t.Fatalf("give %s capabilities: %v", path, err)
	}
}

func TestExecTellsWhatItGained(t *testing.T) {
	r := recordExecs(t)
	dir := publicDir(t)
	mount(t, "tmpfs", dir+"/nosuid", "tmpfs", unix.MS_NOSUID, "")
	nnp := prctl(unix.PR_SET_NO_NEW_PRIVS, 1)
	bounding := boundingSet(t)
	type caps struct {
		effective              bool
		permitted, inheritable uint64
	}
	for _, tt := range []struct {
		name   string
		nosuid bool
		owner  int
		group  int
		mode   uint32
		caps   *caps
		calls  []call // before the exec; the last of them set the user, unless root runs it
		noCaps bool
		root   bool
		flags  event.Flags
		cred   event.Cred // ids and what is permitted and effective
	}{
		{name: "nothing", mode: 0o755, cred: ids(user, user, group, group, 0, 0)},
		{name: "another user", owner: owner, mode: 0o4755, flags: event.SetUID | event.SecureExec, cred: ids(user, owner, group, group, 0, 0)},
		{name: "root", mode: 0o4755, flags: event.SetUID | event.SecureExec, cred: ids(user, 0, group, group, bounding, bounding)},
		{name: "nothing from oneself", owner: user, mode: 0o4755, cred: ids(user, user, group, group, 0, 0)},
		{name: "nothing as root from root", mode: 0o6755, root: true, cred: ids(0, 0, 0, 0, bounding, bounding)},
		{name: "another user for root", owner: owner, mode: 0o4755, root: true, flags: event.SetUID | event.SecureExec,
			cred: ids(0, owner, 0, 0, bounding, 0)},
		{name: "another group", group: owners, mode: 0o2755, flags: event.SetGID | event.SecureExec, cred: ids(user, user, group, owners, 0, 0)},
		{name: "nothing from a group that may not execute", group: owners, mode: 0o2705, cred: ids(user, user, group, group, 0, 0)},
		{name: "user and group", owner: owner, group: owners, mode: 0o6755, flags: event.SetUID | event.SetGID | event.SecureExec,
			cred: ids(user, owner, group, owners, 0, 0)},
		{name: "nothing on nosuid", nosuid: true, owner: owner, group: owners, mode: 0o6755, cred: ids(user, user, group, group, 0, 0)},
		{name: "nothing with no_new_privs", owner: owner, group: owners, mode: 0o6755, calls: []call{nnp},
			flags: event.NoNewPrivs, cred: ids(user, user, group, group, 0, 0)},

		{name: "capabilities", mode: 0o755, caps: &caps{true, netRaw | netAdmin, 0}, flags: event.FileCaps | event.SecureExec,
			cred: ids(user, user, group, group, netRaw|netAdmin, netRaw|netAdmin)},
		{name: "capabilities that are not effective", mode: 0o755, caps: &caps{false, netRaw, 0}, flags: event.FileCaps | event.SecureExec,
			cred: ids(user, user, group, group, netRaw, 0)},
		{name: "a capability above 31", mode: 0o755, caps: &caps{true, 1 << unix.CAP_BPF, 0}, flags: event.FileCaps | event.SecureExec,
			cred: ids(user, user, group, group, 1<<unix.CAP_BPF, 1<<unix.CAP_BPF)},
		{name: "nothing inheritable without inheriting", mode: 0o755, caps: &caps{false, 0, netRaw}, cred: ids(user, user, group, group, 0, 0)},
		{name: "no capabilities on nosuid", nosuid: true, mode: 0o755, caps: &caps{true, netRaw, 0}, cred: ids(user, user, group, group, 0, 0)},
		// The kernel leaves only those that the process had already, which are none.
		{name: "no capabilities with no_new_privs", mode: 0o755, caps: &caps{false, netRaw, 0}, calls: []call{nnp},
			flags: event.NoNewPrivs, cred: ids(user, user, group, group, 0, 0)},
		{name: "capabilities and a group", group: owners, mode: 0o2755, caps: &caps{true, netRaw, 0},
			flags: event.FileCaps | event.SetGID | event.SecureExec, cred: ids(user, user, group, owners, netRaw, netRaw)},
		{name: "capabilities and a user", owner: owner, mode: 0o4755, caps: &caps{true, netRaw, 0},
			flags: event.FileCaps | event.SetUID | event.SecureExec, cred: ids(user, owner, group, group, netRaw, netRaw)},
		{name: "no capabilities as root, who has them", mode: 0o755, caps: &caps{true, netRaw, 0}, root: true,
			cred: ids(0, 0, 0, 0, bounding, bounding)},
		{name: "capabilities as root, whose uid does not give them", mode: 0o755, caps: &caps{true, netRaw, 0}, root: true,
			calls: []call{prctl(unix.PR_SET_SECUREBITS, secbitNoRoot)}, noCaps: true,
			flags: event.FileCaps, cred: ids(0, 0, 0, 0, netRaw, netRaw)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := dir + "/" + strings.ReplaceAll(tt.name, " ", "-")
			if tt.nosuid {
				path = dir + "/nosuid/" + filepath.Base(path)
			}
			install(t, path, exitProgram())
			if err := os.Chown(path, tt.owner, tt.group); err != nil {
				t.Fatal(err)
			}
			if err := unix.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			if tt.caps != nil {
				fileCaps(t, path, tt.caps.effective, tt.caps.permitted, tt.caps.inheritable)
			}
			calls := tt.calls
			if !tt.root {
				calls = append(calls, becomeUser()...)
			}
			p := r.run(t, (&plan{Calls: calls, NoCaps: tt.noCaps, Path: path, Argv: []string{"x"}}).command(t))
			if p.Flags != tt.flags {
				t.Errorf("flags %b, want %b", p.Flags, tt.flags)
			}
			got := ids(p.Cred.UID, p.Cred.EUID, p.Cred.GID, p.Cred.EGID, p.Cred.Permitted, p.Cred.Effective)
			if got != tt.cred {
				t.Errorf("credentials %+v, want %+v", got, tt.cred)
			}
			if p.Cred.SUID != p.Cred.EUID || p.Cred.FSUID != p.Cred.EUID || p.Cred.SGID != p.Cred.EGID || p.Cred.FSGID != p.Cred.EGID {
				t.Errorf("saved and file system ids are not the effective ones: %+v", p.Cred)
			}
			if p.Cred.Ambient != 0 || p.Cred.Inheritable != 0 {
				t.Errorf("ambient %x, inheritable %x", p.Cred.Ambient, p.Cred.Inheritable)
			}
		})
	}
}

const secbitNoRoot = 1 // include/uapi/linux/securebits.h

// ids are the credentials that an exec changes.
func ids(uid, euid, gid, egid uint32, permitted, effective uint64) event.Cred {
	return event.Cred{UID: uid, EUID: euid, GID: gid, EGID: egid, Permitted: permitted, Effective: effective}
}

// becomeUser are the calls that make a process of root one of user.
func becomeUser() []call {
	return []call{
		{Number: unix.SYS_SETGROUPS},
		{Number: unix.SYS_SETRESGID, Args: [5]uintptr{group, group, group}},
		{Number: unix.SYS_SETRESUID, Args: [5]uintptr{user, user, user}},
	}
}

// boundingSet is what root has after an exec.
func boundingSet(t *testing.T) uint64 {
	t.Helper()
	var set uint64
	for c := range 64 {
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err == nil && has == 1 {
			set |= 1 << c
		}
	}
	return set
}

// status reads fields of /proc/PID/status.
func status(t *testing.T, pid uint32) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// checkCred compares credentials with what /proc tells of the process.
func checkCred(t *testing.T, p *event.Process) {
	t.Helper()
	s, c := status(t, p.ID.PID), &p.Cred
	for name, got := range map[string]string{
		"Uid":        fmt.Sprintf("%d\t%d\t%d\t%d", c.UID, c.EUID, c.SUID, c.FSUID),
		"Gid":        fmt.Sprintf("%d\t%d\t%d\t%d", c.GID, c.EGID, c.SGID, c.FSGID),
		"CapInh":     fmt.Sprintf("%016x", c.Inheritable),
		"CapPrm":     fmt.Sprintf("%016x", c.Permitted),
		"CapEff":     fmt.Sprintf("%016x", c.Effective),
		"CapBnd":     fmt.Sprintf("%016x", c.Bounding),
		"CapAmb":     fmt.Sprintf("%016x", c.Ambient),
		"Seccomp":    fmt.Sprint(c.Seccomp),
		"NoNewPrivs": map[bool]string{true: "1", false: "0"}[p.Flags&event.NoNewPrivs != 0],
	} {
		if got != s[name] {
			t.Errorf("%s is %q, /proc tells %q", name, got, s[name])
		}
	}
}

func TestCredentialsAreThoseOfTheProcess(t *testing.T) {
	r := recordExecs(t)
	path := install(t, publicDir(t)+"/prog", pauseProgram())
	run := func(t *testing.T, p plan) *event.Process {
		t.Helper()
		p.Path, p.Argv = path, []string{"x"}
		e := r.hold(t, path, p.command(t))
		checkCred(t, e)
		return e
	}
	t.Run("root", func(t *testing.T) {
		p := run(t, plan{})
		if p.Cred.EUID != 0 || p.Cred.Seccomp != 0 || p.Flags != 0 || p.UserName != "root" && p.UserName != "" {
			t.Errorf("%+v, flags %b, user %q", p.Cred, p.Flags, p.UserName)
		}
	})
	t.Run("user", func(t *testing.T) {
		if p := run(t, plan{Calls: becomeUser()}); p.Cred.EUID != user || p.Cred.Effective != 0 {
			t.Errorf("%+v", p.Cred)
		}
	})
	t.Run("ids that differ", func(t *testing.T) {
		p := run(t, plan{Calls: []call{
			{Number: unix.SYS_SETRESGID, Args: [5]uintptr{101, 102, 103}},
			{Number: unix.SYS_SETRESUID, Args: [5]uintptr{104, 105, 106}},
		}})
		want := event.Cred{UID: 104, EUID: 105, SUID: 105, FSUID: 105, GID: 101, EGID: 102, SGID: 102, FSGID: 102}
		got := event.Cred{UID: p.Cred.UID, EUID: p.Cred.EUID, SUID: p.Cred.SUID, FSUID: p.Cred.FSUID,
			GID: p.Cred.GID, EGID: p.Cred.EGID, SGID: p.Cred.SGID, FSGID: p.Cred.FSGID}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		// It had them before: the exec gave nothing, although the kernel treats the program as privileged.
		if p.Flags != event.SecureExec {
			t.Errorf("flags %b, want %b", p.Flags, event.SecureExec)
		}
	})
	t.Run("ambient capabilities", func(t *testing.T) {
		cmd := asUser(bare(path), user, group)
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_RAW}
		p := r.hold(t, path, cmd)
		checkCred(t, p)
		if p.Cred.Ambient != netRaw || p.Cred.Inheritable&netRaw == 0 || p.Cred.Permitted != netRaw || p.Cred.Effective != netRaw || p.Flags != 0 {
			t.Errorf("%+v, flags %b", p.Cred, p.Flags)
		}
	})
	t.Run("bounding set", func(t *testing.T) {
		p := run(t, plan{Calls: []call{dropCap(unix.CAP_SYS_BOOT), dropCap(unix.CAP_CHECKPOINT_RESTORE)}})
		if p.Cred.Bounding&(1<<unix.CAP_SYS_BOOT|1<<unix.CAP_CHECKPOINT_RESTORE) != 0 || p.Cred.Permitted != p.Cred.Bounding {
			t.Errorf("%+v", p.Cred)
		}
	})
	t.Run("secure bits", func(t *testing.T) {
		const noSetuidFixup, noSetuidFixupLocked = 1 << 2, 1 << 3
		p := run(t, plan{Calls: []call{prctl(unix.PR_SET_SECUREBITS, noSetuidFixup|noSetuidFixupLocked)}})
		if p.Cred.SecureBits != noSetuidFixup|noSetuidFixupLocked {
			t.Errorf("secure bits %x", p.Cred.SecureBits)
		}
	})
	t.Run("seccomp filter", func(t *testing.T) {
		if p := run(t, plan{Seccomp: true}); p.Cred.Seccomp != 2 || p.Flags != 0 {
			t.Errorf("seccomp %d, flags %b", p.Cred.Seccomp, p.Flags)
		}
	})
	t.Run("no new privileges", func(t *testing.T) {
		p := run(t, plan{Calls: append([]call{prctl(unix.PR_SET_NO_NEW_PRIVS, 1)}, becomeUser()...), Seccomp: true})
		if p.Flags != event.NoNewPrivs || p.Cred.Seccomp != 2 {
			t.Errorf("flags %b, seccomp %d", p.Flags, p.Cred.Seccomp)
		}
	})
}

func dropCap(c uintptr) call { return prctl(unix.PR_CAPBSET_DROP, c) }

func TestLoginIsToldWithItsAuditSession(t *testing.T) {
	r := recordExecs(t)
	path := install(t, publicDir(t)+"/prog", pauseProgram())
	p := r.hold(t, path, (&plan{Write: map[string]string{"/proc/thread-self/loginuid": fmt.Sprint(user)}, Path: path, Argv: []string{"x"}}).command(t))
	for file, got := range map[string]uint32{"loginuid": p.Cred.LoginUID, "sessionid": p.Cred.AuditSession} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.ID.PID, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(b)) != fmt.Sprint(got) {
			t.Errorf("%s is %d, /proc tells %s", file, got, b)
		}
	}
	if p.Cred.LoginUID != user || p.Cred.AuditSession == 1<<32-1 {
		t.Errorf("login uid %d, audit session %d", p.Cred.LoginUID, p.Cred.AuditSession)
	}
}

func TestNoLoginIsToldAsTheKernelTellsIt(t *testing.T) {
	b, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(b)) != "4294967295" {
		t.Skipf("this test was started by the login %s", b)
	}
	r := recordExecs(t)
	p := r.run(t, bare(install(t, publicDir(t)+"/prog", exitProgram())))
	if p.Cred.LoginUID != 1<<32-1 || p.Cred.AuditSession != 1<<32-1 {
		t.Errorf("login uid %d, audit session %d", p.Cred.LoginUID, p.Cred.AuditSession)
	}
}

// Root of a user namespace is told by its uid on the host, and what it regains by an exec is by its uid, not from the file.
func TestRootOfAUserNamespaceGainsNothingFromAFile(t *testing.T) {
	r := recordExecs(t)
	path := install(t, publicDir(t)+"/prog", pauseProgram())
	mapping := func(base int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: 1000}}
	}
	inside := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: mapping(user), GidMappings: mapping(group),
			Credential: &syscall.Credential{Uid: 0, Gid: 0},
		}
		return cmd
	}
	t.Run("plain", func(t *testing.T) {
		p := r.hold(t, path, inside(bare(path)))
		checkCred(t, p)
		if p.Cred.UID != user || p.Cred.GID != group || p.Cred.Effective == 0 || p.Flags != 0 {
			t.Errorf("%+v, flags %b", p.Cred, p.Flags)
		}
	})
	t.Run("regained", func(t *testing.T) {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		cmd := inside((&plan{NoCaps: true, Path: path, Argv: []string{"x"}}).command(t))
		cmd.Path = install(t, publicDir(t)+"/plan", self) // the test binary lies where only root on the host may look
		p := r.hold(t, path, cmd)
		checkCred(t, p)
		if p.Cred.Permitted == 0 || p.Flags&event.FileCaps != 0 {
			t.Errorf("%+v, flags %b", p.Cred, p.Flags)
		}
	})
	t.Run("of a set-user-ID file", func(t *testing.T) {
		// Owned by root of the namespace, run by another user of it.
		owned := install(t, publicDir(t)+"/owned", pauseProgram())
		if err := os.Chown(owned, user, group); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chmod(owned, 0o4755); err != nil {
			t.Fatal(err)
		}
		cmd := inside(bare(owned))
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 7, Gid: 7}
		p := r.hold(t, owned, cmd)
		if want := event.SetUID | event.SecureExec; p.Flags != want || p.Cred.UID != user+7 || p.Cred.EUID != user || p.Cred.Permitted == 0 {
			t.Errorf("flags %b, want %b; %+v", p.Flags, want, p.Cred)
		}
	})
}
