// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"strings"
	"testing"

	"github.com/ringside-otel/ringside/internal/event"
)

const (
	idA      = "3f4e8a8c5d0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071829304"
	idB      = "b7c1d2e3f4a5968778695a4b3c2d1e0f00112233445566778899aabbccddeeff"
	uid      = "0c7d8f3a-52d1-4be2-9a1c-6f2b7e0d4c11"
	uidSlice = "0c7d8f3a_52d1_4be2_9a1c_6f2b7e0d4c11"
	uidOther = "5e1a9b70-11f2-4c83-b0d4-92a3c4e5f607"
	static   = "7ae4a5cd0c1ab0e4e4c3fb1ebaf0a4a4"
	task     = "34dc0b5e626f2c5c4c5170e34b10e765"
	userUnit = "/user.slice/user-1000.slice/user@1000.service"
	pods     = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uidSlice + ".slice"
)

// containerPaths are those of processes in containers.
var containerPaths = []struct {
	name, path       string
	id, runtime, pod string
}{
	{"docker, cgroupfs driver", "/docker/" + idA, idA, "docker", ""},
	{"docker, systemd driver", "/system.slice/docker-" + idA + ".scope", idA, "docker", ""},
	{"docker, systemd inside of it", "/system.slice/docker-" + idA + ".scope/init.scope", idA, "docker", ""},
	{"docker, a service inside of it", "/docker/" + idA + "/system.slice/cron.service", idA, "docker", ""},
	{"docker, rootless, systemd driver", userUnit + "/user.slice/docker-" + idA + ".scope", idA, "docker", ""},
	{"docker, rootless, cgroupfs driver", userUnit + "/app.slice/docker.service/docker/" + idA, idA, "docker", ""},
	{"docker, systemd path without systemd", "/system.slice:docker:" + idA, idA, "docker", ""},
	{"docker, --cgroup-parent", "/actions_job/" + idA, idA, "", ""},
	{"docker, --cgroup-parent of a slice", "/build.slice/docker-" + idA + ".scope", idA, "docker", ""},
	{"docker of buildkit stays the outer one", "/docker/" + idA + "/buildkit/w4mrpsdrmyzhi03vbwhmmyxbx", idA, "docker", ""},
	{"docker in docker", "/docker/" + idA + "/docker/" + idB, idB, "docker", ""},
	{"docker in docker, systemd driver", "/system.slice/docker-" + idA + ".scope/system.slice/docker-" + idB + ".scope", idB, "docker", ""},
	{"docker below the kubelet", pods + "/docker-" + idA + ".scope", idA, "docker", uid},
	{"docker in a pod is of the pod", "/kubepods/burstable/pod" + uid + "/" + idA + "/docker/" + idB, idB, "docker", uid},

	{"containerd CRI, systemd driver", pods + "/cri-containerd-" + idA + ".scope", idA, "containerd", uid},
	{
		"containerd CRI, guaranteed", "/kubepods.slice/kubepods-pod" + uidSlice + ".slice/cri-containerd-" + idA + ".scope",
		idA, "containerd", uid,
	},
	{
		"containerd CRI, besteffort",
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + uidSlice + ".slice/cri-containerd-" + idA + ".scope",
		idA, "containerd", uid,
	},
	{
		"containerd CRI, static pod",
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + static + ".slice/cri-containerd-" + idA + ".scope",
		idA, "containerd", static,
	},
	{
		"containerd CRI, systemd path without systemd",
		"/system.slice/containerd.service/kubepods-burstable-pod" + uidSlice + ".slice:cri-containerd:" + idA,
		idA, "containerd", uid,
	},
	{
		"k3s", "/system.slice/k3s.service/kubepods-besteffort-pod" + uidSlice + ".slice:cri-containerd:" + idA,
		idA, "containerd", uid,
	},
	{"unknown manager in a systemd path", "/machine.slice:runc:" + idA, idA, "", ""},
	{"nerdctl", "/system.slice/nerdctl-" + idA + ".scope", idA, "containerd", ""},
	{"nerdctl, rootless", userUnit + "/user.slice/nerdctl-" + idA + ".scope", idA, "containerd", ""},
	{"containerd namespace, cgroupfs", "/default/" + idA, idA, "", ""},
	{
		"kind node",
		"/docker/" + idA + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" +
			uidSlice + ".slice/cri-containerd-" + idB + ".scope",
		idB, "containerd", uid,
	},
	{
		"kind node, cgroupfs driver", "/docker/" + idA + "/kubelet/kubepods/besteffort/pod" + uid + "/" + idB,
		idB, "", uid,
	},
	{"kind node itself", "/docker/" + idA + "/system.slice/containerd.service", idA, "docker", ""},
	{
		"kind node in a pod: nearest pod counts",
		"/kubepods/pod" + uidOther + "/" + idA + "/kubelet/kubepods/pod" + uid + "/" + idB, idB, "", uid,
	},

	{"CRI-O, systemd driver", pods + "/crio-" + idA + ".scope", idA, "cri-o", uid},
	{"CRI-O, sub-cgroup", pods + "/crio-" + idA + ".scope/container", idA, "cri-o", uid},
	{"CRI-O, cgroupfs driver", "/kubepods/besteffort/pod" + uid + "/crio-" + idA, idA, "cri-o", uid},
	{
		"conmon of CRI-O in a container is of that container",
		"/docker/" + idA + pods + "/crio-conmon-" + idB + ".scope", idA, "docker", "",
	},

	{"podman", "/machine.slice/libpod-" + idA + ".scope", idA, "podman", ""},
	{"podman, container sub-cgroup", "/machine.slice/libpod-" + idA + ".scope/container", idA, "podman", ""},
	{"podman, systemd inside of it", "/machine.slice/libpod-" + idA + ".scope/container/system.slice/sshd.service", idA, "podman", ""},
	{"podman, rootless", userUnit + "/user.slice/libpod-" + idA + ".scope/container", idA, "podman", ""},
	{"podman, cgroupfs driver", "/libpod_parent/libpod-" + idA, idA, "podman", ""},
	{"podman, a pod, cgroupfs driver", "/libpod_parent/" + idB + "/libpod-" + idA, idA, "podman", ""},
	{"podman, a pod", "/machine.slice/machine-libpod_pod_" + idB + ".slice/libpod-" + idA + ".scope/container", idA, "podman", ""},
	{"podman, Quadlet", "/system.slice/web.service/libpod-payload-" + idA, idA, "podman", ""},

	{"kubelet, no prefix, burstable", "/kubepods/burstable/pod" + uid + "/" + idA, idA, "", uid},
	{"kubelet, no prefix, guaranteed", "/kubepods/pod" + uid + "/" + idA, idA, "", uid},
	{"kubelet, no prefix, static pod", "/kubepods/burstable/pod" + static + "/" + idA, idA, "", static},
	{"kubelet, no prefix, sub-cgroup", "/kubepods/pod" + uid + "/" + idA + "/init.scope", idA, "", uid},
	{"kubelet, below another root", "/mypool/kubepods/burstable/pod" + uid + "/" + idA, idA, "", uid},

	{"ECS", "/ecs/" + task + "/" + idA, idA, "", ""},
	{"ECS, task with an old ARN", "/ecs/55091c13-b8cf-4801-b527-f4601742204d/" + idA, idA, "", ""},
	{"ECS, systemd driver", "/ecstasks.slice/ecstasks-" + task + ".slice/docker-" + idA + ".scope", idA, "docker", ""},
	{"ECS, Fargate", "/ecs/" + task + "/" + task + "-1234567890", task + "-1234567890", "", ""},
	{
		"garden", "/system.slice/garden.service/garden/6f265890-5165-7fab-6b52-18d1",
		"6f265890-5165-7fab-6b52-18d1", "garden", "",
	},
	{"garden, whole UUID", "/garden/" + uid + "/init", uid, "garden", ""},

	{"LXC", "/lxc.payload.web1/init.scope", "web1", "lxc", ""},
	{"LXC, project of Incus", "/lxc.payload.user-1000_c1/system.slice/ssh.service", "user-1000_c1", "lxc", ""},
	{"LXC 3 and Proxmox", "/lxc/101/ns/system.slice/ssh.service", "101", "lxc", ""},
	{"LXC 4.0", "/lxc.payload/web1", "web1", "lxc", ""},
	{"docker in LXC", "/lxc.payload.web1/system.slice/docker-" + idA + ".scope", idA, "docker", ""},
	{"systemd-nspawn, service", "/machine.slice/systemd-nspawn@deb12.service/payload/init.scope", "deb12", "systemd-nspawn", ""},
	{"systemd-nspawn, by hand", `/machine.slice/machine-my\x2dbox.scope/payload`, `my\x2dbox`, "systemd-nspawn", ""},

	{"relative, as in a cgroup namespace", "/../" + idA, idA, "", ""},
	{"no leading slash", "docker/" + idA, idA, "docker", ""},
	{"trailing and doubled slashes", "//docker//" + idA + "//", idA, "", ""},
	{"hostile bytes beside it", "/\xff\x1b[31m/docker-" + idA + ".scope/\x00\x01", idA, "docker", ""},
	{
		"a user makes himself a container in his subtree; the path still tells",
		userUnit + "/app.slice/evil.service/kubepods/pod" + uid + "/" + idA, idA, "", uid,
	},
}

func TestParseCgroupFindsContainers(t *testing.T) {
	for _, tt := range containerPaths {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseCgroup(tt.path)
			want := event.Container{ID: tt.id, Runtime: tt.runtime, PodUID: tt.pod}
			if !ok || got != want {
				t.Errorf("ParseCgroup(%q)\n got %+v, %v\nwant %+v, true", tt.path, got, ok, want)
			}
		})
	}
}

// hostPaths are those of processes in no container.
var hostPaths = []struct{ name, path string }{
	{"empty", ""},
	{"root", "/"},
	{"init", "/init.scope"},
	{"service", "/system.slice/ssh.service"},
	{"service instance", "/system.slice/system-getty.slice/getty@tty1.service"},
	{"session", "/user.slice/user-1000.slice/session-3.scope"},
	{"desktop application", userUnit + "/app.slice/app-gnome-firefox-4321.scope"},
	{"engine's own service", "/system.slice/docker.service"},
	{"containerd's own service", "/system.slice/containerd.service"},
	{"docker's parent", "/docker"},
	{"docker's buildkit", "/docker/buildkit/w4mrpsdrmyzhi03vbwhmmyxbx"},
	{"conmon of CRI-O", pods + "/crio-conmon-" + idA + ".scope"},
	{"conmon of CRI-O, cgroupfs driver", "/kubepods/pod" + uid + "/crio-conmon-" + idA},
	{"conmon of podman", "/machine.slice/libpod-conmon-" + idA + ".scope"},
	{"conmon of podman, rootless", userUnit + "/user.slice/libpod-conmon-" + idA + ".scope"},
	{"conmon of podman, cgroupfs driver", "/libpod_parent/conmon"},
	{"conmon of podman, split", "/system.slice/web.service/supervisor"},
	{"podman health check", "/system.slice/" + idA + "-5a3c.service"},
	{"podman health check, older", "/system.slice/" + idA + ".service"},
	{"pod of podman", "/libpod_parent/" + idA},
	{"pod's own cgroup", pods},
	{"pod's own cgroup, cgroupfs", "/kubepods/burstable/pod" + uid},
	{"kata's monitor", "/kata_overhead/" + idA},
	{"LXC's monitor", "/lxc.monitor.web1"},
	{"LXC with no name", "/lxc.payload."},
	{"LXC with a name that is not printable", "/lxc.payload.a\nb"},
	{"LXC with a name longer than any", "/lxc.payload." + strings.Repeat("a", 256)},
	{"virtual machine of libvirt", `/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator`},
	{"systemd-nspawn itself", "/machine.slice/systemd-nspawn@deb12.service/supervisor"},
	{"payload of something else", "/system.slice/app.service/payload"},
	{"payload of a machine with no name", "/machine.slice/machine-.scope/payload"},
	{"id too short", "/docker/" + idA[1:]},
	{"id too long", "/docker/" + idA + "0"},
	{"id in upper case", "/docker/" + strings.ToUpper(idA)},
	{"id not hex", "/docker/" + idA[:63] + "g"},
	{"unknown prefix", "/system.slice/evil-" + idA + ".scope"},
	{"prefix without its dash", "/system.slice/docker" + idA + ".scope"},
	{"one colon", "/docker:" + idA},
	{"colons without a slice", "/a:docker:" + idA},
	{"colons without a manager", "/system.slice::" + idA},
	{"colons in a scope", "/system.slice:docker:" + idA + ".scope"},
	{"Fargate of another task", "/ecs/" + task + "/" + static + "-1234567890"},
	{"Fargate without digits", "/ecs/" + task + "/" + task + "-"},
	{"Fargate with letters", "/ecs/" + task + "/" + task + "-12a"},
	{"UUID outside of garden", "/system.slice/6f265890-5165-7fab-6b52-18d1"},
	{"UUID without dashes in garden", "/garden/6f265890051650000000000000d1"},
	{"only slashes", strings.Repeat("/", 4096)},
	{"deep", strings.Repeat("/a", 2048)},
	{"one long name", "/" + strings.Repeat("-", 4095)},
}

func TestParseCgroupLeavesHostProcessesAlone(t *testing.T) {
	for _, tt := range hostPaths {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := ParseCgroup(tt.path); ok || got != (event.Container{}) {
				t.Errorf("ParseCgroup(%q) = %+v, %v; want none", tt.path, got, ok)
			}
		})
	}
}

func TestParseCgroupIgnoresMalformedPodUIDs(t *testing.T) {
	for _, pod := range []string{
		"/kubepods/pod" + uidSlice,       // the separator of slices
		"/kubepods-pod" + uid + ".slice", // and of plain paths
		"/kubepods/pod" + uid[1:],
		"/kubepods/pod" + strings.ToUpper(uid),
		"/kubepods/pod",
		"/kubepods-pod.slice",
		"/kubepods/podinfo",
	} {
		if got, ok := ParseCgroup(pod + "/" + idA); !ok || got.PodUID != "" || got.ID != idA {
			t.Errorf("below %q: got %+v, %v; want the container with no pod", pod, got, ok)
		}
	}
}

func TestParseCgroupDoesNotAllocateForHostProcesses(t *testing.T) {
	for _, tt := range hostPaths {
		if n := testing.AllocsPerRun(10, func() { ParseCgroup(tt.path) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	for _, tt := range hostPaths {
		f.Add(tt.path)
	}
	for _, tt := range containerPaths {
		f.Add(tt.path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := ParseCgroup(path)
		if !ok {
			if got != (event.Container{}) {
				t.Fatalf("no container, but %+v", got)
			}
			return
		}
		if got.ID == "" || strings.Contains(got.ID, "/") || !strings.Contains(path, got.ID) || len(got.ID) > maxName {
			t.Fatalf("id %q of %q", got.ID, path)
		}
		switch got.Runtime {
		case RuntimeDocker, RuntimeContainerd, RuntimeCRIO, RuntimePodman:
			if len(got.ID) != idLen || !isHex(got.ID) {
				t.Fatalf("id %q of runtime %s is not %d hex digits", got.ID, got.Runtime, idLen)
			}
		case RuntimeGarden, RuntimeLXC, RuntimeNspawn, "":
			if !isName(got.ID) {
				t.Fatalf("id %q is not printable", got.ID)
			}
		default:
			t.Fatalf("runtime %q", got.Runtime)
		}
		if got.PodUID != "" {
			if !isPodUID(got.PodUID, '-') {
				t.Fatalf("pod UID %q", got.PodUID)
			}
			if !strings.Contains(strings.ReplaceAll(path, "_", "-"), got.PodUID) {
				t.Fatalf("pod UID %q is not in %q", got.PodUID, path)
			}
		}
	})
}

func BenchmarkParseCgroup(b *testing.B) {
	for _, bb := range []struct{ name, path string }{
		{"host", "/user.slice/user-1000.slice/session-3.scope"},
		{"docker", "/system.slice/docker-" + idA + ".scope"},
		{"pod", pods + "/cri-containerd-" + idA + ".scope"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ParseCgroup(bb.path)
			}
		})
	}
}
