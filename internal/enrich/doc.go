// SPDX-License-Identifier: Apache-2.0

// Package enrich adds to a process what the kernel does not tell in an event: the container it runs in, the name of its
// user, and what the executed file contained.
//
// Three calls are made for each event, and none of them blocks, opens a file or takes a lock that is held during I/O:
//
//   - [ParseCgroup] computes: it reads a container out of a cgroup path.
//   - [Users.Name] looks into an immutable map that a goroutine replaces when the passwd file changed.
//   - [Digests.Lookup] returns a [Ticket]: finished when the file is known, else to be finished by a worker.
//
// # What must be visible
//
// Digests are computed from files that are found by the process ids of the initial pid namespace (event.ID.PID). The
// collector therefore needs a /proc that shows those: its own when it runs in the host's pid namespace, or the host's
// mounted elsewhere (DigestConfig.ProcRoot). Following /proc/PID/exe and /proc/PID/root of other users' processes needs
// CAP_SYS_PTRACE, reading files whose mode does not allow it needs CAP_DAC_READ_SEARCH. Without them the digests of
// those files are missing as "gone"; nothing else suffers.
package enrich
