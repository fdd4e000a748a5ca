// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// QEMU returns the path of the emulator, installing it when it is missing.
func (c Cache) QEMU(ctx context.Context) (string, error) {
	const program, pkg = "qemu-system-x86_64", "qemu-system-x86"
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%s is not installed: run \"apt-get install --no-install-recommends %s\" as root", program, pkg)
	}
	fmt.Fprintf(c.Log, "installing %s\n", pkg)
	err := c.withFreshLists(ctx, func() error {
		_, err := run(ctx, "", "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", pkg)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("install %s: %w", pkg, err)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("install %s: %w", pkg, err)
	}
	return path, nil
}

// fetch puts a kernel into the cache. It is there whole or not at all.
func (c Cache) fetch(ctx context.Context, version string) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("only amd64 kernels can be had, this machine is %s: put one into %s by hand", runtime.GOARCH, c.path(version))
	}
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("kernels are Debian packages and %s is missing: put vmlinuz, release and modules/ into %s by hand",
				program, c.path(version))
		}
	}
	if err := os.MkdirAll(filepath.Dir(c.path(version)), 0o755); err != nil {
		return fmt.Errorf("make cache: %w (set RINGSIDE_CACHE to a folder that can be written)", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(c.path(version)), ".fetch-")
	if err != nil {
		return fmt.Errorf("make cache: %w (set RINGSIDE_CACHE to a folder that can be written)", err)
	}
	defer os.RemoveAll(work)
	var pkg string
	err = c.withFreshLists(ctx, func() error {
		if pkg, err = resolve(ctx, version); err != nil {
			return err
		}
		fmt.Fprintf(c.Log, "fetching %s\n", pkg)
		// The download folder is ours; apt's own unprivileged user could not write to it.
		_, err = run(ctx, work, "apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", pkg)
		return err
	})
	if err != nil {
		return err
	}
	if err := unpack(ctx, work, strings.TrimPrefix(pkg, "linux-image-")); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(work, "out"), c.path(version))
	if errors.Is(err, fs.ErrExist) {
		// Another runner was faster.
		return nil
	}
	if err != nil {
		return fmt.Errorf("put into cache: %w", err)
	}
	return nil
}

// withFreshLists does something with apt's package lists, and once more after an update when that fails: the lists of a
// new machine are empty and those of an old one name files that are gone.
func (c Cache) withFreshLists(ctx context.Context, do func() error) error {
	first := do()
	if first == nil || ctx.Err() != nil {
		return first
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w (if apt's lists are old, run \"apt-get update\" as root)", first)
	}
	fmt.Fprintln(c.Log, "updating the package lists")
	if _, err := run(ctx, "", "apt-get", "update", "--quiet"); err != nil {
		return errors.Join(first, err)
	}
	return do()
}

// resolve asks the meta-packages for the newest image of a version. The plain one follows the release of Debian.
func resolve(ctx context.Context, version string) (string, error) {
	metas := []string{"linux-image-" + version + "-cloud-amd64", "linux-image-cloud-amd64"}
	var tried []error
	for _, meta := range metas {
		out, err := run(ctx, "", "apt-cache", "depends", "--no-recommends", "--no-suggests", meta)
		if err != nil {
			tried = append(tried, err)
			continue
		}
		if pkg := imageOf(version, out); pkg != "" {
			return pkg, nil
		}
		tried = append(tried, fmt.Errorf("%s is not for %s", meta, version))
	}
	return "", fmt.Errorf("no package has that kernel: %w", errors.Join(tried...))
}

// imageOf finds, in what apt-cache depends prints, the image package of a version.
func imageOf(version, depends string) string {
	for line := range strings.Lines(depends) {
		pkg, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
		if ok && strings.HasPrefix(pkg, "linux-image-"+version+".") {
			return pkg
		}
	}
	return ""
}

// unpack takes out of the package in work what is needed and puts it in its order into work/out.
func unpack(ctx context.Context, work, release string) error {
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("unpack: want one package, got %v: %w", packages, err)
	}
	root, out := filepath.Join(work, "root"), filepath.Join(work, "out")
	if _, err := run(ctx, "", "dpkg-deb", "-x", packages[0], root); err != nil {
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	modules := filepath.Join(root, "lib/modules", release)
	if _, err := os.Stat(modules); errors.Is(err, fs.ErrNotExist) {
		modules = filepath.Join(root, "usr/lib/modules", release)
	}
	moves := map[string]string{
		filepath.Join(root, "boot", "vmlinuz-"+release): filepath.Join(out, "vmlinuz"),
		modules: filepath.Join(out, "modules"),
	}
	for from, to := range moves {
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(out, "release"), []byte(release+"\n"), 0o644); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}

// run runs a program and returns what it prints; the error has what it complained about.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
