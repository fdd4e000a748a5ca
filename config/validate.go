// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
	"unicode/utf8"
)

// Limit is the range of a number in the configuration.
type Limit struct {
	// Key is where it stands below the receiver, its parts divided by "::" as in the collector's own messages.
	Key string
	// Min and Max are the smallest and largest value; nanoseconds for a duration.
	Min, Max int64
	// Hint tells what to write instead of a value that is refused.
	Hint string

	value    func(*Config) int64
	duration bool
}

// Limits returns the ranges of all numbers, in the order of the fields.
func Limits() []Limit {
	return []Limit{
		{
			Key: "process::ring_size", Min: 64 << 10, Max: 1 << 30,
			Hint:  "it is in bytes; 8388608 (8 MiB) absorbs some seconds of a busy machine, double it while ring_full losses are reported",
			value: func(c *Config) int64 { return int64(c.Process.RingSize) },
		},
		{
			Key: "process::queue_size", Min: 1, Max: 1 << 20,
			Hint:  "it is in events; 4096 suits most machines, the ring absorbs what does not fit",
			value: func(c *Config) int64 { return int64(c.Process.QueueSize) },
		},
		{
			Key: "process::max_args_size", Min: 0, Max: 128 << 10,
			Hint:  "it is in bytes; 131072 (128 KiB) is the most that can be recorded of one process, 0 records no arguments",
			value: func(c *Config) int64 { return int64(c.Process.MaxArgsSize) },
		},
		{
			Key: "process::max_environment_size", Min: 0, Max: 128 << 10,
			Hint:  "it is in bytes; 32768 (32 KiB) holds nearly every environment",
			value: func(c *Config) int64 { return int64(c.Process.MaxEnvironmentSize) },
		},
		{
			Key: "process::exit_grace", Min: 0, Max: int64(10 * time.Minute), duration: true,
			Hint:  "memory is used for every process that ended within this time; 1s suits all machines",
			value: func(c *Config) int64 { return int64(c.Process.ExitGrace) },
		},
		{
			Key: "process::digest::wait", Min: 0, Max: int64(10 * time.Second), duration: true,
			Hint:  "all events wait behind one whose digest is computed; 100ms suits most machines, 0s never waits",
			value: func(c *Config) int64 { return int64(c.Process.Digest.Wait) },
		},
		{
			Key: "process::digest::max_file_size", Min: 1, Max: 64 << 30,
			Hint:  "it is in bytes; 268435456 (256 MiB) is the default, and enabled: false switches digests off",
			value: func(c *Config) int64 { return c.Process.Digest.MaxFileSize },
		},
		{
			Key: "process::digest::cache_size", Min: 1, Max: 1 << 20,
			Hint:  "it is in files; 4096 is the default, and enabled: false switches digests off",
			value: func(c *Config) int64 { return int64(c.Process.Digest.CacheSize) },
		},
	}
}

// check tells what is wrong with the value in c, nil when nothing is.
func (l *Limit) check(c *Config) error {
	v := l.value(c)
	if l.duration && v > 0 && v < int64(time.Millisecond) {
		return fmt.Errorf("%s: %v is less than 1ms, as a number without a unit is: write the unit, such as 100ms or 30s", l.Key, time.Duration(v))
	}
	if v >= l.Min && v <= l.Max {
		return nil
	}
	if l.duration {
		return fmt.Errorf("%s: %v is not between %v and %v: %s", l.Key, time.Duration(v), time.Duration(l.Min), time.Duration(l.Max), l.Hint)
	}
	return fmt.Errorf("%s: %d is not between %d and %d: %s", l.Key, v, l.Min, l.Max, l.Hint)
}

// maxVariables is how many environment variables can be chosen: each process is searched for all of them.
const maxVariables = 64

// Validate tells everything that is wrong, one error for each key, with the key, the value, what is allowed and what to
// do. The collector checks the section retry_on_failure by itself.
func (c *Config) Validate() error {
	var errs []error
	for _, l := range Limits() {
		errs = append(errs, l.check(c))
	}
	errs = append(errs, c.Process.checkRingSize(), c.Process.checkRecordFits(), c.Process.checkEnvironment())
	return errors.Join(errs...)
}

// checkRingSize refuses what the kernel would: a ring buffer is a power of two.
func (p *Process) checkRingSize() error {
	size := uint(p.RingSize)
	if p.RingSize < 64<<10 || size&(size-1) == 0 {
		return nil // what is out of range is told already
	}
	above := uint(1) << bits.Len(size)
	return fmt.Errorf("process::ring_size: %d is not a power of two, which the kernel asks for: use %d or %d", size, above/2, above)
}

// recordOverhead is what an exec record holds besides arguments and environment: at most four paths of PATH_MAX, and what is
// of fixed size (bpf/record.h).
const recordOverhead = 20 << 10

// checkRecordFits refuses a ring that cannot hold the largest record: such an exec would always be lost.
func (p *Process) checkRecordFits() error {
	largest := p.MaxArgsSize + recordOverhead
	if len(p.Environment) > 0 {
		largest += p.MaxEnvironmentSize
	}
	if p.RingSize >= largest || p.RingSize < 64<<10 {
		return nil // what is out of range is told already
	}
	return fmt.Errorf("process::ring_size: %d bytes cannot hold one exec of %d, with the arguments and environment that are to be recorded: "+
		"use at least %d, or lower process::max_args_size", p.RingSize, largest, 1<<bits.Len(uint(largest-1)))
}

// checkEnvironment refuses names that no variable can have.
func (p *Process) checkEnvironment() error {
	const key = "process::environment"
	var errs []error
	if len(p.Environment) > maxVariables {
		errs = append(errs, fmt.Errorf("%s: %d names are more than the %d that are allowed: leave some out", key, len(p.Environment), maxVariables))
	}
	if len(p.Environment) > 0 && p.MaxEnvironmentSize == 0 {
		errs = append(errs, fmt.Errorf("process::max_environment_size: with 0 none of the %d names in %s can be found: raise it, or empty the list",
			len(p.Environment), key))
	}
	seen := make(map[string]bool, len(p.Environment))
	for i, name := range p.Environment {
		var wrong string
		switch {
		case name == "":
			wrong = "is empty"
		case strings.ContainsRune(name, '='):
			wrong = "holds '=', which ends a name"
		case strings.ContainsRune(name, 0):
			wrong = "holds a NUL byte, which ends a variable"
		case !utf8.ValidString(name):
			wrong = "is not valid UTF-8, as the names of attributes must be"
		case seen[name]:
			wrong = "is there twice"
		default:
			seen[name] = true
			continue
		}
		errs = append(errs, fmt.Errorf("%s: name %d, %q, %s: write the bare names of variables, such as [LANG, LD_PRELOAD]", key, i+1, name, wrong))
	}
	return errors.Join(errs...)
}
