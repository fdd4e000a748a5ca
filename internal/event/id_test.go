// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"math"
	"testing"
)

func TestExecIDIsStable(t *testing.T) {
	// A changed value here breaks every stored reference to a process: it is part of the contract.
	n := NewNode("d1219c7c4c5404aaa1f6d2a48adfda44", "0f6b6a5e-2c5c-4d8f-9f86-3a1d4f0e9c11")
	for _, tc := range []struct {
		id   ID
		want string
	}{
		{ID{}, "0-0-0"},
		{ID{Start: 0x1234567890, PID: 4321, Exec: 3}, "1234567890-10e1-3"},
		{ID{Start: math.MaxUint64, PID: math.MaxUint32, Exec: math.MaxUint64}, "ffffffffffffffff-ffffffff-ffffffffffffffff"},
	} {
		if got, want := n.ExecID(tc.id), "0ba31bfccb962b5e-"+tc.want; got != want {
			t.Errorf("ExecID(%+v) = %q, want %q", tc.id, got, want)
		}
		if got := string(n.AppendExecID([]byte("x"), tc.id)); got != "x"+n.ExecID(tc.id) {
			t.Errorf("AppendExecID(%+v) = %q", tc.id, got)
		}
	}
}

func TestNodesDiffer(t *testing.T) {
	seen := map[Node]string{}
	for _, pair := range [][2]string{{"", ""}, {"a", ""}, {"", "a"}, {"ab", "c"}, {"a", "bc"}, {"1:a", "b"}, {"a", "1:b"}} {
		n := NewNode(pair[0], pair[1])
		if n != NewNode(pair[0], pair[1]) {
			t.Errorf("NewNode(%q) is not a function of its arguments", pair)
		}
		if other, ok := seen[n]; ok {
			t.Errorf("NewNode(%q) is that of %s", pair, other)
		}
		seen[n] = fmt.Sprintf("%q", pair)
	}
}

func FuzzExecIDIsInjective(f *testing.F) {
	f.Add(uint64(1), uint32(11), uint64(1), uint64(11), uint32(1), uint64(1))
	f.Add(uint64(0x11), uint32(1), uint64(0), uint64(1), uint32(0x11), uint64(0))
	n := NewNode("host", "boot")
	f.Fuzz(func(t *testing.T, s1 uint64, p1 uint32, e1, s2 uint64, p2 uint32, e2 uint64) {
		a, b := ID{Start: s1, PID: p1, Exec: e1}, ID{Start: s2, PID: p2, Exec: e2}
		if (n.ExecID(a) == n.ExecID(b)) != (a == b) {
			t.Errorf("%+v and %+v: %q and %q", a, b, n.ExecID(a), n.ExecID(b))
		}
	})
}

func BenchmarkAppendExecID(b *testing.B) {
	n := NewNode("host", "boot")
	id := ID{Start: 0x1234567890ab, PID: 4321, Exec: 3}
	var buf [64]byte
	b.ReportAllocs()
	for b.Loop() {
		_ = n.AppendExecID(buf[:0], id)
	}
}
