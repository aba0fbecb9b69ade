package grammar

import "strings"

// abbreviates reports whether word is a prefix of candidate. Words with a dash
// in front are not abbreviated.
func abbreviates(word, candidate string) bool {
	if strings.HasPrefix(candidate, "-") {
		return word == candidate
	}
	return strings.HasPrefix(candidate, word)
}

// child finds the node that word stands for.
func (n *Node) child(word string) *Node {
	for _, s := range n.Sub {
		if s.Hidden {
			if s.Word == word {
				return s
			}
			continue
		}
		if abbreviates(word, s.Word) {
			return s
		}
	}
	return nil
}

// match finds the keyword that word stands for: all first spellings in their
// order, then the others.
func (n *Node) match(word string) *Keyword {
	for _, k := range n.Keywords {
		if word == k.Word || !k.Exact && abbreviates(word, k.Word) {
			return k
		}
	}
	for _, k := range n.Keywords {
		for _, a := range k.Also {
			if word == a || !k.Exact && abbreviates(word, a) {
				return k
			}
		}
	}
	return nil
}

// Wildcard reports whether s matches pattern, in which * stands for any run
// of bytes, also an empty one, and everything else for itself.
func Wildcard(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0: // let the last star swallow one byte more
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// HasWildcard reports whether s is a pattern that stands for more than itself.
func HasWildcard(s string) bool { return strings.Contains(s, "*") }

// Nearest gives the candidate that a mistyped word most likely means; "" when
// none is near.
func Nearest(word string, candidates []string) string {
	best, found := 1+max(1, len(word)/3), ""
	for _, c := range candidates {
		if len(word) > 64 || len(c) > 64 {
			continue
		}
		if strings.EqualFold(c, word) {
			return c
		}
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if len(c) >= 2 && len(word) > len(c) && strings.HasPrefix(word, c) {
			d = min(d, 1) // a longer form of the word: "bootstrapping"
		}
		if len(word) >= 3 && strings.HasPrefix(c, word) {
			d = 1 // a shorter one
		}
		if d < best && d < len(word) {
			best, found = d, c
		}
	}
	return found
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
