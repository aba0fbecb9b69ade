// Package spantree decides over which of their connections the members of a
// broadcast layer forward, so that no packet goes round however they are
// connected. It is a machine: messages, time and links in, messages and the
// state of ports out. It has no goroutine, no clock and no lock.
//
//	         Add Remove SetDown    Receive    Tick
//	               ▼                  ▼         ▼
//	┌──────────────────────── Machine ────────────────────────┐
//	│ root, seq, hops, parent     feasible distances    ports │
//	└───────────────────────────────┬─────────────────────────┘
//	       Port.Forwards            ▼ Send
//
// # The tree
//
// Each member has an id; the lowest that a member hears of is its root. It has
// one parent at most, a neighbour that is nearer to the root, and tells each
// neighbour all it knows in one message, a State. A connection forwards where
// one side is the parent of the other and both know:
//
//	child                                 parent
//	  │ ◄─────── State: root, seq, hops, epoch 7 │
//	  │ chooses it, forwards                     │
//	  │── State: you are my parent, joined 7 ──► │ forwards, while its epoch is 7
//
// A connection between two members of one tree is not used until it is needed:
// closing a loop disturbs nothing, however short the new way would be.
//
// # Why nothing goes round
//
// Connections that forward lead from children to parents, and nobody has two
// parents, so a circle could only be one of parents. A member takes as a parent
// only who is nearer to the root than the member itself has ever said it was,
// which is its feasible distance. Along a circle these distances would fall all
// the way round. Distances count only within one root: when a member changes
// its root its epoch rises, and it forwards to no child before that has heard
// of it. So this holds at every moment, whatever is lost or late, and there is
// no time to wait before a port may forward.
//
// A member that has lost its parent may be farther from the root than it ever
// was, by the only way there is. It then asks for news: the request travels to
// the root, whose Seq rises, and what is newer may be farther. Meanwhile it and
// those below it stay a tree, detached. When no news come within a second there
// is no root any more, and they choose another one.
package spantree

import (
	"time"

	"ouroboros/internal/wire/tree"
)

// Times and bounds of the protocol.
const (
	Hello  = time.Second     // between messages when nothing changes
	MaxAge = 6 * time.Second // without a message: the neighbour is gone

	firstRepeat = 100 * time.Millisecond // of a message that is not acknowledged; doubles
	search      = time.Second            // for news of a root
	askAgain    = 250 * time.Millisecond // between requests for news
	newsPause   = 50 * time.Millisecond  // least between two news of a root

	MaxHops     = 1024
	requestHops = 1024

	roots      = 64               // whose distances are remembered
	rootMemory = 10 * time.Minute // how long

	// A neighbour that makes this member change its root more often than flaps
	// times in flapTime is not believed for a while, which doubles.
	flaps      = 256
	flapTime   = time.Minute
	firstDoubt = 30 * time.Second
	mostDoubt  = 30 * time.Minute
)

// Machine is the part of one member.
type Machine struct {
	own    uint64
	ownSeq uint64
	newest time.Time // of ownSeq

	root     uint64
	seq      uint64
	hops     uint16
	epoch    uint32
	parent   *Port     // nil: this is the root, or it searches
	attached bool      // there is a way to the root
	since    time.Time // of not attached

	ports []*Port
	dist  map[uint64]*distance
	out   []Sent

	Counters
}

// Counters are what happened since the Machine was made.
type Counters struct {
	Roots, Parents   uint64 // changes
	Searches, Failed uint64 // for news of a root, and those without success
	News, Requests   uint64 // made as the root; asked for by this member
	Foreign, Refused uint64 // messages of another than the neighbour; requests that no honest one sends
	Doubted          uint64 // neighbours that changed the root too often
}

// distance is the least that this member has said of its way to a root.
type distance struct {
	seq  uint64
	hops uint16
	used time.Time
}

// nearer reports whether news seq from a place hops away are from nearer than d.
func (d *distance) nearer(seq uint64, hops uint16) bool {
	return d == nil || seq > d.seq || seq == d.seq && hops < d.hops
}

// Sent is a message to be sent on a port. It may be lost.
type Sent struct {
	Port    *Port
	Message tree.Message
}

// New makes the Machine of a member, its id not 0. It is its own root at first.
func New(own uint64) *Machine {
	return &Machine{own: own, root: own, epoch: 1, attached: true, dist: make(map[uint64]*distance)}
}

// Root, Hops and Attached describe the member; Epoch rises when the root
// changes. Parent is nil when it has none.
func (m *Machine) Root() uint64   { return m.root }
func (m *Machine) Hops() int      { return int(m.hops) }
func (m *Machine) Attached() bool { return m.attached }
func (m *Machine) Epoch() uint32  { return m.epoch }
func (m *Machine) Parent() *Port  { return m.parent }

// Add makes the port of a connection to another member. It forwards nothing
// until both have agreed.
func (m *Machine) Add(now time.Time, peer uint64) *Port {
	p := &Port{m: m, peer: peer, heardAt: now, due: now}
	m.ports = append(m.ports, p)
	m.settle(now)
	return p
}

// Remove forgets a port.
func (m *Machine) Remove(now time.Time, p *Port) {
	for i, o := range m.ports {
		if o == p {
			m.ports = append(m.ports[:i:i], m.ports[i+1:]...)
			p.removed = true
			m.settle(now)
			return
		}
	}
}

// SetDown says that the connection of a port carries nothing now, or does again.
func (m *Machine) SetDown(now time.Time, p *Port, down bool) {
	if p.removed || p.down == down {
		return
	}
	p.down = down
	m.settle(now)
}

// Receive takes a State or a Request that came on a port.
func (m *Machine) Receive(now time.Time, p *Port, msg tree.Message) {
	if p.removed {
		return
	}
	if msg.Sender != p.peer {
		m.Foreign++
		return
	}
	switch msg.Kind {
	case tree.State:
		if !p.hear(now, msg) {
			return
		}
	case tree.Request:
		m.asked(now, p, msg)
	}
	m.settle(now)
}

// Tick does what time demands. It gives the ports that were silent for too
// long: they do not forward, and the caller removes them.
func (m *Machine) Tick(now time.Time) (silent []*Port) {
	for _, p := range m.ports {
		if now.Sub(p.heardAt) >= MaxAge {
			p.silent = true
			silent = append(silent, p)
		}
	}
	for root, d := range m.dist {
		if root != m.root && now.Sub(d.used) >= rootMemory {
			delete(m.dist, root)
		}
	}
	m.settle(now)
	return silent
}

// Next is when Tick is due.
func (m *Machine) Next(now time.Time) time.Time {
	next := now.Add(Hello)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for _, p := range m.ports {
		sooner(p.due)
		sooner(p.heardAt.Add(MaxAge))
		if p.wanted {
			sooner(p.askAt)
		}
		if p.doubted(now) {
			sooner(p.doubtEnd)
		}
	}
	if !m.attached {
		sooner(m.searchEnd())
	}
	return next
}

// Send gives the messages that are due since the last call, and is called after
// each of the other methods.
func (m *Machine) Send(now time.Time) []Sent {
	for _, p := range m.ports {
		if !now.Before(p.due) {
			m.out = append(m.out, Sent{p, p.message(now)})
		}
	}
	out := m.out
	m.out = nil
	return out
}

// settle decides, asks for what is needed, and notes what neighbours must know.
func (m *Machine) settle(now time.Time) {
	m.decide(now)
	m.ask(now)
	for _, p := range m.ports {
		p.refresh(now)
	}
}
