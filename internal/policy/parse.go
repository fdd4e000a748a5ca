// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
)

// Parser reads policies. Its zero value is for the machine that it runs on.
type Parser struct {
	// Arch is the architecture (a GOARCH) that names of constants are read for; empty for the one that this is built for.
	Arch string
}

func (p Parser) reader() *reader {
	r := &reader{arch: p.Arch}
	if r.arch == "" {
		r.arch = runtime.GOARCH
	}
	return r
}

// Parse reads the policy documents of a file. The name of the file is only for positions. When anything is wrong the
// error is an Errors with all of it, and no policy is returned; a file without documents is an error too.
func (p Parser) Parse(file string, data []byte) ([]*Policy, error) {
	nodes, err := documents(file, data)
	if err != nil {
		return nil, err
	}
	r := p.reader()
	if len(nodes) == 0 {
		r.fail(Position{File: file, Line: 1, Column: 1}, "", "the file holds no policy")
	}
	var policies []*Policy
	for _, n := range nodes {
		policies = append(policies, r.document(n))
	}
	if err := r.errs.result(); err != nil {
		return nil, err
	}
	return policies, nil
}

// ParseFS reads the files of a file system that match patterns of path.Match; a pattern that names no file is an
// error. Files are read in the order of the patterns and then of their names, each once.
func (p Parser) ParseFS(fsys fs.FS, patterns ...string) ([]*Policy, error) {
	var policies []*Policy
	var errs Errors
	seen := make(map[string]bool)
	for _, pattern := range patterns {
		files, err := fs.Glob(fsys, pattern)
		switch {
		case err != nil:
			errs = append(errs, &Error{Message: fmt.Sprintf("the file name pattern %q is malformed", pattern)})
		case len(files) == 0:
			errs = append(errs, &Error{Message: fmt.Sprintf("no policy file matches %q", pattern)})
		}
		for _, file := range files {
			if seen[file] {
				continue
			}
			seen[file] = true
			some, err := p.readFile(fsys, file)
			policies, errs = append(policies, some...), append(errs, err...)
		}
	}
	if err := errs.result(); err != nil {
		return nil, err
	}
	return policies, nil
}

func (p Parser) readFile(fsys fs.FS, file string) ([]*Policy, Errors) {
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, Errors{{Pos: Position{File: file, Line: 1, Column: 1}, Message: "cannot read the policy file: " + err.Error()}}
	}
	policies, err := p.Parse(file, data)
	if err != nil {
		return nil, asErrors(err)
	}
	return policies, nil
}

// asErrors is an error of this package as the list that it is.
func asErrors(err error) Errors {
	switch e := err.(type) { //nolint:errorlint // these come from this package, unwrapped
	case Errors:
		return e
	case *Error:
		return Errors{e}
	}
	return Errors{{Message: err.Error()}}
}

// ParseInline reads one item of the collector's `policies`: name and, beside it, what a spec holds. path is where the item
// stands: policies[0]. The values are those of the collector's configuration: maps of string, slices, texts, numbers,
// truth values and nil.
func (p Parser) ParseInline(path string, item map[string]any) (*Policy, error) {
	n, err := goNode(item, path, 0)
	if err != nil {
		return nil, asErrors(err)
	}
	r := p.reader()
	policy := &Policy{Pos: n.pos, Kind: Inline}
	var k specNodes
	if r.object(n, "a policy", append(r.specFields(policy, &k), field{"name", true, func(n *node) { policy.Name = r.policyName(n) }})) {
		r.hooks(n, policy, &k, 0)
	}
	policy.Warnings = r.warnings.sorted()
	if err := r.errs.result(); err != nil {
		return nil, err
	}
	return policy, nil
}

const apiVersion = "cilium.io/v1alpha1"

// document reads a document: apiVersion, kind, metadata and spec.
func (r *reader) document(n *node) *Policy {
	p := &Policy{Pos: n.pos}
	warnings, errors := len(r.warnings), len(r.errs)
	var spec *node
	kinds := kindNames[1:]
	ok := r.object(n, "a policy document", []field{
		{"apiVersion", true, func(n *node) {
			if s, ok := r.scalar(n, "apiVersion"); ok && s != apiVersion {
				r.fail(n.pos, "write "+apiVersion, "apiVersion %q is not known", clip(s))
			}
		}},
		{"kind", true, func(n *node) {
			s, ok := r.scalar(n, "kind")
			if !ok {
				return
			}
			if i := slices.Index(kinds, s); i >= 0 {
				p.Kind = Kind(i + 1)
				return
			}
			r.fail(n.pos, didYouMean(s, kinds), "there is no kind %q of policies", clip(s))
		}},
		{"metadata", true, func(n *node) { r.metadata(n, p) }},
		{"spec", true, func(n *node) { spec = n }},
		// What the API server adds.
		{"status", false, func(*node) {}},
	})
	if ok && spec != nil {
		var k specNodes
		if r.object(spec, "the spec", r.specFields(p, &k)) {
			r.hooks(spec, p, &k, errors)
		}
	}
	if ok && p.Kind == Namespaced && p.Namespace == "" {
		r.fail(n.pos, "add `namespace` to `metadata`", "a TracingPolicyNamespaced needs a namespace")
	}
	p.Warnings = r.warnings[warnings:].sorted()
	return p
}

func (r *reader) metadata(n *node, p *Policy) {
	skip := func(*node) {}
	fields := []field{
		{"name", true, func(n *node) { p.Name = r.policyName(n) }},
		{"namespace", false, func(n *node) { p.Namespace = r.text(n, "namespace") }},
		{"labels", false, func(n *node) { p.Labels = r.stringMap(n, "labels") }},
		{"annotations", false, func(n *node) { p.Annotations = r.stringMap(n, "annotations") }},
	}
	// What the API server adds.
	for _, name := range []string{"uid", "generation", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences", "finalizers", "selfLink", "generateName",
		"deletionTimestamp", "deletionGracePeriodSeconds"} {
		fields = append(fields, field{name, false, skip})
	}
	r.object(n, "metadata", fields)
}

// MaxName is how long the name of a policy can be: that of a Kubernetes object.
const MaxName = 253

// policyName reads the name of a policy, which stands in events and metrics. Kubernetes would refuse an underscore;
// policies that never saw Kubernetes have them.
func (r *reader) policyName(n *node) string {
	s := r.text(n, "the name of a policy")
	bad := strings.ContainsFunc(s, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !letter && c != '-' && c != '_' && c != '.'
	})
	switch {
	case s == "":
	case bad:
		r.fail(n.pos, "use letters, digits, `-`, `_` and `.`", "the name %q holds a character that no name may hold", clip(s))
	case len(s) > MaxName:
		r.fail(n.pos, "", "the name has %d characters; it can have %d", len(s), MaxName)
	default:
		return s
	}
	return ""
}
