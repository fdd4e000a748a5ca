// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strconv"
)

// kind is what a node of a document is.
type kind uint8

const (
	kindNull kind = iota
	kindScalar
	kindList
	kindMap
)

func (k kind) String() string {
	return [...]string{"nothing", "a value", "a list", "a map"}[k]
}

// node is one node of a document, whether it came from YAML or from Go values.
type node struct {
	pos   Position
	kind  kind
	text  string // of a scalar, as it was written, quotes and escapes resolved
	plain bool   // the scalar had no quotes, so that true is a boolean and 1 a number
	items []*node
	pairs []pair
}

type pair struct {
	key   string
	pos   Position // of the key
	value *node
}

// goNode makes a node of a value out of the collector's configuration. It fails for what YAML cannot give.
func goNode(v any, path string, depth int) (*node, error) {
	n := &node{pos: Position{Path: path}}
	if depth > maxDepth {
		return nil, &Error{Pos: n.pos, Message: tooDeep}
	}
	var err error
	switch v := v.(type) {
	case nil:
	case map[string]any:
		n.kind = kindMap
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			p := pair{key: k, pos: Position{Path: n.pos.field(k)}}
			if p.value, err = goNode(v[k], p.pos.Path, depth+1); err != nil {
				return nil, err
			}
			n.pairs = append(n.pairs, p)
		}
	case []any:
		n.kind = kindList
		for i, one := range v {
			item, err := goNode(one, n.pos.item(i), depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case string:
		n.kind, n.text = kindScalar, v
	case bool, int, int64, uint64:
		n.kind, n.text, n.plain = kindScalar, fmt.Sprint(v), true
	case float64:
		n.kind, n.text, n.plain = kindScalar, strconv.FormatFloat(v, 'g', -1, 64), true
	default:
		return nil, &Error{Pos: n.pos, Message: fmt.Sprintf("a value of type %T cannot be part of a policy", v)}
	}
	return n, nil
}
