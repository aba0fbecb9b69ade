package broadcast

import (
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/packet"
)

// What the guard sees as a storm, and how it acts.
const (
	guardEntries = 4096
	guardMemory  = time.Second // how long a packet is remembered
	guardWindow  = time.Second // of counting

	stormReturns  = 32                     // on one connection within a window
	stormTest     = 400 * time.Millisecond // drops what returns; its second half decides
	stormForgive  = 5 * time.Minute        // after which a test that failed is forgotten
	stormExempt   = time.Minute            // without tests after one that was passed
	stormFirst    = 10 * time.Second       // a connection is blocked; doubles
	stormMost     = 10 * time.Minute
	stormForgiven = time.Hour // without a storm: the next one begins with stormFirst
)

// guard finds loops that lead through members which take no part in the tree.
// Packets have no header, so all there is to see is their bytes: what came from
// one side and comes again from another is a copy that went round, or another
// member has written the same.
//
//	returns many times,    returns are dropped       nothing new came
//	nearly all of it and   for a moment: does it  ─► of what had gone    ─► blocked
//	nearly everything      end, or go on?            round: a loop          for a while
//	                                               └► it went on: members that
//	                                                  write the same; left alone
//
// A packet in a loop lives only as long as all pass it on, so dropping it here
// ends it, while members that write the same go on. That is the test. It takes
// two to four of them, by lot, to block a connection: of two members at the ends
// of a loop one acts, and then the other sees no more returns.
//
// It looks at packets only when there is an open connection and another one
// besides, since else nothing can come back.
type guard struct {
	f      *forwarder
	log    *slog.Logger
	active atomic.Bool
	seed   maphash.Seed

	mu          sync.Mutex
	seen        []sight // pairs of places, by hash
	window      uint32
	windowEnd   time.Time
	fresh, back int // packets that were new in this window, and that came from two sides

	tested   *neighbour // whose returns are dropped now; nil: nobody's
	testNo   uint32
	halfway  time.Time
	again    int // returns in the second half
	distinct int // packets among them

	said bool
	last *neighbour // that was blocked

	tests, passed, blocks uint64
}

// sight is a packet that was seen.
type sight struct {
	sum   uint64
	at    time.Duration // since the start of the guard
	first uint32        // the neighbour that it came from; 0 = a process
	test  uint32        // in which it was counted last
	multi bool          // it came from another, too
}

// watch is what the guard knows of a neighbour; of its mu.
type watch struct {
	window            uint32
	arrivals, returns int
	failed            int // tests
	enough            int // of them to be blocked
	failedAt          time.Time
	exempt            time.Time
	hold              time.Duration // the last
	blockedAt         time.Time
	until             time.Time
}

// epoch is what the times of sights are counted from.
var epoch = time.Unix(0, 0)

func (g *guard) init(f *forwarder, log *slog.Logger) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	g.f, g.log, g.seed = f, log, maphash.MakeSeed()
}

// set says whether there is anything to look at.
func (g *guard) set(active bool) {
	if g.active.Load() == active {
		return
	}
	g.mu.Lock()
	if active {
		g.seen = make([]sight, guardEntries)
	}
	g.active.Store(active)
	g.mu.Unlock()
}

// pass gives those of a batch of n that go on, in place.
func (g *guard) pass(n *neighbour, batch []*packet.Buffer) []*packet.Buffer {
	now := time.Now()
	g.mu.Lock()
	if !now.Before(g.windowEnd) {
		g.window++
		g.windowEnd = now.Add(guardWindow)
		g.fresh, g.back = 0, 0
	}
	w := &n.watch
	if w.window != g.window {
		w.window, w.arrivals, w.returns = g.window, 0, 0
	}
	w.arrivals += len(batch)
	k := 0
	for _, b := range batch {
		if g.see(n, maphash.Bytes(g.seed, b.Bytes()), now) {
			b.Release()
			continue
		}
		batch[k] = b
		k++
	}
	g.mu.Unlock()
	if dropped := len(batch) - k; dropped > 0 {
		n.count.storm.Add(uint64(dropped))
	}
	return batch[:k]
}

// see notes a packet, and reports whether it is to be dropped.
func (g *guard) see(n *neighbour, sum uint64, now time.Time) (drop bool) {
	from := n.id
	if n.local() {
		from = 0
	}
	at := now.Sub(epoch)
	s, known := g.find(sum, at)
	if !known {
		*s = sight{sum: sum, at: at, first: from}
		g.fresh++
		return false
	}
	if s.first == from && !s.multi {
		return false // its sender repeats itself
	}
	if !s.multi {
		s.multi = true
		g.back++
	}
	s.at = at
	if !n.open {
		return false
	}
	w := &n.watch
	w.returns++
	if g.tested == n {
		if now.After(g.halfway) {
			g.again++
			if s.test != g.testNo {
				s.test = g.testNo
				g.distinct++
			}
		}
		return true
	}
	if w.returns >= stormReturns && 4*w.returns >= 3*w.arrivals && 4*g.back >= 3*g.fresh &&
		g.tested == nil && now.After(w.exempt) {
		g.test(n, now)
	}
	return false
}

// find gives the place of a packet.
func (g *guard) find(sum uint64, at time.Duration) (s *sight, known bool) {
	i := sum % guardEntries &^ 1
	a, b := &g.seen[i], &g.seen[i+1]
	switch {
	case a.sum == sum:
		s = a
	case b.sum == sum:
		s = b
	case a.at <= b.at:
		return a, false
	default:
		return b, false
	}
	return s, at-s.at < guardMemory
}

// test begins to drop what returns from n. g.mu is held.
func (g *guard) test(n *neighbour, now time.Time) {
	g.tests++
	g.tested, g.halfway = n, now.Add(stormTest/2)
	g.testNo++
	g.again, g.distinct = 0, 0
	g.f.afterFunc(stormTest, g.judge)
}

// judge ends a test.
func (g *guard) judge() {
	now := time.Now()
	g.mu.Lock()
	n := g.tested
	g.tested = nil
	if n == nil {
		g.mu.Unlock()
		return
	}
	w := &n.watch
	w.returns, w.arrivals = 0, 0
	if g.again > 2*g.distinct {
		w.exempt = now.Add(stormExempt)
		g.passed++
		g.mu.Unlock()
		return
	}
	if w.failed == 0 || now.Sub(w.failedAt) > stormForgive {
		w.failed = 0
		w.enough = 2 + rand.IntN(3)
		if w.hold > 0 && now.Sub(w.blockedAt) < stormForgiven {
			w.enough = 1 + rand.IntN(2)
		}
	}
	w.failed++
	w.failedAt = now
	if w.failed < w.enough {
		g.mu.Unlock()
		return
	}
	if w.hold == 0 || now.Sub(w.until) > stormForgiven {
		w.hold = 0
	}
	w.failed = 0
	w.hold = min(max(2*w.hold, stormFirst), stormMost)
	w.blockedAt, w.until = now, now.Add(w.hold)
	hold := w.hold
	g.blocks++
	g.last = n
	first := !g.said
	g.said = true
	g.mu.Unlock()

	g.f.set(n, func(n *neighbour) { n.stormy = true })
	g.f.afterFunc(hold, func() { g.f.set(n, func(n *neighbour) { n.stormy = false }) })
	if first {
		g.log.Error("packets go round in a loop that this layer has through members which cannot prevent it; "+
			"a connection of the loop is blocked for a while, again and again. Take one of them away: irm ipcp disconnect",
			"connection", n.describe(), "for", hold)
	}
}
