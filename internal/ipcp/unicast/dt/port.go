package dt

import (
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
)

// Port is the N-1 flow of a data transfer connection. It is the flow's Handler.
type Port struct {
	e      *Engine
	id     int
	peer   wire.Addr // the neighbour
	flow   flow.Flow
	since  time.Time
	up     atomic.Bool
	report func(flow.Event) // tells who made the port; may be nil

	longest atomic.Int64 // MTU of the flow
	groups  []group      // of the batch that is being received
	cubes   [cubes]cubeCounters
	count   portCounters

	sampled atomic.Uint32 // congestion level of the last look, and how old it is

	mu      sync.Mutex
	waiting map[Waiter]struct{}
	gone    bool
}

// group is a part of a batch that goes the same way.
type group struct {
	out   *Port // nil: to an endpoint of this member
	eid   uint64
	batch []*packet.Buffer
}

// AddPort makes a port of a flow to a neighbour. The caller attaches it to the
// flow, hears of the flow's events through report, and removes it at the end.
func (e *Engine) AddPort(peer wire.Addr, f flow.Flow, report func(flow.Event)) *Port {
	p := &Port{e: e, peer: peer, flow: f, since: time.Now(), report: report, waiting: make(map[Waiter]struct{})}
	p.longest.Store(int64(f.MTU()))
	p.up.Store(true)
	e.mu.Lock()
	e.lastPort++
	p.id = e.lastPort
	e.ports = append([]*Port{p}, e.ports...)
	e.rebuild()
	e.mu.Unlock()
	e.tell()
	return p
}

// Remove takes the port out of use. The flow is left to the caller.
func (p *Port) Remove() {
	e := p.e
	p.up.Store(false)
	e.mu.Lock()
	left := make([]*Port, 0, len(e.ports))
	for _, o := range e.ports {
		if o != p {
			left = append(left, o)
		}
	}
	e.ports = left
	e.rebuild()
	e.mu.Unlock()
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.wake()
	e.tell()
}

// Peer is the address of the neighbour, Up whether the flow carries packets,
// MTU the longest packet with its header that it carries.
func (p *Port) Peer() wire.Addr { return p.peer }
func (p *Port) Up() bool        { return p.up.Load() }
func (p *Port) MTU() int        { return p.mtu() }

func (p *Port) mtu() int { return int(p.longest.Load()) }

// resample is how many packets pass between two looks at an empty queue.
const resample = 4

// level is the congestion of the port before n packets are sent. A look at the
// queue goes down through all layers, so an empty one is looked at less often.
func (p *Port) level(n int) uint8 {
	s := p.sampled.Load()
	level, age := uint8(s), s>>8
	if level == 0 && age+uint32(n) < resample {
		p.sampled.Store((age + uint32(n)) << 8)
		return 0
	}
	level = uint8(min(p.flow.QueueLen()>>levelShift, maxLevel))
	p.sampled.Store(uint32(level))
	return level
}

// await adds who waits for room.
func (p *Port) await(w Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		p.waiting[w] = struct{}{}
	}
}

func (p *Port) forget(w Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, w)
}

// wake tells all who wait that there may be room.
func (p *Port) wake() {
	p.mu.Lock()
	waiting := p.waiting
	if len(waiting) == 0 {
		p.mu.Unlock()
		return
	}
	p.waiting = make(map[Waiter]struct{})
	p.mu.Unlock()
	for w := range waiting {
		w.Writable()
	}
}

// Event implements flow.Handler.
func (p *Port) Event(ev flow.Event) {
	switch ev {
	case flow.EventWritable:
		p.wake()
		return
	case flow.EventDown, flow.EventStalled, flow.EventDealloc, flow.EventPeer:
		// The state changes first: the next packet takes another way.
		if p.up.Swap(false) {
			p.count.downs.Add(1)
			p.e.tell()
		}
	case flow.EventUp, flow.EventMoving:
		if !p.up.Swap(true) {
			p.e.tell()
		}
	case flow.EventMTU:
		if n := int64(p.flow.MTU()); p.longest.Swap(n) != n {
			p.e.mu.Lock()
			p.e.rebuild()
			p.e.mu.Unlock()
			p.e.tell()
		}
	}
	if p.report != nil {
		p.report(ev)
	}
}
