// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strconv"
	"strings"
)

// capabilities are the names at their numbers, from include/uapi/linux/capability.h.
var capabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// parseCapability returns the number of a capability: its name, in either case and with or without CAP_, or its number.
func parseCapability(s string) (n int, remedy string, ok bool) {
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	if i := slices.Index(capabilities[:], name); i >= 0 {
		return i, "", true
	}
	// A newer kernel may have more than this table; a set has 64 bits.
	if v, err := strconv.ParseUint(s, 0, 64); err == nil && v < 64 {
		return int(v), "", true
	}
	return 0, didYouMean(name, capabilities[:]), false
}

// capabilitySet reads capabilities into a mask.
func (r *reader) capabilitySet(values []Raw) uint64 {
	var mask uint64
	for _, v := range values {
		if strings.EqualFold(v.Text, "all") {
			mask |= 1<<len(capabilities) - 1
			continue
		}
		i, remedy, ok := parseCapability(v.Text)
		if !ok {
			r.fail(v.Pos, remedy, "there is no capability %q", clip(v.Text))
			continue
		}
		mask |= 1 << i
	}
	return mask
}

// CapabilityNames returns the names of a set, in the order of their numbers.
func CapabilityNames(set uint64) []string {
	var names []string
	for i := range 64 {
		if set&(1<<i) == 0 {
			continue
		}
		if i < len(capabilities) {
			names = append(names, capabilities[i])
		} else {
			names = append(names, strconv.Itoa(i))
		}
	}
	return names
}
