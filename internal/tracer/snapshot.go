// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/decode"
	"github.com/ringside-otel/ringside/internal/event"
)

func bootTime() time.Duration { return now(unix.CLOCK_BOOTTIME) }

// snapshot adds the processes that exist to the table, with the identity that they would have had if their exec had been seen, and
// returns which those are.
func (t *Tracer) snapshot() (map[event.ID]bool, error) {
	b, err := t.programs.Snapshot()
	if err != nil {
		return nil, err
	}
	var tasks []decode.Record
	hostKnown := false
	for len(b) > 0 {
		size, err := decode.Size(b)
		if err != nil {
			return nil, fmt.Errorf("decode the task iterator: %w", err)
		}
		var r decode.Record
		if err := t.decoder.Decode(b[:size], &r); err != nil {
			return nil, fmt.Errorf("decode the task iterator: %w", err)
		}
		b = b[size:]
		if r.Kind == bpf.ProcessKindKIND_CGROUP {
			t.cgroups.add(r.Cgroup.ID, r.Cgroup.Path)
			continue
		}
		if r.KernelThread && !hostKnown {
			// The first one is kthreadd, whose namespaces are those that the host began with. Another, kdevtmpfs, has a mount
			// namespace of its own.
			t.host, hostKnown = r.Process.Namespaces, true
		}
		tasks = append(tasks, r)
	}
	alive := make(map[event.ID]bool, len(tasks))
	for i := range tasks {
		p := tasks[i].Process
		alive[p.ID] = true
		if !tasks[i].KernelThread {
			t.readArgs(p)
		}
		t.table.Add(p)
	}
	return alive, nil
}

// readArgs reads the arguments of a process that is older than the tracer: its memory, which it may have changed since.
func (t *Tracer) readArgs(p *event.Process) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(int(p.ID.PID)) + "/cmdline")
	if err != nil || len(b) == 0 {
		p.Flags |= event.ArgsUnreadable // it has ended, or has no memory any more
		return
	}
	p.ArgsBytes = len(b)
	p.ArgsCount = bytes.Count(bytes.TrimSuffix(b, []byte{0}), []byte{0}) + 1
	if len(b) > t.cfg.MaxArgsSize {
		b = b[:t.cfg.MaxArgsSize]
		p.Flags |= event.ArgsCut
	}
	p.Args = strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
}

// complete fills in what the kernel's records do not hold.
func (t *Tracer) complete(p *event.Process) {
	p.StartTime = t.clock.wall(time.Duration(p.ID.Start))
	if p.CgroupPath == "" {
		t.cgroups.place(p)
	}
	if p.Unseen {
		return
	}
	p.Namespaces.Host = sharedWith(&p.Namespaces, &t.host)
	p.UserName = t.users.Name(p.Cred.EUID)
	if len(p.Env) > 0 {
		p.Env = chosen(p.Env, t.cfg.Environment)
	}
}

// sharedWith returns a bit for each namespace, in the order of event.Namespaces, that is the host's.
func sharedWith(n, host *event.Namespaces) uint16 {
	var bits uint16
	for i, same := range [...]bool{
		n.UTS == host.UTS, n.IPC == host.IPC, n.Mnt == host.Mnt, n.PID == host.PID, n.PIDForChildren == host.PIDForChildren,
		n.Net == host.Net, n.Time == host.Time, n.TimeForChildren == host.TimeForChildren, n.Cgroup == host.Cgroup, n.User == host.User,
	} {
		if same {
			bits |= 1 << i
		}
	}
	return bits
}

// chosen returns those of env that have one of names, as strings of their own: the rest of the environment is not kept.
func chosen(env, names []string) []string {
	var kept []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		for _, n := range names {
			if n == name {
				kept = append(kept, strings.Clone(v))
			}
		}
	}
	return kept
}
