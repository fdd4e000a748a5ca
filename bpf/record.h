// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// record.h: what crosses from the kernel to user space, on the ring buffer and from the task iterator.
//
// Go's view of each struct is generated from this file (bpf2go -type), so it is the one definition. Padding is
// written out: an implicit hole would carry kernel memory to user space, and -Wpadded makes it an error.
#ifndef RINGSIDE_RECORD_H
#define RINGSIDE_RECORD_H

#pragma clang diagnostic push
#pragma clang diagnostic error "-Wpadded"

// What a record tells. Those that become events have the numbers of event.Kind.
enum kind {
	KIND_EXEC = 1,
	KIND_EXIT = 2,
	KIND_FORK = 3,
	KIND_CGROUP = 4, // the path of a cgroup, once, before the first record that names its id
	KIND_TASK = 5,   // a process that was there already; from the iterator, never on the ring
	KIND_COUNT = 6,
};

// Why a record could not be put on the ring.
enum reason {
	REASON_RING_FULL = 0,
	REASON_TOO_LARGE = 1,
	REASON_BUSY = 2,
	REASON_COUNT = 3,
};

// The numbers are those of event.Flags.
enum exec_flag {
	FLAG_UNLINKED = 1 << 0,
	FLAG_MEMFD = 1 << 1,
	FLAG_OVERLAY_UPPER = 1 << 2,
	FLAG_SETUID = 1 << 3,
	FLAG_SETGID = 1 << 4,
	FLAG_FILE_CAPS = 1 << 5,
	FLAG_SECURE_EXEC = 1 << 6,
	FLAG_NO_NEW_PRIVS = 1 << 7,
	FLAG_SCRIPT = 1 << 8,
	FLAG_PATH_CUT = 1 << 9,
	FLAG_CWD_CUT = 1 << 10,
	FLAG_ARGS_CUT = 1 << 11,
	FLAG_ENV_CUT = 1 << 12,
	FLAG_ARGS_UNREADABLE = 1 << 13,
	FLAG_ENV_UNREADABLE = 1 << 14,
	FLAG_PATH_UNREADABLE = 1 << 15,
	FLAG_KTHREAD = 1 << 16, // KIND_TASK only
};

// Every record begins with this.
struct header {
	u64 seq;  // of this CPU, without gaps: a record that was lost used a number too
	u64 time; // CLOCK_BOOTTIME, ns
	u32 size; // bytes of the whole record
	u16 cpu;
	u8 kind;
	u8 reserved;
};

// The identity of one execution (event.ID).
struct process_id {
	u64 start; // group_leader->start_boottime, ns
	u64 exec;  // self_exec_id
	u32 pid;   // tgid
	u32 reserved;
};

struct creds {
	u32 uid, gid, suid, sgid, euid, egid, fsuid, fsgid;
	u64 inheritable, permitted, effective, bounding, ambient;
	u32 secure_bits;
	u32 login_uid;
	u32 audit_session;
	u32 seccomp;
};

struct namespaces {
	u32 uts, ipc, mnt, pid, pid_for_children, net, time, time_for_children, cgroup, user;
};

struct file_id {
	u64 ino;
	s64 size;
	s64 ctime_sec;
	u32 ctime_nsec;
	u32 dev;
	u32 links;
	u32 uid, gid;
	u16 mode;
	u16 reserved;
};

// KIND_EXEC and KIND_TASK. The bytes of path, cwd, given, interp, args and env follow the struct in this
// order, with the lengths told here. Path and cwd travel as the kernel finds them, leaf first: "true\0bin\0usr\0".
struct exec_record {
	struct header header;
	struct process_id id;
	struct process_id parent; // real_parent
	u64 cgroup;
	struct creds cred;
	struct namespaces ns;
	struct file_id file;
	u32 tid;
	u32 vpid;
	u32 session;
	u32 tty; // kernel's dev_t, 0 for none
	enum exec_flag flags;
	u32 argc;
	u32 args_bytes; // true length of argv in memory
	u32 args_len;   // bytes of it in this record
	u32 env_len;
	u16 path_len;
	u16 cwd_len;
	u16 given_len;
	u16 interp_len;
	u32 reserved;
};

struct exit_record {
	struct header header;
	struct process_id id;
	struct process_id parent;
	u64 utime; // ns, all threads; as accounted, to be scaled by runtime as times(2) does
	u64 stime;
	u64 runtime; // ns on a CPU, all threads
	u64 max_rss; // pages
	u64 read_bytes;
	u64 write_bytes;
	u32 status; // as wait(2) tells it
	u32 reserved;
};

struct fork_record {
	struct header header;
	struct process_id id;      // the new process
	struct process_id parent;  // its real_parent
	struct process_id creator; // who called fork or clone
	u64 cgroup;
	u32 vpid;
	u32 reserved;
};

// The path follows, leaf first as in exec_record.
struct cgroup_record {
	struct header header;
	u64 id;
	u32 path_len;
	u32 cut;
};

// The account of one CPU.
struct counters {
	u64 seq; // next sequence number, so: records attempted
	u64 produced[KIND_COUNT];
	u64 lost[KIND_COUNT][REASON_COUNT];
};

#pragma clang diagnostic pop
#endif
