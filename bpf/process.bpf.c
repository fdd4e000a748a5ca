//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// process.bpf.c: exec, exit and fork, from tracepoints that every kernel has, and the processes that were there before.

#include "task.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// Limits in bytes, set by user space.
const volatile u32 max_args = 32 << 10;
const volatile u32 max_env = 0; // 0: the environment is not read

// Chunks in the largest arguments or environment: 128 KiB.
#define MAX_CHUNKS 32

// Ids of the cgroups whose path user space was told. When an old one falls out, its path is told again.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, u64);
	__type(value, u8);
} told_cgroups SEC(".maps");

// Processes with threads whose exit was told: the last two threads can both see that no thread is left.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct process_id);
	__type(value, u8);
} told_exits SEC(".maps");

// The iterator is read by one task at a time.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} iterator_scratch SEC(".maps");

static __always_inline u32 cgroup_path(struct scratch *s, struct kernfs_node *kn, u64 id)
{
	struct cgroup_record *r = &s->cgroup;
	struct walk w = { .s = s, .at = sizeof(*r) };

	r->id = id;
	r->path_len = walk_cgroup(&w, kn);
	r->cut = w.cut | w.failed;
	return sizeof(*r) + r->path_len;
}

// tell_cgroup sends the path of a cgroup, in a scratch buffer that is free.
static __always_inline void tell_cgroup(struct counters *c, struct scratch *s, struct kernfs_node *kn, u64 id, u64 time)
{
	u32 size = cgroup_path(s, kn, id);
	u8 one = 1;

	if (!send(c, &s->cgroup.header, KIND_CGROUP, time, size))
		bpf_map_update_elem(&told_cgroups, &id, &one, BPF_ANY);
}

// read_common fills what an exec and a process found at start have in common. The walk is left behind the last string.
static __always_inline void read_common(struct exec_record *r, struct walk *w, struct task_struct *task, struct file *file)
{
	struct task_struct *parent = task->real_parent;
	struct signal_struct *signal = task->signal;
	u32 flags = 0;

	read_id(&r->id, task);
	read_id(&r->parent, parent);
	read_creds(&r->cred, task);
	read_namespaces(&r->ns, task);
	read_pid_ns(task, &r->vpid, &r->ns.pid);
	r->session = read_session(signal);
	r->tty = read_tty(signal);
	r->reserved = 0;
	if (task->atomic_flags & 1 << PFA_NO_NEW_PRIVS)
		flags |= FLAG_NO_NEW_PRIVS;

	r->path_len = 0;
	if (file) {
		flags |= read_file(&r->file, file);
		r->path_len = walk_path(w, &file->f_path);
	}
	if (w->cut)
		flags |= FLAG_PATH_CUT;
	r->cwd_len = walk_path(w, &task->fs->pwd);
	if (w->cut)
		flags |= FLAG_CWD_CUT;
	if (w->failed)
		flags |= FLAG_PATH_UNREADABLE;
	r->flags = flags;
}

// read_gains tells what the exec gave. The kernel notes in per_clear that it honoured a set-ID bit or gave capabilities
// (fs/exec.c bprm_fill_uid, security/commoncap.c), which covers no_new_privs. The owner of the file is not compared with the new
// user: on an id-mapped mount they differ.
static __always_inline u32 read_gains(struct task_struct *task, struct linux_binprm *bprm, struct exec_record *r)
{
	u32 flags = 0, mode = r->file.mode, root;

	if (BPF_CORE_READ_BITFIELD((struct linux_binprm___bits *)bprm, secureexec))
		flags |= FLAG_SECURE_EXEC;
	if (!bprm->per_clear || bprm->file->f_path.mnt->mnt_flags & MNT_NOSUID)
		return flags;
	if (mode & S_ISUID && r->cred.euid != r->cred.uid)
		flags |= FLAG_SETUID;
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && r->cred.egid != r->cred.gid)
		flags |= FLAG_SETGID;
	if (!(r->cred.permitted & ~r->cred.ambient))
		return flags;
	// Root, of its user namespace, has its capabilities by its uid; anyone else who has some now had them from the file.
	root = root_uid(task);
	if (r->cred.secure_bits & SECBIT_NOROOT || (r->cred.uid != root && r->cred.euid != root))
		flags |= FLAG_FILE_CAPS;
	return flags;
}

// A name as it was given to exec. That of execveat(2) has /dev/fd/N/ before it.
#define GIVEN_MAX (PATH_MAX + 32)

static __always_inline u32 append_string(struct walk *w, const char *str, u32 *flags)
{
	u32 at = w->at;
	long len;

	if (at > SCRATCH_DATA + CHUNK - GIVEN_MAX)
		return 0;
	len = bpf_probe_read_kernel_str(&w->s->data[at], GIVEN_MAX, str);
	if (len <= 0) {
		*flags |= FLAG_PATH_UNREADABLE;
		return 0;
	}
	w->at = at + len;
	return len;
}

// A copy of user memory to a reserved record, a chunk at a time. What cannot be read is zero.
struct copy {
	struct scratch *s;
	u64 from;
	u32 at;
	u32 len;
	u32 failed;
	u32 reserved;
	struct bpf_dynptr ring;
};

static long copy_step(u32 i, struct copy *copy)
{
	u32 n = copy->len;

	if (!n)
		return 1;
	if (n > CHUNK)
		n = CHUNK;
	if (bpf_probe_read_user(copy->s->chunk, n, (void *)copy->from))
		copy->failed = 1;
	bpf_dynptr_write(&copy->ring, copy->at, copy->s->chunk, n, 0);
	copy->from += n;
	copy->at += n;
	copy->len -= n;
	return 0;
}

static __always_inline bool copy_user(struct copy *copy, u64 from, u32 len)
{
	copy->from = from;
	copy->len = len;
	copy->failed = 0;
	bpf_loop(MAX_CHUNKS, copy_step, copy, 0);
	return !copy->failed;
}

// send_large puts a record with much user memory on the ring: reserved at its true size, then filled piece by piece.
static __always_inline void send_large(struct counters *c, struct scratch *s, u32 fixed, struct mm_struct *mm, u64 time)
{
	struct exec_record *r = &s->exec;
	u32 size = fixed + r->args_len + r->env_len;
	struct copy copy = { .s = s, .at = fixed };

	number(c, &r->header, KIND_EXEC, time, size);
	if (bpf_ringbuf_reserve_dynptr(&process_ring, size, 0, &copy.ring)) {
		c->lost[KIND_EXEC][REASON_RING_FULL]++;
		bpf_ringbuf_discard_dynptr(&copy.ring, BPF_RB_NO_WAKEUP);
		return;
	}
	if (!copy_user(&copy, mm->arg_start, r->args_len))
		r->flags |= FLAG_ARGS_UNREADABLE;
	if (!copy_user(&copy, mm->env_start, r->env_len))
		r->flags |= FLAG_ENV_UNREADABLE;
	if (fixed > SCRATCH_DATA)
		fixed = SCRATCH_DATA;
	bpf_dynptr_write(&copy.ring, 0, s->data, fixed, 0);
	bpf_ringbuf_submit_dynptr(&copy.ring, wakeup(0));
}

static __always_inline u32 limit(u64 bytes, u32 max, u32 *flags, u32 cut)
{
	if (bytes <= max)
		return bytes;
	*flags |= cut;
	return max;
}

static __always_inline void record_exec(struct counters *c, struct scratch *s, struct task_struct *task, u32 old_pid,
					struct linux_binprm *bprm)
{
	struct exec_record *r = &s->exec;
	struct walk w = { .s = s, .at = sizeof(*r) };
	struct mm_struct *mm = task->mm;
	u64 time = bpf_ktime_get_boot_ns();
	struct kernfs_node *kn = read_cgroup(task);
	u64 cgroup = BPF_CORE_READ(kn, id);
	u32 flags = 0, at;

	if (!bpf_map_lookup_elem(&told_cgroups, &cgroup))
		tell_cgroup(c, s, kn, cgroup, time);
	r->cgroup = cgroup;
	read_common(r, &w, task, bprm->file);
	r->tid = old_pid;
	r->given_len = append_string(&w, bprm->filename, &flags);
	r->interp_len = 0;
	if (bprm->interp != bprm->filename) {
		flags |= FLAG_SCRIPT;
		r->interp_len = append_string(&w, bprm->interp, &flags);
	}
	r->argc = bprm->argc;
	r->args_bytes = mm->arg_end - mm->arg_start;
	r->args_len = limit(r->args_bytes, max_args, &flags, FLAG_ARGS_CUT);
	r->env_len = 0;
	if (max_env)
		r->env_len = limit(mm->env_end - mm->env_start, max_env, &flags, FLAG_ENV_CUT);
	r->flags |= flags | read_gains(task, bprm, r);

	at = w.at;
	if (at > SCRATCH_DATA - 1) { // cannot be: the strings have room
		lose(c, KIND_EXEC, REASON_TOO_LARGE);
		return;
	}
	if (r->args_len > CHUNK || r->env_len) {
		send_large(c, s, at, mm, time);
		return;
	}
	u32 n = r->args_len;
	if (n > CHUNK)
		n = CHUNK;
	if (bpf_probe_read_user(&s->data[at], n, (void *)mm->arg_start))
		r->flags |= FLAG_ARGS_UNREADABLE;
	at += n;
	if (at > SCRATCH_DATA)
		lose(c, KIND_EXEC, REASON_TOO_LARGE);
	else
		send(c, &r->header, KIND_EXEC, time, at);
}

SEC("tp_btf/sched_process_exec")
int process_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct linux_binprm *bprm = (void *)ctx[2];
	struct counters *c = counters();
	struct scratch *s;
	u32 zero = 0;

	if (!c)
		return 0;
	s = bpf_map_lookup_elem(&scratch, &zero);
	if (!s)
		return 0;
	// Tracepoints run without preemption, except under PREEMPT_RT.
	if (s->busy) {
		lose(c, KIND_EXEC, REASON_BUSY);
		return 0;
	}
	s->busy = KIND_EXEC;
	record_exec(c, s, task, ctx[1], bprm);
	s->busy = 0;
	return 0;
}

// last_thread tells whether this is the exit of the process, once. signal->live is 0 by the time
// the last thread gets here (kernel/exit.c), but the one before it may be as late.
static __always_inline bool last_thread(struct signal_struct *signal, struct process_id *id)
{
	u8 one = 1;

	if (signal->live.counter)
		return false;
	// No other thread exists, and none was ever reaped.
	if (signal->nr_threads == 1 && !signal->sum_sched_runtime)
		return true;
	// When the mark cannot be left for lack of room, an exit told twice is the lesser evil: user space knows it again.
	return bpf_map_update_elem(&told_exits, id, &one, BPF_NOEXIST) != -EEXIST;
}

// Over how many threads the sum goes at most.
#define USAGE_THREADS 4096

struct usage {
	u64 node; // list_head of the next thread
	u64 head;
	u64 utime, stime, runtime;
	u64 read_bytes, write_bytes;
};

static long usage_step(u32 i, struct usage *u)
{
	struct task_struct *task;

	if (u->node == u->head || !u->node)
		return 1;
	task = (void *)(u->node - bpf_core_field_offset(struct task_struct, thread_node));
	u->utime += BPF_CORE_READ(task, utime);
	u->stime += BPF_CORE_READ(task, stime);
	u->runtime += BPF_CORE_READ(task, se.sum_exec_runtime);
	u->read_bytes += BPF_CORE_READ(task, ioac.read_bytes);
	u->write_bytes += BPF_CORE_READ(task, ioac.write_bytes);
	u->node = (u64)BPF_CORE_READ(task, thread_node.next);
	return 0;
}

// sum_usage sums what all threads used: those that were reaped are summed in the signal struct, under a sequence lock
// (kernel/exit.c __exit_signal); those that exist have their own figures. It returns false when one was reaped meanwhile.
static __noinline bool sum_usage(struct usage *u, struct signal_struct *signal)
{
	u32 before = signal->stats_lock.seqcount.seqcount.sequence;

	u->utime = signal->utime;
	u->stime = signal->stime;
	u->runtime = signal->sum_sched_runtime;
	u->read_bytes = signal->ioac.read_bytes;
	u->write_bytes = signal->ioac.write_bytes;
	u->node = (u64)signal->thread_head.next;
	u->head = (u64)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	bpf_loop(USAGE_THREADS, usage_step, u, 0);
	return !(before & 1) && before == signal->stats_lock.seqcount.seqcount.sequence;
}

static __always_inline void read_usage(struct exit_record *r, struct task_struct *task, struct signal_struct *signal)
{
	struct usage u;

	if (signal->nr_threads == 1) { // no other is left to be reaped
		r->utime = signal->utime + task->utime;
		r->stime = signal->stime + task->stime;
		r->runtime = signal->sum_sched_runtime + task->se.sum_exec_runtime;
		r->read_bytes = signal->ioac.read_bytes + task->ioac.read_bytes;
		r->write_bytes = signal->ioac.write_bytes + task->ioac.write_bytes;
		return;
	}
	// Each try takes as long as the others take to end; after four, a figure that is nearly right has to do.
	if (!sum_usage(&u, signal) && !sum_usage(&u, signal) && !sum_usage(&u, signal))
		sum_usage(&u, signal);
	r->utime = u.utime;
	r->stime = u.stime;
	r->runtime = u.runtime;
	r->read_bytes = u.read_bytes;
	r->write_bytes = u.write_bytes;
}

SEC("tp_btf/sched_process_exit")
int process_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct signal_struct *signal = task->signal;
	struct exit_record r = {};
	struct counters *c;

	if (signal->live.counter || task->flags & PF_KTHREAD)
		return 0;
	read_id(&r.id, task);
	if (!last_thread(signal, &r.id))
		return 0;
	c = counters();
	if (!c)
		return 0;
	read_id(&r.parent, task->real_parent);
	// As wait(2) does (kernel/exit.c wait_task_zombie).
	r.status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : task->group_leader->exit_code;
	read_usage(&r, task, signal);
	r.max_rss = signal->maxrss;
	send(c, &r.header, KIND_EXIT, bpf_ktime_get_boot_ns(), sizeof(r));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int process_fork(u64 *ctx)
{
	struct task_struct *creator = (void *)ctx[0];
	struct task_struct *child = (void *)ctx[1];
	struct fork_record r = {};
	struct kernfs_node *kn;
	struct counters *c;
	struct scratch *s;
	u32 ns, zero = 0;

	if (child->pid != child->tgid || child->flags & PF_KTHREAD)
		return 0;
	c = counters();
	if (!c)
		return 0;
	read_id(&r.id, child);
	read_id(&r.parent, child->real_parent);
	read_id(&r.creator, creator);
	read_pid_ns(child, &r.vpid, &ns);
	kn = read_cgroup(child);
	r.cgroup = BPF_CORE_READ(kn, id);
	// A process may be created in a cgroup that no exec told of: by CLONE_INTO_CGROUP, or because its creator moved.
	if (!bpf_map_lookup_elem(&told_cgroups, &r.cgroup)) {
		s = bpf_map_lookup_elem(&scratch, &zero);
		if (s && !s->busy) {
			s->busy = KIND_FORK;
			tell_cgroup(c, s, kn, r.cgroup, child->start_boottime);
			s->busy = 0;
		}
	}
	send(c, &r.header, KIND_FORK, child->start_boottime, sizeof(r));
	return 0;
}

// processes tells what runs already: for each process its cgroup's path and then itself. Arguments are
// another process's memory; user space has them from /proc.
SEC("iter/task")
int processes(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct kernfs_node *kn;
	struct exec_record *r;
	struct scratch *s;
	struct walk w = {};
	u32 zero = 0, size;
	u64 cgroup;

	if (!task || task->pid != task->tgid)
		return 0;
	// Its exit was told, or was before there was someone to tell: nothing more will come of it.
	if (task->exit_state && !task->signal->live.counter)
		return 0;
	s = bpf_map_lookup_elem(&iterator_scratch, &zero);
	if (!s)
		return 0;
	kn = read_cgroup(task);
	cgroup = BPF_CORE_READ(kn, id);
	size = cgroup_path(s, kn, cgroup);
	r = &s->exec;
	r->header.size = size;
	r->header.kind = KIND_CGROUP;
	if (size <= SCRATCH_DATA)
		bpf_seq_write(seq, s->data, size);

	__builtin_memset(r, 0, sizeof(*r));
	w.s = s;
	w.at = sizeof(*r);
	r->cgroup = cgroup;
	read_common(r, &w, task, task->mm ? task->mm->exe_file : NULL);
	r->tid = task->pid;
	if (task->flags & PF_KTHREAD) {
		u32 flags = 0;

		r->given_len = append_string(&w, task->comm, &flags);
		r->flags |= FLAG_KTHREAD;
	}
	size = w.at;
	r->header.size = size;
	r->header.kind = KIND_TASK;
	r->header.time = bpf_ktime_get_boot_ns();
	if (size <= SCRATCH_DATA)
		bpf_seq_write(seq, s->data, size);
	return 0;
}
