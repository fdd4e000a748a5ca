// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Functions that only the kernel's own test of programs calls (net/bpf/test_run.c): programs can be attached to them and
// never run. The second has 7 arguments, and came with the commit that allows them.
const (
	quietFunction    = "bpf_fentry_test1"
	quietFunctionOf7 = "bpf_modify_return_test2"
	noFunction       = "ringside_no_such_function"
)

// trial is a program that is loaded to see whether it can be.
func trial(t ebpf.ProgramType, a ebpf.AttachType, to string, body ...asm.Instruction) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name: "ringside_trial", Type: t, AttachType: a, AttachTo: to, License: "Dual BSD/GPL",
		Instructions: append(body, asm.Mov.Imm(asm.R0, 0), asm.Return()),
	}
}

// load loads a program with the types that are held, so that they are read once for all trials. The program must be closed.
func (f *Facts) load(spec *ebpf.ProgramSpec) (*ebpf.Program, error) {
	collection, err := ebpf.NewCollectionWithOptions(
		&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{spec.Name: spec}},
		ebpf.CollectionOptions{Cache: f.Cache(), Programs: ebpf.ProgramOptions{LogDisabled: true}})
	if err != nil {
		return nil, err
	}
	defer collection.Close()
	return collection.DetachProgram(spec.Name), nil
}

func (f *Facts) tryLoad(spec *ebpf.ProgramSpec) error {
	program, err := f.load(spec)
	if err != nil {
		return err
	}
	return program.Close()
}

func (f *Facts) tryAttach(spec *ebpf.ProgramSpec, attach func(*ebpf.Program) (link.Link, error)) error {
	program, err := f.load(spec)
	if err != nil {
		return err
	}
	l, err := attach(program)
	if err == nil {
		err = l.Close()
	}
	return errors.Join(err, program.Close())
}

func attachTracing(p *ebpf.Program) (link.Link, error) {
	return link.AttachTracing(link.TracingOptions{Program: p})
}

func tryFentry(f *Facts) error {
	return f.tryAttach(trial(ebpf.Tracing, ebpf.AttachTraceFEntry, quietFunction), attachTracing)
}

func tryStackArguments(f *Facts) error {
	if err := f.Has(Fentry); err != nil {
		return err
	}
	return f.tryAttach(trial(ebpf.Tracing, ebpf.AttachTraceFEntry, quietFunctionOf7), attachTracing)
}

// tryLSM does not attach: LSM programs are attached as fentry programs are, and while one is, it guards something.
func tryLSM(f *Facts) error {
	if err := f.lsmActive(); err != nil {
		return err
	}
	if err := f.Has(Fentry); err != nil {
		return err
	}
	return f.tryLoad(trial(ebpf.LSM, ebpf.AttachLSMMac, "file_open"))
}

func tryModifyReturn(f *Facts) error {
	return f.tryLoad(trial(ebpf.Tracing, ebpf.AttachModifyReturn, "security_quotactl"))
}

func tryRawTracepoint(f *Facts) error {
	return f.tryLoad(trial(ebpf.Tracing, ebpf.AttachTraceRawTp, "sched_process_exec"))
}

// tryProbe looks for the kernel's source of events of a kind, and for the program type.
func tryProbe(kind string) func(*Facts) error {
	return func(f *Facts) error {
		if _, err := fs.Stat(f.root, "sys/bus/event_source/devices/"+kind); err != nil {
			if missing(err) {
				return &Unsupported{Reason: "the kernel was built without it", Err: err}
			}
			return err
		}
		if kind != "kprobe" {
			return features.HaveProgramType(ebpf.Kprobe)
		}
		err := f.tryAttach(trial(ebpf.Kprobe, ebpf.AttachNone, ""), func(p *ebpf.Program) (link.Link, error) {
			return link.Kprobe(noFunction, p, nil)
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it looked for the function
		}
		return err
	}
}

func tryKprobeMulti(f *Facts) error { return kprobeAnd(features.HaveBPFLinkKprobeMulti)(f) }

// kprobeAnd asks for kprobes first: without, what builds on them is refused with errors that tell less.
func kprobeAnd(have func() error) func(*Facts) error {
	return func(f *Facts) error {
		if err := f.Has(Kprobe); err != nil {
			return err
		}
		return have()
	}
}

func tryDPath(f *Facts) error {
	file, err := f.TypeByName("struct file")
	if err != nil {
		return err
	}
	path, err := file.Resolve("f_path")
	if err != nil {
		return err
	}
	if len(path.Hops) > 0 {
		return fmt.Errorf("struct file has its path elsewhere: %w", ebpf.ErrNotSupported)
	}
	return f.tryLoad(trial(ebpf.LSM, ebpf.AttachLSMMac, "file_open",
		asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord),
		asm.Add.Imm(asm.R1, int32(path.Offset)),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 8),
		asm.FnDPath.Call(),
	))
}

func tryCopyFromUser(f *Facts) error {
	spec := trial(ebpf.LSM, ebpf.AttachLSMMac, "file_open",
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 8),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnCopyFromUser.Call(),
	)
	spec.Flags = unix.BPF_F_SLEEPABLE
	return f.tryLoad(spec)
}

func tryOpenIterators(f *Facts) error {
	_, err := f.Kfunc("bpf_iter_num_new")
	return err
}

// tryVersion4 loads instructions of each group, the ones that compilers emit most: some kernels have a part of them, so
// that a jump, which the library tries, proves nothing of loads.
func tryVersion4(f *Facts) error {
	err := f.tryLoad(trial(ebpf.RawTracepoint, ebpf.AttachNone, "",
		asm.Mov.Imm(asm.R1, -1),
		asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.Instruction{OpCode: asm.LoadMemSXOp(asm.Word), Dst: asm.R1, Src: asm.RFP, Offset: -8},
		asm.BSwap(asm.R1, asm.Word),
	))
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	return err
}
