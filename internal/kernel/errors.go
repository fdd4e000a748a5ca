// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotFound is matched by every *NotFound.
var ErrNotFound = errors.New("not in this kernel")

// NotFound says that the kernel has nothing of this name.
type NotFound struct {
	What   string   // "function", "tracepoint", "syscall", "LSM hook", "type", "enum constant", "module"
	Name   string   // as it was asked for
	Reason string   // what is known of the cause, a clause, or empty
	Near   []string // names that exist and may have been meant, best first; at most 3
}

func (e *NotFound) Error() string {
	s := "no " + e.What + " " + e.Name + " in this kernel"
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s + didYouMean(e.Near)
}

// Is makes every NotFound match ErrNotFound.
func (e *NotFound) Is(target error) bool { return target == ErrNotFound }

// Unsupported says that this kernel cannot do something, and why. It matches errors.ErrUnsupported unless Unknown is set.
type Unsupported struct {
	What    string // what was wanted: "fentry on tcp_connect", "kprobe.multi links"
	Reason  string // why it cannot be, a clause
	Instead string // what can be used in its place, a clause, or empty
	// Unknown is set when it could not be found out, for lack of privileges.
	Unknown bool
	Err     error // what the kernel said, or nil
}

func (e *Unsupported) Error() string {
	s := e.What + " cannot be used: "
	if e.Unknown {
		s = "cannot tell whether " + e.What + " can be used: "
	}
	s += e.Reason
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	if e.Instead != "" {
		s += "; " + e.Instead
	}
	return s
}

func (e *Unsupported) Unwrap() error { return e.Err }

// Is makes an Unsupported that is certain match errors.ErrUnsupported.
func (e *Unsupported) Is(target error) bool { return target == errors.ErrUnsupported && !e.Unknown }

// PathError says at which byte a path through fields cannot be followed.
type PathError struct {
	Path   string
	Column int // of the first byte that is wrong, from 0
	Reason string
	Near   []string // fields that exist and may have been meant, best first; at most 3
}

func (e *PathError) Error() string {
	return fmt.Sprintf("path %q, column %d: %s%s", e.Path, e.Column+1, e.Reason, didYouMean(e.Near))
}

func didYouMean(near []string) string {
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, ", ") + "?"
}
