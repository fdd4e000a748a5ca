// SPDX-License-Identifier: Apache-2.0

package hangs

import (
	"testing"
	"time"
)

func TestHangs(t *testing.T) { time.Sleep(time.Hour) }
