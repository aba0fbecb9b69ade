package linkstate

import (
	"maps"
	"slices"
	"time"
)

// firstHold is the shortest time between two computations.
const firstHold = 10 * time.Millisecond

// schedule says when routes are computed: at once after a time of quiet, and
// ever more seldom while links keep changing. A neighbour of this member that is
// lost waits for nothing.
//
//	change  │ │││││││││││││││││││││││││││││││││
//	compute │  │   │       │               │          hold doubles
type schedule struct {
	dirty, urgent bool
	last          time.Time     // of the last computation
	hold          time.Duration // until the next one
}

// when is the time of the next computation, if there is anything new.
func (s *schedule) when(now time.Time) time.Time {
	if at := s.last.Add(s.hold); !s.urgent && at.After(now) {
		return at
	}
	return now
}

// take reports whether routes are to be computed now, and notes that they are.
func (s *schedule) take(now time.Time, most time.Duration) bool {
	if !s.dirty || s.when(now).After(now) {
		return false
	}
	if now.Sub(s.last) >= 2*s.hold {
		s.hold = firstHold
	} else {
		s.hold = max(firstHold, min(2*s.hold, most))
	}
	s.dirty, s.urgent, s.last = false, false, now
	return true
}

// changed says that the links that can be used are others. The lock is held.
func (l *LinkState) changed(now time.Time) {
	if !l.order.dirty {
		l.order.dirty = true
		l.due(l.order.when(now))
	}
}

// urgent is changed, without delay.
func (l *LinkState) urgent(now time.Time) {
	l.order.dirty, l.order.urgent = true, true
	l.due(now)
}

// solve computes routes from the links of the worker, and installs them if they
// differ.
func (l *LinkState) solve() {
	start := time.Now()
	r := &Routes{To: l.solver.Routes(l.cfg.Own, l.cfg.Policy, l.edges)}
	took := time.Since(start)
	differ := !same(l.routes.Load(), r)
	l.mu.Lock()
	l.count.computed++
	l.count.took = took
	if differ {
		l.count.installed++
	}
	closed := l.closed
	l.mu.Unlock()
	if !differ || closed {
		return
	}
	l.routes.Store(r)
	l.cfg.Install(r)
}

func same(a, b *Routes) bool {
	return maps.EqualFunc(a.To, b.To, func(x, y Hops) bool { return x.MTU == y.MTU && slices.Equal(x.Next, y.Next) })
}
