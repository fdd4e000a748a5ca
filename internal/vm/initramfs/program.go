// SPDX-License-Identifier: Apache-2.0

package initramfs

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs is where the dynamic loader of Debian and its kin looks when nothing else is said.
var libraryDirs = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
	"/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
	"/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// Program adds a file and, if it is a dynamically linked program, its loader and libraries. Libraries are searched in the
// loader's default folders only. What is no ELF file (a script) is added alone.
func (t *Tree) Program(guest, host string) error {
	if err := t.Path(guest, host); err != nil {
		return err
	}
	return t.needs(host)
}

// needs adds what an ELF file needs to be loaded.
func (t *Tree) needs(host string) error {
	f, err := elf.Open(host)
	if err != nil {
		// Not an ELF file, or a folder: nothing to follow.
		return nil
	}
	defer f.Close()
	loader, err := interpreter(f)
	if err != nil {
		return fmt.Errorf("add what %s needs: %w", host, err)
	}
	if loader != "" && !t.Has(loader) {
		if err := t.Path(loader, loader); err != nil {
			return fmt.Errorf("add what %s needs: %w", host, err)
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		// A static program has no dynamic section.
		return nil
	}
	for _, name := range libraries {
		lib, err := findLibrary(name)
		if err != nil {
			return fmt.Errorf("add what %s needs: %w", host, err)
		}
		if t.Has(lib) {
			continue
		}
		if err := t.Program(lib, lib); err != nil {
			return err
		}
	}
	return nil
}

func interpreter(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, p.Filesz)
		if _, err := p.ReadAt(name, 0); err != nil {
			return "", fmt.Errorf("read loader's name: %w", err)
		}
		return strings.TrimRight(string(name), "\x00"), nil
	}
	return "", nil
}

func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("find library: %w", err)
		}
	}
	return "", fmt.Errorf("find library %s: not in %s", name, strings.Join(libraryDirs, ", "))
}
