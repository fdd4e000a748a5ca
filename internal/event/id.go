// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/sha256"
	"encoding/hex"
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
	dst = strconv.AppendUint(dst, id.Start, 16)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(id.PID), 16)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Exec, 16)
}

// ExecID returns the exec_id of id.
func (n Node) ExecID(id ID) string {
	return string(n.AppendExecID(nil, id))
}
