// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Post is how a match becomes an event.
type Post struct {
	Pos Position
	// RateLimit is the time in which an event is not repeated that has the same arguments, within its scope; 0 for none.
	RateLimit time.Duration
	Scope     Scope
	// KernelStack and UserStack ask for stack traces.
	KernelStack, UserStack bool
	// IMAHash asks for the file's digest from the kernel's integrity subsystem.
	IMAHash bool
}

// Scope is within what a rate limit counts.
type Scope uint8

// The scopes. ScopeThread is the default.
const (
	ScopeThread Scope = iota
	ScopeProcess
	ScopeGlobal
)

var scopeNames = [...]string{"thread", "process", "global"}

// String returns the name in the language.
func (s Scope) String() string { return scopeNames[s] }

func (r *reader) scope(n *node) Scope {
	s, ok := r.scalar(n, "rateLimitScope")
	if !ok || s == "" {
		return ScopeThread
	}
	if i := slices.Index(scopeNames[:], strings.ToLower(s)); i >= 0 {
		return Scope(i)
	}
	r.fail(n.pos, didYouMean(s, scopeNames[:]), "there is no scope %q", clip(s))
	return ScopeThread
}

// maxRateLimit keeps a rate limit within what the kernel part counts in: nanoseconds in 63 bits hold 292 years; a day is
// more than a policy needs, and less than a typing error makes.
const maxRateLimit = 24 * time.Hour

// duration reads a time: a number of seconds, or one with a unit of s, m or h, or of Go.
func (r *reader) duration(n *node) time.Duration {
	s, ok := r.scalar(n, "rateLimit")
	if !ok || s == "" {
		return 0
	}
	d, ok := parseDuration(s)
	switch {
	case !ok:
		r.fail(n.pos, "for example 10, 5s, 2m or 1h", "rateLimit: %q is no time", clip(s))
	case d < 0 || d > maxRateLimit:
		r.fail(n.pos, "", "rateLimit must be from 0 to %s, not %s", maxRateLimit, clip(s))
	default:
		return d
	}
	return 0
}

func parseDuration(s string) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}
