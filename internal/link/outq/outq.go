// Package outq says how many packets a socket has taken that have not left the
// host. The kernel tells the memory that they take (SIOCOUTQ), and that is not
// their length: a frame of 60 bytes takes near a thousand, 64 KiB that are cut
// into packets later take little more than they are. So a Meter learns what a
// packet costs, by length, from what the memory grew by when it was sent:
//
//	Begin ── send n packets ── End      once in 32 times: memory after - before
//	                                    = n packets of their class, at most
//	Packets = memory / mean cost of what was sent lately
//
// It is an estimate: good to a few parts in ten when packets of one length
// queue up, which is when it matters, and exactly 0 when nothing waits.
package outq

import (
	"math/bits"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// sampling is how many sends go by between two measurements.
	sampling = 32
	// fresh is how long an answer of the kernel holds. Asking costs as much as
	// several packets.
	fresh = 50 * time.Microsecond
	// settling is how many packets it takes until the mean is that of them
	// alone.
	settling = 64
)

// classes are lengths up to 2^0, 2^1, ... 2^16 bytes.
const classes = 17

// Meter belongs to one socket. The zero value is ready; its methods may be
// called from any goroutine, and allocate nothing.
type Meter struct {
	single, train [classes]atomic.Uint32 // bytes of memory a packet takes; 0 = not measured
	mean          atomic.Uint32          // of those sent lately; 0 = none was
	answer        atomic.Uint64          // time in units of 1024 ns, and the packets in the lowest 24 bits
}

// Sample is a measurement that has begun.
type Sample struct {
	on     bool
	before int
}

// Begin comes before a send; turn counts the sends of the caller from 1, who may
// use one counter for each of several goroutines.
func (m *Meter) Begin(fd, turn int) Sample {
	if turn%sampling != 1 {
		return Sample{}
	}
	return Sample{on: true, before: memory(fd)}
}

// End comes after it: packets of so many bytes in all were taken, as trains
// that the kernel cuts or one by one. alone says that nobody else sent on the
// socket meanwhile.
func (m *Meter) End(fd int, s Sample, packets, bytes int, trains, alone bool) {
	if packets == 0 {
		return
	}
	length := bytes / packets
	class := min(bits.Len(uint(max(length-1, 0))), classes-1)
	known := &m.single[class]
	if trains {
		known = &m.train[class]
	}
	cost := known.Load()
	if s.on && alone {
		// What has left meanwhile is missing, so the most that was seen is
		// nearest to the truth. It fades, as the next lengths of the class may
		// take less.
		if grown := (memory(fd) - s.before) / packets; grown >= length && grown > 0 && grown < 16*length+16<<10 {
			cost = max(uint32(grown), cost-cost/16)
			known.Store(cost)
		}
	}
	if cost == 0 {
		cost = guess(length, trains)
	}
	mean := int64(m.mean.Load())
	if mean == 0 || packets >= settling {
		mean = int64(cost)
	} else {
		mean += (int64(cost) - mean) * int64(packets) / settling
	}
	m.mean.Store(uint32(max(mean, 1)))
}

// guess is what a packet takes when it was not measured: the descriptors of the
// kernel, and memory in powers of two but for the smallest.
func guess(length int, train bool) uint32 {
	const descriptors, shared, headers, smallest = 256, 320, 128, 640
	if train {
		return uint32(length + length/8 + 64)
	}
	switch n := length + headers + shared; {
	case n <= smallest:
		return descriptors + smallest
	case n <= 16384:
		return descriptors + uint32(1)<<bits.Len(uint(n-1))
	}
	return uint32(length + length/4 + descriptors + shared)
}

// Packets estimates how many wait. It costs some 20 ns, and 200 when the last
// answer is older than 50 us.
func (m *Meter) Packets(fd int) int {
	now := uint64(time.Since(start))>>10 + 1
	last := m.answer.Load()
	if last != 0 && now-last>>24 <= uint64(fresh)>>10 {
		return int(last & (1<<24 - 1))
	}
	n := memory(fd)
	if n > 0 {
		mean := int(max(m.mean.Load(), 1))
		n = min(max((n+mean/2)/mean, 1), 1<<24-1)
	}
	m.answer.Store(now<<24 | uint64(n))
	return n
}

var start = time.Now()

// memory is what the packets of a socket take that have not left, in bytes.
func memory(fd int) int {
	var n int32
	// It does not wait, so the scheduler need not hear of it.
	if _, _, err := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&n))); err != 0 || n < 0 {
		return 0
	}
	return int(n)
}
