package linkstate

import (
	"math/rand/v2"
	"slices"
	"time"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
)

// What is done for neighbours that are not known to be of our kind. Members of the
// C implementation read a Management flow with a call that takes an empty packet
// for none and waits for the next one, of that flow alone: a keep-alive can bring
// their routing to a stand. So there is something to read on it before one is due.
// And when a data transfer connection comes back that they had not missed, they
// keep sending on the old one until some link is new to them. So they do with routes
// over a link that has aged out.

const (
	// fillerPart of a flow's time-out may pass without a packet on it. Keep-alives
	// are due after a quarter.
	fillerPart = 8
	// fillerLeast is the shortest time between two: who dials chooses the time-out.
	fillerLeast = 100 * time.Millisecond
	// fillerSize is shorter than any update, and not empty.
	fillerSize = 1

	// nudgePause is how long a neighbour has to enter a new connection before it is
	// nudged. Its answer leaves before it does.
	nudgePause = 200 * time.Millisecond
	// recallPause is how much later than the layer's times say members of the C
	// implementation have aged a link out, and recallLot within how long after that
	// one of our kind reminds them.
	recallPause = 3 * time.Second
	recallLot   = 2 * time.Second
	// Nudges are one each nudgePace, in bursts of nudgeBurst.
	nudgePace  = time.Second
	nudgeBurst = 8
)

// kin reports whether a member is known to be of our kind: its numbers say so.
func (l *LinkState) kin(a wire.Addr) bool {
	return slices.ContainsFunc(l.db.all, func(e *entry) bool { return e.src == a && e.speaks })
}

// tickFiller has a filler sent on a connection on which nothing was sent for a
// while. The lock is held.
func (l *LinkState) tickFiller(c *conn, now time.Time) {
	timeout := time.Duration(c.c.Flow().QoS().Timeout) * time.Millisecond
	if timeout == 0 || c.p.kin || !c.ready || !c.up || c.full {
		return
	}
	every := max(timeout/fillerPart, fillerLeast)
	if at := c.sentAt.Add(every); now.Before(at) {
		l.due(at)
		return
	}
	c.sentAt = now
	l.due(now.Add(every))
	l.fillers = append(l.fillers, c)
}

// fill sends the fillers that are due. The lock is held, but not while sending.
func (l *LinkState) fill() {
	for len(l.fillers) > 0 {
		last := len(l.fillers) - 1
		c := l.fillers[last]
		l.fillers[last] = nil
		l.fillers = l.fillers[:last]
		if c.gone {
			continue
		}
		b := packet.Get(fillerSize)
		b.Bytes()[0] = 0
		l.mu.Unlock()
		taken := c.c.Flow().Send([]*packet.Buffer{b})
		if taken == 0 { // then there is something to read
			b.Release()
		}
		l.mu.Lock()
		l.count.fillers += uint64(taken)
	}
}

// Connected says that there is a new data transfer connection to a neighbour
// that Up has named.
func (l *LinkState) Connected(nb wire.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := l.own[nb]; !l.closed && o != nil && o.up {
		o.nudgeAt = time.Now().Add(nudgePause)
		l.due(o.nudgeAt)
	}
}

// nudgeDue reports whether a neighbour is to be nudged now: when it can be told,
// and has told of the link itself, from which its kind is known. The lock is held,
// here and below.
func (l *LinkState) nudgeDue(o *ownLink, now time.Time) bool {
	switch {
	case o.nudgeAt.IsZero():
		return false
	case !o.up:
		o.nudgeAt = time.Time{}
		return false
	case now.Before(o.nudgeAt):
		l.due(o.nudgeAt)
		return false
	}
	p, e := l.peers[o.nb], l.db.entries[link{o.nb, l.cfg.Own}]
	if p == nil || p.use == nil || e == nil {
		return false // nudgeable is called when there are
	}
	if e.speaks {
		o.nudgeAt = time.Time{}
		return false
	}
	return true
}

// nudgeable is told that a neighbour can be reached, or has told of its link.
func (l *LinkState) nudgeable(nb wire.Addr, now time.Time) {
	if o := l.own[nb]; o != nil && !o.nudgeAt.IsZero() {
		l.due(now)
	}
}

// tickNudge has neighbours compute their routes that would not: it withdraws a
// link that never was, which is a new link to them. One is enough for all that
// are to be nudged at a time.
func (l *LinkState) tickNudge(now time.Time) {
	var all []*ownLink
	for _, o := range l.own {
		if l.nudgeDue(o, now) {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return
	}
	if wait := l.nudges.take(now, nudgePace, nudgeBurst); wait > 0 {
		l.due(now.Add(wait))
		return
	}
	for _, o := range all {
		o.nudgeAt = time.Time{}
	}
	l.nudge(now)
}

// nudge floods the withdrawal of a link that never was.
func (l *LinkState) nudge(now time.Time) {
	if l.phantoms >= maxPhantoms {
		l.count.unanswered++
		return
	}
	o := l.newOwn(l.nobody())
	o.phantom, o.since, o.ends = true, now, now.Add(l.cfg.Timeout)
	l.phantoms++
	l.count.nudges++
	l.update(o, now)
	l.due(o.ends)
}

// recall is when members of the C implementation are to be reminded of links that
// they have aged out. All members of our kind wait for it, by lot, and who hears
// of a new link by then need do nothing.
type recall struct {
	from time.Time // the first link has aged out everywhere
	at   time.Time // by lot; zero = nothing is to be done
	last time.Time // the last link will have aged out
}

// lost is told that a link can be used no more, and how long it is announced or
// remembered by others yet.
func (l *LinkState) lost(now time.Time, left time.Duration) {
	r := &l.recall
	r.last = now.Add(left + l.cfg.Update + recallPause)
	if r.at.IsZero() {
		l.draw()
	}
}

// draw sets the time of the next recall.
func (l *LinkState) draw() {
	r := &l.recall
	r.from = r.last
	r.at = r.from.Add(rand.N(recallLot))
	l.due(r.at)
}

// newLink is told that a link has come that was not known.
func (l *LinkState) newLink(now time.Time) {
	if r := &l.recall; !r.at.IsZero() && !now.Before(r.from) {
		l.recalled()
	}
}

// recalled goes on to what was lost since the recall was drawn.
func (l *LinkState) recalled() {
	r := &l.recall
	if r.last.After(r.from) {
		l.draw()
	} else {
		r.at = time.Time{}
	}
}

// tickRecall has members of the C implementation compute their routes when there
// are any.
func (l *LinkState) tickRecall(now time.Time) {
	r := &l.recall
	switch {
	case r.at.IsZero():
		return
	case now.Before(r.at):
		l.due(r.at)
		return
	}
	if slices.ContainsFunc(l.db.all, func(e *entry) bool { return !e.own && !e.speaks }) {
		if wait := l.nudges.take(now, nudgePace, nudgeBurst); wait > 0 {
			l.due(now.Add(wait))
			return
		}
		l.nudge(now)
	}
	l.recalled()
}

// nobody is the address of no member that is known.
func (l *LinkState) nobody() wire.Addr {
	for {
		a := wire.Addr(rand.Uint32())
		_, own := l.own[a]
		if a.Valid() && !own && a != l.cfg.Own && l.peers[a] == nil && l.db.from[a] == 0 {
			return a
		}
	}
}
