// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringside-otel/ringside/internal/event"
)

func TestLookupOfTheSameFileIsAnsweredFromTheCacheWithNoIO(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newFile(t, "program")
	want := sha256Of(t, path)
	p := endedProcess(t, path)
	wantSHA256(t, await(t, d.Lookup(p)), want)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := *p
	other.ID.PID = 0
	ticket := d.Lookup(&other)
	wantSHA256(t, ticket.Result(), want)
	if n := d.opens.Load(); n != 1 {
		t.Errorf("the file was opened %d times, want 1", n)
	}
}

func TestLookupKeepsTheStatesOfAFileApart(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newFile(t, "one state")
	first := sha256Of(t, path)
	p := endedProcess(t, path)
	wantSHA256(t, await(t, d.Lookup(p)), first)
	changeAfterTick(t, path, "two state")
	q := endedProcess(t, path)
	if q.File.Ino != p.File.Ino || q.File.Size != p.File.Size {
		t.Fatal("the test needs one inode and one size")
	}
	wantSHA256(t, await(t, d.Lookup(q)), sha256Of(t, path))
	wantSHA256(t, d.Lookup(p).Result(), first)
}

// changeAfterTick writes to a file when the kernel's clock has moved on, so that its ctime differs.
func changeAfterTick(t testing.TB, path, content string) {
	t.Helper()
	before := fileOf(t, path)
	for range 1000 {
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if now := fileOf(t, path); now.CTimeSec != before.CTimeSec || now.CTimeNsec != before.CTimeNsec {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("ctime did not change")
}

func TestConcurrentLookupsShareOneComputation(t *testing.T) {
	d := newTestDigests(t, DigestConfig{})
	path := newFile(t, "program")
	p := endedProcess(t, path)
	tickets := make([]*Ticket, 100)
	var callers sync.WaitGroup
	for i := range tickets {
		callers.Go(func() { tickets[i] = d.Lookup(p) })
	}
	callers.Wait()
	wantMissing(t, tickets[0].Result(), "pending")
	d.run(t)
	for _, ticket := range tickets {
		if ticket != tickets[0] {
			t.Fatal("two tickets for one file")
		}
		wantSHA256(t, await(t, ticket), sha256Of(t, path))
	}
	if n := d.opens.Load(); n != 1 {
		t.Errorf("the file was opened %d times, want 1", n)
	}
}

func TestLookupUsesEachProcessThatWaitsForTheFile(t *testing.T) {
	d := newTestDigests(t, DigestConfig{})
	path := newFile(t, "program")
	lost := &event.Process{ID: event.ID{PID: deadPID(t)}, File: fileOf(t, path)}
	first, second := d.Lookup(lost), d.Lookup(endedProcess(t, path))
	d.run(t)
	wantSHA256(t, await(t, first), sha256Of(t, path))
	wantSHA256(t, await(t, second), sha256Of(t, path))
}

func TestLookupTriesABoundedNumberOfProcesses(t *testing.T) {
	d := newTestDigests(t, DigestConfig{})
	path := newFile(t, "program")
	lost := &event.Process{File: fileOf(t, path)}
	ticket := d.Lookup(lost)
	for range 1000 {
		d.Lookup(lost)
	}
	if n := len(ticket.witnesses); n != maxWitnesses {
		t.Errorf("%d processes would be tried, want %d", n, maxWitnesses)
	}
	d.run(t)
	wantMissing(t, await(t, ticket), "gone")
}

func TestLookupAgainAfterAFailure(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newFile(t, "program")
	p := endedProcess(t, path)
	lost := *p
	lost.Parent = event.ID{}
	wantMissing(t, await(t, d.Lookup(&lost)), "gone")
	wantSHA256(t, await(t, d.Lookup(p)), sha256Of(t, path))
}

func TestLookupNeverOpensAFileThatIsTooLarge(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	path := newFile(t, "")
	if err := os.Truncate(path, d.maxFileSize+1); err != nil {
		t.Fatal(err)
	}
	p := endedProcess(t, path)
	wantMissing(t, d.Lookup(p).Result(), "too_large")
	p.File.Size = d.maxFileSize
	if ticket := d.Lookup(p); ticket == d.tooLarge {
		t.Error("a file of the largest size was refused")
	}
}

func TestLookupOfAnUnknownFileIsDone(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	wantMissing(t, d.Lookup(nil).Result(), "gone")
	wantMissing(t, d.Lookup(&event.Process{ID: event.ID{PID: uint32(os.Getpid())}}).Result(), "gone")
}

func TestLookupWithAFullQueueIsPendingAtOnce(t *testing.T) {
	d := newTestDigests(t, DigestConfig{QueueSize: 16})
	p := endedProcess(t, newFile(t, "program"))
	tickets := make([]*Ticket, 17)
	for i := range tickets {
		q := *p
		q.File.Ino += uint64(i)
		tickets[i] = d.Lookup(&q)
	}
	select {
	case <-tickets[15].Done():
		t.Error("the last ticket that the queue had room for is done")
	default:
	}
	select {
	case <-tickets[16].Done():
		wantMissing(t, tickets[16].Result(), "pending")
	default:
		t.Error("the ticket that found the queue full is not done")
	}
	d.run(t)
	wantSHA256(t, await(t, tickets[0]), sha256Of(t, p.File.Path))
	for _, ticket := range tickets[1:16] {
		wantMissing(t, await(t, ticket), "changed")
	}
}

func TestCacheIsBounded(t *testing.T) {
	d := newTestDigests(t, DigestConfig{CacheSize: 16}).run(t)
	dir := t.TempDir()
	self := uint32(os.Getpid())
	for i := range 40 {
		path := filepath.Join(dir, string(rune('A'+i)))
		if err := os.WriteFile(path, []byte(path), 0o755); err != nil {
			t.Fatal(err)
		}
		p := &event.Process{Parent: event.ID{PID: self}, File: fileOf(t, path)}
		wantSHA256(t, await(t, d.Lookup(p)), sha256Of(t, path))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.cache.Len(); n != 16 {
		t.Errorf("%d digests are cached, want 16", n)
	}
	if n := len(d.flying); n != 0 {
		t.Errorf("%d tickets are under way, want none", n)
	}
}

func TestCloseResolvesWhatIsUnderWayAndLeavesNoGoroutine(t *testing.T) {
	p, cached := endedProcess(t, newFile(t, "program")), endedProcess(t, newFile(t, "another"))
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	d := NewDigests(DigestConfig{MaxFileSize: 1 << 40, CacheSize: 8, Workers: 3})
	want := await(t, d.Lookup(cached))
	// A sparse file that takes minutes to hash, on file systems that allow its size.
	endless := endedProcess(t, newFile(t, ""))
	if err := os.Truncate(endless.File.Path, 256<<30); err != nil {
		t.Skipf("make a large sparse file: %v", err)
	}
	endless.File = fileOf(t, endless.File.Path)
	ticket := d.Lookup(endless)
	time.Sleep(20 * time.Millisecond) // for a worker to take it; with none the test is weaker, not wrong
	closeDigests(t, d)
	closeDigests(t, d)
	select {
	case <-ticket.Done():
		wantMissing(t, ticket.Result(), "pending")
	default:
		t.Error("a ticket was left behind")
	}
	wantMissing(t, d.Lookup(p).Result(), "pending")
	if got := d.Lookup(cached).Result(); got != want || got.Missing != "" {
		t.Errorf("cached digest after Close: %+v, want %+v", got, want)
	}
}

func TestCloseTellsWhenItRanOutOfTime(t *testing.T) {
	d := newTestDigests(t, DigestConfig{})
	held, release := make(chan struct{}), make(chan struct{})
	d.onOpen = func(string) { close(held); <-release }
	d.run(t)
	ticket := d.Lookup(endedProcess(t, newFile(t, "program")))
	<-held
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := d.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v, want the error of its context", err)
	}
	wantMissing(t, ticket.Result(), "pending")
	close(release)
}

func TestLookupFromTheCacheDoesNotAllocate(t *testing.T) {
	d := newTestDigests(t, DigestConfig{}).run(t)
	p := endedProcess(t, newFile(t, "program"))
	await(t, d.Lookup(p))
	if n := testing.AllocsPerRun(100, func() { _ = d.Lookup(p).Result() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDigestsByAProcFileSystemMountedElsewhere(t *testing.T) {
	path := newProgram(t)
	pid, _ := start(t, exec.Command(path), "wait")
	root := t.TempDir()
	if err := os.Symlink("/proc/"+pidText(pid), filepath.Join(root, pidText(pid))); err != nil {
		t.Fatal(err)
	}
	d := newTestDigests(t, DigestConfig{ProcRoot: root}).run(t)
	p := &event.Process{ID: event.ID{PID: pid}, File: fileOf(t, path)}
	wantSHA256(t, await(t, d.Lookup(p)), sha256Of(t, path))
}

func BenchmarkLookupCached(b *testing.B) {
	d := newTestDigests(b, DigestConfig{}).run(b)
	p := endedProcess(b, newFile(b, "program"))
	await(b, d.Lookup(p))
	b.ReportAllocs()
	for b.Loop() {
		if d.Lookup(p).Result().Missing != "" {
			b.Fatal("not cached")
		}
	}
}

func BenchmarkHash(b *testing.B) {
	const size = 16 << 20
	path := newFile(b, "")
	if err := os.WriteFile(path, make([]byte, size), 0o755); err != nil {
		b.Fatal(err)
	}
	w := newWorker(newTestDigests(b, DigestConfig{}).Digests)
	file := fileOf(b, path)
	want := fileKey{dev: file.Dev, ino: file.Ino, ctimeSec: file.CTimeSec, ctimeNsec: file.CTimeNsec, size: file.Size}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if d := w.try(candidate{"/proc/self", path}, want); d.Missing != "" {
			b.Fatal(d)
		}
	}
}
