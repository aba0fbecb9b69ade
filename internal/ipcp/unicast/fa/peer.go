package fa

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	wire "ouroboros/internal/wire/dt"
)

// outage is how long a route is gone before the users of flows are told: while
// routes change, one may be missing for a moment.
const outage = 300 * time.Millisecond

// routeWait is how long a message waits for a route to where it goes: that of a
// member that has just joined may not be known yet.
const routeWait = time.Second

// peer is a member at the other end of flows.
type peer struct {
	addr wire.Addr
	mtu  atomic.Int64 // longest payload in bytes, as last known; 0 = never
	up   atomic.Bool  // there is a route

	mu    sync.Mutex
	since time.Time // there is no route; zero while there is one

	flows map[*Flow]struct{} // by peers.mu
}

// refresh asks the network. The lock orders questions, so that an old answer
// does not replace a newer one.
func (p *peer) refresh(n Network) {
	p.mu.Lock()
	defer p.mu.Unlock()
	up := n.HasRoute(p.addr)
	if mtu := n.MTU(p.addr); mtu > 0 {
		p.mtu.Store(int64(mtu))
	}
	p.up.Store(up)
	switch {
	case up:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = time.Now()
	}
}

// down is for how long there has been no route; 0 when there is one.
func (p *peer) down() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return 0
	}
	return max(time.Since(p.since), 1)
}

// peers are the members that flows go to, and what is known of the ways there.
type peers struct {
	a     *Allocator
	looks atomic.Int64 // asked for since the looking goroutine began; 0 = there is none

	mu    sync.Mutex
	of    map[wire.Addr]*peer
	news  chan struct{} // closed at the next look
	timer *time.Timer   // looks again when an outage is long enough
}

func (ps *peers) init(a *Allocator) {
	ps.a, ps.of, ps.news = a, make(map[wire.Addr]*peer), make(chan struct{})
}

// join enters a flow to a member.
func (ps *peers) join(f *Flow, addr wire.Addr) {
	ps.mu.Lock()
	p := ps.of[addr]
	if p == nil {
		p = &peer{addr: addr, flows: make(map[*Flow]struct{})}
		ps.of[addr] = p
	}
	f.peer = p
	p.flows[f] = struct{}{}
	ps.mu.Unlock()
	p.refresh(ps.a.net)
	f.mtu.Store(p.mtu.Load())
	if !p.up.Load() {
		ps.look()
	}
}

// part takes a flow out, and its member when that was the last.
func (ps *peers) part(f *Flow) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := f.peer
	delete(p.flows, f)
	if len(p.flows) == 0 && ps.of[p.addr] == p {
		delete(ps.of, p.addr)
	}
}

// look has the ways looked at, on a goroutine of its own: what is told to users
// is told by one at a time.
func (ps *peers) look() {
	if ps.looks.Add(1) > 1 {
		return
	}
	ps.a.cfg.Go(func() {
		for {
			seen := ps.looks.Load()
			ps.lookOnce()
			if ps.looks.CompareAndSwap(seen, 0) {
				return
			}
		}
	})
}

func (ps *peers) lookOnce() {
	ps.mu.Lock()
	close(ps.news)
	ps.news = make(chan struct{})
	all := make([]*peer, 0, len(ps.of))
	for _, p := range ps.of {
		all = append(all, p)
	}
	ps.mu.Unlock()
	var next time.Duration
	var flows []*Flow
	for _, p := range all {
		p.refresh(ps.a.net)
		down := p.down()
		if down > 0 && down < outage && (next == 0 || outage-down < next) {
			next = outage - down
		}
		ps.mu.Lock()
		flows = flows[:0]
		for f := range p.flows {
			flows = append(flows, f)
		}
		ps.mu.Unlock()
		for _, f := range flows {
			f.tell(down)
		}
	}
	if next > 0 {
		ps.again(next)
	}
}

// again looks once more in a while.
func (ps *peers) again(d time.Duration) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.timer == nil {
		ps.timer = ps.a.cfg.AfterFunc(d, ps.look)
	} else {
		ps.timer.Reset(d)
	}
}

// stop ends the timer.
func (ps *peers) stop() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.timer != nil {
		ps.timer.Stop()
	}
}

// tell tells the user of a flow what has changed on the way. Calls do not
// overlap.
func (f *Flow) tell(down time.Duration) {
	if mtu := f.peer.mtu.Load(); f.mtu.Swap(mtu) != mtu {
		f.in.Event(flow.EventMTU)
	}
	switch {
	case down == 0 && f.down:
		f.down = false
		f.in.Event(flow.EventUp)
	case down >= outage && !f.down:
		f.down = true
		f.in.Event(flow.EventDown)
	}
}

// route waits until there is a route.
func (ps *peers) route(ctx context.Context, to wire.Addr) error {
	if ps.a.net.HasRoute(to) {
		return nil
	}
	late := time.NewTimer(routeWait)
	defer late.Stop()
	for {
		ps.mu.Lock()
		news := ps.news
		ps.mu.Unlock()
		if ps.a.net.HasRoute(to) {
			return nil
		}
		select {
		case <-news:
		case <-late.C:
			return errno.New(errno.IPCP, "there is no route to the member %v", to).
				Next("see that members between here and there are connected, for management and for data transfer")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ps.a.ctx.Done():
			return errClosed()
		}
	}
}

// len is the number of members that flows go to.
func (ps *peers) len() int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.of)
}
