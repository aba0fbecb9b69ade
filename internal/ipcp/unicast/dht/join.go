package dht

import (
	"math/rand/v2"
	"slices"
	"time"

	wire "ouroboros/internal/wire/dt"
)

// Times of keeping in touch.
const (
	routesSettle = 50 * time.Millisecond // changes of routes come in flocks
	lonelyFirst  = 250 * time.Millisecond
	lonelyMost   = 10 * time.Second
	checkMost    = 30 * time.Second
	routeless    = time.Minute
	exploreAfter = 10 * time.Millisecond // what came together is a contact by then
	joinGrace    = 5 * time.Second       // in which a joiner may have no route to its peer yet
	idleLife     = 10 * time.Minute
	deepEnough   = 24 // buckets that are looked after one by one; a search for the own id does for the rest
	fewMembers   = 3  // members that are pinged at a time, of many
)

// routes looks at what the routing knows now: members that came, contacts that
// were lost and have been found again.
func (d *Directory) routes() {
	d.routesAlarm = nil
	before := d.members
	d.members = d.reachable()
	var back []*peer
	for _, p := range d.peers {
		switch has := d.usable(p); {
		case has && !p.lost.IsZero():
			p.lost, p.failures = time.Time{}, 0
			if p.place == inBucket {
				back = append(back, p)
			}
		case !has && p.lost.IsZero():
			p.lost = d.now
		}
	}
	for _, p := range back {
		d.appeared(p)
	}
	var came []wire.Addr
	for a := range d.members {
		if _, was := before[a]; !was {
			came = append(came, a)
		}
	}
	if len(came) == 0 {
		return
	}
	if d.contacts() == 0 {
		d.hello()
		return
	}
	d.meet(came)
	if len(came) >= 2 && 8*len(came) >= len(d.members) && len(before) > 0 { // two parts have become one
		d.republish(min(d.refresh, time.Minute) / 2)
	}
}

// reachable gives the other members that the routing knows.
func (d *Directory) reachable() map[wire.Addr]struct{} {
	set := make(map[wire.Addr]struct{})
	if d.listMembers == nil {
		return set
	}
	for _, a := range d.listMembers() {
		if a != d.own && a.Valid() {
			set[a] = struct{}{}
		}
	}
	return set
}

// meet pings members that are no contacts: all in a small layer, in a large one
// so many that somebody hears of each.
func (d *Directory) meet(members []wire.Addr) {
	n := len(members)
	if len(d.members) > wide {
		n = min(n, fewMembers)
		if d.table.n >= wide && rand.IntN(len(d.members)) >= wide {
			n = 0
		}
	}
	rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	for _, a := range members[:n] {
		p := d.peer(a)
		if p != nil && p.place == nowhere && d.usable(p) {
			d.ping(p)
		}
	}
}

// unmet lists members that are not in the table.
func (d *Directory) unmet() (l []wire.Addr) {
	for a := range d.members {
		if p := d.peers[a]; p == nil || p.place == nowhere {
			l = append(l, a)
		}
	}
	return l
}

// expecting reports whether a first contact may be about to answer.
func (d *Directory) expecting() bool {
	if len(d.members) > 0 {
		return true
	}
	return d.enroller != 0 && (d.net.HasRoute(d.enroller) || d.now.Sub(d.started) < joinGrace)
}

// hello asks somebody, whoever it is, as long as there is no contact: the member
// that enrolled this one and a few others.
func (d *Directory) hello() {
	if d.contacts() > 0 {
		d.lonely = 0
		return
	}
	l := d.unmet()
	rand.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
	l = l[:min(len(l), fewMembers)]
	if d.enroller != 0 && !slices.Contains(l, d.enroller) {
		l = append(l, d.enroller)
	}
	sent := false
	for _, a := range l {
		if p := d.peer(a); p != nil && p.pending == 0 && d.usable(p) && d.ask(p, false, d.id, nil, nil) {
			sent = true
		}
	}
	wait := lonelyFirst // for a route
	switch {
	case sent:
		wait = min(lonelyFirst<<min(d.lonely, 10), lonelyMost)
		d.lonely++
	case len(l) == 0 || d.now.Sub(d.started) > routeless:
		return // check comes again, and so do routes
	}
	d.helloAlarm = d.rearm(d.helloAlarm, wait, d.hello)
}

func (d *Directory) rearm(al *alarm, wait time.Duration, do func()) *alarm {
	if al == nil {
		return d.agenda.after(d.now, wait, do)
	}
	d.agenda.move(al, d.now.Add(wait))
	return al
}

// check looks after the table, again and again.
func (d *Directory) check() {
	every := min(d.refresh/4, checkMost)
	d.agenda.after(d.now, every-rand.N(every/4), d.check)
	d.routes()
	if d.contacts() == 0 {
		d.hello()
	} else {
		d.meet(d.unmet())
		if p := d.peers[d.enroller]; d.enroller != 0 && (p == nil || !p.confirmed) {
			d.meetEnroller()
		}
	}
	d.refreshTable()
	d.sweep()
}

// meetEnroller pings the member that enrolled this one until it has answered
// once.
func (d *Directory) meetEnroller() {
	if p := d.peer(d.enroller); p != nil && d.usable(p) {
		d.ping(p)
	}
}

// explore looks for the members close to this one, and then for others at all
// distances: what a joiner does when it has found its first contact.
func (d *Directory) explore() {
	l := d.look(d.id, false)
	if l == nil {
		return
	}
	l.done = append(l.done, func(*lookup) {
		if d.complete() {
			return
		}
		d.republish(joinGrace)
		for i := range min(d.table.deepest()+1, deepEnough) {
			if len(d.table.buckets[i].contacts) < d.k {
				d.look(randomNear(d.id, i), false)
			}
		}
	})
}

// refreshTable looks for members at distances at which nothing was looked for
// lately, and pings contacts that have not been heard of.
func (d *Directory) refreshTable() {
	pinged := 0
	d.table.all(func(p *peer) bool {
		if d.now.Sub(p.heard) > d.refresh && d.usable(p) {
			d.ping(p)
			pinged++
		}
		return pinged < small
	})
	if d.contacts() == 0 || d.complete() {
		return
	}
	looked := 0
	for i := range min(d.table.deepest()+1, deepEnough) {
		switch b := &d.table.buckets[i]; {
		case b.touched.IsZero():
			b.touched = d.now
		case d.now.Sub(b.touched) > d.refresh && looked < 2:
			d.look(randomNear(d.id, i), false)
			looked++
		}
	}
	if d.now.Sub(d.explored) > d.refresh {
		d.explored = d.now
		d.look(d.id, false)
	}
}

// sweep forgets what is of no use any more. An address is that of one life of a
// member, so one that has been without a route for long does not come back.
func (d *Directory) sweep() {
	for a, p := range d.peers {
		switch {
		case p.pending > 0:
		case !p.lost.IsZero() && d.now.Sub(p.lost) > max(d.refresh, time.Minute):
			d.remove(p)
			delete(d.peers, a)
		case p.place == nowhere && d.now.Sub(p.noted) > idleLife:
			delete(d.peers, a)
		}
	}
	for r, until := range d.failed {
		if d.now.After(until) {
			delete(d.failed, r)
		}
	}
	for k, until := range d.rests {
		if d.now.After(until) {
			delete(d.rests, k)
		}
	}
	for k, r := range d.results {
		if d.now.After(r.until) {
			delete(d.results, k)
		}
	}
}
