// SPDX-License-Identifier: Apache-2.0

// Command vm runs programs, test binaries above all, on the kernels that Ringside supports: in a virtual machine that boots
// in about three seconds, by software emulation, with neither root nor /dev/kvm.
//
// # One test on one kernel
//
//	CGO_ENABLED=0 go build -o bin/vm ./internal/vm
//	CGO_ENABLED=0 go test -exec "$PWD/bin/vm run -kernel 6.12" ./internal/load -run TestAttach
//
// The path must be absolute, or vm be found through PATH, because go test starts it in the folder of the package. In the
// machine the binary has the same path and working directory, with the folder's testdata. More files go in with
// -with PATH or -with PATH=GUEST, repeated, or with RINGSIDE_VM_WITH=PATH:PATH; dynamically linked programs bring their
// libraries. With go test -args or a test's own flags nothing changes. What cannot work are files that a test binary
// writes for go test, such as cover profiles; "vm run -get FILE" brings back a file.
//
// What the program prints comes as it is printed. The exit status is that of the program, 128 and the number of the signal
// when a signal ended it. It is 1, and the console is shown, when the kernel printed a warning, an oops, a stall or a complaint
// of the verifier about itself, or was tainted by one; also when the machine died, or when the program took longer
// than -timeout, which follows from -test.timeout. It is 125 when there could be no machine.
//
// # The system in the machine
//
// Everything runs as root, in a root file system that is a tmpfs (with extended attributes, so file capabilities work) and
// that pivot_root can leave. Mounted are /proc, /sys, /dev, /dev/pts, /dev/shm, /run, securityfs, debugfs, tracefs, cgroup2 on
// /sys/fs/cgroup and bpf on /sys/fs/bpf. The overlay module is loaded (-modules), lo is up, there is no other network. There are
// sh, true, false, echo, cat, sleep and env; tests that need more bring it. /bin, /sbin, /lib and /lib64 are links into /usr.
// The environment is that of a root login, and RINGSIDE_*, GODEBUG, GOTRACEBACK, GOMAXPROCS, GOGC and GOMEMLIMIT from outside.
//
// # A suite on several kernels
//
//	bin/vm suite -kernels 6.1,6.12,host ./...
//
// builds all test binaries once, boots each kernel once, and prints a line for each package, the output of tests that failed (of
// all with -v), what was skipped and why, and as its last line "N passed, N failed, N skipped". The status is 1 when anything
// failed. A machine that dies or hangs in one package is replaced for those after it. "host" is the running kernel.
//
// RINGSIDE_KERNEL tells a test where it runs: 6.1, 6.12 or host. Package vmtest has what follows from that: a test skips for
// lack of a feature only on kernels that are not known to have it.
//
// # Measurements
//
//	bin/vm bench -kernel 6.12 -- BINARY ARGS...
//
// is run with one CPU and a clock on which one nanosecond is one executed instruction, and with kernel.bpf_stats_enabled=1. Figures are
// then repeatable to about half a percent, whatever else this machine does. RINGSIDE_COUNT=1 is set. Kernel 6.1 hangs at boot in that mode.
//
// # Kernels
//
//	bin/vm fetch -kernel 6.1,6.12
//
// puts them into the cache (see package kernels) and installs QEMU if it is missing; the other commands do that by
// themselves. It needs Debian's apt, and root only to install QEMU or to update apt's lists.
package main
