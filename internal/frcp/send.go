package frcp

import (
	"time"

	"ouroboros/internal/packet"
	"ouroboros/internal/wire/frcp"
)

// patience is how long EventWritable is waited for before the flow below is
// asked again. It has no better reason to be late than a host that stood still,
// and a reliable flow must not end there.
const patience = 250 * time.Millisecond

// output is the way down. One goroutine at a time is on it.
type output struct {
	batch    []*packet.Buffer
	rest     []*packet.Buffer // of batch: what the flow below did not take
	busy     bool
	waiting  bool  // for EventWritable
	writable bool  // it came
	againAt  int64 // deadline of waiting
	empties  int   // empty packets of the user
}

// Send implements flow.Flow. An empty packet passes outside of the protocol,
// as it does at a C peer.
func (f *Flow) Send(batch []*packet.Buffer) (taken int) {
	mtu := f.MTU()
	f.mu.Lock()
	now := f.now()
	for taken < len(batch) && f.state == open && f.hasRoom() {
		for taken < len(batch) && f.hasRoom() {
			b := batch[taken]
			taken++
			switch n := b.Len(); {
			case n > mtu:
				f.count.TooLong.Add(1)
				b.Release()
			case n == 0:
				f.out.empty(b)
			default:
				f.snd.push(b)
			}
		}
		f.send(now)
	}
	if f.state != open {
		f.count.Dropped.Add(uint64(len(batch) - taken))
		packet.ReleaseAll(batch[taken:])
		taken = len(batch)
	} else if taken < len(batch) {
		f.snd.refused = true
	}
	f.leave()
	return taken
}

// hasRoom reports whether Send takes one more packet.
func (f *Flow) hasRoom() bool {
	return f.snd.waiting() < f.cfg.Queue && f.snd.bytes < f.cfg.SendBytes
}

// owesRoom reports whether the user was refused and now half of the queue is
// free.
func (f *Flow) owesRoom() bool {
	return f.snd.refused && (f.state != open || 2*f.snd.waiting() <= f.cfg.Queue && f.snd.bytes <= f.cfg.SendBytes/4*3)
}

// send sends what may be sent now. The lock is held, but not during calls of
// the flow below.
func (f *Flow) send(now int64) {
	o := &f.out
	if o.busy {
		return // that one looks again before it stops
	}
	if o.batch == nil {
		o.batch = make([]*packet.Buffer, 0, burst)
	}
	o.busy = true
	for f.state < dead && !o.waiting {
		batch := o.rest
		if len(batch) == 0 {
			if batch = f.build(o.batch[:0], now); len(batch) == 0 {
				break
			}
		}
		o.writable = false
		f.mu.Unlock()
		n := f.below.Send(batch)
		f.mu.Lock()
		clear(batch[:n])
		o.rest = batch[n:]
		now = f.now()
		o.waiting, o.againAt = len(o.rest) > 0 && !o.writable, 0
		if o.waiting {
			o.againAt = now + int64(patience)
		}
	}
	if f.state >= dead {
		packet.ReleaseAll(o.rest)
		o.rest = nil
	}
	o.busy = false
}

// build makes the next batch: answers to what arrived out of order, what is to
// be sent again, new data, and an acknowledgement or a window that no data
// carried.
func (f *Flow) build(batch []*packet.Buffer, now int64) []*packet.Buffer {
	s := &f.snd
	for range min(len(f.rcv.answers), burst) {
		batch = append(batch, f.answer(now))
	}
	for ; f.out.empties > 0 && len(batch) < burst; f.out.empties-- {
		batch = append(batch, packet.Get(0))
	}
	if s.rdvs && len(batch) < burst {
		s.rdvs = false
		batch = append(batch, f.askWindow())
	}
	if s.lost > 0 || s.waiting() > 0 {
		f.spread()
		if f.rcv.fresh(now, f.inactivity) {
			f.openWindow(true) // the data says so
		}
		before := len(batch)
		for s.lost > 0 && len(batch) < burst && f.mayRepeat(now) {
			batch = append(batch, f.repeat(now))
		}
		if s.lost == 0 {
			s.urgent = 0
		}
		again := len(batch) - before
		for s.waiting() > 0 && len(batch) < burst && f.mayBegin(now) {
			batch = append(batch, f.begin(now))
		}
		if n := len(batch) - before; n > 0 {
			s.spoke = now
			f.carried(now)
			f.count.Retransmitted.Add(uint64(again))
			f.count.Sent.Add(uint64(n - again))
		}
		f.watchWindow(now)
	}
	if f.rcv.ackNow && len(batch) < burst {
		batch = append(batch, f.acknowledge(now))
	}
	return batch
}

// mayBegin reports whether the next new packet may leave.
func (f *Flow) mayBegin(now int64) bool {
	s := &f.snd
	if f.flags&flagResControl != 0 && !s.nxt.Before(s.edge) {
		return false
	}
	if !f.reliable {
		return true
	}
	return s.flight-s.left < f.cc.window && s.outstanding() < maxWindow && f.inPace(now)
}

// begin sends the next new packet.
func (f *Flow) begin(now int64) *packet.Buffer {
	s := &f.snd
	n := s.nxt
	s.nxt++
	h := f.dataHeader(n, now)
	s.started = true
	if !f.reliable {
		b := s.at(n).buf
		s.bytes -= b.Len()
		*s.at(n) = slot{}
		s.una = s.nxt
		h.Put(b.Prepend(frcp.HeaderLen))
		return b
	}
	t := s.at(n)
	t.first = now
	return f.fly(t, h, now)
}

// fly makes the copy of a packet that leaves.
func (f *Flow) fly(t *slot, h frcp.Header, now int64) *packet.Buffer {
	s := &f.snd
	s.order++
	s.flight++
	t.place, t.order, t.last = flying, s.order, now
	t.tries++
	if s.rtoAt == 0 {
		s.rtoAt = now + f.rtt.timeout(s.backoff)
	}
	p := t.buf.Bytes()
	b := packet.Get(frcp.HeaderLen + len(p))
	q := b.Bytes()
	h.Put(q)
	copy(q[frcp.HeaderLen:], p)
	return b
}

// dataHeader is the header of packet n, which is about to be sent.
func (f *Flow) dataHeader(n frcp.Seq, now int64) frcp.Header {
	h := frcp.Header{Flags: frcp.DATA, Seq: n}
	if !f.reliable || n == f.snd.una {
		h.Flags |= frcp.DRF
	}
	if f.rcv.fresh(now, f.inactivity) {
		h.Flags |= frcp.FC
		h.Window = uint32(f.rcv.edge)
		if f.reliable {
			h.Flags |= frcp.ACK
			h.Ack = f.rcv.next
		}
	}
	return h
}

// empty sends a packet without protocol.
func (o *output) empty(b *packet.Buffer) {
	if o.empties < burst/4 {
		o.empties++
	}
	b.Release()
}

// delivered reports whether all that a user who has deallocated had sent is
// where it should be.
func (f *Flow) delivered() bool {
	if f.out.busy || len(f.out.rest) > 0 || f.snd.waiting() > 0 {
		return false
	}
	return f.flags&flagLinger == 0 || f.snd.outstanding() == 0
}

// finish sends the last acknowledgement and deallocates the flow below. The
// lock is held, but not during calls of the flow below.
func (f *Flow) finish() {
	if f.state == gone {
		return
	}
	f.die()
	f.state = gone
	var last [1]*packet.Buffer
	r := &f.rcv
	if f.reliable && r.run && r.next != r.acked && !f.ended {
		r.acked = r.next
		last[0] = packet.Get(frcp.HeaderLen)
		frcp.Header{Flags: frcp.ACK, Ack: r.next}.Put(last[0].Bytes())
		f.count.AcksSent.Add(1)
	}
	r.forget()
	f.mu.Unlock()
	if last[0] != nil && f.below.Send(last[:]) == 0 {
		last[0].Release()
	}
	f.below.Dealloc()
	close(f.done)
	f.mu.Lock()
}
