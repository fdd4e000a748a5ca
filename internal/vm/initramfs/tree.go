// SPDX-License-Identifier: Apache-2.0

// Package initramfs makes the file system that a virtual machine boots from.
//
// A [Tree] collects files under the paths that they shall have in the guest, and is written as an uncompressed cpio
// archive, which the kernel unpacks into its root. Everything belongs to root, whoever owns it on the host; permission
// bits, set-user-ID ones included, are kept. Contents are read when the tree is written, not before.
//
// The guest has the merged /usr of the distributions of today: /bin, /sbin, /lib and /lib64 are links, and what is added
// under them is found under /usr too.
package initramfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Tree is a file system in the making. Use New.
type Tree struct {
	nodes map[string]node
	size  int64
}

type node struct {
	mode         uint32
	mtime        int64
	size         int64
	major, minor uint32
	data         []byte // of a link: its target
	host         string // path of the file that has the contents, if data has not
}

// ErrConflict is in the chain of errors when one path would be two things.
var ErrConflict = errors.New("path is used twice")

// New returns a tree with the folders that each guest has and the console, without which the kernel starts no program
// with its output connected.
func New() *Tree {
	t := &Tree{nodes: map[string]node{}}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		t.nodes["usr/"+dir] = node{mode: modeDir | 0o755}
		t.nodes[dir] = node{mode: modeSymlink | 0o777, data: []byte("usr/" + dir), size: int64(len("usr/" + dir))}
	}
	t.nodes["usr"] = node{mode: modeDir | 0o755}
	t.nodes["dev"] = node{mode: modeDir | 0o755}
	t.nodes["dev/console"] = node{mode: modeChar | 0o600, major: 5, minor: 1}
	t.nodes["tmp"] = node{mode: modeDir | 0o1777}
	t.nodes["root"] = node{mode: modeDir | 0o700}
	return t
}

// Size is how many bytes the contents of the files have.
func (t *Tree) Size() int64 { return t.size }

// Dir adds a folder, and its parents, if it is not there yet.
func (t *Tree) Dir(guest string) error {
	name, err := clean(guest)
	if err != nil {
		return err
	}
	return t.dir(name)
}

func (t *Tree) dir(name string) error {
	if name == "" {
		return nil
	}
	if n, ok := t.nodes[name]; ok {
		if n.mode&0o170000 != modeDir {
			return fmt.Errorf("add folder /%s: %w", name, ErrConflict)
		}
		return nil
	}
	return t.add(name, node{mode: modeDir | 0o755})
}

// Bytes adds a file with these contents.
func (t *Tree) Bytes(guest string, perm fs.FileMode, contents []byte) error {
	name, err := clean(guest)
	if err != nil {
		return err
	}
	return t.add(name, node{mode: modeFile | cpioPerm(perm), data: contents, size: int64(len(contents))})
}

// Path adds what is at a path of the host: a file, the target of a link, or a folder with all below it, where links
// stay links. Sockets, pipes and devices in a folder are left out.
func (t *Tree) Path(guest, host string) error {
	name, err := clean(guest)
	if err != nil {
		return err
	}
	host, err = filepath.Abs(host)
	if err != nil {
		return fmt.Errorf("add /%s: %w", name, err)
	}
	info, err := os.Stat(host)
	if err != nil {
		return fmt.Errorf("add /%s: %w", name, err)
	}
	if !info.IsDir() {
		return t.file(name, host, info)
	}
	// The walk does not follow a link, not even the first one.
	root, err := filepath.EvalSymlinks(host)
	if err != nil {
		return fmt.Errorf("add /%s: %w", name, err)
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("add /%s: %w", name, err)
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return fmt.Errorf("add /%s: %w", name, err)
		}
		return t.walked(path.Join(name, filepath.ToSlash(rel)), p, d)
	})
}

func (t *Tree) walked(name, host string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return fmt.Errorf("add /%s: %w", name, err)
	}
	switch {
	case d.IsDir():
		if err := t.dir(name); err != nil || name == "" {
			return err
		}
		n := t.nodes[name]
		n.mode, n.mtime = modeDir|cpioPerm(info.Mode()), info.ModTime().Unix()
		t.nodes[name] = n
		return nil
	case d.Type() == fs.ModeSymlink:
		target, err := os.Readlink(host)
		if err != nil {
			return fmt.Errorf("add /%s: %w", name, err)
		}
		return t.add(name, node{mode: modeSymlink | 0o777, data: []byte(target), size: int64(len(target))})
	case d.Type().IsRegular():
		return t.file(name, host, info)
	}
	return nil
}

func (t *Tree) file(name, host string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("add /%s: %s is neither a file nor a folder", name, host)
	}
	return t.add(name, node{
		mode: modeFile | cpioPerm(info.Mode()), mtime: info.ModTime().Unix(), size: info.Size(), host: host,
	})
}

// add puts a node in its place. The same thing may be added again; a folder is never replaced by something else.
func (t *Tree) add(name string, n node) error {
	if name == "" {
		return fmt.Errorf("add /: %w", ErrConflict)
	}
	if dir := path.Dir(name); dir != "." {
		if err := t.dir(dir); err != nil {
			return err
		}
	}
	old, ok := t.nodes[name]
	if ok && old.mode&0o170000 != n.mode&0o170000 {
		return fmt.Errorf("add /%s: %w", name, ErrConflict)
	}
	if n.mtime == 0 {
		n.mtime = time.Now().Unix()
	}
	t.size += n.size - old.size
	t.nodes[name] = n
	return nil
}

// Has tells whether there is something at a path.
func (t *Tree) Has(guest string) bool {
	name, err := clean(guest)
	_, ok := t.nodes[name]
	return err == nil && ok
}

// WriteTo writes the archive, parents before children.
func (t *Tree) WriteTo(w io.Writer) (int64, error) {
	buffered := bufio.NewWriterSize(w, 1<<20)
	a := &archiver{w: buffered}
	for _, name := range slices.Sorted(maps.Keys(t.nodes)) {
		if err := t.nodes[name].archive(a, name); err != nil {
			return a.offset, err
		}
	}
	if err := a.close(); err != nil {
		return a.offset, err
	}
	if err := buffered.Flush(); err != nil {
		return a.offset, fmt.Errorf("write initial file system: %w", err)
	}
	return a.offset, nil
}

func (n node) archive(a *archiver, name string) error {
	h := header{name: name, mode: n.mode, mtime: n.mtime, size: n.size, major: n.major, minor: n.minor}
	if n.host == "" {
		return a.entry(h, bytes.NewReader(n.data))
	}
	f, err := os.Open(n.host)
	if err != nil {
		return fmt.Errorf("archive /%s: %w", name, err)
	}
	defer f.Close()
	return a.entry(h, f)
}

// merged are the folders that are links into /usr.
var merged = []string{"bin", "sbin", "lib", "lib64"}

// clean turns an absolute guest path into the name of an entry.
func clean(guest string) (string, error) {
	if !path.IsAbs(guest) {
		return "", fmt.Errorf("add %q: not an absolute path", guest)
	}
	if strings.ContainsRune(guest, 0) {
		return "", fmt.Errorf("add %q: NUL in a path", guest)
	}
	name := path.Clean(guest)[1:]
	first, rest, below := strings.Cut(name, "/")
	if below && slices.Contains(merged, first) {
		return path.Join("usr", first, rest), nil
	}
	return name, nil
}

// cpioPerm translates permission bits; Go keeps the three special ones elsewhere.
func cpioPerm(m fs.FileMode) uint32 {
	perm := uint32(m.Perm())
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&flag != 0 {
			perm |= bit
		}
	}
	return perm
}
