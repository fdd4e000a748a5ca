// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// The least programs there are. Tests that look at how a program was executed, and not at what it does, use them: they need
// no library, start in no time, and can lie anywhere.
var (
	exitCode = map[string][]byte{
		"amd64": {0x31, 0xff, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05}, // exit_group(0)
		"arm64": {0x00, 0x00, 0x80, 0xd2, 0xc8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4},
	}
	// Waits for a signal.
	pauseCode = map[string][]byte{
		"amd64": {0xb8, 0x22, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}, // pause(), again and again
		"arm64": {
			0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2, 0x03, 0x00, 0x80, 0xd2, // ppoll(NULL, 0, NULL, NULL)
			0x28, 0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4, 0xfa, 0xff, 0xff, 0x17,
		},
	}
	exitCode386 = []byte{0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80} // exit(0)
)

// loadAddress is where the one segment of a program lies.
const loadAddress = 0x400000

// elf64 makes a static program of this machine's instructions.
func elf64(code []byte) []byte {
	machine := elf.EM_X86_64
	if runtime.GOARCH == "arm64" {
		machine = elf.EM_AARCH64
	}
	const headers = 64 + 56
	size := uint64(headers + len(code))
	return layout(
		elf.Header64{
			Ident: ident(elf.ELFCLASS64), Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
			Entry: loadAddress + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
		},
		elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: loadAddress, Paddr: loadAddress,
			Filesz: size, Memsz: size, Align: 0x1000,
		},
		code)
}

// elf32 makes a static program of 32-bit x86 instructions.
func elf32(code []byte) []byte {
	const headers = 52 + 32
	size := uint32(headers + len(code))
	return layout(
		elf.Header32{
			Ident: ident(elf.ELFCLASS32), Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_386), Version: uint32(elf.EV_CURRENT),
			Entry: loadAddress + headers, Phoff: 52, Ehsize: 52, Phentsize: 32, Phnum: 1,
		},
		elf.Prog32{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: loadAddress, Paddr: loadAddress,
			Filesz: size, Memsz: size, Align: 0x1000,
		},
		code)
}

func ident(class elf.Class) (id [elf.EI_NIDENT]byte) {
	copy(id[:], elf.ELFMAG)
	id[elf.EI_CLASS], id[elf.EI_DATA], id[elf.EI_VERSION] = byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	return id
}

func layout(parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		if err := binary.Write(&b, binary.LittleEndian, p); err != nil {
			panic(err) // fixed-size values and a buffer
		}
	}
	return b.Bytes()
}

// exitProgram is a program that ends at once.
func exitProgram() []byte { return elf64(exitCode[runtime.GOARCH]) }

// pauseProgram is a program that waits to be killed.
func pauseProgram() []byte { return elf64(pauseCode[runtime.GOARCH]) }

// install writes an executable file and makes the directories it needs.
func install(t *testing.T, path string, contents []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, contents, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
