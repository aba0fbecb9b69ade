package dht

import (
	"slices"
	"time"

	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// Bounds of lookups.
const (
	maxLookups = 1024
	maxEntries = 128 // members that one lookup considers
	maxFound   = 64  // values that it takes

	lookupLife = 2 * time.Second
	firstGrace = time.Second // for the first contact of a member that joins

	// small is the number of contacts up to which a value is stored at all of
	// them, and all are asked before it is known that there is none.
	small = 20
)

// entryState is how far a lookup is with a member.
type entryState uint8

const (
	fresh   entryState = iota
	waiting            // it was asked
	missing            // it has not answered in its time; it may be asked once more
	given              // it has answered
	failing            // it will not be asked again
)

// entry is a member that a lookup considers.
type entry struct {
	addr  wire.Addr
	id    key
	round int // in which it was asked, the first being 1
	state entryState
	tries int
}

// phase is what a lookup is about. In all of them new members that are closer
// come first.
type phase uint8

const (
	closing   phase = iota // asks the closest
	repeating              // asks those of the closest that have not answered once more
	sweeping               // asks the rest of a small layer: members of another make store where they like
)

// what names a lookup.
type what struct {
	key   key
	value bool // for values, else for members
}

// lookup is a search for the members closest to a key, or for its values.
type lookup struct {
	what
	began    time.Time
	entries  []*entry // closest first
	phase    phase
	inflight int
	rounds   int
	answers  int // members that have answered
	asked    int
	idle     bool // nobody is there to be asked; a first contact may come

	found []wire.Addr
	good  bool // one of found can be reached

	alarm    *alarm // the end of its life
	merge    *alarm // the end of the moment after the first good value
	finished bool

	questions []*question          // of Query
	helped    []*help              // of others
	done      []func(last *lookup) // of publishing and of refreshing
}

// look gives the lookup for a key, which may have begun before; nil when there
// are too many.
func (d *Directory) look(k key, value bool) *lookup {
	w := what{k, value}
	if l := d.lookups[w]; l != nil {
		return l
	}
	if len(d.lookups) >= maxLookups {
		d.count.lookupsFull++
		return nil
	}
	l := &lookup{what: w, began: d.now}
	d.lookups[w] = l
	d.count.lookups++
	l.alarm = d.agenda.after(d.now, lookupLife, func() { d.finish(l) })
	if b := d.table.bucket(k); b != nil {
		b.touched = d.now
	}
	d.seed(l)
	// The first step is taken after who started it has said what it wants.
	d.agenda.after(d.now, 0, func() { d.step(l) })
	return l
}

// seed gives a lookup the members to begin with.
func (d *Directory) seed(l *lookup) {
	for _, p := range d.table.closest(l.key, max(small, d.k), d.usable) {
		d.consider(l, p.addr, p.id, 1)
	}
	if len(l.entries) > 0 {
		return
	}
	for _, p := range d.peers { // claims are better than nothing
		if len(l.entries) < d.k && p.id != "" && !p.silent() && d.usable(p) {
			d.consider(l, p.addr, p.id, 1)
		}
	}
}

// consider enters a member in a lookup, where its distance puts it.
func (d *Directory) consider(l *lookup, a wire.Addr, id key, round int) {
	if slices.ContainsFunc(l.entries, func(e *entry) bool { return e.addr == a }) {
		return
	}
	if len(l.entries) >= maxEntries {
		last := l.entries[maxEntries-1]
		if last.state != fresh || !closer(l.key, id, last.id) {
			return
		}
		l.entries = l.entries[:maxEntries-1]
	}
	l.insert(&entry{addr: a, id: id, round: round})
}

func (l *lookup) insert(e *entry) {
	at, _ := slices.BinarySearchFunc(l.entries, e, func(a, b *entry) int {
		if closer(l.key, b.id, a.id) {
			return 1
		}
		return -1
	})
	l.entries = slices.Insert(l.entries, at, e)
}

// step asks whom there is to ask, and ends the lookup when there is nobody.
func (d *Directory) step(l *lookup) {
	if l.finished || l.merge != nil {
		return
	}
	if l.idle {
		l.idle = false
		d.agenda.move(l.alarm, l.began.Add(lookupLife))
	}
	for {
		e, width := d.next(l)
		if e == nil || l.inflight >= width {
			break
		}
		p := d.peer(e.addr)
		if p == nil {
			e.state = failing
			continue
		}
		if p.id == "" {
			p.id = e.id
		}
		e.tries++
		if !d.ask(p, l.value, l.key, l, e) {
			e.state = failing
			continue
		}
		e.state = waiting
		l.asked++
		l.inflight++
		l.rounds = max(l.rounds, e.round)
	}
	if l.inflight > 0 {
		return
	}
	if rest := firstGrace - d.now.Sub(l.began); l.asked == 0 && rest > 0 && d.expecting() {
		l.idle = true
		d.agenda.move(l.alarm, d.now.Add(rest))
		return
	}
	d.finish(l)
}

// next gives the member to be asked next, and how many may be asked at a time;
// nil when none is to be asked now.
func (d *Directory) next(l *lookup) (e *entry, width int) {
	var again *entry
	n := 0
	for _, e := range l.entries {
		if (e.state == fresh || e.state == missing) && d.hopeless(e) {
			e.state = failing
		}
		if e.state == failing {
			continue
		}
		if e.state == fresh {
			return e, d.alpha
		}
		if e.state == missing { // another is asked in its place
			if again == nil {
				again = e
			}
			continue
		}
		if n++; n == d.k {
			break
		}
	}
	if l.phase == closing && l.inflight == 0 {
		l.phase = repeating
	}
	if l.phase == repeating {
		if again != nil {
			return again, d.k
		}
		if l.inflight == 0 && l.value && len(l.entries) <= small {
			l.phase = sweeping
		}
	}
	if l.phase == sweeping {
		for _, e := range l.entries {
			if e.state == fresh && !d.hopeless(e) {
				return e, small
			}
		}
	}
	return nil, 0
}

// hopeless reports whether it is known that a member will not answer.
func (d *Directory) hopeless(e *entry) bool {
	p := d.peers[e.addr]
	return !d.net.HasRoute(e.addr) || p != nil && p.silent()
}

// missed is told that a member has not answered in its time.
func (d *Directory) missed(l *lookup, e *entry) {
	if l.finished {
		return
	}
	l.inflight--
	e.state = missing
	if e.tries >= maxFailures {
		e.state = failing
	}
	d.proceed(l)
}

// reached is told the answer of a member, which may be late.
func (d *Directory) reached(l *lookup, e *entry, m *codec.Message) {
	var values []wire.Addr
	if l.value {
		for _, v := range m.Values {
			if a, ok := codec.Addr(v); ok {
				values = append(values, a)
			}
		}
	}
	if l.finished {
		if len(values) > 0 {
			d.remember(l.key, values)
		}
		return
	}
	if e.state == waiting {
		l.inflight--
	}
	e.state = given
	l.answers++
	if id := key(m.Src.ID); e.id != id {
		l.entries = slices.DeleteFunc(l.entries, func(o *entry) bool { return o == e })
		e.id = id
		l.insert(e)
	}
	taken := 0
	for _, c := range m.Contacts {
		if taken == maxK {
			break
		}
		if d.hearsay(l, c, e.round+1) {
			taken++
		}
	}
	for _, a := range values {
		d.value(l, a)
	}
	if l.good && l.merge == nil {
		l.merge = d.agenda.after(d.now, min(max(d.rtt/4, 2*time.Millisecond), 20*time.Millisecond), func() { d.finish(l) })
	}
	d.proceed(l)
}

// hearsay considers a contact that an answer named.
func (d *Directory) hearsay(l *lookup, c codec.Contact, round int) bool {
	if c.Addr == d.own || !d.net.HasRoute(c.Addr) {
		return false
	}
	id := key(c.ID)
	if p := d.peers[c.Addr]; p != nil {
		if p.silent() {
			d.ping(p)
			return false
		}
		if p.confirmed { // its own word counts
			id = p.id
		}
	}
	d.consider(l, c.Addr, id, round)
	return true
}

// value takes a value that was found.
func (d *Directory) value(l *lookup, a wire.Addr) {
	if a == d.own {
		return
	}
	l.found = merge(l.found, []wire.Addr{a})
	l.good = l.good || d.good(l.key, a)
}

// proceed goes on after an answer, or after none.
func (d *Directory) proceed(l *lookup) {
	switch {
	case l.merge == nil:
		d.step(l)
	case l.inflight == 0:
		d.finish(l)
	}
}

// finish ends a lookup and tells who waits for it.
func (d *Directory) finish(l *lookup) {
	if l.finished {
		return
	}
	l.finished = true
	d.agenda.cancel(l.alarm)
	d.agenda.cancel(l.merge)
	delete(d.lookups, l.what)
	d.count.rounds = max(d.count.rounds, l.rounds)
	if l.value {
		d.concluded(l)
	}
	for _, f := range l.done {
		f(l)
	}
}

// closest are the members that have answered, closest first, at most k.
func (l *lookup) closest(k int) (all []*entry) {
	for _, e := range l.entries {
		if e.state == given && len(all) < k {
			all = append(all, e)
		}
	}
	return all
}
