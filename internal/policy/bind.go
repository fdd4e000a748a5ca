// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
)

// Binding is what is known of an argument when the kernel's BTF has been asked.
type Binding struct {
	// Type is never Auto.
	Type ArgType
	// Bits and Signed describe an Enum. They are ignored for other types.
	Bits   int
	Signed bool
	// Names are the enumerators of an Enum, so that filters can name them.
	Names map[string]int64
}

// Bind returns a copy of the hook in which each argument has a type and each filter is bound. lookup is asked once for
// each of Args, Data and Return, those with a declared type too: for these it may return only what it has besides
// (an enumeration's names), and the declared type stays. When lookup says that the type is Auto, or fails, that is an
// error at the argument. The error is an Errors, with filters that do not fit the types among others.
func (h *Hook) Bind(lookup func(*Arg) (Binding, error)) (*Hook, error) {
	bound := *h
	bound.Args, bound.Data = slices.Clone(h.Args), slices.Clone(h.Data)
	if h.Return != nil {
		ret := *h.Return
		bound.Return = &ret
	}
	bound.Selectors = slices.Clone(h.Selectors)
	reader := &hookReader{reader: &reader{arch: h.arch}, hook: &bound, lists: h.lists}
	bindings := make(map[*Arg]Binding)
	for _, a := range bound.all() {
		b, err := lookup(a)
		switch {
		case err != nil:
			reader.fail(a.Pos, "", "%s", err)
			continue
		case a.Type == Auto && b.Type == Auto:
			reader.fail(a.Pos, "declare its `type`", "the type of the argument %d is not known", a.Index)
			continue
		case a.Type == Auto:
			a.Type = b.Type
		}
		bindings[a] = b
	}
	if err := reader.errs.result(); err != nil {
		return nil, err
	}
	for i := range bound.Selectors {
		s := &bound.Selectors[i]
		s.Args = reader.rebind(s.Args, inArgs, bindings)
		s.Data = reader.rebind(s.Data, inData, bindings)
		s.ReturnArgs = reader.rebind(s.ReturnArgs, inReturn, bindings)
		reader.checkMetrics(s.Metrics)
	}
	reader.checkMetrics(bound.Metrics)
	if err := reader.errs.result(); err != nil {
		return nil, err
	}
	return &bound, nil
}

// all returns the arguments of every kind.
func (h *Hook) all() []*Arg {
	var all []*Arg
	for _, list := range [][]Arg{h.Args, h.Data} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	if h.Return != nil {
		all = append(all, h.Return)
	}
	return all
}

func (h *hookReader) rebind(filters []Filter, in place, bindings map[*Arg]Binding) []Filter {
	filters = slices.Clone(filters)
	for i := range filters {
		h.bind(&filters[i], in, bindings)
	}
	return filters
}

// checkMetrics looks at the arguments of metrics again, now that their types are known.
func (h *hookReader) checkMetrics(metrics []Metric) {
	for _, m := range metrics {
		if m.Value.From == ValueArg {
			h.numeric(m.Value.Arg, m.Pos)
		}
		for _, a := range m.By {
			if a.Kind == ByArg {
				h.numeric(a.Arg, a.Pos)
			}
		}
	}
}
