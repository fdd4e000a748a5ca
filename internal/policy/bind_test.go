// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"strings"
	"testing"
)

// types binds the parameters of a hook by their index; the return value has index -1 here.
func lookup(h *Hook, byIndex map[int]Binding) func(*Arg) (Binding, error) {
	return func(a *Arg) (Binding, error) {
		b, ok := byIndex[a.Index]
		if !ok {
			return Binding{}, errors.New("no such parameter")
		}
		return b, nil
	}
}

func TestBindGivesFiltersTheirMeaning(t *testing.T) {
	h := &parseFile(t, "testdata/valid/open-types.yaml")[0].Hooks[0]
	before := h.Hash()
	bound, err := h.Bind(lookup(h, map[int]Binding{
		0: {Type: File},
		1: {Type: Enum, Bits: 32, Names: map[string]int64{"READING_MODULE": 2, "READING_POLICY": 5}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	filters := bound.Selectors[0].Args
	for i, want := range []string{"number [2 5]", "prefix [/lib/modules/]", "file_type [32768]"} {
		f := filters[i]
		got := f.Test.String() + " "
		if len(f.Operand.Texts) > 0 {
			got += "[" + strings.Join(f.Operand.Texts, " ") + "]"
		} else {
			var all []string
			for _, v := range f.Operand.Intervals {
				all = append(all, v.String())
			}
			got += "[" + strings.Join(all, " ") + "]"
		}
		if !f.Bound || got != want {
			t.Errorf("filter %d: %s, bound %t; want %s", i, got, f.Bound, want)
		}
	}
	if h.Hash() != before || h.Selectors[0].Args[0].Bound {
		t.Error("Bind changed the hook that it was asked of")
	}
}

func TestBindReportsFiltersThatDoNotFitTheKernel(t *testing.T) {
	tests := []struct{ spec, want string }{
		{"matchArgs: [{index: 0, operator: GT, values: [1]}]", "the operator GT does not apply to an argument of type file"},
		{"matchArgs: [{index: 1, operator: Equal, values: [READING_MODUL]}]", "did you mean `READING_MODULE`?"},
		{"matchArgs: [{index: 1, operator: Equal, values: [4294967296]}]", "does not fit 32 bits"},
		{"matchArgs: [{index: 1, operator: CelExpr, values: [\"arg0 == true\"]}]", "do not go together"},
		{"matchArgs: [{index: 0, operator: CelExpr, values: [\"arg0 == 1\"]}]", "CelExpr does not apply"},
		{"matchArgs: [{index: 7, operator: Equal, values: [1]}]", "no such parameter"},
		{"matchArgs: [{index: 2, operator: Equal, values: [1]}]", "the type of the argument 2 is not known"},
		{"matchActions: [{action: Metrics, metrics: [{name: m, type: sum, value: arg0}]}]", "an argument of type file is nothing for a metric"},
		{"matchActions: [{action: Metrics, metrics: [{name: m, type: counter, by: [arg0]}]}]", "an argument of type file is nothing for a metric"},
	}
	for _, test := range tests {
		h := &parseOne(t, "  kprobes: [{call: a, selectors: [{"+test.spec+"}]}]\n").Hooks[0]
		_, err := h.Bind(lookup(h, map[int]Binding{
			0: {Type: File}, 1: {Type: Enum, Bits: 32, Names: map[string]int64{"READING_MODULE": 2}}, 2: {},
		}))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "x.yaml:5:") {
			t.Errorf("%s: got %v", test.spec, err)
		}
	}
}

func TestBindKeepsDeclaredTypes(t *testing.T) {
	h := &parseOne(t, "  kprobes: [{call: a, args: [{index: 0, type: int}], data: [{source: current_task, resolve: pid}], selectors: [{matchArgs: [{index: 0, operator: Equal, values: [-1]}], matchData: [{index: 0, operator: Equal, values: [1]}], matchReturnArgs: [{operator: LT, values: [0]}]}]}]\n").Hooks[0]
	bound, err := h.Bind(func(a *Arg) (Binding, error) {
		if a.Source == FromCurrentTask {
			return Binding{Type: Int32}, nil
		}
		return Binding{Type: Uint64}, nil
	})
	if err == nil || !strings.Contains(err.Error(), "no number of this type is beyond 0") {
		t.Fatalf("a return value without sign is never below zero: %v, %v", bound, err)
	}
	bound, err = h.Bind(func(*Arg) (Binding, error) { return Binding{Type: Int64}, nil })
	if err != nil {
		t.Fatal(err)
	}
	s := bound.Selectors[0]
	if bound.Args[0].Type != Int32 || bound.Data[0].Type != Int64 || bound.Return.Type != Int64 || s.Args[0].Operand.Bits != 32 || s.ReturnArgs[0].Operand.Bits != 64 {
		t.Errorf("got %+v", bound)
	}
}
