// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the programs that run in the kernel, and what bpf2go makes of them: the compiled object for each
// architecture, and the Go form of the structs in record.h. It has no logic in Go.
package bpf

//go:generate go tool -modfile=../internal/tools/go.mod bpf2go -go-package bpf -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -type exec_record -type exit_record -type fork_record -type cgroup_record -type counters -type header -type kind -type exec_flag Process process.bpf.c -- -mcpu=v3 -Wall -Werror
