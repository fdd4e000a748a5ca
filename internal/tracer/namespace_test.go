// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// namespaceFiles are those of /proc/PID/ns, in the order of event.Namespaces and so of the bits of Host.
var namespaceFiles = [...]string{"uts", "ipc", "mnt", "pid", "pid_for_children", "net", "time", "time_for_children", "cgroup", "user"}

func inOrder(n *event.Namespaces) [len(namespaceFiles)]uint32 {
	return [...]uint32{n.UTS, n.IPC, n.Mnt, n.PID, n.PIDForChildren, n.Net, n.Time, n.TimeForChildren, n.Cgroup, n.User}
}

// namespacesOf reads the inode numbers of the namespaces of a process.
func namespacesOf(t *testing.T, pid uint32) (all [len(namespaceFiles)]uint32) {
	t.Helper()
	for i, file := range namespaceFiles {
		var st unix.Stat_t
		path := fmt.Sprintf("/proc/%d/ns/%s", pid, file)
		if err := unix.Stat(path, &st); err != nil {
			t.Fatalf("stat %s: %v", path, err)
		}
		all[i] = uint32(st.Ino)
	}
	return all
}

// kernelThread is the process whose namespaces are the host's: kthreadd.
const kernelThread = 2

func TestNamespacesAreThoseOfTheProcess(t *testing.T) {
	r := recordExecs(t)
	path := install(t, publicDir(t)+"/prog", pauseProgram())
	host := namespacesOf(t, kernelThread)
	for _, tt := range []struct {
		name  string
		flags uintptr
		own   string // namespaces that are not the host's
	}{
		{"none", 0, ""},
		{"uts", unix.CLONE_NEWUTS, "uts"},
		{"ipc", unix.CLONE_NEWIPC, "ipc"},
		{"mount", unix.CLONE_NEWNS, "mnt"},
		{"pid", unix.CLONE_NEWPID, "pid pid_for_children"},
		{"net", unix.CLONE_NEWNET, "net"},
		{"cgroup", unix.CLONE_NEWCGROUP, "cgroup"},
		{"user", unix.CLONE_NEWUSER, "user"},
		{"as a container", unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP,
			"uts ipc mnt pid pid_for_children net cgroup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := bare(path)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: tt.flags}
			p := r.hold(t, path, cmd)
			want := namespacesOf(t, p.ID.PID)
			if got := inOrder(&p.Namespaces); got != want {
				t.Errorf("namespaces %v, /proc tells %v", got, want)
			}
			checkHost(t, p, &host)
			var own []string
			for i, file := range namespaceFiles {
				if p.Namespaces.Host&(1<<i) == 0 {
					own = append(own, file)
				}
			}
			if strings.Join(own, " ") != tt.own {
				t.Errorf("not the host's: %q, want %q", own, tt.own)
			}
			vpid := p.ID.PID
			if tt.flags&unix.CLONE_NEWPID != 0 {
				vpid = 1
			}
			if p.VPID != vpid {
				t.Errorf("VPID %d, want %d", p.VPID, vpid)
			}
		})
	}
}

// checkHost holds the bits of Host to a comparison with the kernel's own namespaces.
func checkHost(t *testing.T, p *event.Process, host *[len(namespaceFiles)]uint32) {
	t.Helper()
	for i, ns := range inOrder(&p.Namespaces) {
		if same := ns == host[i]; same != (p.Namespaces.Host&(1<<i) != 0) {
			t.Errorf("%s %d of %d told to be the host's: %v", namespaceFiles[i], ns, host[i], !same)
		}
	}
}

func TestHostIsWhatTheKernelBeganWith(t *testing.T) {
	r := recordExecs(t)
	if got, want := inOrder(&r.host), namespacesOf(t, kernelThread); got != want {
		t.Errorf("the host has %v, want %v", got, want)
	}
}

func TestNamespacesForChildrenDifferFromTheirOwn(t *testing.T) {
	r := recordExecs(t)
	path := install(t, t.TempDir()+"/prog", pauseProgram())
	t.Run("pid", func(t *testing.T) {
		p := r.hold(t, path, (&plan{Calls: []call{{Number: unix.SYS_UNSHARE, Args: [5]uintptr{unix.CLONE_NEWPID}}}, Path: path, Argv: []string{"x"}}).command(t))
		// /proc tells of a pid namespace only when it has a process.
		n := &p.Namespaces
		if n.PIDForChildren == n.PID || n.PIDForChildren == 0 || n.Host&(1<<3) == 0 || n.Host&(1<<4) != 0 || p.VPID != p.ID.PID {
			t.Errorf("%+v, VPID %d", *n, p.VPID)
		}
	})
	t.Run("time", func(t *testing.T) {
		p := r.hold(t, path, (&plan{Calls: []call{{Number: unix.SYS_UNSHARE, Args: [5]uintptr{unix.CLONE_NEWTIME}}}, Path: path, Argv: []string{"x"}}).command(t))
		// Whether the exec enters it depends on the kernel (commit 2b5f9dad32ed); /proc knows.
		if got, want := inOrder(&p.Namespaces), namespacesOf(t, p.ID.PID); got != want {
			t.Errorf("namespaces %v, /proc tells %v", got, want)
		}
		if p.Namespaces.Host&(1<<7) != 0 {
			t.Errorf("the time namespace for children %d is told to be the host's", p.Namespaces.TimeForChildren)
		}
	})
}

func TestPIDsOfNestedNamespaces(t *testing.T) {
	r := recordExecs(t)
	path := install(t, t.TempDir()+"/prog", pauseProgram())
	// A process of the inner namespace that is not its first, and leads a session.
	cmd := program("inner", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // the end of the namespace is enough
	})
	p := r.wait("exec of "+path, func(e *event.Event) bool { return e.Kind == event.Exec && e.Process.File.Path == path }).Process
	pids := strings.Fields(status(t, p.ID.PID)["NSpid"])
	if want := []string{fmt.Sprint(p.ID.PID), fmt.Sprint(p.VPID)}; len(pids) != 3 || pids[0] != want[0] || pids[2] != want[1] {
		t.Errorf("pid and VPID %v, /proc tells %v", want, pids)
	}
	if p.SessionPID != p.ID.PID {
		t.Errorf("session %d of %d", p.SessionPID, p.ID.PID)
	}
}

// inner runs a program in a pid namespace in this one, as a session, until standard input ends.
func inner(args []string) {
	cmd := exec.Command(args[0])
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Setsid: true}
	if err := cmd.Start(); err != nil {
		fail("start", err)
	}
	if _, err := os.Stdin.Read(make([]byte, 1)); err == nil {
		fail("wait", fmt.Errorf("unexpected input"))
	}
}

func TestPathInAChrootIsToldFromTheRootOfTheMountNamespace(t *testing.T) {
	r := recordExecs(t)
	root := t.TempDir()
	path := install(t, root+"/bin/prog", exitProgram())
	for _, tt := range []struct{ dir, cwd string }{{"/", root}, {"/bin", root + "/bin"}} {
		cmd := bare("/bin/prog")
		cmd.Dir = tt.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		p := r.run(t, cmd)
		if p.File.Path != path || p.Cwd != tt.cwd || p.Given != "/bin/prog" || p.Flags != 0 {
			t.Errorf("path %q, cwd %q, given %q, flags %b", p.File.Path, p.Cwd, p.Given, p.Flags)
		}
	}
}

func TestPathInAMountNamespaceIsToldFromItsRoot(t *testing.T) {
	r := recordExecs(t)
	root := t.TempDir()
	install(t, root+"/bin/prog", exitProgram())
	cmd := program("pivot", root, "/bin/prog")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	p := r.run(t, cmd)
	if p.File.Path != "/bin/prog" || p.Cwd != "/" || p.Flags != 0 {
		t.Errorf("path %q, cwd %q, flags %b", p.File.Path, p.Cwd, p.Flags)
	}
}

// pivot makes a directory the root as container runtimes do, and executes a program there.
func pivot(args []string) {
	root := args[0]
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		fail("bind", err)
	}
	if err := unix.Chdir(root); err != nil {
		fail("enter", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		fail("pivot", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		fail("detach", err)
	}
	fail("execute", unix.Exec(args[1], []string{"x"}, nil))
}
