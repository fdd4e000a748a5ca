// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// defaultTolerance is by how many percent a figure may be more than what was accepted.
const defaultTolerance = 3

// figure is one that is measured, as figures.yaml tells it.
type figure struct {
	Name      string   `yaml:"name"`
	Row       int      `yaml:"row"`
	What      string   `yaml:"what"`
	Unit      string   `yaml:"unit"`
	Limit     *float64 `yaml:"limit"`
	Accepted  *float64 `yaml:"accepted"`
	Tolerance *float64 `yaml:"tolerance"`
	Slack     float64  `yaml:"slack"`
	Peer      string   `yaml:"peer"`
	Note      string   `yaml:"note"`
}

// parseFigures reads figures.yaml.
func parseFigures(text []byte) ([]figure, error) {
	var file struct {
		Figures []figure `yaml:"figures"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	seen := map[string]bool{}
	for _, f := range file.Figures {
		switch {
		case f.Name == "" || f.Row < 1 || f.What == "" || f.Unit == "":
			return nil, fmt.Errorf("read figures: %q: want name, row, what and unit", f.Name)
		case seen[f.Name]:
			return nil, fmt.Errorf("read figures: %q is there twice", f.Name)
		}
		seen[f.Name] = true
	}
	if len(seen) == 0 {
		return nil, errors.New("read figures: there are none")
	}
	return file.Figures, nil
}

// verdict is what a measurement says of a figure.
type verdict struct {
	text   string
	failed bool // it is dearer than what was accepted
	over   bool // it is over its limit
}

// most is the highest value that passes.
func (f figure) most() float64 {
	tolerance := float64(defaultTolerance)
	if f.Tolerance != nil {
		tolerance = *f.Tolerance
	}
	return *f.Accepted*(1+tolerance/100) + f.Slack
}

// judge compares a measurement with what was accepted and with the limit.
func (f figure) judge(measured float64) verdict {
	v := verdict{text: "ok", over: f.Limit != nil && measured > *f.Limit}
	if v.over {
		v.text = "over its limit"
	}
	switch {
	case f.Accepted == nil:
		v.text += ", new: accept it"
		v.failed = true
	case measured > f.most():
		v.text = fmt.Sprintf("FAILED: %+.1f %% of the accepted %s", 100*(measured / *f.Accepted - 1), format(f.Unit, *f.Accepted))
		v.failed = true
	case 2**f.Accepted-measured > f.most():
		v.text += fmt.Sprintf(", less than the accepted %s: accept it", format(f.Unit, *f.Accepted))
	}
	return v
}

// accept returns the text of figures.yaml with these values accepted; everything else in it stays.
func accept(text []byte, measured map[string]float64) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	list := child(document.Content[0], "figures")
	if list == nil {
		return nil, errors.New("read figures: there are none")
	}
	for _, node := range list.Content {
		value, ok := measured[child(node, "name").Value]
		if !ok {
			continue
		}
		accepted := child(node, "accepted")
		if accepted == nil {
			accepted = &yaml.Node{Kind: yaml.ScalarNode}
			key := &yaml.Node{Kind: yaml.ScalarNode, Value: "accepted"}
			node.Content = slices.Insert(node.Content, after(node, "limit", "unit"), key, accepted)
		}
		// Without a tag it is written as it is.
		accepted.Value, accepted.Tag, accepted.Style = decimal(value), "", 0
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&document), encoder.Close()); err != nil {
		return nil, fmt.Errorf("write figures: %w", err)
	}
	return b.Bytes(), nil
}

// child returns the value of a key of a mapping, or nil.
func child(node *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// after returns the index behind the first of these keys that is there.
func after(node *yaml.Node, keys ...string) int {
	for _, key := range keys {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				return i + 2
			}
		}
	}
	return len(node.Content)
}

// decimal writes a value with four digits, or as an integer when it has more: a measurement is good for no more.
func decimal(v float64) string {
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		panic(err) // it was written as a number
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// format writes a value for a person.
func format(unit string, v float64) string {
	switch unit {
	case "bytes":
		switch {
		case v >= 1<<20:
			return fmt.Sprintf("%.1f MiB", v/(1<<20))
		case v >= 10_000:
			return fmt.Sprintf("%.1f KiB", v/(1<<10))
		}
		return fmt.Sprintf("%.0f B", v)
	case "seconds":
		return fmt.Sprintf("%.2f s", v)
	case "percent":
		return fmt.Sprintf("%.2f %%", v)
	case "allocations":
		return fmt.Sprintf("%.1f", v)
	}
	return thousands(int64(math.Round(v)))
}

// thousands writes a number with commas.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// printTable prints the figures that were measured beside their limits, and returns whether all pass.
func printTable(w io.Writer, figures []figure, measured map[string]float64) bool {
	passed := true
	var over []string
	fmt.Fprintf(w, "%3s  %-78s %14s %12s  %-36s %s\n", "", "figure", "measured", "limit", "peer", "verdict")
	for _, f := range figures {
		value, ok := measured[f.Name]
		if !ok {
			continue
		}
		v := f.judge(value)
		limit := "-"
		if f.Limit != nil {
			limit = format(f.Unit, *f.Limit)
		}
		fmt.Fprintf(w, "%3d  %-78s %14s %12s  %-36s %s\n", f.Row, f.What, format(f.Unit, value), limit, f.Peer, v.text)
		passed = passed && !v.failed
		if v.over {
			over = append(over, fmt.Sprintf("%s: %s of %s. %s", f.What, format(f.Unit, value), format(f.Unit, *f.Limit), strings.Join(strings.Fields(f.Note), " ")))
		}
	}
	for _, line := range over {
		fmt.Fprintf(w, "limit not reached: %s\n", line)
	}
	return passed
}
