// SPDX-License-Identifier: Apache-2.0

package crashes

import (
	"os"
	"testing"
	"time"
)

func TestBefore(t *testing.T) {}

// TestCrashes makes the kernel panic, if that kernel is the one of a test machine.
func TestCrashes(t *testing.T) {
	if host, err := os.Hostname(); err != nil || host != "ringside-vm" {
		t.Skipf("will not crash %s: %v", host, err)
	}
	// What was printed needs time to leave the machine.
	time.Sleep(time.Second)
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
		t.Fatal(err)
	}
	select {}
}
