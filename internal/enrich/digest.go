// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/ringside-otel/ringside/internal/event"
)

// Why there is no digest, as event.Digest.Missing tells it.
const (
	missingPending  = "pending"   // it was not computed in time
	missingTooLarge = "too_large" // the file is larger than DigestConfig.MaxFileSize
	missingGone     = "gone"      // the file cannot be reached (any more)
	missingChanged  = "changed"   // what is there now is not what was executed
)

const (
	defaultQueueSize = 1024
	// maxWitnesses bounds the processes that are tried for one file, so that a file that cannot be read does not keep
	// a worker busy as long as it is executed.
	maxWitnesses = 8
)

// DigestConfig tells how digests are computed.
type DigestConfig struct {
	// MaxFileSize is the size in bytes above which a file is not opened.
	MaxFileSize int64
	// CacheSize is how many digests are kept, at least 1. One takes about 500 bytes.
	CacheSize int
	// Workers is how many files are hashed at a time, and so how many CPUs hashing may use. Zero means 1.
	Workers int
	// QueueSize is how many files wait for a worker. Zero means 1024.
	QueueSize int
	// ProcRoot is where the /proc of the initial pid namespace is mounted. Empty means /proc.
	ProcRoot string
}

// fileKey identifies the content of a file: an inode of a file system, in the state that it was in at ctime. Every write
// and every change of the inode sets ctime, and no call can set it to a chosen time.
type fileKey struct {
	ino       uint64
	size      int64
	ctimeSec  int64
	ctimeNsec uint32
	dev       uint32 // major<<20 | minor
}

// Digests computes what executed files contain: the SHA-256 and the build ids, away from the event path.
//
// # Which file
//
// A digest is that of the file that was executed, or missing; never that of another file that has its name now. The
// kernel's event tells the file's device, inode, ctime and size; a worker reads a file only when fstat tells the same,
// and believes what it read only when fstat still does. It looks at /proc/PID/exe, the open file itself, which also
// leads to memfds, to deleted files and into other mount namespaces. When the process has ended, or executed something
// else, or changed its link (PR_SET_MM), it looks for File.Path below the root of the process, of its parent, and of the
// host. Files are identified first and opened for reading then, so that a fifo or a device that took the name is never
// opened.
//
// The limits of this are those of ctime. Two writes within one tick of the kernel's coarse clock (1 to 10 ms; finer
// since Linux 6.13) give the same ctime, writes through a shared mapping set it late, and only root can set the
// clock back. File systems whose server an unprivileged user controls (FUSE) may tell anything; the kernel
// does not let the collector, nor any other user, read those unless the administrator allowed it (allow_other), and
// digests of programs on them are missing.
//
// # What it costs
//
// Hashing takes about 1 ms of CPU for 1 MB with the SHA instructions of the CPU, 3 to 5 ms without, once per file and
// state, at most Workers CPUs. Files are read through the page cache, where a program that was just executed is.
// Workers run at normal priority: a thread of low priority that the garbage collector has to wait for would hold up
// the event path on a busy machine.
type Digests struct {
	maxFileSize int64
	procRoot    string
	queue       chan *Ticket
	stop        chan struct{} // closed by Close
	ended       chan struct{} // closed when all workers have returned
	onOpen      func(path string)

	// Tickets that are no file's own.
	pending, tooLarge, gone *Ticket

	mu     sync.Mutex // held for map look-ups only
	cache  *simplelru.LRU[fileKey, *Ticket]
	flying map[fileKey]*Ticket // queued or in a worker's hands
	closed bool
}

// Ticket stands for a digest that is known or will be. It may be shared by many processes that executed the same file.
type Ticket struct {
	key       fileKey
	witnesses []*event.Process // that may lead to the file; guarded by Digests.mu, as is tried
	tried     int              // how many of them were
	done      chan struct{}
	digest    event.Digest // written before done is closed, never after
}

// Done returns a channel that is closed once the digest is known, or known to be missing.
func (t *Ticket) Done() <-chan struct{} { return t.done }

// IsDone tells whether the digest is known, or known to be missing.
func (t *Ticket) IsDone() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// Result returns the digest; while it is not done, one that is missing as "pending". It never blocks.
func (t *Ticket) Result() event.Digest {
	if t.IsDone() {
		return t.digest
	}
	return event.Digest{Missing: missingPending}
}

// NewDigests starts the workers. Close ends them.
func NewDigests(cfg DigestConfig) *Digests {
	if cfg.QueueSize <= 0 {
		cfg.QueueSize = defaultQueueSize
	}
	if cfg.ProcRoot == "" {
		cfg.ProcRoot = "/proc"
	}
	d := newDigests(cfg)
	d.start(max(cfg.Workers, 1))
	return d
}

func newDigests(cfg DigestConfig) *Digests {
	cache, err := simplelru.NewLRU[fileKey, *Ticket](max(cfg.CacheSize, 1), nil)
	if err != nil {
		panic(fmt.Sprintf("enrich: %v", err)) // only for a size below 1
	}
	return &Digests{
		maxFileSize: cfg.MaxFileSize,
		procRoot:    cfg.ProcRoot,
		queue:       make(chan *Ticket, cfg.QueueSize),
		stop:        make(chan struct{}),
		ended:       make(chan struct{}),
		onOpen:      func(string) {},
		pending:     doneTicket(missingPending),
		tooLarge:    doneTicket(missingTooLarge),
		gone:        doneTicket(missingGone),
		cache:       cache,
		flying:      make(map[fileKey]*Ticket),
	}
}

func doneTicket(missing string) *Ticket {
	t := &Ticket{done: make(chan struct{}), digest: event.Digest{Missing: missing}}
	close(t.done)
	return t
}

func (d *Digests) start(workers int) {
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { newWorker(d).run() })
	}
	go func() {
		running.Wait()
		close(d.ended)
	}()
}

// Lookup returns the ticket of the file that p executed. It does no I/O and never waits. The ticket is done at once when
// the digest is cached, and when there will be none: the file is too large ("too_large"), the process does not tell its
// file ("gone"), the queue is full or d is closed ("pending"). Otherwise it is done when a worker comes to it. Failures
// are not cached, since another process may lead to the file.
func (d *Digests) Lookup(p *event.Process) *Ticket {
	if p == nil || p.File.Ino == 0 {
		return d.gone
	}
	f := &p.File
	if f.Size > d.maxFileSize {
		return d.tooLarge
	}
	key := fileKey{dev: f.Dev, ino: f.Ino, ctimeSec: f.CTimeSec, ctimeNsec: f.CTimeNsec, size: f.Size}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t, ok := d.cache.Get(key); ok {
		return t
	}
	if t, ok := d.flying[key]; ok {
		if len(t.witnesses) < maxWitnesses {
			t.witnesses = append(t.witnesses, p)
		}
		return t
	}
	if d.closed {
		return d.pending
	}
	t := &Ticket{key: key, witnesses: []*event.Process{p}, done: make(chan struct{})}
	select {
	case d.queue <- t:
		d.flying[key] = t
		return t
	default:
		return d.pending
	}
}

// Close resolves what is under way as missing ("pending") and ends the workers. It returns an error when ctx ended
// before they did, which can only be when one hangs in a read from a dead file server. Cached digests stay.
func (d *Digests) Close(ctx context.Context) error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.stop)
		for _, t := range d.flying {
			d.settle(t, event.Digest{Missing: missingPending})
		}
	}
	d.mu.Unlock()
	select {
	case <-d.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for digest workers: %w", ctx.Err())
	}
}

// next returns a process that may lead to the ticket's file and was not tried yet. When there is none left it resolves
// the ticket as missing and returns nil: in one step, so that no process is added in between and forgotten.
func (d *Digests) next(t *Ticket, missing string) *event.Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.tried == len(t.witnesses) {
		d.settle(t, event.Digest{Missing: missing})
		return nil
	}
	p := t.witnesses[t.tried]
	t.tried++
	return p
}

func (d *Digests) finish(t *Ticket, digest event.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle(t, digest)
}

// settle resolves a ticket, once: Close may have been there before the worker. It is called with d.mu held.
func (d *Digests) settle(t *Ticket, digest event.Digest) {
	if d.flying[t.key] != t {
		return
	}
	delete(d.flying, t.key)
	t.witnesses, t.tried = nil, 0 // a cached ticket must not keep processes
	t.digest = digest
	if digest.Missing == "" {
		d.cache.Add(t.key, t)
	}
	close(t.done)
}
