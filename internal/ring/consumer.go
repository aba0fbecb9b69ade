package ring

import "sync/atomic"

// consumer is the reading half of an End. Its positions are private; of the
// shared words it reads only tail and the records before it.
type consumer struct {
	mu lock

	mem       []byte // the ring
	mask      uint64
	tailWord  *atomic.Uint64 // the producer's
	headWord  *atomic.Uint64 // ours
	dataArmed *atomic.Uint32 // set by us, cleared by the producer
	roomArmed *atomic.Uint32 // set by the producer, cleared by us

	*inPositions             // own, or those of a Foreign
	own          inPositions //
}

// inPositions are the private positions of a consumer.
type inPositions struct {
	head    uint64 // position of the next record
	tail    uint64 // last known position of the producer
	length  uint64 // of the message at head once its header was read, else 0
	offset  uint64 // bytes of it that were read
	count   uint32 // messages read
	arrived uint32 // messages written as of tail
	endMark bool   // the last read ended a message exactly at the end of its buffer
}

func (c *consumer) init(ctl, mem []byte, dir int) {
	w := ctl[dir*ctlDirection:]
	c.inPositions = &c.own
	c.mem, c.mask = mem, uint64(len(mem))-1
	c.tailWord, c.headWord = word64(w, ctlTail), word64(w, ctlHead)
	c.dataArmed, c.roomArmed = word32(w, ctlDataArmed), word32(w, ctlRoomArmed)
}

// refresh learns what the producer published; false when its word is
// impossible. A message takes at least two units, which bounds the count.
func (c *consumer) refresh() bool {
	bytes, messages := advance(c.tailWord.Load(), c.tail, c.arrived)
	if bytes > uint64(len(c.mem))-(c.tail-c.head) || uint64(messages)*2*unit > bytes {
		return false
	}
	c.tail += bytes
	c.arrived += messages
	return true
}

// next finds the message at head, passing over skips. length stays 0 when
// there is none; ok is false when a record is impossible.
func (c *consumer) next() (ok bool) {
	if c.length != 0 {
		return true
	}
	if c.head == c.tail {
		if !c.refresh() {
			return false
		}
	}
	for c.head != c.tail {
		h := word64(c.mem, int(c.head&c.mask)).Load() // once: it may change under us
		length, kind := h&(1<<32-1), h>>32
		space := headerSize + align(length)
		if space > c.tail-c.head {
			return false
		}
		switch kind {
		case kindMessage:
			if length == 0 || c.count == c.arrived {
				return false
			}
			c.length, c.offset = length, 0
			return true
		case kindSkip:
			c.head += space
		default:
			return false
		}
	}
	return true
}

// copyOut copies the unread rest of the message at head, as far as it fits.
func (c *consumer) copyOut(p []byte) int {
	if rest := c.length - c.offset; uint64(len(p)) > rest {
		p = p[:rest]
	}
	off := (c.head + headerSize + c.offset) & c.mask
	n := copy(p, c.mem[off:])
	if n < len(p) {
		n += copy(p[n:], c.mem)
	}
	return n
}

// done passes over the message at head; true when the producer wants to be
// rung.
func (c *consumer) done() bool {
	c.head += headerSize + align(c.length)
	c.length = 0
	c.count++
	c.headWord.Store(pack(c.head, c.count))
	return c.roomWanted()
}

func (c *consumer) roomWanted() bool {
	want := c.roomArmed.Load()
	if want == 0 || (c.tail-c.head)/unit > uint64(want-1) {
		return false
	}
	return c.roomArmed.CompareAndSwap(want, 0)
}

// waiting is the number of messages to be read, a message that was begun
// included.
func (c *consumer) waiting() (n int, ok bool) {
	if !c.refresh() {
		return 0, false
	}
	return int(c.arrived - c.count), true
}
