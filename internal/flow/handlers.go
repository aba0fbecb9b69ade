package flow

import "ouroboros/internal/packet"

// Funcs is a Handler made of functions; a nil OnReceive drops what comes, a
// nil OnEvent does nothing.
type Funcs struct {
	OnReceive func(batch []*packet.Buffer) (taken int)
	OnEvent   func(e Event)
}

// Receive implements Handler.
func (f Funcs) Receive(batch []*packet.Buffer) (taken int) {
	if f.OnReceive == nil {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	return f.OnReceive(batch)
}

// Event implements Handler.
func (f Funcs) Event(e Event) {
	if f.OnEvent != nil {
		f.OnEvent(e)
	}
}

// Deliver calls h.Receive and releases what it did not take: for a flow that
// has no place to keep packets. It says how many were dropped, to be counted.
func Deliver(h Handler, batch []*packet.Buffer) (dropped int) {
	rest := batch[h.Receive(batch):]
	packet.ReleaseAll(rest)
	return len(rest)
}

// SendOrDrop calls f.Send and releases what it did not take: for transit
// traffic, which never waits. It says how many were dropped, to be counted.
func SendOrDrop(f Flow, batch []*packet.Buffer) (dropped int) {
	rest := batch[f.Send(batch):]
	packet.ReleaseAll(rest)
	return len(rest)
}
