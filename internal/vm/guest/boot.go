// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// mounts are what a booted system has, in order.
var mounts = []struct {
	fstype, target string
	flags          uintptr
	data           string
}{
	{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=0755"},
	{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0620,ptmxmode=0666"},
	{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	{"securityfs", "/sys/kernel/security", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"debugfs", "/sys/kernel/debug", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tracefs", "/sys/kernel/tracing", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"cgroup2", "/sys/fs/cgroup", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"bpf", "/sys/fs/bpf", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=0700"},
}

// links are those below /dev that programs expect.
var links = map[string]string{
	"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0",
	"/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
}

// makeSystem mounts and sets what programs expect.
func makeSystem() error {
	unix.Umask(0o022)
	if err := changeRoot(); err != nil {
		return err
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
		if err := unix.Mount(m.fstype, m.target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
		}
	}
	for link, target := range links {
		if err := os.Symlink(target, link); err != nil {
			return fmt.Errorf("make link: %w", err)
		}
	}
	// What systemd sets; the kernel's own hard limit is too low for programs that watch a whole machine.
	limit := unix.Rlimit{Cur: 1024, Max: 524288}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("set limit of open files: %w", err)
	}
	return loopbackUp()
}

// changeRoot puts a bind mount of the root over the root. The initial file system itself has no parent mount, and
// pivot_root, which containers are made with, refuses to leave such a root.
func changeRoot() error {
	const root = "/.root"
	if err := os.Mkdir(root, 0o755); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Mount("/", root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("change root: bind: %w", err)
	}
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("change root: move: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	return os.Remove(root)
}

// loopbackUp switches the interface lo on; the kernel gives it its addresses.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("switch lo on: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("switch lo on: %w", err)
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("switch lo on: %w", err)
	}
	return nil
}

// openPort opens the runner's port. The driver makes it some time after it was loaded.
func openPort() (*port, error) {
	const patience, step = 30 * time.Second, time.Millisecond
	for waited := time.Duration(0); ; waited += step {
		// A write to the port returns when the host has the bytes, so there is nothing to drain at the end.
		fd, err := unix.Open(portPath, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			return &port{file: os.NewFile(uintptr(fd), portPath)}, nil
		}
		if waited >= patience {
			return nil, fmt.Errorf("open %s: %w", portPath, err)
		}
		time.Sleep(step)
	}
}
