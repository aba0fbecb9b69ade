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
// Batches are slices of packet buffers. A batch is carried to completion on
// the goroutine that received it; what left together below arrives together
// above. The slice itself belongs to the caller again when a call returns, the
// buffers belong to whom they were passed.
package flow

import (
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// Flow is one end of a flow. All methods may be called from any goroutine;
// none blocks.
type Flow interface {
	// Send passes the packets of batch down, in order, and says how many it
	// took. The taken ones belong to the flow, the rest still to the caller,
	// who tries again after EventWritable or drops them. A flow that is down
	// takes all and releases them. A packet longer than MTU is taken, dropped
	// and counted.
	Send(batch []*packet.Buffer) (taken int)

	// Attach sets who receives, once, before the first packet can arrive.
	// Packets that came earlier are delivered during Attach.
	Attach(h Handler)

	// MTU is the longest packet that the flow carries, in bytes. It may
	// change; EventMTU says so.
	MTU() int

	// QoS is the specification that both ends agreed on.
	QoS() qos.Spec

	// QueueLen is the number of packets that were sent and have not left this
	// host: the congestion measure of a layer above.
	QueueLen() int

	// Dealloc ends this side. It returns at once; what the protocol still owes
	// (retransmission, final acknowledgements) goes on in the background. No
	// method of the Handler is called after Dealloc has returned, except by
	// calls that were running. Calling it again does nothing.
	Dealloc()
}

// Handler is the user of a Flow.
type Handler interface {
	// Receive is called on the goroutine that received the batch. It takes the
	// buffers and must not block. Calls for one flow do not overlap.
	Receive(batch []*packet.Buffer)

	// Event reports a change of state. It must not block.
	Event(e Event)
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
	}
	return "unknown"
}
