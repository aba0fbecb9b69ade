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
	guardMemory  = time.Second            // how long a packet is remembered
	guardWindow  = time.Second            // of counting
	fadeTime     = 250 * time.Millisecond // packets of older halves count half
	fadeFresh    = 64
	guardHead    = 96 // bytes of a packet that it is known by, and its length
	guardTail    = 32

	stormReturns   = 32                     // on one connection within a window
	stormTest      = 400 * time.Millisecond // what returns is dropped; the second half decides
	stormForgive   = 5 * time.Minute        // after which a test that failed is forgotten
	stormTrust     = time.Minute            // that a test which was passed gives to as many returns
	stormFirst     = 10 * time.Second       // a connection is blocked; doubles
	stormMost      = 10 * time.Minute
	stormProbation = time.Minute // after it
	stormForgiven  = time.Hour   // without a storm: the next one begins with stormFirst

	// A test begins within lots times the time between two returns, by lot, if
	// returns still come then, within a few times that time.
	lots = 32
	few  = 3
)

// guard finds loops that lead through members which take no part in the tree.
// Packets have no header, so all there is to see is their bytes: what came from
// one side and comes again from another is a copy that went round, or another
// member has written the same.
//
//	returns many times,     is dropped for a        it ended: a loop ──► blocked
//	nearly all of it and ─► moment, and not sent ─► it went on ──► left alone
//	nearly everything       there again
//
// A packet in a loop lives only as long as all pass it on, so dropping it here
// ends it, while members that write the same go on. That is the test. When it
// begins is drawn by lot, and so is how many tests it takes to block a
// connection: of two members at the ends of a loop one acts, and then the other
// sees no more returns.
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
	fresh, back int // packets that were new of late, and those that came from two sides
	fadeAt      time.Time

	suspect  *neighbour    // which is tested soon, or now; nil: none
	gap      time.Duration // between its returns
	testing  bool
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
	arrivals, returns int       // in it
	first, latest     time.Time // of the returns
	trusted           int       // returns in a window that are none of a loop
	trustEnd          time.Time
	failed            int // tests
	enough            int // of them to be blocked
	failedAt          time.Time
	hold              time.Duration // the last
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

// pass gives those of a batch of n that go on. Only the first of them, as many
// as it says, may be sent to a neighbour that is tested.
func (g *guard) pass(n *neighbour, batch []*packet.Buffer) (on []*packet.Buffer, new int) {
	now := time.Now()
	g.mu.Lock()
	if !now.Before(g.windowEnd) {
		g.window++
		g.windowEnd = now.Add(guardWindow)
	}
	if !now.Before(g.fadeAt) {
		g.fade(now)
	}
	w := &n.watch
	if w.window != g.window {
		w.window, w.arrivals, w.returns = g.window, 0, 0
	}
	w.arrivals += len(batch)
	var seen []*packet.Buffer // during a test: what comes for another time
	k := 0
	for _, b := range batch {
		again, drop := g.see(n, g.sum(b.Bytes()), now)
		switch {
		case drop:
			b.Release()
		case again && g.testing:
			seen = append(seen, b)
		default:
			batch[k] = b
			k++
		}
	}
	g.mu.Unlock()
	on = append(batch[:k], seen...)
	if dropped := len(batch) - len(on); dropped > 0 {
		n.count.storm.Add(uint64(dropped))
	}
	return on, k
}

// fade lets what is past count less. g.mu is held.
func (g *guard) fade(now time.Time) {
	g.fresh /= 2
	g.back /= 2
	g.fadeAt = now.Add(fadeTime)
}

// sum is what a packet is known by.
func (g *guard) sum(p []byte) uint64 {
	if len(p) <= guardHead+guardTail {
		return maphash.Bytes(g.seed, p)
	}
	return maphash.Bytes(g.seed, p[:guardHead]) ^ maphash.Bytes(g.seed, p[len(p)-guardTail:])<<1 ^ uint64(len(p))
}

// see notes a packet, and reports whether it has come from two sides, and
// whether it is to be dropped.
func (g *guard) see(n *neighbour, sum uint64, now time.Time) (again, drop bool) {
	from := n.id
	if n.local() {
		from = 0
	}
	at := now.Sub(epoch)
	s, known := g.find(sum, at)
	if !known {
		*s = sight{sum: sum, at: at, first: from}
		if g.fresh++; g.fresh >= fadeFresh {
			g.fade(now)
		}
		return false, false
	}
	if s.first == from && !s.multi {
		return false, false // its sender repeats itself
	}
	if !s.multi {
		s.multi = true
		g.back++
	}
	s.at = at
	if n.local() || !n.open {
		return true, false
	}
	w := &n.watch
	if w.returns == 0 {
		w.first = now
	}
	w.returns++
	w.latest = now
	if g.suspect == n && g.testing {
		if now.After(g.halfway) {
			g.again++
			if s.test != g.testNo {
				s.test = g.testNo
				g.distinct++
			}
		}
		return true, true
	}
	if w.returns >= w.bearable(now) && 4*w.returns >= 3*w.arrivals && 4*g.back >= 3*g.fresh && g.suspect == nil {
		g.suspect = n
		g.gap = max(now.Sub(w.first)/time.Duration(w.returns), time.Microsecond)
		g.f.afterFunc(rand.N(lots*g.gap), g.test)
	}
	return true, false
}

// bearable is how many returns in a window are no reason for a test.
func (w *watch) bearable(now time.Time) int {
	switch {
	case now.Before(w.trustEnd):
		return w.trusted
	case w.onProbation(now):
		return stormReturns / 4
	}
	return stormReturns
}

// onProbation: it was blocked until a moment ago, and less makes it suspect.
func (w *watch) onProbation(now time.Time) bool {
	return w.hold > 0 && now.Sub(w.until) < stormProbation
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

// test begins to drop what returns from the suspect, if it still does.
func (g *guard) test() {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.suspect
	if n == nil || now.Sub(n.watch.latest) > few*g.gap {
		g.suspect = nil
		if n != nil {
			n.watch.returns, n.watch.arrivals = 0, 0
		}
		return
	}
	g.tests++
	g.testing = true
	g.halfway = now.Add(stormTest / 2)
	g.testNo++
	g.again, g.distinct = 0, 0
	n.tested.Store(true)
	g.f.afterFunc(stormTest, g.judge)
}

// judge ends a test.
func (g *guard) judge() {
	now := time.Now()
	g.mu.Lock()
	n := g.suspect
	g.suspect, g.testing = nil, false
	n.tested.Store(false)
	w := &n.watch
	w.returns, w.arrivals = 0, 0
	if g.again > 2*g.distinct {
		rate := g.again * int(guardWindow/(stormTest/2))
		w.trusted, w.trustEnd = max(2*rate, 2*stormReturns), now.Add(stormTrust)
		g.passed++
		g.mu.Unlock()
		return
	}
	if w.failed == 0 || now.Sub(w.failedAt) > stormForgive {
		w.failed = 0
		w.enough = 2 + rand.IntN(3)
		if w.onProbation(now) {
			w.enough = 1
		}
	}
	w.failed++
	w.failedAt = now
	if w.failed < w.enough {
		g.mu.Unlock()
		return
	}
	if now.Sub(w.until) > stormForgiven {
		w.hold = 0
	}
	w.failed = 0
	w.hold = min(max(2*w.hold, stormFirst), stormMost)
	w.until = now.Add(w.hold)
	hold := w.hold
	g.blocks++
	g.last = n
	first := !g.said
	g.said = true
	g.mu.Unlock()

	g.f.set(n, func(n *neighbour) { n.stormy = true })
	g.f.afterFunc(hold, func() { g.reopen(n) })
	if first {
		g.log.Error("packets go round in a loop that this layer has through members which cannot prevent it; "+
			"a connection of the loop is blocked for a while, again and again. Take one of them away: irm ipcp disconnect",
			"connection", n.describe(), "for", hold)
	}
}

// reopen lets a connection carry again.
func (g *guard) reopen(n *neighbour) {
	g.mu.Lock()
	g.fresh, g.back = 0, 0 // of the time when nothing could come back
	g.mu.Unlock()
	g.f.set(n, func(n *neighbour) { n.stormy = false })
}
