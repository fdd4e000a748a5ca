// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxMountTable bounds what is read of a mount table, in bytes; the kernel allows 100,000 mounts (fs.mount-max).
const maxMountTable = 16 << 20

// mountDevice tells the device of the super block of an open file, by the table of a process that sees the mount it
// was opened through. It is not known when the table does not have that mount.
func mountDevice(fd int, proc string) (dev uint32, known bool) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
	if err != nil || st.Mask&unix.STATX_MNT_ID == 0 {
		return 0, false
	}
	f, err := os.Open(proc + "/mountinfo")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	return findMount(io.LimitReader(f, maxMountTable), st.Mnt_id)
}

// findMount looks for a mount in a table as proc_pid_mountinfo(5) describes: id, parent, major:minor, and more.
func findMount(table io.Reader, id uint64) (dev uint32, known bool) {
	for lines := bufio.NewScanner(table); lines.Scan(); {
		line := lines.Bytes()
		first, rest, _ := bytes.Cut(line, []byte{' '})
		if n, err := strconv.ParseUint(string(first), 10, 64); err != nil || n != id {
			continue
		}
		_, rest, _ = bytes.Cut(rest, []byte{' '})
		device, _, _ := bytes.Cut(rest, []byte{' '})
		majorText, minorText, _ := bytes.Cut(device, []byte{':'})
		major, err := strconv.ParseUint(string(majorText), 10, 12)
		if err != nil {
			return 0, false
		}
		minor, err := strconv.ParseUint(string(minorText), 10, 20)
		if err != nil {
			return 0, false
		}
		return kernelDev(uint32(major), uint32(minor)), true
	}
	return 0, false
}
