// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
)

// Selector is a condition with what is done when it holds. All its filters must hold; one without filters always does.
// Of the selectors of a hook the first that holds counts, and no other is looked at.
type Selector struct {
	Pos Position

	PIDs              []PIDFilter
	Binaries          []BinaryFilter
	ParentBinaries    []BinaryFilter
	Namespaces        []NamespaceFilter
	NamespaceChanges  []NamespaceChangeFilter
	Capabilities      []CapabilityFilter
	CapabilityChanges []CapabilityFilter
	Credentials       []CredentialFilter
	CmdArgs           []CmdArgFilter
	Args              []Filter
	Data              []Filter
	// ReturnArgs are looked at when the function returns, and hold or not for the one record of entry and return.
	ReturnArgs []Filter

	// Post is how the event is made; nil when there is none (NoPost, or metrics and no Post).
	Post *Post
	// Metrics are those of the selector's own Metrics actions; those of the hook come besides.
	Metrics []Metric
	// Actions are done on entry, ReturnActions on return when ReturnArgs hold. Post, NoPost and Metrics are among them only
	// to tell where they stand.
	Actions, ReturnActions []Action
	// Macros are the names of the macros whose filters were added.
	Macros []string
}

// selectorFields are the rows of a selector, read into s. They are the same for a macro.
func (h *hookReader) selectorFields(s *Selector, a *actionsOf, using []string) []field {
	one := func(what string, read func(*node)) field {
		return field{what, false, func(n *node) { h.each(n, what, func(_ int, item *node) { read(item) }) }}
	}
	return []field{
		{"macros", false, func(n *node) {
			for _, name := range h.texts(n, "macros") {
				h.macro(s, a, name, using)
			}
		}},
		one("matchPIDs", func(n *node) { s.PIDs = append(s.PIDs, h.pids(n)) }),
		one("matchBinaries", func(n *node) { s.Binaries = append(s.Binaries, h.binary(n, "matchBinaries")) }),
		one("matchParentBinaries", func(n *node) { s.ParentBinaries = append(s.ParentBinaries, h.binary(n, "matchParentBinaries")) }),
		one("matchNamespaces", func(n *node) { s.Namespaces = append(s.Namespaces, h.namespaces(n)) }),
		one("matchNamespaceChanges", func(n *node) { s.NamespaceChanges = append(s.NamespaceChanges, h.namespaceChanges(n)) }),
		one("matchCapabilities", func(n *node) { s.Capabilities = append(s.Capabilities, h.capabilityFilter(n, "matchCapabilities")) }),
		one("matchCapabilityChanges", func(n *node) {
			s.CapabilityChanges = append(s.CapabilityChanges, h.capabilityFilter(n, "matchCapabilityChanges"))
		}),
		one("matchCredentials", func(n *node) { s.Credentials = append(s.Credentials, h.credential(n)...) }),
		one("matchCurrentCred", func(n *node) { s.Credentials = append(s.Credentials, h.currentCred(n)...) }),
		one("matchCmdArgs", func(n *node) { s.CmdArgs = append(s.CmdArgs, h.cmdArg(n)) }),
		one("matchArgs", func(n *node) { s.Args = append(s.Args, h.filter(n, inArgs)) }),
		one("matchData", func(n *node) { s.Data = append(s.Data, h.filter(n, inData)) }),
		{"matchReturnArgs", false, func(n *node) {
			if !h.hook.Type.Returns() {
				h.fail(n.pos, h.hook.Type.noReturn(), "%s has no return value", h.hook.Type.article())
				return
			}
			h.each(n, "matchReturnArgs", func(_ int, item *node) { s.ReturnArgs = append(s.ReturnArgs, h.filter(item, inReturn)) })
		}},
		one("matchActions", func(n *node) { a.entry = append(a.entry, h.action(n)) }),
		{"matchReturnActions", false, func(n *node) {
			if !h.hook.Type.Returns() {
				h.fail(n.pos, h.hook.Type.noReturn(), "%s has no return value", h.hook.Type.article())
				return
			}
			h.each(n, "matchReturnActions", func(_ int, item *node) { a.exit = append(a.exit, h.action(item)) })
		}},
	}
}

// actionsOf are the actions of a selector before they are settled.
type actionsOf struct{ entry, exit []actionNode }

// selector reads an item of selectors.
func (h *hookReader) selector(n *node) Selector {
	s := Selector{Pos: n.pos}
	var a actionsOf
	if h.object(n, "a selector", h.selectorFields(&s, &a, nil)) {
		h.settle(&s, &a)
	}
	return s
}

// macro adds the filters and actions of a macro. using are the macros that are being added, to find one that uses itself.
func (h *hookReader) macro(s *Selector, a *actionsOf, name Raw, using []string) {
	m := h.macros[name.Text]
	if m == nil {
		known := make([]string, 0, len(h.macros))
		for k := range h.macros {
			known = append(known, k)
		}
		slices.Sort(known)
		remedy := didYouMean(name.Text, known)
		if len(known) == 0 {
			remedy = "define it under `selectorsMacros`"
		}
		h.fail(name.Pos, remedy, "there is no macro %q in this policy", clip(name.Text))
		return
	}
	if slices.Contains(using, name.Text) {
		h.fail(name.Pos, "", "the macro %q uses itself", clip(name.Text))
		return
	}
	if len(using) == 0 {
		s.Macros = append(s.Macros, name.Text)
	}
	h.object(m, "a macro", h.selectorFields(s, a, append(slices.Clone(using), name.Text)))
}

// settle decides on the event and the metrics of a selector.
func (h *hookReader) settle(s *Selector, a *actionsOf) {
	var post, noPost *Post
	for _, list := range []struct {
		from []actionNode
		to   *[]Action
	}{{a.entry, &s.Actions}, {a.exit, &s.ReturnActions}} {
		for _, one := range list.from {
			*list.to = append(*list.to, one.Action)
			s.Metrics = append(s.Metrics, one.metrics...)
			switch p := one.post; one.Kind {
			case ActionPost:
				if post != nil {
					h.fail(one.Pos, "join them", "there are two Post actions in one selector")
				}
				post = &p
			case ActionNoPost:
				noPost = &p
			default:
			}
		}
	}
	switch {
	case post != nil && noPost != nil:
		h.fail(noPost.Pos, "keep one", "Post and NoPost contradict each other")
	case post != nil:
		s.Post = post
	case noPost == nil && len(s.Metrics) == 0 && len(h.hook.Metrics) == 0:
		s.Post = &Post{Pos: s.Pos}
	}
}
