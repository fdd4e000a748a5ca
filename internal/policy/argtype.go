// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// ArgType says how an argument is read and shown.
type ArgType uint8

// The argument types. Auto stands for what the kernel's BTF says; Hook.Bind replaces it.
const (
	Auto ArgType = iota
	Nop
	Int8
	Uint8
	Int16
	Uint16
	Int32
	Uint32
	Int64
	Uint64
	Size
	Bool
	Enum
	String
	CharBuf
	CharIovec
	ConstBuf
	DataLoc
	IovIter
	Kiocb
	FD
	File
	Filename
	Path
	Dentry
	Inode
	LinuxBinprm
	Sock
	Socket
	Skb
	Sockaddr
	SockaddrUn
	NetDevice
	Cred
	Capability
	KernelCap
	CapInheritable
	CapPermitted
	CapEffective
	UserNamespace
	BPFAttr
	BPFMap
	BPFProg
	BPFCmd
	PerfEvent
	LoadInfo
	Module
	Syscall64
)

// Class groups the argument types that take the same operators and values.
type Class uint16

// The classes.
const (
	// ClassUnknown is that of Auto: any operator may fit.
	ClassUnknown Class = 1 << iota
	// ClassNumber is an integer, a truth value or an enumeration.
	ClassNumber
	// ClassText is a sequence of bytes.
	ClassText
	// ClassPath is a file, compared by its resolved path.
	ClassPath
	// ClassInode is a file of which no path is known.
	ClassInode
	// ClassSocket is something with two addresses.
	ClassSocket
	// ClassAddress is one socket address; a unix one has a path.
	ClassAddress
	// ClassCapabilities is a set of capabilities.
	ClassCapabilities
	// ClassSyscall is the number of a syscall, which means nothing without its ABI.
	ClassSyscall
	// ClassOpaque is shown, and no operator applies to it.
	ClassOpaque
)

// TypeInfo is what is known of an argument type.
type TypeInfo struct {
	Type ArgType
	Name string
	// Aliases are other names of the language for the same.
	Aliases []string
	Class   Class
	// Bits and Signed describe the number; for Enum, BTF tells.
	Bits   int
	Signed bool
	// Struct is the name of the kernel's structure that an argument of this type points to; empty for others.
	Struct string
	// Sized tells that the length stands in another argument (sizeArgIndex) and that the content may be there on
	// return only (returnCopy).
	Sized bool
}

// types has one row for each argument type, at its number.
var types = [...]TypeInfo{
	{Type: Auto, Name: "auto", Class: ClassUnknown},
	{Type: Nop, Name: "nop", Class: ClassOpaque},
	{Type: Int8, Name: "int8", Aliases: []string{"sint8"}, Class: ClassNumber, Bits: 8, Signed: true},
	{Type: Uint8, Name: "uint8", Class: ClassNumber, Bits: 8},
	{Type: Int16, Name: "int16", Aliases: []string{"sint16"}, Class: ClassNumber, Bits: 16, Signed: true},
	{Type: Uint16, Name: "uint16", Class: ClassNumber, Bits: 16},
	{Type: Int32, Name: "int32", Aliases: []string{"int", "sint32"}, Class: ClassNumber, Bits: 32, Signed: true},
	{Type: Uint32, Name: "uint32", Aliases: []string{"uint"}, Class: ClassNumber, Bits: 32},
	{Type: Int64, Name: "int64", Aliases: []string{"long", "sint64"}, Class: ClassNumber, Bits: 64, Signed: true},
	{Type: Uint64, Name: "uint64", Aliases: []string{"ulong"}, Class: ClassNumber, Bits: 64},
	{Type: Size, Name: "size_t", Class: ClassNumber, Bits: 64},
	{Type: Bool, Name: "bool", Class: ClassNumber, Bits: 8},
	{Type: Enum, Name: "enum", Class: ClassNumber, Bits: 64, Signed: true},
	{Type: String, Name: "string", Class: ClassText},
	{Type: CharBuf, Name: "char_buf", Class: ClassText, Sized: true},
	{Type: CharIovec, Name: "char_iovec", Class: ClassText, Struct: "iovec", Sized: true},
	{Type: ConstBuf, Name: "const_buf", Class: ClassText},
	{Type: DataLoc, Name: "data_loc", Class: ClassText},
	{Type: IovIter, Name: "iov_iter", Class: ClassText, Struct: "iov_iter", Sized: true},
	{Type: Kiocb, Name: "kiocb", Class: ClassPath, Struct: "kiocb"},
	{Type: FD, Name: "fd", Class: ClassPath},
	{Type: File, Name: "file", Class: ClassPath, Struct: "file"},
	{Type: Filename, Name: "filename", Class: ClassText, Struct: "filename"},
	{Type: Path, Name: "path", Class: ClassPath, Struct: "path"},
	{Type: Dentry, Name: "dentry", Class: ClassPath, Struct: "dentry"},
	{Type: Inode, Name: "inode", Class: ClassInode, Struct: "inode"},
	{Type: LinuxBinprm, Name: "linux_binprm", Class: ClassPath, Struct: "linux_binprm"},
	{Type: Sock, Name: "sock", Class: ClassSocket, Struct: "sock"},
	{Type: Socket, Name: "socket", Class: ClassSocket, Struct: "socket"},
	{Type: Skb, Name: "skb", Class: ClassSocket, Struct: "sk_buff"},
	{Type: Sockaddr, Name: "sockaddr", Class: ClassAddress, Struct: "sockaddr"},
	{Type: SockaddrUn, Name: "sockaddr_un", Class: ClassAddress, Struct: "sockaddr_un"},
	{Type: NetDevice, Name: "net_device", Class: ClassText, Struct: "net_device"},
	{Type: Cred, Name: "cred", Class: ClassCapabilities, Struct: "cred"},
	{Type: Capability, Name: "capability", Class: ClassNumber, Bits: 32, Signed: true},
	{Type: KernelCap, Name: "kernel_cap_t", Class: ClassCapabilities},
	{Type: CapInheritable, Name: "cap_inheritable", Class: ClassCapabilities},
	{Type: CapPermitted, Name: "cap_permitted", Class: ClassCapabilities},
	{Type: CapEffective, Name: "cap_effective", Class: ClassCapabilities},
	{Type: UserNamespace, Name: "user_namespace", Class: ClassOpaque, Struct: "user_namespace"},
	{Type: BPFAttr, Name: "bpf_attr", Class: ClassOpaque, Struct: "bpf_attr"},
	{Type: BPFMap, Name: "bpf_map", Class: ClassText, Struct: "bpf_map"},
	{Type: BPFProg, Name: "bpf_prog", Class: ClassText, Struct: "bpf_prog"},
	{Type: BPFCmd, Name: "bpf_cmd", Class: ClassNumber, Bits: 32, Signed: true},
	{Type: PerfEvent, Name: "perf_event", Class: ClassOpaque, Struct: "perf_event"},
	{Type: LoadInfo, Name: "load_info", Class: ClassText, Struct: "load_info"},
	{Type: Module, Name: "module", Class: ClassText, Struct: "module"},
	{Type: Syscall64, Name: "syscall64", Class: ClassSyscall, Bits: 64},
}

// Types returns the table of the argument types.
func Types() []TypeInfo { return types[:] }

// Info returns what is known of the type.
func (t ArgType) Info() TypeInfo {
	if int(t) < len(types) {
		return types[t]
	}
	return types[Auto]
}

// String returns the name in the language.
func (t ArgType) String() string { return t.Info().Name }

// classNames tells the classes in messages, in the order of their bits.
var classNames = [...]string{
	"of a type that BTF tells", "number", "text", "file", "inode", "socket", "socket address", "set of capabilities",
	"syscall number", "value that no operator applies to",
}

// String names the classes.
func (c Class) String() string {
	var names []string
	for i, name := range classNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// argType reads the name of a type.
func (r *reader) argType(n *node) ArgType {
	s, ok := r.scalar(n, "the type of an argument")
	if !ok {
		return Auto
	}
	var names []string
	for _, row := range types {
		for _, name := range append([]string{row.Name}, row.Aliases...) {
			if name == s {
				return row.Type
			}
			names = append(names, name)
		}
	}
	remedy := didYouMean(s, names)
	if remedy == "" {
		remedy = "leave `type` out to take the kernel's own"
	}
	r.fail(n.pos, remedy, "there is no argument type %q", clip(s))
	return Auto
}
