package dht

import (
	"slices"
	"time"
)

// wide is the number of contacts up to which a bucket takes more than k: a layer
// of that size is known whole.
const wide = 32

// place is where a peer stands in the table.
type place uint8

const (
	nowhere place = iota
	inBucket
	spare // kept for when its bucket has room
)

// bucket holds the contacts whose ids share the same number of leading bits with
// the own one.
type bucket struct {
	contacts []*peer // least recently heard first
	spares   []*peer // the same, at most k
	touched  time.Time
}

// table is the contacts by distance from the own id. Only confirmed peers stand
// in it.
type table struct {
	own     key
	k       int
	buckets []bucket // by the number of bits shared
	n       int      // contacts, without spares
}

func newTable(own key, k int) *table {
	return &table{own: own, k: k, buckets: make([]bucket, 8*len(own))}
}

// bucket gives where an id belongs; nil for the own one.
func (t *table) bucket(id key) *bucket {
	if n := prefix(t.own, id); n < len(t.buckets) {
		return &t.buckets[n]
	}
	return nil
}

// fits reports whether a contact with this id would be put in a bucket.
func (t *table) fits(id key) bool {
	b := t.bucket(id)
	return b != nil && (len(b.contacts) < t.k || t.n < wide)
}

// wants reports whether the table has use for such a contact, if only as a
// spare.
func (t *table) wants(id key) bool {
	b := t.bucket(id)
	return b != nil && (t.fits(id) || len(b.spares) < t.k)
}

// put enters a peer or moves it behind those heard before. It reports whether
// the peer has come into a bucket just now. When there is no room it is a spare.
func (t *table) put(p *peer) (entered bool) {
	b := t.bucket(p.id)
	if b == nil {
		return false
	}
	switch p.place {
	case inBucket:
		b.contacts = append(without(b.contacts, p), p)
		return false
	case spare:
		b.spares = without(b.spares, p)
	}
	if t.fits(p.id) {
		t.enter(b, p)
		return true
	}
	b.spares = append(b.spares, p)
	p.place = spare
	if len(b.spares) > t.k {
		b.spares[0].place = nowhere
		b.spares = slices.Delete(b.spares, 0, 1)
	}
	return false
}

func (t *table) enter(b *bucket, p *peer) {
	b.contacts = append(b.contacts, p)
	p.place = inBucket
	t.n++
}

// remove takes a peer out, and gives the spare that took its place; nil when
// there is none.
func (t *table) remove(p *peer) (instead *peer) {
	was := p.place
	if was == nowhere {
		return nil
	}
	p.place = nowhere
	switch b := t.bucket(p.id); was {
	case spare:
		b.spares = without(b.spares, p)
	case inBucket:
		b.contacts = without(b.contacts, p)
		t.n--
		if last := len(b.spares) - 1; last >= 0 && len(b.contacts) < t.k {
			instead = b.spares[last]
			b.spares = slices.Delete(b.spares, last, last+1)
			t.enter(b, instead)
		}
	}
	return instead
}

func without(l []*peer, p *peer) []*peer {
	if i := slices.Index(l, p); i >= 0 {
		return slices.Delete(l, i, i+1)
	}
	return l
}

// all calls f for each contact until it says no.
func (t *table) all(f func(p *peer) bool) {
	for i := range t.buckets {
		for _, p := range t.buckets[i].contacts {
			if !f(p) {
				return
			}
		}
	}
}

// closest gives at most n contacts that are ok, closest to target first.
func (t *table) closest(target key, n int, ok func(p *peer) bool) []*peer {
	var l []*peer
	if n <= 0 {
		return nil
	}
	t.all(func(p *peer) bool {
		if len(l) == n && !closer(target, p.id, l[n-1].id) || !ok(p) {
			return true
		}
		at, _ := slices.BinarySearchFunc(l, p, func(a, b *peer) int {
			if closer(target, a.id, b.id) {
				return -1
			}
			return 1
		})
		if len(l) == n {
			l = l[:n-1]
		}
		l = slices.Insert(l, at, p)
		return true
	})
	return l
}

// deepest is the highest index of a bucket that has contacts; -1 for none.
func (t *table) deepest() int {
	for i := len(t.buckets) - 1; i >= 0; i-- {
		if len(t.buckets[i].contacts) > 0 {
			return i
		}
	}
	return -1
}
