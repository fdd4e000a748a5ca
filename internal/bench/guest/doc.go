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
// The load is made by programs of some dozen machine instructions (program.go), so that what is measured is the kernel and Ringside
// and not the load. Costs per process are the difference between two loads of different length where the measured program
// itself does more than the load, so that what is done once, or now and then, does not count as the cost of a process.
package main
