package linkstate

import (
	"cmp"
	"slices"
	"time"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
)

// How updates are sent.
const (
	// firstPause is how long nothing is sent on a new connection, see the package.
	firstPause = 50 * time.Millisecond
	// laterPause is how long what a peer needs to be reminded of is collected. A
	// member of the C implementation that has just announced a link has not
	// entered it yet, and must not get an older number of it back before.
	laterPause = 100 * time.Millisecond

	sendBatch = 64
	// A queue is sent in windows, so that a whole data base does not overrun a
	// peer's ring of 1023 packets.
	windowTime    = 5 * time.Millisecond
	windowPackets = 512
)

// The limits of tables that neighbours can grow.
const (
	maxPeers = 1024
	maxConns = 16 // to one peer; the oldest of more is given up
)

// peer is a neighbour with Management connections. Its queue holds each link
// once: what is sent is the newest update of it at that time. So it is bounded
// by twice the number of links, and a neighbour that takes nothing delays itself
// only.
type peer struct {
	addr  wire.Addr
	conns []*conn // oldest first
	use   *conn   // the newest that is up and whose pause is over; nil = none
	kin   bool    // known to be of our kind

	queue  []*entry
	head   int
	queued map[*entry]struct{}

	later   map[*entry]struct{} // what the peer has an older update of
	laterAt time.Time

	listed  bool // in LinkState.ready
	sending bool
	left    int       // packets of the window
	window  time.Time // when it ends

	batch   [sendBatch]*packet.Buffer // of who is sending
	entries [sendBatch]*entry
}

func newPeer(addr wire.Addr) *peer {
	return &peer{addr: addr, queued: make(map[*entry]struct{}), later: make(map[*entry]struct{})}
}

// waiting is the number of queued links.
func (p *peer) waiting() int { return len(p.queue) - p.head }

// push queues a link that is not queued.
func (p *peer) push(e *entry) {
	if _, is := p.queued[e]; is {
		return
	}
	p.queued[e] = struct{}{}
	if p.head > 64 && 2*p.head > len(p.queue) {
		n := copy(p.queue, p.queue[p.head:])
		clear(p.queue[n:])
		p.queue, p.head = p.queue[:n], 0
	}
	p.queue = append(p.queue, e)
}

// pop takes the oldest link out; nil when there is none.
func (p *peer) pop() *entry {
	for p.head < len(p.queue) {
		e := p.queue[p.head]
		p.queue[p.head] = nil
		p.head++
		delete(p.queued, e)
		if !e.gone() {
			return e
		}
	}
	p.queue, p.head = p.queue[:0], 0
	return nil
}

// unpop puts links back that were not sent, in their order.
func (p *peer) unpop(es []*entry) {
	for _, e := range slices.Backward(es) {
		if _, is := p.queued[e]; is || e.gone() {
			continue
		}
		p.queued[e] = struct{}{}
		if p.head == 0 {
			p.queue = slices.Insert(p.queue, 0, e)
			continue
		}
		p.head--
		p.queue[p.head] = e
	}
}

// keep drops what need not be sent.
func (p *peer) keep(need func(e *entry) bool) {
	kept := p.queue[:0]
	for _, e := range p.queue[p.head:] {
		if need(e) {
			kept = append(kept, e)
		} else {
			delete(p.queued, e)
		}
	}
	clear(p.queue[len(kept):])
	p.queue, p.head = kept, 0
}

func there(e *entry) bool     { return !e.gone() }
func withdrawn(e *entry) bool { return e.down && !e.gone() }

// flood queues a link for all peers but one. The lock is held, here and below.
func (l *LinkState) flood(e *entry, but *peer) {
	for _, p := range l.peers {
		if p != but {
			l.enqueue(p, e)
		}
	}
}

// enqueue has a peer told of a link. One that cannot be told now gets all links
// later, so that only a withdrawal is queued for it.
func (l *LinkState) enqueue(p *peer, e *entry) {
	if p.use == nil && !e.down {
		return
	}
	p.push(e)
	if p.waiting() > 2*len(l.db.all)+sendBatch {
		p.keep(there)
	}
	l.list(p)
}

// list has the queue of a peer sent by the next flush.
func (l *LinkState) list(p *peer) {
	if !p.listed && p.use != nil && p.waiting() > 0 {
		p.listed = true
		l.ready = append(l.ready, p)
	}
}

// later reminds a peer of a link that it has sent an older update of.
func (l *LinkState) later(p *peer, e *entry, now time.Time) {
	if !l.fresh(e, now) {
		return
	}
	if len(p.later) == 0 {
		p.laterAt = now.Add(laterPause)
		l.due(p.laterAt)
	}
	p.later[e] = struct{}{}
}

// replicate queues what the peer may not know: all but what is withdrawn. A member
// of the C implementation does not get its own links, see the package; one of our
// kind does, and puts right what has changed while nobody could hear it.
func (l *LinkState) replicate(p *peer) {
	all := make([]*entry, 0, len(l.db.all))
	for _, e := range l.db.all {
		if !e.down && (p.kin || e.src != p.addr) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.dst, b.dst), cmp.Compare(a.src, b.src))
	})
	for _, e := range all {
		p.push(e)
	}
	l.list(p)
}

// choose finds the connection to send on. What the peer missed while there was
// none, or on the one before, it gets again.
func (l *LinkState) choose(p *peer) {
	var best *conn
	for _, c := range p.conns {
		if c.ready && c.up {
			best = c
		}
	}
	if best == p.use {
		return
	}
	p.use = best
	if best != nil {
		l.replicate(p)
		l.nudgeable(p.addr, time.Now())
	} else {
		p.keep(withdrawn)
	}
}

// tickPeer does what is due for a peer.
func (l *LinkState) tickPeer(p *peer, now time.Time) {
	for _, c := range p.conns {
		switch {
		case c.ready:
		case now.Before(c.readyAt):
			l.due(c.readyAt)
		default:
			c.ready = true
		}
	}
	l.choose(p)
	for _, c := range p.conns {
		l.tickFiller(c, now)
	}
	if len(p.later) > 0 {
		if now.Before(p.laterAt) {
			l.due(p.laterAt)
		} else {
			for e := range p.later {
				if l.fresh(e, now) {
					l.count.reminders++
					l.enqueue(p, e)
				}
			}
			clear(p.later)
		}
	}
	if p.waiting() > 0 && p.left == 0 {
		if now.Before(p.window) {
			l.due(p.window)
		} else {
			l.list(p)
		}
	}
}

// flush sends what is queued. The lock is not held.
func (l *LinkState) flush() {
	l.mu.Lock()
	for len(l.ready) > 0 {
		last := len(l.ready) - 1
		p := l.ready[last]
		l.ready[last] = nil
		l.ready = l.ready[:last]
		p.listed = false
		l.drain(p)
	}
	l.fill()
	l.mu.Unlock()
}

// drain sends the queue of a peer. The lock is held, but not while sending;
// another goroutine that comes meanwhile leaves its work to this one.
func (l *LinkState) drain(p *peer) {
	if p.sending {
		return
	}
	p.sending = true
	for l.send(p) {
	}
	p.sending = false
}

// send sends one batch and reports whether there may be more to send.
func (l *LinkState) send(p *peer) (more bool) {
	c := p.use
	if c == nil || c.full {
		return false
	}
	if now := time.Now(); !now.Before(p.window) {
		p.window, p.left = now.Add(windowTime), windowPackets
	}
	n := 0
	for n < min(sendBatch, p.left) {
		e := p.pop()
		if e == nil {
			break
		}
		b := packet.Get(lsa.Size)
		lsa.Update{Dst: e.dst, Src: e.src, Seq: e.seq}.Put(b.Bytes())
		p.batch[n], p.entries[n] = b, e
		n++
	}
	if n == 0 {
		if p.waiting() > 0 {
			l.due(p.window)
		}
		return false
	}
	p.left -= n
	c.room, c.sentAt = false, time.Now()
	l.mu.Unlock()
	taken := c.c.Flow().Send(p.batch[:n])
	l.mu.Lock()
	c.sent += uint64(taken)
	l.count.sent += uint64(taken)
	if taken < n {
		packet.ReleaseAll(p.batch[taken:n])
		p.unpop(p.entries[taken:n])
		if !c.room { // else there was room again before Send had returned
			c.full = true
			l.count.stuck++
		}
	}
	clear(p.batch[:n])
	clear(p.entries[:n])
	return true
}
