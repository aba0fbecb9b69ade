package dht

import (
	"math/rand/v2"
	"time"

	"ouroboros/internal/errno"
	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// Bounds of publishing.
const (
	maxNames      = 1 << 16
	maxPublishing = 16              // lookups at a time
	repeatAfter   = 2 * time.Second // the first STOREs are sent twice: nobody says that they arrived
	repeatGrowth  = 4               // of the pauses after that, while contacts appear
	maxOutbox     = 1 << 16
	retryAfter    = 20 * time.Millisecond // when the first hop has no room
)

// storing is how fast STOREs leave.
var storing = rate{1000, 128}

// name is a name that is registered here.
//
// A member that has just joined does not know yet who is closest to it, and in a
// layer that grows not even who is there. So a name is published again after
// pauses that grow, if contacts have appeared meanwhile, and in any case
// regularly.
type name struct {
	key      key
	next     *alarm // it may be published again
	pause    time.Duration
	last     time.Time // when it was published
	appeared uint64    // how many contacts had by then
	due      bool      // it is published next time, whatever has happened
}

// register enters a name and publishes it.
func (d *Directory) register(k key) error {
	n := d.names[k]
	if n == nil {
		if len(d.names) >= maxNames {
			return errno.New(errno.NoBufs, "%d names are registered with this IPCP", maxNames).Next("unregister some of them")
		}
		n = &name{key: k}
		d.names[k] = n
	}
	n.pause, n.due = repeatAfter, true
	d.publishName(n)
	d.alarmName(n, repeatAfter+rand.N(repeatAfter/2))
	return nil
}

// unregister forgets a name. Copies elsewhere end when they are not renewed.
func (d *Directory) unregister(k key) {
	if n := d.names[k]; n != nil {
		d.agenda.cancel(n.next)
		delete(d.names, k)
	}
}

// publishName publishes a name.
func (d *Directory) publishName(n *name) {
	n.last, n.appeared = d.now, d.count.appeared
	d.publish(registration{n.key, d.own})
}

// alarmName looks at a name after a time, and from then on again and again.
func (d *Directory) alarmName(n *name, wait time.Duration) {
	if n.next == nil {
		n.next = d.agenda.after(d.now, wait, func() { d.nameDue(n) })
		return
	}
	d.agenda.move(n.next, d.now.Add(wait))
}

// nameDue publishes a name if it is time or of use.
func (d *Directory) nameDue(n *name) {
	every := min(d.replicate, d.expire/2)
	if n.due || n.appeared != d.count.appeared || d.now.Sub(n.last) >= every-every/5 {
		n.due = false
		d.publishName(n)
	}
	n.pause = min(max(repeatGrowth*n.pause, repeatAfter), every)
	wait := min(n.pause, n.last.Add(every).Sub(d.now))
	d.alarmName(n, wait-rand.N(wait/5+1))
}

// republish publishes all names soon, in the given time.
func (d *Directory) republish(within time.Duration) {
	for _, n := range d.names {
		n.due = true
		if at := d.now.Add(rand.N(within)); at.Before(n.next.at) {
			d.agenda.move(n.next, at)
		}
	}
}

// ownExpiry is when a registration ends that is not renewed.
func (d *Directory) ownExpiry() uint32 {
	return uint32(d.now.Add(min(d.expire, 2*d.replicate+slack)).Unix())
}

// publish stores a registration where it belongs: at once at all contacts of a
// small layer, and at the closest members when a lookup has found them. Not
// before: who holds a value without being close is not told of the next one.
func (d *Directory) publish(r registration) {
	d.count.published++
	all, complete := d.contacts() <= small, d.complete()
	if all || complete {
		d.pushClosest(r, all)
	}
	if complete {
		return
	}
	if _, ok := d.publishing[r]; !ok && len(d.publishing) < maxOutbox {
		d.publishing[r] = struct{}{}
		d.toPublish = append(d.toPublish, r)
		d.publishNext()
	}
}

// pushClosest stores a registration at the contacts that are closest, or at
// all.
func (d *Directory) pushClosest(r registration, all bool) {
	n := d.k
	if all {
		n = small
	}
	for _, p := range d.table.closest(r.key, n, d.usable) {
		d.push(p.addr, r)
	}
}

// publishNext begins lookups for what is to be published.
func (d *Directory) publishNext() {
	for d.publishers < maxPublishing && len(d.toPublish) > 0 {
		r := d.toPublish[0]
		d.toPublish = d.toPublish[1:]
		l := d.look(r.key, false)
		if l == nil { // it is published again later
			delete(d.publishing, r)
			continue
		}
		d.publishers++
		l.done = append(l.done, func(l *lookup) {
			d.publishers--
			delete(d.publishing, r)
			closest := l.closest(d.k)
			for _, e := range closest {
				d.push(e.addr, r)
			}
			if len(closest) < d.k {
				d.pushClosest(r, false)
			}
			d.publishNext()
		})
	}
}

// complete reports whether every member of the layer is a contact, or has left
// all questions unanswered, so that a lookup could find nobody closer.
func (d *Directory) complete() bool {
	if len(d.members) == 0 || len(d.members) > 2*wide {
		return false
	}
	for a := range d.members {
		if p := d.peers[a]; p == nil || p.place != inBucket && p.failures < maxClaims {
			return false
		}
	}
	return true
}

// pushTo gives a contact that has appeared what it should hold: own names, if
// this member knows the closest to them, and of the values of others those for
// which it was the closest itself.
func (d *Directory) pushTo(p *peer) {
	if !d.usable(p) {
		return
	}
	all := d.contacts() <= small
	for k := range d.names {
		if all || d.central(k) && d.closerThan(k, p.id, d.k, p) {
			d.push(p.addr, registration{k, d.own})
		}
	}
	for k, l := range d.values.keys {
		if !d.closerThan(k, d.id, 1, p) || !all && !d.closerThan(k, p.id, d.k, p) {
			continue
		}
		for _, v := range l {
			if d.net.HasRoute(v.addr) {
				d.push(p.addr, registration{k, v.addr})
			}
		}
	}
}

// closerThan reports whether fewer than n contacts other than p are closer to k
// than id.
func (d *Directory) closerThan(k, id key, n int, p *peer) bool {
	d.table.all(func(o *peer) bool {
		if o != p && closer(k, o.id, id) && d.usable(o) {
			n--
		}
		return n > 0
	})
	return n > 0
}

// delivery is a registration that is to be stored at a member.
type delivery struct {
	to wire.Addr
	registration
}

// outbox is what is to be stored elsewhere, each once.
type outbox struct {
	queue  []delivery
	queued map[delivery]struct{}
	pace   pace
	alarm  *alarm // nil: nothing waits
}

// push sends a registration to be stored, now or as fast as is allowed.
func (d *Directory) push(to wire.Addr, r registration) {
	o := &d.outbox
	v := delivery{to, r}
	if _, ok := o.queued[v]; ok || to == r.addr {
		return
	}
	if len(o.queued) >= maxOutbox {
		d.count.outboxFull++
		return
	}
	o.queued[v] = struct{}{}
	o.queue = append(o.queue, v)
	if o.alarm == nil {
		o.alarm = d.agenda.after(d.now, 0, d.drain)
	}
}

// drain sends what may leave now.
func (d *Directory) drain() {
	o := &d.outbox
	o.alarm = nil
	for len(o.queue) > 0 {
		v, allowed := o.queue[0], o.pace.take(d.now, storing)
		if allowed {
			o.queue = o.queue[1:]
			if d.deliver(v) {
				delete(o.queued, v)
				continue
			}
			o.queue = append(o.queue, v) // the others may have another first hop
		}
		o.alarm = d.agenda.after(d.now, retryAfter, d.drain)
		return
	}
	o.queue = nil
}

// deliver sends one STORE with what holds now; false when there is no room at
// the first hop.
func (d *Directory) deliver(v delivery) bool {
	m := codec.Message{Code: codec.Store, Key: []byte(v.key), Value: codec.PutAddr(v.addr)}
	if v.addr == d.own {
		if d.names[v.key] == nil {
			return true
		}
		m.Expiry = d.ownExpiry()
	} else {
		kept := d.values.get(v.key, v.addr)
		if kept == nil || int64(kept.expiry) < d.now.Unix() {
			return true
		}
		m.Expiry = kept.expiry
	}
	if !d.net.HasRoute(v.to) {
		return true
	}
	d.count.pushed++
	return d.send(v.to, &m)
}
