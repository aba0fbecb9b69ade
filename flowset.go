package ouroboros

import (
	"context"
	"slices"
	"sync"

	"ouroboros/internal/ring"
)

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

// waitMost is how many events one Wait gives.
const waitMost = 1024

// FlowSet collects the events of many flows for one waiter. A flow is in at
// most one set.
//
// A set does not queue events, it counts: a flow that was rung is put on the
// list of those to look at, and its doorbell stays silent until Wait has
// looked and armed it again. So a set costs the same however many messages
// nobody fetched, and none is lost.
type FlowSet struct {
	mu      sync.Mutex
	members map[*member]struct{}
	first   *member // to look at, oldest first
	last    *member
	bell    chan struct{} // capacity 1: the list is not empty
	done    chan struct{} // closed by Close
	closed  bool
	fd      readiness
}

// member is a flow in a set. Its fields are guarded by the set.
type member struct {
	flow *Flow
	set  *FlowSet

	listed  bool // in the set's list
	out     bool // removed
	next    *member
	arrived uint32 // messages for which events were given
	extra   int    // events besides: those of messages from before
	state   ring.State
	told    uint32 // events that come once, of those given
}

// NewFlowSet makes an empty set. Close it when done.
func NewFlowSet() *FlowSet {
	return &FlowSet{
		members: make(map[*member]struct{}),
		bell:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		fd:      readiness{fd: -1},
	}
}

// Add makes f a member. If messages wait to be read, one FlowPacket event is
// queued. The end of a flow that came before is an event now. ErrPerm when f
// is in a set already, ErrNotAlloc when it is deallocated or the set closed.
func (s *FlowSet) Add(f *Flow) error {
	m := &member{flow: f, set: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || f.gone.Load() {
		return ErrNotAlloc
	}
	if !f.member.CompareAndSwap(nil, m) {
		return ErrPerm
	}
	s.members[m] = struct{}{}
	f.end.OnWake(f.wake)
	var waiting int
	m.arrived, waiting = f.end.ArmCount()
	m.extra = min(waiting, 1)
	m.state = f.end.PeerState()
	s.list(m)
	if f.gone.Load() { // while we were adding it
		s.drop(m)
		return ErrNotAlloc
	}
	return nil
}

// Remove, Has and Zero take a flow out, ask for it, and empty the set with
// all pending events.
func (s *FlowSet) Remove(f *Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := f.member.Load(); m != nil && m.set == s {
		s.drop(m)
	}
}

func (s *FlowSet) Has(f *Flow) bool {
	if f == nil {
		return false
	}
	m := f.member.Load()
	return m != nil && m.set == s
}

func (s *FlowSet) Zero() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.members {
		s.drop(m)
	}
}

// leaveSet takes a deallocated flow out of its set.
func (f *Flow) leaveSet() {
	if m := f.member.Load(); m != nil {
		m.set.Remove(f)
	}
}

// drop removes a member. It may stay in the list, where it counts for nothing.
func (s *FlowSet) drop(m *member) {
	if m.out {
		return
	}
	m.out = true
	delete(s.members, m)
	m.flow.end.OnWake(nil)
	m.flow.member.CompareAndSwap(m, nil)
}

// raise is called when a flow was rung.
func (s *FlowSet) raise(m *member) {
	s.mu.Lock()
	if !m.out {
		s.list(m)
	}
	s.mu.Unlock()
}

// list puts a member on the list and tells a waiter. Callers hold mu.
func (s *FlowSet) list(m *member) {
	if m.listed {
		return
	}
	m.listed = true
	if s.last == nil {
		s.first = m
	} else {
		s.last.next = m
	}
	s.last = m
	s.signal()
}

func (s *FlowSet) signal() {
	s.fd.set()
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// Wait appends all pending events, up to 1024, to buf and returns it, waiting
// for the first until ctx ends (ErrTimeout at its deadline). Events do not go
// away by reading the flow: read without blocking until ErrWouldBlock. An
// ended ctx polls: pending events come before its error, and so does what
// happened before the call, however short before.
func (s *FlowSet) Wait(ctx context.Context, buf []FlowEvent) ([]FlowEvent, error) {
	before := len(buf)
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return buf, ErrNotAlloc
		}
		buf = s.collect(buf)
		err := ctx.Err()
		if len(buf) == before && err != nil {
			buf = s.scan(buf)
		}
		s.mu.Unlock()
		if len(buf) > before {
			return buf, nil
		}
		if err != nil {
			return buf, timely(err, "no event came in time")
		}
		select {
		case <-s.bell:
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

// Pending appends the events that are known, up to 1024, to buf and returns it.
// It is for a program that sleeps until FD is readable: unlike an ended Wait it
// does not look at flows that were not announced yet, which costs a moment for
// each flow of the set.
func (s *FlowSet) Pending(buf []FlowEvent) ([]FlowEvent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return buf, ErrNotAlloc
	}
	return s.collect(buf), nil
}

// scan looks at all flows: a doorbell takes microseconds to be heard, and a
// poll is not to miss what was written before it. Callers hold mu.
func (s *FlowSet) scan(buf []FlowEvent) []FlowEvent {
	most := len(buf) + waitMost
	for m := range s.members {
		if m.listed {
			continue
		}
		var all bool
		if buf, all = m.events(buf, most); !all {
			s.list(m)
			break
		}
	}
	return buf
}

// collect looks at the listed flows. Callers hold mu.
func (s *FlowSet) collect(buf []FlowEvent) []FlowEvent {
	most := len(buf) + waitMost
	for s.first != nil && len(buf) < most {
		m := s.first
		if s.first = m.next; s.first == nil {
			s.last = nil
		}
		m.next, m.listed = nil, false
		if m.out {
			continue
		}
		var all bool
		if buf, all = m.events(buf, most); !all {
			s.list(m)
			break
		}
	}
	if s.first != nil {
		s.signal() // for other waiters
	} else {
		s.fd.clear()
	}
	return buf
}

// events appends what happened to the flow since the last look; false when
// there was not room for all. Messages come before the end.
func (m *member) events(buf []FlowEvent, most int) ([]FlowEvent, bool) {
	f := m.flow
	state := f.end.PeerState() // before the count: what it says came after the messages
	arrived, _ := f.end.ArmCount()
	for m.extra > 0 || m.arrived != arrived {
		if len(buf) == most {
			return buf, false
		}
		if m.extra > 0 {
			m.extra--
		} else {
			m.arrived++
		}
		buf = append(buf, FlowEvent{f, FlowPacket})
	}
	if most-len(buf) < 2*saidMost+2 {
		return buf, false
	}

	// What the other side said is an event each time, what the node saw is one.
	downs, ups := said(state.Downs()-m.state.Downs()), said(state.Ups()-m.state.Ups())
	m.state = state
	seen := f.seen.Swap(0)
	if f.end.Ended() {
		// A process that deallocated and went is no crash.
		seen = seen&^uint32(FlowDown) | uint32(FlowDealloc)
	}
	if f.end.Poisoned() {
		seen |= uint32(FlowDown) &^ m.told
	}
	if seen&uint32(FlowDown) != 0 {
		downs = max(downs, 1)
	}
	if seen&uint32(FlowUp) != 0 {
		ups = max(ups, 1)
	}
	if state.Has(ring.StatePeer) {
		seen |= uint32(FlowPeer)
	}
	seen &^= m.told & uint32(FlowDealloc|FlowPeer)
	m.told |= seen
	buf = turns(buf, f, downs, ups, state.Has(ring.StateDown|ring.StateStalled))
	for _, t := range [...]EventType{FlowPeer, FlowDealloc} {
		if seen&uint32(t) != 0 {
			buf = append(buf, FlowEvent{f, t})
		}
	}
	return buf, true
}

// saidMost is how many downs, and how many ups, one look at a flow gives.
const saidMost = 16

// said is how often something was said, of the difference of two counts.
func said(n uint32) int { return int(min(n&ring.SayMask, saidMost)) }

// turns appends downs and ups, by turns as far as they go, so that the last is
// what holds now.
func turns(buf []FlowEvent, f *Flow, downs, ups int, down bool) []FlowEvent {
	at := len(buf)
	for ; downs+ups > 0; down = !down {
		if ups == 0 || down && downs > 0 {
			buf = append(buf, FlowEvent{f, FlowDown})
			downs--
		} else {
			buf = append(buf, FlowEvent{f, FlowUp})
			ups--
		}
	}
	slices.Reverse(buf[at:])
	return buf
}

// Close empties the set and ends its waiters with ErrNotAlloc.
func (s *FlowSet) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for m := range s.members {
		s.drop(m)
	}
	s.first, s.last = nil, nil
	close(s.done)
	s.fd.close()
	return nil
}
