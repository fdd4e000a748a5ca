// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"strings"
)

// ActionKind is what is done when a selector matches.
type ActionKind uint8

// The actions.
const (
	ActionNone ActionKind = iota
	ActionPost
	ActionNoPost
	ActionMetrics
	ActionSigkill
	ActionSignal
	ActionOverride
	ActionNotifyEnforcer
	ActionCleanupEnforcerNotification
	ActionFollowFD
	ActionUnfollowFD
	ActionCopyFD
	ActionTrackSock
	ActionUntrackSock
	ActionSet
	ActionGetURL
	ActionDNSLookup
)

// Action is an item of matchActions or matchReturnActions. Post, NoPost and Metrics are settled in Selector.Post and
// Selector.Metrics; here they tell where they stand.
type Action struct {
	Pos  Position
	Kind ActionKind
	// Error is what the call returns: Override, NotifyEnforcer (0 is none there). Negative.
	Error int32
	// Signal is the signal to send: Signal, NotifyEnforcer (0 is none there).
	Signal uint32
	// FD and Name are indices of parameters: FollowFD, UnfollowFD, CopyFD.
	FD, Name int
	// Sock is the index of a parameter: TrackSock, UntrackSock.
	Sock int
	// Index and Value are the parameter to set, and to what: Set.
	Index int
	Value uint32
	// Registers are what Override does to a user function's registers.
	Registers []Assignment
}

// actionInfo is what is known of an action.
type actionInfo struct {
	kind ActionKind
	name string
	// fields may be given, needed must be.
	fields, needed []string
	// stops marks what changes what a process does.
	stops bool
	// refused is why the action is refused for good.
	refused string
}

const callsOut = "an agent that a policy can make call out can be made to attack others, or to tell what it sees; " +
	"have the event's receiver do it"

// actions has one row for each action, at its number.
var actions = [...]actionInfo{
	{kind: ActionNone},
	{kind: ActionPost, name: "Post", fields: []string{"rateLimit", "rateLimitScope", "kernelStackTrace", "userStackTrace", "imaHash"}},
	{kind: ActionNoPost, name: "NoPost"},
	{kind: ActionMetrics, name: "Metrics", fields: []string{"metrics"}, needed: []string{"metrics"}},
	{kind: ActionSigkill, name: "Sigkill", stops: true},
	{kind: ActionSignal, name: "Signal", fields: []string{"argSig"}, stops: true},
	{kind: ActionOverride, name: "Override", fields: []string{"argError", "argRegs"}, stops: true},
	{kind: ActionNotifyEnforcer, name: "NotifyEnforcer", fields: []string{"argError", "argSig"}, stops: true},
	{kind: ActionCleanupEnforcerNotification, name: "CleanupEnforcerNotification", stops: true},
	{kind: ActionFollowFD, name: "FollowFD", fields: []string{"argFd", "argName"}},
	{kind: ActionUnfollowFD, name: "UnfollowFD", fields: []string{"argFd", "argName"}},
	{kind: ActionCopyFD, name: "CopyFD", fields: []string{"argFd", "argName"}},
	{kind: ActionTrackSock, name: "TrackSock", fields: []string{"argSock"}},
	{kind: ActionUntrackSock, name: "UntrackSock", fields: []string{"argSock"}},
	{kind: ActionSet, name: "Set", fields: []string{"argIndex", "argValue"}, needed: []string{"argValue"}, stops: true},
	{kind: ActionGetURL, name: "GetUrl", fields: []string{"argUrl"}, refused: callsOut},
	{kind: ActionDNSLookup, name: "DnsLookup", fields: []string{"argFqdn"}, refused: callsOut},
}

// String returns the name in the language.
func (k ActionKind) String() string { return actions[k].name }

// Enforces tells whether the action changes what a process does.
func (k ActionKind) Enforces() bool { return actions[k].stops }

// MaxErrno is the greatest error number that the kernel tells from a pointer, MAX_ERRNO.
const MaxErrno = 4095

// MaxSignal is the greatest signal number, SIGRTMAX of the kernel.
const MaxSignal = 64

// actionNode is an action with what belongs to its selector rather than to it.
type actionNode struct {
	Action
	post    Post
	metrics []Metric
}

// action reads an item of matchActions or matchReturnActions.
func (h *hookReader) action(n *node) actionNode {
	a := actionNode{}
	a.Pos = n.pos
	before := len(h.errs)
	var scope *node
	unused := func(n *node) { h.scalar(n, "a value") }
	ok := h.object(n, "an action", []field{
		{"action", true, func(n *node) { a.Kind = h.actionKind(n) }},
		{"argError", false, func(n *node) { a.Error = int32(h.errno(n)) }},
		{"argSig", false, func(n *node) { a.Signal = uint32(h.signal(n)) }},
		{"argFd", false, func(n *node) { a.FD = h.index(n, "argFd") }},
		{"argName", false, func(n *node) { a.Name = h.index(n, "argName") }},
		{"argSock", false, func(n *node) { a.Sock = h.index(n, "argSock") }},
		{"argIndex", false, func(n *node) { a.Index = h.index(n, "argIndex") }},
		{"argValue", false, func(n *node) { a.Value = uint32(h.integer(n, "argValue", 0, math.MaxUint32)) }},
		{"argRegs", false, func(n *node) { a.Registers = h.registers(n) }},
		{"argUrl", false, unused},
		{"argFqdn", false, unused},
		{"rateLimit", false, func(n *node) { a.post.RateLimit = h.duration(n) }},
		{"rateLimitScope", false, func(n *node) { scope, a.post.Scope = n, h.scope(n) }},
		{"kernelStackTrace", false, func(n *node) { a.post.KernelStack = h.boolean(n, "kernelStackTrace") }},
		{"userStackTrace", false, func(n *node) { a.post.UserStack = h.boolean(n, "userStackTrace") }},
		{"imaHash", false, func(n *node) { a.post.IMAHash = h.boolean(n, "imaHash") }},
		{"metrics", false, func(n *node) { a.metrics = h.metrics(n) }},
	})
	if !ok || a.Kind == ActionNone {
		return a
	}
	h.checkFields(n, actions[a.Kind])
	if scope != nil && scope.text != "" && a.post.RateLimit == 0 {
		h.fail(scope.pos, "add `rateLimit`", "`rateLimitScope` has no meaning without a rate limit")
	}
	a.post.Pos = a.Pos
	if len(h.errs) == before {
		h.checkEnforcement(&a.Action)
	}
	return a
}

// checkFields reports fields that the action does not take, unless they hold what leaving them out means: tools that
// print a policy write them all.
func (r *reader) checkFields(n *node, row actionInfo) {
	if row.refused != "" {
		r.fail(n.pos, "", "the action %s is refused: %s", row.name, row.refused)
		return
	}
	have := make(map[string]bool)
	for _, p := range n.pairs {
		have[p.key] = p.value.kind != kindNull
		takes := p.key == "action"
		for _, name := range row.fields {
			takes = takes || name == p.key
		}
		zero := p.value.kind == kindNull || p.value.kind != kindMap && len(p.value.items) == 0 &&
			(p.value.text == "" || p.value.text == "0" || p.value.text == "false")
		if known := strings.HasPrefix(p.key, "arg") || fieldOfAction(p.key); known && !takes && !zero {
			r.fail(p.pos, "", "the action %s does not take `%s`", row.name, p.key)
		}
	}
	for _, name := range row.needed {
		if !have[name] {
			r.fail(n.pos, "", "the action %s needs `%s`", row.name, name)
		}
	}
}

func fieldOfAction(name string) bool {
	for _, row := range actions {
		for _, f := range row.fields {
			if f == name {
				return true
			}
		}
	}
	return false
}

func (r *reader) actionKind(n *node) ActionKind {
	s, ok := r.scalar(n, "an action")
	if !ok {
		return ActionNone
	}
	var names []string
	for _, row := range actions[1:] {
		if strings.EqualFold(row.name, s) {
			return row.kind
		}
		if row.refused == "" {
			names = append(names, row.name)
		}
	}
	r.fail(n.pos, didYouMean(s, names), "there is no action %q", clip(s))
	return ActionNone
}

// errno reads an error number: negative, by number or by name. "EPERM" is taken for -EPERM.
func (r *reader) errno(n *node) int64 {
	s, ok := r.scalar(n, "argError")
	if !ok {
		return 0
	}
	d := numbers{bits: 32, signed: true, arch: r.arch}
	p, err := d.parse(s)
	v := int64(p)
	if err == nil && v > 0 && isIdentifier(s) {
		v = -v
	}
	if err != nil {
		r.fail(n.pos, "for example -1 or -EPERM", "argError: %q %s", clip(s), err)
		return 0
	}
	return v
}

func (r *reader) signal(n *node) int64 {
	s, ok := r.scalar(n, "argSig")
	if !ok {
		return 0
	}
	v, err := numbers{bits: 32, arch: r.arch}.parse(s)
	if err != nil || v > MaxSignal {
		r.fail(n.pos, "for example 9 or SIGKILL", "argSig: %q is no signal; it must be from 1 to %d", clip(s), MaxSignal)
		return 0
	}
	return int64(v)
}

// checkEnforcement looks at what enforcing actions need, whether or not this build has them.
func (h *hookReader) checkEnforcement(a *Action) {
	user := h.hook.Type == Uprobe || h.hook.Type == USDT
	switch a.Kind {
	case ActionOverride:
		switch {
		case len(a.Registers) > 0 && !user:
			h.fail(a.Pos, "use `argError`", "`argRegs` is for functions of programs; the kernel's registers cannot be set")
		case !user && (a.Error > 0 || a.Error < -MaxErrno):
			h.fail(a.Pos, "for example -1 (EPERM)", "argError must be from -%d to 0, not %d", MaxErrno, a.Error)
		case h.hook.Type == TracepointHook:
			h.fail(a.Pos, "hook the function with a kprobe or an lsmhook", "a tracepoint has no return value to override")
		}
	case ActionNotifyEnforcer:
		if a.Error == 0 && a.Signal == 0 {
			h.fail(a.Pos, "", "the action NotifyEnforcer needs `argError` or `argSig`")
		}
	case ActionSignal:
		if a.Signal == 0 {
			h.fail(a.Pos, "for example `argSig: 15`", "the action Signal needs a signal in `argSig`")
		}
	case ActionSet:
		if h.hook.Type != USDT {
			h.fail(a.Pos, "", "the action Set is for usdts only")
		}
	case ActionFollowFD, ActionCopyFD, ActionUnfollowFD:
		h.checkIndex(a.FD, a.Pos)
		h.checkIndex(a.Name, a.Pos)
	case ActionTrackSock, ActionUntrackSock:
		h.checkIndex(a.Sock, a.Pos)
	default:
	}
}
