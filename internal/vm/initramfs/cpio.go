// SPDX-License-Identifier: Apache-2.0

package initramfs

import (
	"fmt"
	"io"
)

// A header of the "new" ASCII format (magic 070701) has 13 fields of eight hex digits after its magic; name and data
// are padded to four bytes. The kernel describes it in Documentation/driver-api/early-userspace/buffer-format.rst.
const (
	cpioMagic   = "070701"
	cpioTrailer = "TRAILER!!!"
	cpioHeader  = len(cpioMagic) + 13*8
)

// The type bits of a mode (S_IFMT), as the format has them.
const (
	modeDir     = 0o040000
	modeChar    = 0o020000
	modeFile    = 0o100000
	modeSymlink = 0o120000
)

// header is what the archive tells of one entry. All belongs to root.
type header struct {
	name         string // without a leading slash
	mode         uint32 // type and permission bits
	mtime        int64  // seconds since 1970
	size         int64
	major, minor uint32 // of a device
}

// archiver writes entries one after the other; the first error stays.
type archiver struct {
	w      io.Writer
	inode  uint32
	offset int64
	err    error
}

// entry writes a header and, from data, as many bytes as it says.
func (a *archiver) entry(h header, data io.Reader) error {
	if a.err != nil {
		return a.err
	}
	// Eight hex digits hold no more.
	if h.size > 0xffffffff {
		a.err = fmt.Errorf("archive /%s: %d bytes are more than the format can hold", h.name, h.size)
		return a.err
	}
	a.inode++
	links := 1
	if h.mode&0o170000 == modeDir {
		links = 2
	}
	a.printf("%s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", cpioMagic,
		a.inode, h.mode, 0, 0, links, uint32(h.mtime), uint32(h.size), 0, 0, h.major, h.minor, len(h.name)+1, 0)
	a.printf("%s\x00", h.name)
	a.pad()
	if a.err == nil && h.size > 0 {
		var n int64
		n, a.err = io.CopyN(a.w, data, h.size)
		a.offset += n
	}
	a.pad()
	if a.err != nil {
		a.err = fmt.Errorf("archive /%s: %w", h.name, a.err)
	}
	return a.err
}

// close writes the entry that ends an archive.
func (a *archiver) close() error {
	return a.entry(header{name: cpioTrailer}, nil)
}

func (a *archiver) printf(format string, args ...any) {
	if a.err != nil {
		return
	}
	var n int
	n, a.err = fmt.Fprintf(a.w, format, args...)
	a.offset += int64(n)
}

func (a *archiver) pad() {
	if a.err != nil {
		return
	}
	var n int
	n, a.err = a.w.Write([]byte{0, 0, 0}[:-a.offset&3])
	a.offset += int64(n)
}
