// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Feature is something that kernels have or have not.
type Feature uint8

// The features.
const (
	Fentry         Feature = iota // fentry and fexit programs
	StackArguments                // fentry on functions with more than 6 words of arguments
	LSM                           // LSM programs, which the kernel also calls
	ModifyReturn                  // fmod_ret on security_*
	RawTracepoints                // tp_btf
	Kprobe                        // kprobe and kretprobe
	KprobeMulti                   // kprobe.multi links
	KprobeSession                 // kprobe.multi links that see entry and return
	Uprobe                        // uprobe and uretprobe
	UprobeMulti                   // uprobe.multi links
	OverrideReturn                // bpf_override_return
	Loop                          // bpf_loop
	TaskStorage                   // task storage maps
	LPMTrie                       // longest prefix maps
	RingBuffer                    // ring buffer maps
	StackTrace                    // stack trace maps
	BloomFilter                   // bloom filter maps
	DPath                         // bpf_d_path, in LSM programs
	CopyFromUser                  // sleepable LSM programs, with bpf_copy_from_user
	AttachCookie                  // bpf_get_attach_cookie
	FunctionIP                    // bpf_get_func_ip
	SendSignal                    // bpf_send_signal
	CompareStrings                // bpf_strncmp
	OpenIterators                 // open-coded iterators (bpf_iter_num_new)
	Version4                      // instruction set v4: sign-extending loads, byte swaps
	featureCount
)

// featureRow is one feature: how users call it, what helps where it lacks, and how it is tried.
type featureRow struct {
	name    string
	instead string
	try     func(*Facts) error
}

// rows has a row for each feature. Trying attaches nothing that runs: programs are loaded, or attached to a function that only
// the kernel's own test calls.
func rows() [featureCount]featureRow {
	return [featureCount]featureRow{
		Fentry:         {"fentry", "use a kprobe, a tracepoint or, where it can be, the LSM hook", tryFentry},
		StackArguments: {"fentry with more than 6 words of arguments", "use a kprobe", tryStackArguments},
		LSM:            {"LSM programs", "use a kprobe or fentry on the security_ function, which only watches", tryLSM},
		ModifyReturn:   {"fmod_ret", "use an LSM hook", tryModifyReturn},
		RawTracepoints: {"raw tracepoints with types", "use a classic tracepoint", tryRawTracepoint},
		Kprobe:         {"kprobe", "use fentry, a tracepoint or the LSM hook", tryProbe("kprobe")},
		KprobeMulti:    {"kprobe.multi", "use single kprobes", tryKprobeMulti},
		KprobeSession:  {"kprobe sessions", "use an entry and a return probe", kprobeAnd(features.HaveBPFLinkKprobeSession)},
		Uprobe:         {"uprobe", "", tryProbe("uprobe")},
		UprobeMulti:    {"uprobe.multi", "use single uprobes", library(features.HaveBPFLinkUprobeMulti)},
		OverrideReturn: {"bpf_override_return", "deny it in an LSM hook, or send a signal", helper(ebpf.Kprobe, asm.FnOverrideReturn)},
		Loop:           {"bpf_loop", "", helper(ebpf.RawTracepoint, asm.FnLoop)},
		TaskStorage:    {"task storage", "", mapType(ebpf.TaskStorage)},
		LPMTrie:        {"LPM trie maps", "", mapType(ebpf.LPMTrie)},
		RingBuffer:     {"ring buffers", "", mapType(ebpf.RingBuf)},
		StackTrace:     {"stack trace maps", "", mapType(ebpf.StackTrace)},
		BloomFilter:    {"bloom filter maps", "", mapType(ebpf.BloomFilter)},
		DPath:          {"bpf_d_path", "", tryDPath},
		CopyFromUser:   {"bpf_copy_from_user", "", tryCopyFromUser},
		AttachCookie:   {"bpf_get_attach_cookie", "", helper(ebpf.Kprobe, asm.FnGetAttachCookie)},
		FunctionIP:     {"bpf_get_func_ip", "", helper(ebpf.Kprobe, asm.FnGetFuncIp)},
		SendSignal:     {"bpf_send_signal", "", helper(ebpf.RawTracepoint, asm.FnSendSignal)},
		CompareStrings: {"bpf_strncmp", "", helper(ebpf.RawTracepoint, asm.FnStrncmp)},
		OpenIterators:  {"open-coded iterators", "use bpf_loop", tryOpenIterators},
		Version4:       {"version 4 of the instruction set", "", tryVersion4},
	}
}

func (f Feature) String() string {
	if f < featureCount {
		return rows()[f].name
	}
	return fmt.Sprintf("feature %d", uint8(f))
}

// Features lists all features.
func Features() []Feature {
	all := make([]Feature, featureCount)
	for i := range all {
		all[i] = Feature(i)
	}
	return all
}

// Has returns nil when the kernel has the feature. Otherwise the error is an *Unsupported with the reason, and its Unknown is set when
// privileges lack to find out. A feature is tried once, when it is first asked for.
func (f *Facts) Has(feature Feature) error {
	if feature >= featureCount {
		return &Unsupported{What: feature.String(), Reason: "it is not a feature"}
	}
	f.mu.Lock()
	err, known := f.features[feature]
	f.mu.Unlock()
	if known {
		return err
	}
	err = f.tryFeature(feature)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.features == nil {
		f.features = make(map[Feature]error)
	}
	f.features[feature] = err
	return err
}

func (f *Facts) tryFeature(feature Feature) error {
	row := rows()[feature]
	if !f.running {
		if f.has[feature] {
			return nil
		}
		return &Unsupported{What: row.name, Reason: "this kernel has it not", Instead: row.instead}
	}
	err := row.try(f)
	if err == nil {
		return nil
	}
	e := &Unsupported{What: row.name, Reason: "this kernel has it not", Instead: row.instead, Err: err}
	var why *Unsupported
	switch {
	case errors.As(err, &why):
		e.Reason, e.Unknown, e.Err = why.Reason, why.Unknown, why.Err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, fs.ErrPermission):
		e.Reason = "the kernel forbids it"
		if caps, err := effectiveCaps(); err == nil && checkCaps(caps) != nil {
			e.Reason, e.Unknown = "the privileges to load programs are missing", true
		}
	case !errors.Is(err, ebpf.ErrNotSupported) && !errors.Is(err, ErrNotFound):
		e.Reason = "the kernel refused a trial"
	}
	return e
}

func library(have func() error) func(*Facts) error { return func(*Facts) error { return have() } }

func helper(t ebpf.ProgramType, fn asm.BuiltinFunc) func(*Facts) error {
	return func(*Facts) error { return features.HaveProgramHelper(t, fn) }
}

func mapType(t ebpf.MapType) func(*Facts) error {
	return func(*Facts) error { return features.HaveMapType(t) }
}

// lsmActive tells whether the kernel calls LSM programs, which it does when bpf is among the active security modules.
func (f *Facts) lsmActive() error {
	b, err := fs.ReadFile(f.root, lsmFile)
	if err != nil {
		return nil // securityfs is often not mounted in containers: then loading a program decides
	}
	for name := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		if name == "bpf" {
			return nil
		}
	}
	return &Unsupported{Reason: "bpf is not among the active security modules (" + strings.TrimSpace(string(b)) + "); add it to the lsm= boot parameter"}
}
