package frcp

import (
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/frcp"
)

// receiver is what is known of the packets that come.
//
//	          next                        edge
//	───────────┼───────────────────────────┼──────
//	 for the   │ gaps, and what came       │ not accepted
//	 handler   │ beyond them (late)        │
type receiver struct {
	run       bool // there is a run: next and edge mean something
	tentative bool // it was opened by a packet without data
	next      frcp.Seq
	edge      frcp.Seq // as announced
	heard     int64    // when data last came, or a rendez-vous for it
	any       int64    // when anything last came
	knownAt   int64    // when the peer last showed that it has the beginning of our run

	ring  []*packet.Buffer // by number: what came beyond a gap
	kept  int              // packets in it
	bytes int              // of them
	ready []*packet.Buffer // in order, for the handler
	spare []*packet.Buffer // the other slice for ready
	size  int              // length of packets, lately

	acked    frcp.Seq // last acknowledgement that was sent
	unacked  int      // packets since then
	quota    int      // packets that are acknowledged at once
	since    int64    // when the first of unacked came
	ackAt    int64    // deadline; 0 = none
	ackNow   bool
	rdvs     bool       // the next window answers a rendez-vous
	answers  []frcp.Seq // packets that are answered one by one
	answered bool       // a duplicate of this batch was
	base     frcp.Seq   // next when a window was last announced
	first    bool       // no window was announced in this run

	// Without retransmission: a row of packets outside of the window.
	stray  frcp.Seq
	strays int
}

const (
	firstSize  = 1500 // bytes
	resyncRow  = 8    // packets in a row outside of the window that move the run
	windowStep = 32   // packets after which a flow without retransmission announces its window
)

// fresh reports whether the run of the peer is alive, so that what we say of
// it cannot be taken for something about another run.
func (r *receiver) fresh(now, inactivity int64) bool {
	return r.run && now-r.any < int64(maxAckDelay) && now-r.heard < inactivity
}

// open begins a run.
func (r *receiver) open(n frcp.Seq, tentative bool, now int64) {
	r.forget()
	r.run, r.tentative, r.first, r.heard = true, tentative, true, now
	r.next, r.edge, r.acked, r.base = n, n, n, n
	if r.size == 0 {
		r.size = firstSize
	}
}

// forget releases what waits for a gap to be filled.
func (r *receiver) forget() {
	if r.kept > 0 {
		for i, b := range r.ring {
			if b != nil {
				b.Release()
				r.ring[i] = nil
			}
		}
	}
	r.kept, r.bytes, r.strays = 0, 0, 0
	r.unacked, r.ackAt, r.ackNow = 0, 0, false
	r.answers = r.answers[:0]
}

// receive takes a batch from below.
func (f *Flow) receive(batch []*packet.Buffer) int {
	f.mu.Lock()
	if f.state >= dead {
		f.mu.Unlock()
		packet.ReleaseAll(batch)
		return len(batch)
	}
	now := f.now()
	f.rcv.answered = false
	for _, b := range batch {
		if !f.take(b, now) {
			b.Release()
		}
	}
	f.seek(now)
	f.deliver()
	if f.state < dead {
		f.promise(now)
		f.send(now)
	}
	f.leave()
	return len(batch)
}

// take looks at one packet and reports whether it was kept.
func (f *Flow) take(b *packet.Buffer, now int64) (kept bool) {
	h, ok := frcp.Parse(b.Bytes())
	if !ok {
		if b.Len() > 0 {
			f.count.Short.Add(1)
		}
		return false
	}
	r := &f.rcv
	data := h.Flags.Has(frcp.DATA)
	if h.Flags.Has(frcp.DRF) && f.begins(h.Seq, data, now) {
		r.open(h.Seq, !data, now)
		f.openWindow(true)
	}
	r.any = now
	switch {
	case h.Flags.Has(frcp.RDVS):
		f.count.RDVSHeard.Add(1)
		if r.run {
			r.heard, r.rdvs, r.ackNow = now, true, true
		}
		return false
	case h.Flags.Has(frcp.ACK):
		if !data {
			f.count.AcksHeard.Add(1)
		}
		f.acknowledged(h, !data, now)
	case h.Flags.Has(frcp.FC):
		if _, ok := f.window(h); ok && !data {
			f.snd.asked, f.snd.progress = false, now // the rendez-vous has reached it
		}
	}
	switch {
	case !data:
		return false
	case !r.run, now-r.heard > f.inactivity && !h.Flags.Has(frcp.DRF) && !f.inWindow(h.Seq):
		f.count.NoRun.Add(1)
		return false
	}
	b.TrimHead(frcp.HeaderLen)
	if f.reliable {
		return f.takeInOrder(h.Seq, b, now)
	}
	return f.takeNewest(h.Seq, b, now)
}

// begins reports whether a packet with DRF and number n begins a run. DRF alone
// does not: it is on every packet that is sent with nothing outstanding.
func (f *Flow) begins(n frcp.Seq, data bool, now int64) bool {
	r := &f.rcv
	switch {
	case !r.run:
		return true
	case n == r.next:
		return false
	case r.tentative && data:
		return true
	}
	return now-r.heard > f.inactivity && (data || !f.inWindow(n))
}

func (f *Flow) inWindow(n frcp.Seq) bool {
	return !n.Before(f.rcv.next) && n.Before(f.rcv.edge)
}

// takeInOrder takes data of a reliable flow.
func (f *Flow) takeInOrder(n frcp.Seq, b *packet.Buffer, now int64) (kept bool) {
	r := &f.rcv
	switch {
	case n.Before(r.next):
		r.heard = now
		f.count.Duplicate.Add(1)
		f.answerDuplicate(n)
		return false
	case !n.Before(r.edge):
		f.count.OutOfWindow.Add(1)
		r.ackNow = true
		return false
	case f.overfull(b.Len()):
		f.count.Overfull.Add(1)
		return false
	}
	r.heard, r.tentative = now, false
	r.size = max(b.Len(), r.size-r.size>>6)
	if n != r.next {
		return f.keep(n, b)
	}
	f.count.Received.Add(1)
	if r.unacked == 0 {
		r.since = now
	}
	r.unacked++
	r.next++
	r.ready = append(r.ready, b)
	if r.kept == 0 {
		return true
	}
	r.ackNow = true // a gap is filled, or another one left
	mask := uint32(len(r.ring) - 1)
	for r.kept > 0 {
		p := &r.ring[uint32(r.next)&mask]
		if *p == nil {
			break
		}
		r.kept--
		r.bytes -= (*p).Len()
		r.ready = append(r.ready, *p)
		*p = nil
		r.next++
		r.unacked++
	}
	return true
}

// keep keeps a packet that came beyond a gap.
func (f *Flow) keep(n frcp.Seq, b *packet.Buffer) (kept bool) {
	r := &f.rcv
	if r.ring == nil {
		size := 64
		for size < f.cfg.Window {
			size *= 2
		}
		r.ring = make([]*packet.Buffer, size)
	}
	p := &r.ring[uint32(n)&uint32(len(r.ring)-1)]
	if *p != nil {
		f.count.Duplicate.Add(1)
		f.answerDuplicate(n)
		return false
	}
	f.count.Received.Add(1)
	f.count.OutOfOrder.Add(1)
	*p = b
	r.kept++
	r.bytes += b.Len()
	if last := len(r.answers) - 1; last >= 0 && r.answers[last]+1 == n {
		r.answers[last] = n // the row says so of the one before, too
	} else if len(r.answers) < 2*burst {
		r.answers = append(r.answers, n)
	}
	return true
}

// overfull is the last wall: a peer that was told of room for packets of one
// length and sends longer ones.
func (f *Flow) overfull(n int) bool {
	_, held := f.in.Held()
	return held+f.rcv.bytes+n > f.cfg.WindowBytes+f.cfg.WindowBytes/2+max(n, firstSize)
}

// takeNewest takes data of a flow without retransmission.
func (f *Flow) takeNewest(n frcp.Seq, b *packet.Buffer, now int64) (kept bool) {
	r := &f.rcv
	if !f.inWindow(n) && !f.resync(n, now) {
		if n.Before(r.next) {
			f.count.Duplicate.Add(1)
		} else {
			f.count.OutOfWindow.Add(1)
		}
		return false
	}
	if f.overfull(b.Len()) {
		f.count.Overfull.Add(1)
		return false
	}
	r.heard, r.tentative, r.strays = now, false, 0
	r.size = max(b.Len(), r.size-r.size>>6)
	f.count.Received.Add(1)
	if gap := n.Since(r.next); gap > 0 {
		f.count.Gaps.Add(uint64(gap))
	}
	r.next = n + 1
	r.ready = append(r.ready, b)
	return true
}

// resync moves the run to where several packets in a row are: one damaged or
// forged number, or a sender that does not obey the window, is not the end of
// a flow on which nothing is sent again. A window that is closed because the
// handler takes nothing is not moved by packets beyond it.
func (f *Flow) resync(n frcp.Seq, now int64) bool {
	r := &f.rcv
	if n != r.stray+1 {
		r.strays = 0
	}
	r.stray = n
	if r.strays++; r.strays < resyncRow || f.openWindow(false) == 0 && n.After(r.next) {
		return false
	}
	r.open(n, false, now)
	f.openWindow(true)
	return true
}

// deliver gives the handler what is in order. The lock is held, but not during
// calls of the handler.
func (f *Flow) deliver() {
	r := &f.rcv
	if f.delivering {
		return // that one delivers these too
	}
	f.delivering = true
	for len(r.ready) > 0 {
		batch := r.ready
		r.ready = r.spare[:0]
		f.mu.Unlock()
		n := f.in.Put(batch)
		f.mu.Lock()
		rest := batch[n:]
		if len(rest) > 0 {
			// The Inbox is full, which the window should have prevented.
			r.ready = append(append(batch[:0:0], rest...), r.ready...)
			break
		}
		clear(batch)
		r.spare = batch[:0]
	}
	f.delivering = false
}

// deliverRest is called by the Inbox when it has room again.
func (f *Flow) deliverRest() {
	f.mu.Lock()
	f.deliver()
	f.leave()
}

// Resume implements flow.Flow: the handler takes more, and the peer hears of
// it when the window was small.
func (f *Flow) Resume() {
	f.in.Resume()
	f.mu.Lock()
	f.deliver()
	if f.state < dead {
		now := f.now()
		f.promise(now)
		f.send(now)
	}
	f.leave()
}
