package linkstate

import (
	"time"

	"ouroboros/internal/ipcp/unicast/linkstate/graph"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
)

// The limits of the data base. A layer of 2,000 members with eight links each
// fills a quarter of it.
const (
	maxLinks      = 65536 // of others
	maxFromSource = 4096  // of those, of one source
)

// link is a directed link.
type link struct{ src, dst wire.Addr }

// entry is what is known of a link.
type entry struct {
	link
	seq    lsa.Seq
	own    bool
	speaks bool // the number says more: the source is of our kind
	down   bool // withdrawn
	mtu    int  // as the source says; 0 = it does not

	born    uint64    // when it was learnt, among all; the same for both directions
	stamp   time.Time // of the last update
	reverse *entry    // the other direction
	at      int       // in database.all; -1 = removed

	older, newer *entry // by stamp; not of own links
}

// usable reports whether both ends announce the link.
func (e *entry) usable() bool { return !e.down && e.reverse != nil && !e.reverse.down }

// gone reports whether the entry was removed.
func (e *entry) gone() bool { return e.at < 0 }

// set takes a number over and reports whether what it says is new.
func (e *entry) set(seq, old lsa.Seq) (changed bool) {
	down, mtu := false, 0
	e.speaks = seq.Speaks(old)
	if e.speaks {
		down, mtu = seq.Withdrawn(), seq.MTU()
	}
	changed = down != e.down || mtu != e.mtu
	e.seq, e.down, e.mtu = seq, down, mtu
	return changed
}

// database is the links that are known, each direction an entry.
type database struct {
	entries        map[link]*entry
	all            []*entry
	from           map[wire.Addr]int // entries of other sources, by source
	foreign        int               // all of those
	oldest, newest *entry
	born           uint64
}

func (d *database) init() {
	d.entries, d.from = make(map[link]*entry), make(map[wire.Addr]int)
}

// room reports whether a link of another source can be added.
func (d *database) room(src wire.Addr) bool {
	return d.foreign < maxLinks && d.from[src] < maxFromSource
}

// add enters a link that is not there.
func (d *database) add(l link, own bool) *entry {
	e := &entry{link: l, own: own, down: true, at: len(d.all)}
	d.entries[l] = e
	d.all = append(d.all, e)
	if e.reverse = d.entries[link{l.dst, l.src}]; e.reverse != nil {
		e.reverse.reverse = e
	}
	if !own {
		d.from[l.src]++
		d.foreign++
	}
	return e
}

// begin notes when a link was learnt, as its first direction was.
func (d *database) begin(e *entry) {
	if r := e.reverse; r != nil && !r.down {
		e.born = r.born
		return
	}
	d.born++
	e.born = d.born
}

// touch makes e the newest.
func (d *database) touch(e *entry, now time.Time) {
	e.stamp = now
	if e.own || d.newest == e {
		return
	}
	d.unlink(e)
	e.older = d.newest
	if d.newest != nil {
		d.newest.newer = e
	} else {
		d.oldest = e
	}
	d.newest = e
}

// unlink takes e out of the order of ages, if it is there.
func (d *database) unlink(e *entry) {
	switch {
	case e.older != nil:
		e.older.newer = e.newer
	case d.oldest == e:
		d.oldest = e.newer
	}
	switch {
	case e.newer != nil:
		e.newer.older = e.older
	case d.newest == e:
		d.newest = e.older
	}
	e.older, e.newer = nil, nil
}

func (d *database) remove(e *entry) {
	delete(d.entries, e.link)
	last := len(d.all) - 1
	d.all[e.at] = d.all[last]
	d.all[e.at].at = e.at
	d.all[last] = nil
	d.all = d.all[:last]
	e.at = -1
	if e.reverse != nil {
		e.reverse.reverse, e.reverse = nil, nil
	}
	if e.own {
		return
	}
	d.unlink(e)
	d.foreign--
	if d.from[e.src]--; d.from[e.src] == 0 {
		delete(d.from, e.src)
	}
}

// edges appends the links that can be used.
func (d *database) edges(to []graph.Edge) []graph.Edge {
	for _, e := range d.all {
		if e.src > e.dst || !e.usable() {
			continue
		}
		mtu := e.mtu
		if r := e.reverse.mtu; r > 0 && (mtu == 0 || r < mtu) {
			mtu = r
		}
		to = append(to, graph.Edge{A: e.src, B: e.dst, MTU: mtu, Born: e.born})
	}
	return to
}
