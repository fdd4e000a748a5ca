// SPDX-License-Identifier: Apache-2.0

// Package load puts programs into the kernel and takes them out again.
//
// What Load returned holds the programs attached until Close; when Load returns an error, nothing is left attached. After Close the
// kernel holds nothing of it: no program, link or map.
package load

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/internal/event"
)

// Options are what the programs can be told before they are loaded.
type Options struct {
	RingSize int // bytes, a power of two and a multiple of the page size
	MaxArgs  int // bytes of argv that are recorded
	MaxEnv   int // bytes of the environment that are recorded, 0 for none
}

// The largest that the programs copy (MAX_CHUNKS in bpf/process.bpf.c), and the largest power of two that the size of a map can be.
const (
	maxCopy = 128 << 10
	maxRing = 1 << 31
)

func (o Options) check() error {
	if page := os.Getpagesize(); o.RingSize < page || o.RingSize > maxRing || o.RingSize&(o.RingSize-1) != 0 {
		return fmt.Errorf("a ring buffer of %d bytes: want a power of two from %d to %d", o.RingSize, page, maxRing)
	}
	if o.MaxArgs < 0 || o.MaxArgs > maxCopy {
		return fmt.Errorf("%d bytes of arguments: want 0 to %d", o.MaxArgs, maxCopy)
	}
	if o.MaxEnv < 0 || o.MaxEnv > maxCopy {
		return fmt.Errorf("%d bytes of environment: want 0 to %d", o.MaxEnv, maxCopy)
	}
	return nil
}

// Process is the loaded part that follows processes.
type Process struct {
	objects objects
	links   []link.Link
	tasks   *link.Iter
}

// objects are all but the variables: those would keep their map mapped, and so in the kernel, until the garbage collector finds them.
type objects struct {
	bpf.ProcessPrograms
	bpf.ProcessMaps
}

func (o *objects) Close() error { return errors.Join(o.ProcessPrograms.Close(), o.ProcessMaps.Close()) }

// LoadProcess loads the programs for exec, exit and fork and attaches them. From then on the ring fills.
func LoadProcess(o Options) (_ *Process, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	spec, err := bpf.LoadProcess()
	if err != nil {
		return nil, fmt.Errorf("read the compiled programs: %w", err)
	}
	spec.Maps[bpf.ProcessMapProcessRing].MaxEntries = uint32(o.RingSize)
	for name, value := range map[string]any{
		bpf.ProcessVarMaxArgs:   uint32(o.MaxArgs),
		bpf.ProcessVarMaxEnv:    uint32(o.MaxEnv),
		bpf.ProcessVarWakeBytes: uint64(o.RingSize / 64),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	p := &Process{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()

	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load the process programs: %w", err)
	}
	if err := p.attach(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Process) attach() error {
	// Exit before fork before exec: whatever is seen to begin is also seen to end.
	for _, prog := range []*ebpf.Program{p.objects.ProcessExit, p.objects.ProcessFork, p.objects.ProcessExec} {
		l, err := link.AttachTracing(link.TracingOptions{Program: prog})
		if err != nil {
			return fmt.Errorf("attach %s: %w", prog, err)
		}
		p.links = append(p.links, l)
	}
	tasks, err := link.AttachIter(link.IterOptions{Program: p.objects.Processes})
	if err != nil {
		return fmt.Errorf("attach the task iterator: %w", err)
	}
	p.tasks = tasks
	return nil
}

// Ring is the ring buffer of process records.
func (p *Process) Ring() *ebpf.Map { return p.objects.ProcessRing }

// Snapshot reads a record for each process that exists now, and before it one for its cgroup. The records have the form of those on the ring.
func (p *Process) Snapshot() ([]byte, error) {
	r, err := p.tasks.Open()
	if err != nil {
		return nil, fmt.Errorf("open the task iterator: %w", err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read the task iterator: %w", err)
	}
	return b, nil
}

// Account is what the kernel part counted since it was loaded, over all CPUs.
type Account struct {
	// Records is how many records were written or lost, those that are no events included.
	Records  uint64
	Produced map[event.Kind]uint64 // lost ones included
	Lost     map[Loss]uint64
	// LostRecords counts all records that were lost, those that are no events included.
	LostRecords uint64
}

// Loss says what was lost, and why.
type Loss struct {
	Stage event.Stage
	Kind  event.Kind
}

// stages are the reasons of enum reason in bpf/record.h, in its order.
var stages = [...]event.Stage{event.StageRingFull, event.StageTooLarge, event.StageBusy}

// Account reads the kernel's counters.
func (p *Process) Account() (Account, error) {
	var perCPU []bpf.ProcessCounters
	if err := p.objects.ProcessCounters.Lookup(uint32(0), &perCPU); err != nil {
		return Account{}, fmt.Errorf("read the process counters: %w", err)
	}
	a := Account{
		Produced: map[event.Kind]uint64{},
		Lost:     map[Loss]uint64{},
	}
	for _, c := range perCPU {
		a.Records += c.Seq
		for _, kind := range event.Kinds {
			a.Produced[kind] += c.Produced[kind]
			for reason, stage := range stages {
				if n := c.Lost[kind][reason]; n > 0 {
					a.Lost[Loss{stage, kind}] += n
				}
			}
		}
		for _, byReason := range c.Lost {
			for _, n := range byReason {
				a.LostRecords += n
			}
		}
	}
	return a, nil
}

// ForgetCgroup makes the kernel part tell the path of a cgroup again, should a record name it.
func (p *Process) ForgetCgroup(id uint64) error {
	if err := p.objects.ToldCgroups.Delete(id); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget cgroup %d: %w", id, err)
	}
	return nil
}

// Programs returns what the kernel measured of each program; the figures are 0 unless kernel.bpf_stats_enabled is set.
func (p *Process) Programs() ([]Program, error) {
	var programs []Program
	for _, prog := range p.programs() {
		stats, err := prog.Stats()
		if err != nil {
			return nil, fmt.Errorf("read the figures of %s: %w", prog, err)
		}
		info, err := prog.Info()
		if err != nil {
			return nil, fmt.Errorf("read about %s: %w", prog, err)
		}
		programs = append(programs, Program{Name: info.Name, RunTime: stats.Runtime, Runs: stats.RunCount})
	}
	return programs, nil
}

func (p *Process) programs() []*ebpf.Program {
	return []*ebpf.Program{p.objects.ProcessExec, p.objects.ProcessExit, p.objects.ProcessFork}
}

// Detach stops the programs. When it returns none of them runs any more; what is on the ring stays there to be read.
func (p *Process) Detach() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	if len(p.links) > 0 {
		waitForRuns()
	}
	p.links = nil
	return errors.Join(errs...)
}

// waitForRuns waits until programs that were running when they were detached have ended. A tracepoint's programs run in an RCU read-side
// section, and membarrier(MEMBARRIER_CMD_GLOBAL) waits for those (kernel/sched/membarrier.c); where it does not exist (nohz_full),
// an exec takes microseconds, and a pause has to do.
func waitForRuns() {
	const membarrierGlobal = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		time.Sleep(20 * time.Millisecond)
	}
}

// Close detaches and frees everything.
func (p *Process) Close() error {
	errs := []error{p.Detach()}
	if p.tasks != nil {
		errs = append(errs, p.tasks.Close())
		p.tasks = nil
	}
	return errors.Join(append(errs, p.objects.Close())...)
}
