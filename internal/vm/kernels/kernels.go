// SPDX-License-Identifier: Apache-2.0

// Package kernels keeps the kernels that virtual machines boot, and the emulator, at hand.
//
// Kernels are Debian packages, taken with apt and unpacked (not installed) into a cache outside the repository:
//
//	CACHE/kernels/6.12/vmlinuz    the kernel
//	CACHE/kernels/6.12/release    its release, "6.12.1-cloud-amd64"
//	CACHE/kernels/6.12/modules/   what is under /lib/modules/RELEASE in the package
//
// A kernel can also be put there by hand. What is there is used as it is and never looked up again.
package kernels

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Kernel is one that can be booted.
type Kernel struct {
	Version string // as asked for: "6.12"
	Release string // as uname tells it
	Image   string // path of the bootable image
	Modules string // path of the modules of this release
}

// Cache is the folder that kernels are kept in.
type Cache struct {
	Dir string
	// Log is told what takes time.
	Log io.Writer
}

// Open returns the cache that the environment names: $RINGSIDE_CACHE, else "ringside" in the user's cache folder, else,
// when there is no user's home (a service, a bare container), /var/cache/ringside.
func Open(log io.Writer) Cache {
	if dir := os.Getenv("RINGSIDE_CACHE"); dir != "" {
		return Cache{Dir: dir, Log: log}
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return Cache{Dir: filepath.Join(dir, "ringside"), Log: log}
	}
	return Cache{Dir: "/var/cache/ringside", Log: log}
}

var versionForm = regexp.MustCompile(`^\d+\.\d+$`)

// ParseVersions splits a list such as "6.1,6.12"; the words in also are allowed beside versions.
func ParseVersions(list string, also ...string) ([]string, error) {
	var versions []string
	for v := range strings.SplitSeq(list, ",") {
		v = strings.TrimSpace(v)
		known := versionForm.MatchString(v)
		for _, word := range also {
			known = known || v == word
		}
		if !known {
			return nil, fmt.Errorf("kernel %q: want a version such as %s", v, strings.Join(append([]string{"6.12"}, also...), " or "))
		}
		versions = append(versions, v)
	}
	return versions, nil
}

// Get returns a kernel, fetching it when it is not in the cache.
func (c Cache) Get(ctx context.Context, version string) (Kernel, error) {
	k, err := c.find(version)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := c.fetch(ctx, version); err != nil {
		return Kernel{}, fmt.Errorf("fetch kernel %s: %w", version, err)
	}
	return c.find(version)
}

func (c Cache) path(version string) string { return filepath.Join(c.Dir, "kernels", version) }

// find returns a kernel of the cache; the error is fs.ErrNotExist (wrapped) when it is not there.
func (c Cache) find(version string) (Kernel, error) {
	dir := c.path(version)
	release, err := os.ReadFile(filepath.Join(dir, "release"))
	if err != nil {
		return Kernel{}, fmt.Errorf("find kernel %s: %w", version, err)
	}
	k := Kernel{
		Version: version,
		Release: strings.TrimSpace(string(release)),
		Image:   filepath.Join(dir, "vmlinuz"),
		Modules: filepath.Join(dir, "modules"),
	}
	if _, err := os.Stat(k.Image); err != nil {
		// Renaming is the last step of a fetch, so this folder was damaged, or made by hand.
		return Kernel{}, fmt.Errorf("kernel %s in %s is not whole, remove that folder: %w", version, dir, errDamaged)
	}
	return k, nil
}

// errDamaged is not fs.ErrNotExist, although a file is missing: it is not for a fetch to replace what it did not make.
var errDamaged = errors.New("vmlinuz is missing")

// Module returns the path of a module's file; "" when it is built in.
func (k Kernel) Module(name string) (string, error) {
	builtin, err := os.ReadFile(filepath.Join(k.Modules, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find module %s: %w", name, err)
	}
	want := moduleName(name)
	for line := range strings.Lines(string(builtin)) {
		if moduleName(line) == want {
			return "", nil
		}
	}
	var found string
	err = filepath.WalkDir(k.Modules, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && strings.Contains(d.Name(), ".ko") && moduleName(p) == want {
			found = p
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", name, err)
	}
	if found == "" {
		return "", fmt.Errorf("find module %s: kernel %s has none of that name", name, k.Release)
	}
	return found, nil
}

// moduleName is what the kernel calls the module in a file.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(strings.TrimSpace(path)), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
