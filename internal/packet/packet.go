// Package packet is the buffer that travels through the layers of a node:
// bytes with head room, so that each layer prepends its header in place, and
// tail room for a tag and a checksum.
//
// A Buffer has exactly one owner at a time. Passing it on passes the
// ownership; who holds it last releases it.
package packet

// Room kept before and behind the payload of a new buffer. A deeper stack
// costs a copy, never a failure.
const (
	HeadRoom = 256
	TailRoom = 64
)

// Buffer is one packet.
type Buffer struct{}

// Get gives a buffer with n bytes of payload, their contents undefined, from
// a pool.
func Get(n int) *Buffer { panic("not built yet") }

// From gives a buffer that holds a copy of p.
func From(p []byte) *Buffer { panic("not built yet") }

// Bytes is the packet, valid until the next call that changes its length.
func (b *Buffer) Bytes() []byte { panic("not built yet") }

// Len is the length in bytes.
func (b *Buffer) Len() int { panic("not built yet") }

// Prepend grows the packet by n bytes at its head and gives them.
func (b *Buffer) Prepend(n int) []byte { panic("not built yet") }

// Append grows the packet by n bytes at its tail and gives them.
func (b *Buffer) Append(n int) []byte { panic("not built yet") }

// TrimHead and TrimTail cut n bytes off; false when there are fewer.
func (b *Buffer) TrimHead(n int) bool { panic("not built yet") }
func (b *Buffer) TrimTail(n int) bool { panic("not built yet") }

// Clone gives an independent copy.
func (b *Buffer) Clone() *Buffer { panic("not built yet") }

// Release gives the buffer back. Releasing twice panics.
func (b *Buffer) Release() { panic("not built yet") }
