package shim

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
)

// Bounds of what is kept of requests from peers.
const (
	arrivalsPending = 4096             // undecided
	arrivalsSource  = 512              // of those, from one source
	arrivalsKept    = 32768            // decided
	arrivalsTime    = 30 * time.Second // how long a decided one is kept
	resend          = 10 * time.Millisecond
	resends         = 100                    // how often a reply is tried while there is no room
	farewell        = 500 * time.Millisecond // longest for the last refusals
)

// arrivalKey is what tells requests apart.
type arrivalKey[A comparable] struct {
	from      A
	requester uint32
	request   RequestID
}

// arrival is a request of a peer: pending, or with the reply that was sent.
type arrival[A comparable] struct {
	key   arrivalKey[A]
	reply *Message // nil while the host decides
	until time.Time

	heard  atomic.Bool // data has come on the flow, so the reply has arrived
	closed atomic.Bool // the flow was deallocated here
}

// arrivals are the requests of peers.
type arrivals[A comparable] struct {
	mu      sync.Mutex
	of      map[arrivalKey[A]]*arrival[A]
	pending int
	source  map[A]int     // pending, by origin
	decided []*arrival[A] // oldest first
	timer   bool          // runs

	deciding int           // goroutines
	closed   bool          // no more of them
	idle     chan struct{} // closed when there are none; nil while nobody waits
}

func (as *arrivals[A]) init() {
	as.of = make(map[arrivalKey[A]]*arrival[A])
	as.source = make(map[A]int)
}

// request takes a FlowReq.
func (s *Shim[A]) request(from A, m *Message) {
	if !s.cfg.Remote.has(m.Requester) {
		s.count.malformed.Add(1)
		return
	}
	if s.cfg.RegisteredOnly && !s.Names.Has(m.Hash) {
		s.count.ignored.Add(1)
		return
	}
	a := &arrival[A]{key: arrivalKey[A]{from, m.Requester, requestID(m.Data)}}
	origin := s.cfg.Origin(from)

	as := &s.arrivals
	as.mu.Lock()
	if as.closed {
		as.mu.Unlock()
		return
	}
	if old := as.of[a.key]; old != nil {
		reply := old.reply
		as.mu.Unlock()
		s.count.again.Add(1)
		s.repeat(old, reply)
		return
	}
	if as.pending >= arrivalsPending || as.source[origin] >= arrivalsSource {
		as.mu.Unlock()
		s.count.excess.Add(1)
		_ = s.edge.Manage(from, deny(a, errno.NoBufs))
		return
	}
	as.of[a.key] = a
	as.pending++
	as.deciding++
	as.source[origin]++
	as.mu.Unlock()

	s.count.arrived.Add(1)
	s.meet(from, m.Requester)
	req := &ipcp.Request{
		Hash: append([]byte(nil), m.Hash...), QoS: m.QoS,
		Data: append([]byte(nil), m.Data...), MPL: s.cfg.MPL,
	}
	s.env.Go(func() {
		defer as.decidedOne()
		s.decide(a, req)
	})
}

func (as *arrivals[A]) decidedOne() {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.deciding--; as.deciding == 0 && as.idle != nil {
		close(as.idle)
		as.idle = nil
	}
}

// close takes no more requests and waits until those that are here have been
// refused: the host gives them up when the IPCP ends.
func (as *arrivals[A]) close() {
	as.mu.Lock()
	as.closed = true
	if as.deciding == 0 || as.idle != nil {
		as.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	as.idle = idle
	as.mu.Unlock()
	late := time.NewTimer(farewell)
	defer late.Stop()
	select {
	case <-idle:
	case <-late.C:
	}
}

// decide asks the host and replies.
func (s *Shim[A]) decide(a *arrival[A], req *ipcp.Request) {
	offer, err := s.env.Host.Arrive(s.env.Context, req)
	if err != nil {
		if s.env.Context.Err() != nil {
			err = errno.IPCPState
		}
		s.count.denied.Add(1)
		_ = s.settle(a, deny(a, err))
		return
	}
	e, err := s.serve(a, req.QoS)
	if err != nil {
		s.count.denied.Add(1)
		offer.Fail(err)
		_ = s.settle(a, deny(a, err))
		return
	}
	reply := &Message{Code: FlowReply, Requester: a.key.requester, Responder: e.id, Data: offer.Data()}
	if err := s.settle(a, reply); err != nil {
		s.count.unsendable.Add(1)
		e.Dealloc()
		offer.Fail(err)
		return
	}
	s.count.taken.Add(1)
	offer.Complete(e)
}

// deny makes a negative reply.
func deny[A comparable](a *arrival[A], err error) *Message {
	n := errno.Number(err)
	if n <= 0 || n > math.MaxInt32 {
		n = errno.Perm.Errno()
	}
	return &Message{Code: FlowReply, Requester: a.key.requester, Response: -int32(n)}
}

// settle keeps the reply, then sends it. A reply that cannot be sent becomes a
// refusal.
func (s *Shim[A]) settle(a *arrival[A], reply *Message) error {
	s.arrivals.keep(s, a, reply)
	s.pause(a.key.from)
	err := s.send(a.key.from, reply)
	if err != nil && reply.Response == 0 {
		refused := deny(a, err)
		s.arrivals.mu.Lock()
		a.reply = refused
		s.arrivals.mu.Unlock()
		_ = s.send(a.key.from, refused)
	}
	return err
}

// pause is the Pause of the configuration.
func (s *Shim[A]) pause(to A) {
	if s.cfg.Pause <= 0 || s.Knows(to) {
		return
	}
	timer := time.NewTimer(s.cfg.Pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.env.Context.Done():
	}
}

// send sends a reply, waiting a little when there is no room.
func (s *Shim[A]) send(to A, m *Message) error {
	var timer *time.Timer
	for range resends {
		err := s.edge.Manage(to, m)
		if !errors.Is(err, errno.Again) {
			return err
		}
		if timer == nil {
			timer = time.NewTimer(resend)
			defer timer.Stop()
		} else {
			timer.Reset(resend)
		}
		select {
		case <-timer.C:
		case <-s.env.Context.Done():
			return err
		}
	}
	return errno.New(errno.Again, "the reply could not be sent for %v", resends*resend)
}

// repeat sends the reply to a request that came again, if there is one yet and
// it has not arrived. A flow that was deallocated meanwhile is not given any
// more: the peer would wait on it for nothing.
func (s *Shim[A]) repeat(a *arrival[A], reply *Message) {
	if reply == nil || a.heard.Load() {
		return
	}
	if reply.Response == 0 && a.closed.Load() {
		reply = deny(a, errno.FlowDown)
	}
	_ = s.edge.Manage(a.key.from, reply) // when it cannot be sent, the peer asks again
}

// probe takes a Probe.
func (s *Shim[A]) probe(from A, m *Message) {
	s.peers.learn(from) // only our own kind sends it
	id := requestID(m.Data)
	s.arrivals.mu.Lock()
	a := s.arrivals.of[arrivalKey[A]{from, m.Requester, id}]
	var reply *Message
	if a != nil {
		reply = a.reply
	}
	s.arrivals.mu.Unlock()
	answer := &Message{Code: ProbeAnswer, Requester: m.Requester, Response: Unseen, Data: id[:]}
	switch {
	case a == nil:
		if s.cfg.RegisteredOnly && !s.Names.Has(m.Hash) {
			s.count.ignored.Add(1)
			return
		}
	case reply == nil:
		answer.Response = Pending
	default:
		answer.Response = Answered
	}
	_ = s.edge.Manage(from, answer)
	if a != nil {
		s.repeat(a, reply)
	}
}

// keep notes the reply of a pending request.
func (as *arrivals[A]) keep(s *Shim[A], a *arrival[A], reply *Message) {
	as.mu.Lock()
	defer as.mu.Unlock()
	now := time.Now()
	a.reply, a.until = reply, now.Add(arrivalsTime)
	as.pending--
	origin := s.cfg.Origin(a.key.from)
	if as.source[origin]--; as.source[origin] == 0 {
		delete(as.source, origin)
	}
	if reply.Response == -int32(errno.NameError.Errno()) || reply.Response == -int32(errno.AuthFailed.Errno()) {
		// To be refused for what it is, nothing was used up: when it comes
		// again it is refused again, and whoever floods us fills no table.
		delete(as.of, a.key)
		return
	}
	as.decided = append(as.decided, a)
	as.expire(now)
	if !as.timer {
		as.timer = true
		s.env.AfterFunc(arrivalsTime, func() { as.sweep(s) })
	}
}

// expire forgets what is old, and the oldest when there are too many.
func (as *arrivals[A]) expire(now time.Time) {
	n := 0
	for n < len(as.decided) && (!now.Before(as.decided[n].until) || len(as.decided)-n > arrivalsKept) {
		delete(as.of, as.decided[n].key)
		as.decided[n] = nil
		n++
	}
	as.decided = as.decided[n:]
	if len(as.decided) == 0 {
		as.decided = nil
	}
}

// sweep runs as long as there is something to forget.
func (as *arrivals[A]) sweep(s *Shim[A]) {
	as.mu.Lock()
	defer as.mu.Unlock()
	now := time.Now()
	as.expire(now)
	if as.timer = len(as.decided) > 0; as.timer {
		s.env.AfterFunc(as.decided[0].until.Sub(now), func() { as.sweep(s) })
	}
}

// size is the number of requests that are pending and decided.
func (as *arrivals[A]) size() (pending, decided int) {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.pending, len(as.decided)
}
