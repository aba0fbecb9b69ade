// Package dt is the data transfer of one member of a unicast layer: it sends
// what starts here, forwards what passes, and delivers what arrives.
//
//	flow allocator (EID 0, flows)   directory (EID 1)
//	        │ Send   ▲ Register, RegisterFlows
//	   ┌────▼────────┴───────────────────────────┐
//	   │ Engine     table: address ─► ports      │◄── Install (routing)
//	   └────┬────────▲─────────┬────────▲────────┘
//	        ▼ Send   │ Receive ▼        │
//	      Port ── N-1 flow   Port ── N-1 flow      one for each data transfer
//	      to a neighbour     to another            connection
//
// # Data path
//
// A batch that arrives on a port is sorted into one slice for each endpoint here
// and for each port that it leaves by, and each slice is passed on with one
// call. The table is an immutable snapshot; a port's state is one atomic word
// that is looked at for every choice, so the packet after the event of a lost
// carrier already takes the alternate.
//
// Who writes here waits when the first hop is full (Stall); what passes through
// never does: it is marked, then dropped and counted.
//
// # Choice of the port
//
// The hops of a route are tried in their order: the primary and its alternates.
// With Spread a hash of destination and endpoint says where to begin, so all
// packets of a flow take one of several equal paths. Of several connections with
// the same neighbour the newest that is up is taken. A packet is not sent back
// to the neighbour that it came from: that happens only while tables disagree,
// and would only end with its TTL.
package dt

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
)

// maxLevel is the highest congestion level of one hop.
const maxLevel = 63

// levelShift makes a congestion level of a number of waiting packets.
const levelShift = 4

// Config says what an Engine is.
type Config struct {
	Own    wire.Addr
	MaxTTL uint8
	Mark   bool // write congestion levels into packets
	Spread bool // use all hops of a route, each flow one of them
	Log    *slog.Logger
}

// Hops is the way to a destination: neighbours in the order in which they are
// tried, and the longest packet in bytes, header included, that the whole path
// is known to carry; 0 = not known.
type Hops struct {
	Next []wire.Addr
	MTU  int
}

// Waiter is told when Send may take packets again. Writable is called on any
// goroutine and must not block.
type Waiter interface{ Writable() }

// Engine sends, forwards and delivers the packets of one member. Its methods
// may be called from any goroutine.
type Engine struct {
	cfg   Config
	table atomic.Pointer[table]
	local receivers
	count counters

	mu       sync.Mutex
	ports    []*Port // newest first
	routes   map[wire.Addr]Hops
	changed  []func()
	lastPort int
}

// table is what the data path looks at.
type table struct{ to map[wire.Addr]*route }

// route is the way to one destination. Ports of one hop stand together.
type route struct {
	hops  [][]*Port
	mtu   int
	start uint32 // hash of the destination
}

// receivers are those who get what arrives for this member.
type receivers struct {
	component [wire.EIDDirectory + 1]atomic.Pointer[func([]*packet.Buffer)]
	flows     atomic.Pointer[func(uint64, []*packet.Buffer)]
}

// New makes an engine without ports and routes.
func New(c Config) *Engine {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: c}
	e.table.Store(&table{})
	return e
}

// Own is the address of this member.
func (e *Engine) Own() wire.Addr { return e.cfg.Own }

// Register sets who receives for a component, the flow allocator or the
// directory. The header still stands in front of each packet; the receiver owns
// the packets, not the slice. Calls may overlap, one for each port.
func (e *Engine) Register(eid uint64, receive func(batch []*packet.Buffer)) {
	e.local.component[eid].Store(&receive)
}

// RegisterFlows does the same for all flows. All packets of one call are for
// the same endpoint.
func (e *Engine) RegisterFlows(receive func(eid uint64, batch []*packet.Buffer)) {
	e.local.flows.Store(&receive)
}

// OnChange adds a function that is called when routes, their MTU, or the state
// of a port have changed. It must be quick and not call the engine's methods
// that change something.
func (e *Engine) OnChange(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = append(slices.Clip(e.changed), f)
}

// Install replaces the routes. The map belongs to the engine from then on.
func (e *Engine) Install(routes map[wire.Addr]Hops) {
	e.mu.Lock()
	e.routes = routes
	e.rebuild()
	e.mu.Unlock()
	e.tell()
}

// rebuild makes the table from routes and ports. e.mu is held.
func (e *Engine) rebuild() {
	byNeighbour := make(map[wire.Addr][]*Port)
	for _, p := range e.ports {
		byNeighbour[p.peer] = append(byNeighbour[p.peer], p)
	}
	t := &table{to: make(map[wire.Addr]*route, len(e.routes))}
	for dst, hops := range e.routes {
		r := &route{mtu: hops.MTU, start: uint32(mix(uint64(dst)))}
		for _, next := range hops.Next {
			ports := byNeighbour[next]
			if len(ports) == 0 {
				continue
			}
			r.hops = append(r.hops, ports)
			if n := ports[0].mtu(); r.mtu == 0 || n < r.mtu {
				r.mtu = n
			}
		}
		if len(r.hops) > 0 {
			t.to[dst] = r
		}
	}
	e.table.Store(t)
}

// tell says that something changed, and wakes who waits: the way may be another.
func (e *Engine) tell() {
	e.mu.Lock()
	ports, changed := slices.Clone(e.ports), e.changed
	e.mu.Unlock()
	for _, p := range ports {
		p.wake()
	}
	for _, f := range changed {
		f()
	}
}

// mix spreads the bits of x.
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>32
}

// choose gives the port for a packet of a flow; nil when none is up.
func (e *Engine) choose(r *route, eid uint64) *Port {
	first := 0
	if e.cfg.Spread && len(r.hops) > 1 {
		first = int((r.start ^ uint32(mix(eid))) % uint32(len(r.hops)))
	}
	for i := range r.hops {
		k := first + i
		if k >= len(r.hops) {
			k -= len(r.hops)
		}
		for _, p := range r.hops[k] {
			if p.up.Load() {
				return p
			}
		}
	}
	return nil
}

// Send passes payloads to an endpoint of dst and says how many it took, from
// the front. Without a route all are taken, dropped and counted. When it takes
// fewer, the first hop is full: the caller calls Stall, tries once more, and is
// told by Writable when it may go on.
func (e *Engine) Send(dst wire.Addr, cube uint8, eid uint64, batch []*packet.Buffer) (taken int) {
	if len(batch) == 0 {
		return 0
	}
	var p *Port
	if r := e.table.Load().to[dst]; r != nil {
		p = e.choose(r, eid)
	}
	if p == nil {
		e.count.noRouteLocal.Add(uint64(len(batch)))
		packet.ReleaseAll(batch)
		return len(batch)
	}
	h := wire.Header{Dst: dst, QoS: cube, TTL: e.cfg.MaxTTL, EID: eid}
	if e.cfg.Mark {
		h.ECN = p.level(len(batch))
	}
	bytes := 0
	for _, b := range batch {
		h.Put(b.Prepend(wire.HeaderLen))
		bytes += b.Len()
	}
	taken = p.flow.Send(batch)
	for _, b := range batch[taken:] {
		bytes -= b.Len()
		b.TrimHead(wire.HeaderLen)
	}
	c := &p.cubes[cubeOf(cube)]
	c.localOut.add(taken, bytes)
	return taken
}

// Stall notes that w waits for room on the way to dst.
func (e *Engine) Stall(dst wire.Addr, w Waiter) {
	r := e.table.Load().to[dst]
	if r == nil {
		return // what is sent now is dropped, not refused
	}
	for _, hop := range r.hops {
		for _, p := range hop {
			p.await(w)
		}
	}
}

// Unstall forgets that w waits.
func (e *Engine) Unstall(w Waiter) {
	e.mu.Lock()
	ports := slices.Clone(e.ports)
	e.mu.Unlock()
	for _, p := range ports {
		p.forget(w)
	}
}

// MTU is the longest payload towards dst in bytes; 0 = there is no route.
func (e *Engine) MTU(dst wire.Addr) int {
	r := e.table.Load().to[dst]
	if r == nil {
		return 0
	}
	return max(r.mtu-wire.HeaderLen, 0)
}

// QueueLen is the number of packets that wait at the first hop to dst.
func (e *Engine) QueueLen(dst wire.Addr) int {
	if r := e.table.Load().to[dst]; r != nil {
		if p := e.choose(r, 0); p != nil {
			return p.flow.QueueLen()
		}
	}
	return 0
}

// HasRoute reports whether a packet to dst would leave.
func (e *Engine) HasRoute(dst wire.Addr) bool {
	r := e.table.Load().to[dst]
	return r != nil && e.choose(r, 0) != nil
}
