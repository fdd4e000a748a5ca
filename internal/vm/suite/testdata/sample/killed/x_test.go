// SPDX-License-Identifier: Apache-2.0

package killed

import (
	"os"
	"syscall"
	"testing"
)

func TestKilled(t *testing.T) {
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {}
}
