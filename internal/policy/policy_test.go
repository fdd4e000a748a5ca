// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
)

const head = "apiVersion: cilium.io/v1alpha1\nkind: TracingPolicy\nmetadata: {name: x}\nspec:\n"

func parseOne(t testing.TB, spec string) *Policy {
	t.Helper()
	policies, err := amd64.Parse("x.yaml", []byte(head+spec))
	if err != nil {
		t.Fatal(err)
	}
	return policies[0]
}

func TestFormattingDoesNotChangeTheHash(t *testing.T) {
	a := parseOne(t, `  kprobes:
  - call: __x64_sys_openat
    args: [{index: 2, type: int}]
    selectors:
    - matchArgs:
      - {index: 2, operator: Equal, values: [O_WRONLY|O_CREAT, 0x2]}
      matchBinaries:
      - {operator: In, values: [/bin/a, /bin/b]}
    - matchActions: [{action: Post, rateLimit: 60}]
`)
	b := parseOne(t, `
    # the same, in other words
    kprobes:
    - selectors:
      - matchBinaries:
        - values: ["bin/b", '/bin/a', /bin/a]
          operator: in
        matchArgs:
        - values: ["2", "65"]
          operator: eq
          index: 0x2
      - matchActions:
        - {rateLimit: 1m, action: post, argError: 0}
      syscall: true
      args:
      - {type: int32, index: 2, label: ""}
      call: sys_openat
`)
	if a.Hash() != b.Hash() || a.Hooks[0].Hash() != b.Hooks[0].Hash() {
		t.Error("the same policy has two hashes")
	}
}

func TestWhatAPolicyMeansChangesTheHash(t *testing.T) {
	base := `  kprobes:
  - call: security_file_open
    args: [{index: 0, type: file}, {index: 1}]
    selectors:
    - matchArgs:
      - {index: 0, operator: Equal, values: [/a]}
      - {index: 1, operator: Equal, values: [READING_MODULE]}
      matchPIDs: [{operator: In, values: [0]}]
`
	seen := map[[32]byte]string{parseOne(t, base).Hash(): "nothing"}
	for _, change := range [][2]string{
		{"/a", "/b"}, {"/a", "/a, /b"}, {"operator: Equal, values: [/a]", "operator: NotEqual, values: [/a]"},
		{"operator: Equal, values: [/a]", "operator: SameFile, values: [/a]"}, {"READING_MODULE", "READING_POLICY"}, {"security_file_open", "fd_install"},
		{"security_file_open", "sys_open"}, {"security_file_open", `"sys_open", syscall: false`}, {"type: file", "type: path"},
		{"{index: 1}", "{index: 1, label: what}"}, {"values: [0]", "values: [1]"}, {"values: [0]", "values: [0], followForks: true"},
		{"kprobes", "fentries"}, {"    selectors:", "    message: hello\n    selectors:"}, {"    selectors:", "    return: true\n    selectors:"},
		{"      matchPIDs", "      matchActions: [{action: NoPost}]\n      matchPIDs"}, {"index: 1, operator", "index: 2, operator"},
	} {
		// A flow mapping would take the comma for the next key.
		spec := strings.Replace(base, change[0], change[1], 1)
		spec = strings.Replace(spec, `"sys_open", syscall: false`, "sys_open\n    syscall: false", 1)
		h := parseOne(t, spec).Hash()
		if other, ok := seen[h]; ok {
			t.Errorf("changing %q to %q has the hash of changing %s", change[0], change[1], other)
		}
		seen[h] = fmt.Sprint(change)
	}
}

// The collector hands over what its own YAML decoder made; it must mean the same as the file.
func TestInlinePoliciesMeanTheSameAsFiles(t *testing.T) {
	for _, file := range corpus(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Metadata struct{ Name, Namespace string }
			Spec     map[string]any
		}
		if err := yaml.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		want := parseFile(t, file)[0]
		doc.Spec["name"] = doc.Metadata.Name
		got, err := amd64.ParseInline("policies[3]", doc.Spec)
		if err != nil {
			t.Errorf("%s: %s", file, err)
			continue
		}
		got.Namespace = doc.Metadata.Namespace
		if got.Hash() != want.Hash() {
			t.Errorf("%s: the inline policy differs", file)
		}
	}
}

func TestErrorsOfInlinePoliciesTellThePath(t *testing.T) {
	_, err := amd64.ParseInline("policies[0]", map[string]any{
		"name": "x", "kprobes": []any{
			map[string]any{"call": "a"},
			map[string]any{"call": "b", "selectors": []any{map[string]any{"matchArgz": nil}}},
		},
		"odd": struct{}{},
	})
	want := "policies[0].odd: a value of type struct {} cannot be part of a policy"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	_, err = amd64.ParseInline("policies[0]", map[string]any{
		"name": "x", "kprobes": []any{map[string]any{"call": "b", "selectors": []any{map[string]any{"matchArgz": nil}}}},
	})
	want = "policies[0].kprobes[0].selectors[0].matchArgz: a selector has no field `matchArgz`; did you mean `matchArgs`?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestPositionsLeadToTheLine(t *testing.T) {
	p := parseOne(t, "  kprobes:\n  - call: fd_install\n    selectors:\n    - matchArgs:\n      - index: 0\n        operator: Equal\n        values:\n        - 1\n        - 0x2\n")
	f := p.Hooks[0].Selectors[0].Args[0]
	if got := f.Pos.Source() + " " + f.Raw[1].Pos.String() + " " + f.Raw[1].Pos.Path; got != "x.yaml:9 x.yaml:13:11 spec.kprobes[0].selectors[0].matchArgs[0].values[1]" {
		t.Error(got)
	}
}

func TestFilesAreReadOnceAndAllErrorsAreTold(t *testing.T) {
	good := head + "  kprobes: [{call: fd_install}]\n"
	fsys := fstest.MapFS{
		"p/a.yaml": {Data: []byte(good)}, "p/b.yaml": {Data: []byte(good)}, "q/bad.yaml": {Data: []byte("kind: X\n")},
		"q/worse.yaml": {Data: []byte("{")},
	}
	policies, err := amd64.ParseFS(fsys, "p/*.yaml", "p/a.yaml")
	if err != nil || len(policies) != 2 || policies[1].Pos.File != "p/b.yaml" {
		t.Errorf("got %d policies, %v", len(policies), err)
	}
	_, err = amd64.ParseFS(fsys, "p/*.yaml", "q/*.yaml", "none/*", "[")
	var list Errors
	if !errors.As(err, &list) {
		t.Fatal(err)
	}
	for _, want := range []string{"q/bad.yaml:1:1", "q/worse.yaml:", `no policy file matches "none/*"`, `"[" is malformed`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in\n%s", want, err)
		}
	}
	var one *Error
	if !errors.As(err, &one) || one.Message == "" {
		t.Error("errors.As finds no *Error")
	}
	if _, err := amd64.ParseFS(fsys, "p"); err == nil || !strings.Contains(err.Error(), "cannot read") {
		t.Errorf("a directory: %v", err)
	}
}

func TestCapabilitiesOfABuildDecideWhatIsRefused(t *testing.T) {
	policies := parseFile(t, "testdata/valid/enforcement.yaml")
	if err := Validate(policies, Capabilities{}); err == nil || !strings.Contains(err.Error(), "Sigkill is not available") {
		t.Errorf("a build that stops nothing: %v", err)
	}
	all := Capabilities{Actions: map[ActionKind]bool{}, Pods: true, IMAHash: true}
	for k := ActionSigkill; k <= ActionSet; k++ {
		all.Actions[k] = true
	}
	var everything []*Policy
	for _, file := range corpus(t) {
		everything = append(everything, parseFile(t, file)...)
	}
	if err := Validate(everything, all); err != nil {
		t.Errorf("a build that can do all:\n%s", err)
	}
	p := parseOne(t, "  kprobes: [{call: a, selectors: [{matchActions: [{action: NotifyEnforcer, argSig: 9}]}]}]\n")
	if err := Validate([]*Policy{p}, all); err == nil || !strings.Contains(err.Error(), "needs an enforcer") {
		t.Errorf("an action without its enforcer: %v", err)
	}
}

func TestPostIsTheDefaultUnlessMetricsOrNoPostSayOtherwise(t *testing.T) {
	const metric = "[{name: m, type: counter}]"
	tests := map[string]bool{
		"call: a": true,
		"call: a, selectors: [{matchActions: [{action: NoPost}]}]":                                           false,
		"call: a, selectors: [{matchActions: [{action: Sigkill}]}]":                                          true,
		"call: a, selectors: [{matchReturnActions: [{action: NoPost}]}]":                                     false,
		"call: a, selectors: [{matchActions: [{action: Metrics, metrics: " + metric + "}]}]":                 false,
		"call: a, selectors: [{matchActions: [{action: Metrics, metrics: " + metric + "}, {action: Post}]}]": true,
		"call: a, metrics: " + metric:                                                                        false,
		"call: a, metrics: " + metric + ", selectors: [{matchPIDs: [{operator: In, values: [1]}]}]":          false,
		"call: a, metrics: " + metric + ", selectors: [{matchActions: [{action: Post}]}]":                    true,
	}
	for spec, want := range tests {
		p := parseOne(t, "  kprobes: [{"+spec+"}]\n")
		if got := p.Hooks[0].Selectors[0].Post != nil; got != want {
			t.Errorf("%s: an event %t, want %t", spec, got, want)
		}
	}
}

func TestHooksKnowWhetherTheyNeedTheReturn(t *testing.T) {
	tests := map[string]bool{
		"call: a":                         false,
		"call: a, return: true":           true,
		"call: a, returnArg: {type: int}": true,
		"call: a, args: [{type: char_buf, returnCopy: true}]":                                                       true,
		"call: a, selectors: [{matchReturnArgs: [{operator: Equal, values: [0]}]}]":                                 true,
		"call: a, selectors: [{matchReturnActions: [{action: Post}]}]":                                              true,
		"call: a, metrics: [{name: m, type: counter}]":                                                              false,
		"call: a, metrics: [{name: m, type: counter, by: [error]}]":                                                 true,
		"call: a, metrics: [{name: m, type: histogram, value: duration}]":                                           true,
		"call: a, metrics: [{name: m, type: sum, value: arg0}]":                                                     false,
		"call: a, selectors: [{matchActions: [{action: Metrics, metrics: [{name: m, type: sum, value: return}]}]}]": true,
	}
	for spec, want := range tests {
		p := parseOne(t, "  kprobes: [{"+spec+"}]\n")
		if got := p.Hooks[0].NeedsReturn(); got != want {
			t.Errorf("%s: needs the return %t, want %t", spec, got, want)
		}
	}
}

func TestPoliciesAreParsedTheSameEachTime(t *testing.T) {
	for _, file := range append(corpus(t), malformed(t)...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 1<<16 || strings.Contains(file, "bomb") {
			continue
		}
		show := func() string {
			policies, err := amd64.Parse(file, data)
			var out strings.Builder
			for _, p := range policies {
				if err := p.Dump(&out); err != nil {
					t.Fatal(err)
				}
			}
			return fmt.Sprint(out.String(), err)
		}
		first := show()
		if !slices.Equal([]string{first, first}, []string{show(), show()}) {
			t.Errorf("%s: parsed in two ways", file)
		}
	}
}

func TestSetsOfCapabilitiesHaveNames(t *testing.T) {
	if got := fmt.Sprint(CapabilityNames(1 | 1<<40 | 1<<63)); got != "[CAP_CHOWN CAP_CHECKPOINT_RESTORE 63]" {
		t.Error(got)
	}
}

func TestActionsThatStopSomethingAreKnown(t *testing.T) {
	for k := ActionPost; k <= ActionSet; k++ {
		want := slices.Contains([]ActionKind{ActionSigkill, ActionSignal, ActionOverride, ActionNotifyEnforcer, ActionCleanupEnforcerNotification, ActionSet}, k)
		if k.Enforces() != want {
			t.Errorf("%s enforces: %t", k, k.Enforces())
		}
	}
}

func TestUserPointersOfSyscallsAreTold(t *testing.T) {
	const args = "args: [{index: 0, type: string}, {index: 1, type: int}, {index: 2, type: sockaddr}, {index: 3, type: fd}]"
	tests := map[string]string{
		"call: sys_mount, " + args:         "[0 2] [security_sb_mount]",
		"call: sys_futex, " + args:         "[0 2] []",
		"call: security_sb_mount, " + args: "[] []",
		"call: sys_mount, args: [{index: 0, source: current_task, type: string, resolve: comm}]": "[] [security_sb_mount]",
	}
	for spec, want := range tests {
		h := parseOne(t, "  kprobes: [{"+spec+"}]\n").Hooks[0]
		got := fmt.Sprint(h.UserPointers(), SaferHooks(h.Target.(*Functions).Calls[0]))
		if got != want {
			t.Errorf("%s: got %s, want %s", spec, got, want)
		}
	}
}
