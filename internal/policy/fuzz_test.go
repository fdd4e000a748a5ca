// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, file := range append(corpus(f), malformed(f)...) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		policies, err := amd64.Parse("f.yaml", data)
		if err != nil {
			var list Errors
			if !errors.As(err, &list) || len(policies) > 0 {
				t.Fatalf("%d policies and %v", len(policies), err)
			}
			checkPositions(t, "f.yaml", data, list)
			return
		}
		for _, p := range policies {
			if len(p.Hooks) == 0 || p.Name == "" {
				t.Errorf("a policy without name or hooks: %+v", p)
			}
			for i := range p.Hooks {
				checkHook(t, &p.Hooks[i])
			}
		}
	})
}

// checkHook holds what users of a parsed hook rely on.
func checkHook(t *testing.T, h *Hook) {
	t.Helper()
	if h.Target == nil || len(h.Selectors) == 0 {
		t.Error("a hook without target or selectors")
	}
	for i := range h.Selectors {
		s := &h.Selectors[i]
		for in, list := range [][]Filter{s.Args, s.Data, s.ReturnArgs} {
			for j := range list {
				checkFilter(t, h, &list[j], place(in))
			}
		}
	}
	// Whatever BTF says, Bind answers.
	for _, b := range []Binding{{Type: Int32}, {Type: File}, {Type: Sock}, {Type: String}, {Type: CapEffective}, {Type: Syscall64}, {Type: Sockaddr}} {
		bound, err := h.Bind(func(*Arg) (Binding, error) { return b, nil })
		if err != nil {
			continue
		}
		for i := range bound.Selectors {
			for j := range bound.Selectors[i].Args {
				if !bound.Selectors[i].Args[j].Bound {
					t.Error("a filter is not bound after Bind")
				}
			}
		}
	}
}

func checkFilter(t *testing.T, h *Hook, f *Filter, in place) {
	t.Helper()
	limit := len(h.Args)
	if in == inData {
		limit = len(h.Data)
	}
	for _, a := range f.Args {
		if a < 0 || a >= limit {
			t.Errorf("the filter at %s is on argument %d of %d", f.Pos, a, limit)
		}
	}
	if in == inReturn && h.Return == nil {
		t.Error("a filter on a return value that nothing reads")
	}
	if f.Bound && f.Test == TestNone {
		t.Errorf("the bound filter at %s has no test", f.Pos)
	}
	d := numbers{bits: max(1, f.Operand.Bits), signed: f.Operand.Signed}
	for i, v := range f.Operand.Intervals {
		if d.less(v.High, v.Low) || i > 0 && !d.less(f.Operand.Intervals[i-1].High, v.Low) {
			t.Errorf("the filter at %s has the intervals %v", f.Pos, f.Operand.Intervals)
		}
	}
	if !slices.IsSorted(f.Operand.Texts) {
		t.Errorf("the filter at %s has the texts %q", f.Pos, f.Operand.Texts)
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1", "0xff", "0b1", "017", "O_CREAT|O_EXCL", "1:5", "-EPERM", "9223372036854775808", "5:", "1_0"} {
		f.Add(s, uint8(3), true)
		f.Add(s, uint8(0), false)
	}
	f.Fuzz(func(t *testing.T, s string, width uint8, signed bool) {
		d := numbers{bits: 8 << (width % 4), signed: signed, arch: "arm64"}
		i, err := d.span(s)
		if err != nil {
			return
		}
		if d.less(i.High, i.Low) || d.less(i.Low, d.least()) || d.less(d.greatest(), i.High) {
			t.Errorf("%q in %d bits: %v", s, d.bits, i)
		}
		again, err := d.span(d.format(i))
		if err != nil || again != i {
			t.Errorf("%q is %v, printed and read again %v, %v", s, i, again, err)
		}
	})
}

func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::1", "::ffff:1.2.3.4/120", "1.2.3.4/33", "fe80::1%lo", "/", "1.2.3.4/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseNetwork(s)
		if err != nil {
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() && p.Bits() >= 96 {
			t.Errorf("%q is %s", s, p)
		}
		if again, err := parseNetwork(p.String()); err != nil || again != p {
			t.Errorf("%q is %s, read again %s, %v", s, p, again, err)
		}
	})
}

func FuzzPort(f *testing.F) {
	for _, s := range []string{"80", "1:2", "5-9", "65536", "-1", ":", "0080"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if i, err := parsePort(s); err == nil && (i.Low > i.High || i.High > 65535) {
			t.Errorf("%q is %v", s, i)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"a.b", "a[1].c", "->", "a->b", "[", "a]", "a[0][1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		steps, bad := parsePath(s)
		if bad != "" {
			return
		}
		text := ""
		for _, step := range steps {
			text += step.String()
		}
		if text[0] == '.' {
			text = text[1:]
		}
		again, bad := parsePath(text)
		if bad != "" || !slices.Equal(again, steps) {
			t.Errorf("%q is %v, read again %v %s", s, steps, again, bad)
		}
	})
}

func FuzzExpr(f *testing.F) {
	for _, s := range []string{"arg0 == 1", "arg0 in [1, 2u]", "!(arg0 > 5) || true", "math.bitAnd(arg0, 1) != 0", "arg0 ? 1 : 2", "-arg0 == int8(300)", "((((", "a.b.c", "{1: 2}", "[1][0]"} {
		f.Add(s, uint8(4))
	}
	f.Fuzz(func(t *testing.T, s string, typ uint8) {
		h := &hookReader{reader: amd64.reader(), hook: &Hook{Args: []Arg{{Type: Int8 + ArgType(typ)%(Enum-Int8)}, {Type: Bool}}}}
		filter := &Filter{Args: []int{0, 1}, Operator: OpCelExpr, Raw: []Raw{{Text: s}}}
		e := h.typedExpr(filter, inArgs, nil)
		if (e == nil) != (len(h.errs) > 0) {
			t.Fatalf("%q: %v and %v", s, e, h.errs)
		}
		if e != nil {
			checkExpr(t, s, e, len(filter.Args))
		}
	})
}

// checkExpr holds that a typed expression needs no further conversion.
func checkExpr(t *testing.T, s string, e *Expr, args int) {
	t.Helper()
	var bad bool
	switch e.Op {
	case ExprConst:
		bad = e.X != nil
	case ExprArg:
		bad = e.Arg < 0 || e.Arg >= args
	case ExprConvert:
		bad = e.X == nil || e.Y != nil || e.Type == truth
	case ExprNeg:
		bad = e.X == nil || e.X.Type != e.Type || e.Type == truth
	case ExprNot:
		bad = e.X == nil || e.X.Type != truth || e.Type != truth
	case ExprAnd, ExprOr:
		bad = e.X.Type != truth || e.Y.Type != truth || e.Type != truth
	case ExprEqual, ExprNotEqual, ExprLess, ExprLessEqual:
		bad = e.X.Type != e.Y.Type || e.Type != truth
	case ExprCond:
		bad = e.X.Type != truth || e.Y.Type != e.Z.Type || e.Type != e.Y.Type
	default:
		bad = e.X.Type != e.Y.Type || e.Type != e.X.Type || e.Type == truth
	}
	if bad {
		t.Errorf("%q: wrongly typed: %s", s, e)
	}
	for _, x := range []*Expr{e.X, e.Y, e.Z} {
		if x != nil {
			checkExpr(t, s, x, args)
		}
	}
}

// Bytes that a fuzzer turns seldom give YAML; whole words that are put in the wrong place always do.
func TestDamagedPoliciesAreReadOrRefused(t *testing.T) {
	words := []string{
		"", "null", "[]", "{}", "x", "-1", "true", "[a, b]", "{a: b}", "list:x", "auto", "99999999999999999999", `"\0"`, "arg0", "O_CREAT|", "1:2",
		"CelExpr", "Metrics", "SameFile", "sock", "file", "syscall64", "cap_effective",
	}
	for _, file := range corpus(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(file, "many-values") {
			continue
		}
		for k, at := range regexp.MustCompile(`[\w/.$%:|"-]+`).FindAllIndex(data, -1) {
			// A few words in each place, others in the next.
			for j := range 5 {
				w := words[(5*k+j)%len(words)]
				damaged := slices.Concat(data[:at[0]], []byte(w), data[at[1]:])
				policies, err := amd64.Parse("f.yaml", damaged)
				var list Errors
				if errors.As(err, &list) {
					checkPositions(t, file+" with "+w, damaged, list)
				}
				for _, p := range policies {
					for i := range p.Hooks {
						checkHook(t, &p.Hooks[i])
					}
				}
			}
		}
	}
}
