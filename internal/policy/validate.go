// SPDX-License-Identifier: Apache-2.0

package policy

// Capabilities tells what a build can do of what the language has. What is not in it is refused, so that no policy is
// loaded as if it said less. The zero value is a build that watches and stops nothing.
type Capabilities struct {
	// Actions are the actions besides Post, NoPost and Metrics that can be done.
	Actions map[ActionKind]bool
	// Pods tells that policies can be limited to pods, containers and hosts: the selectors of these, and
	// TracingPolicyNamespaced.
	Pods bool
	// IMAHash tells that events can have digests of the kernel's integrity subsystem.
	IMAHash bool
}

const notYet = "is not available in this build yet"

// Validate checks policies that are to be loaded together against what the build can do. The error is an Errors.
func Validate(policies []*Policy, can Capabilities) error {
	r := &reader{}
	first := make(map[string]*Policy, len(policies))
	for _, p := range policies {
		key := p.Namespace + "/" + p.Name
		if other := first[key]; other != nil {
			r.fail(p.Pos, "give each policy a name of its own", "there are two policies with the name %q, the other at %s", p.Name, other.Pos)
		} else {
			first[key] = p
		}
		r.validate(p, can)
	}
	return r.errs.result()
}

func (r *reader) validate(p *Policy, can Capabilities) {
	remedy := "leave it out to watch everything, or filter with matchNamespaces or matchBinaries"
	if !can.Pods {
		if p.Kind == Namespaced {
			r.fail(p.Pos, "write a TracingPolicy to watch everything", "a TracingPolicyNamespaced is limited to the pods of a namespace, which %s", notYet)
		}
		if p.PodSelector != nil {
			r.fail(p.PodSelector.Pos, remedy, "podSelector %s", notYet)
		}
		if p.ContainerSelector != nil {
			r.fail(p.ContainerSelector.Pos, remedy, "containerSelector %s", notYet)
		}
		if p.HostSelector != nil {
			r.fail(p.HostSelector.Pos, remedy, "hostSelector %s", notYet)
		}
	}
	for _, e := range p.Enforcers {
		if !can.Actions[ActionNotifyEnforcer] {
			r.fail(e.Pos, "", "an enforcer %s", notYet)
		}
	}
	for i := range p.Hooks {
		r.validateHook(&p.Hooks[i], len(p.Enforcers) > 0, can)
	}
}

func (r *reader) validateHook(h *Hook, enforcers bool, can Capabilities) {
	if k := h.ReturnAction; k != ActionNone && k != ActionPost && !can.Actions[k] {
		r.fail(h.Pos, "", "the returnArgAction %s %s", k, notYet)
	}
	for i := range h.Selectors {
		s := &h.Selectors[i]
		for _, list := range [][]Action{s.Actions, s.ReturnActions} {
			for _, a := range list {
				switch a.Kind {
				case ActionPost, ActionNoPost, ActionMetrics:
					continue
				case ActionNotifyEnforcer:
					if can.Actions[a.Kind] && !enforcers {
						r.fail(a.Pos, "add `enforcers` with the calls that it may stop", "the action NotifyEnforcer needs an enforcer")
					}
				default:
				}
				if !can.Actions[a.Kind] {
					r.fail(a.Pos, "", "the action %s %s", a.Kind, notYet)
				}
			}
		}
		if s.Post != nil && s.Post.IMAHash && !can.IMAHash {
			r.fail(s.Post.Pos, "the SHA-256 of executables is in the events of processes", "imaHash %s", notYet)
		}
	}
}
