// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/ringside-otel/ringside/internal/event"
)

// allCapabilities is what a kernel with 41 capabilities calls all of them.
const allCapabilities = 1<<41 - 1

var (
	boot     = time.Date(2026, 3, 1, 8, 0, 0, 123456789, time.UTC)
	uptime   = 26*time.Hour + 123456789*time.Nanosecond
	hostNS   = event.Namespaces{UTS: 4026531838, IPC: 4026531839, Mnt: 4026531841, PID: 4026531836, PIDForChildren: 4026531836, Net: 4026531840, Time: 4026531834, TimeForChildren: 4026531834, Cgroup: 4026531835, User: 4026531837, Host: 1<<10 - 1}
	shellID  = event.ID{Start: uint64(25 * time.Hour), PID: 20117, Exec: 41}
	commands = event.ID{Start: uint64(uptime) - 1_500_000, PID: 20871, Exec: 42}
)

// testHost is a host whose facts do not depend on the machine.
func testHost() *host {
	h := &host{
		node:         event.NewNode("d1219c7c4c5404aaa1f6d2a48adfda44", "0f6b6a5e-2c5c-4d8f-9f86-3a1d4f0e9c11"),
		attributes:   pcommon.NewMap(),
		capabilities: allCapabilities,
	}
	h.attributes.PutStr("host.name", "node-1")
	h.attributes.PutStr("os.type", "linux")
	return h
}

// shell is the login shell from which a user starts a program.
func shell() *event.Process {
	return &event.Process{
		ID:        shellID,
		Parent:    event.ID{Start: uint64(24 * time.Hour), PID: 20110, Exec: 40},
		StartTime: boot.Add(25 * time.Hour),
		File:      event.File{Path: "/usr/bin/bash"},
		Args:      []string{"-bash"},
		ArgsCount: 1,
		Cwd:       "/home/luke",
	}
}

// curl is a plain process: a user's, on the host, of a file that belongs to the distribution.
func curl() *event.Process {
	return &event.Process{
		ID:         commands,
		Parent:     shellID,
		Creator:    shellID,
		StartTime:  boot.Add(uptime - 1_500_000),
		ExecTime:   uptime,
		TID:        commands.PID,
		VPID:       commands.PID,
		SessionPID: shellID.PID,
		TTY:        "pts/3",
		File: event.File{
			Path: "/usr/bin/curl", Dev: 8<<20 | 1, Ino: 1837465, Size: 313416,
			CTimeSec: 1767225600, CTimeNsec: 123456789, Mode: 0o100755, Links: 1,
		},
		Given:     "/usr/bin/curl",
		Cwd:       "/home/luke",
		Args:      []string{"curl", "http://cilium.io"},
		ArgsCount: 2,
		ArgsBytes: 22,
		Cred: event.Cred{
			UID: 1000, EUID: 1000, SUID: 1000, FSUID: 1000,
			GID: 1000, EGID: 1000, SGID: 1000, FSGID: 1000,
			LoginUID: 1000, AuditSession: 7, Bounding: allCapabilities,
		},
		Namespaces: hostNS,
		CgroupID:   6421,
		CgroupPath: "/user.slice/user-1000.slice/session-7.scope",
		UserName:   "luke",
	}
}

func plainExec() event.Event {
	return event.Event{
		Kind: event.Exec, Boot: uptime, Time: boot.Add(uptime), Process: curl(), Parent: shell(),
		Digest: event.Digest{
			SHA256:  "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			BuildID: "4f5b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b",
		},
	}
}

func plainExit() event.Event {
	return event.Event{
		Kind: event.Exit, Boot: uptime + 250*time.Millisecond, Time: boot.Add(uptime + 250*time.Millisecond),
		Process: curl(), Parent: shell(),
		Exit: &event.ExitStatus{
			Duration: 251500 * time.Microsecond, User: 12 * time.Millisecond, System: 7 * time.Millisecond,
			MaxRSS: 13 << 20, ReadBytes: 0, WriteBytes: 4096,
		},
	}
}

func plainFork() event.Event {
	child := curl()
	child.ID.Exec--
	child.FromFork, child.ExecTime = true, 0
	child.File, child.Args, child.ArgsCount = shell().File, shell().Args, 1
	return event.Event{Kind: event.Fork, Boot: uptime, Time: boot.Add(uptime), Process: child, Parent: shell()}
}

func loss() event.Event {
	return event.Event{
		Kind: event.Loss, Boot: uptime, Time: boot.Add(uptime),
		Lost: &event.LossReport{Stage: event.StageRingFull, Event: event.Exec, Count: 12},
	}
}

// inPod moves a process into a container of a pod.
func inPod(p *event.Process) *event.Process {
	p.Container = &event.Container{
		ID:      "3f1c9a0b7d2e4c5f8a9b0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d0e1f",
		Runtime: "containerd",
		PodUID:  "0d7f0c8e-52f5-4a7c-9a57-7b8f6e1c2d3a",
	}
	p.VPID = 17
	p.Namespaces = event.Namespaces{
		UTS: 4026532201, IPC: 4026532202, Mnt: 4026532203, PID: 4026532204, PIDForChildren: 4026532204, Net: 4026532205,
		Time: 4026531834, TimeForChildren: 4026531834, Cgroup: 4026532206, User: 4026531837,
		Host: 1<<6 | 1<<7 | 1<<9,
	}
	return p
}

// strangeExec is an exec with everything that can be told of one, each value unlike any default.
func strangeExec() event.Event {
	e := plainExec()
	p := inPod(e.Process)
	p.Creator = event.ID{Start: 5, PID: 6, Exec: 7}
	p.TID = p.ID.PID + 1
	p.Script, p.Interp, p.Given = "/srv/run me.sh", "/bin/sh", "./run me.sh"
	p.File = event.File{
		Path: "/srv/\u202esh", Dev: 254<<20 | 77, Ino: math.MaxInt64, Size: 5, CTimeSec: 1, CTimeNsec: 2, Mode: 0o106711, Links: 3,
		UID: 1001, GID: 1002,
	}
	p.Args = []string{"/bin/sh", "", "a \"b\" c", "line\nbreak", "\x1b[2J", "back\\slash", "\xff\xfe", "\u00a0"}
	p.ArgsCount, p.ArgsBytes = 5000, 1<<20
	p.Env = []string{"LANG=C", "PATH=/bin:\xff", "PATH=/again", "OTHER=1"}
	p.Cred = event.Cred{
		UID: 1, EUID: 2, SUID: 3, FSUID: 4, GID: 5, EGID: 6, SGID: 7, FSGID: 8, LoginUID: 9, AuditSession: 10,
		SecureBits: 0x2f, Seccomp: 2, Effective: 0x1, Permitted: 0x3, Inheritable: 0x7, Ambient: 0xf, Bounding: 0x1f,
	}
	n := event.Namespaces{UTS: 1, IPC: 2, Mnt: 3, PID: 4, PIDForChildren: 5, Net: 6, Time: 7, TimeForChildren: 8, Cgroup: 9, User: 10}
	p.Namespaces = n
	p.Flags = event.Unlinked | event.Memfd | event.OverlayUpper | event.SetUID | event.SetGID | event.FileCaps | event.SecureExec |
		event.NoNewPrivs | event.IsScript | event.PathCut | event.CwdCut | event.ArgsCut | event.EnvCut | event.ArgsUnreadable | event.EnvUnreadable
	e.Digest.GoBuild = "abc/def"
	return e
}
