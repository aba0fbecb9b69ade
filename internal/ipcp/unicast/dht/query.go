package dht

import (
	"math/rand/v2"
	"slices"
	"time"

	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/dt"
)

// Bounds and times of answers to the own node.
const (
	resultLife  = 2 * time.Second
	maxResults  = 1024
	failureLife = 30 * time.Second // how long an address where nobody answered is tried last
	maxFailed   = 4096
)

// question is a Query that waits for its answer.
type question struct {
	answer chan result // of one
	lookup *lookup     // nil: it was answered
}

type result struct {
	addrs []wire.Addr
	err   error
}

// results are values that were found a moment ago.
type results struct {
	addrs []wire.Addr
	until time.Time
}

// registration is an address of a name.
type registration struct {
	key  key
	addr wire.Addr
}

// query answers q, at once or after a lookup.
func (d *Directory) query(k key, q *question) {
	d.count.queries++
	known := d.values.addrs(k, d.now)
	enough := d.central(k)
	if r := d.results[k]; r != nil && d.now.Before(r.until) {
		known = merge(known, r.addrs)
		enough = true
	}
	known = slices.DeleteFunc(known, func(a wire.Addr) bool { return a == d.own })
	if enough && slices.ContainsFunc(known, func(a wire.Addr) bool { return d.good(k, a) }) {
		d.count.local++
		q.answer <- result{addrs: d.order(k, known)}
		return
	}
	l := d.look(k, true)
	if l == nil {
		q.answer <- result{err: errno.New(errno.NoBufs, "the directory has %d lookups under way", maxLookups).Next("try again")}
		return
	}
	l.found = merge(l.found, known) // better than nothing at the end
	q.lookup = l
	l.questions = append(l.questions, q)
}

// central reports whether this member is one of those at which all values of a
// key are stored.
func (d *Directory) central(k key) bool {
	return d.contacts() <= small || d.closerThan(k, d.id, d.k, nil)
}

// leave is called when nobody waits for q any more. The lookup goes on: the
// next one who asks has the result.
func (d *Directory) leave(q *question) {
	if l := q.lookup; l != nil {
		l.questions = slices.DeleteFunc(l.questions, func(o *question) bool { return o == q })
	}
}

// concluded tells those who wait what a lookup for values has found.
func (d *Directory) concluded(l *lookup) {
	if len(l.found) > 0 {
		d.remember(l.key, l.found)
	} else {
		d.count.negative++
	}
	for _, q := range l.questions {
		q.lookup = nil
		q.answer <- d.resultOf(l)
	}
	d.helpEnds(l)
}

func (d *Directory) resultOf(l *lookup) result {
	switch {
	case len(l.found) > 0:
		return result{addrs: d.order(l.key, l.found)}
	case l.asked > 0 && l.answers == 0:
		return result{err: errno.New(errno.TimedOut, "no member of the layer answers the directory").
			Next("see whether the connections of the IPCP carry packets")}
	}
	return result{err: errno.New(errno.NameError, "no member of the layer has registered the name")}
}

// remember keeps what was found for a moment.
func (d *Directory) remember(k key, addrs []wire.Addr) {
	r := d.results[k]
	if r == nil || d.now.After(r.until) {
		if len(d.results) >= maxResults {
			d.forgetResults()
		}
		r = &results{until: d.now.Add(resultLife)}
		d.results[k] = r
	}
	r.addrs = merge(r.addrs, addrs)
}

// forgetResults makes room: the old results go, or else any one.
func (d *Directory) forgetResults() {
	for k, r := range d.results {
		if d.now.After(r.until) {
			delete(d.results, k)
		}
	}
	for k := range d.results {
		if len(d.results) < maxResults {
			return
		}
		delete(d.results, k)
	}
}

// failedAt notes that nobody answered for a name at an address.
func (d *Directory) failedAt(k key, a wire.Addr) {
	delete(d.results, k)
	if len(d.failed) >= maxFailed {
		for r, until := range d.failed {
			if d.now.After(until) || len(d.failed) >= maxFailed {
				delete(d.failed, r)
			}
		}
	}
	d.failed[registration{k, a}] = d.now.Add(failureLife)
	if p := d.peers[a]; p != nil && d.usable(p) {
		d.ping(p)
	}
}

// hasFailed reports whether nobody answered there lately.
func (d *Directory) hasFailed(k key, a wire.Addr) bool {
	until, ok := d.failed[registration{k, a}]
	return ok && d.now.Before(until)
}

// good reports whether an address is worth to be tried first.
func (d *Directory) good(k key, a wire.Addr) bool { return d.net.HasRoute(a) && !d.hasFailed(k, a) }

// order gives the addresses as they are to be tried, without changing the
// argument: the good ones first, in random order so that members with the same
// name share its load.
func (d *Directory) order(k key, addrs []wire.Addr) []wire.Addr {
	l := slices.Clone(addrs)
	rand.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
	slices.SortStableFunc(l, func(a, b wire.Addr) int { return d.rank(k, a) - d.rank(k, b) })
	return l
}

func (d *Directory) rank(k key, a wire.Addr) (n int) {
	if !d.net.HasRoute(a) {
		n++
	}
	if d.hasFailed(k, a) {
		n += 2
	}
	return n
}

// merge appends what l does not have.
func merge(l, more []wire.Addr) []wire.Addr {
	for _, a := range more {
		if !slices.Contains(l, a) && len(l) < maxFound {
			l = append(l, a)
		}
	}
	return l
}
