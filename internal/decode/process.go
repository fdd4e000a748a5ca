// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"fmt"
	"strings"
	"unsafe"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/event"
)

// tail is the part of a record behind its struct.
type tail struct{ b []byte }

func (t *tail) take(n uint64) ([]byte, error) {
	if n > uint64(len(t.b)) {
		return nil, fmt.Errorf("%w: a field of %d bytes where %d are left", ErrMalformed, n, len(t.b))
	}
	taken := t.b[:n:n]
	t.b = t.b[n:]
	return taken, nil
}

// process decodes KIND_EXEC and KIND_TASK.
func (d *Decoder) process(b []byte, r *Record) error {
	v, err := view[bpf.ProcessExecRecord](b)
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	t := tail{b[unsafe.Sizeof(v):]}
	var fields [6][]byte
	for i, n := range [...]uint64{
		uint64(v.PathLen), uint64(v.CwdLen), uint64(v.GivenLen), uint64(v.InterpLen), uint64(v.ArgsLen), uint64(v.EnvLen),
	} {
		if fields[i], err = t.take(n); err != nil {
			return fmt.Errorf("exec: %w", err)
		}
	}
	path, cwd, given, interp, args, env := fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]

	p := &event.Process{
		ID:         id(v.Id),
		Parent:     id(v.Parent),
		TID:        v.Tid,
		VPID:       v.Vpid,
		SessionPID: v.Session,
		TTY:        ttyName(v.Tty),
		Cwd:        d.path(cwd),
		ArgsCount:  int(v.Argc),
		ArgsBytes:  int(v.ArgsBytes),
		CgroupID:   v.Cgroup,
		Flags:      event.Flags(v.Flags &^ bpf.ProcessExecFlagFLAG_KTHREAD),
		Cred:       cred(&v),
		Namespaces: namespaces(&v),
		File:       file(&v),
	}
	p.File.Path = d.executable(path, p.Flags)
	if p.Cwd == "" && p.File.Path != "" && p.Flags&event.PathUnreadable == 0 {
		p.Cwd = "/" // a path of no components
	}
	p.Args = split(args, p.ArgsCount)
	p.Env = split(env, 0)
	p.Given = d.given(given, p)
	r.KernelThread = v.Flags&bpf.ProcessExecFlagFLAG_KTHREAD != 0
	if r.Kind == bpf.ProcessKindKIND_EXEC {
		p.ExecTime = r.Boot
	}
	if p.Flags&event.IsScript != 0 {
		p.Interp = cString(interp)
		p.Script = absolute(p.Given, p.Cwd)
	}
	r.Process = p
	return nil
}

func cred(v *bpf.ProcessExecRecord) event.Cred {
	c := &v.Cred
	return event.Cred{
		UID: c.Uid, EUID: c.Euid, SUID: c.Suid, FSUID: c.Fsuid,
		GID: c.Gid, EGID: c.Egid, SGID: c.Sgid, FSGID: c.Fsgid,
		LoginUID: c.LoginUid, AuditSession: c.AuditSession,
		SecureBits: c.SecureBits, Seccomp: uint8(c.Seccomp),
		Effective: c.Effective, Permitted: c.Permitted, Inheritable: c.Inheritable, Ambient: c.Ambient, Bounding: c.Bounding,
	}
}

func namespaces(v *bpf.ProcessExecRecord) event.Namespaces {
	n := &v.Ns
	return event.Namespaces{
		UTS: n.Uts, IPC: n.Ipc, Mnt: n.Mnt, PID: n.Pid, PIDForChildren: n.PidForChildren, Net: n.Net,
		Time: n.Time, TimeForChildren: n.TimeForChildren, Cgroup: n.Cgroup, User: n.User,
	}
}

func file(v *bpf.ProcessExecRecord) event.File {
	f := &v.File
	return event.File{
		Dev: f.Dev, Ino: f.Ino, Size: f.Size, CTimeSec: f.CtimeSec, CTimeNsec: f.CtimeNsec,
		Mode: f.Mode, Links: f.Links, UID: f.Uid, GID: f.Gid,
	}
}

// executable is the path of the executed file. A memfd has a name, but no path.
func (d *Decoder) executable(leafFirst []byte, flags event.Flags) string {
	if flags&event.Memfd != 0 {
		return cString(leafFirst)
	}
	return d.path(leafFirst)
}

// given is the name as it was given to exec; it shares memory with what it equals, as it does as a rule.
func (d *Decoder) given(b []byte, p *event.Process) string {
	b = bytes.TrimSuffix(b, []byte{0})
	switch {
	case string(b) == p.File.Path:
		return p.File.Path
	case len(p.Args) > 0 && string(b) == p.Args[0]:
		return p.Args[0]
	}
	return string(b)
}

// path joins a path that travels leaf first, and keeps the result.
func (d *Decoder) path(leafFirst []byte) string {
	if len(leafFirst) == 0 {
		return ""
	}
	if p, ok := d.paths[string(leafFirst)]; ok {
		return p
	}
	p := string(join(leafFirst))
	if len(leafFirst) > maxPathKept {
		return p
	}
	if len(d.paths) >= maxPaths {
		clear(d.paths)
	}
	d.paths[string(leafFirst)] = p
	return p
}

// join turns "true\0bin\0usr\0" into "/usr/bin/true".
func join(leafFirst []byte) []byte {
	path := make([]byte, 0, len(leafFirst)+1)
	rest := bytes.TrimSuffix(leafFirst, []byte{0})
	for len(rest) > 0 {
		i := bytes.LastIndexByte(rest, 0)
		path = append(append(path, '/'), rest[i+1:]...)
		rest = rest[:max(i, 0)]
	}
	return path
}

// split cuts a block of NUL-terminated strings, which share one piece of memory, into at most count of them, or all when count is 0. A last
// string without a NUL was cut by the size limit. There are more than the true count only where memory that could not be read is zero.
func split(block []byte, count int) []string {
	if len(block) == 0 {
		return nil
	}
	all := strings.TrimSuffix(string(block), "\x00")
	// The true count is what a process chose; the block bounds it.
	parts := make([]string, 0, min(max(count, 1), len(block)))
	for {
		i := strings.IndexByte(all, 0)
		if i < 0 {
			return append(parts, all)
		}
		parts = append(parts, all[:i])
		if len(parts) == count {
			return parts
		}
		all = all[i+1:]
	}
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// absolute completes a file name by the directory that it was relative to, if that is known. It does not resolve links: the name is what was
// asked for.
func absolute(name, cwd string) string {
	if name == "" || cwd == "" || strings.HasPrefix(name, "/") {
		return name
	}
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	return strings.TrimSuffix(cwd, "/") + "/" + name
}

// ttyName names a terminal device as under /dev (Documentation/admin-guide/devices.txt).
func ttyName(dev uint32) string {
	major, minor := dev>>20, dev&0xfffff
	switch {
	case dev == 0:
		return ""
	case major == 136:
		return fmt.Sprintf("pts/%d", minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major == 166:
		return fmt.Sprintf("ttyACM%d", minor)
	case major == 188:
		return fmt.Sprintf("ttyUSB%d", minor)
	case major == 204 && minor >= 64 && minor < 80:
		return fmt.Sprintf("ttyAMA%d", minor-64)
	case major == 229:
		return fmt.Sprintf("hvc%d", minor)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}
