// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// unified is where a machine may have the cgroup hierarchy of version 2.
var unified = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

func cgroup2(t *testing.T) string {
	t.Helper()
	for _, path := range unified {
		var fs unix.Statfs_t
		if err := unix.Statfs(path, &fs); err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			return path
		}
	}
	vmtest.SkipUnless(t, false, "cgroup version 2 mounted", "6.1", "6.12")
	return ""
}

// makeCgroup makes a cgroup, and those above it, until the test ends.
func makeCgroup(t *testing.T, root, path string) string {
	t.Helper()
	var made []string
	dir := root
	for _, c := range strings.Split(strings.Trim(path, "/"), "/") {
		dir += "/" + c
		switch err := os.Mkdir(dir, 0o755); {
		case err == nil:
			made = append(made, dir)
		case !os.IsExist(err):
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, d := range slices.Backward(made) {
			if err := unix.Rmdir(d); err != nil {
				t.Errorf("remove %s: %v", d, err)
			}
		}
	})
	return dir
}

// inCgroup makes a command start in a cgroup of version 2.
func inCgroup(t *testing.T, cmd *exec.Cmd, dir string) *exec.Cmd {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
	return cmd
}

func TestCgroupIsToldWithItsPath(t *testing.T) {
	root := cgroup2(t)
	r := recordExecs(t)
	prog := install(t, t.TempDir()+"/prog", exitProgram())
	id := strings.Repeat("0123456789abcdef", 4)
	pod := "0f5c1d8e-6f0b-4d6c-9b0d-3c2a1e4f5a6b"
	kubepods := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + strings.ReplaceAll(pod, "-", "_") + ".slice"
	for _, tt := range []struct {
		name, path string
		container  *event.Container
	}{
		{"plain", "/ringside-test", nil},
		{"deep", "/ringside-test" + strings.Repeat("/deeper", 20), nil},
		{"with a long name", "/ringside-test/" + strings.Repeat("n", 250), nil},
		{"with an odd name", "/ringside-test/\x1b[31m \xff", nil},
		{"of a container", kubepods + "/cri-containerd-" + id + ".scope", &event.Container{ID: id, Runtime: "containerd", PodUID: pod}},
		{"of a process in a container", kubepods + "/cri-containerd-" + id + ".scope/init.scope", &event.Container{ID: id, Runtime: "containerd", PodUID: pod}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := makeCgroup(t, root, tt.path)
			ino := stat(t, dir).Ino
			for range 2 { // the kernel part tells the path with the first process only
				p := r.run(t, inCgroup(t, bare(prog), dir))
				if p.CgroupID != ino || p.CgroupPath != tt.path {
					t.Errorf("cgroup %d %q, want %d %q", p.CgroupID, p.CgroupPath, ino, tt.path)
				}
				if (p.Container == nil) != (tt.container == nil) || p.Container != nil && *p.Container != *tt.container {
					t.Errorf("container %+v, want %+v", p.Container, tt.container)
				}
			}
		})
	}
}

func TestCgroupOfAProcessThatMovedIsThatOfTheExec(t *testing.T) {
	root := cgroup2(t)
	r := recordExecs(t)
	prog := install(t, t.TempDir()+"/prog", exitProgram())
	dir := makeCgroup(t, root, "/ringside-test/moved")
	p := r.run(t, (&plan{Write: map[string]string{dir + "/cgroup.procs": "0"}, Path: prog, Argv: []string{"x"}}).command(t))
	if p.CgroupPath != "/ringside-test/moved" {
		t.Errorf("cgroup %q", p.CgroupPath)
	}
}

func TestCgroupThatExistedBeforeIsKnown(t *testing.T) {
	root := cgroup2(t)
	dir := t.TempDir()
	pause, prog := install(t, dir+"/pause", pauseProgram()), install(t, dir+"/prog", exitProgram())
	cgroup := makeCgroup(t, root, "/ringside-test/before")
	first := inCgroup(t, bare(pause), cgroup)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = first.Process.Kill()
		_ = first.Wait() // it was killed, which Wait calls an error
	}()
	r := recordExecs(t)
	if p := r.run(t, inCgroup(t, bare(prog), cgroup)); p.CgroupPath != "/ringside-test/before" {
		t.Errorf("cgroup of a new process %q", p.CgroupPath)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if p := r.waitExit(first.Process.Pid).Process; p.CgroupPath != "/ringside-test/before" || p.CgroupID != stat(t, cgroup).Ino {
		t.Errorf("cgroup of the old process %d %q", p.CgroupID, p.CgroupPath)
	}
}

// A process can be born in a cgroup that no exec has told of, and end without one.
func TestCgroupOfAForkIsTold(t *testing.T) {
	root := cgroup2(t)
	r := recordExecs(t)
	dir := makeCgroup(t, root, "/ringside-test/forked")
	if err := inCgroup(t, bare("/no/such/program"), dir).Run(); err == nil {
		t.Fatal("a program that does not exist was executed")
	}
	ino := stat(t, dir).Ino
	exit := r.wait("exit of a fork in the cgroup", func(e *event.Event) bool { return e.Kind == event.Exit && e.Process.CgroupID == ino })
	if p := exit.Process; !p.FromFork || p.CgroupPath != "/ringside-test/forked" || int(p.Parent.PID) != os.Getpid() {
		t.Errorf("cgroup %q of %+v", p.CgroupPath, p)
	}
}

func TestCgroupOfVersion1IsToldWhereVersion2HasNone(t *testing.T) {
	root := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(root); err != nil {
		root = t.TempDir()
		mount(t, "cgroup", root, "cgroup", 0, "pids")
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	vmtest.SkipUnless(t, strings.Contains(string(self), "0::/\n"), "process in the root of cgroup version 2", "6.1", "6.12")
	r := recordExecs(t)
	prog := install(t, t.TempDir()+"/prog", exitProgram())
	id := strings.Repeat("fedcba9876543210", 4)
	dir := makeCgroup(t, root, "/docker/"+id)
	p := r.run(t, (&plan{Write: map[string]string{dir + "/cgroup.procs": "0"}, Path: prog, Argv: []string{"x"}}).command(t))
	if p.CgroupPath != "/docker/"+id || p.CgroupID != stat(t, dir).Ino || p.Container == nil || p.Container.ID != id {
		t.Errorf("cgroup %d %q, container %+v", p.CgroupID, p.CgroupPath, p.Container)
	}
}

func TestCgroupsAreForgottenAfterTwoSweepsWithoutUse(t *testing.T) {
	c := newCgroups()
	for id, path := range map[uint64]string{1: "/", 2: "/used", 3: "/gone", 4: "/back"} {
		c.add(id, path)
	}
	sweep := func(used ...uint64) []uint64 {
		set := map[uint64]bool{}
		for _, id := range used {
			set[id] = true
		}
		old := c.sweep(set)
		slices.Sort(old)
		for _, id := range old {
			c.forget(id)
		}
		return old
	}
	for i, tt := range []struct{ used, forgotten []uint64 }{
		{[]uint64{1, 2}, nil},
		{[]uint64{1, 2, 4}, []uint64{3}},
		{[]uint64{1, 2}, nil},
		{[]uint64{1, 2}, []uint64{4}},
		{[]uint64{1, 2}, nil},
	} {
		if got := sweep(tt.used...); !slices.Equal(got, tt.forgotten) {
			t.Errorf("sweep %d: forgot %v, want %v", i, got, tt.forgotten)
		}
	}
	p := event.Process{CgroupID: 3}
	if c.place(&p); p.CgroupPath != "" {
		t.Errorf("a forgotten cgroup is at %q", p.CgroupPath)
	}
	c.add(3, "/gone")
	if c.place(&p); p.CgroupPath != "/gone" {
		t.Errorf("a cgroup that was told again is at %q", p.CgroupPath)
	}
}

func TestPathOfThisProcessIsAmongThoseOfTheKernel(t *testing.T) {
	root := cgroup2(t)
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	r := recordExecs(t)
	p := r.run(t, bare(install(t, t.TempDir()+"/prog", exitProgram())))
	found := false
	for line := range strings.Lines(string(self)) {
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":")
		_, path, _ = strings.Cut(path, ":")
		found = found || path == p.CgroupPath
	}
	if !found {
		t.Errorf("cgroup %q is not among %s", p.CgroupPath, self)
	}
	if p.CgroupPath == "/" && (p.CgroupID != stat(t, root).Ino || p.Container != nil) {
		t.Errorf("the root is %d, container %+v", p.CgroupID, p.Container)
	}
}
