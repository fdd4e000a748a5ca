// SPDX-License-Identifier: Apache-2.0

// Package guest is the init process of the virtual machines: it mounts, loads modules, runs the tasks of its
// [wire.Spec] one after the other, tells the runner about them, and powers the machine off.
//
// The same program is the runner on the host and the init in the guest, which is why it must be linked statically.
package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/vm/wire"
)

// portPath is the virtio port that the frames go through.
const portPath = "/dev/vport0p1"

// port serialises frames: stdout and stderr of a task are read by two goroutines.
type port struct {
	mu   sync.Mutex
	file *os.File
}

func (p *port) send(t wire.Type, payload []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return wire.Write(p.file, t, payload)
}

// Main is the whole life of the machine; it does not return.
func Main() {
	spec, p, err := boot()
	if err != nil {
		// Without the port the console is all there is, and the runner shows it.
		fmt.Fprintf(os.Stderr, "%s boot: %v\n", wire.Marker, err)
		halt()
	}
	if err := serve(p, spec); err != nil {
		fmt.Fprintf(os.Stderr, "%s %v\n", wire.Marker, err)
		if err := p.send(wire.Fatal, []byte(err.Error())); err != nil {
			fmt.Fprintf(os.Stderr, "%s %v\n", wire.Marker, err)
		}
	}
	halt()
}

// boot makes a system of the kernel and its initial file system, and opens the way to the runner.
func boot() (wire.Spec, *port, error) {
	var spec wire.Spec
	contents, err := os.ReadFile(wire.SpecPath)
	if err != nil {
		return spec, nil, fmt.Errorf("read spec: %w", err)
	}
	if err := json.Unmarshal(contents, &spec); err != nil {
		return spec, nil, fmt.Errorf("read spec: %w", err)
	}
	if err := makeSystem(); err != nil {
		return spec, nil, err
	}
	// The port's driver is among the modules.
	for _, module := range spec.Modules {
		if err := loadModule(module); err != nil {
			return spec, nil, err
		}
	}
	p, err := openPort()
	return spec, p, err
}

func serve(p *port, spec wire.Spec) error {
	if err := prepare(spec); err != nil {
		return err
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	if err := p.send(wire.Hello, []byte(unix.ByteSliceToString(uts.Release[:]))); err != nil {
		return err
	}
	for i, task := range spec.Tasks {
		if err := perform(p, i, task); err != nil {
			return fmt.Errorf("task %d: %w", i, err)
		}
	}
	return p.send(wire.Done, nil)
}

// prepare does what the spec asks for beside the tasks.
func prepare(spec wire.Spec) error {
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	for name, value := range spec.Sysctl {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("sysctl %s=%s: %w", name, value, err)
		}
	}
	return nil
}

// halt ends the machine. The runner tells QEMU to leave at a reset, which takes less time than ACPI's power off.
func halt() {
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	// When init ends, the kernel panics, and with that the machine ends too.
	fmt.Fprintf(os.Stderr, "%s reboot: %v\n", wire.Marker, err)
	os.Exit(1)
}

// loadModule loads a module; the kernel unpacks a compressed one itself.
func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load module: %w", err)
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(path, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil {
		return fmt.Errorf("load module %s: %w", path, err)
	}
	return nil
}
