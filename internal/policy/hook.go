// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Hook is one item of a hook section of a policy: where it attaches, what it reads, and when it does something.
type Hook struct {
	Pos    Position
	Type   HookType
	Target Target
	// Message and Tags travel with the event.
	Message string
	Tags    []string
	// AllArgs tells that the policy declares no arguments, so that the event reports all that BTF knows.
	AllArgs bool
	// Args are the declared arguments in the order of the policy, then implicit ones.
	Args []Arg
	// Data are values that do not come from parameters.
	Data []Arg
	// Return is how the return value is read; nil when nothing needs it. When it is implicit the event shows it only if
	// the hook reports all arguments.
	Return *Arg
	// ReturnAction is done with the returned value: ActionNone, ActionPost, ActionTrackSock or ActionUntrackSock.
	ReturnAction ActionKind
	// Selectors are never empty: a hook that has none in the policy has one without filters.
	Selectors []Selector
	// Metrics are counted for each match of any selector.
	Metrics []Metric
	// IgnoreMissing tells that functions that the kernel does not have are left out without an error.
	IgnoreMissing bool

	arch  string
	lists map[string]*List
}

// HookType is the kind of a hook.
type HookType uint8

// The hook types, in the order in which a policy's hooks stand in Policy.Hooks.
const (
	Kprobe HookType = iota
	Fentry
	TracepointHook
	LSM
	Uprobe
	USDT
)

// hookTypes has the section of each type, the word for one item of it, and whether it has a return value.
var hookTypes = [...]struct {
	section, article string
	returns          bool
}{
	{"kprobes", "a kprobe", true}, {"fentries", "a fentry", true}, {"tracepoints", "a tracepoint", false},
	{"lsmhooks", "an lsmhook", false}, {"uprobes", "a uprobe", true}, {"usdts", "a usdt", false},
}

// String returns the name of the section in the language.
func (t HookType) String() string { return hookTypes[t].section }

// Returns tells whether a hook of this type sees a return value.
func (t HookType) Returns() bool { return hookTypes[t].returns }

func (t HookType) article() string { return hookTypes[t].article }

// noReturn is what to do about a hook that has no return value.
func (t HookType) noReturn() string {
	if t == LSM {
		return "hook the function security_NAME in `kprobes` or `fentries`"
	}
	return ""
}

// NeedsReturn tells whether the hook has to see the function return.
func (h *Hook) NeedsReturn() bool {
	if h.Return != nil || h.ReturnAction != ActionNone {
		return true
	}
	for i := range h.Args {
		if h.Args[i].ReturnCopy {
			return true
		}
	}
	metrics := h.Metrics
	for i := range h.Selectors {
		if len(h.Selectors[i].ReturnActions) > 0 {
			return true
		}
		metrics = append(metrics[:len(metrics):len(metrics)], h.Selectors[i].Metrics...)
	}
	for i := range metrics {
		if metrics[i].needsReturn() {
			return true
		}
	}
	return false
}

func (m *Metric) needsReturn() bool {
	if m.Value.From == ValueDuration || m.Value.From == ValueReturn {
		return true
	}
	for _, a := range m.By {
		if a.Kind == ByError || a.Kind == ByReturn {
			return true
		}
	}
	return false
}

// Limits of what travels with an event. They are those of the language, kept so that a policy means the same everywhere;
// no part of the kernel sees either.
const (
	// MaxMessage is how many characters a message has at most.
	MaxMessage = 256
	// MaxTags is how many tags a hook has at most.
	MaxTags = 16
)

// hookNodes are the nodes that all hooks have, kept until the target is known.
type hookNodes struct{ args, data, ret, returnArg, returnAction, selectors, metrics *node }

// common are the rows of the fields that all hooks have.
func (h *hookReader) common(k *hookNodes) []field {
	keep := func(to **node) func(*node) { return func(n *node) { *to = n } }
	return []field{
		{"message", false, func(n *node) { h.hook.Message = h.message(n) }},
		{"tags", false, func(n *node) { h.hook.Tags = h.tags(n) }},
		{"args", false, keep(&k.args)},
		{"data", false, keep(&k.data)},
		{"return", false, keep(&k.ret)},
		{"returnArg", false, keep(&k.returnArg)},
		{"returnArgAction", false, keep(&k.returnAction)},
		{"selectors", false, keep(&k.selectors)},
		{"metrics", false, keep(&k.metrics)},
	}
}

// body reads what all hooks have, in the order in which one part refers to another.
func (h *hookReader) body(n *node, k *hookNodes) {
	hook := h.hook
	if k.args != nil {
		h.each(k.args, "args", func(_ int, item *node) {
			a := h.arg(item, "an argument")
			h.checkIndex(a.Index, item.pos)
			h.checkIndex(max(0, a.SizeArg), item.pos)
			hook.Args = append(hook.Args, a)
		})
	}
	hook.AllArgs = len(hook.Args) == 0
	if k.data != nil {
		h.each(k.data, "data", func(_ int, item *node) { hook.Data = append(hook.Data, h.datum(item)) })
	}
	h.labels()
	h.returned(k)
	if k.metrics != nil {
		hook.Metrics = h.metrics(k.metrics)
	}
	if k.selectors != nil {
		h.each(k.selectors, "selectors", func(_ int, item *node) { hook.Selectors = append(hook.Selectors, h.selector(item)) })
	}
	if len(hook.Selectors) == 0 {
		s := Selector{Pos: n.pos}
		h.settle(&s, &actionsOf{})
		hook.Selectors = []Selector{s}
	}
	h.metricsReturn()
	h.warnUntrusted()
}

// datum reads an item of data.
func (h *hookReader) datum(n *node) Arg {
	a := h.arg(n, "an item of data")
	if a.Source == FromArguments && n.kind == kindMap {
		h.fail(n.pos, "add `source: current_task`, or move it to `args`", "an item of data needs a source")
	}
	if a.Source == FromRegisters && h.hook.Type != Uprobe && h.hook.Type != USDT {
		h.fail(n.pos, "use `args`", "`source: pt_regs` is for functions of programs; those of the kernel have typed arguments")
	}
	return a
}

// labels reports labels that are given twice: one would hide the other in an event.
func (h *hookReader) labels() {
	seen := make(map[string]bool)
	for _, list := range [][]Arg{h.hook.Args, h.hook.Data} {
		for i := range list {
			a := &list[i]
			if a.Label != "" && seen[a.Label] {
				h.fail(a.Pos, "", "the label %q is given twice", clip(a.Label))
			}
			seen[a.Label] = true
		}
	}
}

// returned reads return, returnArg and returnArgAction.
func (h *hookReader) returned(k *hookNodes) {
	hook := h.hook
	wanted := k.ret != nil && h.boolean(k.ret, "return")
	for _, n := range []*node{k.ret, k.returnArg, k.returnAction} {
		if n != nil && !hook.Type.Returns() && (n != k.ret || wanted) {
			h.fail(n.pos, hook.Type.noReturn(), "%s has no return value", hook.Type.article())
			return
		}
	}
	switch {
	case k.returnArg != nil:
		if k.ret != nil && !wanted {
			h.fail(k.returnArg.pos, "write `return: true`", "`returnArg` contradicts `return: false`")
		}
		a := h.arg(k.returnArg, "returnArg")
		hook.Return = &a
	case wanted:
		hook.Return = &Arg{Pos: k.ret.pos, SizeArg: -1}
	}
	if n := k.returnAction; n != nil && n.text != "" {
		s, _ := h.scalar(n, "returnArgAction")
		for _, kind := range []ActionKind{ActionPost, ActionTrackSock, ActionUntrackSock} {
			if strings.EqualFold(s, kind.String()) {
				hook.ReturnAction = kind
			}
		}
		if hook.ReturnAction == ActionNone {
			h.fail(n.pos, "it is Post, TrackSock or UntrackSock", "there is no returnArgAction %q", clip(s))
		}
	}
}

// metricsReturn reports metrics that need a return value where there is none.
func (h *hookReader) metricsReturn() {
	if h.hook.Type.Returns() {
		return
	}
	lists := [][]Metric{h.hook.Metrics}
	for i := range h.hook.Selectors {
		lists = append(lists, h.hook.Selectors[i].Metrics)
	}
	for _, list := range lists {
		for i := range list {
			if list[i].needsReturn() {
				h.fail(list[i].Pos, h.hook.Type.noReturn(), "%s does not return, so that there is no duration, return value or error to measure", h.hook.Type.article())
			}
		}
	}
}

// checkIndex reports the number of a parameter that the hook cannot have.
func (h *hookReader) checkIndex(i int, pos Position) bool {
	limit := MaxParameters
	switch t := h.hook.Target.(type) {
	case *Tracepoint:
		if !t.Raw {
			limit = math.MaxInt
		}
	case *Functions:
		syscalls := t.List != nil && t.List.Kind == GeneratedSyscalls || len(t.Calls) > 0
		for _, c := range t.Calls {
			syscalls = syscalls && c.Syscall
		}
		if syscalls {
			limit = MaxSyscallParameters
		}
	}
	if i < limit {
		return true
	}
	h.fail(pos, "indices count from 0", "there is no parameter %d: there can be %d at most", i, limit)
	return false
}

func (r *reader) message(n *node) string {
	s, ok := r.scalar(n, "message")
	if !ok || s == "" {
		return ""
	}
	s = r.text(n, "message")
	if c := utf8.RuneCountInString(s); c > MaxMessage {
		r.fail(n.pos, "", "the message has %d characters; it can have %d", c, MaxMessage)
	}
	return s
}

func (r *reader) tags(n *node) []string {
	var all []string
	r.each(n, "tags", func(_ int, item *node) {
		if s := r.text(item, "a tag"); s != "" {
			all = append(all, s)
		}
	})
	if len(all) > MaxTags {
		r.fail(n.pos, "", "a hook can have %d tags, not %d", MaxTags, len(all))
	}
	return all
}
