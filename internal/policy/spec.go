// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strconv"
	"strings"
)

// specNodes are the sections of a spec, kept until what they refer to is read.
type specNodes struct {
	hooks     [len(hookTypes)]*node
	enforcers *node
	lists     map[string]*List
	macros    map[string]*node
}

// specFields are the rows of a spec.
func (r *reader) specFields(p *Policy, k *specNodes) []field {
	k.lists, k.macros = make(map[string]*List), make(map[string]*node)
	fields := []field{
		{"lists", false, func(n *node) { r.lists(n, p, k.lists) }},
		{"selectorsMacros", false, func(n *node) { r.macroTable(n, k.macros) }},
		{"options", false, func(n *node) { r.options(n, &p.Options) }},
		{"enforcers", false, func(n *node) { k.enforcers = n }},
		{"podSelector", false, func(n *node) { p.PodSelector = r.labelSelector(n, "podSelector") }},
		{"containerSelector", false, func(n *node) { p.ContainerSelector = r.labelSelector(n, "containerSelector") }},
		{"hostSelector", false, func(n *node) { p.HostSelector = r.labelSelector(n, "hostSelector") }},
		{"loader", false, func(n *node) {
			if r.boolean(n, "loader") {
				r.fail(n.pos, "hook security_mmap_file, which sees each file that is mapped to be run", "loader events are not available")
			}
		}},
		{"signatures", false, r.refuse("check it where the file comes from, and keep the file writable by root only", "signatures of policies are not checked")},
	}
	for t := range hookTypes {
		fields = append(fields, field{hookTypes[t].section, false, func(n *node) { k.hooks[t] = n }})
	}
	return fields
}

// hooks reads the hook sections, once lists and macros are known. before is how many errors there were before the spec.
func (r *reader) hooks(n *node, p *Policy, k *specNodes, before int) {
	newHook := func(t HookType, n *node) *hookReader {
		return &hookReader{reader: r, lists: k.lists, macros: k.macros,
			hook: &Hook{Pos: n.pos, Type: t, Target: &Functions{}, arch: r.arch, lists: k.lists}}
	}
	used := make(map[string]bool)
	for t, section := range k.hooks {
		if section == nil {
			continue
		}
		r.each(section, hookTypes[t].section, func(_ int, item *node) {
			h := newHook(HookType(t), item)
			h.read(item)
			p.Hooks = append(p.Hooks, *h.hook)
			for i := range h.hook.Selectors {
				for _, m := range h.hook.Selectors[i].Macros {
					used[m] = true
				}
			}
		})
	}
	// Something else that is wrong may be why there are none.
	if len(p.Hooks) == 0 && len(r.errs) == before {
		r.fail(n.pos, "add `kprobes`, `fentries`, `tracepoints`, `lsmhooks`, `uprobes` or `usdts`", "the policy hooks nothing")
	}
	// A macro that no selector uses is read once, so that what is wrong with it is told.
	for _, name := range sortedKeys(k.macros) {
		if !used[name] {
			h := newHook(Kprobe, k.macros[name])
			h.loose = true
			h.macro(&Selector{}, &actionsOf{}, Raw{Pos: k.macros[name].pos, Text: name}, nil)
		}
	}
	if k.enforcers != nil {
		r.each(k.enforcers, "enforcers", func(_ int, item *node) {
			p.Enforcers = append(p.Enforcers, newHook(Kprobe, item).enforcer(item))
		})
	}
}

func (h *hookReader) read(n *node) {
	switch h.hook.Type {
	case Kprobe, Fentry:
		h.functions(n)
	case TracepointHook:
		h.tracepoint(n)
	case LSM:
		h.lsm(n)
	case Uprobe:
		h.uprobe(n)
	case USDT:
		h.usdt(n)
	}
}

func (h *hookReader) enforcer(n *node) Enforcer {
	e := Enforcer{Pos: n.pos}
	h.object(n, "an enforcer", []field{
		{"calls", true, func(n *node) {
			h.each(n, "calls", func(_ int, item *node) {
				f := h.calls(item, nil)
				e.Target.Calls = append(e.Target.Calls, f.Calls...)
				if f.List != nil {
					e.Target.List = f.List
				}
			})
		}},
	})
	return e
}

func (r *reader) lists(n *node, p *Policy, lists map[string]*List) {
	r.each(n, "lists", func(_ int, item *node) {
		l := r.list(item)
		if first := lists[l.Name]; first != nil {
			r.fail(item.pos, "", "the list %q is defined twice", clip(l.Name))
			return
		}
		if l.Name != "" {
			lists[l.Name] = l
			p.Lists = append(p.Lists, l)
		}
	})
}

func (r *reader) macroTable(n *node, macros map[string]*node) {
	if n.kind != kindMap {
		r.fail(n.pos, "write each under its name", "selectorsMacros must be a map, this is %s", n.kind)
		return
	}
	for _, pair := range n.pairs {
		if macros[pair.key] != nil {
			r.fail(pair.pos, "", "the macro %q is defined twice", clip(pair.key))
			continue
		}
		macros[pair.key] = pair.value
	}
}

// optionTable are the rows of options.
var optionTable = []struct {
	name string
	set  func(o *Options, on bool)
}{
	{"disable-kprobe-multi", func(o *Options, on bool) { o.DisableKprobeMulti = on }},
	{"disable-uprobe-multi", func(o *Options, on bool) { o.DisableUprobeMulti = on }},
}

const policyMode = "policy-mode"

func (r *reader) options(n *node, o *Options) {
	r.each(n, "options", func(_ int, item *node) {
		var name, value string
		var namePos, valuePos Position
		if !r.object(item, "an option", []field{
			{"name", true, func(n *node) { name, namePos = r.text(n, "the name of an option"), n.pos }},
			{"value", true, func(n *node) { value, _ = r.scalar(n, "the value of an option"); valuePos = n.pos }},
		}) || name == "" || valuePos == (Position{}) {
			return
		}
		if name == policyMode {
			switch strings.ToLower(value) {
			case "monitor":
				o.Monitor = true
			case "enforce":
				o.Monitor = false
			default:
				r.fail(valuePos, didYouMean(value, []string{"monitor", "enforce"}), "there is no policy-mode %q", clip(value))
			}
			return
		}
		names := []string{policyMode}
		for _, row := range optionTable {
			if row.name == name {
				on, err := strconv.ParseBool(strings.ToLower(value))
				if err != nil {
					r.fail(valuePos, "", "the option %s must be true or false, not %q", name, clip(value))
				}
				row.set(o, on)
				return
			}
			names = append(names, row.name)
		}
		r.fail(namePos, didYouMean(name, names), "there is no option %q", clip(name))
	})
}

var labelOperators = []string{"In", "NotIn", "Exists", "DoesNotExist"}

func (r *reader) labelSelector(n *node, what string) *LabelSelector {
	s := &LabelSelector{Pos: n.pos}
	r.object(n, what, []field{
		{"matchLabels", false, func(n *node) { s.Labels = r.stringMap(n, "matchLabels") }},
		{"matchExpressions", false, func(n *node) {
			r.each(n, "matchExpressions", func(_ int, item *node) {
				e := LabelExpression{Pos: item.pos}
				r.object(item, "an item of matchExpressions", []field{
					{"key", true, func(n *node) { e.Key = r.text(n, "key") }},
					{"operator", true, func(n *node) {
						e.Operator = r.text(n, "operator")
						if e.Operator != "" && !slices.Contains(labelOperators, e.Operator) {
							r.fail(n.pos, didYouMean(e.Operator, labelOperators), "there is no operator %q on labels", clip(e.Operator))
						}
					}},
					{"values", false, func(n *node) {
						for _, v := range r.texts(n, "values") {
							e.Values = append(e.Values, v.Text)
						}
					}},
				})
				if in := e.Operator == "In" || e.Operator == "NotIn"; in != (len(e.Values) > 0) && e.Operator != "" {
					r.fail(item.pos, "", "In and NotIn need values, Exists and DoesNotExist take none")
				}
				s.Expressions = append(s.Expressions, e)
			})
		}},
	})
	return s
}

// stringMap reads a map of texts.
func (r *reader) stringMap(n *node, what string) map[string]string {
	if n.kind != kindMap {
		r.fail(n.pos, "", "%s must be a map, this is %s", what, n.kind)
		return nil
	}
	m := make(map[string]string, len(n.pairs))
	for _, p := range n.pairs {
		if p.value.kind == kindNull {
			m[p.key] = ""
			continue
		}
		m[p.key], _ = r.scalar(p.value, what+"."+clip(p.key))
	}
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
