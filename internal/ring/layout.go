package ring

import (
	"sync/atomic"
	"unsafe"
)

// The control page. Words written by different sides are 128 bytes apart, so
// that neither they nor the prefetcher's neighbours share a cache line.
const (
	pageSize = 4096

	ctlDirection = 1024 // stride of a direction
	ctlTail      = 0
	ctlHead      = 128
	ctlDataArmed = 256
	ctlRoomArmed = 384

	ctlState       = 2048
	ctlMTU         = 8 // behind the state
	ctlStateStride = 128
)

// Records.
const (
	headerSize = 8
	unit       = 8 // positions are multiples of it

	kindMessage = 0
	kindSkip    = 1
)

// align rounds a length up to whole units.
func align(n uint64) uint64 { return (n + unit - 1) &^ (unit - 1) }

// recordSize is the space of a message of n bytes in a ring.
func recordSize(n int) uint64 { return headerSize + align(uint64(n)) }

func header(length uint64, kind uint32) uint64 { return uint64(kind)<<32 | length }

// pack makes the published word of a position and a message count.
func pack(pos uint64, count uint32) uint64 { return pos/unit<<32 | uint64(count) }

// advance gives how far a published word is ahead of a known position and
// count. Going back looks like going very far ahead.
func advance(word, pos uint64, count uint32) (bytes uint64, messages uint32) {
	return uint64(uint32(word>>32)-uint32(pos/unit)) * unit, uint32(word) - count
}

func word64(mem []byte, off int) *atomic.Uint64 {
	_ = mem[off+7]
	return (*atomic.Uint64)(unsafe.Pointer(&mem[off]))
}

func word32(mem []byte, off int) *atomic.Uint32 {
	_ = mem[off+3]
	return (*atomic.Uint32)(unsafe.Pointer(&mem[off]))
}
