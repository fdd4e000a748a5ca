// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"os"
	"strings"
	"testing"
)

// Every row of every table must be used by a policy of the corpus, so that its golden file shows what it does.
func TestEachRowOfEachTableIsInTheCorpus(t *testing.T) {
	used := make(map[string]bool)
	text := ""
	for _, file := range corpus(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += strings.ToLower(string(data))
		for _, p := range parseFile(t, file) {
			collect(used, p)
		}
	}
	var want []string
	for _, row := range Types() {
		want = append(want, "type "+row.Name)
	}
	for _, row := range Operators() {
		want = append(want, "operator "+row.Name)
	}
	for k := ActionPost; k <= ActionSet; k++ {
		want = append(want, "action "+k.String())
	}
	for k := range hookTypes {
		want = append(want, "hook "+HookType(k).String())
	}
	for k := range listKinds {
		want = append(want, "list "+ListKind(k).String())
	}
	for test := TestNumber; test <= TestExpr; test++ {
		want = append(want, "test "+test.String())
	}
	for op := range exprNames {
		want = append(want, "expr "+ExprOp(op).String())
	}
	for i := range credentialNames {
		want = append(want, "credential "+credentialNames[i])
	}
	for i := range setNames {
		want = append(want, "set "+setNames[i])
	}
	for i := range metricTypes {
		want = append(want, "metric "+metricTypes[i])
	}
	for i := range valueNames {
		want = append(want, "value "+valueNames[i])
	}
	for i := range attributeNames {
		want = append(want, "by "+attributeNames[i])
	}
	for i := range scopeNames {
		want = append(want, "scope "+scopeNames[i])
	}
	for _, w := range want {
		if !used[w] {
			t.Errorf("no policy of the corpus has %s", w)
		}
	}
	for _, row := range Types() {
		for _, alias := range row.Aliases {
			if !strings.Contains(text, "type: "+alias) {
				t.Errorf("no policy of the corpus has the type %s", alias)
			}
		}
	}
	for _, row := range Operators() {
		for _, alias := range row.Aliases {
			if !strings.Contains(text, "operator: "+strings.ToLower(alias)) {
				t.Errorf("no policy of the corpus has the operator %s", alias)
			}
		}
	}
}

func collect(used map[string]bool, p *Policy) {
	for _, l := range p.Lists {
		used["list "+l.Kind.String()] = true
	}
	for i := range p.Hooks {
		h := &p.Hooks[i]
		used["hook "+h.Type.String()] = true
		for _, a := range h.all() {
			used["type "+a.Type.String()] = true
		}
		metrics := h.Metrics
		for j := range h.Selectors {
			s := &h.Selectors[j]
			metrics = append(metrics, s.Metrics...)
			collectSelector(used, s)
		}
		for _, m := range metrics {
			used["metric "+m.Type.String()] = true
			used["value "+m.Value.From.String()] = true
			for _, a := range m.By {
				used["by "+a.Kind.String()] = true
			}
		}
	}
}

func collectSelector(used map[string]bool, s *Selector) {
	for _, list := range [][]Filter{s.Args, s.Data, s.ReturnArgs} {
		for _, f := range list {
			used["operator "+f.Operator.String()] = true
			if f.Bound {
				used["test "+f.Test.String()] = true
				collectExpr(used, f.Operand.Expr)
			}
		}
	}
	for _, list := range [][]Action{s.Actions, s.ReturnActions} {
		for _, a := range list {
			used["action "+a.Kind.String()] = true
		}
	}
	for _, c := range s.Credentials {
		used["credential "+c.Credential.String()] = true
	}
	for _, c := range s.Capabilities {
		used["set "+c.Set.String()] = true
	}
	if s.Post != nil {
		used["scope "+s.Post.Scope.String()] = true
	}
}

func collectExpr(used map[string]bool, e *Expr) {
	if e == nil {
		return
	}
	used["expr "+e.Op.String()] = true
	collectExpr(used, e.X)
	collectExpr(used, e.Y)
	collectExpr(used, e.Z)
}

func TestTablesAreInTheOrderOfTheirNumbers(t *testing.T) {
	for i, row := range types {
		if int(row.Type) != i || row.Name == "" || row.Class == 0 {
			t.Errorf("the type %d has the row of %d, %q", i, row.Type, row.Name)
		}
	}
	for i, row := range operators() {
		if int(row.Op) != i || i > 0 && (row.Name == "" || row.operand == nil || row.Classes == 0) {
			t.Errorf("the operator %d has the row of %d, %q", i, row.Op, row.Name)
		}
	}
	for i, row := range actions {
		if int(row.kind) != i {
			t.Errorf("the action %d has the row of %d, %q", i, row.kind, row.name)
		}
	}
	if len(testNames) != int(TestExpr)+1 || len(exprNames) != int(ExprCond)+1 || len(hookTypes) != int(USDT)+1 {
		t.Error("a table of names is too long or too short")
	}
	names := make(map[string]bool)
	for _, row := range Operators() {
		for _, n := range append([]string{row.Name}, row.Aliases...) {
			if names[strings.ToLower(n)] {
				t.Errorf("the operator name %s is there twice", n)
			}
			names[strings.ToLower(n)] = true
		}
	}
}
