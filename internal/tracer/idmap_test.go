// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// userNamespace returns a user namespace in which each id in mapping is another outside.
func userNamespace(t *testing.T, r *recorder, mapping []syscall.SysProcIDMap) *os.File {
	t.Helper()
	path := install(t, publicDir(t)+"/holder", pauseProgram())
	cmd := bare(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: mapping, GidMappings: mapping}
	p := r.hold(t, path, cmd)
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", p.ID.PID))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// mountMapped mounts a directory with the ids of its files mapped by a user namespace, until the test ends.
func mountMapped(t *testing.T, source, target string, ns *os.File) {
	t.Helper()
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(tree)
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())})
	if errors.Is(err, unix.EINVAL) { // the file system cannot; tmpfs can since 6.3
		vmtest.SkipUnless(t, false, "id-mapped mounts of the file system of "+source, "6.12")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// On an id-mapped mount, as the layers of a container with a user namespace of its own are, a set-ID file gives an
// id that is not the file's.
func TestSetIDOnAnIDMappedMount(t *testing.T) {
	const mapped, mappedGroup = 61010, 61011
	r := recordExecs(t)
	dir := publicDir(t)
	ns := userNamespace(t, r, []syscall.SysProcIDMap{
		{ContainerID: owner, HostID: mapped, Size: 1}, {ContainerID: owners, HostID: mappedGroup, Size: 1},
	})
	mount(t, "tmpfs", dir+"/source", "tmpfs", 0, "")
	source := install(t, dir+"/source/prog", exitProgram())
	if err := os.Chown(source, owner, owners); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chmod(source, 0o6755); err != nil {
		t.Fatal(err)
	}
	mountMapped(t, dir+"/source", dir+"/mapped", ns)
	p := r.run(t, asUser(bare(dir+"/mapped/prog"), user, group))
	if want := event.SetUID | event.SetGID | event.SecureExec; p.Flags != want || p.Cred.EUID != mapped || p.Cred.EGID != mappedGroup {
		t.Errorf("flags %b, want %b; effective ids %d and %d", p.Flags, want, p.Cred.EUID, p.Cred.EGID)
	}
	if p.File.UID != owner || p.File.GID != owners {
		t.Errorf("the file belongs to %d and %d, in its file system to %d and %d", p.File.UID, p.File.GID, owner, owners)
	}
}
