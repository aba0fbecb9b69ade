package seal

import (
	"encoding/binary"
	"math/bits"
)

// remembered is how many packets before the latest are told apart: one that comes
// later than that is refused. A power of two.
const remembered = 1 << 14

// near is how far apart IVs of an end that counts can be in an epoch. Those of an
// end that draws each at random are farther apart, but for one pair in 2^62.
const near = 1 << 32

// position is an IV without its phase: a number of 95 bits.
type position struct {
	hi uint32 // 31 bits
	lo uint64
}

func positionOf(iv []byte) position {
	return position{binary.BigEndian.Uint32(iv) &^ (1 << 31), binary.BigEndian.Uint64(iv[4:])}
}

// plus is the position n further on.
func (p position) plus(n uint64) position {
	lo, carry := bits.Add64(p.lo, n, 0)
	return position{(p.hi + uint32(carry)) &^ (1 << 31), lo}
}

// put writes an IV.
func (p position) put(iv []byte, phase byte) {
	binary.BigEndian.PutUint32(iv, p.hi)
	binary.BigEndian.PutUint64(iv[4:], p.lo)
	iv[0] |= phase
}

// since is how far p is behind the other, when they are near each other.
func (p position) since(other position) (d int64, ok bool) {
	lo, borrow := bits.Sub64(p.lo, other.lo, 0)
	hi := (p.hi - other.hi - uint32(borrow)) &^ (1 << 31)
	d = int64(lo)
	return d, hi == 0 && lo < near || hi == 1<<31-1 && -lo < near
}

// memory tells the packets of an epoch that were opened from those that were not,
// when the peer counts its IVs as we do. Of a peer that draws them at random, as
// the C implementation, it remembers the first.
type memory struct {
	begun bool
	epoch uint64
	first position
	top   int64    // the latest, relative to the first
	bits  []uint64 // of the remembered ones; nil until there is a second
}

// fresh notes a packet, and reports whether it is the first time.
func (m *memory) fresh(epoch uint64, p position) bool {
	if !m.begun || m.epoch != epoch {
		clear(m.bits)
		*m = memory{begun: true, epoch: epoch, first: p, bits: m.bits}
		m.mark(0)
		return true
	}
	d, ok := p.since(m.first)
	if !ok {
		return true
	}
	if m.bits == nil {
		m.bits = make([]uint64, remembered/64)
		m.mark(0)
	}
	switch {
	case d > m.top+remembered:
		clear(m.bits)
		m.top = d
	case d > m.top:
		for m.top < d {
			m.top++
			m.bits[m.word(m.top)] &^= 1 << (m.top & 63)
		}
	case d <= m.top-remembered:
		return false
	case m.bits[m.word(d)]&(1<<(d&63)) != 0:
		return false
	}
	m.mark(d)
	return true
}

// word is where the bit of a packet is.
func (m *memory) word(d int64) int { return int(d&(remembered-1)) / 64 }

func (m *memory) mark(d int64) {
	if m.bits != nil {
		m.bits[m.word(d)] |= 1 << (d & 63)
	}
}
