// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func number(v float64) *float64 { return &v }

func TestEveryFigureIsMeasured(t *testing.T) {
	text, err := os.ReadFile("figures.yaml")
	if err != nil {
		t.Fatal(err)
	}
	figures, err := parseFigures(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan(figures); err != nil {
		t.Error(err)
	}
	known := map[string]bool{}
	for _, f := range figures {
		known[f.Name] = true
		if f.Accepted == nil {
			t.Errorf("%s: nothing is accepted", f.Name)
		}
		if f.Limit != nil && f.Accepted != nil && *f.Accepted > *f.Limit && f.Note == "" {
			t.Errorf("%s is over its limit: note what stands in the way", f.Name)
		}
	}
	for _, m := range measurements {
		for _, name := range m.figures {
			if !known[name] {
				t.Errorf("%s is measured and not in figures.yaml", name)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name         string
		figure       figure
		measured     float64
		failed, over bool
	}{
		{"as accepted", figure{Accepted: number(100), Limit: number(200)}, 100, false, false},
		{"within the tolerance", figure{Accepted: number(100)}, 103, false, false},
		{"dearer than the tolerance", figure{Accepted: number(100)}, 103.1, true, false},
		{"dearer and below the limit fails", figure{Accepted: number(100), Limit: number(200)}, 150, true, false},
		{"over the limit, as is known", figure{Accepted: number(100), Limit: number(50)}, 100, false, true},
		{"within a limit that was not reached before", figure{Accepted: number(100), Limit: number(50)}, 49, false, false},
		{"own tolerance", figure{Accepted: number(100), Tolerance: number(10)}, 109, false, false},
		{"slack of a figure near zero", figure{Accepted: number(0.1), Slack: 0.5}, 0.6, false, false},
		{"more than the slack", figure{Accepted: number(0.1), Slack: 0.5}, 0.7, true, false},
		{"never accepted", figure{Limit: number(50)}, 1, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := tc.figure.judge(tc.measured)
			if v.failed != tc.failed || v.over != tc.over {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestParseFiguresRefuses(t *testing.T) {
	const whole = "figures:\n  - {name: a, row: 1, what: b, unit: bytes}\n"
	if _, err := parseFigures([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"none":            "figures: []",
		"unknown key":     strings.Replace(whole, "row:", "line: 1, row:", 1),
		"no unit":         strings.Replace(whole, ", unit: bytes", "", 1),
		"same name twice": whole + strings.TrimPrefix(whole, "figures:\n"),
	} {
		if _, err := parseFigures([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAcceptKeepsTheFile(t *testing.T) {
	text, err := os.ReadFile("figures.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := accept(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("the file is not as -accept writes it:\n%s", got)
	}
}

func TestAcceptChangesOnlyWhatWasMeasured(t *testing.T) {
	const before = `# Why.
figures:
  # A comment.
  - name: old
    row: 1
    what: b
    unit: bytes
    limit: 100
    accepted: 7
    peer: "12,000"
  - name: new
    row: 2
    what: c
    unit: percent
    peer: d
  - name: other
    row: 3
    what: e
    unit: bytes
    accepted: 1
`
	got, err := accept([]byte(before), map[string]float64{"old": 12345.6, "new": 0.123456})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("accepted: 7", "accepted: 12346", "unit: percent\n", "unit: percent\n    accepted: 0.1235\n").Replace(before)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestChoose(t *testing.T) {
	figures := []figure{{Name: "a", Row: 1}, {Name: "b", Row: 4}, {Name: "c", Row: 4}}
	for list, want := range map[string]string{"": "abc", "4": "bc", "1,4": "abc", "c": "c", "4,b": "bc"} {
		got, err := choose(figures, list)
		if err != nil {
			t.Errorf("%q: %v", list, err)
		}
		var chosen strings.Builder
		for _, f := range got {
			chosen.WriteString(f.Name)
		}
		if chosen.String() != want {
			t.Errorf("%q: %s, want %s", list, &chosen, want)
		}
	}
	if _, err := choose(figures, "7"); err == nil {
		t.Error("a row that does not exist: no error")
	}
}

func TestParseReport(t *testing.T) {
	m := measurement{name: "kernel", figures: []string{"a"}}
	got, err := parseReport(m, bytes.NewBufferString(`{"name":"a","value":1.5}`+"\n"+`{"name":"b","value":2}`+"\n"))
	if err != nil || got["a"] != 1.5 || got["b"] != 2 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", `{"name":"b","value":2}`, "words"} {
		if _, err := parseReport(m, bytes.NewBufferString(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestUnitEnvironment(t *testing.T) {
	got := unitEnvironment("[Service]\nEnvironment=A=1 B=2\n#Environment=C=3\nExecStart=x\nEnvironment=D=4\n")
	if want := []string{"A=1", "B=2", "D=4"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		unit  string
		value float64
		want  string
	}{
		{"instructions", 1234567.4, "1,234,567"},
		{"instructions", -1234, "-1,234"},
		{"instructions", -123, "-123"},
		{"instructions", 7, "7"},
		{"bytes", 1500, "1500 B"},
		{"bytes", 12 << 20, "12.0 MiB"},
		{"percent", 0.384, "0.38 %"},
		{"seconds", 1.876, "1.88 s"},
	} {
		if got := format(tc.unit, tc.value); got != tc.want {
			t.Errorf("%s %v: %s, want %s", tc.unit, tc.value, got, tc.want)
		}
	}
}
