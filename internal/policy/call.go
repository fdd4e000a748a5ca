// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"
	"strings"
)

// Call is a function of the kernel, or a syscall.
type Call struct {
	Pos Position
	// Name is the symbol of a function; of a syscall it is the bare name, "mount", whatever prefix it was written with.
	Name    string
	Syscall bool
	// ABI limits a syscall to one ABI; ABIAll, the default, hooks each that the kernel has.
	ABI ABI
	// Module is the module that a function is in, where the policy tells it: "nf_tables:nft_do_chain". Such a function may
	// be missing until the module is loaded.
	Module string
}

// ABI is a calling convention of syscalls.
type ABI uint8

// The ABIs. ABINative is that of 64-bit programs, ABICompat that of 32-bit ones.
const (
	ABIAll ABI = iota
	ABINative
	ABICompat
	ABIx32
)

var abiNames = [...]string{"", "native", "compat", "x32"}

// String returns a name for listings, empty for all.
func (a ABI) String() string { return abiNames[a] }

// abiPrefixes are the words before the slash in "i386/sys_dup".
var abiPrefixes = map[string]ABI{
	"x64": ABINative, "x86_64": ABINative, "arm64": ABINative, "i386": ABICompat, "ia32": ABICompat, "arm32": ABICompat, "x32": ABIx32,
}

// syscallPrefixes are what architectures put before the name of a syscall's function.
var syscallPrefixes = [...]string{
	"__x64_sys_", "__ia32_compat_sys_", "__ia32_sys_", "__x32_compat_sys_", "__arm64_compat_sys_", "__arm64_sys_", "__do_sys_",
	"__se_sys_", "compat_sys_", "sys_",
}

// String returns the call in a form that no other call has.
func (c Call) String() string {
	switch {
	case c.Syscall && c.ABI != ABIAll:
		return "syscall " + c.Name + " (" + c.ABI.String() + ")"
	case c.Syscall:
		return "syscall " + c.Name
	case c.Module != "":
		return c.Module + ":" + c.Name
	}
	return c.Name
}

// looksLikeSyscall tells whether a symbol is that of a syscall. These prefixes are used for nothing else, while for
// others, as __se_sys_, a policy may well mean the function itself.
func looksLikeSyscall(symbol string) bool {
	for _, p := range [...]string{"sys_", "__x64_sys_", "__arm64_sys_", "__ia32_sys_", "__ia32_compat_sys_", "__arm64_compat_sys_"} {
		if strings.HasPrefix(symbol, p) && len(symbol) > len(p) {
			return true
		}
	}
	abi, _, ok := strings.Cut(symbol, "/")
	_, known := abiPrefixes[abi]
	return ok && known
}

// syscall reads the name of a syscall, with or without an ABI and a prefix.
func (r *reader) syscall(v Raw) (Call, bool) {
	c := Call{Pos: v.Pos, Syscall: true}
	name := v.Text
	if prefix, rest, ok := strings.Cut(name, "/"); ok {
		abi, known := abiPrefixes[prefix]
		if !known {
			names := make([]string, 0, len(abiPrefixes))
			for n := range abiPrefixes {
				names = append(names, n)
			}
			slices.Sort(names)
			r.fail(v.Pos, didYouMean(prefix, names), "there is no syscall ABI %q", clip(prefix))
			return c, false
		}
		c.ABI, name = abi, rest
	}
	for _, p := range syscallPrefixes {
		if rest, ok := strings.CutPrefix(name, p); ok {
			name = rest
			break
		}
	}
	if !isIdentifier(name) {
		r.fail(v.Pos, "for example sys_openat", "%q is no name of a syscall", clip(v.Text))
		return c, false
	}
	c.Name = name
	return c, true
}

// function reads the name of a kernel function, with or without its module.
func (r *reader) function(v Raw) (Call, bool) {
	c := Call{Pos: v.Pos, Name: v.Text}
	if module, name, ok := strings.Cut(v.Text, ":"); ok {
		c.Module, c.Name = module, name
	}
	// The kernel's compiler makes names with dots, as in do_open.constprop.0.
	plain := strings.NewReplacer(".", "_", "$", "_").Replace(c.Name)
	moduleOK := c.Module == "" && !strings.HasPrefix(v.Text, ":") || isIdentifier(strings.ReplaceAll(c.Module, "-", "_"))
	switch {
	case strings.Contains(c.Name, "+"):
		r.fail(v.Pos, "hook the function itself", "%q is a place within a function; only its entry and its return can be hooked", clip(v.Text))
	case strings.ContainsAny(v.Text, "*?"):
		r.fail(v.Pos, "use a list of `type: generated_ftrace` with a `pattern`", "%q is a pattern, and a call is one name", clip(v.Text))
	case !isIdentifier(plain) || !moduleOK:
		r.fail(v.Pos, "", "%q is no name of a kernel function", clip(v.Text))
	default:
		// Modules are named with underscores in the kernel, whatever their file is called.
		c.Module = strings.ReplaceAll(c.Module, "-", "_")
		return c, true
	}
	return c, false
}

// normalCalls sorts calls and removes repeated ones.
func normalCalls(calls []Call) []Call {
	compare := func(a, b Call) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ABI, b.ABI), cmp.Compare(a.Module, b.Module))
	}
	slices.SortStableFunc(calls, compare)
	return slices.CompactFunc(calls, func(a, b Call) bool { return compare(a, b) == 0 && a.Syscall == b.Syscall })
}
