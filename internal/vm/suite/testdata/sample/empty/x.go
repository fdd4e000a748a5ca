// SPDX-License-Identifier: Apache-2.0

// Package empty has no tests.
package empty
