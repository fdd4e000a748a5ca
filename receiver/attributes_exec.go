// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"math"
	"strconv"

	"github.com/ringside-otel/ringside/internal/event"
)

const (
	// maxParentLine is how many bytes of the parent's arguments an exec repeats: they are whole in the parent's own record.
	maxParentLine = 1 << 10
	// usualMode is the permission bits that an executable has unless somebody decided otherwise.
	usualMode = 0o755
	// permissionBits are the bits of a mode that are not the type of the file.
	permissionBits = 0o7777
	// unset is what the kernel holds for a login user or audit session that was never set.
	unset = math.MaxUint32
	// The modes of include/uapi/linux/seccomp.h.
	seccompStrict = 1
	seccompFilter = 2
	// allNamespaces has the bit of each field of event.Namespaces.
	allNamespaces = 1<<10 - 1
)

// execGroups are on the records of execs, besides the attributes of the process.
var execGroups = []group{
	{attrs: execAttributes},
	{attrs: fileAttributes, when: func(r *record) bool { return r.p.File.Ino != 0 }},
	{attrs: credentialAttributes, when: unusualCredentials},
	{attrs: flagAttributes, when: func(r *record) bool { return r.p.Flags != 0 }},
	{attrs: namespaceAttributes, when: unusualNamespaces},
}

// execAttributes are what most execs have.
var execAttributes = []attr{
	integer("ringside.process.group.id", nil, func(r *record) int64 { return int64(r.p.Cred.EGID) }),
	integer("process.session_leader.pid",
		func(r *record) bool { return r.p.SessionPID != 0 },
		func(r *record) int64 { return int64(r.p.SessionPID) }),
	text("ringside.process.tty", func(r *record) string { return r.p.TTY }),
	text("process.linux.cgroup", func(r *record) string { return r.p.CgroupPath }),
	integer("ringside.process.cgroup.id",
		func(r *record) bool { return r.p.CgroupPath == "" && r.p.CgroupID != 0 },
		func(r *record) int64 { return int64(r.p.CgroupID) }),
	integer("ringside.process.login_user.id",
		func(r *record) bool { return r.p.Cred.LoginUID != unset },
		func(r *record) int64 { return int64(r.p.Cred.LoginUID) }),
	integer("ringside.process.audit_session.id",
		func(r *record) bool { return r.p.Cred.AuditSession != unset },
		func(r *record) int64 { return int64(r.p.Cred.AuditSession) }),
	capabilitySet("ringside.process.capabilities.effective",
		func(r *record) bool { return r.p.Cred.Effective != 0 },
		func(c *event.Cred) uint64 { return c.Effective }),
	text("ringside.process.executable.sha256", func(r *record) string { return r.e.Digest.SHA256 }),
	text("ringside.process.executable.sha256_missing", func(r *record) string { return r.e.Digest.Missing }),
	text("process.executable.build_id.gnu", func(r *record) string { return r.e.Digest.BuildID }),
	text("process.executable.build_id.go", func(r *record) string { return r.e.Digest.GoBuild }),
	text(attrParentPath, func(r *record) string {
		if r.e.Parent == nil {
			return ""
		}
		return r.e.Parent.File.Path
	}),
	{
		name: attrParentLine,
		when: func(r *record) bool { return r.e.Parent != nil },
		text: (*record).parentLine,
	},
	text("ringside.process.executable.given_path", func(r *record) string {
		if r.p.Given == r.p.File.Path {
			return ""
		}
		return r.p.Given
	}),
	text(attrScript, func(r *record) string { return r.p.Script }),
	text("ringside.process.script.interpreter", func(r *record) string { return r.p.Interp }),
	integer("ringside.process.exec.thread_id",
		func(r *record) bool { return r.p.TID != r.p.ID.PID && r.p.TID != 0 },
		func(r *record) int64 { return int64(r.p.TID) }),
}

// fileAttributes tell of a file that is known.
var fileAttributes = []attr{
	integer("ringside.process.executable.inode", nil, func(r *record) int64 { return int64(r.p.File.Ino) }),
	text("ringside.process.executable.device", func(r *record) string {
		return r.made(appendDevice(r.arena, r.p.File.Dev))
	}),
	integer("ringside.process.executable.size", hasNoDigest, func(r *record) int64 { return r.p.File.Size }),
	{
		name: "ringside.process.executable.changed",
		when: hasNoDigest,
		text: func(r *record) string { return r.timestamp(r.p.File.CTimeSec, int(r.p.File.CTimeNsec)) },
	},
	integer("ringside.process.executable.links",
		func(r *record) bool { return r.p.File.Links != 1 },
		func(r *record) int64 { return int64(r.p.File.Links) }),
	integer("ringside.process.executable.owner.id",
		func(r *record) bool { return r.p.File.UID != 0 },
		func(r *record) int64 { return int64(r.p.File.UID) }),
	integer("ringside.process.executable.group.id",
		func(r *record) bool { return r.p.File.GID != 0 },
		func(r *record) int64 { return int64(r.p.File.GID) }),
	{
		name: "ringside.process.executable.mode",
		when: func(r *record) bool { return r.p.File.Mode&permissionBits != usualMode },
		text: func(r *record) string {
			return r.made(appendMode(r.arena, r.p.File.Mode))
		},
	},
}

// hasNoDigest tells whether the content of the file must be told by other means.
func hasNoDigest(r *record) bool { return r.e.Digest.SHA256 == "" }

// flagAttributes are those that stand for flags.
var flagAttributes = []attr{
	boolean("ringside.process.executable.memfd", func(r *record) bool { return r.has(event.Memfd) }),
	boolean("ringside.process.executable.overlay_upper", func(r *record) bool { return r.has(event.OverlayUpper) }),
	boolean("ringside.process.executable.unlinked", func(r *record) bool { return r.has(event.Unlinked) }),
	{
		name: "ringside.process.gained",
		when: func(r *record) bool { return r.has(event.SetUID | event.SetGID | event.FileCaps) },
		list: func(r *record) []string { return gained(r.p.Flags) },
	},
	boolean("ringside.process.secure_exec", func(r *record) bool { return r.has(event.SecureExec) }),
	boolean("ringside.process.no_new_privs", func(r *record) bool { return r.has(event.NoNewPrivs) }),
}

// unusualCredentials tells whether a process has rights that do not follow from its effective user and group.
func unusualCredentials(r *record) bool {
	c := &r.p.Cred
	return (c.SUID^c.EUID)|(c.FSUID^c.EUID)|(c.GID^c.EGID)|(c.SGID^c.EGID)|(c.FSGID^c.EGID) != 0 ||
		(c.Permitted^c.Effective)|(c.Bounding^r.allCapabilities)|c.Inheritable|c.Ambient != 0 ||
		c.SecureBits|uint32(c.Seccomp) != 0
}

// credentialAttributes are the rights of a process with unusualCredentials.
var credentialAttributes = []attr{
	integer("process.saved_user.id",
		func(r *record) bool { return r.p.Cred.SUID != r.p.Cred.EUID },
		func(r *record) int64 { return int64(r.p.Cred.SUID) }),
	integer("ringside.process.fs_user.id",
		func(r *record) bool { return r.p.Cred.FSUID != r.p.Cred.EUID },
		func(r *record) int64 { return int64(r.p.Cred.FSUID) }),
	integer("ringside.process.real_group.id",
		func(r *record) bool { return r.p.Cred.GID != r.p.Cred.EGID },
		func(r *record) int64 { return int64(r.p.Cred.GID) }),
	integer("ringside.process.saved_group.id",
		func(r *record) bool { return r.p.Cred.SGID != r.p.Cred.EGID },
		func(r *record) int64 { return int64(r.p.Cred.SGID) }),
	integer("ringside.process.fs_group.id",
		func(r *record) bool { return r.p.Cred.FSGID != r.p.Cred.EGID },
		func(r *record) int64 { return int64(r.p.Cred.FSGID) }),
	capabilitySet("ringside.process.capabilities.permitted",
		func(r *record) bool { return r.p.Cred.Permitted != r.p.Cred.Effective },
		func(c *event.Cred) uint64 { return c.Permitted }),
	capabilitySet("ringside.process.capabilities.inheritable",
		func(r *record) bool { return r.p.Cred.Inheritable != 0 },
		func(c *event.Cred) uint64 { return c.Inheritable }),
	capabilitySet("ringside.process.capabilities.ambient",
		func(r *record) bool { return r.p.Cred.Ambient != 0 },
		func(c *event.Cred) uint64 { return c.Ambient }),
	capabilitySet("ringside.process.capabilities.bounding",
		func(r *record) bool { return r.p.Cred.Bounding != r.allCapabilities },
		func(c *event.Cred) uint64 { return c.Bounding }),
	integer("ringside.process.secure_bits",
		func(r *record) bool { return r.p.Cred.SecureBits != 0 },
		func(r *record) int64 { return int64(r.p.Cred.SecureBits) }),
	{
		name: "ringside.process.seccomp.mode",
		when: func(r *record) bool { return r.p.Cred.Seccomp != 0 },
		text: func(r *record) string {
			switch r.p.Cred.Seccomp {
			case seccompStrict:
				return "strict"
			case seccompFilter:
				return "filter"
			}
			return strconv.Itoa(int(r.p.Cred.Seccomp)) // a mode that a later kernel has
		},
	},
}

// unusualNamespaces tells whether a process has a namespace that is not the host's, or gives its children another.
func unusualNamespaces(r *record) bool {
	n := &r.p.Namespaces
	return n.Host&allNamespaces != allNamespaces || n.PIDForChildren != n.PID || n.TimeForChildren != n.Time
}

// namespaceAttributes are the namespaces of a process with unusualNamespaces.
var namespaceAttributes = []attr{
	namespace("uts", 0, func(n *event.Namespaces) uint32 { return n.UTS }),
	namespace("ipc", 1, func(n *event.Namespaces) uint32 { return n.IPC }),
	namespace("mnt", 2, func(n *event.Namespaces) uint32 { return n.Mnt }),
	namespace("pid", 3, func(n *event.Namespaces) uint32 { return n.PID }),
	namespace("net", 5, func(n *event.Namespaces) uint32 { return n.Net }),
	namespace("time", 6, func(n *event.Namespaces) uint32 { return n.Time }),
	namespace("cgroup", 8, func(n *event.Namespaces) uint32 { return n.Cgroup }),
	namespace("user", 9, func(n *event.Namespaces) uint32 { return n.User }),
	integer(attrNamespace+".pid_for_children",
		func(r *record) bool { return r.p.Namespaces.PIDForChildren != r.p.Namespaces.PID },
		func(r *record) int64 { return int64(r.p.Namespaces.PIDForChildren) }),
	integer(attrNamespace+".time_for_children",
		func(r *record) bool { return r.p.Namespaces.TimeForChildren != r.p.Namespaces.Time },
		func(r *record) int64 { return int64(r.p.Namespaces.TimeForChildren) }),
}

// namespace is the inode number of a namespace that is not the host's. Bit is its place in event.Namespaces.Host.
func namespace(kind string, bit uint, inode func(*event.Namespaces) uint32) attr {
	return integer(attrNamespace+"."+kind,
		func(r *record) bool {
			n := &r.p.Namespaces
			return n.Host&(1<<bit) == 0 && inode(n) != 0
		},
		func(r *record) int64 { return int64(inode(&r.p.Namespaces)) })
}

// capabilitySet is a set of capabilities that is there when holds says so.
func capabilitySet(name string, holds func(*record) bool, set func(*event.Cred) uint64) attr {
	return attr{name: name, when: holds, text: func(r *record) string { return r.capabilities(set(&r.p.Cred)) }}
}

// capabilities returns a set in the form of /proc/PID/status.
func (r *record) capabilities(set uint64) string {
	b := r.arena
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[set>>shift&15])
	}
	return r.made(b)
}

// parentLine returns the parent's arguments as one line, and notes when that is not all.
func (r *record) parentLine() string {
	parent := r.e.Parent
	start := len(r.arena)
	b := appendArgs(r.arena, parent.Args, start+maxParentLine+1)
	if len(b)-start > maxParentLine || parent.Flags&event.ArgsCut != 0 {
		r.truncated = append(r.truncated, attrParentLine)
	}
	if parent.Flags&event.ArgsUnreadable != 0 {
		r.unreadable = append(r.unreadable, attrParentLine)
	}
	return r.made(b[:start+len(cutLine(b[start:], maxParentLine))])
}

// gained lists what the executed file gave to the process.
func gained(f event.Flags) []string {
	var list []string
	for _, g := range []struct {
		flag event.Flags
		name string
	}{
		{event.SetUID, "setuid"},
		{event.SetGID, "setgid"},
		{event.FileCaps, "file_capabilities"},
	} {
		if f&g.flag != 0 {
			list = append(list, g.name)
		}
	}
	return list
}

// appendDevice appends MAJOR:MINOR; the kernel's dev_t has 20 bits for the minor number.
func appendDevice(b []byte, dev uint32) []byte {
	const minorBits = 20
	b = strconv.AppendUint(b, uint64(dev>>minorBits), 10)
	b = append(b, ':')
	return strconv.AppendUint(b, uint64(dev&(1<<minorBits-1)), 10)
}

// appendMode appends four octal digits.
func appendMode(b []byte, mode uint16) []byte {
	for shift := 9; shift >= 0; shift -= 3 {
		b = append(b, '0'+byte(mode>>shift&7))
	}
	return b
}
