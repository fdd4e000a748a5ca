// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// writeTypes writes those of the running kernel's types that a list names, small enough to be committed. The list has a line for
// each: "struct task_struct", "union bpf_attr", "func fd_install", "func bpf_lsm_*", "typedef btf_trace_sched_*", "enum bpf_cmd". A structure that
// a pointer points to and that the list does not name is only declared; one that lies in another is whole.
func writeTypes(w io.Writer, list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			wanted[line] = true
		}
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return err
	}
	c := cutter{wanted: wanted, done: map[btf.Type]btf.Type{}}
	var keep []btf.Type
	for t, err := range spec.All() {
		if err != nil {
			return err
		}
		if c.wants(t) {
			keep = append(keep, c.cut(t))
		}
	}
	if len(keep) < len(wanted) {
		return errors.New("the kernel has not all types that the list names")
	}
	builder, err := btf.NewBuilder(keep, &btf.BuilderOptions{Deduplicate: true})
	if err != nil {
		return err
	}
	raw, err := builder.Marshal(nil, nil)
	if err != nil {
		return fmt.Errorf("encode %d types: %w", len(keep), err)
	}
	_, err = w.Write(raw)
	return err
}

type cutter struct {
	wanted map[string]bool
	done   map[btf.Type]btf.Type
}

// wants tells whether the list names a type, as it is or by a prefix that ends with an asterisk.
func (c *cutter) wants(t btf.Type) bool {
	var keyword string
	switch t.(type) {
	case *btf.Struct:
		keyword = "struct "
	case *btf.Union:
		keyword = "union "
	case *btf.Enum:
		keyword = "enum "
	case *btf.Func:
		keyword = "func "
	case *btf.Typedef:
		keyword = "typedef "
	default:
		return false
	}
	name := keyword + t.TypeName()
	if c.wanted[name] {
		return true
	}
	for w := range c.wanted {
		if prefix, ok := strings.CutSuffix(w, "*"); ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// cut copies a type with what it needs.
func (c *cutter) cut(t btf.Type) btf.Type {
	if done, ok := c.done[t]; ok {
		return done
	}
	put := func(copied btf.Type) btf.Type {
		c.done[t] = copied
		return copied
	}
	switch t := t.(type) {
	case *btf.Struct:
		s := &btf.Struct{Name: t.Name, Size: t.Size}
		put(s)
		s.Members = c.members(t.Members)
		return s
	case *btf.Union:
		u := &btf.Union{Name: t.Name, Size: t.Size}
		put(u)
		u.Members = c.members(t.Members)
		return u
	case *btf.Pointer:
		p := &btf.Pointer{}
		put(p)
		p.Target = c.target(t.Target)
		return p
	case *btf.FuncProto:
		p := &btf.FuncProto{}
		put(p)
		p.Return = c.cut(t.Return)
		for _, param := range t.Params {
			p.Params = append(p.Params, btf.FuncParam{Name: param.Name, Type: c.cut(param.Type)})
		}
		return p
	case *btf.Func:
		return put(&btf.Func{Name: t.Name, Linkage: t.Linkage, Type: c.cut(t.Type), Tags: t.Tags})
	case *btf.Typedef:
		return put(&btf.Typedef{Name: t.Name, Type: c.cut(t.Type)})
	case *btf.Const:
		return put(&btf.Const{Type: c.cut(t.Type)})
	case *btf.Volatile:
		return put(&btf.Volatile{Type: c.cut(t.Type)})
	case *btf.Restrict:
		return put(&btf.Restrict{Type: c.cut(t.Type)})
	case *btf.TypeTag:
		return put(&btf.TypeTag{Value: t.Value, Type: c.cut(t.Type)})
	case *btf.Array:
		return put(&btf.Array{Index: c.cut(t.Index), Type: c.cut(t.Type), Nelems: t.Nelems})
	}
	return t // the others need no other type
}

func (c *cutter) members(of []btf.Member) []btf.Member {
	members := make([]btf.Member, len(of))
	for i, m := range of {
		members[i] = m
		members[i].Type = c.cut(m.Type)
		members[i].Tags = nil
	}
	return members
}

// target is what a pointer points to: declared only, unless the list names it.
func (c *cutter) target(t btf.Type) btf.Type {
	switch under := btf.UnderlyingType(t).(type) {
	case *btf.FuncProto:
		if _, named := t.(*btf.FuncProto); named && !c.tracepoint(under) {
			return (*btf.Void)(nil)
		}
	case *btf.Struct:
		if under.Name != "" && !c.wants(under) {
			return qualified(t, &btf.Fwd{Name: under.Name})
		}
	case *btf.Union:
		if under.Name != "" && !c.wants(under) {
			return qualified(t, &btf.Fwd{Name: under.Name, Kind: btf.FwdUnion})
		}
	}
	return c.cut(t)
}

// tracepoint tells whether a prototype is that of a raw tracepoint, which the types of tracepoints point to: their first
// parameter has no name and is a void pointer.
func (c *cutter) tracepoint(p *btf.FuncProto) bool {
	if len(p.Params) == 0 || p.Params[0].Name != "" {
		return false
	}
	first, ok := p.Params[0].Type.(*btf.Pointer)
	if !ok {
		return false
	}
	_, void := first.Target.(*btf.Void)
	return void
}

// qualified puts const back before what was cut.
func qualified(t, cut btf.Type) btf.Type {
	if _, ok := t.(*btf.Const); ok {
		return &btf.Const{Type: cut}
	}
	return cut
}
