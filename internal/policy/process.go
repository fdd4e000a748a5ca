// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"slices"
	"strings"
)

// PIDFilter is an item of matchPIDs. PIDs are those of processes, not of threads.
type PIDFilter struct {
	Pos     Position
	Negated bool
	PIDs    []uint32 // sorted
	// Namespace compares with the PID in the process's own namespace instead of the host's.
	Namespace bool
	// FollowForks makes the test hold for the descendants of a process that it holds for.
	FollowForks bool
}

// MaxPID is the greatest PID that the kernel gives, PID_MAX_LIMIT.
const MaxPID = 1 << 22

var inOps = []Operator{OpIn, OpNotIn, OpEqual, OpNotEqual}

func (r *reader) pids(n *node) PIDFilter {
	f := PIDFilter{Pos: n.pos}
	r.object(n, "an item of matchPIDs", []field{
		{"operator", true, func(n *node) { f.Negated = r.operator(n, "matchPIDs", inOps).Info().Negated }},
		{"values", true, func(n *node) {
			r.each(n, "values", func(_ int, item *node) {
				f.PIDs = append(f.PIDs, uint32(r.integer(item, "a PID", 0, MaxPID)))
			})
			r.notEmpty(n)
		}},
		{"isNamespacePID", false, func(n *node) { f.Namespace = r.boolean(n, "isNamespacePID") }},
		{"followForks", false, func(n *node) { f.FollowForks = r.boolean(n, "followForks") }},
	})
	slices.Sort(f.PIDs)
	f.PIDs = slices.Compact(f.PIDs)
	return f
}

func (r *reader) notEmpty(n *node) {
	if n.kind == kindList && len(n.items) == 0 {
		r.fail(n.pos, "", "values is empty")
	}
}

// Namespace is a kind of namespace.
type Namespace uint8

// The namespaces, in the order of event.Namespaces.
const (
	NamespaceUTS Namespace = iota
	NamespaceIPC
	NamespaceMnt
	NamespacePID
	NamespacePIDForChildren
	NamespaceNet
	NamespaceTime
	NamespaceTimeForChildren
	NamespaceCgroup
	NamespaceUser
)

var namespaceNames = [...]string{"Uts", "Ipc", "Mnt", "Pid", "PidForChildren", "Net", "Time", "TimeForChildren", "Cgroup", "User"}

// String returns the name in the language.
func (n Namespace) String() string { return namespaceNames[n] }

func (r *reader) namespace(n *node) (Namespace, bool) {
	s, ok := r.scalar(n, "a namespace")
	if !ok {
		return 0, false
	}
	for i, name := range namespaceNames {
		if strings.EqualFold(name, s) {
			return Namespace(i), true
		}
	}
	r.fail(n.pos, didYouMean(s, namespaceNames[:]), "there is no namespace %q", clip(s))
	return 0, false
}

// NamespaceFilter is an item of matchNamespaces: the process is in one of these namespaces.
type NamespaceFilter struct {
	Pos       Position
	Namespace Namespace
	Negated   bool
	// Host stands for the namespace of the host, that of the first process.
	Host bool
	// Inodes are the inode numbers of namespaces; sorted.
	Inodes []uint32
}

func (r *reader) namespaces(n *node) NamespaceFilter {
	f := NamespaceFilter{Pos: n.pos}
	r.object(n, "an item of matchNamespaces", []field{
		{"namespace", true, func(n *node) { f.Namespace, _ = r.namespace(n) }},
		{"operator", true, func(n *node) { f.Negated = r.operator(n, "matchNamespaces", inOps).Info().Negated }},
		{"values", true, func(n *node) {
			r.each(n, "values", func(_ int, item *node) {
				if item.text == "host_ns" {
					f.Host = true
					return
				}
				f.Inodes = append(f.Inodes, uint32(r.integer(item, "a namespace (an inode number, or host_ns)", 1, math.MaxUint32)))
			})
			r.notEmpty(n)
		}},
	})
	slices.Sort(f.Inodes)
	f.Inodes = slices.Compact(f.Inodes)
	return f
}

// NamespaceChangeFilter is an item of matchNamespaceChanges: one of these namespaces is another than when the process
// executed its program.
type NamespaceChangeFilter struct {
	Pos     Position
	Negated bool
	// Mask has bit 1<<NamespaceX for each namespace.
	Mask uint16
}

func (r *reader) namespaceChanges(n *node) NamespaceChangeFilter {
	f := NamespaceChangeFilter{Pos: n.pos}
	r.object(n, "an item of matchNamespaceChanges", []field{
		{"operator", true, func(n *node) { f.Negated = r.operator(n, "matchNamespaceChanges", inOps).Info().Negated }},
		{"values", true, func(n *node) {
			r.each(n, "values", func(_ int, item *node) {
				if ns, ok := r.namespace(item); ok {
					f.Mask |= 1 << ns
				}
			})
			r.notEmpty(n)
		}},
	})
	return f
}

// CapabilitySet is one of the sets that a process has.
type CapabilitySet uint8

// The sets. Effective is the default.
const (
	Effective CapabilitySet = iota
	Permitted
	Inheritable
	Ambient
	Bounding
)

var setNames = [...]string{"Effective", "Permitted", "Inheritable", "Ambient", "Bounding"}

// String returns the name in the language.
func (s CapabilitySet) String() string { return setNames[s] }

// CapabilityFilter is an item of matchCapabilities: the set has one of these capabilities. As an item of
// matchCapabilityChanges: the set has one of these that it had not when the process executed its program, or the
// other way round.
type CapabilityFilter struct {
	Pos     Position
	Set     CapabilitySet
	Negated bool
	Mask    uint64
	// NamespaceOnly makes the test hold only for a process outside the host's user namespace.
	NamespaceOnly bool
}

func (r *reader) capabilityFilter(n *node, what string) CapabilityFilter {
	f := CapabilityFilter{Pos: n.pos}
	r.object(n, "an item of "+what, []field{
		{"type", false, func(n *node) { f.Set = r.capabilitySetName(n) }},
		{"operator", true, func(n *node) { f.Negated = r.operator(n, what, inOps).Info().Negated }},
		{"isNamespaceCapability", false, func(n *node) { f.NamespaceOnly = r.boolean(n, "isNamespaceCapability") }},
		{"values", true, func(n *node) {
			f.Mask = r.capabilitySet(r.texts(n, "values"))
			r.notEmpty(n)
		}},
	})
	return f
}

func (r *reader) capabilitySetName(n *node) CapabilitySet {
	s, ok := r.scalar(n, "the type of a capability set")
	if !ok {
		return Effective
	}
	for i, name := range setNames {
		if strings.EqualFold(name, s) {
			return CapabilitySet(i)
		}
	}
	r.fail(n.pos, didYouMean(s, setNames[:]), "there is no capability set %q", clip(s))
	return Effective
}
