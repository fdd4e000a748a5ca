// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// path.h: names from the dentry and kernfs trees. A walk appends each component with its NUL to a scratch buffer, leaf first,
// as the kernel meets them; user space turns them round, which costs the kernel nothing.
#ifndef RINGSIDE_PATH_H
#define RINGSIDE_PATH_H

#include "ring.h"

#define PATH_MAX 4096
#define NAME_MAX 255
// A path of PATH_MAX bytes has at most half as many components; each may lie on a mount point.
#define WALK_MAX 4200

struct walk {
	struct scratch *s;
	u64 node; // dentry or kernfs_node
	u64 mnt;  // vfsmount
	u64 root; // mnt->mnt_root
	u32 at;   // where the next component goes
	u32 end;  // where the path must end
	u32 cut;
	u32 failed;
};

// The part of a dentry that a step needs is read at once: d_parent and d_name follow each other in every kernel (include/linux/dcache.h
// groups them in the cache line that lookups touch).
struct dentry_part {
	u64 parent;
	u32 hash;
	u32 len;
	u64 name;
};

static __always_inline u32 append(struct walk *w, const void *name, u32 len)
{
	u32 at = w->at;

	if (len > NAME_MAX)
		len = NAME_MAX;
	if (at + len >= w->end || at > SCRATCH_DATA - 1) {
		w->cut = 1;
		return 1;
	}
	// The NUL of the name is copied with it.
	if (bpf_probe_read_kernel(&w->s->data[at], len + 1, name)) {
		w->failed = 1;
		return 1;
	}
	w->at = at + len + 1;
	return 0;
}

static long dentry_step(u32 i, struct walk *w)
{
	struct dentry_part d;
	u64 mnt, parent;

	if (w->node == w->root) {
		mnt = w->mnt - bpf_core_field_offset(struct mount, mnt);
		if (bpf_probe_read_kernel(&parent, sizeof(parent),
					  (void *)(mnt + bpf_core_field_offset(struct mount, mnt_parent))))
			goto failed;
		if (parent == mnt)
			return 1;
		if (bpf_probe_read_kernel(&w->node, sizeof(w->node),
					  (void *)(mnt + bpf_core_field_offset(struct mount, mnt_mountpoint))))
			goto failed;
		w->mnt = parent + bpf_core_field_offset(struct mount, mnt);
		if (bpf_probe_read_kernel(&w->root, sizeof(w->root),
					  (void *)(w->mnt + bpf_core_field_offset(struct vfsmount, mnt_root))))
			goto failed;
		return 0;
	}
	if (bpf_probe_read_kernel(&d, sizeof(d), (void *)(w->node + bpf_core_field_offset(struct dentry, d_parent))))
		goto failed;
	if (append(w, (void *)d.name, d.len))
		return 1;
	if (d.parent == w->node) // a file of no directory: memfd, or a tree that was cut off
		return 1;
	w->node = d.parent;
	return 0;
failed:
	w->failed = 1;
	return 1;
}

static long kernfs_step(u32 i, struct walk *w)
{
	struct kernfs_node *kn = (void *)w->node;
	u64 parent;
	char *name;
	long len;
	u32 at = w->at;

	if (bpf_core_field_exists(struct kernfs_node, __parent))
		parent = (u64)BPF_CORE_READ(kn, __parent);
	else
		parent = (u64)BPF_CORE_READ((struct kernfs_node___6_14 *)kn, parent);
	if (!parent)
		return 1;
	if (at >= w->end || at > SCRATCH_DATA - 1) {
		w->cut = 1;
		return 1;
	}
	name = (char *)BPF_CORE_READ(kn, name);
	len = bpf_probe_read_kernel_str(&w->s->data[at], NAME_MAX + 1, name);
	if (len <= 0) {
		w->failed = 1;
		return 1;
	}
	w->at = at + len;
	w->node = parent;
	return 0;
}

// walk_path appends the path of a file up to the root of its mount namespace and returns its length.
static __always_inline u32 walk_path(struct walk *w, struct path *path)
{
	u32 start = w->at;

	w->node = (u64)path->dentry;
	w->mnt = (u64)path->mnt;
	w->root = (u64)path->mnt->mnt_root;
	w->end = start + PATH_MAX;
	w->cut = 0;
	// Mounts on top of each other take steps, but no bytes.
	if (w->node && bpf_loop(WALK_MAX, dentry_step, w, 0) == WALK_MAX)
		w->cut = 1;
	return w->at - start;
}

static __always_inline u32 walk_cgroup(struct walk *w, struct kernfs_node *kn)
{
	u32 start = w->at;

	w->node = (u64)kn;
	w->end = start + PATH_MAX;
	w->cut = 0;
	if (w->node)
		bpf_loop(WALK_MAX, kernfs_step, w, 0);
	return w->at - start;
}

#endif
