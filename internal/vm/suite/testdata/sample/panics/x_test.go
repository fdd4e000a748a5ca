// SPDX-License-Identifier: Apache-2.0

package panics

import "testing"

func TestBefore(t *testing.T) {}

func TestPanics(t *testing.T) { panic("at the disco") }

func TestAfter(t *testing.T) {}
