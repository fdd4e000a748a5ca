// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// kernel.h: the parts of the kernel's types that the programs read.
//
// Only names and nesting matter: CO-RE relocates every access against the BTF of the running kernel, so
// a struct lists what is read and nothing else. A suffix ___ marks how an older or newer kernel has it.
#ifndef RINGSIDE_KERNEL_H
#define RINGSIDE_KERNEL_H

typedef unsigned char u8, __u8;
typedef unsigned short u16, __u16;
typedef short __s16;
typedef unsigned int u32, __u32;
typedef int s32, __s32;
typedef unsigned long long u64, __u64;
typedef long long s64, __s64;
typedef __u16 __be16;
typedef __u32 __be32, __wsum;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

// include/uapi/linux/bpf.h
enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };
struct bpf_dynptr {
	u64 opaque[2];
} __attribute__((aligned(8)));

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	u32 val;
} kuid_t, kgid_t;
typedef struct {
	int counter;
} atomic_t;
struct list_head {
	struct list_head *next, *prev;
};
typedef struct seqcount {
	u32 sequence;
} seqcount_t;
typedef struct seqcount_spinlock {
	seqcount_t seqcount;
} seqcount_spinlock_t;
typedef struct {
	seqcount_spinlock_t seqcount;
} seqlock_t;

typedef struct {
	u64 val;
} kernel_cap_t;
struct kernel_cap_struct {
	u32 cap[2];
};
struct ns_common {
	u32 inum;
};
struct uid_gid_extent {
	u32 first;
	u32 lower_first;
	u32 count;
};
struct uid_gid_map {
	union {
		struct {
			struct uid_gid_extent extent[5];
			u32 nr_extents;
		};
		struct uid_gid_extent *forward; // when there are more than five
	};
};
struct user_namespace {
	struct uid_gid_map uid_map;
	struct ns_common ns;
};
struct uts_namespace {
	struct ns_common ns;
};
struct ipc_namespace {
	struct ns_common ns;
};
struct mnt_namespace {
	struct ns_common ns;
};
struct pid_namespace {
	struct ns_common ns;
};
struct time_namespace {
	struct ns_common ns;
};
struct cgroup_namespace {
	struct ns_common ns;
};
struct net {
	struct ns_common ns;
};
struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct time_namespace *time_ns;
	struct time_namespace *time_ns_for_children;
	struct cgroup_namespace *cgroup_ns;
};

struct cred {
	kuid_t uid, suid, euid, fsuid;
	kgid_t gid, sgid, egid, fsgid;
	u32 securebits;
	kernel_cap_t cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
	struct user_namespace *user_ns;
};
// Before 6.3 (commit f122a08b197d) a capability set was an array of two.
struct cred___6_2 {
	struct kernel_cap_struct cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct pid {
	u32 level;
	struct upid numbers[1];
};

struct tty_driver {
	int major;
	int minor_start;
};
struct tty_struct {
	int index;
	struct tty_driver *driver;
};

struct task_io_accounting {
	u64 read_bytes;
	u64 write_bytes;
};
struct signal_struct {
	atomic_t live;
	int nr_threads;
	struct list_head thread_head;
	int group_exit_code;
	u32 flags;
	struct pid *pids[4];
	struct tty_struct *tty;
	seqlock_t stats_lock;
	u64 utime;
	u64 stime;
	unsigned long maxrss;
	struct task_io_accounting ioac;
	u64 sum_sched_runtime;
};
struct sched_entity {
	u64 sum_exec_runtime;
};
struct seccomp {
	int mode;
};

struct kernfs_node {
	struct kernfs_node *__parent;
	const char *name;
	u64 id;
};
// Before 6.15 (commit 633488947ef6) the parent needed no RCU.
struct kernfs_node___6_14 {
	struct kernfs_node *parent;
};
struct cgroup {
	int level;
	struct kernfs_node *kn;
};
struct cgroup_subsys_state {
	struct cgroup *cgroup;
};
struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};
enum cgroup_subsys_id {
	pids_cgrp_id = 1,
};

struct qstr {
	union {
		struct {
			u32 hash;
			u32 len;
		};
	};
	const unsigned char *name;
};
struct hlist_bl_node {
	struct hlist_bl_node *next, **pprev;
};
struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
};
struct vfsmount {
	struct dentry *mnt_root;
	int mnt_flags;
};
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};
struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};
struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};
struct inode {
	u16 i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	unsigned long i_ino;
	u32 i_nlink;
	s64 i_size;
	s64 i_ctime_sec;
	u32 i_ctime_nsec;
};
// The change time was __i_ctime from 6.6 (commit 13bc24457850) and i_ctime before.
struct inode___6_10 {
	struct timespec64 __i_ctime;
};
struct inode___6_5 {
	struct timespec64 i_ctime;
};
struct file {
	struct path f_path;
	struct inode *f_inode;
};
struct fs_struct {
	struct path pwd;
};
struct mm_struct {
	unsigned long arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

struct task_struct {
	u32 flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct list_head thread_node;
	u64 start_boottime;
	u64 self_exec_id;
	u64 utime;
	u64 stime;
	struct sched_entity se;
	int exit_state;
	int exit_code;
	unsigned long atomic_flags;
	const struct cred *cred;
	const struct cred *real_cred;
	char comm[16];
	struct fs_struct *fs;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct mm_struct *mm;
	struct seccomp seccomp;
	struct task_io_accounting ioac;
	kuid_t loginuid;
	u32 sessionid;
};

struct linux_binprm {
	u32 per_clear;
	struct file *file;
	int argc;
	const char *filename;
	const char *interp;
};
struct linux_binprm___bits {
	u32 secureexec : 1;
};

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

#define PF_KTHREAD 0x00200000
#define PFA_NO_NEW_PRIVS 0 // bit of task->atomic_flags
#define SIGNAL_GROUP_EXIT 0x00000004
#define S_IFMT 0170000
#define S_ISUID 0004000
#define S_ISGID 0002000
#define S_IXGRP 0000010
#define MNT_NOSUID 0x01
#define SECBIT_NOROOT 0x01
#define PIDTYPE_SID 3
#define PROC_PID_INIT_INO 0xEFFFFFFCU
#define EEXIST 17
#define I_CTIME_QUERIED (1U << 31) // a mark within i_ctime_nsec since 6.13 (include/linux/fs.h)
#define OVERLAYFS_SUPER_MAGIC 0x794c7630

#endif
