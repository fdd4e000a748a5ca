// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func put(t *testing.T, path, contents string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(contents), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCacheIsOutsideTheRepository(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want string
	}{
		"as told":  {map[string]string{"RINGSIDE_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c"},
		"XDG":      {map[string]string{"RINGSIDE_CACHE": "", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/ringside"},
		"home":     {map[string]string{"RINGSIDE_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/ringside"},
		"homeless": {map[string]string{"RINGSIDE_CACHE": "", "XDG_CACHE_HOME": "", "HOME": ""}, "/var/cache/ringside"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			if got := Open(io.Discard).Dir; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestParseVersions(t *testing.T) {
	tests := map[string]struct {
		also []string
		want []string
	}{
		"6.1":          {want: []string{"6.1"}},
		"6.1, 6.12":    {want: []string{"6.1", "6.12"}},
		"host,6.1":     {also: []string{"host"}, want: []string{"host", "6.1"}},
		"host":         {},
		"":             {},
		"6.1,":         {},
		"6":            {},
		"../6.1":       {},
		"6.1.0-56-xen": {},
	}
	for in, tt := range tests {
		t.Run(in, func(t *testing.T) {
			got, err := ParseVersions(in, tt.also...)
			if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestKernelInTheCacheIsUsedAsItIs(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Log: io.Discard}
	put(t, filepath.Join(c.Dir, "kernels/6.12/vmlinuz"), "")
	put(t, filepath.Join(c.Dir, "kernels/6.12/release"), "6.12.1-x\n")
	// With an empty PATH nothing could be fetched.
	t.Setenv("PATH", "")
	k, err := c.Get(t.Context(), "6.12")
	if err != nil {
		t.Fatal(err)
	}
	if k.Release != "6.12.1-x" || k.Version != "6.12" || k.Image != filepath.Join(c.Dir, "kernels/6.12/vmlinuz") {
		t.Errorf("got %+v", k)
	}
}

func TestDamagedCacheIsToldAndNotOverwritten(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Log: io.Discard}
	put(t, filepath.Join(c.Dir, "kernels/6.12/release"), "6.12.1-x\n")
	t.Setenv("PATH", "")
	if _, err := c.Get(t.Context(), "6.12"); !errors.Is(err, errDamaged) {
		t.Errorf("got %v, want %v", err, errDamaged)
	}
}

func TestWithoutAptTheErrorSaysWhatToDo(t *testing.T) {
	c := Cache{Dir: t.TempDir(), Log: io.Discard}
	t.Setenv("PATH", "")
	if _, err := c.Get(t.Context(), "6.12"); err == nil {
		t.Error("a kernel from nowhere")
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "kernels")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was left behind: %v", err)
	}
}

func TestImageOfFindsTheVersionAndNoOther(t *testing.T) {
	const debian12 = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n"
	const debian13 = "linux-image-cloud-amd64\n  Depends: linux-image-6.12.1+deb13-cloud-amd64\n"
	tests := []struct{ version, depends, want string }{
		{"6.1", debian12, "linux-image-6.1.0-56-cloud-amd64"},
		{"6.12", debian12, ""},
		{"6.12", debian13, "linux-image-6.12.1+deb13-cloud-amd64"},
		{"6.1", debian13, ""},
		{"6.1", "", ""},
	}
	for _, tt := range tests {
		if got := imageOf(tt.version, tt.depends); got != tt.want {
			t.Errorf("%s in %q: got %q, want %q", tt.version, tt.depends, got, tt.want)
		}
	}
}

func TestModuleIsFoundByTheNameOfTheKernel(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "kernel/fs/overlayfs/overlay.ko.xz"), "")
	put(t, filepath.Join(dir, "kernel/drivers/virtio-rng.ko"), "")
	put(t, filepath.Join(dir, "modules.builtin"), "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio_ring.ko\n")
	k := Kernel{Modules: dir, Release: "6.12.1-x"}
	tests := map[string]string{
		"overlay":     "kernel/fs/overlayfs/overlay.ko.xz",
		"virtio_rng":  "kernel/drivers/virtio-rng.ko",
		"virtio-rng":  "kernel/drivers/virtio-rng.ko",
		"virtio_ring": "",
		"ext4":        "",
	}
	for name, want := range tests {
		got, err := k.Module(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want != "" {
			want = filepath.Join(dir, want)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if _, err := k.Module("over"); err == nil {
		t.Error("a part of a name was enough")
	}
}
