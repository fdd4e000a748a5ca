// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// saferHooks are the functions that see what a syscall's pointers lead to after the kernel copied it, so that no other
// thread can change it any more.
var saferHooks = map[string][]string{
	"open": {"security_file_open"}, "openat": {"security_file_open"}, "openat2": {"security_file_open"}, "creat": {"security_file_open"},
	"execve": {"security_bprm_check"}, "execveat": {"security_bprm_check"},
	"unlink": {"security_inode_unlink"}, "unlinkat": {"security_inode_unlink", "security_inode_rmdir"}, "rmdir": {"security_inode_rmdir"},
	"rename": {"security_inode_rename"}, "renameat": {"security_inode_rename"}, "renameat2": {"security_inode_rename"},
	"link": {"security_inode_link"}, "linkat": {"security_inode_link"}, "symlink": {"security_inode_symlink"},
	"symlinkat": {"security_inode_symlink"}, "readlink": {"security_inode_readlink"}, "readlinkat": {"security_inode_readlink"},
	"mkdir": {"security_inode_mkdir"}, "mkdirat": {"security_inode_mkdir"}, "mknod": {"security_inode_mknod"}, "mknodat": {"security_inode_mknod"},
	"chmod": {"security_path_chmod"}, "fchmodat": {"security_path_chmod"}, "fchmodat2": {"security_path_chmod"},
	"chown": {"security_path_chown"}, "lchown": {"security_path_chown"}, "fchownat": {"security_path_chown"},
	"truncate": {"security_path_truncate"}, "chroot": {"security_path_chroot"},
	"setxattr": {"security_inode_setxattr"}, "lsetxattr": {"security_inode_setxattr"}, "fsetxattr": {"security_inode_setxattr"},
	"removexattr": {"security_inode_removexattr"}, "lremovexattr": {"security_inode_removexattr"},
	"stat": {"security_inode_getattr"}, "lstat": {"security_inode_getattr"}, "newfstatat": {"security_inode_getattr"}, "statx": {"security_inode_getattr"},
	"mount": {"security_sb_mount"}, "umount": {"security_sb_umount"}, "umount2": {"security_sb_umount"}, "pivot_root": {"security_sb_pivotroot"},
	"move_mount": {"security_move_mount"},
	"connect":    {"security_socket_connect"}, "bind": {"security_socket_bind"}, "sendto": {"security_socket_sendmsg"},
	"sendmsg": {"security_socket_sendmsg"}, "sendmmsg": {"security_socket_sendmsg"}, "recvfrom": {"security_socket_recvmsg"},
	"recvmsg": {"security_socket_recvmsg"}, "setsockopt": {"security_socket_setsockopt"},
	"init_module": {"security_kernel_load_data"}, "finit_module": {"security_kernel_read_file"}, "bpf": {"security_bpf"},
	"read": {"security_file_permission"}, "readv": {"security_file_permission"}, "pread64": {"security_file_permission"},
	"write": {"security_file_permission"}, "writev": {"security_file_permission"}, "pwrite64": {"security_file_permission"},
	"capset": {"security_capset"}, "setrlimit": {"security_task_setrlimit"}, "prlimit64": {"security_task_setrlimit"},
	"sethostname": {"security_capable"}, "swapon": {"security_capable"}, "perf_event_open": {"security_perf_event_open"},
}

// SaferHooks returns the functions to hook instead of a syscall whose pointers a policy looks at; none when not known.
// Whether the running kernel has them is for it to tell.
func SaferHooks(c Call) []string {
	if !c.Syscall {
		return nil
	}
	return saferHooks[c.Name]
}

// UserPointers returns the positions in Args of what is read through a pointer that a program gave to a syscall: it can
// change between the look of the hook and that of the kernel. Arguments whose type only BTF knows are not among them.
func (h *Hook) UserPointers() []int {
	f, ok := h.Target.(*Functions)
	if !ok {
		return nil
	}
	syscall := f.List != nil && f.List.Kind == GeneratedSyscalls
	for _, c := range f.Calls {
		syscall = syscall || c.Syscall
	}
	var all []int
	for i := range h.Args {
		a := &h.Args[i]
		if syscall && a.Source == FromArguments && a.Type != FD && a.Type.Info().Class&(ClassText|ClassPath|ClassAddress) != 0 {
			all = append(all, i)
		}
	}
	return all
}

// warnUntrusted tells about arguments that can change under the hook.
func (h *hookReader) warnUntrusted() {
	f, ok := h.hook.Target.(*Functions)
	if !ok {
		return
	}
	for _, i := range h.hook.UserPointers() {
		a := &h.hook.Args[i]
		remedy := ""
		for _, c := range f.Calls {
			if safer := SaferHooks(c); safer != nil {
				remedy = "hook " + strings.Join(safer, " and ") + " instead of " + c.Name
				break
			}
		}
		h.warn(a.Pos, remedy, "the argument %d is read from the memory of the program, which can change it before the kernel reads it", a.Index)
	}
}
