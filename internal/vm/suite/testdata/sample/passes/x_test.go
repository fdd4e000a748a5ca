// SPDX-License-Identifier: Apache-2.0

package passes

import (
	"os"
	"testing"
)

func TestPasses(t *testing.T) { t.Log("quiet") }

func TestParent(t *testing.T) {
	t.Run("one", func(t *testing.T) {})
	t.Run("two/with slash", func(t *testing.T) { t.Log("kernel is " + os.Getenv("RINGSIDE_KERNEL")) })
}
