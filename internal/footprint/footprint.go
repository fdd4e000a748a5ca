// SPDX-License-Identifier: Apache-2.0

// Package footprint gives back the memory that only the start of the collector needed.
package footprint

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Release frees the heap that became garbage, and unmaps the pages of the executable that were touched so far: the initialisation of every
// component that is compiled in runs through tens of megabytes of code and tables that are never used again. What is used
// again comes back from the page cache, at the price of a minor fault for each 64 KiB.
func Release() error {
	debug.FreeOSMemory()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("read this process's mappings: %w", err)
	}
	defer maps.Close()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("read the path of this executable: %w", err)
	}
	ranges, err := readOnly(maps, exe)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if err := drop(r); err != nil {
			return err
		}
	}
	return nil
}

// addresses is a mapped range, [from, to).
type addresses struct{ from, to uintptr }

// readOnly returns the ranges of maps, in the form of /proc/PID/maps, that map path privately and cannot be written: their pages
// are those of the file, and dropping them loses nothing.
func readOnly(maps io.Reader, path string) ([]addresses, error) {
	var ranges []addresses
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var (
			r                  addresses
			perms, offset, dev string
			inode              uint64
		)
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %d", &r.from, &r.to, &perms, &offset, &dev, &inode); err != nil {
			return nil, fmt.Errorf("mapping %q: %w", lines.Text(), err)
		}
		if strings.HasPrefix(perms, "r-") && strings.HasSuffix(perms, "p") && strings.HasSuffix(lines.Text(), " "+path) {
			ranges = append(ranges, r)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read this process's mappings: %w", err)
	}
	return ranges, nil
}

func drop(r addresses) error {
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	if errno != 0 {
		return fmt.Errorf("drop the pages of a mapping of this executable: %w", errno)
	}
	return nil
}
