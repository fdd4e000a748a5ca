// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// Hook says how programs can be attached to a function. A way that is possible has a nil error; any other error is an *Unsupported with
// the reason.
type Hook struct {
	Function string
	Module   string // "" for the kernel itself
	// Copies is the number of functions that have the name: static functions of several source files, which a name does not
	// tell apart. 0 when the symbols cannot be read.
	Copies int

	Fentry      error // fentry and fexit
	Kprobe      error // kprobe and kretprobe
	KprobeMulti error // kprobe.multi
	Override    error // bpf_override_return, by a kprobe
}

// The most words of arguments that fentry takes (MAX_BPF_FUNC_ARGS), what it takes where they must be in registers, and
// the largest structure by value.
const (
	maxSlots         = 12
	maxRegisterSlots = 6
	maxByValue       = 16
)

// Hook tells how a function can be hooked. The error is a *NotFound when there is no function of the name.
func (f *Facts) Hook(name string) (Hook, error) {
	fn, typesErr := f.Function(name)
	h := Hook{Function: name, Module: fn.Module}
	s, err := f.marked()
	var marks mark
	switch {
	case err == nil:
		from, to := s.find(name)
		if from == to {
			return h, f.functionNotFound(name)
		}
		h.Copies = to - from
		if typesErr != nil {
			h.Module = s.modules[s.module[from]]
		}
		for i := from; i < to; i++ {
			marks |= s.marks[i]
		}
	case typesErr != nil:
		return h, typesErr
	default:
		s = &symbols{filterErr: err, blacklistErr: err, injectableErr: err}
	}
	why := func(what string, reasons ...reason) error {
		for _, r := range reasons {
			if r.text != "" {
				return &Unsupported{What: what + " on " + name, Reason: r.text, Instead: r.instead, Err: r.err}
			}
		}
		return nil
	}
	copies := manyCopies(h.Copies)
	hidden := notTraceable(s.filterErr == nil && marks&traceable == 0)
	black := notForKprobes(s.blacklistErr == nil && marks&blacklisted != 0)
	h.Fentry = why("fentry", f.lacks(Fentry), copies, hidden, f.badPrototype(fn, typesErr))
	h.Kprobe = why("kprobe", f.lacks(Kprobe), copies, black)
	h.KprobeMulti = why("kprobe.multi", f.lacks(KprobeMulti), copies, hidden, black)
	_, listed := slices.BinarySearch(s.injectable, name)
	h.Override = why("bpf_override_return", f.lacks(OverrideReturn), copies, black, notInjectable(s.injectableErr == nil && !listed))
	return h, nil
}

// reason is why something cannot be; its text is empty when nothing is against it.
type reason struct {
	text, instead string
	err           error
}

// lacks is the reason when the kernel is known to lack a feature. One that is not known is not held against a function.
func (f *Facts) lacks(feature Feature) reason {
	var e *Unsupported
	if err := f.Has(feature); errors.As(err, &e) && !e.Unknown {
		return reason{e.Reason, e.Instead, e.Err}
	}
	return reason{}
}

func manyCopies(n int) reason {
	if n < 2 {
		return reason{}
	}
	return reason{text: fmt.Sprintf("%d functions have this name and cannot be told apart", n), instead: "hook a function that calls it"}
}

func notTraceable(yes bool) reason {
	if !yes {
		return reason{}
	}
	return reason{text: "it is marked notrace, or was made without the entry that ftrace needs", instead: "hook a function that calls it"}
}

func notForKprobes(yes bool) reason {
	if !yes {
		return reason{}
	}
	return reason{text: "the kernel's kprobe blacklist has it", instead: "hook a function that calls it"}
}

func notInjectable(yes bool) reason {
	if !yes {
		return reason{}
	}
	return reason{text: "it is not marked ALLOW_ERROR_INJECTION", instead: "deny it in an LSM hook"}
}

// badPrototype is what fentry has against the parameters and the return of a function.
func (f *Facts) badPrototype(fn Function, err error) reason {
	switch {
	case errors.Is(err, btf.ErrMultipleMatches):
		return reason{text: "several functions of this name have different parameters"}
	case err != nil:
		return reason{text: "its types are not known", instead: "use a kprobe with declared arguments", err: err}
	case fn.Variadic:
		return reason{text: "it takes a variable number of arguments", instead: "use a kprobe"}
	case fn.Return.Kind == Struct || fn.Return.Kind == Union:
		return reason{text: fmt.Sprintf("it returns a structure (%s)", fn.Return), instead: "use a kprobe"}
	case fn.Slots() > maxSlots:
		return reason{text: fmt.Sprintf("its arguments take %d words, and fentry takes %d", fn.Slots(), maxSlots), instead: "use a kprobe"}
	}
	for _, p := range fn.Params {
		if (p.Type.Kind == Struct || p.Type.Kind == Union) && p.Type.Size > maxByValue {
			return reason{text: fmt.Sprintf("argument %s is a structure of %d bytes, and fentry takes %d", p.Name, p.Type.Size, maxByValue),
				instead: "use a kprobe"}
		}
	}
	if fn.Slots() > maxRegisterSlots {
		if r := f.lacks(StackArguments); r.text != "" {
			return reason{text: fmt.Sprintf("its arguments take %d words, and fentry takes %d on this kernel", fn.Slots(), maxRegisterSlots),
				instead: "use a kprobe"}
		}
	}
	return reason{}
}
