// SPDX-License-Identifier: Apache-2.0

// Package kerneltest has facts of a real kernel for tests that must give the same everywhere: golden listings of compiled
// policies, messages of their checks.
package kerneltest

import (
	"embed"
	"io/fs"
	"strings"
	"testing/fstest"

	"github.com/ringside-otel/ringside/internal/kernel"
)

//go:embed linux-6.12.btf events
var files embed.FS

// Linux612 returns facts of Debian's Linux 6.12 on x86_64: the types that types.txt lists, some classic tracepoints (the folder
// events), and these features. Its symbols are the functions among the types, so that none has copies and nothing is on a blacklist, unless
// extra has files that say so: by path, "proc/kallsyms".
func Linux612(extra map[string]string, features ...kernel.Feature) *kernel.Facts {
	root := fstest.MapFS{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		name := "sys/kernel/tracing/" + path
		if strings.HasSuffix(path, ".btf") {
			name = "sys/kernel/btf/vmlinux"
		}
		root[name] = &fstest.MapFile{Data: b}
		return err
	})
	if err != nil {
		panic(err) // the files are part of the program
	}
	root["proc/sys/kernel/osrelease"] = &fstest.MapFile{Data: []byte("6.12.0\n")}
	for name, text := range extra {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return kernel.Fixture(root, features...)
}
