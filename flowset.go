package ouroboros

import "context"

// EventType is what happened to a flow of a set.
type EventType uint8

// The types, with the values of the C interface.
const (
	FlowPacket  EventType = 1  // a message can be read; one event a message
	FlowDown    EventType = 2  // the layer cannot carry packets now
	FlowUp      EventType = 4  // it can again
	FlowAlloc   EventType = 8  // reserved
	FlowDealloc EventType = 16 // the other side deallocated or ended
	FlowPeer    EventType = 32 // the peer timed out
)

// FlowEvent is one event of one flow.
type FlowEvent struct {
	Flow *Flow
	Type EventType
}

// FlowSet collects the events of many flows for one waiter. A flow is in at
// most one set.
type FlowSet struct{}

// NewFlowSet makes an empty set. Close it when done.
func NewFlowSet() *FlowSet { panic("not built yet") }

// Add makes f a member. If messages wait to be read, one FlowPacket event is
// queued. ErrPerm when f is in a set already, ErrNotAlloc when deallocated.
func (s *FlowSet) Add(f *Flow) error { panic("not built yet") }

// Remove, Has and Zero take a flow out, ask for it, and empty the set with
// all pending events.
func (s *FlowSet) Remove(f *Flow)   { panic("not built yet") }
func (s *FlowSet) Has(f *Flow) bool { panic("not built yet") }
func (s *FlowSet) Zero()            { panic("not built yet") }

// Wait appends all pending events to buf and returns it, waiting for the
// first until ctx ends (ErrTimeout at its deadline). Events do not go away by
// reading the flow: read without blocking until ErrWouldBlock.
func (s *FlowSet) Wait(ctx context.Context, buf []FlowEvent) ([]FlowEvent, error) {
	panic("not built yet")
}

// Close empties the set and ends its waiters with ErrNotAlloc.
func (s *FlowSet) Close() error { panic("not built yet") }
