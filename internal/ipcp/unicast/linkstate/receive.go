package linkstate

import (
	"time"

	"ouroboros/internal/packet"
	"ouroboros/internal/wire/lsa"
)

// Receive implements flow.Handler for a Management connection.
func (c *conn) Receive(batch []*packet.Buffer) (taken int) {
	l, now := c.l, time.Now()
	l.mu.Lock()
	if !c.gone && !l.closed {
		for _, b := range batch {
			c.packet(b.Bytes(), now)
		}
	}
	l.mu.Unlock()
	packet.ReleaseAll(batch)
	l.flush()
	return len(batch)
}

// packet is one packet of a peer. The lock is held.
func (c *conn) packet(b []byte, now time.Time) {
	if len(b) <= fillerSize {
		return // a keep-alive, or what is sent in its place
	}
	l := c.l
	c.received++
	u, ok := lsa.Parse(b)
	if !ok || !u.Valid() {
		l.count.malformed++
		l.once("a neighbour has sent packets that are no link-state updates", "from", c.p.addr)
		return
	}
	l.count.received++
	l.heardFrom(now)
	if u.Src == l.cfg.Own {
		l.heard(c.p, u, now)
		return
	}
	if u.Dst == l.cfg.Own {
		l.claimed(c.p, u)
	}
	l.accept(c.p, u, now)
}

// accept takes an update of a link of another member. The lock is held.
func (l *LinkState) accept(from *peer, u lsa.Update, now time.Time) {
	k := link{u.Src, u.Dst}
	e := l.db.entries[k]
	var old lsa.Seq
	switch {
	case e == nil:
		if !l.db.room(u.Src) {
			l.count.refused++
			l.once("there is no room for more links", "links", l.db.foreign, "of", u.Src, "from", from.addr)
			return
		}
		e = l.db.add(k, false)
		l.newLink(now)
	case u.Seq == e.seq:
		l.count.duplicates++
		return
	case !u.Seq.Newer(e.seq):
		l.count.old++
		l.later(from, e, now)
		return
	default:
		old = e.seq
	}
	wasDown, was := e.down, e.usable()
	changed := e.set(u.Seq, old)
	if wasDown && !e.down {
		l.db.begin(e)
	}
	l.db.touch(e, now)
	if e == l.db.oldest {
		l.due(now.Add(l.cfg.Timeout))
	}
	if changed && (was || e.usable()) {
		l.changed(now)
	}
	if was && !e.usable() {
		l.lost(now, l.cfg.Timeout)
	}
	l.count.accepted++
	if p := l.peers[e.src]; p != nil {
		p.kin = e.speaks
		if e.dst == l.cfg.Own {
			l.nudgeable(e.src, now)
		}
	}
	l.flood(e, from)
}

// fresh reports whether an entry can be sent back to who has an older one. What
// is about to time out everywhere must not begin a second life at a member where
// it has timed out already; but who has missed a withdrawal is told as long as
// somebody knows of it.
func (l *LinkState) fresh(e *entry, now time.Time) bool {
	return !e.gone() && (e.own || e.down || now.Sub(e.stamp) < l.cfg.Timeout/2)
}
