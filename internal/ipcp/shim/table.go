package shim

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
)

// The table has 2^16 slots in pages that are made when first used. The low
// bits of a number are its slot; the whole number is compared.
const (
	pageBits = 8
	pageSize = 1 << pageBits
	pages    = 1 << (16 - pageBits)
	slots    = pages * pageSize
)

// draws is how many random numbers are drawn before the free ones are searched.
const draws = 32

type page[A comparable] [pageSize]atomic.Pointer[Endpoint[A]]

// table finds endpoints by number without a lock, and gives out numbers that
// cannot be guessed and were not in use for a while.
type table[A comparable] struct {
	pages [pages]atomic.Pointer[page[A]]

	own   Range
	limit int
	rest  time.Duration // how long a number is not used again

	mu      sync.Mutex
	open    int
	closed  bool
	resting map[uint32]struct{}
	order   []rested // the numbers in resting, oldest first
}

// rested is a number that was given back.
type rested struct {
	id    uint32
	until time.Time
}

func (t *table[A]) init(own Range, limit int, rest time.Duration) {
	most := min(uint64(own.Hi)-uint64(own.Lo)+1, slots/2)
	if limit <= 0 || uint64(limit) > most {
		limit = int(most)
	}
	t.own, t.limit, t.rest = own, limit, rest
	t.resting = make(map[uint32]struct{})
}

// get finds an endpoint; nil when the number is not in use.
func (t *table[A]) get(id uint32) *Endpoint[A] {
	p := t.pages[id>>pageBits&(pages-1)].Load()
	if p == nil {
		return nil
	}
	e := p[id&(pageSize-1)].Load()
	if e == nil || e.id != id {
		return nil
	}
	return e
}

// slot gives the place of a number. The lock is held.
func (t *table[A]) slot(id uint32) *atomic.Pointer[Endpoint[A]] {
	at := &t.pages[id>>pageBits&(pages-1)]
	p := at.Load()
	if p == nil {
		p = new(page[A])
		at.Store(p)
	}
	return &p[id&(pageSize-1)]
}

// add gives e a number and makes it findable.
func (t *table[A]) add(e *Endpoint[A]) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errno.New(errno.IPCP, "the IPCP is being destroyed")
	}
	if t.open >= t.limit {
		return errno.New(errno.NoBufs, "all %d endpoints of the IPCP are in use", t.limit).
			Next("deallocate flows, or create another IPCP")
	}
	t.wake(time.Now())
	id, ok := t.pick()
	if !ok {
		return errno.New(errno.NoBufs, "no endpoint of the IPCP is free")
	}
	e.id = id
	t.slot(id).Store(e)
	t.open++
	return nil
}

// pick finds a free number: a random one; when it is crowded, the next one
// after it; when all free ones are resting, the one that has rested longest.
func (t *table[A]) pick() (id uint32, ok bool) {
	n := uint64(t.own.Hi) - uint64(t.own.Lo) + 1
	for range draws {
		id = t.own.Lo + uint32(rand.Uint64N(n))
		if t.free(id) {
			return id, true
		}
	}
	for i := range min(n, slots) {
		next := t.own.Lo + uint32((uint64(id-t.own.Lo)+i)%n)
		if t.free(next) {
			return next, true
		}
	}
	for i, r := range t.order {
		if t.slot(r.id).Load() == nil {
			delete(t.resting, r.id)
			t.order = append(t.order[:i], t.order[i+1:]...)
			return r.id, true
		}
	}
	return 0, false
}

func (t *table[A]) free(id uint32) bool {
	if t.slot(id).Load() != nil {
		return false
	}
	_, rests := t.resting[id]
	return !rests
}

// wake lets the numbers go that have rested long enough, and the oldest when
// there are too many to remember.
func (t *table[A]) wake(now time.Time) {
	n := 0
	for n < len(t.order) && (!now.Before(t.order[n].until) || len(t.order)-n > slots) {
		delete(t.resting, t.order[n].id)
		n++
	}
	t.order = t.order[n:]
}

// remove takes e out and lets its number rest.
func (t *table[A]) remove(e *Endpoint[A]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.slot(e.id)
	if at.Load() != e {
		return
	}
	at.Store(nil)
	t.open--
	now := time.Now()
	t.wake(now)
	t.resting[e.id] = struct{}{}
	t.order = append(t.order, rested{e.id, now.Add(t.rest)})
}

// all lists the endpoints.
func (t *table[A]) all() []*Endpoint[A] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list()
}

func (t *table[A]) list() []*Endpoint[A] {
	l := make([]*Endpoint[A], 0, t.open)
	for i := range t.pages {
		p := t.pages[i].Load()
		if p == nil {
			continue
		}
		for k := range p {
			if e := p[k].Load(); e != nil {
				l = append(l, e)
			}
		}
	}
	return l
}

// close lists the endpoints and adds no more.
func (t *table[A]) close() []*Endpoint[A] {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.list()
}

// size is the number of open endpoints, and of resting numbers.
func (t *table[A]) size() (open, resting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wake(time.Now())
	return t.open, len(t.resting)
}
