package ring

import (
	"sync/atomic"
	"unsafe"
)

// DefaultWindow is how many bytes a side writes ahead of the reader. What fits
// the second-level caches streams faster than what fits the ring.
const DefaultWindow = 512 << 10

// recheck is how far a producer under load goes before it looks again whether
// the ring ran empty: each look costs a cache miss.
const recheck = 16 << 10

// producer is the writing half of an End. Its positions are private; of the
// shared words it reads only head and roomArmed's answer.
type producer struct {
	mu lock

	mem       []byte // the ring
	mask      uint64
	tailWord  *atomic.Uint64 // ours
	headWord  *atomic.Uint64 // the consumer's
	dataArmed *atomic.Uint32 // set by the consumer, cleared by us
	roomArmed *atomic.Uint32 // set by us, cleared by the consumer

	*outPositions              // own, or those of a Foreign
	own           outPositions //
}

// outPositions are the private positions of a producer.
type outPositions struct {
	tail    uint64 // position behind the last record
	head    uint64 // last known position of the consumer
	skipAt  uint64 // where the last skip record lies
	skipLen uint64 // its space; 0 = passed
	looked  uint64 // tail when the ring was last checked for being empty
	window  uint64 // bytes in which to stay while the reader keeps up
	ahead   uint64 // bytes that may be written ahead of the reader
	count   uint32 // messages written
	taken   uint32 // messages read as of head
}

func (p *producer) init(ctl, mem []byte, dir int, window uint64) {
	c := ctl[dir*ctlDirection:]
	p.outPositions = &p.own
	p.mem, p.mask, p.window, p.ahead = mem, uint64(len(mem))-1, window, window
	p.looked -= recheck // look at the end of the first page
	p.tailWord, p.headWord = word64(c, ctlTail), word64(c, ctlHead)
	p.dataArmed, p.roomArmed = word32(c, ctlDataArmed), word32(c, ctlRoomArmed)
}

// refresh learns how far the consumer got; false when its word is impossible.
func (p *producer) refresh() bool {
	bytes, messages := advance(p.headWord.Load(), p.head, p.taken)
	if bytes > p.tail-p.head || messages > p.count-p.taken {
		return false
	}
	p.head += bytes
	p.taken += messages
	return true
}

// fits reports whether a record may be written, as far as is known: not too
// far ahead, or as the only one. Space that was skipped does not count as
// ahead.
func (p *producer) fits(need uint64) bool {
	used := p.tail - p.head
	if used == 0 {
		return true
	}
	data := used
	if p.head <= p.skipAt {
		data -= p.skipLen
	}
	return data+need <= p.ahead && used+need <= uint64(len(p.mem))
}

// reserve makes room for a record. ok is false when the consumer's word is
// impossible, room when there is not enough.
func (p *producer) reserve(need uint64) (room, ok bool) {
	if !p.fits(need) {
		if !p.refresh() {
			return false, false
		}
		if !p.fits(need) {
			return false, true
		}
	}
	off := p.tail & p.mask
	if off+need <= pageSize || off == 0 {
		return true, true
	}
	// Beyond the first page: go back to the start of the ring if that part
	// was read, when all was read or when the lap is twice the window.
	if p.tail-p.looked >= recheck || off >= 2*p.window {
		p.looked = p.tail
		if !p.refresh() {
			return false, false
		}
		lap := p.tail - off
		if p.head == p.tail || off >= 2*p.window {
			if p.head >= lap+need && p.tail-p.head <= p.window {
				p.skip(uint64(len(p.mem)) - off)
			}
		}
	}
	return true, true
}

func (p *producer) skip(space uint64) {
	p.putHeader(header(space-headerSize, kindSkip))
	p.skipAt, p.skipLen = p.tail, space
	p.tail += space
}

func (p *producer) putHeader(h uint64) {
	// Offsets are multiples of 8, so a header never wraps. It is published,
	// like the payload, by the store to the tail word.
	*(*uint64)(unsafe.Pointer(&p.mem[p.tail&p.mask])) = h
}

// put writes a message into reserved room and publishes it; true when the
// consumer wants to be rung.
func (p *producer) put(b []byte) bool {
	p.place(b)
	p.publish()
	return p.rings()
}

// place writes a message into reserved room.
func (p *producer) place(b []byte) {
	p.putHeader(header(uint64(len(b)), kindMessage))
	off := (p.tail + headerSize) & p.mask
	if n := copy(p.mem[off:], b); n < len(b) {
		copy(p.mem, b[n:])
	}
	p.tail += recordSize(len(b))
	p.count++
}

// publish lets the consumer see what was placed.
func (p *producer) publish() { p.tailWord.Store(pack(p.tail, p.count)) }

// rings reports, once, whether the consumer wants to be rung.
func (p *producer) rings() bool {
	return p.dataArmed.Load() != 0 && p.dataArmed.Swap(0) != 0
}

// arm asks for a ring when there is room again: half of it, so that a
// sleeper is woken for more than one message, or all of it for a record that
// has to be alone.
func (p *producer) arm(need uint64) {
	var left uint64
	if need <= p.ahead/2 {
		left = p.ahead / 2
	} else if need < p.ahead {
		left = p.ahead - need
	}
	p.roomArmed.Store(uint32(left/unit) + 1)
}

// queued is the number of messages that the consumer has not read.
func (p *producer) queued() (n int, ok bool) {
	if !p.refresh() {
		return 0, false
	}
	return int(p.count - p.taken), true
}
