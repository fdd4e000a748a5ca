// SPDX-License-Identifier: Apache-2.0

// Command guest measures, inside a virtual machine with one CPU in which one nanosecond is one executed instruction
// (see internal/vm, "Measurements"), what Ringside costs.
//
//	guest [flags] MEASUREMENT
//
// prints one JSON object per figure on standard output, {"name": ..., "value": ...}, and what explains the figures on
// standard error. It is started by internal/bench and is of no use outside of such a machine: times would be times.
//
// # How
//
// The load is made by programs of some dozen machine instructions (program.go), so that what is measured is the kernel and
// Ringside and not the load. What is done once, or now and then, is not to count as the cost of a process: a machine is used for
// a while first, user space is measured as the difference between a load of one process and one of many, and where
// everything is measured together the load is the same with and without Ringside.
package main
