// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"

	"golang.org/x/sys/unix"
)

// initialPIDNamespace is the inode number of the first pid namespace, PROC_PID_INIT_INO in include/linux/proc_ns.h.
const initialPIDNamespace = 0xEFFFFFFC

// Limits tells what is not known of processes here though the programs run, a sentence each with the remedy.
func Limits() []string {
	var limits []string
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil || st.Ino != initialPIDNamespace {
		limits = append(limits, "the collector is in a pid namespace of its own: processes that are older than the collector and digests "+
			"of executables are not known; run it in that of the host (hostPID: true in a pod)")
	}
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		limits = append(limits, "/proc is not mounted: arguments of processes that are older than the collector and digests of executables "+
			"are not known; mount it")
	}
	caps, err := effectiveCaps()
	if err != nil {
		return limits
	}
	if os.Geteuid() != 0 && caps&(1<<unix.CAP_SYS_PTRACE) == 0 {
		limits = append(limits, "CAP_SYS_PTRACE is missing: executables of other users are hashed only where the collector "+
			"finds them by their path; add it to the capabilities")
	}
	return limits
}
