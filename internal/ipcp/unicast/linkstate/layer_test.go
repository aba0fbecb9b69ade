package linkstate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

func wireAddr(i int) wire.Addr { return wire.Addr(i) }

// party is a member of a layer, ours or a model of another.
type party interface {
	address() wire.Addr
	attach(f flow.Flow, peer wire.Addr)
	Up(nb wire.Addr, mtu int)
	Down(nb wire.Addr)
	next(dst wire.Addr) []wire.Addr
}

func (m *member) address() wire.Addr { return m.cfg.Own }
func (m *member) attach(f flow.Flow, peer wire.Addr) {
	if _, err := m.connect(f, peer); err != nil {
		panic(err)
	}
}

// join connects two members with a Management connection.
func join(t testing.TB, a, b party) (fa, fb *flow.Pipe) {
	fa, fb = flow.NewPipe(flow.PipeOptions{})
	a.attach(fa, b.address())
	b.attach(fb, a.address())
	t.Cleanup(func() { fa.Dealloc(); fb.Dealloc() })
	return fa, fb
}

// cable joins two neighbours.
type cable struct {
	a, b   party
	fa, fb *flow.Pipe
	up     bool
}

type pair [2]wire.Addr

func pairOf(a, b wire.Addr) pair { return pair{min(a, b), max(a, b)} }

// layer is members and the cables between them.
type layer struct {
	t       testing.TB
	parties map[wire.Addr]party
	cables  map[pair]*cable
	lose    func() bool // whether a packet gets lost; nil = none does
}

func newLayer(t testing.TB) *layer {
	return &layer{t: t, parties: make(map[wire.Addr]party), cables: make(map[pair]*cable)}
}

// add makes a member of ours, of a policy.
func (l *layer) add(a wire.Addr, change ...func(*Config)) *member {
	m := newMember(l.t, a, change...)
	l.parties[a] = m
	return m
}

// lossy is a flow that loses packets.
type lossy struct {
	flow.Flow
	lose func() bool
}

func (f lossy) Send(batch []*packet.Buffer) int {
	for i, b := range batch {
		if f.lose() {
			b.Release()
		} else if f.Flow.Send(batch[i:i+1]) == 0 {
			return i
		}
	}
	return len(batch)
}

// connect makes two members neighbours: Management, then data transfer.
func (l *layer) connect(a, b wire.Addr) {
	k := pairOf(a, b)
	c := l.cables[k]
	if c == nil {
		c = &cable{a: l.parties[k[0]], b: l.parties[k[1]]}
		l.cables[k] = c
	}
	if c.up {
		return
	}
	c.up = true
	if c.fa == nil {
		c.fa, c.fb = flow.NewPipe(flow.PipeOptions{})
		var fa, fb flow.Flow = c.fa, c.fb
		if l.lose != nil {
			fa, fb = lossy{fa, l.lose}, lossy{fb, l.lose}
		}
		c.a.attach(fa, k[1])
		c.b.attach(fb, k[0])
	} else {
		c.fa.SetDown(false)
	}
	c.a.Up(k[1], 1496)
	c.b.Up(k[0], 1496)
	for i, p := range []party{c.a, c.b} {
		if m, ours := p.(*member); ours {
			m.Connected(k[1-i])
		}
	}
}

// cut ends what is between two members: their flows, or only what carries them.
func (l *layer) cut(a, b wire.Addr, carrier bool) {
	c := l.cables[pairOf(a, b)]
	if c == nil || !c.up {
		return
	}
	c.up = false
	c.a.Down(c.b.address())
	c.b.Down(c.a.address())
	if carrier {
		c.fa.SetDown(true)
		return
	}
	synctest.Wait()
	c.fa.End(flow.EventDealloc)
	c.fa, c.fb = nil, nil
}

func (l *layer) close() {
	for _, c := range l.cables {
		if c.fa != nil {
			c.fa.End(flow.EventDealloc)
		}
	}
}

// distances is the truth.
func (l *layer) distances(from wire.Addr) map[wire.Addr]int {
	dist, todo := map[wire.Addr]int{from: 0}, []wire.Addr{from}
	for len(todo) > 0 {
		u := todo[0]
		todo = todo[1:]
		for k, c := range l.cables {
			if !c.up || k[0] != u && k[1] != u {
				continue
			}
			v := k[0] + k[1] - u
			if _, known := dist[v]; !known {
				dist[v] = dist[u] + 1
				todo = append(todo, v)
			}
		}
	}
	return dist
}

// check follows the next hops of all to all: each packet arrives, on a shortest
// way, and what cannot be reached has no route.
func (l *layer) check(when string) (ok bool) {
	l.t.Helper()
	synctest.Wait()
	few := 3
	n := l.wrong(func(what string) {
		if few--; few >= 0 {
			l.t.Errorf("%s: %s", when, what)
		}
	})
	if n > 0 {
		l.t.Errorf("%s: %d ways are wrong", when, n)
	}
	return n == 0
}

// wrong counts the ways that are not right, and describes each.
func (l *layer) wrong(say func(string)) (wrong int) {
	for from := range l.parties {
		dist := l.distances(from)
		for to := range l.parties {
			if from == to {
				continue
			}
			d, reached := dist[to]
			at, hops := from, 0
			for at != to && hops <= 64 {
				next := l.parties[at].next(to)
				if len(next) == 0 {
					break
				}
				n := next[rand.IntN(len(next))]
				if l.policy() != irm.ECMP {
					n = next[0]
				}
				if c := l.cables[pairOf(at, n)]; c == nil || !c.up {
					break
				}
				at = n
				hops++
			}
			switch {
			case !reached && len(l.parties[from].next(to)) == 0:
			case reached && at == to && hops == d:
			default:
				wrong++
				if say != nil {
					say(fmt.Sprintf("from %v to %v: after %d hops at %v, distance %d (reached %v)", from, to, hops, at, d, reached))
				}
			}
		}
	}
	return wrong
}

func (l *layer) policy() irm.Routing {
	for _, p := range l.parties {
		if m, ours := p.(*member); ours {
			return m.cfg.Policy
		}
	}
	return irm.LinkState
}

// sameLinks checks that all members of ours know all links that can be used
// where they are, and no others.
func (l *layer) sameLinks(when string) {
	l.t.Helper()
	for a, p := range l.parties {
		m, ours := p.(*member)
		if !ours {
			continue
		}
		got, want := make(map[pair]bool), make(map[pair]bool)
		reached := l.distances(a)
		m.mu.Lock()
		for _, e := range m.db.edges(nil) {
			if _, here := reached[e.A]; here {
				got[pairOf(e.A, e.B)] = true
			}
		}
		m.mu.Unlock()
		for k, c := range l.cables {
			if _, here := reached[k[0]]; here && c.up {
				want[k] = true
			}
		}
		if !maps.Equal(got, want) {
			l.t.Errorf("%s: %v knows %d links, not %d", when, a, len(got), len(want))
		}
	}
}

// shapes of layers, as pairs of members from 1 on.
func line(n int) (ps []pair) {
	for i := 1; i < n; i++ {
		ps = append(ps, pair{wireAddr(i), wireAddr(i + 1)})
	}
	return ps
}

func ring(n int) []pair { return append(line(n), pair{1, wireAddr(n)}) }

func grid(w, h int) (ps []pair) {
	for y := range h {
		for x := range w {
			at := wireAddr(1 + y*w + x)
			if x+1 < w {
				ps = append(ps, pair{at, at + 1})
			}
			if y+1 < h {
				ps = append(ps, pair{at, at + wireAddr(w)})
			}
		}
	}
	return ps
}

// scattered is a tree of n members and more cables.
func scattered(r *rand.Rand, n, more int) (ps []pair) {
	for i := 2; i <= n; i++ {
		ps = append(ps, pair{wireAddr(1 + r.IntN(i-1)), wireAddr(i)})
	}
	for range more {
		if a, b := wireAddr(1+r.IntN(n)), wireAddr(1+r.IntN(n)); a != b && !slices.Contains(ps, pairOf(a, b)) {
			ps = append(ps, pairOf(a, b))
		}
	}
	return ps
}

// build makes members of ours and connects them, one cable after the other.
func (l *layer) build(ps []pair, change ...func(*Config)) {
	for _, p := range ps {
		for _, a := range p {
			if l.parties[a] == nil {
				l.add(a, change...)
			}
		}
		l.connect(p[0], p[1])
	}
}

func TestLayersFindTheShortestWaysAndLoseNoneForLong(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for name, ps := range map[string][]pair{
		"line": line(20), "ring": ring(20), "grid": grid(5, 5), "scattered": scattered(r, 50, 40),
	} {
		for _, p := range []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP} {
			t.Run(name+" "+p.String(), func(t *testing.T) {
				if testing.Short() && name == "scattered" && p != irm.LFA {
					t.Skip("takes long")
				}
				synctest.Test(t, func(t *testing.T) {
					l := newLayer(t)
					defer l.close()
					l.build(ps, policy(p))
					pause(5 * time.Second)
					l.check("at first")
					l.sameLinks("at first")
					for i := range 4 {
						k := ps[(i*13)%len(ps)]
						l.cut(k[0], k[1], i%2 == 0)
						pause(100 * time.Millisecond)
						l.check("after a cut")
						pause(12 * time.Second)
						l.connect(k[0], k[1])
						pause(time.Second)
						l.check("after a repair")
						pause(12 * time.Second)
					}
					l.sameLinks("in the end")
				})
			})
		}
	}
}

// A layer of a hundred members comes up all at once.
func TestAHundredMembersStartTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		defer l.close()
		l.build(scattered(rand.New(rand.NewPCG(8, 8)), 100, 100))
		start := time.Now()
		pause(1500 * time.Millisecond)
		l.check("at first")
		for a, p := range l.parties {
			if n := p.(*member).counter("computed"); n > 15 {
				t.Errorf("%v has computed %d times in %v", a, n, time.Since(start))
			}
		}
	})
}

func TestALayerThatWasApartBecomesOne(t *testing.T) {
	for _, apart := range []time.Duration{5 * time.Second, 50 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l := newLayer(t)
			defer l.close()
			l.build(grid(4, 6)) // rows of four; rows 3 and 4 are cut apart
			pause(5 * time.Second)
			var between []pair
			for x := range wireAddr(4) {
				between = append(between, pair{9 + x, 13 + x})
			}
			for _, k := range between {
				l.cut(k[0], k[1], true)
			}
			pause(100 * time.Millisecond)
			l.check("apart")
			// Both halves change meanwhile.
			l.cut(1, 2, false)
			l.cut(21, 22, false)
			pause(apart)
			l.connect(1, 2)
			l.cut(23, 24, true)
			pause(time.Second)
			l.check("after changes")
			for _, k := range between[:2] {
				l.connect(k[0], k[1])
			}
			pause(time.Second)
			l.check("one again")
			pause(2 * time.Minute)
			l.check("later")
			l.sameLinks("later")
		})
	}
}

// eventually waits until the ways are right.
func (l *layer) eventually(when string, limit time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); pause(time.Second) {
		if l.wrong(nil) == 0 {
			return
		}
	}
	l.check(when)
}

func TestALayerThatLosesPacketsConverges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 9))
		l := newLayer(t)
		defer l.close()
		l.lose = func() bool { return rand.IntN(100) < 20 }
		l.build(scattered(r, 30, 30))
		l.eventually("at first", 2*time.Minute)
		keys := slices.Collect(maps.Keys(l.cables))
		for i := range 5 {
			k := keys[i]
			l.cut(k[0], k[1], false)
			l.eventually("after a cut", 3*time.Minute)
			l.connect(k[0], k[1])
			l.eventually("after a repair", 3*time.Minute)
		}
	})
}

func TestHalfAnHourOfChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 5))
		long := 30 * time.Minute
		if testing.Short() {
			long = 10 * time.Minute
		}
		l := newLayer(t)
		defer l.close()
		ps := scattered(r, 24, 20)
		l.build(ps, policy(irm.LFA))
		pause(5 * time.Second)
		for start := time.Now(); time.Since(start) < long; {
			for range 1 + r.IntN(3) {
				k := ps[r.IntN(len(ps))]
				if c := l.cables[k]; c.up {
					l.cut(k[0], k[1], r.IntN(2) == 0)
				} else {
					l.connect(k[0], k[1])
				}
				pause(time.Duration(r.IntN(400)) * time.Millisecond)
			}
			pause(5 * time.Second)
			if !l.check(time.Since(start).String()) {
				return
			}
			pause(time.Duration(r.IntN(10)) * time.Second)
		}
		pause(70 * time.Second)
		l.sameLinks("in the end")
		for _, p := range l.parties {
			m := p.(*member)
			for _, c := range []string{"forged", "refused", "malformed", "conflicts"} {
				if n := m.counter(c); n != 0 {
					t.Errorf("%v: %d %s", m.cfg.Own, n, c)
				}
			}
			m.mu.Lock()
			for _, p := range m.peers {
				if p.use != nil && (p.waiting() > 0 || len(p.later) > 0) {
					t.Errorf("%d updates wait for %v", p.waiting(), p.addr)
				}
			}
			for _, e := range m.db.all {
				if e.down {
					t.Errorf("%v keeps the tombstone %v", m.cfg.Own, e.link)
				}
			}
			m.mu.Unlock()
		}
	})
}

func TestAForgedWithdrawalOfAFarLinkHurtsForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		defer l.close()
		l.build(line(8))
		evil := ready(t, l.parties[8].(*member), 99)
		pause(20 * time.Second)
		l.check("before")
		for range 20 {
			e := l.parties[8].(*member).shown(2, 3)
			evil.send(lsaWithdrawal(2, 3, uint32(e["seq"].(uint64))+1))
			pause(50 * time.Millisecond)
			l.check("after a forgery")
			pause(30 * time.Second)
		}
	})
}
