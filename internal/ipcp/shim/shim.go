// Package shim is what the IPCPs at the edge of the system share, over UDP and
// over Ethernet: endpoints and their numbers, the allocation of flows with a
// peer that may lose messages or be of another make, and the directory.
//
//	          AllocFlow                        Host.Arrive
//	              ▼                                 ▲
//	┌──────────────────────────── Shim ────────────────────────────┐
//	│ attempts   endpoint table   arrivals   names   directory     │
//	└──────┬─────────────▲──────────────▲──────────────────────────┘
//	       │ Edge        │ Endpoint     │ Message
//	       ▼ Transmit,   │ (id).Deliver │ (from, m)
//	         Manage      │              │
//	┌──────────────────────────── edge ────────────────────────────┐
//	│ codec and socket: udp, eth                                   │
//	└───────────────────────────────────────────────────────────────┘
//
// A is the address of a peer: netip.AddrPort, or a MAC.
//
// # Allocation over a lossy network
//
// A peer of another make takes a repeated request for a second one, which
// uses up an accept and is answered with an error. So what is repeated without
// knowing the peer is a Probe, which only a peer of our own kind understands:
//
//	requester                             responder
//	   │── FlowReq ──────────────► ✗          │
//	   │── Probe (250 ms later) ─────────────►│ not in the table of requests
//	   │◄───────────────── ProbeAnswer Unseen │
//	   │── FlowReq, the same bytes ──────────►│ Host.Arrive, reply stored
//	   │          ✗ ◄──────────── FlowReply 0 │ flow
//	   │── Probe or FlowReq ─────────────────►│ in the table: answered
//	   │◄── FlowReply 0, the same; Answered ──│
//
// A peer that has answered a probe gets plain repetitions from then on. The
// responder knows a request by source, endpoint and RequestID for half a
// minute, so none becomes two flows.
package shim

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/packet"
)

// Edge is the codec and the socket below a Shim. Its methods are called from
// any goroutine and do not block.
type Edge[A comparable] interface {
	// Transmit sends packets of e to e.Peer(), endpoint e.Remote(), and says
	// how many it took, as flow.Flow.Send does; none is longer than the MTU.
	// After it took fewer the edge calls Shim.Writable once there is room.
	Transmit(e *Endpoint[A], batch []*packet.Buffer) (taken int)

	// Manage sends a management message. errno.Again when there is no room
	// now, errno.MsgSize when it is longer than a message to that peer can be.
	Manage(to A, m *Message) error
}

// Range is a range of endpoint numbers, both ends included.
type Range struct{ Lo, Hi uint32 }

func (r Range) has(id uint32) bool { return r.Lo <= id && id <= r.Hi }

// Config says what is different from edge to edge.
type Config[A comparable] struct {
	Env  ipcp.Env
	Edge Edge[A]

	Own    Range // numbers of own endpoints
	Remote Range // numbers that a peer's endpoint can have
	Limit  int   // most endpoints at a time; 0 = as many as Own and the table have

	MPL time.Duration // longest life of a packet in the layer
	MTU int           // longest payload in bytes

	// Foreign are the numbers that the C implementation gives its endpoints.
	// A peer with an endpoint outside of them is of our own kind, whose numbers
	// are best outside of them, too. The zero value: it cannot be seen.
	Foreign Range

	// Pause is how long a reply to a peer that may be of another make waits:
	// some do not expect it at once.
	Pause time.Duration

	// RegisteredOnly drops requests for names that are not registered here in
	// silence, as a broadcast medium wants it; else the host is asked.
	RegisteredOnly bool

	// Origin gives what counts as one source in the limits of requests: an
	// address without its port. nil = the address itself.
	Origin func(A) A
}

// leastRest is how long a number is not used again even where packets live
// shortly: a peer does not hear of the end of a flow and sends on for a while.
const leastRest = 10 * time.Second

// Shim is the common part of an IPCP at the edge.
type Shim[A comparable] struct {
	cfg  Config[A]
	env  ipcp.Env
	log  *slog.Logger
	edge Edge[A]

	// Names are the hashes registered here; Directory is where others are.
	Names     Names
	Directory Directory[A]

	table    table[A]
	arrivals arrivals[A]
	peers    peers[A]
	count    counters

	mtu  atomic.Int64
	down atomic.Bool

	stalledMu sync.Mutex
	stalled   map[*Endpoint[A]]struct{} // took fewer in Send
	closed    bool
}

// New makes a Shim. Its goroutines and timers are those of cfg.Env.
func New[A comparable](cfg Config[A]) *Shim[A] {
	if cfg.Origin == nil {
		cfg.Origin = func(a A) A { return a }
	}
	s := &Shim[A]{cfg: cfg, env: cfg.Env, log: cfg.Env.Log, edge: cfg.Edge, stalled: make(map[*Endpoint[A]]struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.table.init(cfg.Own, cfg.Limit, max(2*cfg.MPL, leastRest))
	s.arrivals.init()
	s.peers.init()
	s.mtu.Store(int64(cfg.MTU))
	return s
}

// Endpoint gives the open endpoint with a number; nil, and a counter, when
// there is none. It neither locks nor allocates.
func (s *Shim[A]) Endpoint(id uint32) *Endpoint[A] {
	e := s.table.get(id)
	if e == nil {
		s.count.unknown.Add(1)
	}
	return e
}

// Knows reports whether a peer has shown to be of our own kind.
func (s *Shim[A]) Knows(a A) bool { return s.peers.knows(a) }

// meet notes of which kind a peer with an endpoint is.
func (s *Shim[A]) meet(a A, endpoint uint32) {
	if s.cfg.Foreign.Hi > 0 && !s.cfg.Foreign.has(endpoint) {
		s.peers.learn(a)
	}
}

// Each calls f for every open endpoint.
func (s *Shim[A]) Each(f func(e *Endpoint[A])) {
	for _, e := range s.table.all() {
		f(e)
	}
}

// Message takes a management message that came from a peer. It does not block.
func (s *Shim[A]) Message(from A, m *Message) {
	switch m.Code {
	case FlowReq:
		s.request(from, m)
	case FlowReply:
		s.reply(from, m)
	case Probe:
		s.probe(from, m)
	case ProbeAnswer:
		s.probeAnswer(from, m)
	default:
		s.Malformed()
	}
}

// Malformed counts something that an edge could not decode.
func (s *Shim[A]) Malformed() { s.count.malformed.Add(1) }

// Writable says that the edge takes packets again.
func (s *Shim[A]) Writable() {
	s.stalledMu.Lock()
	if len(s.stalled) == 0 {
		s.stalledMu.Unlock()
		return
	}
	stalled := s.stalled
	s.stalled = make(map[*Endpoint[A]]struct{})
	s.stalledMu.Unlock()
	for e := range stalled {
		e.in.Event(flow.EventWritable)
	}
}

// stall remembers that e waits for Writable.
func (s *Shim[A]) stall(e *Endpoint[A]) {
	s.stalledMu.Lock()
	if !s.closed {
		s.stalled[e] = struct{}{}
	}
	s.stalledMu.Unlock()
}

func (s *Shim[A]) unstall(e *Endpoint[A]) {
	s.stalledMu.Lock()
	delete(s.stalled, e)
	s.stalledMu.Unlock()
}

// MTU is the longest payload in bytes.
func (s *Shim[A]) MTU() int { return int(s.mtu.Load()) }

// SetMTU changes the longest payload and tells the users of all flows.
func (s *Shim[A]) SetMTU(n int) {
	if int(s.mtu.Swap(int64(n))) == n {
		return
	}
	s.Each(func(e *Endpoint[A]) { e.in.Event(flow.EventMTU) })
}

// SetDown says that the edge cannot carry packets now, or can again. The users
// of all flows hear of a change; while it is down what they send is dropped.
func (s *Shim[A]) SetDown(down bool) {
	if s.down.Swap(down) != down {
		s.Each(func(e *Endpoint[A]) { e.setDown(s.down.Load()) })
	}
}

// Down reports what SetDown said last.
func (s *Shim[A]) Down() bool { return s.down.Load() }

// Close ends all flows towards their users, and all attempts, and refuses the
// requests of peers that are not decided. The context of the Env has ended; the
// edge can still send, and need not any more after it.
func (s *Shim[A]) Close() {
	s.stalledMu.Lock()
	s.closed = true
	s.stalled = nil
	s.stalledMu.Unlock()
	for _, e := range s.table.close() {
		e.abandon(errno.New(errno.IPCP, "the IPCP is being destroyed"))
		e.in.End(flow.EventDealloc)
	}
	s.arrivals.close()
}
