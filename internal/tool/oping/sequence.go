package oping

// window is how many ids before the highest are remembered one by one.
const window = 1 << 20

// verdict is what the id of a reply says about it.
type verdict uint8

const (
	inOrder    verdict = iota // as expected, or some before it are missing
	outOfOrder                // missed before
	duplicate                 // seen before, or too old to tell
)

// sequence follows the ids of the replies. The zero value expects id 0.
type sequence struct {
	expected int64    // the highest seen + 1
	seen     []uint64 // one bit an id, those of the window before expected
}

// see takes the id of a reply and tells how it stands to those before.
func (s *sequence) see(id int64) verdict {
	if s.seen == nil {
		s.seen = make([]uint64, window/64)
	}
	if id >= s.expected {
		if id-s.expected >= window {
			clear(s.seen)
		} else {
			for i := s.expected; i < id; i++ {
				s.seen[i%window/64] &^= 1 << (i % 64)
			}
		}
		s.seen[id%window/64] |= 1 << (id % 64)
		s.expected = id + 1
		return inOrder
	}
	if id < s.expected-window {
		return duplicate
	}
	word, bit := &s.seen[id%window/64], uint64(1)<<(id%64)
	if *word&bit != 0 {
		return duplicate
	}
	*word |= bit
	return outOfOrder
}
