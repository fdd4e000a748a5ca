// SPDX-License-Identifier: Apache-2.0

// Package wire is what the runner and the init process of its virtual machine say to each other.
//
// The runner speaks first and once: a [Spec], as JSON, at [SpecPath] of the initial file system. The guest answers
// with frames on a serial port that nothing else writes to, so that output of a test, whatever bytes it is made of, can
// never be taken for its exit status, nor kernel messages for output. A frame is one byte that tells its [Type], the
// length of its payload as four bytes (big endian) and the payload.
//
// The order of frames is: Hello, then for each task Begin, any number of Stdout, Stderr and File, End, and at last Done.
// Fatal can come at any time and is the last frame.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// SpecPath is where the guest finds its Spec. Its folder belongs to the runner.
const SpecPath = "/.vm/spec.json"

// Marker starts the line that the guest writes to the kernel's log before and after each task. "begin" or "end" and
// the number of the task follow. It divides the console into what belongs to which task.
const Marker = "ringside-vm:"

// Spec tells the guest what to do.
type Spec struct {
	// Hostname is the name that the guest gives itself.
	Hostname string `json:"hostname"`
	// Modules are the paths of kernel modules to load, in this order.
	Modules []string `json:"modules,omitempty"`
	// Sysctl are settings below /proc/sys, "kernel/bpf_stats_enabled", and their values.
	Sysctl map[string]string `json:"sysctl,omitempty"`
	// Tasks are run one after the other, whatever becomes of those before.
	Tasks []Task `json:"tasks"`
}

// Task is one command.
type Task struct {
	Path string   `json:"path"` // absolute path of the program
	Args []string `json:"args"` // argv, argv[0] included
	Env  []string `json:"env"`  // NAME=value; the whole environment
	Dir  string   `json:"dir"`  // working directory
	// Merge makes stdout and stderr the same file, so that the order of writes is kept; all comes as Stdout.
	Merge bool `json:"merge,omitempty"`
	// Get are files to send back when the task has ended. A file that does not exist is not sent.
	Get []string `json:"get,omitempty"`
}

// Exit is the payload of End: how a task ended.
type Exit struct {
	Code   int    `json:"code"`             // exit code; meaningless when Signal or Error is set
	Signal int    `json:"signal,omitempty"` // signal that ended it, or 0
	Error  string `json:"error,omitempty"`  // why it could not be started
	// Taint are the bits of /proc/sys/kernel/tainted that were set while it ran.
	Taint uint64 `json:"taint,omitempty"`
}

// Status is the exit status that a shell would tell: 128 and the signal for a task that a signal ended.
func (e Exit) Status() int {
	switch {
	case e.Error != "":
		return 126
	case e.Signal != 0:
		return 128 + e.Signal
	}
	return e.Code
}

// Type says what a frame is.
type Type byte

// The types of frames, and their payloads.
const (
	Hello  Type = 'H' // the guest is ready; payload: release of its kernel
	Begin  Type = 'B' // a task starts
	Stdout Type = 'O' // output; payload: the bytes
	Stderr Type = 'E' // error output; payload: the bytes
	File   Type = 'F' // a chunk of a file of Task.Get; payload: its index as one byte, then bytes
	End    Type = 'X' // a task has ended; payload: Exit as JSON
	Done   Type = 'D' // all tasks have ended
	Fatal  Type = '!' // the guest cannot go on; payload: the reason
)

// MaxPayload is how many bytes the payload of a frame can have.
const MaxPayload = 1 << 20

// ErrCorrupt is in the chain of errors for bytes that are no frame: something else wrote to the port.
var ErrCorrupt = errors.New("not a frame of the guest")

const headerSize = 5

// Write writes one frame, with one call of w.Write.
func Write(w io.Writer, t Type, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("write frame %q: %d bytes, more than %d", t, len(payload), MaxPayload)
	}
	frame := make([]byte, headerSize, headerSize+len(payload))
	frame[0] = byte(t)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	if _, err := w.Write(append(frame, payload...)); err != nil {
		return fmt.Errorf("write frame %q: %w", t, err)
	}
	return nil
}

// Read reads one frame. It returns io.EOF between frames, io.ErrUnexpectedEOF (wrapped) within one, and ErrCorrupt
// (wrapped) for bytes that are none.
func Read(r io.Reader) (Type, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil, io.EOF
		}
		return 0, nil, fmt.Errorf("read frame: %w", err)
	}
	t, size := Type(header[0]), binary.BigEndian.Uint32(header[1:])
	if !t.known() || size > MaxPayload {
		return 0, nil, fmt.Errorf("read frame: %w: % x", ErrCorrupt, header)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, fmt.Errorf("read frame %q of %d bytes: %w", t, size, err)
	}
	return t, payload, nil
}

func (t Type) known() bool {
	switch t {
	case Hello, Begin, Stdout, Stderr, File, End, Done, Fatal:
		return true
	}
	return false
}
