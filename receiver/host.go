// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// envNodeName is the environment variable from which the collector's own components take the Kubernetes node.
const envNodeName = "K8S_NODE_NAME"

// host is what does not change while the machine is up.
type host struct {
	node event.Node
	// attributes are on each resource.
	attributes pcommon.Map
	// capabilities has the bit of each capability that the kernel knows.
	capabilities uint64
}

// readHost reads the host's facts below root, which is "/" but in tests. It fails only when the boot cannot be told from
// others, since exec_ids would not be unique then.
func readHost(root string) (*host, error) {
	boot, err := readLine(filepath.Join(root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return nil, fmt.Errorf("read the ID of this boot: %w", err)
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	name := unix.ByteSliceToString(uts.Nodename[:])
	id := machineID(root)
	release := osRelease(root)

	h := &host{attributes: pcommon.NewMap(), capabilities: capabilities(root), node: event.NewNode(id, boot)}
	for _, a := range []struct{ name, value string }{
		{"host.name", name},
		{"host.id", id},
		{"host.arch", runtime.GOARCH},
		{"os.type", "linux"},
		{"os.name", release["NAME"]},
		{"os.version", release["VERSION_ID"]},
		{"os.description", strings.Join([]string{
			unix.ByteSliceToString(uts.Sysname[:]),
			unix.ByteSliceToString(uts.Release[:]),
			unix.ByteSliceToString(uts.Version[:]),
		}, " ")},
		{"k8s.node.name", os.Getenv(envNodeName)},
	} {
		if a.value != "" {
			text, _ := validText(a.value)
			h.attributes.PutStr(a.name, text)
		}
	}
	return h, nil
}

// hostFile reads a file of the host. A collector in a container that shares the host's PID namespace sees the host's root as
// that of process 1; elsewhere, or without the right to look there, its own root is the best there is.
func hostFile(root, path string) ([]byte, error) {
	if data, err := os.ReadFile(filepath.Join(root, "proc/1/root", path)); err == nil {
		return data, nil
	}
	return os.ReadFile(filepath.Join(root, path))
}

// machineID returns the machine ID, empty when there is none. systemd writes "uninitialized" during the first boot.
func machineID(root string) string {
	for _, path := range []string{"etc/machine-id", "var/lib/dbus/machine-id"} {
		data, err := hostFile(root, path)
		if err != nil {
			continue
		}
		if id := string(bytes.TrimSpace(data)); id != "" && id != "uninitialized" {
			return id
		}
	}
	return ""
}

// osRelease returns the assignments of the os-release file; see os-release(5).
func osRelease(root string) map[string]string {
	values := map[string]string{}
	for _, path := range []string{"etc/os-release", "usr/lib/os-release"} {
		data, err := hostFile(root, path)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		for lines.Scan() {
			key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
			if !ok || strings.HasPrefix(key, "#") {
				continue
			}
			values[key] = unquote(value)
		}
		break
	}
	return values
}

// unquote takes the quotes off a shell value, as far as os-release allows them.
func unquote(value string) string {
	for _, quote := range []string{`"`, `'`} {
		if len(value) >= 2 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			value = value[1 : len(value)-1]
			break
		}
	}
	return strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(value)
}

// capabilities returns the set of all capabilities of the kernel. When that is not known it returns the set of all that could
// be, which no process has, so that every bounding set is told.
func capabilities(root string) uint64 {
	line, err := readLine(filepath.Join(root, "proc/sys/kernel/cap_last_cap"))
	if err != nil {
		return math.MaxUint64
	}
	last, err := strconv.ParseUint(line, 10, 8)
	if err != nil || last >= 63 {
		return math.MaxUint64
	}
	return 1<<(last+1) - 1
}

// readLine returns the content of a file without the space around it.
func readLine(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(data)), nil
}
