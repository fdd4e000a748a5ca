// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Function is a function of the kernel or of a module, or what is called like one: an LSM hook, a raw tracepoint.
type Function struct {
	Name string
	// Module is the module that has it, empty for the kernel itself. Attaching needs the file descriptor of the module's
	// types, which the loader gets by this name.
	Module   string
	ID       btf.TypeID // of the function in those types
	Params   []Param
	Return   Type
	Variadic bool
}

// Param is a parameter of a function.
type Param struct {
	Name string // empty when the source gives none
	Type Type
	// Slot is the number of the first 8-byte word that holds it: of the context of fentry, LSM and raw tracepoint programs, and
	// for kprobes of the argument registers. Structures by value take Slots words, all others 1.
	Slot, Slots int
}

// String is the prototype as C text: "int security_file_open(struct file *file)".
func (f Function) String() string {
	return declare(f.Return.written, f.Name+"("+f.paramText()+")", 0)
}

func (f Function) paramText() string {
	var b strings.Builder
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(declare(p.Type.written, p.Name, 0))
	}
	switch {
	case f.Variadic && len(f.Params) > 0:
		b.WriteString(", ...")
	case len(f.Params) == 0:
		b.WriteString("void")
	}
	return b.String()
}

// Slots is the number of words that all arguments take.
func (f Function) Slots() int {
	if len(f.Params) == 0 {
		return 0
	}
	last := f.Params[len(f.Params)-1]
	return last.Slot + last.Slots
}

// Param returns the parameter of a name.
func (f Function) Param(name string) (Param, bool) {
	i := slices.IndexFunc(f.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return Param{}, false
	}
	return f.Params[i], true
}

// Function returns the prototype of a function of the kernel or, where the kernel has none of that name, of the loaded
// module that has. The error is a *NotFound when there is no such function or its types are not known.
func (f *Facts) Function(name string) (Function, error) {
	fn, err := f.functionIn("", name)
	if !errors.Is(err, btf.ErrNotFound) {
		return fn, err
	}
	for _, module := range f.modulesWith(name) {
		fn, err := f.functionIn(module, name)
		switch {
		case err == nil:
			return fn, nil
		case errors.Is(err, btf.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		default:
			return Function{}, err
		}
	}
	return Function{}, f.functionNotFound(name)
}

// functionNotFound tells whether the function does not exist or only its types do not.
func (f *Facts) functionNotFound(name string) error {
	e := &NotFound{What: "function", Name: name}
	if s, err := f.syms(); err == nil {
		if from, to := s.find(name); from < to {
			e.Reason = "the symbol is there, but the kernel's type information has no such function"
			return e
		}
		if variant := s.variant(name); variant != "" {
			e.Reason = "the compiler has made " + variant + " of it, whose arguments differ"
			return e
		}
	}
	e.Near = f.nearFunctions(name)
	return e
}

// functionIn returns a function of the kernel or a module. The error wraps btf.ErrNotFound when it has none of that name.
func (f *Facts) functionIn(module, name string) (Function, error) {
	spec, err := f.spec(module)
	if err != nil {
		return Function{}, err
	}
	var fn *btf.Func
	if err := spec.TypeByName(name, &fn); err != nil {
		return Function{}, err
	}
	proto, ok := fn.Type.(*btf.FuncProto)
	if !ok {
		return Function{}, fmt.Errorf("function %s: its type is %T, not a prototype", name, fn.Type)
	}
	out := functionOf(name, proto)
	out.Module = module
	if out.ID, err = spec.TypeID(fn); err != nil {
		return Function{}, fmt.Errorf("function %s: %w", name, err)
	}
	return out, nil
}

func functionOf(name string, proto *btf.FuncProto) Function {
	f := Function{Name: name, Return: typeOf(proto.Return)}
	params := proto.Params
	if n := len(params); n > 0 && params[n-1].Name == "" {
		if _, void := params[n-1].Type.(*btf.Void); void || params[n-1].Type == nil {
			f.Variadic, params = true, params[:n-1]
		}
	}
	f.Params = paramsOf(params)
	return f
}

func paramsOf(params []btf.FuncParam) []Param {
	out := make([]Param, len(params))
	slot := 0
	for i, p := range params {
		t := typeOf(p.Type)
		n := max(1, int(t.Size+pointerSize-1)/pointerSize)
		out[i] = Param{Name: p.Name, Type: t, Slot: slot, Slots: n}
		slot += n
	}
	return out
}

// lsmPrefix is of the functions that LSM programs attach to, one for each hook.
const lsmPrefix = "bpf_lsm_"

// lsmOthers have the prefix of hooks and are none: kernel/bpf/bpf_lsm.c.
var lsmOthers = [...]string{"verify_prog", "is_sleepable_hook", "is_trusted", "get_retval_range", "find_cgroup_shim", "func_proto"}

// LSMHook returns the parameters of an LSM hook, "file_open". Its Name is that of the function an LSM program
// attaches to, bpf_lsm_file_open.
func (f *Facts) LSMHook(name string) (Function, error) {
	fn, err := f.functionIn("", lsmPrefix+name)
	if errors.Is(err, btf.ErrNotFound) || err == nil && slices.Contains(lsmOthers[:], name) {
		names, _ := f.LSMHooks()
		return Function{}, &NotFound{What: "LSM hook", Name: name, Near: near(name, slices.Values(names))}
	}
	return fn, err
}

// LSMHooks lists the LSM hooks, sorted.
func (f *Facts) LSMHooks() ([]string, error) {
	names, err := f.namesWithPrefix(kindFunc, lsmPrefix)
	return slices.DeleteFunc(names, func(s string) bool { return slices.Contains(lsmOthers[:], s) }), err
}

// rawPrefix is of the types that describe what raw tracepoints are called with, one for each tracepoint.
const rawPrefix = "btf_trace_"

// RawTracepoint returns the parameters of a tracepoint as the kernel calls it (tp_btf), "sched_process_exec". The group is not part of the
// name. Modules are looked at when the kernel itself has none.
func (f *Facts) RawTracepoint(name string) (Function, error) {
	fn, err := f.rawIn("", name)
	if !errors.Is(err, btf.ErrNotFound) {
		return fn, err
	}
	for _, module := range f.modulesWith("__traceiter_" + name) {
		if fn, err := f.rawIn(module, name); err == nil {
			return fn, nil
		}
	}
	names, _ := f.RawTracepoints()
	return Function{}, &NotFound{What: "raw tracepoint", Name: name, Near: near(name, slices.Values(names))}
}

// RawTracepoints lists the tracepoints of the kernel itself, sorted.
func (f *Facts) RawTracepoints() ([]string, error) { return f.namesWithPrefix(kindTypedef, rawPrefix) }

func (f *Facts) rawIn(module, name string) (Function, error) {
	spec, err := f.spec(module)
	if err != nil {
		return Function{}, err
	}
	var td *btf.Typedef
	if err := spec.TypeByName(rawPrefix+name, &td); err != nil {
		return Function{}, err
	}
	p, ok := td.Type.(*btf.Pointer)
	if !ok {
		return Function{}, fmt.Errorf("tracepoint %s: its type is %T, not a pointer", name, td.Type)
	}
	proto, ok := p.Target.(*btf.FuncProto)
	if !ok || len(proto.Params) == 0 {
		return Function{}, fmt.Errorf("tracepoint %s: its type is not a prototype with a first parameter", name)
	}
	// The first parameter is the tracepoint's own and is not given to programs.
	out := Function{Name: name, Module: module, Return: typeOf(proto.Return), Params: paramsOf(proto.Params[1:])}
	if out.ID, err = spec.TypeID(td); err != nil {
		return Function{}, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	return out, nil
}

// kfuncTag marks functions that programs may call, in types written by pahole 1.26 and later.
const kfuncTag = "bpf_kfunc"

// Kfunc tells whether the kernel has a function that programs may call, and returns it. Which program types may is known to the
// verifier alone. Kernels whose types mark no such function (those before 6.9) are trusted to mean it by the name.
func (f *Facts) Kfunc(name string) (Function, error) {
	fn, err := f.functionIn("", name)
	if errors.Is(err, btf.ErrNotFound) {
		return Function{}, &NotFound{What: "kfunc", Name: name}
	}
	if err != nil {
		return Function{}, err
	}
	if f.kfuncTagged(name) || !f.kfuncTagged("bpf_rdonly_cast") {
		return fn, nil
	}
	return Function{}, &NotFound{What: "kfunc", Name: name, Reason: "programs may not call the function of that name"}
}

func (f *Facts) kfuncTagged(name string) bool {
	spec, err := f.spec("")
	if err != nil {
		return false
	}
	var fn *btf.Func
	return spec.TypeByName(name, &fn) == nil && slices.Contains(fn.Tags, kfuncTag)
}
