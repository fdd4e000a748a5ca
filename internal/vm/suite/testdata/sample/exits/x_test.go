// SPDX-License-Identifier: Apache-2.0

package exits

import (
	"fmt"
	"os"
	"testing"
)

func TestExits(t *testing.T) {
	fmt.Println("last words")
	os.Exit(42)
}
