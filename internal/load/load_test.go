// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/decode"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/vm/vmtest"
)

// The test binary is also the program that the tests execute: with this variable it ends at once.
const quitEnv = "RINGSIDE_TEST_QUIT"

// recordTo is where TestRecord writes what the kernel part recorded, for the tests of package decode.
var recordTo = flag.String("record", "", "write records of this kernel to a `file`")

func TestMain(m *testing.M) {
	switch os.Getenv(quitEnv) {
	case "":
	case "abort":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	default:
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// quit returns a command that ends at once, with status 3.
func quit(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = []string{quitEnv + "=1"}
	return cmd
}

// run runs a command that ends with status 3 or by a signal, and returns its pid.
func run(t *testing.T, cmd *exec.Cmd) uint32 {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", cmd.Args, err)
	}
	return uint32(cmd.Process.Pid)
}

func defaults() Options { return Options{RingSize: 8 << 20, MaxArgs: 32 << 10} }

func loaded(t *testing.T, o Options) *Process {
	t.Helper()
	vmtest.Root(t)
	p, err := LoadProcess(o)
	if err != nil {
		t.Fatalf("load: %+v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// drain reads and decodes what is on the ring.
func drain(t *testing.T, p *Process) (raw [][]byte, records []decode.Record) {
	t.Helper()
	ring, err := ringbuf.NewReader(p.Ring())
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	d := decode.New()
	for {
		ring.SetDeadline(time.Now())
		sample, err := ring.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return raw, records
		}
		if err != nil {
			t.Fatal(err)
		}
		var r decode.Record
		if err := d.Decode(sample.RawSample, &r); err != nil {
			t.Fatalf("decode %x: %v", sample.RawSample, err)
		}
		raw, records = append(raw, sample.RawSample), append(records, r)
	}
}

// execOf returns the exec of a process among records.
func execOf(records []decode.Record, pid uint32) *event.Process {
	for _, r := range records {
		if r.Kind == bpf.ProcessKindKIND_EXEC && r.Process.ID.PID == pid {
			return r.Process
		}
	}
	return nil
}

func account(t *testing.T, p *Process) Account {
	t.Helper()
	a, err := p.Account()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAccountAddsUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int
		loses bool
	}{{"in a ring with room", 8 << 20, false}, {"in a ring without", 4096, true}} {
		t.Run(tt.name, func(t *testing.T) {
			o := defaults()
			o.RingSize = tt.size
			p := loaded(t, o)
			const processes = 20
			for range processes {
				run(t, quit())
			}
			if err := p.Detach(); err != nil {
				t.Fatal(err)
			}
			_, records := drain(t, p)
			read := map[event.Kind]uint64{}
			for _, r := range records {
				read[event.Kind(r.Kind)]++
			}
			a := account(t, p)
			if uint64(len(records))+a.LostRecords != a.Records {
				t.Errorf("%d records read and %d lost of %d", len(records), a.LostRecords, a.Records)
			}
			var lost uint64
			for _, kind := range event.Kinds {
				n := a.Lost[Loss{event.StageRingFull, kind}]
				lost += n
				if read[kind]+n != a.Produced[kind] || a.Produced[kind] < processes {
					t.Errorf("%v: %d read and %d lost of %d", kind, read[kind], n, a.Produced[kind])
				}
			}
			if (lost > 0) != tt.loses || lost > a.LostRecords {
				t.Errorf("%d events and %d records lost", lost, a.LostRecords)
			}
		})
	}
}

func TestDetachKeepsWhatIsOnTheRing(t *testing.T) {
	p := loaded(t, defaults())
	before := run(t, quit())
	if err := p.Detach(); err != nil {
		t.Fatal(err)
	}
	counted := account(t, p)
	after := run(t, quit())
	if a := account(t, p); a.Records != counted.Records {
		t.Errorf("%d records after it was detached, %d before", a.Records, counted.Records)
	}
	_, records := drain(t, p)
	if execOf(records, before) == nil {
		t.Error("the exec before is gone")
	}
	if execOf(records, after) != nil {
		t.Error("the exec after was recorded")
	}
	if err := p.Detach(); err != nil {
		t.Errorf("detach again: %v", err)
	}
}

func TestCloseLeavesNothingInTheKernel(t *testing.T) {
	p := loaded(t, defaults())
	type object struct {
		kind string
		open func() (io.Closer, error)
	}
	var objects []object
	for _, prog := range append(p.programs(), p.objects.Processes) {
		info, err := prog.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		objects = append(objects, object{"program " + info.Name, func() (io.Closer, error) { return ebpf.NewProgramFromID(id) }})
	}
	for name, m := range maps(p) {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		id, _ := info.ID()
		objects = append(objects, object{"map " + name, func() (io.Closer, error) { return ebpf.NewMapFromID(id) }})
	}
	for _, l := range p.links {
		info, err := l.Info()
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object{"link", func() (io.Closer, error) { return link.NewFromID(info.ID) }})
	}
	for _, o := range objects {
		c, err := o.open()
		if err != nil {
			t.Fatalf("%s cannot be found while it is loaded: %v", o.kind, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if !vanishes(o.open) {
			t.Errorf("%s is still there", o.kind)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

// vanishes waits until an object cannot be opened: the kernel frees what nothing holds any more after a grace period.
func vanishes(open func() (io.Closer, error)) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		c, err := open()
		if errors.Is(err, os.ErrNotExist) {
			return true
		}
		if err == nil {
			_ = c.Close() // it is looked for again
		}
	}
	return false
}

// maps are all maps of the loaded part; those of its global variables have no field.
func maps(p *Process) map[string]*ebpf.Map {
	m := &p.objects.ProcessMaps
	return map[string]*ebpf.Map{
		"iterator_scratch": m.IteratorScratch, "process_counters": m.ProcessCounters, "process_ring": m.ProcessRing,
		"scratch": m.Scratch, "told_cgroups": m.ToldCgroups, "told_exits": m.ToldExits,
	}
}

func TestEveryMapIsKnownToTheTests(t *testing.T) {
	spec, err := bpf.LoadProcess()
	if err != nil {
		t.Fatal(err)
	}
	known := maps(&Process{})
	for name := range spec.Maps {
		if _, ok := known[name]; !ok && !strings.HasPrefix(name, ".") {
			t.Errorf("map %s", name)
		}
	}
}

func TestMapsTakeLessThanTheirShareOfMemory(t *testing.T) {
	const limit = 12 << 20
	p := loaded(t, defaults())
	var total uint64
	for name, m := range maps(p) {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		bytes, ok := info.Memlock()
		if !ok && m == p.Ring() { // not told before 6.4: its pages, and a pointer to each
			pages := defaults().RingSize/os.Getpagesize() + 3
			bytes, ok = uint64(pages*(os.Getpagesize()+8)), true
		}
		if !ok {
			t.Fatalf("the kernel does not tell what %s takes", name)
		}
		t.Logf("%-18s %9d bytes", name, bytes)
		total += bytes
	}
	t.Logf("%-18s %9d bytes", "all", total)
	if total > limit {
		t.Errorf("the maps take %d bytes, more than %d", total, limit)
	}
}

func TestSizesThatCannotWorkAreRefused(t *testing.T) {
	vmtest.Root(t)
	for _, tt := range []struct {
		name    string
		change  func(*Options)
		message string
	}{
		{"no ring", func(o *Options) { o.RingSize = 0 }, "ring buffer of"},
		{"a negative ring", func(o *Options) { o.RingSize = -4096 }, "ring buffer of"},
		{"a ring that is no power of two", func(o *Options) { o.RingSize = 3 * 4096 }, "ring buffer of"},
		{"a ring smaller than a page", func(o *Options) { o.RingSize = 2048 }, "ring buffer of"},
		{"a ring larger than a map can be", func(o *Options) { o.RingSize = 1 << 33 }, "ring buffer of"},
		{"more arguments than are read", func(o *Options) { o.MaxArgs = 128<<10 + 1 }, "bytes of arguments"},
		{"negative arguments", func(o *Options) { o.MaxArgs = -1 }, "bytes of arguments"},
		{"more environment than is read", func(o *Options) { o.MaxEnv = 128<<10 + 1 }, "bytes of environment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := defaults()
			tt.change(&o)
			p, err := LoadProcess(o)
			if err == nil {
				t.Fatalf("accepted; close: %v", p.Close())
			}
			if !strings.Contains(err.Error(), tt.message) {
				t.Errorf("%q does not tell of the %s", err, tt.message)
			}
		})
	}
}

func TestArgumentsAndEnvironmentAreReadUpToTheLimit(t *testing.T) {
	o := defaults()
	o.MaxArgs, o.MaxEnv = 10, len(quitEnv)+2
	p := loaded(t, o)
	cmd := quit("0123456789")
	cmd.Args[0] = "quit"
	cmd.Env = append(cmd.Env, "MORE=1")
	pid := run(t, cmd)
	_, records := drain(t, p)
	e := execOf(records, pid)
	if e == nil {
		t.Fatal("no exec")
	}
	if len(e.Args) != 2 || e.Args[1] != "01234" || e.ArgsBytes != len("quit\x000123456789\x00") {
		t.Errorf("args %q, %d bytes", e.Args, e.ArgsBytes)
	}
	if len(e.Env) != 1 || e.Env[0] != quitEnv+"=1" {
		t.Errorf("environment %q", e.Env)
	}
	if want := event.ArgsCut | event.EnvCut; e.Flags != want {
		t.Errorf("flags %b, want %b", e.Flags, want)
	}
}

func TestSnapshotHasThisProcess(t *testing.T) {
	p := loaded(t, defaults())
	b, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	d := decode.New()
	cgroups := map[uint64]string{}
	kernelThreads := 0
	var self *event.Process
	for len(b) > 0 {
		size, err := decode.Size(b)
		if err != nil {
			t.Fatal(err)
		}
		var r decode.Record
		if err := d.Decode(b[:size], &r); err != nil {
			t.Fatal(err)
		}
		b = b[size:]
		switch {
		case r.Kind == bpf.ProcessKindKIND_CGROUP:
			cgroups[r.Cgroup.ID] = r.Cgroup.Path
			continue
		case r.KernelThread:
			kernelThreads++
			if r.Process.File.Path != "" || r.Process.Given == "" {
				t.Errorf("kernel thread %+v", r.Process)
			}
		}
		if _, ok := cgroups[r.Process.CgroupID]; !ok {
			t.Errorf("the cgroup of %+v was not told before it", r.Process)
		}
		if int(r.Process.ID.PID) == os.Getpid() {
			self = r.Process
		}
	}
	if kernelThreads == 0 {
		t.Error("no kernel threads")
	}
	if self == nil {
		t.Fatal("this process is not in the snapshot")
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if self.File.Path != exe || self.Cwd != cwd || self.ExecTime != 0 || int(self.Parent.PID) != os.Getppid() || self.ID.Start == 0 {
		t.Errorf("this process is told as %+v", self)
	}
}

func TestForgottenCgroupIsToldAgain(t *testing.T) {
	p := loaded(t, defaults())
	told := func() (n int, cgroup uint64) {
		pid := run(t, quit())
		_, records := drain(t, p)
		e := execOf(records, pid)
		if e == nil {
			t.Fatal("no exec")
		}
		for _, r := range records {
			if r.Kind == bpf.ProcessKindKIND_CGROUP && r.Cgroup.ID == e.CgroupID {
				n++
			}
		}
		return n, e.CgroupID
	}
	if n, _ := told(); n != 1 {
		t.Errorf("told %d times at first", n)
	}
	n, id := told()
	if n != 0 {
		t.Errorf("told %d times when it was known", n)
	}
	if err := p.ForgetCgroup(id); err != nil {
		t.Fatal(err)
	}
	if n, _ := told(); n != 1 {
		t.Errorf("told %d times when it was forgotten", n)
	}
	if err := p.ForgetCgroup(1 << 60); err != nil {
		t.Errorf("forget one that is not known: %v", err)
	}
}

func TestProgramsAreMeasuredWhileStatisticsAreOn(t *testing.T) {
	p := loaded(t, defaults())
	runs := func() map[string]uint64 {
		t.Helper()
		programs, err := p.Programs()
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]uint64{}
		for _, prog := range programs {
			m[prog.Name] = prog.Runs
			if (prog.Runs > 0) != (prog.RunTime > 0) {
				t.Errorf("%+v", prog)
			}
		}
		return m
	}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	before := runs()
	run(t, quit())
	after := runs()
	for _, name := range []string{"process_exec", "process_exit", "process_fork"} {
		if n, ok := after[name]; !ok || n <= before[name] {
			t.Errorf("%s ran %d times, %d before", name, n, before[name])
		}
	}
}

// TestRingHasRecordsOfEachKind also writes them for the tests of package decode, when it is asked to:
//
//	go test -exec "$PWD/bin/vm run -kernel 6.12 -get /tmp/ring=$PWD/internal/decode/testdata/linux-6.12.ring" ./internal/load -run EachKind -record /tmp/ring
func TestRingHasRecordsOfEachKind(t *testing.T) {
	o := defaults()
	o.MaxArgs, o.MaxEnv = 6000, 4096
	p := loaded(t, o)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, contents := range map[string][]byte{"quit": self, "script": []byte("#!" + dir + "/quit -x\n"), "odd\n\x1b\xff": self} {
		if err := os.WriteFile(filepath.Join(dir, name), contents, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.MemfdCreate("payload", 0)
	if err != nil {
		t.Fatal(err)
	}
	memory := os.NewFile(uintptr(fd), "payload")
	defer memory.Close()
	if _, err := memory.Write(self); err != nil {
		t.Fatal(err)
	}
	commands := []*exec.Cmd{
		{Path: dir + "/quit", Args: []string{"quit", "", "two words"}, Dir: "/", Env: []string{quitEnv + "=1"}},
		{Path: "./script", Args: []string{"script", "a"}, Dir: dir, Env: []string{quitEnv + "=1"}},
		{Path: dir + "/odd\n\x1b\xff", Args: []string{"odd\n\x1b\xff"}, Dir: "/", Env: []string{quitEnv + "=1"}},
		{Path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), Args: []string{"[kworker]"}, Dir: "/", Env: []string{quitEnv + "=1"}},
		{Path: dir + "/quit", Args: []string{"quit", strings.Repeat("long", 2000)}, Dir: "/", Env: []string{quitEnv + "=1", "LONG=" + strings.Repeat("x", 5000)}},
		{Path: dir + "/quit", Args: []string{"quit"}, Dir: "/", SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWUTS, Setsid: true,
		}, Env: []string{quitEnv + "=1"}},
		{Path: dir + "/quit", Args: []string{"quit"}, Dir: "/", Env: []string{quitEnv + "=abort"}},
	}
	for _, cmd := range commands {
		run(t, cmd)
	}
	if err := p.Detach(); err != nil {
		t.Fatal(err)
	}
	raw, records := drain(t, p)
	seen := map[decode.Kind]int{}
	for _, r := range records {
		seen[r.Kind]++
	}
	for kind, least := range map[decode.Kind]int{
		bpf.ProcessKindKIND_EXEC: len(commands), bpf.ProcessKindKIND_EXIT: len(commands), bpf.ProcessKindKIND_FORK: len(commands),
		bpf.ProcessKindKIND_CGROUP: 1,
	} {
		if seen[kind] < least {
			t.Errorf("%d records of kind %d, want %d", seen[kind], kind, least)
		}
	}
	if *recordTo == "" {
		return
	}
	var all []byte
	for _, b := range raw {
		size, err := decode.Size(b)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b[:size]...)
	}
	if err := os.WriteFile(*recordTo, all, 0o644); err != nil {
		t.Fatal(err)
	}
}
