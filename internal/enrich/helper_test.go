// SPDX-License-Identifier: Apache-2.0

package enrich

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/internal/event"
)

// roleVariable makes this test's binary the program that the tests run and look at.
const roleVariable = "RINGSIDE_ENRICH_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "wait":
		err = waitForEnd()
	case "overlay":
		err = execInOverlay(os.Args[1])
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// waitForEnd tells that it runs and lives until its standard input is closed.
func waitForEnd() error {
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// execInOverlay executes this program from an overlay whose layers are on different file systems, so that stat tells a
// device of no super block. It runs in a mount namespace of its own.
func execInOverlay(dir string) error {
	for _, d := range []string{"lower", "upper", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"lower", "upper"} {
		if err := unix.Mount("tmpfs", filepath.Join(dir, d), "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount tmpfs: %w", err)
		}
	}
	for _, d := range []string{"upper/upper", "upper/work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := copyFile("/proc/self/exe", filepath.Join(dir, "lower/prog")); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper/upper,workdir=%[1]s/upper/work", dir)
	if err := unix.Mount("overlay", filepath.Join(dir, "merged"), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return unix.Exec(filepath.Join(dir, "merged/prog"), []string{"prog"}, []string{roleVariable + "=wait", "GORACE=atexit_sleep_ms=0"})
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// newProgram makes a copy of this program, which is a file that the test may replace.
func newProgram(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prog")
	if err := copyFile("/proc/self/exe", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// newFile makes a file with some content that was never executed; it stands for one whose process has ended.
func newFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prog")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a command in the role and returns its pid and a function that ends it; it is ended with the test anyway.
func start(t testing.TB, cmd *exec.Cmd, role string) (pid uint32, end func()) {
	t.Helper()
	// The race detector makes a program wait for a second before it ends, for no use here.
	cmd.Env = []string{roleVariable + "=" + role, "GORACE=atexit_sleep_ms=0"}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
	t.Cleanup(end)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("role %s says %q, %v", role, line, err)
	}
	return uint32(cmd.Process.Pid), end
}

// deadPID returns the pid of a process that has ended.
func deadPID(t testing.TB) uint32 {
	t.Helper()
	pid, end := start(t, exec.Command("/proc/self/exe"), "wait")
	end()
	return pid
}

// fileOf returns what the kernel would tell of the file at path, when it were executed there.
func fileOf(t testing.TB, path string) event.File {
	t.Helper()
	fd, err := open(path, unix.O_PATH)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	defer closeFD(fd)
	key, _, err := stat(fd)
	if err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	if dev, known := mountDevice(fd, "/proc/self"); known {
		key.dev = dev
	}
	return event.File{
		Path: path, Dev: key.dev, Ino: key.ino, Size: key.size, CTimeSec: key.ctimeSec, CTimeNsec: key.ctimeNsec,
	}
}

// endedProcess returns a process that executed path and has ended; its parent is this process.
func endedProcess(t testing.TB, path string) *event.Process {
	t.Helper()
	return &event.Process{
		ID:     event.ID{PID: deadPID(t)},
		Parent: event.ID{PID: uint32(os.Getpid())},
		File:   fileOf(t, path),
	}
}

func sha256Of(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// testDigests counts how many files were opened for reading. Workers run once it is started.
type testDigests struct {
	*Digests
	opens atomic.Int64
}

func newTestDigests(t testing.TB, cfg DigestConfig) *testDigests {
	t.Helper()
	cfg.MaxFileSize = max(cfg.MaxFileSize, 256<<20)
	cfg.CacheSize = max(cfg.CacheSize, 16)
	cfg.QueueSize = max(cfg.QueueSize, 16)
	if cfg.ProcRoot == "" {
		cfg.ProcRoot = "/proc"
	}
	d := &testDigests{Digests: newDigests(cfg)}
	d.onOpen = func(string) { d.opens.Add(1) }
	return d
}

func (d *testDigests) run(t testing.TB) *testDigests {
	t.Helper()
	d.start(1)
	t.Cleanup(func() { closeDigests(t, d.Digests) })
	return d
}

func closeDigests(t testing.TB, d *Digests) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		t.Error(err)
	}
}

// await returns the result of a ticket once it is done.
func await(t testing.TB, ticket *Ticket) event.Digest {
	t.Helper()
	select {
	case <-ticket.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the digest never came")
	}
	return ticket.Result()
}

func wantMissing(t testing.TB, got event.Digest, reason string) {
	t.Helper()
	if got != (event.Digest{Missing: reason}) {
		t.Errorf("got %+v, want one that is missing as %q", got, reason)
	}
}

func wantSHA256(t testing.TB, got event.Digest, want string) {
	t.Helper()
	if got.Missing != "" || got.SHA256 != want {
		t.Errorf("got %+v, want SHA-256 %s", got, want)
	}
}

var unshareMounts = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
