// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"github.com/ringside-otel/ringside/internal/enrich"
	"github.com/ringside-otel/ringside/internal/event"
)

// cgroups knows where the cgroups are whose ids the records carry. The kernel part tells each path once. The ids are never used again
// (fs/kernfs/dir.c), so an entry is right forever; those that no process uses any more are forgotten by sweep.
type cgroups struct {
	known map[uint64]*cgroup
}

type cgroup struct {
	path      string
	container *event.Container // nil for the host
	unused    bool             // at the last sweep
}

func newCgroups() *cgroups { return &cgroups{known: make(map[uint64]*cgroup)} }

func (c *cgroups) add(id uint64, path string) {
	g := &cgroup{path: path}
	if container, ok := enrich.ParseCgroup(path); ok {
		g.container = &container
	}
	c.known[id] = g
}

// place fills in where a process belongs.
func (c *cgroups) place(p *event.Process) {
	if g, ok := c.known[p.CgroupID]; ok {
		p.CgroupPath, p.Container = g.path, g.container
	}
}

// sweep returns the cgroups that were used neither now nor at the last sweep, so that also a record on its way does not name them.
func (c *cgroups) sweep(used map[uint64]bool) []uint64 {
	var old []uint64
	for id, g := range c.known {
		switch {
		case used[id]:
			g.unused = false
		case g.unused:
			old = append(old, id)
		default:
			g.unused = true
		}
	}
	return old
}

func (c *cgroups) forget(id uint64) { delete(c.known, id) }
