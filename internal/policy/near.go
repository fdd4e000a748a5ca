// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// didYouMean returns a remedy that names what is nearest to a misspelt word, or all choices when few and none is near.
func didYouMean(word string, choices []string) string {
	if best := Nearest(word, choices); len(best) > 0 {
		return "did you mean " + oneOf(best) + "?"
	}
	const few = 12
	if len(choices) > 0 && len(choices) <= few {
		return "known are " + strings.Join(choices, ", ")
	}
	return ""
}

// Nearest returns the choices that a misspelt word most likely stands for: those at the smallest edit distance, case
// ignored, of at most a third of the word's length. At most three, in alphabetical order.
func Nearest(word string, choices []string) []string {
	// A longer word is no misspelling of a name, and would cost time.
	const longest = 64
	if len(word) > longest {
		return nil
	}
	const most = 3
	limit := max(1, len(word)/3)
	var best []string
	folded := strings.ToLower(word)
	for _, c := range choices {
		d := distance(folded, strings.ToLower(c), limit)
		switch {
		case d > limit:
		case d < limit:
			limit, best = d, []string{c}
		default:
			best = append(best, c)
		}
	}
	slices.Sort(best)
	best = slices.Compact(best)
	return best[:min(len(best), most)]
}

// distance is the number of letters to insert, delete, replace or swap with the next to turn a into b; something
// above limit when it is more than that.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func oneOf(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "`" + w + "`"
	}
	return strings.Join(quoted, " or ")
}
