package shim

import (
	"sync"
	"sync/atomic"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// inboxLimit bounds what waits for a flow's user: before the user is attached,
// and when it takes fewer. More is dropped and counted.
var inboxLimit = flow.Limit{Packets: 128, Bytes: 512 << 10}

// Endpoint is one end of a flow at the edge; it is a flow.Flow.
type Endpoint[A comparable] struct {
	s      *Shim[A]
	id     uint32
	peer   A
	qos    qos.Spec
	remote atomic.Uint32 // 0 = not known yet
	in     flow.Inbox
	ended  atomic.Bool

	arrival *arrival[A] // of the responder; nil at the requester

	mu      sync.Mutex
	attempt *attempt // of the requester, until it is answered
	down    bool     // what the user was told last

	sent, received traffic
}

// traffic counts one direction of a flow.
type traffic struct{ packets, bytes, dropped atomic.Uint64 }

func (t *traffic) add(batch []*packet.Buffer) {
	var n uint64
	for _, b := range batch {
		n += uint64(b.Len())
	}
	t.packets.Add(uint64(len(batch)))
	t.bytes.Add(n)
}

// call makes the endpoint of a requester; the number of its peer is not known
// yet.
func (s *Shim[A]) call(peer A, spec qos.Spec, at *attempt) (*Endpoint[A], error) {
	return s.open(&Endpoint[A]{s: s, peer: peer, qos: spec, attempt: at})
}

// serve makes the endpoint of a responder.
func (s *Shim[A]) serve(a *arrival[A], spec qos.Spec) (*Endpoint[A], error) {
	e := &Endpoint[A]{s: s, peer: a.key.from, qos: spec, arrival: a}
	e.remote.Store(a.key.requester)
	return s.open(e)
}

func (s *Shim[A]) open(e *Endpoint[A]) (*Endpoint[A], error) {
	e.in.Init(inboxLimit, nil, s.env.Go)
	if err := s.table.add(e); err != nil {
		return nil, err
	}
	for { // the link may change while e is entered
		down := s.down.Load()
		e.setDown(down)
		if s.down.Load() == down {
			return e, nil
		}
	}
}

// setDown tells the user of a change.
func (e *Endpoint[A]) setDown(down bool) {
	e.mu.Lock()
	same := e.down == down
	e.down = down
	e.mu.Unlock()
	switch {
	case same:
	case down:
		e.in.Event(flow.EventDown)
	default:
		e.in.Event(flow.EventUp)
	}
}

// ID is the own number, Peer the address of the peer, Remote the peer's number,
// 0 while it is not known.
func (e *Endpoint[A]) ID() uint32     { return e.id }
func (e *Endpoint[A]) Peer() A        { return e.peer }
func (e *Endpoint[A]) Remote() uint32 { return e.remote.Load() }

// Sent is the number of packets that the edge took.
func (e *Endpoint[A]) Sent() uint64 { return e.sent.packets.Load() }

// Deliver takes data that came from an address. What comes from another than
// the peer is dropped and counted, and so is what the user does not take when
// the small queue is full.
func (e *Endpoint[A]) Deliver(from A, batch []*packet.Buffer) {
	if from != e.peer {
		e.s.count.foreign.Add(uint64(len(batch)))
		packet.ReleaseAll(batch)
		return
	}
	if a := e.arrival; a != nil && !a.heard.Load() {
		a.heard.Store(true)
	}
	e.received.add(batch)
	rest := batch[e.in.Put(batch):]
	if len(rest) > 0 {
		e.received.dropped.Add(uint64(len(rest)))
		e.s.count.overrun.Add(uint64(len(rest)))
		packet.ReleaseAll(rest)
	}
}

// Send implements flow.Flow.
func (e *Endpoint[A]) Send(batch []*packet.Buffer) (taken int) {
	if e.ended.Load() || e.s.down.Load() {
		e.drop(batch)
		return len(batch)
	}
	mtu := e.s.MTU()
	for taken < len(batch) {
		fit := taken
		var bytes uint64
		for fit < len(batch) && batch[fit].Len() <= mtu {
			bytes += uint64(batch[fit].Len())
			fit++
		}
		n := e.transmit(batch[taken:fit])
		taken += n
		if taken < fit {
			return taken
		}
		if fit < len(batch) {
			e.s.count.long.Add(1)
			e.drop(batch[fit : fit+1])
			taken++
		}
	}
	return taken
}

// transmit hands a run to the edge. When the edge took fewer, this endpoint
// waits for Writable; room may have come before it was entered there, so it
// tries once more.
func (e *Endpoint[A]) transmit(batch []*packet.Buffer) (taken int) {
	if len(batch) == 0 {
		return 0
	}
	taken = e.edge(batch)
	if taken < len(batch) {
		e.s.stall(e)
		taken += e.edge(batch[taken:])
	}
	return taken
}

func (e *Endpoint[A]) edge(batch []*packet.Buffer) (taken int) {
	before := 0
	for _, b := range batch {
		before += b.Len()
	}
	taken = e.s.edge.Transmit(e, batch)
	for _, b := range batch[taken:] {
		before -= b.Len()
	}
	e.sent.packets.Add(uint64(taken))
	e.sent.bytes.Add(uint64(before))
	return taken
}

func (e *Endpoint[A]) drop(batch []*packet.Buffer) {
	e.sent.dropped.Add(uint64(len(batch)))
	packet.ReleaseAll(batch)
}

// Attach implements flow.Flow.
func (e *Endpoint[A]) Attach(h flow.Handler) { e.in.Attach(h) }

// Resume implements flow.Flow.
func (e *Endpoint[A]) Resume() { e.in.Resume() }

// MTU implements flow.Flow.
func (e *Endpoint[A]) MTU() int { return e.s.MTU() }

// QoS implements flow.Flow.
func (e *Endpoint[A]) QoS() qos.Spec { return e.qos }

// Queued is an Edge that knows how many packets it has taken and not sent.
type Queued interface {
	QueueLen() int
}

// QueueLen implements flow.Flow: what the edge, for all its flows, has not
// sent yet.
func (e *Endpoint[A]) QueueLen() int {
	if q, ok := e.s.edge.(Queued); ok {
		return q.QueueLen()
	}
	return 0
}

// Dealloc implements flow.Flow. It is local: the protocols of the edge have no
// message for it.
func (e *Endpoint[A]) Dealloc() {
	if e.ended.Swap(true) {
		return
	}
	if e.arrival != nil {
		e.arrival.closed.Store(true)
	}
	e.s.table.remove(e)
	e.s.unstall(e)
	e.in.Close()
}
