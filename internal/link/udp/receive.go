package udp

import (
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/packet"
)

const (
	// maxDeliver is the number of datagrams that a Handler gets at once.
	maxDeliver = 64

	// headSize is the payload of the buffer that a datagram is received into:
	// all of the pool's class for Ethernet frames. What is longer goes on in
	// the slot's spill and is copied once.
	headSize = 2048 + 256 - packet.HeadRoom - packet.TailRoom

	// spillSize takes the rest of the longest datagram or train.
	spillSize = 1 << 16

	// slots are the messages that one system call receives; singles are those
	// of a socket without trains.
	trainSlots  = 32
	singleSlots = 64
)

// slot is where one message of the kernel is received.
type slot struct {
	head  *packet.Buffer
	spill []byte // empty until something was longer than the head
	from  sockaddr
	ctrl  [controlSize]byte
	iov   [2]unix.Iovec
}

// receiver is what Serve needs.
type receiver struct {
	s     *Socket
	h     Handler
	msgs  []mmsghdr
	slots []slot
	spin  spinner
	look  func() (int, unix.Errno) // receive without waiting

	// The datagrams of one source that are to be delivered next.
	batch   []*packet.Buffer
	from    netip.AddrPort
	fromRaw sockaddr // what from was made of
	known   bool

	datagrams, bytes, trains uint64 // since the last count
}

func newReceiver(s *Socket, h Handler) *receiver {
	n := singleSlots
	if s.gro {
		n = trainSlots
	}
	r := &receiver{s: s, h: h, msgs: make([]mmsghdr, n), slots: make([]slot, n), batch: make([]*packet.Buffer, 0, maxDeliver)}
	r.spin.off = s.noSpin
	r.look = func() (int, unix.Errno) { return r.receive(false) }
	// One mapping for all spills: pages that no datagram reached cost nothing.
	spills := make([]byte, n*spillSize)
	for i := range r.slots {
		sl, h := &r.slots[i], &r.msgs[i].hdr
		sl.spill = spills[i*spillSize : (i+1)*spillSize]
		h.Name = &sl.from[0]
		h.Iov = &sl.iov[0]
		h.SetIovlen(2)
		sl.iov[1].Base = unsafe.SliceData(sl.spill)
		sl.iov[1].SetLen(spillSize)
		if s.gro {
			h.Control = &sl.ctrl[0]
		}
		r.arm(i)
	}
	return r
}

// arm makes a slot ready for the next message.
func (r *receiver) arm(i int) {
	sl, h := &r.slots[i], &r.msgs[i].hdr
	if sl.head == nil {
		sl.head = packet.Get(headSize)
		sl.iov[0].Base = unsafe.SliceData(sl.head.Bytes())
		sl.iov[0].SetLen(headSize)
	}
	h.Namelen = uint32(len(sl.from))
	if h.Control != nil {
		h.SetControllen(controlSize)
	}
	h.Flags = 0
}

func (r *receiver) release() {
	for i := range r.slots {
		if b := r.slots[i].head; b != nil { // given away, when a handler panicked
			b.Release()
		}
	}
}

// receive takes what is there, up to all slots, and delivers it; with wait it
// sleeps until there is something. It gives the number of messages.
func (r *receiver) receive(wait bool) (int, unix.Errno) {
	flags := unix.MSG_DONTWAIT
	if wait {
		flags = unix.MSG_WAITFORONE
	}
	var begun time.Time
	if wait {
		begun = time.Now()
	}
	n, err := recvmmsg(r.s.fd, r.msgs, flags)
	switch {
	case r.s.door.isShut():
		return 0, unix.ESHUTDOWN // a shut socket gives what looks like a datagram
	case err != 0:
		return 0, err
	case wait:
		r.spin.slept(time.Since(begun))
	}
	for i := range n {
		r.take(i)
		r.arm(i)
	}
	r.deliver()
	c := &r.s.count
	c.received.Add(r.datagrams)
	c.receivedBytes.Add(r.bytes)
	if r.trains > 0 {
		c.receivedTrains.Add(r.trains)
	}
	r.datagrams, r.bytes, r.trains = 0, 0, 0
	return n, 0
}

// take puts the datagrams of a received message into the batch.
func (r *receiver) take(i int) {
	h, sl, n := &r.msgs[i].hdr, &r.slots[i], int(r.msgs[i].n)
	c := &r.s.count
	if h.Flags&unix.MSG_TRUNC != 0 || n > headSize+len(sl.spill) {
		c.truncated.Add(1)
		return
	}
	if !r.source(&sl.from, int(h.Namelen)) {
		c.malformed.Add(1)
		return
	}
	segment := 0
	if h.Control != nil && h.Controllen > 0 {
		segment = trainSegment(sl.ctrl[:min(int(h.Controllen), controlSize)])
	}
	r.bytes += uint64(n)
	if segment <= 0 || segment >= n {
		r.datagrams++
		r.add(sl.whole(n))
		return
	}
	r.trains++
	for at := 0; at < n; at += segment {
		r.datagrams++
		r.add(sl.cut(at, min(segment, n-at)))
	}
}

// whole gives the n received bytes as one datagram.
func (sl *slot) whole(n int) *packet.Buffer {
	if n > headSize {
		return sl.cut(0, n)
	}
	b := sl.head
	b.TrimTail(headSize - n)
	sl.head = nil
	return b
}

// cut gives a copy of n of the received bytes.
func (sl *slot) cut(at, n int) *packet.Buffer {
	b := packet.Get(n)
	p := b.Bytes()
	if at < headSize {
		k := copy(p, sl.head.Bytes()[at:])
		p, at = p[k:], headSize
	}
	copy(p, sl.spill[at-headSize:])
	return b
}

// source makes the batch one of the sender of the next datagram; false when
// the kernel named none.
func (r *receiver) source(raw *sockaddr, length int) bool {
	if r.known && *raw == r.fromRaw {
		return true
	}
	from, ok := raw.get(length, r.s.v6, &r.s.zones)
	if !ok {
		return false
	}
	if from != r.from {
		r.deliver()
	}
	r.from, r.fromRaw, r.known = from, *raw, true
	return true
}

func (r *receiver) add(b *packet.Buffer) {
	r.batch = append(r.batch, b)
	if len(r.batch) == maxDeliver {
		r.deliver()
	}
}

func (r *receiver) deliver() {
	if len(r.batch) > 0 {
		r.h.Receive(r.from, r.batch)
		r.batch = r.batch[:0]
	}
}
