// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ringside-otel/ringside/internal/event"
)

func TestHostOfThisMachine(t *testing.T) {
	h, err := readHost("/")
	require.NoError(t, err)
	name, err := os.Hostname()
	require.NoError(t, err)
	facts := h.attributes.AsRaw()
	assert.Equal(t, name, facts["host.name"])
	assert.Equal(t, "linux", facts["os.type"])
	assert.Equal(t, runtime.GOARCH, facts["host.arch"])
	assert.Contains(t, facts["os.description"], "Linux ")
}

func TestHostFacts(t *testing.T) {
	t.Setenv(envNodeName, "node-1")
	h, err := readHost("testdata/host")
	require.NoError(t, err)
	facts := h.attributes.AsRaw()
	assert.Equal(t, "d1219c7c4c5404aaa1f6d2a48adfda44", facts["host.id"])
	assert.Equal(t, "Debian GNU/Linux", facts["os.name"])
	assert.Equal(t, "12", facts["os.version"])
	assert.Equal(t, "node-1", facts["k8s.node.name"])
	assert.Equal(t, uint64(allCapabilities), h.capabilities)
	assert.Equal(t, event.NewNode("d1219c7c4c5404aaa1f6d2a48adfda44", "0f6b6a5e-2c5c-4d8f-9f86-3a1d4f0e9c11"), h.node)
}

// write makes a file below root.
func write(t *testing.T, root, path, content string) {
	path = filepath.Join(root, path)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func TestHostOfAContainerIsTheOneOfProcessOne(t *testing.T) {
	root := t.TempDir()
	write(t, root, "proc/sys/kernel/random/boot_id", "boot")
	write(t, root, "etc/machine-id", "container")
	write(t, root, "etc/os-release", "NAME=Container")
	write(t, root, "proc/1/root/etc/machine-id", "host\n")
	write(t, root, "proc/1/root/etc/os-release", "NAME='Host OS'\n")
	h, err := readHost(root)
	require.NoError(t, err)
	assert.Equal(t, "host", h.attributes.AsRaw()["host.id"])
	assert.Equal(t, "Host OS", h.attributes.AsRaw()["os.name"])
}

func TestHostThatTellsLittle(t *testing.T) {
	root := t.TempDir()
	_, err := readHost(root)
	require.ErrorIs(t, err, os.ErrNotExist, "without a boot ID, exec_ids would be given twice")
	require.ErrorContains(t, err, "boot")

	t.Setenv(envNodeName, "")
	write(t, root, "proc/sys/kernel/random/boot_id", "boot")
	write(t, root, "etc/machine-id", "uninitialized\n")
	h, err := readHost(root)
	require.NoError(t, err)
	for _, name := range []string{"host.id", "os.name", "os.version", "k8s.node.name"} {
		assert.NotContains(t, h.attributes.AsRaw(), name)
	}
	assert.Equal(t, uint64(math.MaxUint64), h.capabilities)

	write(t, root, "var/lib/dbus/machine-id", "dbus")
	write(t, root, "proc/sys/kernel/cap_last_cap", "many")
	h, err = readHost(root)
	require.NoError(t, err)
	assert.Equal(t, "dbus", h.attributes.AsRaw()["host.id"])
	assert.Equal(t, uint64(math.MaxUint64), h.capabilities)
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`debian`: "debian", `"Debian GNU/Linux"`: "Debian GNU/Linux", `'x y'`: "x y", `"a \"b\" \$c \\"`: `a "b" $c \`, `"`: `"`, ``: ``,
	} {
		assert.Equal(t, want, unquote(in))
	}
}
