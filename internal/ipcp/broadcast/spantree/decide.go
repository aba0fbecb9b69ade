package spantree

import "time"

// decide chooses root and parent.
//
//	attached ──► lost its parent, but somebody knows the root ──► detached
//	   ▲                                                             │
//	   └─── a feasible way to a root that is as low, or lower ◄──────┤
//	   └─── none for a second: any other root, or itself ◄───────────┘
func (m *Machine) decide(now time.Time) {
	best := m.best(now)
	switch {
	case best != nil && best.root <= m.root:
		m.follow(now, best)
	case m.root == m.own:
	case m.parent != nil && m.parent.up() && m.parent.root == m.root && !m.parent.attached && !m.parent.child:
		// It searches, and all that is below it waits.
		m.detach(now)
		if !now.Before(m.searchEnd()) { // it should have ended by now
			m.fall(now, best)
		}
	case m.attached:
		m.parent = nil
		if !m.hope() {
			m.fall(now, best)
			return
		}
		m.Searches++
		m.detach(now)
	case m.parent != nil && m.parent.up():
		// It has given the root up, and so do all below it.
		m.fall(now, best)
	default:
		m.parent = nil
		if !now.Before(m.searchEnd()) || !m.hope() {
			m.Failed++
			m.fall(now, best)
		}
	}
}

// best gives the feasible neighbour with the lowest root, nil when none is
// lower than this member. The parent is as good as any other with its root;
// then the nearest is best.
func (m *Machine) best(now time.Time) (best *Port) {
	for _, p := range m.ports {
		if !p.offers(now) || !m.dist[p.root].nearer(p.seq, p.hops) {
			continue
		}
		switch {
		case best == nil || p.root < best.root:
		case p.root > best.root || best == m.parent:
			continue
		case p == m.parent || p.hops < best.hops || p.hops == best.hops && p.peer < best.peer:
		default:
			continue
		}
		best = p
	}
	return best
}

// offers reports whether the neighbour has a way to a root of use, that is not
// by this member.
func (p *Port) offers(now time.Time) bool {
	m := p.m
	return p.up() && p.attached && p.root < m.own && p.hops < MaxHops && !(p.child && p.root == m.root) &&
		!p.doubted(now)
}

// follow makes p the parent, which it may be already.
func (m *Machine) follow(now time.Time, p *Port) {
	if p != m.parent {
		m.Parents++
	}
	m.turn(now, p.root, p)
	m.parent, m.attached = p, true
	m.seq, m.hops = p.seq, p.hops+1
	d := m.dist[m.root]
	if d == nil {
		m.forget()
		d = &distance{seq: m.seq, hops: m.hops}
		m.dist[m.root] = d
	} else if d.nearer(m.seq, m.hops) {
		d.seq, d.hops = m.seq, m.hops
	}
	d.used = now
}

// turn changes the root because of p, nil if it was nobody.
func (m *Machine) turn(now time.Time, root uint64, p *Port) {
	if root == m.root {
		return
	}
	m.root = root
	m.epoch++
	m.Roots++
	if p == nil {
		return
	}
	if now.After(p.flapsEnd) {
		p.flaps, p.flapsEnd = 0, now.Add(flapTime)
	}
	if p.flaps++; p.flaps > flaps {
		m.Doubted++
		p.doubt = min(max(2*p.doubt, firstDoubt), mostDoubt)
		p.doubtEnd, p.flaps = now.Add(p.doubt), 0
	}
}

// detach begins a wait for news of the root, unless it has begun.
func (m *Machine) detach(now time.Time) {
	if m.attached {
		m.attached, m.since = false, now
	}
}

// searchEnd is when the wait is over. Who waits for its parent gives it time to
// say so.
func (m *Machine) searchEnd() time.Time {
	if m.parent != nil {
		return m.since.Add(2 * search)
	}
	return m.since.Add(search)
}

// hope: somebody may know of the root. Children do not themselves, but they
// have other neighbours.
func (m *Machine) hope() bool {
	for _, p := range m.ports {
		if p.up() && p.root == m.root && (p.attached || p.child) {
			return true
		}
	}
	return false
}

// fall gives the root up for the best of the others.
func (m *Machine) fall(now time.Time, best *Port) {
	if best != nil {
		m.follow(now, best)
		return
	}
	m.turn(now, m.own, nil)
	m.parent, m.attached = nil, true
	m.seq, m.hops = m.ownSeq, 0
}

// forget makes room in the table of distances.
func (m *Machine) forget() {
	if len(m.dist) < roots {
		return
	}
	var oldest uint64
	for root, d := range m.dist {
		if oldest == 0 || d.used.Before(m.dist[oldest].used) {
			oldest = root
		}
	}
	delete(m.dist, oldest)
}
