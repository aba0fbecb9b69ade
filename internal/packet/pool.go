package packet

import "sync"

// classes are the sizes of pooled memory in bytes, head and tail room
// included: keep-alives and small messages, an Ethernet frame, a jumbo frame,
// a full UDP datagram, the longest message of an application.
var classes = [...]int{
	512,
	2048 + 256,
	9216 + HeadRoom + TailRoom,
	1<<16 + HeadRoom + TailRoom,
	1<<20 + 4096,
}

// unpooled marks memory longer than the longest class.
const unpooled = -1

var pools [len(classes)]sync.Pool

// take gives a buffer with at least size bytes of memory.
func take(size int) *Buffer {
	for i, c := range classes {
		if size > c {
			continue
		}
		if b, ok := pools[i].Get().(*Buffer); ok {
			b.free.Store(false)
			return b
		}
		return &Buffer{mem: make([]byte, c), class: int8(i)}
	}
	return &Buffer{mem: make([]byte, size), class: unpooled}
}

// give takes the memory of a released buffer back.
func give(b *Buffer) {
	if b.class != unpooled {
		pools[b.class].Put(b)
	}
}
