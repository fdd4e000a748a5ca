// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// task.h: facts about a task. Pointers that come from a program's context are followed by plain loads, which the kernel
// makes safe (a fault reads as 0) and which cost no helper call.
#ifndef RINGSIDE_TASK_H
#define RINGSIDE_TASK_H

#include "path.h"

static __always_inline void read_id(struct process_id *id, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	id->start = leader->start_boottime;
	id->exec = task->self_exec_id;
	id->pid = task->tgid;
	id->reserved = 0;
}

// The level is 0 in the initial pid namespace, where the numbers are already known.
static __always_inline void read_pid_ns(struct task_struct *task, u32 *vpid, u32 *inum)
{
	struct pid *pid = task->thread_pid;
	u32 level = pid->level;
	struct upid upid = {};
	u64 at = 0;

	*vpid = task->tgid;
	*inum = PROC_PID_INIT_INO;
	if (!level)
		return;
	// Read as a number: the verifier lets no one add a variable to a pointer of its own.
	bpf_core_read(&at, sizeof(at), &task->thread_pid);
	at += bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	bpf_probe_read_kernel(&upid, sizeof(upid), (void *)at);
	*vpid = upid.nr;
	*inum = upid.ns ? BPF_CORE_READ(upid.ns, ns.inum) : 0;
}

static __always_inline void read_namespaces(struct namespaces *n, struct task_struct *task)
{
	struct nsproxy *ns = task->nsproxy;

	n->uts = ns->uts_ns->ns.inum;
	n->ipc = ns->ipc_ns->ns.inum;
	n->mnt = ns->mnt_ns->ns.inum;
	n->pid_for_children = ns->pid_ns_for_children->ns.inum;
	n->net = ns->net_ns->ns.inum;
	n->cgroup = ns->cgroup_ns->ns.inum;
	n->time = 0;
	n->time_for_children = 0;
	if (bpf_core_field_exists(struct nsproxy, time_ns)) {
		n->time = ns->time_ns->ns.inum;
		n->time_for_children = ns->time_ns_for_children->ns.inum;
	}
	n->user = task->cred->user_ns->ns.inum;
}

#define CAP(cred, set)                                                                                                 \
	(bpf_core_field_exists(struct kernel_cap_struct, cap) ?                                                        \
		 (u64)((struct cred___6_2 *)(cred))->set.cap[1] << 32 | ((struct cred___6_2 *)(cred))->set.cap[0] :     \
		 (cred)->set.val)

static __always_inline void read_creds(struct creds *c, struct task_struct *task)
{
	const struct cred *cred = task->cred;

	c->uid = cred->uid.val;
	c->gid = cred->gid.val;
	c->suid = cred->suid.val;
	c->sgid = cred->sgid.val;
	c->euid = cred->euid.val;
	c->egid = cred->egid.val;
	c->fsuid = cred->fsuid.val;
	c->fsgid = cred->fsgid.val;
	c->inheritable = CAP(cred, cap_inheritable);
	c->permitted = CAP(cred, cap_permitted);
	c->effective = CAP(cred, cap_effective);
	c->bounding = CAP(cred, cap_bset);
	c->ambient = CAP(cred, cap_ambient);
	c->secure_bits = cred->securebits;
	c->login_uid = -1;
	c->audit_session = -1;
	if (bpf_core_field_exists(struct task_struct, loginuid)) {
		c->login_uid = task->loginuid.val;
		c->audit_session = task->sessionid;
	}
	c->seccomp = 0;
	if (bpf_core_field_exists(struct task_struct, seccomp))
		c->seccomp = task->seccomp.mode;
}

// root_uid returns who is root in the user namespace of a task, as make_kuid(ns, 0) does (kernel/user_namespace.c), or -1.
static __always_inline u32 root_uid(struct task_struct *task)
{
	struct user_namespace *ns = task->cred->user_ns;
	u32 n = ns->uid_map.nr_extents;

	if (n > 5) { // sorted
		struct uid_gid_extent *e = BPF_CORE_READ(ns, uid_map.forward);

		return BPF_CORE_READ(e, first) ? -1 : BPF_CORE_READ(e, lower_first);
	}
#pragma unroll
	for (u32 i = 0; i < 5; i++)
		if (i < n && !ns->uid_map.extent[i].first)
			return ns->uid_map.extent[i].lower_first;
	return -1;
}

static __always_inline u32 read_file(struct file_id *f, struct file *file)
{
	struct inode *inode = file->f_inode;
	struct super_block *sb = inode->i_sb;
	struct dentry *dentry = file->f_path.dentry;
	void *upper = NULL;
	u32 flags = 0;

	f->ino = inode->i_ino;
	f->size = inode->i_size;
	f->dev = sb->s_dev;
	f->links = inode->i_nlink;
	f->uid = inode->i_uid.val;
	f->gid = inode->i_gid.val;
	f->mode = inode->i_mode;
	f->reserved = 0;
	if (bpf_core_field_exists(struct inode, i_ctime_sec)) {
		f->ctime_sec = inode->i_ctime_sec;
		f->ctime_nsec = inode->i_ctime_nsec & ~I_CTIME_QUERIED;
	} else if (bpf_core_field_exists(struct inode___6_10, __i_ctime)) {
		f->ctime_sec = ((struct inode___6_10 *)inode)->__i_ctime.tv_sec;
		f->ctime_nsec = ((struct inode___6_10 *)inode)->__i_ctime.tv_nsec;
	} else {
		f->ctime_sec = ((struct inode___6_5 *)inode)->i_ctime.tv_sec;
		f->ctime_nsec = ((struct inode___6_5 *)inode)->i_ctime.tv_nsec;
	}
	if (!f->links || !dentry->d_hash.pprev)
		flags |= FLAG_UNLINKED;
	// memfd_create makes a file with a dentry of its own that is no root of a mount (mm/memfd.c, alloc_file_pseudo).
	if (!f->links && dentry->d_parent == dentry && file->f_path.mnt->mnt_root != dentry)
		flags |= FLAG_MEMFD;
	// __upperdentry follows vfs_inode in struct ovl_inode (fs/overlayfs/ovl_entry.h), whose BTF is a module's.
	if (sb->s_magic == OVERLAYFS_SUPER_MAGIC) {
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
		if (upper)
			flags |= FLAG_OVERLAY_UPPER;
	}
	return flags;
}

// read_tty returns the device number of the controlling terminal as dev_t, or 0.
static __always_inline u32 read_tty(struct signal_struct *signal)
{
	struct tty_struct *tty = signal->tty;
	struct tty_driver *driver;

	if (!tty)
		return 0;
	driver = tty->driver;
	return (u32)driver->major << 20 | ((driver->minor_start + tty->index) & 0xfffff);
}

static __always_inline u32 read_session(struct signal_struct *signal)
{
	struct pid *sid = signal->pids[PIDTYPE_SID];
	u32 nr = 0;

	if (sid)
		bpf_probe_read_kernel(&nr, sizeof(nr), (void *)sid + bpf_core_field_offset(struct pid, numbers) +
							       bpf_core_field_offset(struct upid, nr));
	return nr;
}

// read_cgroup returns the cgroup that tells where a task belongs: that of the default hierarchy, or, when a host keeps its tasks in the root of
// that one, of the version 1 hierarchy of the pids controller, which every container runtime uses.
static __always_inline struct kernfs_node *read_cgroup(struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	struct cgroup *cgroup = set->dfl_cgrp;
	struct cgroup_subsys_state *css = NULL;

	if (cgroup->level || !bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		return cgroup->kn;
	bpf_probe_read_kernel(&css, sizeof(css),
			      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
				      bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id) * sizeof(void *));
	return css ? BPF_CORE_READ(css, cgroup, kn) : cgroup->kn;
}

#endif
