package registry

import "math/bits"

// idSet gives out the lowest free number from 1. A bit is set when the number
// is taken; each level above has a bit for each word below that is full, so
// that finding the lowest free number looks at one word a level.
type idSet struct {
	limit  int // highest number
	levels [][]uint64
}

func newIDSet(limit int) idSet {
	s := idSet{limit: limit}
	for n := limit + 1; ; {
		words := (n + 63) / 64
		s.levels = append(s.levels, make([]uint64, words))
		if words == 1 {
			break
		}
		n = words
	}
	// Bits behind the end of a level count as full.
	n := limit + 1
	for _, l := range s.levels {
		if rest := n % 64; rest != 0 {
			l[len(l)-1] |= ^uint64(0) << rest
		}
		n = len(l)
	}
	s.set(0)
	return s
}

// take gives the lowest free number, false when none is left.
func (s *idSet) take() (int, bool) {
	top := len(s.levels) - 1
	if s.levels[top][0] == ^uint64(0) {
		return 0, false
	}
	word := 0
	for l := top; l >= 0; l-- {
		word = word*64 + bits.TrailingZeros64(^s.levels[l][word])
	}
	s.set(word)
	return word, true
}

func (s *idSet) set(id int) {
	for _, l := range s.levels {
		l[id/64] |= 1 << (id % 64)
		if l[id/64] != ^uint64(0) {
			return
		}
		id /= 64
	}
}

// free gives a number back.
func (s *idSet) free(id int) {
	for _, l := range s.levels {
		l[id/64] &^= 1 << (id % 64)
		id /= 64
	}
}
