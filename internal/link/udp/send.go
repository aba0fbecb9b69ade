package udp

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/packet"
)

const (
	// maxBatch is the number of datagrams that go with one system call.
	maxBatch = 128

	// maxSegments is the number of datagrams that one train may have; the
	// kernels before 6.9 allow 64.
	maxSegments = 64

	// maxTrain is the length in bytes that all segments of a train may have:
	// with the headers of IPv6 it is below 65,535.
	maxTrain = 65487
)

// sender is what one call of Send needs; calls in parallel have one each.
type sender struct {
	s       *Socket
	addr    netip.Addr
	to      sockaddr
	toLen   int
	longest int // segment of a train in bytes, 0 for no trains
	turn    int // calls of Send, for the Meter

	msgs  [maxBatch]mmsghdr
	iovs  [maxBatch]unix.Iovec
	end   [maxBatch]int // index in the batch behind the last datagram of a message
	bytes [maxBatch]int
	ctrl  [maxBatch / 2][segmentSize]byte
}

func newSender(s *Socket) *sender {
	st := &sender{s: s}
	for i := range st.msgs {
		st.msgs[i].hdr.Name = &st.to[0]
	}
	return st
}

// Send sends the datagrams of batch to one destination, in order, and says how
// many it took. The taken ones belong to the socket, the rest still to the
// caller, who tries again after OnWritable's function was called, or drops
// them. It does not block. Datagrams that cannot be sent (an address of the
// other family, no route, longer than MaxDatagram) are taken, dropped and
// counted.
func (s *Socket) Send(to netip.AddrPort, batch []*packet.Buffer) (taken int) {
	if len(batch) == 0 {
		return 0
	}
	if !s.door.enter() {
		packet.ReleaseAll(batch)
		s.count.sendErrors.Add(uint64(len(batch)))
		s.count.lastSendErrno.Store(uint64(unix.EPIPE))
		return len(batch)
	}
	st := s.senders.Get().(*sender)
	if st.toLen = st.to.put(to, s.v6, &s.zones); st.toLen == 0 {
		s.lost(len(batch), unix.EDESTADDRREQ)
		taken = len(batch)
	}
	st.addr, st.longest = to.Addr(), 0
	if s.gso {
		st.longest = s.refused.longest(st.addr)
	}
	st.turn++
	sample := s.waiting.Begin(s.fd, st.turn)
	before := s.count.sent.Load()
	full := false
	var done pushed
	for taken < len(batch) && !full {
		var n int
		n, full = st.push(batch[taken:], &done)
		taken += n
	}
	s.waiting.End(s.fd, sample, done.datagrams, done.bytes, done.trains > 0, s.count.sent.Load()-before == uint64(done.datagrams))
	s.senders.Put(st)
	packet.ReleaseAll(batch[:taken])
	if full {
		s.count.shortTakes.Add(1)
		s.awaitRoom()
	}
	s.leave()
	return taken
}

// lost counts datagrams that are not sent.
func (s *Socket) lost(n int, why unix.Errno) {
	s.count.sendErrors.Add(uint64(n))
	s.count.lastSendErrno.Store(uint64(why))
}

// plan lays the first datagrams of batch out as messages and gives how many
// these are.
func (st *sender) plan(batch []*packet.Buffer) (messages int) {
	batch = batch[:min(len(batch), maxBatch)]
	trains := 0
	for i := 0; i < len(batch); messages++ {
		size := st.gather(i, batch[i])
		total, j := size, i+1
		if size > 0 && size <= st.longest {
			for j < len(batch) && j-i < maxSegments {
				n := batch[j].Len()
				if n == 0 || n > size || total+n > maxTrain {
					break
				}
				st.gather(j, batch[j])
				total += n
				j++
				if n < size {
					break // a shorter one is the last
				}
			}
		}
		h := &st.msgs[messages].hdr
		h.Namelen = uint32(st.toLen)
		h.Iov = &st.iovs[i]
		h.SetIovlen(j - i)
		h.Control = nil
		h.SetControllen(0)
		if j-i > 1 {
			c := &st.ctrl[trains]
			trains++
			segmentControl(c, size)
			h.Control = &c[0]
			h.SetControllen(segmentSize)
		}
		st.end[messages], st.bytes[messages] = j, total
		i = j
	}
	return messages
}

func (st *sender) gather(i int, b *packet.Buffer) (length int) {
	p := b.Bytes()
	st.iovs[i].Base = unsafe.SliceData(p)
	st.iovs[i].SetLen(len(p))
	return len(p)
}

// pushed is what the kernel took of a batch.
type pushed struct{ datagrams, bytes, trains int }

// push sends the first datagrams of batch and gives how many were taken, and
// whether the send buffer is full. It takes fewer also after a train was
// refused, which does not happen again with the same bytes.
func (st *sender) push(batch []*packet.Buffer, done *pushed) (taken int, full bool) {
	s := st.s
	messages := st.plan(batch)
	for sent := 0; sent < messages; {
		n, err := sendmmsg(s.fd, st.msgs[sent:messages])
		if err == 0 {
			first := taken
			var bytes, trains int
			for m := sent; m < sent+n; m++ {
				if st.end[m]-taken > 1 {
					trains++
				}
				taken = st.end[m]
				bytes += st.bytes[m]
			}
			sent += n
			s.count.sent.Add(uint64(taken - first))
			s.count.sentBytes.Add(uint64(bytes))
			if trains > 0 {
				s.count.sentTrains.Add(uint64(trains))
			}
			done.datagrams += taken - first
			done.bytes += bytes
			done.trains += trains
			continue
		}
		train := st.end[sent]-taken > 1
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return taken, true
		case train && refusesTrain(err):
			st.refuse(batch[taken].Len(), err)
			return taken, false
		default:
			s.lost(st.end[sent]-taken, err)
			taken = st.end[sent]
			sent++
		}
	}
	return taken, false
}

// refusesTrain reports whether an error may mean that the same bytes would go
// as single datagrams.
func refusesTrain(err unix.Errno) bool {
	switch err {
	case unix.EMSGSIZE, unix.EINVAL, unix.EIO, unix.EOPNOTSUPP, unix.ENOPROTOOPT:
		return true
	}
	return false
}

// refuse remembers that a train of segments of size bytes was refused. A
// segment that is too long says nothing about shorter ones; the other reasons
// lie in the route or the device and hold for all.
func (st *sender) refuse(size int, err unix.Errno) {
	s := st.s
	s.count.trainsRefused.Add(1)
	if err != unix.EMSGSIZE && err != unix.EINVAL {
		size = 1
	}
	st.longest = size - 1
	s.refused.add(st.addr, size)
	if s.said.CompareAndSwap(false, true) {
		s.log.Info("the kernel refuses a train of datagrams; they go one by one, in fragments where they are longer than the MTU",
			"to", st.addr, "bytes", size, "error", err)
	}
}
