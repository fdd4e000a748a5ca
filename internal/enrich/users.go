// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of a passwd file. A larger file is refused rather than told in part.
const (
	maxPasswdSize = 64 << 20 // bytes; about a million users
	maxUserName   = 256      // bytes, LOGIN_NAME_MAX
)

// UsersConfig tells where the names of users come from. The zero value stands for the file of this mount namespace.
type UsersConfig struct {
	// Root is the root directory of the host as seen from here, such as /proc/1/root or the point where it is mounted.
	// Symbolic links below it are resolved within it. Empty means /.
	Root string
	// Path is the passwd file within Root. Empty means /etc/passwd.
	Path string
	// Interval is how often the file is looked at for changes. Zero means 10 seconds.
	Interval time.Duration
}

// Users knows the names of the host's users.
//
// Only the passwd file is asked, never NSS: LDAP, SSSD and the like may block, call out to the network, or load code into
// the collector. Users who are only known there have no name. Uids are those of the initial user namespace, so a user of
// a container is told by the name that the host has for the uid, which is none as a rule when the container has a user
// namespace of its own, and may be that of another user when it has not.
type Users struct {
	cfg   UsersConfig
	names atomic.Pointer[map[uint32]string] // the map is never written once it is here
	err   atomic.Pointer[error]
	seen  passwdStamp // of the goroutine that refreshes

	close sync.Once
	stop  chan struct{}
	ended chan struct{}
}

// passwdStamp changes whenever the file does: a passwd file is replaced by renaming, or written in place.
type passwdStamp struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
}

// NewUsers reads the file and follows its changes until Close. It does not fail: while the file cannot be read, names
// are those of its last good state, or unknown, and Err tells why.
func NewUsers(cfg UsersConfig) *Users {
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Path == "" {
		cfg.Path = "/etc/passwd"
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 10 * time.Second
	}
	u := &Users{cfg: cfg, stop: make(chan struct{}), ended: make(chan struct{})}
	u.names.Store(&map[uint32]string{})
	u.refresh()
	go u.follow()
	return u
}

// Name returns the name of a user, or "" when it is not known. It takes no lock, does no I/O and does not allocate.
func (u *Users) Name(uid uint32) string {
	return (*u.names.Load())[uid]
}

// Err tells why the file could not be read the last time it was looked at; nil when it could.
func (u *Users) Err() error {
	if err := u.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Close ends following the file. Names stay known.
func (u *Users) Close() {
	u.close.Do(func() { close(u.stop) })
	<-u.ended
}

func (u *Users) follow() {
	defer close(u.ended)
	tick := time.NewTicker(u.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-u.stop:
			return
		case <-tick.C:
			u.refresh()
		}
	}
}

// refresh reads the file if it changed since it was read.
func (u *Users) refresh() {
	err := u.load()
	if err == nil {
		u.err.Store(nil)
		return
	}
	err = fmt.Errorf("read user names: %w", err)
	u.err.Store(&err)
}

func (u *Users) load() error {
	f, err := openInRoot(u.cfg.Root, u.cfg.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s is not a regular file", f.Name())
	}
	stamp := passwdStamp{dev: st.Dev, ino: st.Ino, size: st.Size, mtime: st.Mtim}
	if stamp == u.seen {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPasswdSize+1))
	if err != nil {
		return err
	}
	if len(data) > maxPasswdSize {
		return fmt.Errorf("%s is larger than %d bytes", f.Name(), maxPasswdSize)
	}
	names := parsePasswd(data)
	u.names.Store(&names)
	// The stamp was taken before reading: what was written since is read at the next look.
	u.seen = stamp
	return nil
}

// openInRoot opens a file below root for reading, with root standing for / in the symbolic links on the way: those of a
// host's /etc, seen from a container, must not lead into the container.
func openInRoot(root, path string) (*os.File, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer closeFD(dir)
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := openat2(dir, path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root + path, Err: err}
	}
	return os.NewFile(uintptr(fd), root+path), nil
}

// openat2 repeats the call where it can succeed the next time: EAGAIN tells that a rename somewhere in the file system
// kept the kernel from proving that the path stays below the root (or that the file has a lease, which takes too long
// to wait for).
func openat2(dir int, path string, how *unix.OpenHow) (fd int, err error) {
	const attempts = 8
	for range attempts {
		fd, err = unix.Openat2(dir, path, how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return fd, err
}

// parsePasswd reads the lines of passwd(5). Malformed ones, comments and the + and - lines of NIS are skipped. Of several
// lines with one uid the first counts, as for getpwuid(3).
func parsePasswd(data []byte) map[uint32]string {
	names := make(map[uint32]string, bytes.Count(data, []byte{'\n'})+1)
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		name, uid, ok := parsePasswdLine(line)
		if !ok {
			continue
		}
		if _, known := names[uid]; !known {
			names[uid] = string(name)
		}
	}
	return names
}

// parsePasswdLine takes name and uid from name:password:uid:gid:gecos:directory:shell.
func parsePasswdLine(line []byte) (name []byte, uid uint32, ok bool) {
	if bytes.Count(line, []byte{':'}) != 6 {
		return nil, 0, false
	}
	name, rest, _ := bytes.Cut(line, []byte{':'})
	_, rest, _ = bytes.Cut(rest, []byte{':'})
	digits, _, _ := bytes.Cut(rest, []byte{':'})
	if len(name) == 0 || len(name) > maxUserName || name[0] == '#' || name[0] == '+' || name[0] == '-' {
		return nil, 0, false
	}
	n, err := strconv.ParseUint(string(digits), 10, 32)
	// The last number stands for "no user" in the kernel's interfaces.
	if err != nil || n == 1<<32-1 || bytes.IndexByte(name, 0) >= 0 {
		return nil, 0, false
	}
	return name, uint32(n), true
}
