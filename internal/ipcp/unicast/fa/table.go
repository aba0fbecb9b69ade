package fa

import (
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/dt"
)

// The table has 2^16 slots in pages that are made when first used. The low
// bits of an endpoint are its slot; the whole number is compared.
const (
	pageBits = 8
	pageSize = 1 << pageBits
	pages    = 1 << (16 - pageBits)
	slots    = pages * pageSize

	flowsMost = slots / 2
)

// rest is how long an endpoint is remembered after its end: a peer that has not
// heard of it sends at least its keep-alives.
const rest = time.Minute

// restsMost is the most endpoints that are remembered.
const restsMost = slots

// foreign reports whether an endpoint can be one of the C implementation, whose
// lower half is a descriptor. Ours never are.
func foreign(eid uint64) bool {
	low := uint32(eid)
	return low >= wire.FirstFlowEID && low < 4096
}

type page [pageSize]atomic.Pointer[Flow]

// table finds flows by endpoint without a lock, and gives out endpoints that
// cannot be guessed and were never used before.
type table struct {
	pages [pages]atomic.Pointer[page]
	rand  io.Reader

	mu      sync.Mutex
	open    int
	closed  bool
	resting map[uint64]*rested
	order   []*rested // those in resting, oldest first
}

// rested is an endpoint that was given back.
type rested struct {
	eid    uint64
	until  time.Time
	peer   wire.Addr
	remote uint64    // endpoint of the peer; 0 = never known
	said   time.Time // when the peer was told last
}

func (t *table) init(r io.Reader) {
	t.rand = r
	t.resting = make(map[uint64]*rested)
}

// get finds a flow; nil when the endpoint is not in use.
func (t *table) get(eid uint64) *Flow {
	p := t.pages[eid>>pageBits&(pages-1)].Load()
	if p == nil {
		return nil
	}
	f := p[eid&(pageSize-1)].Load()
	if f == nil || f.eid != eid {
		return nil
	}
	return f
}

// slot gives the place of an endpoint. The lock is held.
func (t *table) slot(eid uint64) *atomic.Pointer[Flow] {
	at := &t.pages[eid>>pageBits&(pages-1)]
	p := at.Load()
	if p == nil {
		p = new(page)
		at.Store(p)
	}
	return &p[eid&(pageSize-1)]
}

// add gives f an endpoint and makes it findable.
func (t *table) add(f *Flow) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed()
	}
	if t.open >= flowsMost {
		return errno.New(errno.NoBufs, "all %d endpoints of the IPCP are in use", flowsMost).
			Next("deallocate flows")
	}
	eid, err := t.draw()
	if err != nil {
		return err
	}
	f.eid = eid
	t.slot(eid).Store(f)
	t.open++
	return nil
}

// draw gives an endpoint whose slot is free. At most half of the slots are in
// use, so a few draws do.
func (t *table) draw() (uint64, error) {
	for {
		eid, err := t.number()
		if err != nil {
			return 0, err
		}
		if t.resting[eid] == nil && t.slot(eid).Load() == nil {
			return eid, nil
		}
	}
}

// number draws what can be an endpoint of ours.
func (t *table) number() (uint64, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(t.rand, b[:]); err != nil {
			return 0, errno.New(errno.IPCP, "no random number for an endpoint: %v", err)
		}
		if eid := binary.BigEndian.Uint64(b[:]); eid >= wire.FirstFlowEID && !foreign(eid) {
			return eid, nil
		}
	}
}

// spare draws an endpoint that is given to nobody, as stands in a refusal.
func (t *table) spare() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	eid, _ := t.number()
	return eid
}

// remove takes f out and remembers its endpoint for a while.
func (t *table) remove(f *Flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.slot(f.eid)
	if at.Load() != f {
		return
	}
	at.Store(nil)
	t.open--
	now := time.Now()
	t.wake(now)
	r := &rested{eid: f.eid, until: now.Add(rest), peer: f.peer.addr, remote: f.remote.Load()}
	t.resting[f.eid] = r
	t.order = append(t.order, r)
}

// wake forgets the endpoints that have rested long enough, and the oldest when
// there are too many.
func (t *table) wake(now time.Time) {
	n := 0
	for n < len(t.order) && (!now.Before(t.order[n].until) || len(t.order)-n >= restsMost) {
		delete(t.resting, t.order[n].eid)
		t.order[n] = nil
		n++
	}
	if t.order = t.order[n:]; len(t.order) == 0 {
		t.order = nil
	}
}

// repeat is the shortest time between two answers to who sends to an endpoint
// that has ended.
const repeat = time.Second

// ended looks for an endpoint that was in use lately and whose peer is to be
// told now that it has ended. A peer's endpoint that was not known is learned
// from remote, if that is not 0.
func (t *table) ended(eid, remote uint64) (r rested, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.wake(now)
	e := t.resting[eid]
	if e == nil {
		return r, false
	}
	if e.remote == 0 {
		e.remote = remote
	}
	if e.remote == 0 || remote != 0 && remote != e.remote || foreign(e.remote) || now.Sub(e.said) < repeat && !e.said.IsZero() {
		return r, false
	}
	e.said = now
	return *e, true
}

// all lists the flows.
func (t *table) all() []*Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list()
}

func (t *table) list() []*Flow {
	l := make([]*Flow, 0, t.open)
	for i := range t.pages {
		p := t.pages[i].Load()
		if p == nil {
			continue
		}
		for k := range p {
			if f := p[k].Load(); f != nil {
				l = append(l, f)
			}
		}
	}
	return l
}

// close lists the flows and adds no more.
func (t *table) close() []*Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return t.list()
}

// size is the number of flows, and of endpoints that rest.
func (t *table) size() (open, resting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wake(time.Now())
	return t.open, len(t.resting)
}
