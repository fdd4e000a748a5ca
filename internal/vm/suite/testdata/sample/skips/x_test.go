// SPDX-License-Identifier: Apache-2.0

package skips

import "testing"

func TestSkips(t *testing.T) { t.Skip("no such feature\nsecond line") }

func TestParent(t *testing.T) {
	t.Run("skips", func(t *testing.T) { t.Skip("not here") })
	t.Run("passes", func(t *testing.T) {})
}
