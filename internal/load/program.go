// SPDX-License-Identifier: Apache-2.0

package load

import "time"

// Program is what the kernel measured of one program.
type Program struct {
	Name    string
	RunTime time.Duration // in all runs together
	Runs    uint64
}
