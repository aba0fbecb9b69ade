package dht

import (
	"time"

	wire "ouroboros/internal/wire/dt"
)

const (
	maxFailures = 2               // unanswered requests in a row that end a contact
	maxClaims   = 3               // pings of an address that never answered, one after the other
	maxHopes    = 6               // and with pauses, of one that routing knows
	staleAfter  = time.Minute     // a contact that was heard within it is not pinged for a place
	doubtAfter  = 5 * time.Second // between two looks whether a contact has another id
)

// pings is how many pings may leave.
var pings = rate{100, 200}

// claim is told who a message says it is from, or whom it names. Who is not
// known by that id is pinged, if the table has use for it.
func (d *Directory) claim(a wire.Addr, id key) {
	if a == d.own || !a.Valid() || !d.net.HasRoute(a) {
		return
	}
	p := d.peers[a]
	switch {
	case p == nil:
		if !d.table.wants(id) {
			return
		}
		if p = d.peer(a); p == nil {
			return
		}
		p.id = id
	case p.confirmed && p.id == id:
		if p.place != nowhere || !d.table.wants(id) {
			return
		}
	case p.confirmed:
		d.doubt(p)
		return
	default:
		p.id = id
	}
	p.noted = d.now
	d.ping(p)
}

// doubt is called when a contact is said to have another id: it was restarted,
// or somebody lies. Its own answer will tell, for which it is asked now and then.
func (d *Directory) doubt(p *peer) {
	if p.doubted {
		return
	}
	p.doubted = true
	d.agenda.after(d.now, max(0, doubtAfter-d.now.Sub(p.asked)), func() {
		p.doubted = false
		if d.peers[p.addr] == p && d.usable(p) {
			d.ping(p)
		}
	})
}

// ping asks a peer for the members close to this one, unless it was asked a
// moment ago.
func (d *Directory) ping(p *peer) {
	if p.pending > 0 || !p.asked.IsZero() && d.now.Sub(p.asked) < p.backoff() {
		return
	}
	if !d.pings.take(d.now, pings) {
		d.count.paced++
		return
	}
	d.ask(p, false, d.id, nil, nil)
}

// answered is called when a peer has answered a request with its id: it is a
// contact now.
func (d *Directory) answered(p *peer, id key, took time.Duration) {
	p.heard, p.noted, p.failures, p.lost = d.now, d.now, 0, time.Time{}
	p.rtt, d.rtt = smooth(p.rtt, took), smooth(d.rtt, took)
	if p.confirmed && p.id != id {
		d.count.newIDs++
		d.remove(p)
	}
	p.id, p.confirmed = id, true
	switch {
	case d.table.put(p):
		d.appeared(p)
	case p.place == spare:
		d.challenge(p)
	}
}

func smooth(old, sample time.Duration) time.Duration {
	if old == 0 {
		return max(sample, 1)
	}
	return (7*old + sample) / 8
}

// challenge sees whether the contact that was heard least recently in the
// bucket of a spare still deserves its place.
func (d *Directory) challenge(p *peer) {
	b := d.table.bucket(p.id)
	oldest := b.contacts[0]
	switch {
	case !d.usable(oldest) || oldest.failures > 0:
		d.count.replaced++
		d.remove(oldest)
	case d.now.Sub(oldest.heard) > staleAfter:
		d.ping(oldest)
	}
}

// remove takes a peer out of the table.
func (d *Directory) remove(p *peer) {
	if instead := d.table.remove(p); instead != nil {
		d.appeared(instead)
	}
}

// unanswered is called when a request to p has had its time. Requests that were
// on the way together are one failure.
func (d *Directory) unanswered(p *peer, sent time.Time) {
	if p.failures == 0 || !sent.Before(p.failed) {
		p.failures++
		p.failed = d.now
	}
	if p.failures >= maxFailures && p.place != nowhere {
		d.count.dropped++
		d.remove(p)
	}
	_, member := d.members[p.addr]
	switch {
	case p.place != nowhere || !p.confirmed && p.failures < maxClaims:
		d.agenda.after(d.now, 0, func() { d.again(p) })
	case !p.confirmed && member && p.failures < maxHopes:
		// It may not have a route to here yet: while a layer grows routes are
		// computed seldom.
		d.agenda.after(d.now, p.backoff()/2, func() { d.again(p) })
	}
}

// again pings a peer that left a request unanswered, so that one lost packet
// does not keep a contact out, and a dead one does not keep its place.
func (d *Directory) again(p *peer) {
	if d.peers[p.addr] == p && p.pending == 0 && p.failures > 0 && d.usable(p) && d.pings.take(d.now, pings) {
		d.ask(p, false, d.id, nil, nil)
	}
}

// appeared is called when a peer has come into a bucket or can be reached again.
func (d *Directory) appeared(p *peer) {
	d.count.appeared++
	d.pushTo(p)
	for _, l := range d.lookups {
		if l.idle {
			d.seed(l)
			d.step(l)
		}
	}
	if d.contacts() == 1 {
		d.agenda.after(d.now, exploreAfter, d.explore)
	}
}
