// SPDX-License-Identifier: Apache-2.0

package policy

// Policy is one policy.
type Policy struct {
	Pos  Position
	Name string
	// Namespace limits a TracingPolicyNamespaced to the pods of a Kubernetes namespace; empty for others.
	Namespace string
	Kind      Kind
	// Labels and Annotations are those of the document's metadata. They mean nothing here.
	Labels, Annotations map[string]string
	// PodSelector, ContainerSelector and HostSelector limit the policy to pods, containers or hosts; nil for no limit.
	PodSelector, ContainerSelector, HostSelector *LabelSelector
	Options                                      Options
	// Hooks are all hooks, in the order of HookType and then of the policy.
	Hooks []Hook
	// Lists are the lists of the policy, in its order.
	Lists []*List
	// Enforcers are what NotifyEnforcer actions refer to.
	Enforcers []Enforcer
	// Warnings is what works and should be written in another way.
	Warnings Errors
}

// Kind is what a policy was written as.
type Kind uint8

// The kinds.
const (
	// Inline is an item of `policies` in the collector's configuration.
	Inline Kind = iota
	// Cluster is a TracingPolicy document.
	Cluster
	// Namespaced is a TracingPolicyNamespaced document.
	Namespaced
)

var kindNames = [...]string{"inline", "TracingPolicy", "TracingPolicyNamespaced"}

// String returns the kind of a document, or "inline".
func (k Kind) String() string { return kindNames[k] }

// LabelSelector is a Kubernetes label selector.
type LabelSelector struct {
	Pos Position
	// Labels must be there with these values.
	Labels map[string]string
	// Expressions must hold, all of them.
	Expressions []LabelExpression
}

// LabelExpression is a condition on a label.
type LabelExpression struct {
	Pos      Position
	Key      string
	Operator string // In, NotIn, Exists or DoesNotExist
	Values   []string
}

// Options are what `options` sets.
type Options struct {
	// DisableKprobeMulti and DisableUprobeMulti ask for one attachment for each function.
	DisableKprobeMulti, DisableUprobeMulti bool
	// Monitor tells that enforcing actions are not done (policy-mode: monitor).
	Monitor bool
}

// Enforcer is an item of `enforcers`: calls that a NotifyEnforcer action of another hook can stop.
type Enforcer struct {
	Pos    Position
	Target Functions
}
