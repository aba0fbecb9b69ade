package linkstate

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/unicast/linkstate/graph"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
	"ouroboros/irm"
)

// cMember is a model of a member of the C implementation: numbers from 0, no
// withdrawal, whatever comes is believed, and routes that stay when a link ages
// out and over a connection that another has replaced.
type cMember struct {
	t       *testing.T
	own     wire.Addr
	foreign func(wire.Addr) bool // whether a neighbour is of our kind
	stop    chan struct{}
	ended   sync.WaitGroup
	solver  graph.Solver

	mu       sync.Mutex
	db       map[link]*cEntry
	peers    []*cPeer
	dt       map[wire.Addr]bool
	born     map[pair]uint64
	last     uint64
	modified bool
	table    map[wire.Addr]graph.Hops
	newest   map[wire.Addr]int // number of the newest connection to a neighbour
	uses     map[wire.Addr]int // that the table leads to
}

type cEntry struct {
	seq   uint64
	stamp time.Time
}

type cPeer struct {
	c     *cMember
	addr  wire.Addr
	f     flow.Flow
	since time.Time
}

const (
	cRecalc  = 4 * time.Second
	cUpdate  = 15 * time.Second
	cTimeout = 60 * time.Second
)

// addC makes a model a member of the layer.
func (l *layer) addC(t *testing.T, own wire.Addr) *cMember {
	c := &cMember{
		t: t, own: own, stop: make(chan struct{}), db: make(map[link]*cEntry), dt: make(map[wire.Addr]bool),
		born: make(map[pair]uint64), newest: make(map[wire.Addr]int),
		foreign: func(a wire.Addr) bool {
			_, ours := l.parties[a].(*member)
			return ours
		},
	}
	l.parties[own] = c
	every := func(d time.Duration, f func()) {
		c.ended.Go(func() {
			tick := time.NewTicker(d)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					f()
				case <-c.stop:
					return
				}
			}
		})
	}
	// Members do not start at the same time.
	c.ended.Go(func() {
		select {
		case <-time.After(time.Duration(rand.IntN(int(cUpdate)))):
			every(cUpdate, c.update)
			every(cRecalc, c.recalculate)
		case <-c.stop:
		}
	})
	t.Cleanup(func() { close(c.stop); c.ended.Wait() })
	return c
}

func (c *cMember) address() wire.Addr { return c.own }

func (c *cMember) next(dst wire.Addr) (next []wire.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.table[dst].Next {
		if c.dt[n] && c.uses[n] == c.newest[n] {
			next = append(next, n)
		}
	}
	return next
}

// order is a packet to be sent once the lock is free.
type order struct {
	p *cPeer
	u lsa.Update
}

func (c *cMember) toAll(os []order, u lsa.Update, but *cPeer) []order {
	for _, p := range c.peers {
		if p != but {
			os = append(os, order{p, u})
		}
	}
	return os
}

func send(os []order) {
	for _, o := range os {
		b := packet.Get(lsa.Size)
		o.u.Put(b.Bytes())
		flow.SendOrDrop(o.p.f, []*packet.Buffer{b})
	}
}

func (c *cMember) attach(f flow.Flow, peer wire.Addr) {
	p := &cPeer{c: c, addr: peer, f: f, since: time.Now()}
	c.mu.Lock()
	c.peers = append(c.peers, p)
	var os []order
	for k, e := range c.db {
		os = append(os, order{p, lsa.Update{Src: k.src, Dst: k.dst, Seq: lsa.Seq(e.seq)}})
	}
	slices.SortFunc(os, func(a, b order) int { return cmp.Or(cmp.Compare(a.u.Dst, b.u.Dst), cmp.Compare(a.u.Src, b.u.Src)) })
	c.mu.Unlock()
	f.Attach(p)
	// The other end attaches itself after this.
	time.AfterFunc(time.Millisecond, func() { send(os) })
}

func (p *cPeer) Event(e flow.Event) {
	if e != flow.EventDealloc {
		return
	}
	c := p.c
	c.mu.Lock()
	c.peers = slices.DeleteFunc(c.peers, func(o *cPeer) bool { return o == p })
	c.mu.Unlock()
	p.f.Dealloc()
}

func (p *cPeer) Receive(batch []*packet.Buffer) int {
	c := p.c
	var os []order
	c.mu.Lock()
	for _, b := range batch {
		if d := time.Since(p.since); d < firstPause && c.foreign(p.addr) {
			c.t.Errorf("%v has sent an update after %v: the reader of %v is out of step", p.addr, d, c.own)
		}
		if u, ok := lsa.Parse(b.Bytes()); ok {
			os = append(os, c.accept(p, u)...)
		}
		b.Release()
	}
	c.mu.Unlock()
	send(os)
	return len(batch)
}

func (c *cMember) accept(p *cPeer, u lsa.Update) (os []order) {
	e := c.db[link{u.Src, u.Dst}]
	switch {
	case e == nil:
		c.insert(link{u.Src, u.Dst}, uint64(u.Seq))
	case uint64(u.Seq) > e.seq:
		e.seq, e.stamp = uint64(u.Seq), time.Now()
	default:
		return nil
	}
	return c.toAll(nil, u, p)
}

func (c *cMember) insert(k link, seq uint64) {
	if c.db[k] != nil {
		return
	}
	c.db[k] = &cEntry{seq, time.Now()}
	if c.db[link{k.dst, k.src}] == nil {
		c.last++
		c.born[pairOf(k.src, k.dst)] = c.last
	}
	c.modified = true
	c.compute()
}

func (c *cMember) Up(nb wire.Addr, _ int) {
	c.mu.Lock()
	os := c.toAll(nil, lsa.Update{Src: c.own, Dst: nb}, nil)
	c.dt[nb] = true
	c.newest[nb]++
	c.insert(link{c.own, nb}, 0)
	c.mu.Unlock()
	send(os)
}

func (c *cMember) Down(nb wire.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dt, nb)
	delete(c.db, link{c.own, nb})
	c.modified = true
}

func (c *cMember) update() {
	var os []order
	c.mu.Lock()
	for k, e := range c.db {
		if time.Since(e.stamp) > cTimeout {
			delete(c.db, k)
			continue
		}
		if k.src == c.own {
			e.seq++
			e.stamp = time.Now()
			os = c.toAll(os, lsa.Update{Src: k.src, Dst: k.dst, Seq: lsa.Seq(e.seq)}, nil)
		}
	}
	c.mu.Unlock()
	send(os)
}

func (c *cMember) recalculate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.modified {
		c.modified = false
		c.compute()
	}
}

func (c *cMember) compute() {
	var edges []graph.Edge
	for k := range c.db {
		if k.src < k.dst && c.db[link{k.dst, k.src}] != nil {
			edges = append(edges, graph.Edge{A: k.src, B: k.dst, Born: c.born[pairOf(k.src, k.dst)]})
		}
	}
	if len(c.db) > 0 {
		c.table = c.solver.Routes(c.own, irm.LinkState, edges)
		c.uses = maps.Clone(c.newest)
	}
}

// mixed is a layer of which some are members of the C implementation.
func mixed(t *testing.T, ps []pair, c func(wire.Addr) bool) *layer {
	l := newLayer(t)
	for _, p := range ps {
		for _, a := range p {
			switch {
			case l.parties[a] != nil:
			case c(a):
				l.addC(t, a)
			default:
				l.add(a)
			}
		}
		l.connect(p[0], p[1])
		pause(200 * time.Millisecond)
	}
	return l
}

func TestMembersOfBothKindsRouteTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for name, ps := range map[string][]pair{"line": line(6), "grid": grid(4, 4), "scattered": scattered(r, 24, 16)} {
		for kind, c := range map[string]func(wire.Addr) bool{
			"every other": func(a wire.Addr) bool { return a%2 == 0 },
			"two":         func(a wire.Addr) bool { return a == 2 || a == 3 },
			"all but two": func(a wire.Addr) bool { return a != 2 && a != 5 },
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := mixed(t, ps, c)
					defer l.close()
					pause(5 * time.Second)
					l.check("at first")
					pause(10 * time.Minute)
					l.check("after ten minutes")
					l.sameLinks("after ten minutes")
					for i := range 4 {
						k := ps[i*5%len(ps)]
						l.cut(k[0], k[1], i%2 == 0)
						pause(2 * time.Minute)
						l.sameLinks("after a cut")
						l.check("after a cut")
						for a, p := range l.parties {
							if m, ours := p.(*member); ours && (len(m.Members()) != len(l.distances(a))-1) {
								t.Errorf("after a cut %v reaches %d, not %d", a, len(m.Members()), len(l.distances(a))-1)
							}
						}
						l.connect(k[0], k[1])
						pause(20 * time.Second)
						l.check("after a repair")
					}
				})
			})
		}
	}
}

// A member of the C implementation begins again at 0 when a link comes back.
// Others hold a higher number for a minute: it gets that one back and goes on
// from there, once it has entered the link.
func TestALinkThatBeginsAgainAtZeroIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mixed(t, line(5), func(a wire.Addr) bool { return a == 3 || a == 4 })
		defer l.close()
		pause(5 * time.Minute)
		l.cut(3, 4, false)
		pause(10 * time.Second)
		l.connect(3, 4)
		m := l.parties[1].(*member)
		for range 200 {
			pause(time.Second)
			if m.next(5) == nil {
				t.Fatalf("the link is away: %v, %v", m.shown(3, 4), m.shown(4, 3))
			}
		}
		l.check("in the end")
	})
}

// What is forged for a link of the C implementation lasts until its next refresh.
func TestAForgedWithdrawalOfALinkOfAnotherKindLastsForARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mixed(t, line(5), func(a wire.Addr) bool { return a == 3 || a == 4 })
		defer l.close()
		pause(20 * time.Second)
		m := l.parties[1].(*member)
		evil := ready(t, m, 99)
		evil.send(lsaWithdrawal(3, 4, 12345))
		pause(cUpdate + time.Second)
		for range 300 {
			if pause(time.Second); m.next(5) == nil {
				t.Fatalf("the link is away: %v", m.shown(3, 4))
			}
		}
	})
}

func lsaWithdrawal(src, dst wire.Addr, counter uint32) lsa.Update {
	return lsa.Update{Src: src, Dst: dst, Seq: lsa.Make(counter, 0, true)}
}
