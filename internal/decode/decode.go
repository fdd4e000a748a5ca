// SPDX-License-Identifier: Apache-2.0

// Package decode turns the bytes that the kernel part wrote (bpf/record.h) into values.
//
// The bytes come from our own programs, yet hold what processes chose: a length that does not fit the record is an error, never a
// panic and never a read past the record. Nothing that is returned shares memory with the input.
package decode

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/event"
)

// ErrMalformed is wrapped by every error of this package.
var ErrMalformed = errors.New("malformed record")

// Kind tells what a record is: an event, or something that user space has to know to make one.
type Kind = bpf.ProcessKind

// Header is the part that all records share.
type Header struct {
	Kind Kind
	Seq  uint64 // number of this record among those of its CPU
	CPU  int
	Boot time.Duration // since boot
}

// Record is one decoded record. Which fields are set depends on Header.Kind.
type Record struct {
	Header
	// Process is set for exec, and for a task of the snapshot. It has no wall-clock times, container or names of users yet.
	Process *event.Process
	// KernelThread is true for a task of the snapshot that is none of user space.
	KernelThread bool
	Fork         event.Birth
	Exit         event.Death
	Cgroup       Cgroup
}

// Cgroup tells where a cgroup is.
type Cgroup struct {
	ID   uint64
	Path string // "/" for the root
}

// Decoder decodes records one after another. It keeps the paths it saw, because processes come in swarms that share theirs.
// It is not safe for concurrent use.
type Decoder struct {
	paths    map[string]string
	pageSize uint64
}

// What bounds the memory of the cache: when it is full, it starts anew; and long paths, which are rare unless someone makes them, are
// not kept.
const (
	maxPaths    = 4096
	maxPathKept = 512 // bytes
)

// New returns a decoder.
func New() *Decoder {
	return &Decoder{paths: make(map[string]string), pageSize: uint64(os.Getpagesize())}
}

// Size returns the length of the record that b begins with, for records that follow each other as those of the snapshot do.
func Size(b []byte) (int, error) {
	h, err := view[bpf.ProcessHeader](b)
	if err != nil {
		return 0, err
	}
	if uintptr(h.Size) < unsafe.Sizeof(h) || int(h.Size) > len(b) {
		return 0, fmt.Errorf("%w: size %d of %d bytes", ErrMalformed, h.Size, len(b))
	}
	return int(h.Size), nil
}

// Decode decodes one record into r. b may be longer than the record, as the ring rounds sizes up. With an error the header is that of
// the record, or zero when not even that could be read.
func (d *Decoder) Decode(b []byte, r *Record) error {
	size, err := Size(b)
	if err != nil {
		*r = Record{}
		return err
	}
	b = b[:size]
	h, _ := view[bpf.ProcessHeader](b)
	*r = Record{Header: Header{Kind: Kind(h.Kind), Seq: h.Seq, CPU: int(h.Cpu), Boot: time.Duration(h.Time)}}
	switch r.Kind {
	case bpf.ProcessKindKIND_EXEC, bpf.ProcessKindKIND_TASK:
		return d.process(b, r)
	case bpf.ProcessKindKIND_EXIT:
		return d.exit(b, r)
	case bpf.ProcessKindKIND_FORK:
		return d.fork(b, r)
	case bpf.ProcessKindKIND_CGROUP:
		return d.cgroup(b, r)
	}
	return fmt.Errorf("%w: unknown kind %d", ErrMalformed, h.Kind)
}

// view copies the fixed part of a record out of b, whose alignment is not known.
func view[T any](b []byte) (v T, err error) {
	if uintptr(len(b)) < unsafe.Sizeof(v) {
		return v, fmt.Errorf("%w: %d bytes where %d are due", ErrMalformed, len(b), unsafe.Sizeof(v))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)), b)
	return v, nil
}

func id(v bpf.ProcessProcessId) event.ID {
	return event.ID{Start: v.Start, Exec: v.Exec, PID: v.Pid}
}

func (d *Decoder) fork(b []byte, r *Record) error {
	v, err := view[bpf.ProcessForkRecord](b)
	if err != nil {
		return fmt.Errorf("fork: %w", err)
	}
	r.Fork = event.Birth{ID: id(v.Id), Parent: id(v.Parent), Creator: id(v.Creator), CgroupID: v.Cgroup, VPID: v.Vpid}
	return nil
}

func (d *Decoder) cgroup(b []byte, r *Record) error {
	v, err := view[bpf.ProcessCgroupRecord](b)
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	tail := tail{b[unsafe.Sizeof(v):]}
	path, err := tail.take(uint64(v.PathLen))
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	r.Cgroup = Cgroup{ID: v.Id, Path: "/"}
	if len(path) > 0 {
		r.Cgroup.Path = string(join(path))
	}
	return nil
}

func (d *Decoder) exit(b []byte, r *Record) error {
	v, err := view[bpf.ProcessExitRecord](b)
	if err != nil {
		return fmt.Errorf("exit: %w", err)
	}
	user, system := cpuTime(v.Utime, v.Stime, v.Runtime)
	r.Exit = event.Death{ID: id(v.Id), Parent: id(v.Parent), Status: event.ExitStatus{
		// The encoding of wait(2): include/linux/wait.h.
		Code:       int(v.Status >> 8 & 0xff),
		Signal:     int(v.Status & 0x7f),
		CoreDumped: v.Status&0x80 != 0,
		Duration:   r.Boot - time.Duration(v.Id.Start),
		User:       user,
		System:     system,
		MaxRSS:     v.MaxRss * d.pageSize,
		ReadBytes:  v.ReadBytes,
		WriteBytes: v.WriteBytes,
	}}
	return nil
}

// cpuTime splits the exact run time in the ratio of the times that the timer interrupt sampled, which alone would be 0 for most processes; as
// the kernel does for times(2) (kernel/sched/cputime.c, cputime_adjust).
func cpuTime(utime, stime, runtime uint64) (user, system time.Duration) {
	switch {
	case stime == 0:
		return time.Duration(runtime), 0
	case utime == 0:
		return 0, time.Duration(runtime)
	}
	s := uint64(float64(runtime) * (float64(stime) / (float64(stime) + float64(utime))))
	if s > runtime {
		s = runtime
	}
	return time.Duration(runtime - s), time.Duration(s)
}
