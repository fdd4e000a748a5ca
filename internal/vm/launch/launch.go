// SPDX-License-Identifier: Apache-2.0

// Package launch makes a virtual machine out of commands of this machine: it fetches the kernel, packs the programs with what
// they need, and boots.
//
// A command finds itself at the same path, in the same working directory, with the testdata folder of that directory
// below it. Around it are a few ordinary programs (see Programs), the usual kernel file systems, and nothing else.
package launch

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/initramfs"
	"github.com/ringside-otel/ringside/internal/vm/kernels"
	"github.com/ringside-otel/ringside/internal/vm/machine"
	"github.com/ringside-otel/ringside/internal/vm/wire"
)

// Programs are packed into each machine if this one has them: enough to run a script.
var Programs = []string{
	"/bin/sh", "/bin/true", "/bin/false", "/bin/echo", "/bin/cat", "/bin/sleep", "/usr/bin/env",
}

// Options say what the machines are like.
type Options struct {
	Cache   kernels.Cache
	Memory  int      // MiB; more is taken when the programs need it
	CPUs    int      //
	Count   bool     // time is the number of executed instructions
	With    []string // fixtures: PATH, or PATH=PATH IN THE GUEST
	Modules []string // kernel modules to load, each after those it needs
	Append  string   // for the kernel's command line
	Console *os.File // gets a copy of the console; nil for none
	Limit   time.Duration
}

// Job is a command.
type Job struct {
	Program string   // path on this machine
	Args    []string // without argv[0]
	Dir     string   // working directory, absolute
	Merge   bool     // one pipe for stdout and stderr
	Get     []string // files of the guest to send back
}

// portDriver are the modules of the port that the guest speaks through, where they are not built in.
var portDriver = []string{
	"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_console",
}

// countHangs are kernels that hang at boot when time is the number of instructions.
var countHangs = []string{"6.1"}

// Run boots a kernel and runs the jobs, one after the other.
func (o Options) Run(ctx context.Context, version string, jobs []Job, sink machine.Sink) (machine.Outcome, error) {
	if o.Count && slices.Contains(countHangs, version) {
		return machine.Outcome{}, fmt.Errorf("kernel %s hangs at boot when instructions are counted: use 6.12", version)
	}
	qemu, err := o.Cache.QEMU(ctx)
	if err != nil {
		return machine.Outcome{}, err
	}
	kernel, err := o.Cache.Get(ctx, version)
	if err != nil {
		return machine.Outcome{}, err
	}
	image, err := o.image(kernel, jobs)
	if err != nil {
		return machine.Outcome{}, fmt.Errorf("make initial file system: %w", err)
	}
	m := machine.Machine{
		QEMU: qemu, Kernel: kernel, Memory: o.Memory, CPUs: o.CPUs, Count: o.Count, Append: o.Append,
	}
	// A nil *os.File in an interface would not be nil.
	if o.Console != nil {
		m.Console = o.Console
	}
	var names []string
	for _, job := range jobs {
		names = append(names, filepath.Base(job.Program))
	}
	return m.Run(ctx, image, names, o.Limit, sink)
}

// image packs everything.
func (o Options) image(kernel kernels.Kernel, jobs []Job) (*initramfs.Tree, error) {
	tree := initramfs.New()
	spec := wire.Spec{Hostname: "ringside-vm", Sysctl: map[string]string{}}
	if o.Count {
		spec.Sysctl["kernel/bpf_stats_enabled"] = "1"
	}
	if err := addInit(tree); err != nil {
		return nil, err
	}
	if err := addSystem(tree); err != nil {
		return nil, err
	}
	for _, name := range slices.Concat(portDriver, o.Modules) {
		file, err := kernel.Module(name)
		if err != nil {
			return nil, err
		}
		if file == "" {
			continue
		}
		guest := filepath.Join("/lib/modules", kernel.Release, filepath.Base(file))
		if err := tree.Path(guest, file); err != nil {
			return nil, err
		}
		spec.Modules = append(spec.Modules, guest)
	}
	for _, with := range o.With {
		if err := addFixture(tree, with); err != nil {
			return nil, err
		}
	}
	for _, job := range jobs {
		task, err := o.task(tree, job, kernel.Version)
		if err != nil {
			return nil, err
		}
		spec.Tasks = append(spec.Tasks, task)
	}
	contents, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("write spec: %w", err)
	}
	return tree, tree.Bytes(wire.SpecPath, 0o600, contents)
}

// task packs a job.
func (o Options) task(tree *initramfs.Tree, job Job, version string) (wire.Task, error) {
	program, err := filepath.Abs(job.Program)
	if err != nil {
		return wire.Task{}, fmt.Errorf("pack %s: %w", job.Program, err)
	}
	if err := tree.Program(program, program); err != nil {
		return wire.Task{}, err
	}
	if err := tree.Dir(job.Dir); err != nil {
		return wire.Task{}, err
	}
	testdata := filepath.Join(job.Dir, "testdata")
	if _, err := os.Stat(testdata); err == nil {
		if err := tree.Path(testdata, testdata); err != nil {
			return wire.Task{}, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return wire.Task{}, fmt.Errorf("pack testdata: %w", err)
	}
	return wire.Task{
		Path: program, Args: append([]string{program}, job.Args...), Dir: job.Dir,
		Env: Environment(os.Environ(), version, o.Count), Merge: job.Merge, Get: job.Get,
	}, nil
}

// Environment returns the environment of a program in a guest: that of a root login, what of env concerns the Go runtime
// or this project, and which kernel it runs on.
func Environment(env []string, version string, count bool) []string {
	result := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "USER=root", "TMPDIR=/tmp", "LANG=C.UTF-8",
	}
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		ours := strings.HasPrefix(name, "RINGSIDE_") && name != "RINGSIDE_KERNEL" && name != "RINGSIDE_COUNT"
		if ours || slices.Contains([]string{"GODEBUG", "GOTRACEBACK", "GOMAXPROCS", "GOGC", "GOMEMLIMIT"}, name) {
			result = append(result, entry)
		}
	}
	if count {
		result = append(result, "RINGSIDE_COUNT=1")
	}
	return append(result, "RINGSIDE_KERNEL="+version)
}

// addInit packs this very program as the init process.
func addInit(tree *initramfs.Tree) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	f, err := elf.Open(self)
	if err != nil {
		return fmt.Errorf("read own program: %w", err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically and cannot be an init process: build it with CGO_ENABLED=0", self)
		}
	}
	return tree.Path("/init", self)
}

// addSystem packs the programs and files that programs expect of any system.
func addSystem(tree *initramfs.Tree) error {
	for _, program := range Programs {
		found, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		if err := tree.Program(program, found); err != nil {
			return err
		}
	}
	files := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"/etc/group":      "root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n",
		"/etc/hosts":      "127.0.0.1 localhost\n::1 localhost\n",
		"/etc/machine-id": "72696e677369646520766d2067756573\n",
		"/etc/os-release": "ID=ringside-vm\nNAME=\"Ringside test machine\"\nVERSION_ID=1\n",
	}
	for name, contents := range files {
		if err := tree.Bytes(name, 0o644, []byte(contents)); err != nil {
			return err
		}
	}
	return nil
}

// addFixture packs PATH or PATH=GUEST.
func addFixture(tree *initramfs.Tree, fixture string) error {
	host, guest, renamed := strings.Cut(fixture, "=")
	host, err := filepath.Abs(host)
	if err != nil {
		return fmt.Errorf("pack %s: %w", fixture, err)
	}
	if !renamed {
		guest = host
	}
	return tree.Program(guest, host)
}
