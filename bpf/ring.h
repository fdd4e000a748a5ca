// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// ring.h: the way out. A record is built in a scratch buffer and copied to the ring at its true size, so that a
// plain exec uses a few hundred bytes. What does not get through is counted.
#ifndef RINGSIDE_RING_H
#define RINGSIDE_RING_H

#include "kernel.h"
#include "record.h"

// A scratch buffer is one page-allocator-friendly 32 KiB, the largest value a per-CPU map may have
// (PCPU_MIN_UNIT_SIZE, include/linux/percpu.h). The data is followed by room for one whole path component, so that
// a write at any offset below SCRATCH_DATA stays inside.
#define SCRATCH_DATA (24 * 1024)
#define CHUNK 4096
struct scratch {
	enum kind busy; // what is being built here, or 0
	u32 reserved;
	union {
		u8 data[SCRATCH_DATA];
		struct exec_record exec;
		struct exit_record exit;
		struct fork_record fork;
		struct cgroup_record cgroup;
	};
	u8 chunk[CHUNK];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); // set by user space
} process_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} process_counters SEC(".maps");

// The reader looks at the ring by a timer; it is woken when this many bytes wait. A wake-up for each record would
// cost more than the record.
const volatile u64 wake_bytes = 64 << 10;

// number gives a record its place in the sequence of this CPU, whether or not it gets through.
static __always_inline void number(struct counters *c, struct header *h, u32 kind, u64 time, u32 size)
{
	h->seq = c->seq++;
	h->time = time;
	h->size = size;
	h->cpu = bpf_get_smp_processor_id();
	h->kind = kind;
	h->reserved = 0;
	c->produced[kind]++;
}

static __always_inline u64 wakeup(u64 size)
{
	u64 waiting = bpf_ringbuf_query(&process_ring, BPF_RB_AVAIL_DATA);

	return waiting < wake_bytes && waiting + size >= wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

// send numbers a record that lies in memory and copies it to the ring.
static __always_inline long send(struct counters *c, struct header *h, u32 kind, u64 time, u32 size)
{
	long err;

	number(c, h, kind, time, size);
	if (size > SCRATCH_DATA + CHUNK) { // cannot be; it tells the verifier
		c->lost[kind][REASON_TOO_LARGE]++;
		return -1;
	}
	err = bpf_ringbuf_output(&process_ring, h, size, wakeup(size));
	if (err)
		c->lost[kind][REASON_RING_FULL]++;
	return err;
}

static __always_inline struct counters *counters(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&process_counters, &zero);
}

// lose accounts for a record that could not even be built.
static __always_inline void lose(struct counters *c, u32 kind, u32 reason)
{
	c->seq++;
	c->produced[kind]++;
	c->lost[kind][reason]++;
}

#endif
