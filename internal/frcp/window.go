package frcp

import (
	"time"

	"ouroboros/internal/packet"
	"ouroboros/internal/wire/frcp"
)

const (
	firstRDVS = 100 * time.Millisecond
	mostRDVS  = 2 * time.Second
	farthest  = 1 << 23 // a window beyond it is not one
)

// window takes the window of a packet and reports whether it said something
// new; ok is false when it cannot be right. A window that moves back is an old
// one, or a lie.
func (f *Flow) window(h frcp.Header) (news, ok bool) {
	s := &f.snd
	edge := frcp.Edge(h.Window, s.una)
	if edge.Since(s.una) >= farthest || s.opened && edge.Before(s.edge) {
		f.count.BadWindow.Add(1)
		return false, false
	}
	if s.opened && edge == s.edge {
		return false, true
	}
	s.edge, s.opened = edge, true
	if s.nxt.Before(edge) {
		s.rdvsAt, s.rdvsWait = 0, 0
	}
	return true, true
}

// watchWindow asks for the window after a while when nothing else will bring
// it: no acknowledgement is on its way.
func (f *Flow) watchWindow(now int64) {
	s := &f.snd
	closed := f.flags&flagResControl != 0 && s.waiting() > 0 && !s.nxt.Before(s.edge) && s.outstanding() == 0
	switch {
	case !closed:
		s.rdvsAt, s.rdvsWait = 0, 0
	case s.rdvsAt == 0:
		s.rdvsWait = int64(firstRDVS)
		s.rdvsAt = now + s.rdvsWait
	}
}

// rendezvous is the deadline of watchWindow.
func (f *Flow) rendezvous(now int64) {
	s := &f.snd
	s.rdvs = true
	s.rdvsWait = min(2*s.rdvsWait, int64(mostRDVS))
	s.rdvsAt = now + s.rdvsWait
}

// askWindow makes a rendez-vous. On a flow without retransmission all that was
// sent may have been lost, so it says as well where the run is.
func (f *Flow) askWindow() *packet.Buffer {
	h := frcp.Header{Flags: frcp.RDVS}
	if !f.reliable {
		h.Flags |= frcp.DRF
		h.Seq = f.snd.nxt
	}
	f.snd.asked = true
	f.count.RDVSSent.Add(1)
	b := packet.Get(frcp.HeaderLen)
	h.Put(b.Bytes())
	return b
}

// openWindow moves the edge of what we accept: as many packets, and bytes by
// the length of those that came, as the handler has left room for. It never
// moves back. It reports by how much it would move, without moving it, when
// move is false.
func (f *Flow) openWindow(move bool) (gain int) {
	r := &f.rcv
	packets, bytes := f.in.Held()
	for _, b := range r.ready {
		packets++
		bytes += b.Len()
	}
	credit := min(f.cfg.Window-packets, (f.cfg.WindowBytes-bytes)/max(r.size, 1))
	edge := r.next.Add(max(0, credit))
	if gain = edge.Since(r.edge); gain <= 0 {
		return 0
	}
	if move {
		r.edge = edge
	}
	return gain
}
