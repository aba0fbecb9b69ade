package packet

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Stats are the counters of a Link since Open, and what the kernel granted.
type Stats struct {
	Received      uint64 // frames
	ReceivedBytes uint64 // headers included
	Overflows     uint64 // frames that the kernel dropped because the ring was full
	Truncated     uint64 // frames longer than a slot of the ring; dropped
	DeviceErrors  uint64 // how often the device went down or away

	Sent       uint64 // frames
	SentBytes  uint64 // headers included
	ShortTakes uint64 // calls of Send that did not take all
	SendErrors uint64 // frames dropped because the kernel refused them
	LastError  error  // of those, the last

	RingSlots  int // frames that the receive ring holds
	SendBuffer int // bytes, as the kernel counts
}

type counters struct {
	received, receivedBytes   atomic.Uint64
	truncated, deviceErrors   atomic.Uint64
	sent, sentBytes           atomic.Uint64
	shortTakes                atomic.Uint64
	sendErrors, lastSendErrno atomic.Uint64

	mu        sync.Mutex
	overflows uint64
}

// Stats gives the counters.
func (l *Link) Stats() Stats {
	c := &l.count
	s := Stats{
		Received: c.received.Load(), ReceivedBytes: c.receivedBytes.Load(),
		Truncated: c.truncated.Load(), DeviceErrors: c.deviceErrors.Load(),
		Sent: c.sent.Load(), SentBytes: c.sentBytes.Load(), ShortTakes: c.shortTakes.Load(),
		SendErrors: c.sendErrors.Load(), RingSlots: l.ring.slots, SendBuffer: l.sendBuffer,
	}
	if e := c.lastSendErrno.Load(); e != 0 {
		s.LastError = unix.Errno(e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.door.enter() {
		// The kernel's counters begin again at each look.
		if st, err := unix.GetsockoptTpacketStats(l.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			c.overflows += uint64(st.Drops)
		}
		l.leave()
	}
	s.Overflows = c.overflows
	return s
}
