// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestDates(t *testing.T) {
	const form = "2006-01-02T15:04:05.000000000Z"
	var d dates
	check := func(sec int64, nsec int) {
		want := time.Unix(sec, int64(nsec)).UTC().Format(form)
		assert.Equal(t, "x"+want, string(d.append([]byte("x"), sec, nsec)))
	}
	for _, sec := range []int64{0, -1, 1, -secondsPerDay, secondsPerDay, secondsPerDay - 1, 951782400, 4102444799, -62135596800} {
		check(sec, 0)
		check(sec, 999999999)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		check(random.Int64N(1<<34)-1<<32, random.IntN(1e9))
	}
}
