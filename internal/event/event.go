// SPDX-License-Identifier: Apache-2.0

// Package event is the vocabulary of Ringside: what happened in the kernel, as plain values.
//
// The package imports only the standard library. Every other package produces these values
// (decode, process, enrich), moves them (tracer) or translates them (receiver).
//
// A *Process is shared between events and is immutable once it was handed on: fields that
// become known later live in the event, not in the process.
package event

import "time"

// Kind says what happened.
type Kind uint8

// The kinds of events. Their numbers are those of enum kind in bpf/record.h.
const (
	Exec Kind = 1 + iota // a program was executed
	Exit                 // the last thread of a process ended
	Fork                 // a process was created
	Loss                 // events were lost or suppressed; made in user space
)

// Kinds lists the kinds that the kernel produces, in the order of their numbers.
var Kinds = [...]Kind{Exec, Exit, Fork}

// String returns the last part of the event's name: "exec" for process.exec.
func (k Kind) String() string {
	switch k {
	case Exec:
		return "exec"
	case Exit:
		return "exit"
	case Fork:
		return "fork"
	case Loss:
		return "loss"
	}
	return "unknown"
}

// Event is one thing that happened, complete: it can be turned into a record with no further look-up.
type Event struct {
	Kind Kind
	// Boot is when it happened, in time since boot, sleep included (CLOCK_BOOTTIME).
	Boot time.Duration
	// Time is Boot as wall-clock time, by the offset that was in force at that moment.
	Time time.Time
	// Process is the subject: for Fork the child. Nil for Loss.
	Process *Process
	// Parent is the parent of Process, nil when it is not known.
	Parent *Process
	// Digest tells of Process.File, for Exec only.
	Digest Digest
	// Exit is set for Exit only.
	Exit *ExitStatus
	// Lost is set for Loss only.
	Lost *LossReport
}

// ID names one execution: which process, and which of its execs.
//
// The kernel holds all of it (task_struct: tgid, group_leader->start_boottime, self_exec_id), so it
// needs no map, is the same for whoever looks and whenever, and is never used twice in one boot.
type ID struct {
	Start uint64 // ns since boot at which the process was created
	Exec  uint64 // how many times it, and those it was forked from, had executed a program
	PID   uint32 // tgid in the initial pid namespace
}

// IsZero tells whether the identity is not known.
func (id ID) IsZero() bool { return id == ID{} }

// Process is one execution of a program by one process. It is immutable once published.
type Process struct {
	ID ID
	// Parent is the real parent at the time of the exec, or of the fork when it never executed a program.
	Parent ID
	// Creator is the process that called fork or clone; it differs from Parent with CLONE_PARENT and
	// after re-parenting. Zero when the fork was not seen.
	Creator ID
	// StartTime is the wall-clock time at which the process was created (ID.Start).
	StartTime time.Time
	// ExecTime is the time since boot of the exec; 0 when the process was only forked or is older than the tracer.
	ExecTime time.Duration

	TID        uint32 // thread that called exec, before it became the leader (initial pid namespace)
	VPID       uint32 // tgid in its own pid namespace
	SessionPID uint32 // session leader (setsid), initial pid namespace; 0 when unknown
	TTY        string // controlling terminal as under /dev, "pts/3"; empty for none

	File   File   // the file whose code was mapped and run: for a script, its interpreter
	Script string // path of the script when one was executed: absolute, by the name that was given to exec
	Given  string // file name as it was given to exec
	Interp string // interpreter as the script named it, for scripts
	Cwd    string // working directory, resolved
	// Args are the arguments, Args[0] included, as raw bytes; the strings may hold anything but NUL.
	Args []string
	// ArgsCount and ArgsBytes are the true numbers, also when Args was cut. ArgsBytes includes the NULs.
	ArgsCount int
	ArgsBytes int
	// Env holds the chosen environment variables, "NAME=value".
	Env []string

	Cred       Cred
	Namespaces Namespaces
	CgroupID   uint64
	CgroupPath string // path in the cgroup hierarchy, "" when unknown

	Flags Flags

	// Container is nil for processes of the host.
	Container *Container
	UserName  string // name of Cred.EUID on the host, empty when unknown

	// FromFork is true when the process did not execute a program itself since it was created.
	FromFork bool
	// Unseen is true when what it executes was lost, and so was what it might have it from: only ID, Parent, Creator, VPID and
	// the cgroup can be set, and the zeros elsewhere, as in Cred, tell nothing.
	Unseen bool
}

// File identifies the file that was executed.
type File struct {
	Path      string // resolved, up to the root of its mount namespace
	Dev       uint32 // kernel's dev_t of the super block: major<<20 | minor
	Ino       uint64
	Size      int64  // bytes
	CTimeSec  int64  // inode change time
	CTimeNsec uint32 //
	Mode      uint16 // type and permission bits (S_IFMT included)
	Links     uint32
	UID, GID  uint32 // as the file system has them, not as an id-mapped mount shows them
}

// Flags are facts about an exec that are either so or not.
type Flags uint32

// The flags. Their numbers are those of enum exec_flag in bpf/record.h.
const (
	Unlinked       Flags = 1 << iota // the file had no name any more
	Memfd                            // the file was made by memfd_create
	OverlayUpper                     // the file is in the upper, written layer of an overlay file system
	SetUID                           // the set-user-ID bit of the file changed the effective user
	SetGID                           // the set-group-ID bit of the file changed the effective group
	FileCaps                         // file capabilities gave capabilities
	SecureExec                       // the kernel set AT_SECURE
	NoNewPrivs                       // no_new_privs is set
	IsScript                         // an interpreter runs a script
	PathCut                          // File.Path is not whole: it is the end of the path, from some directory on
	CwdCut                           // Cwd is not whole, in the same way
	ArgsCut                          // Args is not whole
	EnvCut                           // the environment was not read whole
	ArgsUnreadable                   // (part of) the arguments could not be read
	EnvUnreadable                    // (part of) the environment could not be read
	PathUnreadable                   // (part of) File.Path, Cwd, Given or Interp could not be read; all are kernel memory, so this is not to be expected
)

// Cred is what a process may do.
type Cred struct {
	UID, EUID, SUID, FSUID uint32
	GID, EGID, SGID, FSGID uint32
	LoginUID, AuditSession uint32 // math.MaxUint32 when not set
	SecureBits             uint32
	Seccomp                uint8 // 0 off, 1 strict, 2 filter
	// Capability sets, bit n is capability n (include/uapi/linux/capability.h).
	Effective, Permitted, Inheritable, Ambient, Bounding uint64
}

// Namespaces holds the inode numbers of the namespaces of a process; 0 when the kernel has none of that kind.
type Namespaces struct {
	UTS, IPC, Mnt, PID, PIDForChildren, Net, Time, TimeForChildren, Cgroup, User uint32
	// Host has a bit for each field above, in order, that is the host's (init's).
	Host uint16
}

// Container is what is known of the container of a process.
type Container struct {
	ID      string // 64 hex digits as a rule
	Runtime string // docker, containerd, cri-o, podman, or empty
	PodUID  string // Kubernetes pod UID, or empty
}

// Digest tells what the executed file contained.
type Digest struct {
	SHA256  string // lower-case hex; empty when there is none
	BuildID string // GNU build id, lower-case hex, or empty
	GoBuild string // Go build id, or empty
	// Missing is why there is no SHA256: "", "pending", "too_large", "gone", "changed" or "disabled".
	Missing string
}

// ExitStatus is how a process ended and what it used.
type ExitStatus struct {
	Code       int           // exit code, 0 when ended by a signal
	Signal     int           // signal that ended it, or 0
	CoreDumped bool          //
	Duration   time.Duration // since the process was created
	User       time.Duration // CPU time of all its threads in user mode
	System     time.Duration // and in the kernel
	MaxRSS     uint64        // bytes
	ReadBytes  uint64        // bytes fetched from storage (task_io_accounting)
	WriteBytes uint64        // bytes sent to storage
}

// Birth is what a fork tells of the new process.
type Birth struct {
	ID, Parent, Creator ID
	CgroupID            uint64
	VPID                uint32
}

// Death is what an exit tells.
type Death struct {
	ID, Parent ID
	Status     ExitStatus
}

// LossReport tells how many events were lost, since the report before it.
type LossReport struct {
	Stage  Stage
	Event  Kind   // 0 when the kind is not known
	Policy string // empty for process events
	Count  uint64
}

// Stage is where events are lost.
type Stage string

// The stages, in the order in which an event passes them.
const (
	StageRingFull    Stage = "ring_full"   // kernel: the ring buffer had no room
	StageTooLarge    Stage = "too_large"   // kernel: the record did not fit a buffer
	StageBusy        Stage = "busy"        // kernel: the per-CPU scratch buffer was in use
	StageUnaccounted Stage = "unaccounted" // user space: a gap in the sequence numbers that no counter explains
	StageDecode      Stage = "decode"      // user space: the record was malformed
	StageRefused     Stage = "refused"     // the next consumer refused it for good
	StageShutdown    Stage = "shutdown"    // the time for draining was over
)
