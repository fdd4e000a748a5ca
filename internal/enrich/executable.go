// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

const (
	// chunkSize is how much is read and hashed at a time: large enough that system calls do not count, small enough that
	// Close and the garbage collector, which cannot interrupt a block of hashing, wait for a fraction of a millisecond.
	chunkSize = 128 << 10
	// mntIsHost is the bit of event.Namespaces.Host for Mnt, its third field.
	mntIsHost = 1 << 2
)

// candidate is a place where the executed file may be found.
type candidate struct {
	proc string // the /proc/PID that leads there, whose mount table tells the file's true device
	path string // below proc/root; empty for proc/exe
}

// worker computes digests, one at a time.
type worker struct {
	*Digests
	hash hash.Hash
	buf  []byte
}

func newWorker(d *Digests) *worker {
	return &worker{Digests: d, hash: sha256.New(), buf: make([]byte, chunkSize)}
}

func (w *worker) run() {
	for {
		select {
		case <-w.stop:
			return
		case t := <-w.queue:
			w.resolve(t)
		}
	}
}

func (w *worker) resolve(t *Ticket) {
	missing := missingGone
	for p := w.next(t, missing); p != nil; p = w.next(t, missing) {
		for _, c := range w.candidates(p) {
			digest := w.try(c, t.key)
			switch digest.Missing {
			case "", missingPending:
				w.finish(t, digest)
				return
			case missingChanged:
				missing = missingChanged
			}
		}
	}
}

// candidates lists where the file that p executed may be found, the surest first.
func (w *worker) candidates(p *event.Process) []candidate {
	places := make([]candidate, 0, 4)
	dir := func(pid uint32) string { return filepath.Join(w.procRoot, strconv.FormatUint(uint64(pid), 10)) }
	if p.ID.PID != 0 {
		places = append(places, candidate{proc: dir(p.ID.PID)})
	}
	path := p.File.Path
	const noPath = event.PathCut | event.PathUnreadable | event.Unlinked | event.Memfd
	if !strings.HasPrefix(path, "/") || p.Flags&noPath != 0 {
		return places
	}
	if p.ID.PID != 0 {
		places = append(places, candidate{dir(p.ID.PID), path})
	}
	if p.Parent.PID != 0 {
		places = append(places, candidate{dir(p.Parent.PID), path})
	}
	if p.Namespaces.Host&mntIsHost != 0 {
		places = append(places, candidate{dir(1), path})
	}
	return places
}

// try reads the file at c if it is the wanted one. The result is missing as "gone" when there is no file, as "changed"
// when it is another one, and as "pending" when the worker was stopped.
func (w *worker) try(c candidate, want fileKey) event.Digest {
	fd, err := w.find(c)
	if err != nil {
		return event.Digest{Missing: missingGone}
	}
	defer closeFD(fd)
	if !w.isFile(fd, want, c) {
		return event.Digest{Missing: missingChanged}
	}
	// The file is known now, and regular: opening it has no side effect, and O_NONBLOCK keeps the call from waiting for
	// the holder of a lease. Going through the descriptor leads to this very file, whatever its name leads to by now.
	w.onOpen(c.proc + c.path)
	file, err := open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return event.Digest{Missing: missingGone}
	}
	defer closeFD(file)
	return w.read(file, want)
}

// find returns a descriptor of what is at c that names it but cannot read it.
func (w *worker) find(c candidate) (int, error) {
	if c.path == "" {
		// A magic link: it leads to the open file, not to a name.
		return open(c.proc+"/exe", unix.O_PATH)
	}
	root, err := open(c.proc+"/root", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	defer closeFD(root)
	// The kernel told the path with all links resolved. A link on it has been put there since, to lead elsewhere.
	return openat2(root, c.path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS,
	})
}

// read hashes the open file and checks that it was the wanted one to the end.
func (w *worker) read(fd int, want fileKey) event.Digest {
	w.hash.Reset()
	for off := int64(0); off < want.size; {
		select {
		case <-w.stop:
			return event.Digest{Missing: missingPending}
		default:
		}
		n, err := pread(fd, w.buf[:min(chunkSize, want.size-off)], off)
		if err != nil {
			return event.Digest{Missing: missingGone}
		}
		if n == 0 {
			return event.Digest{Missing: missingChanged}
		}
		w.hash.Write(w.buf[:n])
		off += int64(n)
	}
	ids := readBuildIDs(fdReader(fd), want.size)
	now, _, err := stat(fd)
	if err != nil || now.withDev(want.dev) != want {
		return event.Digest{Missing: missingChanged}
	}
	var sum [sha256.Size]byte
	return event.Digest{
		SHA256:  hex.EncodeToString(w.hash.Sum(sum[:0])),
		BuildID: ids.gnu,
		GoBuild: ids.golang,
	}
}

// isFile tells whether fd is the wanted file.
//
// Some file systems (btrfs, overlay) tell stat another device than the one their super block has, which is the one in
// the event. When only the device differs the mount table is asked, where the super block's is shown. A file of
// /proc/PID/exe whose mount is not in the table (unmounted since, or out of the process's root) is believed:
// it is an executable that the very process runs, with the same inode, ctime and size.
func (w *worker) isFile(fd int, want fileKey, c candidate) bool {
	got, regular, err := stat(fd)
	if err != nil || !regular || got.withDev(want.dev) != want {
		return false
	}
	if got.dev == want.dev {
		return true
	}
	dev, known := mountDevice(fd, c.proc)
	if !known {
		return c.path == ""
	}
	return dev == want.dev
}

func (k fileKey) withDev(dev uint32) fileKey {
	k.dev = dev
	return k
}

func stat(fd int) (key fileKey, regular bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fileKey{}, false, err
	}
	return statKey(&st), st.Mode&unix.S_IFMT == unix.S_IFREG, nil
}

func statKey(st *unix.Stat_t) fileKey {
	sec, nsec := st.Ctim.Unix()
	return fileKey{
		dev:       kernelDev(unix.Major(st.Dev), unix.Minor(st.Dev)),
		ino:       st.Ino,
		size:      st.Size,
		ctimeSec:  sec,
		ctimeNsec: uint32(nsec),
	}
}

// kernelDev makes the kernel's own dev_t, which differs from that of user space.
func kernelDev(major, minor uint32) uint32 { return major<<20 | minor }

func open(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// closeFD closes a descriptor that nothing was written through: there is nothing to learn from an error.
func closeFD(fd int) { _ = unix.Close(fd) }

func pread(fd int, p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(fd, p, off)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// fdReader reads from a descriptor that someone else closes.
type fdReader int

func (f fdReader) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := pread(int(f), p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}
