// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	_ "embed" // the tables
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// ABI is a way into the kernel: a set of system calls with numbers of its own.
type ABI uint8

// The ABIs.
const (
	X8664 ABI = iota
	I386      // 32-bit programs on x86
	X32       // 32-bit pointers in 64-bit mode
	ARM64
	ARM // 32-bit programs on arm64
	abiCount
)

// abiRow is what is known of an ABI: its name, the prefixes of the kernel's entry functions, and a function that is there when
// the kernel has the ABI.
type abiRow struct {
	name    string
	native  string // before sys_
	compat  string // before compat_sys_
	witness string
}

var abis = [abiCount]abiRow{
	X8664: {"x86_64", "__x64_", "__x64_", "__x64_sys_read"},
	I386:  {"i386", "__ia32_", "__ia32_", "__ia32_sys_read"},
	X32:   {"x32", "__x64_", "__x64_", "__x64_compat_sys_ioctl"},
	ARM64: {"arm64", "__arm64_", "__arm64_", "__arm64_sys_read"},
	ARM:   {"arm", "__arm64_", "__arm64_", "__arm64_compat_sys_ioctl"},
}

// String is the name of the ABI in the tables and in events: "x86_64", "i386", "x32", "arm64", "arm".
func (a ABI) String() string {
	if a < abiCount {
		return abis[a].name
	}
	return fmt.Sprintf("ABI %d", uint8(a))
}

// ABIByName returns the ABI of a name.
func ABIByName(name string) (ABI, bool) {
	for i, a := range abis {
		if a.name == name {
			return ABI(i), true
		}
	}
	return 0, false
}

// Syscall is a system call of one ABI.
type Syscall struct {
	Name string // "stat"
	ABI  ABI
	// Number is what the program puts into the register, but for X32 without the bit 0x40000000. It is -1 for a call that
	// is younger than the tables.
	Number int
	// Entry is the function of the kernel that the number leads to, whose only parameter is the registers: "__x64_sys_newstat". ABIs may share
	// it: x86_64 and x32 do mostly.
	Entry string
	// Implementation is Entry without the prefix of the ABI: "sys_newstat", "compat_sys_execve".
	Implementation string
	// Stub says that the kernel was built without it: Entry only fails with ENOSYS.
	Stub bool
}

//go:embed syscalls.txt
var syscallTable string

//go:embed syscall_args.txt
var syscallArgs string

// tableRows yields the system calls of the table, of all ABIs.
func tableRows() iter.Seq[Syscall] {
	return func(yield func(Syscall) bool) {
		for line := range strings.Lines(syscallTable) {
			abi, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			a, ok := ABIByName(abi)
			if !ok {
				continue
			}
			number, rest, _ := strings.Cut(rest, " ")
			name, entry, _ := strings.Cut(rest, " ")
			n, err := strconv.Atoi(number)
			if err == nil && !yield(Syscall{Name: name, ABI: a, Number: n, Entry: a.entry(entry), Implementation: entry}) {
				return
			}
		}
	}
}

func (a ABI) entry(implementation string) string {
	if strings.HasPrefix(implementation, "compat_") {
		return abis[a].compat + implementation
	}
	return abis[a].native + implementation
}

// ABIs lists those that the kernel has, the native one first.
func (f *Facts) ABIs() ([]ABI, error) {
	var have []ABI
	for i, a := range abis {
		ok, err := f.HasSymbol(a.witness)
		if err != nil {
			return nil, err
		}
		if ok {
			have = append(have, ABI(i))
		}
	}
	return have, nil
}

// SyscallName takes off what the kernel and the field put before the name of a system call: "__x64_sys_openat", "sys_openat",
// "__ia32_compat_sys_openat".
func SyscallName(s string) string {
	for _, prefix := range [...]string{"__x64_", "__ia32_", "__arm64_", "__x32_"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			s = rest
			break
		}
	}
	s = strings.TrimPrefix(s, "compat_")
	return strings.TrimPrefix(s, "sys_")
}

// Syscall returns a system call in every ABI in which this kernel has it, the native one first. It is named as programs name
// it ("stat"), or as the kernel's function is ("sys_newstat", "__x64_sys_newstat"). The error is a *NotFound.
func (f *Facts) Syscall(name string) ([]Syscall, error) {
	name = SyscallName(name)
	all, err := f.Syscalls()
	if err != nil {
		return nil, err
	}
	pick := func(key func(Syscall) string) []Syscall {
		var found []Syscall
		for _, s := range all {
			if key(s) == name {
				found = append(found, s)
			}
		}
		return found
	}
	found := pick(func(s Syscall) string { return s.Name })
	if len(found) == 0 {
		found = pick(func(s Syscall) string { return SyscallName(s.Implementation) })
	}
	if len(found) > 0 {
		return found, nil
	}
	e := &NotFound{What: "syscall", Name: name, Near: near(name, func(yield func(string) bool) {
		for _, s := range all {
			if !yield(s.Name) {
				return
			}
		}
	})}
	var elsewhere []ABI
	for s := range tableRows() {
		if s.Name == name && !slices.Contains(elsewhere, s.ABI) {
			elsewhere = append(elsewhere, s.ABI)
		}
	}
	if len(elsewhere) > 0 {
		slices.Sort(elsewhere)
		e.Reason, e.Near = fmt.Sprintf("its function is not there; these have it: %v", elsewhere), nil
	}
	return nil, e
}

// Syscalls lists the system calls that the kernel has, by ABI and number: those of the tables whose function is there,
// if only as a stub, and those that are younger than the tables.
func (f *Facts) Syscalls() ([]Syscall, error) {
	have, err := f.ABIs()
	if err != nil {
		return nil, err
	}
	var all []Syscall
	known := map[string]bool{}
	for s := range tableRows() {
		if !slices.Contains(have, s.ABI) {
			continue
		}
		ok, err := f.HasSymbol(s.Entry)
		if err != nil {
			return nil, err
		}
		known[s.Entry] = true
		if ok {
			s.Stub = f.isStub(s.Entry)
			all = append(all, s)
		}
	}
	all = append(all, f.youngSyscalls(have, known)...)
	slices.SortStableFunc(all, func(a, b Syscall) int { return int(a.ABI) - int(b.ABI) })
	return all, nil
}

// isStub tells whether an entry function is the weak one, which is there unless the kernel was built with the call.
func (f *Facts) isStub(entry string) bool {
	s, err := f.syms()
	if err != nil {
		return false
	}
	from, to := s.find(entry)
	return from < to && s.isWeak(from)
}

// unreachable is built for other machines also where no number leads to it.
const unreachable = "gethostname"

// youngSyscalls finds entry functions of native ABIs that no table leads to.
func (f *Facts) youngSyscalls(have []ABI, known map[string]bool) []Syscall {
	s, err := f.syms()
	if err != nil {
		return nil
	}
	var young []Syscall
	for _, a := range [...]ABI{X8664, ARM64} {
		if !slices.Contains(have, a) {
			continue
		}
		for entry := range s.withPrefix(abis[a].native + "sys_") {
			name := SyscallName(entry)
			if !known[entry] && name != "ni_syscall" && name != unreachable && !f.isStub(entry) && !oldSyscall(name) {
				young = append(young, Syscall{Name: name, ABI: a, Number: -1, Entry: entry, Implementation: "sys_" + name})
			}
		}
	}
	return young
}

// oldSyscall tells whether some ABI of the tables leads to the implementation: then it is not young, but there for another ABI.
func oldSyscall(name string) bool {
	for s := range tableRows() {
		if SyscallName(s.Implementation) == name || s.Name == name {
			return true
		}
	}
	return false
}

// compatSplit are those of a 32-bit ABI that take a 64-bit number in two parameters, so that the parameters after it are not those of the
// native call.
var compatSplit = [...]string{"compat_sys_fanotify_mark", "compat_sys_lookup_dcookie"}

// SyscallParams returns the parameters of a system call, as the source declares them; Slot is the number of the argument, from 0.
// All pointers are to the memory of the process. The structures that a 32-bit program passes have another layout than those of these types.
// It returns false when they are not known.
func (f *Facts) SyscallParams(s Syscall) ([]Param, bool) {
	name := strings.TrimPrefix(s.Implementation, "compat_")
	if slices.Contains(compatSplit[:], s.Implementation) {
		return nil, false
	}
	name = strings.TrimPrefix(name, "sys_")
	for line := range strings.Lines(syscallArgs) {
		if rest, ok := strings.CutPrefix(line, name+"("); ok {
			return f.declared(strings.TrimSuffix(strings.TrimSpace(rest), ")")), true
		}
	}
	return nil, false
}

// declared turns "int dfd, const char * filename" into parameters.
func (f *Facts) declared(list string) []Param {
	spec, err := f.spec("")
	var params []Param
	for declaration := range strings.SplitSeq(list, ", ") {
		i := strings.LastIndexAny(declaration, " *")
		if i < 0 {
			continue
		}
		p := Param{Name: declaration[i+1:], Slot: len(params), Slots: 1}
		if c, ok := parseCType(declaration[:i+1]); ok && err == nil {
			p.Type, _ = c.find(spec)
		}
		params = append(params, p)
	}
	return params
}

// SyscallNameOf returns the name of a system call's number, and false when the tables have none.
func SyscallNameOf(abi ABI, number int) (string, bool) {
	for s := range tableRows() {
		if s.ABI == abi && s.Number == number {
			return s.Name, true
		}
	}
	return "", false
}
