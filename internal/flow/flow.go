// Package flow is the contract of a flow inside the stack: what an IPCP gives
// upward, what a layer uses from below, and what carries an application's
// rings. All of them are the same object, so layers stack to any depth.
//
//	application rings      unicast IPCP (a layer above)
//	       │ Handler              │ Handler
//	┌──────▼──────────────────────▼──────┐
//	│ Flow: Send(batch) ▼   ▲ Receive    │   FRCP, CRC, encryption wrap a
//	└──────▲──────────────────────▲──────┘   Flow and are a Flow again
//	       │                      │
//	   unicast IPCP           udp, eth IPCP
//
// # Batches
//
// A batch is a slice of packet buffers, in order. It is carried to completion
// on the goroutine that received it; what left together below arrives together
// above. The slice itself belongs to the caller again when a call returns (the
// callee keeps the buffers, never the slice), the buffers to whom took them. A
// forwarder therefore sorts one received batch into one slice for each
// outgoing flow and calls Send once for each: the edge turns each Send into
// one system call, and there is no flush to forget.
//
// # Back-pressure
//
// It is the same in both directions: the callee says how many packets it took,
// and the rest is the caller's.
//
//	down  Send takes fewer ──► the user keeps or drops ──► EventWritable: try again
//	up    Receive takes fewer ──► the flow keeps or drops ──► Resume: offers them again
//
// Who has a place to keep packets keeps them: an application's ring, the
// receive queue of a reliable machine (which closes its window meanwhile), the
// queue of a flow inside one node. Who has not drops and counts: transit
// traffic, and the receive side of a layer on a network. Nobody waits, so a
// slow receiver costs its own flow and no other.
//
// # Order of calls
//
// Calls of one flow's Receive do not overlap. EventDealloc is the last call
// that a Handler gets and comes after the last packet; the other events come
// at any time, also before the call returns that caused them: EventWritable
// before a short Send has returned, for one. A handler that remembers "waiting
// for room" does so before it calls Send. A Flow holds no lock while it calls
// its Handler, so a Handler may call any method of any flow. A flow that may
// be entered from several goroutines (timers, both of its sides) puts an Inbox
// between itself and its Handler, which keeps these promises.
package flow

import (
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// MaxPacket is the longest packet in bytes that any flow carries.
const MaxPacket = 1 << 20

// Flow is one end of a flow. All methods may be called from any goroutine;
// none blocks.
type Flow interface {
	// Send passes the packets of batch down, in order, and says how many it
	// took. The taken ones belong to the flow, the rest still to the caller,
	// who tries again after EventWritable or drops them. A flow that is down
	// takes all and releases them. A packet longer than MTU is taken, dropped
	// and counted. An empty packet is a packet: the keep-alive of the layer
	// above, which the guard of the other end consumes (package protect).
	Send(batch []*packet.Buffer) (taken int)

	// Attach sets who receives, once, before the first packet can arrive.
	// Packets and events that came earlier are delivered during Attach.
	Attach(h Handler)

	// Resume says that the Handler, which had taken only a part of a batch,
	// has room again. A flow that kept the rest offers it again, on the
	// goroutine of this call or of one that is delivering already.
	Resume()

	// MTU is the longest packet that the flow carries, in bytes. It may
	// change; EventMTU says so.
	MTU() int

	// QoS is the specification that both ends agreed on.
	QoS() qos.Spec

	// QueueLen is the number of packets that were sent and have not left this
	// host: the congestion measure of a layer above.
	QueueLen() int

	// Dealloc ends this side. It returns at once; what was sent is still
	// delivered, and what the protocol still owes (retransmission, final
	// acknowledgements) goes on in the background. No method of the Handler is
	// called after Dealloc has returned, except by calls that were running.
	// Calling it again does nothing.
	Dealloc()
}

// Handler is the user of a Flow.
type Handler interface {
	// Receive is called on the goroutine that received the batch, and says how
	// many packets it took, from the front. The taken ones belong to the
	// handler, the rest still to the flow, which keeps or drops them. After
	// taking fewer than all the handler calls Resume when it has room again.
	// It must not block.
	Receive(batch []*packet.Buffer) (taken int)

	// Event reports a change of state. It must not block.
	Event(e Event)
}

// Lossless is a Flow that may know that nothing sent on it is lost, damaged,
// doubled or reordered while both ends live, as inside one node. Neither a
// checksum nor a reliability protocol is put on such a flow.
type Lossless interface {
	Lossless() bool
}

// IsLossless reports whether f is known to lose nothing.
func IsLossless(f Flow) bool {
	l, ok := f.(Lossless)
	return ok && l.Lossless()
}

// Signaller is a Flow that can pass EventDown and EventUp of one user on to
// the user at the other end. Flows on a network have no such message.
type Signaller interface {
	Signal(e Event)
}

// Signal passes e on if f can.
func Signal(f Flow, e Event) {
	if s, ok := f.(Signaller); ok {
		s.Signal(e)
	}
}

// Event is a change of state of a flow. The first six have the numbers of the
// application interface.
type Event uint8

// The events.
const (
	EventPacket   Event = 1  // never given to a Handler; the application's sets count packets with it
	EventDown     Event = 2  // the layer below cannot carry packets now
	EventUp       Event = 4  // it can again
	EventAlloc    Event = 8  // reserved
	EventDealloc  Event = 16 // the other end, or the layer, deallocated the flow
	EventPeer     Event = 32 // nothing was heard of the peer for the peer time-out
	EventWritable Event = 64 // Send takes packets again
	EventMTU      Event = 65 // MTU changed

	// What EventDown and EventUp are above a reliable protocol: the layer below
	// cannot carry packets now, but what is sent is kept and not lost.
	EventStalled Event = 66
	EventMoving  Event = 67 // it can again
)

func (e Event) String() string {
	switch e {
	case EventPacket:
		return "packet"
	case EventDown:
		return "down"
	case EventUp:
		return "up"
	case EventAlloc:
		return "alloc"
	case EventDealloc:
		return "dealloc"
	case EventPeer:
		return "peer"
	case EventWritable:
		return "writable"
	case EventMTU:
		return "mtu"
	case EventStalled:
		return "stalled"
	case EventMoving:
		return "moving"
	}
	return "unknown"
}
