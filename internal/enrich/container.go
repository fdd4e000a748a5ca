// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"strings"

	"github.com/ringside-otel/ringside/internal/event"
)

// Runtimes that ParseCgroup tells apart, as values of event.Container.Runtime. It is empty where a path holds an id but
// not who made it, as below the kubelet's cgroupfs driver.
const (
	RuntimeDocker     = "docker"
	RuntimeContainerd = "containerd"
	RuntimeCRIO       = "cri-o"
	RuntimePodman     = "podman"
	RuntimeGarden     = "garden"
	RuntimeLXC        = "lxc"
	RuntimeNspawn     = "systemd-nspawn"
)

const (
	idLen     = 64  // hex digits of an OCI container id, as all the engines make them
	maxName   = 255 // NAME_MAX, which bounds the name of a cgroup
	scopeUnit = ".scope"
	sliceUnit = ".slice"
)

// engines maps what a container manager puts before the id in the name of a cgroup to the runtime. What is not listed,
// such as crio-conmon and libpod-conmon, which hold the monitor and not the container, is no container.
var engines = [...]struct{ prefix, runtime string }{
	{"docker", RuntimeDocker},
	{"cri-containerd", RuntimeContainerd},
	{"nerdctl", RuntimeContainerd},
	{"crio", RuntimeCRIO},
	{"libpod", RuntimePodman},
	{"libpod-payload", RuntimePodman}, // --cgroups=split, which Quadlet units use
}

// ParseCgroup reads the container of a process from the path of its cgroup, as the kernel tells it: absolute in the
// hierarchy, of cgroup v2 or of any controller of v1. It returns false for processes of the host, and then does not
// allocate. The strings of the result share the memory of path, PodUID excepted where its form had to be changed.
//
// Recognized are the cgroups of docker (both cgroup drivers, rootless), containerd (CRI, nerdctl, and its cgroupfs
// driver given a systemd path), CRI-O, podman, Cloud Foundry's garden, ECS, LXC and systemd-nspawn, and any cgroup that
// is named by 64 hex digits. Containers that were given a name of another form, as `ctr run` allows, cannot be told
// from other cgroups and are not found. Systemd's own scopes, services, sessions and virtual machines are no containers.
//
// Of nested containers the innermost counts; cgroups made inside a container belong to it. PodUID is the nearest pod
// above the container, so that a container started inside of a pod's container is still of that pod. It has the form
// that the Kubernetes API uses; for static pods it is the hash of 32 digits that the kubelet uses in its place.
//
// ID is 64 lower-case hex digits, with these exceptions: LXC and systemd-nspawn have no ids but names that are unique on
// the host, and the name is told, with systemd's escapes (\x2d) left as they are; garden has a UUID, shortened as a
// rule; Fargate's ECS has the id of the task, a dash and digits.
//
// # What can be spoofed
//
// Names of cgroups are an attribution made by whoever was allowed to create the cgroup, not a proof. A user with a
// delegated subtree (every user of a systemd host has one, user@UID.service; Delegate=yes; a container with cgroupfs
// mounted writable) can create cgroups of any name in it and move his own processes there. So he can make them look as
// if they were in a container or pod of his choice, existing or not; it is also how rootless engines work, which is why
// such paths cannot be ignored. He cannot make processes of others look so, cannot hide that the path begins with his
// own subtree, which event.Process.CgroupPath shows whole, and cannot change the cgroup id or the namespaces of the
// process. Who must rely on an id compares these.
func ParseCgroup(path string) (event.Container, bool) {
	for end := len(path); end > 0; {
		start := strings.LastIndexByte(path[:end], '/') + 1
		above := path[:max(start-1, 0)]
		if id, runtime, ok := container(path[start:end], lastName(above)); ok {
			return event.Container{ID: id, Runtime: runtime, PodUID: podUID(path[:end])}, true
		}
		end = len(above)
	}
	return event.Container{}, false
}

// lastName returns the last component of path.
func lastName(path string) string {
	return path[strings.LastIndexByte(path, '/')+1:]
}

// container tells whether the cgroup called name, in the one called parent, is that of a container.
func container(name, parent string) (id, runtime string, ok bool) {
	if id, runtime, ok = byID(name, parent); ok {
		return id, runtime, true
	}
	switch {
	case name == "payload": // systemd-nspawn itself is in "supervisor", beside it
		id, ok = nspawnName(parent)
		return id, RuntimeNspawn, ok
	case parent == "garden":
		return name, RuntimeGarden, isUUID(name, '-', 4) || isUUID(name, '-', 12)
	case parent == "lxc" || parent == "lxc.payload":
		return name, RuntimeLXC, isName(name)
	case isFargate(name, parent):
		return name, "", true
	}
	id, ok = strings.CutPrefix(name, "lxc.payload.")
	return id, RuntimeLXC, ok && isName(id)
}

// byID recognizes the names that hold an id of 64 hex digits: ID, ID.scope, ENGINE-ID, ENGINE-ID.scope, and
// SLICE:ENGINE:ID, which is what runc makes of a systemd path when it is not told to use systemd.
func byID(name, parent string) (id, runtime string, ok bool) {
	base := strings.TrimSuffix(name, scopeUnit)
	if len(base) < idLen {
		return "", "", false
	}
	prefix, id := base[:len(base)-idLen], base[len(base)-idLen:]
	if !isHex(id) {
		return "", "", false
	}
	if prefix == "" {
		switch parent {
		case "docker":
			return id, RuntimeDocker, true
		case "libpod_parent", "kata_overhead": // a pod of podman; the virtual machine monitor of a sandbox
			return "", "", false
		}
		return id, "", true
	}
	sep := prefix[len(prefix)-1]
	prefix = prefix[:len(prefix)-1]
	switch sep {
	case '-':
		runtime, ok = engine(prefix)
		return id, runtime, ok
	case ':':
		slice, manager, found := strings.Cut(prefix, ":")
		if !found || manager == "" || !strings.HasSuffix(slice, sliceUnit) || len(base) != len(name) {
			return "", "", false
		}
		runtime, _ = engine(manager)
		return id, runtime, true
	}
	return "", "", false
}

func engine(prefix string) (runtime string, ok bool) {
	for i := range engines {
		if engines[i].prefix == prefix {
			return engines[i].runtime, true
		}
	}
	return "", false
}

// nspawnName takes the machine's name from the unit that systemd-nspawn runs in: a scope when it was started by hand,
// an instance of its service when by machinectl. Virtual machines are in such scopes too, but have no payload.
func nspawnName(unit string) (string, bool) {
	if s, ok := strings.CutPrefix(unit, "machine-"); ok {
		name, ok := strings.CutSuffix(s, scopeUnit)
		return name, ok && isName(name)
	}
	if s, ok := strings.CutPrefix(unit, "systemd-nspawn@"); ok {
		name, ok := strings.CutSuffix(s, ".service")
		return name, ok && isName(name)
	}
	return "", false
}

// isFargate tells whether name is TASK-DIGITS in a cgroup called TASK, of 32 hex digits.
func isFargate(name, task string) bool {
	const taskLen = 32
	if len(task) != taskLen || len(name) < taskLen+2 || name[:taskLen] != task || name[taskLen] != '-' || !isHex(task) {
		return false
	}
	for _, c := range []byte(name[taskLen+1:]) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(name) <= maxName
}

// podUID returns the UID of the nearest pod at the end of path or above, in the form of the Kubernetes API.
func podUID(path string) string {
	for end := len(path); end > 0; {
		start := strings.LastIndexByte(path[:end], '/') + 1
		name, _, _ := strings.Cut(path[start:end], ":")
		if uid, ok := strings.CutPrefix(name, "pod"); ok && isPodUID(uid, '-') {
			return uid
		}
		// A dash is the path separator in the name of a slice, so the kubelet turns those of the UID into underscores.
		if unit, ok := strings.CutSuffix(name, sliceUnit); ok {
			if i := strings.LastIndex(unit, "-pod"); i >= 0 && isPodUID(unit[i+len("-pod"):], '_') {
				return strings.ReplaceAll(unit[i+len("-pod"):], "_", "-")
			}
		}
		end = start - 1
	}
	return ""
}

func isPodUID(s string, dash byte) bool {
	return isUUID(s, dash, 12) || len(s) == 32 && isHex(s)
}

// isUUID tells whether s is four groups of 8, 4, 4 and 4 hex digits and a last one, with dash between them.
func isUUID(s string, dash byte, last int) bool {
	const head = len("01234567-0123-0123-0123-")
	if len(s) != head+last {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != dash {
				return false
			}
		default:
			if !isHexDigit(s[i]) {
				return false
			}
		}
	}
	return true
}

// isName tells whether s can be told as the name of a machine: printable ASCII.
func isName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func isHex(s string) bool {
	for i := range len(s) {
		if !isHexDigit(s[i]) {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
}
