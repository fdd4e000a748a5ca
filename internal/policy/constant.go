// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// constant is a name that stands for a number in a policy, from the kernel's user-space headers. arm64 is the number
// there when it is another than on amd64.
type constant struct {
	name  string
	value int64
	arm64 int64
}

// constants are the names that arguments of syscalls and security hooks are talked of by. What is an enumeration in
// the kernel's BTF needs no row: BTF has the names.
var constants = [...]constant{
	// fcntl.h: open flags
	{name: "O_RDONLY"}, {name: "O_WRONLY", value: 1}, {name: "O_RDWR", value: 2}, {name: "O_ACCMODE", value: 3},
	{name: "O_CREAT", value: 0o100}, {name: "O_EXCL", value: 0o200}, {name: "O_NOCTTY", value: 0o400},
	{name: "O_TRUNC", value: 0o1000}, {name: "O_APPEND", value: 0o2000}, {name: "O_NONBLOCK", value: 0o4000},
	{name: "O_DSYNC", value: 0o10000}, {name: "O_ASYNC", value: 0o20000},
	{name: "O_DIRECT", value: 0o40000, arm64: 0o200000}, {name: "O_LARGEFILE", value: 0o100000, arm64: 0o400000},
	{name: "O_DIRECTORY", value: 0o200000, arm64: 0o40000}, {name: "O_NOFOLLOW", value: 0o400000, arm64: 0o100000},
	{name: "O_NOATIME", value: 0o1000000}, {name: "O_CLOEXEC", value: 0o2000000}, {name: "O_SYNC", value: 0o4010000},
	{name: "O_PATH", value: 0o10000000}, {name: "O_TMPFILE", value: 0o20200000, arm64: 0o20040000},
	// fcntl.h: at
	{name: "AT_FDCWD", value: -100}, {name: "AT_SYMLINK_NOFOLLOW", value: 0x100}, {name: "AT_REMOVEDIR", value: 0x200},
	{name: "AT_SYMLINK_FOLLOW", value: 0x400}, {name: "AT_NO_AUTOMOUNT", value: 0x800}, {name: "AT_EMPTY_PATH", value: 0x1000},
	// fs.h: what a file_permission hook is asked
	{name: "MAY_EXEC", value: 1}, {name: "MAY_WRITE", value: 2}, {name: "MAY_READ", value: 4}, {name: "MAY_APPEND", value: 8},
	{name: "MAY_ACCESS", value: 16}, {name: "MAY_OPEN", value: 32}, {name: "MAY_CHDIR", value: 64}, {name: "MAY_NOT_BLOCK", value: 128},
	{name: "FMODE_READ", value: 1}, {name: "FMODE_WRITE", value: 2}, {name: "FMODE_EXEC", value: 32},
	// stat.h
	{name: "S_IFMT", value: 0o170000}, {name: "S_IFSOCK", value: 0o140000}, {name: "S_IFLNK", value: 0o120000},
	{name: "S_IFREG", value: 0o100000}, {name: "S_IFBLK", value: 0o60000}, {name: "S_IFDIR", value: 0o40000},
	{name: "S_IFCHR", value: 0o20000}, {name: "S_IFIFO", value: 0o10000}, {name: "S_ISUID", value: 0o4000},
	{name: "S_ISGID", value: 0o2000}, {name: "S_ISVTX", value: 0o1000}, {name: "S_IRWXU", value: 0o700}, {name: "S_IRUSR", value: 0o400},
	{name: "S_IWUSR", value: 0o200}, {name: "S_IXUSR", value: 0o100}, {name: "S_IRWXG", value: 0o70}, {name: "S_IRGRP", value: 0o40},
	{name: "S_IWGRP", value: 0o20}, {name: "S_IXGRP", value: 0o10}, {name: "S_IRWXO", value: 7}, {name: "S_IROTH", value: 4},
	{name: "S_IWOTH", value: 2}, {name: "S_IXOTH", value: 1},
	// mman.h
	{name: "PROT_NONE"}, {name: "PROT_READ", value: 1}, {name: "PROT_WRITE", value: 2}, {name: "PROT_EXEC", value: 4},
	{name: "MAP_SHARED", value: 1}, {name: "MAP_PRIVATE", value: 2}, {name: "MAP_FIXED", value: 0x10}, {name: "MAP_ANONYMOUS", value: 0x20},
	{name: "MFD_CLOEXEC", value: 1}, {name: "MFD_ALLOW_SEALING", value: 2}, {name: "MFD_EXEC", value: 0x10},
	// sched.h
	{name: "CLONE_VM", value: 0x100}, {name: "CLONE_FS", value: 0x200}, {name: "CLONE_FILES", value: 0x400},
	{name: "CLONE_PTRACE", value: 0x2000}, {name: "CLONE_VFORK", value: 0x4000}, {name: "CLONE_PARENT", value: 0x8000},
	{name: "CLONE_THREAD", value: 0x10000}, {name: "CLONE_NEWNS", value: 0x20000}, {name: "CLONE_NEWCGROUP", value: 0x2000000},
	{name: "CLONE_NEWUTS", value: 0x4000000}, {name: "CLONE_NEWIPC", value: 0x8000000}, {name: "CLONE_NEWUSER", value: 0x10000000},
	{name: "CLONE_NEWPID", value: 0x20000000}, {name: "CLONE_NEWNET", value: 0x40000000}, {name: "CLONE_NEWTIME", value: 0x80},
	// mount.h
	{name: "MS_RDONLY", value: 1}, {name: "MS_NOSUID", value: 2}, {name: "MS_NODEV", value: 4}, {name: "MS_NOEXEC", value: 8},
	{name: "MS_REMOUNT", value: 32}, {name: "MS_BIND", value: 4096}, {name: "MS_MOVE", value: 8192}, {name: "MS_REC", value: 16384},
	{name: "MS_PRIVATE", value: 1 << 18}, {name: "MS_SLAVE", value: 1 << 19}, {name: "MS_SHARED", value: 1 << 20},
	// ptrace.h
	{name: "PTRACE_TRACEME"}, {name: "PTRACE_PEEKTEXT", value: 1}, {name: "PTRACE_PEEKDATA", value: 2}, {name: "PTRACE_POKETEXT", value: 4},
	{name: "PTRACE_POKEDATA", value: 5}, {name: "PTRACE_CONT", value: 7}, {name: "PTRACE_SETREGS", value: 13},
	{name: "PTRACE_ATTACH", value: 16}, {name: "PTRACE_DETACH", value: 17}, {name: "PTRACE_SEIZE", value: 0x4206},
	{name: "PTRACE_MODE_READ", value: 1}, {name: "PTRACE_MODE_ATTACH", value: 2},
	// socket.h
	{name: "SOCK_STREAM", value: 1}, {name: "SOCK_DGRAM", value: 2}, {name: "SOCK_RAW", value: 3}, {name: "SOCK_SEQPACKET", value: 5},
	{name: "SOCK_NONBLOCK", value: 0o4000}, {name: "SOCK_CLOEXEC", value: 0o2000000},
	// prctl.h
	{name: "PR_SET_DUMPABLE", value: 4}, {name: "PR_SET_NAME", value: 15}, {name: "PR_SET_SECCOMP", value: 22}, {name: "PR_SET_MM", value: 35},
	{name: "PR_SET_NO_NEW_PRIVS", value: 38}, {name: "PR_SET_PTRACER", value: 0x59616d61},
	// bpf.h
	{name: "BPF_MAP_CREATE"}, {name: "BPF_MAP_LOOKUP_ELEM", value: 1}, {name: "BPF_MAP_UPDATE_ELEM", value: 2},
	{name: "BPF_MAP_DELETE_ELEM", value: 3}, {name: "BPF_PROG_LOAD", value: 5}, {name: "BPF_OBJ_PIN", value: 6}, {name: "BPF_OBJ_GET", value: 7},
	{name: "BPF_PROG_ATTACH", value: 8}, {name: "BPF_PROG_DETACH", value: 9}, {name: "BPF_RAW_TRACEPOINT_OPEN", value: 17},
	{name: "BPF_BTF_LOAD", value: 18}, {name: "BPF_LINK_CREATE", value: 28},
	// kernel_read_file.h
	{name: "READING_FIRMWARE", value: 1}, {name: "READING_MODULE", value: 2},
	// errno.h
	{name: "EPERM", value: 1}, {name: "ENOENT", value: 2}, {name: "ESRCH", value: 3}, {name: "EINTR", value: 4}, {name: "EIO", value: 5},
	{name: "ENXIO", value: 6}, {name: "E2BIG", value: 7}, {name: "ENOEXEC", value: 8}, {name: "EBADF", value: 9}, {name: "ECHILD", value: 10},
	{name: "EAGAIN", value: 11}, {name: "ENOMEM", value: 12}, {name: "EACCES", value: 13}, {name: "EFAULT", value: 14}, {name: "EBUSY", value: 16},
	{name: "EEXIST", value: 17}, {name: "EXDEV", value: 18}, {name: "ENODEV", value: 19}, {name: "ENOTDIR", value: 20}, {name: "EISDIR", value: 21},
	{name: "EINVAL", value: 22}, {name: "ENFILE", value: 23}, {name: "EMFILE", value: 24}, {name: "ENOTTY", value: 25}, {name: "ETXTBSY", value: 26},
	{name: "EFBIG", value: 27}, {name: "ENOSPC", value: 28}, {name: "ESPIPE", value: 29}, {name: "EROFS", value: 30}, {name: "EMLINK", value: 31},
	{name: "EPIPE", value: 32}, {name: "ERANGE", value: 34}, {name: "EDEADLK", value: 35}, {name: "ENAMETOOLONG", value: 36},
	{name: "ENOSYS", value: 38}, {name: "ELOOP", value: 40}, {name: "EOPNOTSUPP", value: 95}, {name: "EADDRINUSE", value: 98},
	{name: "EADDRNOTAVAIL", value: 99}, {name: "ENETDOWN", value: 100}, {name: "ENETUNREACH", value: 101}, {name: "ECONNABORTED", value: 103},
	{name: "ECONNRESET", value: 104}, {name: "ENOTCONN", value: 107}, {name: "ETIMEDOUT", value: 110}, {name: "ECONNREFUSED", value: 111},
	{name: "EHOSTUNREACH", value: 113}, {name: "EALREADY", value: 114}, {name: "EINPROGRESS", value: 115},
	// signal.h
	{name: "SIGHUP", value: 1}, {name: "SIGINT", value: 2}, {name: "SIGQUIT", value: 3}, {name: "SIGILL", value: 4}, {name: "SIGTRAP", value: 5},
	{name: "SIGABRT", value: 6}, {name: "SIGBUS", value: 7}, {name: "SIGFPE", value: 8}, {name: "SIGKILL", value: 9}, {name: "SIGUSR1", value: 10},
	{name: "SIGSEGV", value: 11}, {name: "SIGUSR2", value: 12}, {name: "SIGPIPE", value: 13}, {name: "SIGALRM", value: 14},
	{name: "SIGTERM", value: 15}, {name: "SIGCHLD", value: 17}, {name: "SIGCONT", value: 18}, {name: "SIGSTOP", value: 19}, {name: "SIGSYS", value: 31},
}

// Constant returns the number that a name stands for in a policy on an architecture (a GOARCH): one of the kernel's
// user-space headers, or a capability, a protocol, an address family or a TCP state.
func Constant(name, arch string) (int64, bool) {
	for i := range constants {
		if c := &constants[i]; c.name == name {
			if arch == "arm64" && c.arm64 != 0 {
				return c.arm64, true
			}
			return c.value, true
		}
	}
	for _, list := range [...][]string{capabilities[:], tcpStates[:]} {
		if i := slices.Index(list, name); i >= 0 && name != "" {
			return int64(i), true
		}
	}
	for _, list := range [...][]numbered{protocols, families} {
		for _, row := range list {
			if row.name == name {
				return row.number, true
			}
		}
	}
	return 0, false
}

func constantNames() []string {
	var names []string
	for i := range constants {
		names = append(names, constants[i].name)
	}
	for _, list := range [...][]numbered{protocols, families} {
		for _, row := range list {
			names = append(names, row.name)
		}
	}
	return append(append(names, capabilities[:]...), tcpStates[1:]...)
}
