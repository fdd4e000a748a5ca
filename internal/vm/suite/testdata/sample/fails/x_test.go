// SPDX-License-Identifier: Apache-2.0

package fails

import "testing"

func TestParent(t *testing.T) {
	t.Run("good", func(t *testing.T) {})
	t.Run("bad", func(t *testing.T) { t.Error("this is why") })
}

func TestAlone(t *testing.T) { t.Error("alone") }
