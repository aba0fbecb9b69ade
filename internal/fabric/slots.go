package fabric

import (
	"math/bits"

	"ouroboros/internal/ring"
)

// slots hands out the lowest free slots of a link: a dense bitmap at the ring
// is quick to scan.
type slots struct {
	words []uint64 // bit set = taken
	from  int      // no free bit in the words before
}

func (s *slots) take() (slot int, ok bool) {
	for ; s.from < len(s.words); s.from++ {
		if w := s.words[s.from]; w != ^uint64(0) {
			bit := bits.TrailingZeros64(^w)
			s.words[s.from] |= 1 << bit
			return s.from*64 + bit, true
		}
	}
	if len(s.words)*64 >= ring.MaxSlots {
		return 0, false
	}
	s.words = append(s.words, 1)
	return s.from * 64, true
}

func (s *slots) give(slot int) {
	s.words[slot/64] &^= 1 << (slot % 64)
	s.from = min(s.from, slot/64)
}
