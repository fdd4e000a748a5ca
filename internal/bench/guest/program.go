// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A load is made of programs without a C library or a runtime, for x86-64: what they cost themselves is next to
// nothing and the same in each run.

const (
	// nothing is a program that ends at once. It is in a folder where programs are.
	nothing = "/usr/bin/bench-nothing"
	// pausing is a program that waits for a signal.
	pausing = "/usr/bin/bench-pausing"
)

// base is where the programs are in memory.
const base = 0x400000

// writePrograms puts the programs that loads execute in place.
func writePrograms() error {
	if err := writeProgram(nothing, exit(0)); err != nil {
		return err
	}
	return writeProgram(pausing, pause())
}

func writeProgram(path string, code []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write program: %w", err)
	}
	if err := os.WriteFile(path, program(code), 0o755); err != nil {
		return fmt.Errorf("write program: %w", err)
	}
	return nil
}

// program returns an ELF file of one segment that has the code at its entry.
func program(code []byte) []byte {
	const headers = 64 + 56
	size := uint64(headers + len(code))
	var b bytes.Buffer
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base,
		Filesz: size, Memsz: size, Align: 0x1000,
	}
	for _, part := range []any{header, segment, code} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			panic(err) // all parts have a fixed size
		}
	}
	return b.Bytes()
}

// workload says what a load program does: it makes processes, one after the other, with the arguments after its own name as
// the program and its arguments.
type workload struct {
	processes int
	// clone are the flags of clone(2).
	clone uint32
	// execute makes each child execute the program; else it ends, or stays, at once.
	execute bool
	// stay makes children that execute nothing pause, and the load wait for none of them. When all are made it writes a byte to
	// standard output; once its standard input is closed it kills its process group, itself included.
	stay bool
	// pause is the time between two processes in nanoseconds, less than a second.
	pause uint32
}

const (
	fork  = uint32(unix.SIGCHLD)
	vfork = uint32(unix.CLONE_VM | unix.CLONE_VFORK | unix.SIGCHLD)
)

// code returns the machine instructions. Registers: ebx counts down, r13 is the child's argv, r14 the environment,
// r15 the time to pause.
func (l workload) code() []byte {
	setup := slices.Concat(
		[]byte{0x4c, 0x8b, 0x24, 0x24},       // mov r12, [rsp]: argc
		[]byte{0x4c, 0x8d, 0x6c, 0x24, 0x10}, // lea r13, [rsp+16]
		[]byte{0x4e, 0x8d, 0x74, 0xe4, 0x10}, // lea r14, [rsp+r12*8+16]
		[]byte{0x68}, word(l.pause),          // push nanoseconds
		[]byte{0x6a, 0x00},                      // push seconds
		[]byte{0x49, 0x89, 0xe7},                // mov r15, rsp
		[]byte{0xbb}, word(uint32(l.processes)), // mov ebx, processes
	)
	child := exit(0)
	switch {
	case l.execute:
		child = slices.Concat(
			[]byte{0x49, 0x8b, 0x7d, 0x00}, // mov rdi, [r13]
			[]byte{0x4c, 0x89, 0xee},       // mov rsi, r13
			[]byte{0x4c, 0x89, 0xf2},       // mov rdx, r14
			call(unix.SYS_EXECVE), exit(127))
	case l.stay:
		child = pause()
	}
	clone := slices.Concat(
		[]byte{0xbf}, word(l.clone), // mov edi, flags
		[]byte{0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0x45, 0x31, 0xc0}, // xor esi, edx, r10d, r8d
		call(unix.SYS_CLONE),
		[]byte{0x85, 0xc0},             // test eax, eax
		[]byte{0x75, byte(len(child))}, // jnz over the child
		child)
	if !l.stay {
		clone = slices.Concat(clone,
			[]byte{0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff}, // mov rdi, -1
			[]byte{0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2}, // xor esi, edx, r10d
			call(unix.SYS_WAIT4))
	}
	if l.pause > 0 {
		clone = slices.Concat(clone,
			[]byte{0x4c, 0x89, 0xff, 0x31, 0xf6}, // mov rdi, r15; xor esi, esi
			call(unix.SYS_NANOSLEEP))
	}
	clone = append(clone, 0xff, 0xcb) // dec ebx
	back := -(len(clone) + 6)
	loop := slices.Concat(clone, []byte{0x0f, 0x85}, word(uint32(back))) // jnz to clone
	return slices.Concat(setup, loop, l.end())
}

// end is what the program does when all processes are made.
func (l workload) end() []byte {
	if !l.stay {
		return exit(0)
	}
	buffer := []byte{0x4c, 0x89, 0xfe, 0xba, 0x01, 0x00, 0x00, 0x00} // mov rsi, r15; mov edx, 1
	return slices.Concat(
		[]byte{0xbf}, word(1), buffer, call(unix.SYS_WRITE), // mov edi, 1
		[]byte{0x31, 0xff}, buffer, call(unix.SYS_READ), // xor edi, edi
		[]byte{0x31, 0xff, 0xbe}, word(uint32(unix.SIGKILL)), call(unix.SYS_KILL)) // xor edi, edi; mov esi, SIGKILL
}

func exit(status byte) []byte {
	return slices.Concat([]byte{0xbf}, word(uint32(status)), call(unix.SYS_EXIT_GROUP)) // mov edi, status
}

// pause waits for a signal, for ever.
func pause() []byte {
	wait := call(unix.SYS_PAUSE)
	return append(wait, 0xeb, byte(-(len(wait) + 2))) // jmp to the start
}

// call is a system call with the arguments in place.
func call(number uint32) []byte {
	return slices.Concat([]byte{0xb8}, word(number), []byte{0x0f, 0x05}) // mov eax, number; syscall
}

func word(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
