// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/sha256"
	"encoding/hex"
	"math/bits"
	"strconv"
)

// nodeBytes is how much of the digest stands for a node: 64 bits keep the chance that two of a million boots
// are taken for each other below one in thirty million.
const nodeBytes = 8

// Node names one boot of one machine. With an ID it names an execution among all machines and boots.
type Node struct {
	prefix [2*nodeBytes + 1]byte
}

// NewNode derives the node from what names the machine (its machine ID) and what names the boot (the
// kernel's boot ID). The same two strings give the same node, on whichever machine that is computed.
func NewNode(host, boot string) Node {
	// The length keeps ("ab", "c") and ("a", "bc") apart.
	sum := sha256.Sum256([]byte(strconv.Itoa(len(host)) + ":" + host + boot))
	var n Node
	hex.Encode(n.prefix[:2*nodeBytes], sum[:nodeBytes])
	n.prefix[2*nodeBytes] = '-'
	return n
}

// AppendExecID appends the exec_id of id to dst: node, start, PID and exec count, in hexadecimal and divided by
// hyphens, so that on one node two IDs never share one.
func (n Node) AppendExecID(dst []byte, id ID) []byte {
	dst = append(dst, n.prefix[:]...)
	dst = appendHex(dst, id.Start)
	dst = append(dst, '-')
	dst = appendHex(dst, uint64(id.PID))
	dst = append(dst, '-')
	return appendHex(dst, id.Exec)
}

// appendHex appends v without leading zeros. Every record has two or three IDs, and strconv is three times as dear.
func appendHex(dst []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := max(bits.Len64(v)-1, 0) &^ 3; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

// ExecID returns the exec_id of id.
func (n Node) ExecID(id ID) string {
	return string(n.AppendExecID(nil, id))
}
