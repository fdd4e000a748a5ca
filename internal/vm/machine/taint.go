// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"strings"
)

// taints are the bits of /proc/sys/kernel/tainted that mean that the kernel found itself broken, from
// Documentation/admin-guide/tainted-kernels.rst. The others tell of what was done to it, such as loading a module.
var taints = []struct {
	bit  uint
	text string
}{
	{4, "machine check"},
	{5, "bad page"},
	{7, "oops"},
	{9, "warning"},
	{14, "soft lockup"},
}

// Broken tells why the kernel is to be distrusted after a task: a taint that has no report in the console is told too. It is
// empty for a healthy one.
func (r Result) Broken() string {
	var reasons []string
	for _, s := range r.Splats {
		reasons = append(reasons, s.Headline)
	}
	if len(reasons) == 0 {
		for _, t := range taints {
			if r.Taint&(1<<t.bit) != 0 {
				reasons = append(reasons, fmt.Sprintf("kernel is tainted by: %s", t.text))
			}
		}
	}
	return strings.Join(reasons, "; ")
}
