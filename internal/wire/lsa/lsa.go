// Package lsa is the wire format of link state in a unicast layer: one update
// says that one directed link exists. It is bytes in, struct out.
//
//	offset  size  field
//	0       8     dst   far end of the link, big endian
//	8       8     src   originator of the link and of the update, big endian
//	16      8     seq   number of this link, big endian
//
// The destination comes first. One update is one packet of exactly 24 bytes;
// another length is none, and an empty packet is a keep-alive of the flow.
// There is no type, age, metric, checksum or acknowledgement.
//
// # Numbers
//
// The C implementation counts each directed link from 0, one a refresh, and a
// receiver of its kind only compares the 64 bits. So members of our kind use
// them to say more, and stay understood:
//
//	 63            48 47                    16 15      12 11        1 0
//	┌────────────────┬────────────────────────┬──────────┬───────────┬─┐
//	│ 0x4f52         │ counter                │ exponent │ mantissa  │W│
//	└────────────────┴────────────────────────┴──────────┴───────────┴─┘
//
//	counter   grows with each update of the link
//	MTU       mantissa << exponent: the longest packet that the link carries, in
//	          bytes, rounded down to 11 digits; 0 = not known
//	W         the link is withdrawn
//
// Such a number is above all that a member counts to, and grows with the
// counter. The wire format has no withdrawal: a member of the C implementation
// takes one for a refresh, and the link ages out there; members of our kind
// remove the link at once.
//
// Three rules keep forged numbers from doing lasting harm, see Newer and Speaks:
//
//   - A number above Max beats no structured one: it is below all of them.
//   - Two numbers with one counter never come from a member of our kind, which
//     counts each update. The higher one is from a member that got a structured
//     number back as its own and adds 1 to it; it says nothing but "refreshed".
//   - The last counter says nothing but "refreshed" either: nobody can withdraw a
//     link with a number that the originator cannot exceed.
package lsa

import (
	"encoding/binary"
	"math"
	"math/bits"

	"ouroboros/internal/wire/dt"
)

// Size is the length of an update in bytes.
const Size = 24

// Update is a link-state update.
type Update struct {
	Dst, Src dt.Addr
	Seq      Seq
}

// Valid reports whether the update can describe a link: between two members
// that differ. The C implementation dies of a link from a member to itself.
func (u Update) Valid() bool { return u.Dst.Valid() && u.Src.Valid() && u.Dst != u.Src }

// Parse reads a packet; false when its length is not Size.
func Parse(b []byte) (u Update, ok bool) {
	if len(b) != Size {
		return u, false
	}
	be := binary.BigEndian
	return Update{Dst: dt.Addr(be.Uint64(b)), Src: dt.Addr(be.Uint64(b[8:])), Seq: Seq(be.Uint64(b[16:]))}, true
}

// Put writes the update into the first Size bytes of b.
func (u Update) Put(b []byte) {
	_ = b[Size-1]
	be := binary.BigEndian
	be.PutUint64(b, uint64(u.Dst))
	be.PutUint64(b[8:], uint64(u.Src))
	be.PutUint64(b[16:], uint64(u.Seq))
}

// Seq is the number of an update.
type Seq uint64

// The parts of a structured number.
const (
	magic        = 0x4f52
	magicAt      = 48
	counterAt    = 16
	exponentAt   = 12
	mantissaAt   = 1
	mantissaBits = exponentAt - mantissaAt
	maxMantissa  = 1<<mantissaBits - 1
	maxExponent  = 15
	withdrawn    = 1
)

// LastCounter is the counter that says nothing but "refreshed", Max the highest
// structured number.
const (
	LastCounter uint32 = math.MaxUint32
	Max         Seq    = magic<<magicAt | math.MaxUint32<<counterAt | math.MaxUint16
)

// Make gives the structured number of an update. An MTU is in bytes.
func Make(counter uint32, mtu int, gone bool) Seq {
	s := Seq(magic)<<magicAt | Seq(counter)<<counterAt | pack(mtu)
	if gone {
		s |= withdrawn
	}
	return s
}

// pack gives the floating number of an MTU, in its place.
func pack(mtu int) Seq {
	if mtu <= 0 {
		return 0
	}
	e := max(0, bits.Len(uint(mtu))-mantissaBits)
	if e > maxExponent {
		return maxExponent<<exponentAt | maxMantissa<<mantissaAt
	}
	return Seq(e)<<exponentAt | Seq(mtu>>e)<<mantissaAt
}

// Structured reports whether s was made by a member of our kind.
func (s Seq) Structured() bool { return s>>magicAt == magic }

// Counter, MTU and Withdrawn are the parts of a structured number.
func (s Seq) Counter() uint32 { return uint32(s >> counterAt) }
func (s Seq) MTU() int        { return int(s>>mantissaAt&maxMantissa) << (s >> exponentAt & maxExponent) }
func (s Seq) Withdrawn() bool { return s&withdrawn != 0 }

// Newer reports whether s replaces t. Structured numbers replace all others,
// also those above Max, which no member has counted to.
func (s Seq) Newer(t Seq) bool {
	if s.Structured() != t.Structured() {
		return s.Structured()
	}
	return s > t
}

// Speaks reports whether MTU and Withdrawn of s, which replaces old, mean
// something. For the first number of a link old is 0.
func (s Seq) Speaks(old Seq) bool {
	if !s.Structured() || s.Counter() == LastCounter {
		return false
	}
	return !old.Structured() || old.Counter() != s.Counter()
}
