package config

import (
	"fmt"
	"strings"
)

// Suggest says which of the words was probably meant; empty when none is
// near.
func Suggest(word string, words []string) string {
	best, near := "", 3
	low := strings.ToLower(word)
	for _, w := range words {
		d := distance(low, strings.ToLower(w))
		if len(low) >= 3 && (strings.HasPrefix(strings.ToLower(w), low) || strings.HasPrefix(low, strings.ToLower(w))) {
			d = min(d, 2)
		}
		if d < near && d < max(len(w), 2) {
			best, near = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance counts the letters to insert, remove, change or swap with their
// neighbour that lead from a to b. Longer words than any of ours are far.
func distance(a, b string) int {
	const far = 64
	if len(a) > far || len(b) > far {
		return far
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	beforeThat := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		beforeThat, before, row = before, row, beforeThat
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(before[j]+1, row[j-1]+1, before[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], beforeThat[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// either lists words for a sentence: a, b or c.
func either(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
