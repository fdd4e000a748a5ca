// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// asm writes a program out of system calls, in machine code for amd64. Such a program has no runtime: it begins within
// microseconds, has as many threads as it says, uses no stack (so fork, vfork and clone need no care), and makes no system
// call but those that the test is about.
type asm struct {
	t    testing.TB
	code []byte
	data []byte
}

// addr is an address in the program's data.
type addr uint32

// word is the value of the 8 bytes at an address, at the time of the call.
type word addr

const (
	asmBase  = 0x400000
	asmStart = 64 + 56 // behind the ELF header and the one program header
	asmData  = 0x2000  // where the data begins, from asmBase on
)

// System calls of amd64 (arch/x86/entry/syscalls/syscall_64.tbl). The constants of package unix are those of the
// architecture that the test is compiled for.
const (
	sysRead          = 0
	sysWrite         = 1
	sysOpen          = 2
	sysMmap          = 9
	sysPause         = 34
	sysNanosleep     = 35
	sysClone         = 56
	sysFork          = 57
	sysVfork         = 58
	sysExecve        = 59
	sysExit          = 60
	sysWait4         = 61
	sysKill          = 62
	sysChdir         = 80
	sysGetppid       = 110
	sysGetpid        = 39
	sysPrctl         = 157
	sysSetrlimit     = 160
	sysGettid        = 186
	sysFutex         = 202
	sysSetTidAddress = 218
	sysExitGroup     = 231
	sysClone3        = 435
)

func newAsm(t testing.TB) *asm {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the programs of this test are machine code for amd64")
	}
	return &asm{t: t}
}

// space reserves n zero bytes, on a word boundary.
func (a *asm) space(n int) addr {
	at := addr(asmBase + asmData + len(a.data))
	a.data = append(a.data, make([]byte, (n+7)&^7)...)
	return at
}

func (a *asm) text(s string) addr {
	at := a.space(len(s) + 1)
	copy(a.data[at-asmBase-asmData:], s)
	return at
}

func (a *asm) words(values ...any) addr {
	at := a.space(8 * len(values))
	for i, v := range values {
		a.put(at+addr(8*i), v)
	}
	return at
}

func (a *asm) put(at addr, v any) {
	var n uint64
	switch v := v.(type) {
	case int:
		n = uint64(v)
	case addr:
		n = uint64(v)
	default:
		a.t.Fatalf("asm: %T is no constant", v)
	}
	binary.LittleEndian.PutUint64(a.data[at-asmBase-asmData:], n)
}

func (a *asm) emit(b ...byte) { a.code = append(a.code, b...) }

func (a *asm) emit32(v uint32) { a.code = binary.LittleEndian.AppendUint32(a.code, v) }

// argRegisters are those of a system call: rdi, rsi, rdx, r10, r8, r9.
var argRegisters = [...]byte{7, 6, 2, 10, 8, 9}

// call makes a system call. Arguments are int, addr or word.
func (a *asm) call(nr int, args ...any) {
	for i, arg := range args {
		reg := argRegisters[i]
		switch v := arg.(type) {
		case word: // mov reg, [address]
			a.emit(0x48|reg>>3<<2, 0x8b, reg&7<<3|4, 0x25)
			a.emit32(uint32(v))
		case int, addr: // movabs reg, constant
			var n uint64
			if c, ok := v.(int); ok {
				n = uint64(c)
			} else {
				n = uint64(v.(addr))
			}
			a.emit(0x48|reg>>3, 0xb8|reg&7)
			a.code = binary.LittleEndian.AppendUint64(a.code, n)
		default:
			a.t.Fatalf("asm: %T is no argument", arg)
		}
	}
	a.emit(0xb8) // mov eax, nr
	a.emit32(uint32(nr))
	a.emit(0x0f, 0x05) // syscall
}

// store keeps the result of the last call.
func (a *asm) store(to addr) {
	a.emit(0x48, 0x89, 0x04, 0x25) // mov [to], rax
	a.emit32(uint32(to))
}

// child is what happens when the last call, a kind of fork, returned 0. It must not run out of its end.
func (a *asm) child(body func()) {
	a.emit(0x48, 0x85, 0xc0, 0x0f, 0x85) // test rax, rax; jnz
	at := len(a.code)
	a.emit32(0)
	body()
	a.emit(0x0f, 0x0b) // ud2
	binary.LittleEndian.PutUint32(a.code[at:], uint32(len(a.code)-at-4))
}

// repeat does body n times.
func (a *asm) repeat(n int, body func()) {
	left := a.words(n)
	top := len(a.code)
	body()
	a.emit(0x48, 0xff, 0x0c, 0x25) // dec qword [left]
	a.emit32(uint32(left))
	a.emit(0x0f, 0x85) // jnz top
	a.emit32(uint32(top - len(a.code) - 4))
}

// burn counts down from n.
func (a *asm) burn(n int) {
	a.emit(0x48, 0xb9) // movabs rcx, n
	a.code = binary.LittleEndian.AppendUint64(a.code, uint64(n))
	a.emit(0x48, 0xff, 0xc9, 0x75, 0xfb) // dec rcx; jnz the dec
}

// fault ends the program by an instruction that does not exist.
func (a *asm) fault() { a.emit(0x0f, 0x0b) }

// tell writes the word at an address to standard output.
func (a *asm) tell(at addr) { a.call(sysWrite, 1, at, 8) }

// tellResult writes the result of the last call to standard output.
func (a *asm) tellResult() {
	at := a.space(8)
	a.store(at)
	a.tell(at)
}

// await waits for a byte, or the end, of standard input.
func (a *asm) await() { a.call(sysRead, 0, a.space(8), 1) }

// exec executes another program with these arguments and no environment.
func (a *asm) exec(path string, args ...string) {
	argv := make([]any, 0, len(args)+1)
	for _, s := range args {
		argv = append(argv, a.text(s))
	}
	a.call(sysExecve, a.text(path), a.words(append(argv, 0)...), a.words(0))
}

func (a *asm) exit(code int) { a.call(sysExitGroup, code) }

// exitThread ends the calling thread alone.
func (a *asm) exitThread(code int) { a.call(sysExit, code) }

// Flags of clone (include/uapi/linux/sched.h).
const (
	cloneVM     = 0x100
	cloneVfork  = 0x4000
	cloneParent = 0x8000
	// cloneThread makes a thread as pthread_create does.
	cloneThread = cloneVM | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000
	sigChild    = 17
)

// thread starts a thread.
func (a *asm) thread(body func()) {
	a.call(sysClone, cloneThread, 0, 0, 0, 0)
	a.child(body)
}

// build writes the program to a file in a folder with a short name, and returns the file's path.
func (a *asm) build() string {
	a.t.Helper()
	if asmStart+len(a.code) > asmData {
		a.t.Fatalf("asm: %d bytes of code are too many", len(a.code))
	}
	size := uint64(asmData + len(a.data))
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: asmBase + asmStart, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W | elf.PF_X),
		Vaddr: asmBase, Paddr: asmBase, Filesz: size, Memsz: size, Align: 0x1000,
	}
	var b bytes.Buffer
	for _, v := range []any{&header, &segment} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			a.t.Fatal(err)
		}
	}
	image := make([]byte, size)
	copy(image, b.Bytes())
	copy(image[asmStart:], a.code)
	copy(image[asmData:], a.data)
	dir, err := os.MkdirTemp("", "rs")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			a.t.Error(err)
		}
	})
	path := filepath.Join(dir, "p")
	if err := os.WriteFile(path, image, 0o755); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// running is a program of asm that runs, with what it says.
type running struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  *os.File
}

// start starts a program.
func start(t testing.TB, path string, args ...string) *running {
	t.Helper()
	cmd := exec.Command(path, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	p := &running{t: t, cmd: cmd, stdin: stdin, said: said}
	t.Cleanup(func() {
		_ = said.Close() // finish may have closed it
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // the test has failed before
			_ = cmd.Wait()
		}
	})
	return p
}

func (p *running) pid() int { return p.cmd.Process.Pid }

// word is the next that the program tells.
func (p *running) word() int {
	p.t.Helper()
	var b [8]byte
	if _, err := io.ReadFull(p.said, b[:]); err != nil {
		p.t.Fatalf("read what the program says: %v", err)
	}
	return int(binary.LittleEndian.Uint64(b[:]))
}

// goOn lets one await of the program return.
func (p *running) goOn() {
	p.t.Helper()
	if _, err := p.stdin.Write([]byte{0}); err != nil {
		p.t.Fatal(err)
	}
}

// finish waits until the program and all that it started have ended, and returns what they told last. They have passed the
// tracepoint of the exit then: files are closed after it (kernel/exit.c, do_exit).
func (p *running) finish() []int {
	p.t.Helper()
	if err := p.stdin.Close(); err != nil {
		p.t.Fatal(err)
	}
	b, err := io.ReadAll(p.said)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // the status is for the test to judge
	var words []int
	for ; len(b) >= 8; b = b[8:] {
		words = append(words, int(binary.LittleEndian.Uint64(b)))
	}
	return words
}

// run runs a program to its end.
func run(t testing.TB, path string, args ...string) (pid int, words []int, cmd *exec.Cmd) {
	t.Helper()
	p := start(t, path, args...)
	words = p.finish()
	return p.pid(), words, p.cmd
}
