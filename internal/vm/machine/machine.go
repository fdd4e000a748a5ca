// SPDX-License-Identifier: Apache-2.0

// Package machine boots a kernel in QEMU's software emulation, has its init process do what a [wire.Spec] says, and judges
// what comes back.
//
// Nothing outlives a call of [Machine.Run]: QEMU is killed when the call ends and also when the process that called
// dies, and the initial file system is a file without a name.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/vm/console"
	"github.com/ringside-otel/ringside/internal/vm/kernels"
	"github.com/ringside-otel/ringside/internal/vm/wire"
)

// Limits of what the runner waits for, beside the tasks. Emulation on a busy machine is slow; these are for machines that hang.
const (
	bootLimit     = 3 * time.Minute
	shutdownLimit = time.Minute
	markerLimit   = 10 * time.Second
)

// Machine says what is emulated.
type Machine struct {
	QEMU   string // path of the emulator
	Kernel kernels.Kernel
	Memory int // MiB
	CPUs   int
	// Count makes one nanosecond of the guest's time one executed instruction (one CPU, no sleeping).
	Count bool
	// Append is added to the kernel's command line.
	Append string
	// Console gets a copy of everything the kernel prints; nil for none.
	Console io.Writer
}

// Image is the initial file system.
type Image interface {
	WriteTo(w io.Writer) (int64, error)
	Size() int64
}

// Result is how a task went.
type Result struct {
	wire.Exit
	// Splats are what the kernel reported while it ran.
	Splats []console.Splat
	// Elapsed is how long it took, by the clock of the host.
	Elapsed time.Duration
}

// Sink takes what comes from the guest, in order, from one goroutine. The slices are its to keep.
type Sink interface {
	// Ready is called once, with the time that booting took.
	Ready(release string, boot time.Duration)
	Begin(task int)
	Output(task int, t wire.Type, p []byte)
	File(task, index int, chunk []byte)
	End(task int, r Result)
}

// Outcome is how the machine as a whole went.
type Outcome struct {
	// Ended is how many tasks have ended.
	Ended int
	// Started is how many have begun; one more than Ended when the machine died in one.
	Started int
	// Splats are those that belong to no task that ended.
	Splats []console.Splat
	// Console are the last lines that the kernel printed.
	Console []string
}

// HungError is returned for a machine that took longer than it may.
type HungError struct {
	During string
	Limit  time.Duration
}

// Error tells what was waited for.
func (e *HungError) Error() string {
	return fmt.Sprintf("the virtual machine was ended: %s took more than %v", e.During, e.Limit)
}

// DiedError is returned for a machine that ended by itself before it was done: a panic, a triple fault, a refusal of QEMU.
type DiedError struct {
	During string
	Reason string
}

// Error tells when it died and what is known of the cause.
func (e *DiedError) Error() string {
	return strings.TrimRight(fmt.Sprintf("the virtual machine died during %s: %s", e.During, e.Reason), ": ")
}

// Run boots, and runs all tasks of spec, which must be in the image at wire.SpecPath. A task that takes longer than limit
// (0: none) ends the machine. The Outcome is valid with an error too; what the tasks return is no error.
// The tasks have these names in errors.
func (m Machine) Run(ctx context.Context, image Image, names []string, limit time.Duration, sink Sink) (Outcome, error) {
	memory := max(m.Memory, needed(image.Size()))
	file, err := spool(image)
	if err != nil {
		return Outcome{}, err
	}
	defer file.Close()
	r := &run{sink: sink, log: console.New(), names: names, limit: limit, task: -1, started: time.Now()}
	p, err := m.start(file, memory, r.consoleWriter(m.Console))
	if err != nil {
		return Outcome{}, err
	}
	runErr := r.follow(ctx, p)
	p.stop()
	r.log.Close()
	return r.outcome(), r.explain(runErr, p)
}

// needed is how much memory (MiB) a guest needs for an image of so many bytes: the archive and what is unpacked from it exist
// at the same time, and the file system that it is unpacked into takes at most half of the memory.
func needed(size int64) int {
	return int(3*size>>20) + 512
}

// spool writes the image to a file without a name.
func spool(image Image) (*os.File, error) {
	f, err := os.CreateTemp("", "ringside-vm-*.cpio")
	if err != nil {
		return nil, fmt.Errorf("write initial file system: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("write initial file system: %w", err), f.Close())
	}
	if _, err := image.WriteTo(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// process is a running QEMU.
type process struct {
	port   *os.File      // frames
	exited chan struct{} // closed when it has ended and the console is read to its end
	err    error         // how it ended; valid after exited
	stderr strings.Builder
	kill   context.CancelFunc
}

func (p *process) stop() {
	p.kill()
	<-p.exited
	p.port.Close()
}

// start starts QEMU and reads its console.
func (m Machine) start(image *os.File, memory int, log io.Writer) (*process, error) {
	consoleHost, consoleGuest, err := socketPair("console")
	if err != nil {
		return nil, err
	}
	portHost, portGuest, err := socketPair("port")
	if err != nil {
		return nil, errors.Join(err, consoleHost.Close(), consoleGuest.Close())
	}
	ctx, kill := context.WithCancel(context.Background())
	p := &process{port: portHost, exited: make(chan struct{}), kill: kill}
	cmd := exec.CommandContext(ctx, m.QEMU, m.args(memory)...)
	cmd.Stderr = &p.stderr
	cmd.ExtraFiles = []*os.File{consoleGuest, portGuest, image} // descriptors 3, 4 and 5
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		// Ctrl-C at a terminal is for the runner, which then shows the console.
		Setpgid: true,
	}
	startErr := make(chan error, 1)
	go func() {
		// Pdeathsig is bound to the thread that starts the process, so this thread must stay.
		runtime.LockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		consoleGuest.Close()
		portGuest.Close()
		startErr <- err
		if err != nil {
			consoleHost.Close()
			return
		}
		// The console ends when QEMU does.
		_, copyErr := io.Copy(log, consoleHost)
		consoleHost.Close()
		p.err = errors.Join(cmd.Wait(), copyErr)
	}()
	if err := <-startErr; err != nil {
		kill()
		portHost.Close()
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	return p, nil
}

// args are those of QEMU, for the descriptors that start gives it.
func (m Machine) args(memory int) []string {
	accel, cpus := "tcg,thread=multi", m.CPUs
	var count []string
	if m.Count {
		accel, cpus, count = "tcg,thread=single", 1, []string{
			"-icount", "shift=0,sleep=off",
			// The same clock and the same random numbers each time, so that nothing but the host's part differs.
			"-rtc", "base=2025-01-01T00:00:00,clock=vm", "-seed", "1",
		}
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-accel", accel, "-cpu", "max", "-smp", fmt.Sprint(cpus), "-m", fmt.Sprintf("%dM", memory),
		"-kernel", m.Kernel.Image, "-initrd", "/proc/self/fd/5", "-append", m.commandLine(),
		"-chardev", "socket,id=console,fd=3", "-serial", "chardev:console",
		"-chardev", "socket,id=port,fd=4", "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=port",
	}
	return append(args, count...)
}

// commandLine is the kernel's. Warnings are shown, as they decide about the result; an oops ends the machine at once,
// as what runs after it proves nothing; the limits for stalls allow for emulation on a busy host.
func (m Machine) commandLine() string {
	line := "console=ttyS0,115200 loglevel=5 printk.devkmsg=on panic=-1 oops=panic " +
		"rcupdate.rcu_cpu_stall_timeout=90 watchdog_thresh=45 nmi_watchdog=0 init_on_alloc=0"
	if m.Count {
		// Addresses decide about collisions in caches and hash tables, and with them about the work.
		line += " nokaslr norandmaps"
	}
	if m.Append != "" {
		line += " " + m.Append
	}
	return line
}

// socketPair returns two connected ends: one for this process, one to be inherited.
func socketPair(name string) (host, guest *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make %s socket: %w", name, err)
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}
