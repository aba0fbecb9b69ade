// Package packet is the buffer that travels through the layers of a node:
// bytes with head room, so that each layer prepends its header in place, and
// tail room for a tag and a checksum.
//
//	0        HeadRoom                        len+HeadRoom      cap
//	├─────────┬──────────────────────────────────┬─────────────┤
//	│head room│             Bytes()              │  tail room  │
//	└─────────┴──────────────────────────────────┴─────────────┘
//	 ◄ Prepend                                    Append ►
//
// A Buffer has exactly one owner at a time. Passing it on passes the
// ownership; who holds it last releases it. There are no shared buffers and no
// reference counts: each layer below writes its header into the head room and
// may encrypt in place, so two holders of the same bytes would overwrite each
// other. Who needs a packet again later (retransmission) or more than once
// (broadcast) keeps a Clone.
//
// Buffers come from pools by size class, so the data path allocates nothing.
// The pools are the only state that the nodes of one program share; they hold
// memory, never packets.
package packet

import "sync/atomic"

// Room kept before and behind the payload of a new buffer. A deeper stack
// costs a copy, never a failure.
const (
	HeadRoom = 256
	TailRoom = 64
)

// Buffer is one packet.
type Buffer struct {
	mem        []byte // head room, packet, tail room
	start, end int    // of the packet in mem
	class      int8   // of mem; unpooled: the memory is left to the collector
	free       atomic.Bool
}

// Get gives a buffer with n bytes of payload, their contents undefined, from
// a pool.
func Get(n int) *Buffer {
	if n < 0 {
		panic("packet: negative length")
	}
	b := take(HeadRoom + n + TailRoom)
	b.start, b.end = HeadRoom, HeadRoom+n
	return b
}

// From gives a buffer that holds a copy of p.
func From(p []byte) *Buffer {
	b := Get(len(p))
	copy(b.mem[b.start:], p)
	return b
}

// Bytes is the packet, valid until the next call that changes its length.
func (b *Buffer) Bytes() []byte { return b.mem[b.start:b.end:b.end] }

// Len is the length in bytes.
func (b *Buffer) Len() int { return b.end - b.start }

// Prepend grows the packet by n bytes at its head and gives them, their
// contents undefined.
func (b *Buffer) Prepend(n int) []byte {
	if n < 0 {
		panic("packet: negative length")
	}
	if n > b.start {
		b.grow(n, 0)
	}
	b.start -= n
	return b.mem[b.start : b.start+n : b.start+n]
}

// Append grows the packet by n bytes at its tail and gives them, their
// contents undefined.
func (b *Buffer) Append(n int) []byte {
	if n < 0 {
		panic("packet: negative length")
	}
	if n > len(b.mem)-b.end {
		b.grow(0, n)
	}
	b.end += n
	return b.mem[b.end-n : b.end : b.end]
}

// TrimHead and TrimTail cut n bytes off; false when there are fewer, and then
// nothing is cut.
func (b *Buffer) TrimHead(n int) bool {
	if n < 0 || n > b.Len() {
		return false
	}
	b.start += n
	return true
}

func (b *Buffer) TrimTail(n int) bool {
	if n < 0 || n > b.Len() {
		return false
	}
	b.end -= n
	return true
}

// Reuse makes a new packet of n bytes of the buffer, their contents undefined,
// with the usual head and tail room; false when its memory is too small, and
// then nothing is changed.
func (b *Buffer) Reuse(n int) bool {
	if n < 0 || HeadRoom+n+TailRoom > len(b.mem) {
		return false
	}
	b.start, b.end = HeadRoom, HeadRoom+n
	return true
}

// Swap trades the packets of two buffers with the same owner, memory and all:
// what was made in another place becomes the packet without a copy.
func (b *Buffer) Swap(o *Buffer) {
	b.mem, o.mem = o.mem, b.mem
	b.class, o.class = o.class, b.class
	b.start, o.start = o.start, b.start
	b.end, o.end = o.end, b.end
}

// Clone gives an independent copy with the usual head and tail room.
func (b *Buffer) Clone() *Buffer { return From(b.Bytes()) }

// Release gives the buffer back. Releasing twice panics; the check is best
// effort, since the buffer may have a new owner by then.
func (b *Buffer) Release() {
	if b.free.Swap(true) {
		panic("packet: buffer released twice")
	}
	give(b)
}

// ReleaseAll releases every buffer of batch.
func ReleaseAll(batch []*Buffer) {
	for _, b := range batch {
		b.Release()
	}
}

// grow moves the packet to memory with at least head bytes free before it and
// tail bytes behind it, and the usual room besides.
func (b *Buffer) grow(head, tail int) {
	n := b.Len()
	other := take(HeadRoom + head + n + tail + TailRoom)
	at := HeadRoom + head
	copy(other.mem[at:], b.mem[b.start:b.end])
	other.start, other.end = at, at+n
	// The two Buffers trade memory, so that b stays the same to its owner and
	// the outgrown memory goes back to its own pool.
	b.Swap(other)
	other.Release()
}
