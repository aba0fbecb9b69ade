package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"sync"
	"sync/atomic"

	"ouroboros/internal/packet"
)

// Places in the window of keys.
const (
	before = iota // the epoch before; none in the first
	now
	next
	afterNext
	keys
)

// epoch is one epoch as this end sees it. All but used is fixed, so that both
// directions read it without a lock.
type epoch struct {
	number uint64
	keys   [keys]cipher.AEAD
	phase  byte     // of what is sealed, in its place
	start  position // of the IVs
	last   position // where those of the epoch before started

	_    [64]byte // the count changes, what is above is read by both directions
	used atomic.Uint64
}

// authenticated seals with an AEAD.
type authenticated struct {
	suite    suite
	most     uint64 // packets in an epoch, unless the peer moves on earlier
	counters *Counters

	epoch atomic.Pointer[epoch] // nil = closed

	moving sync.Mutex // guards the moves to the next epoch, and chain
	chain  *chain

	opening sync.Mutex     // guards what is below
	hint    [2]uint64      // number of the epoch that opened the last packet of each phase
	spare   *packet.Buffer // while a batch is opened
	search  search
	memory  [2]memory // of the present epoch and the one before, by their last bit
}

func newAuthenticated(u suite, c Config) *authenticated {
	a := &authenticated{suite: u, most: 3 << c.EpochBit / 2, counters: c.Counters, chain: newChain(c.Key)}
	var e epoch
	for i := now; i < keys; i++ {
		e.keys[i] = a.nextKey()
	}
	a.begin(&e)
	return a
}

func (a *authenticated) nextKey() (k cipher.AEAD) {
	a.chain.take(func(key *[KeySize]byte) { k = a.suite.newAEAD(key) })
	return k
}

// begin draws the start of the IVs and makes e the present epoch.
func (a *authenticated) begin(e *epoch) {
	var start [aeadIV]byte
	rand.Read(start[:])
	e.start = positionOf(start[:])
	if e.number == 0 {
		e.last = e.start
	}
	e.phase = byte(e.number&1) << 7
	a.epoch.Store(e)
}

// move goes to an epoch, unless the end is there already, or farther.
func (a *authenticated) move(to uint64) {
	a.moving.Lock()
	defer a.moving.Unlock()
	from := a.epoch.Load()
	if from == nil || from.number >= to {
		return
	}
	by := int(to - from.number)
	e := &epoch{number: to, last: from.start}
	for i := range e.keys {
		if old := i + by; old < keys {
			e.keys[i] = from.keys[old]
		}
	}
	// Of a long way only the last keys are kept.
	for at := from.number + keys - now; at < e.number+keys-now; at++ {
		k := a.nextKey()
		if i := at + now - e.number; i < keys {
			e.keys[i] = k
		}
	}
	a.begin(e)
	a.counters.Epochs.Add(uint64(by))
}

// seal implements machine. Each packet takes a place in the epoch, which is its
// IV too; a batch that does not fit into the rest of the epoch goes on in the
// next one.
func (a *authenticated) seal(batch []*packet.Buffer) (sealed int) {
	for sealed < len(batch) {
		if batch[sealed].Len() == 0 {
			sealed++
			continue
		}
		run := 1 // packets until the next empty one
		for sealed+run < len(batch) && batch[sealed+run].Len() > 0 {
			run++
		}
		e := a.epoch.Load()
		if e == nil {
			return sealed
		}
		end := e.used.Add(uint64(run))
		for slot := end - uint64(run); slot < min(end, a.most); slot++ {
			e.seal(batch[sealed], slot)
			sealed++
		}
		if end >= a.most {
			a.move(e.number + 1)
		}
	}
	return sealed
}

// seal seals one packet.
func (e *epoch) seal(b *packet.Buffer, slot uint64) {
	b.Prepend(aeadIV)
	b.Append(tag)
	p := b.Bytes()
	iv, plain := p[:aeadIV], p[aeadIV:len(p)-tag]
	e.start.plus(slot).put(iv, e.phase)
	e.keys[now].Seal(plain[:0], iv, plain, nil)
}

// open implements machine. A failed attempt destroys where it writes to, so that
// is the spare buffer, which then trades places with the packet.
func (a *authenticated) open(b *packet.Buffer) verdict {
	a.opening.Lock()
	defer a.opening.Unlock()
	e := a.epoch.Load()
	if e == nil {
		return closed
	}
	p := b.Bytes()
	iv, phase := positionOf(p), p[0]>>7
	if a.own(e, iv) {
		return repeated
	}
	a.prepare(len(p) - aeadIV - tag)
	at, ok := a.find(e, p, a.hint[phase]+now-e.number)
	if !ok {
		return refused
	}
	a.search.stop()
	number := e.number + uint64(at) - now
	if !a.memory[number&1].fresh(number, iv) {
		return repeated
	}
	b.Swap(a.spare)
	a.hint[phase] = number
	switch at {
	case before:
		return earlier
	case now:
		return current
	}
	a.move(number)
	return later
}

// own reports whether an IV is one of our own: the packet has come back.
func (a *authenticated) own(e *epoch, iv position) bool {
	for _, start := range [...]position{e.start, e.last} {
		if d, ok := iv.since(start); ok && d >= 0 && uint64(d) < a.most {
			return true
		}
	}
	return false
}

// find opens p into the spare buffer and gives the place of the key, beginning
// with the one that is expected, if there is such a place.
func (a *authenticated) find(e *epoch, p []byte, expected uint64) (at int, ok bool) {
	if expected >= keys {
		expected = now
	}
	if at = int(expected); a.try(e.keys[at], p) {
		return at, true
	}
	for _, at = range [...]int{now, before, next, afterNext} {
		if at != int(expected) && a.try(e.keys[at], p) {
			return at, true
		}
	}
	if a.search.missed++; a.search.missed < patience || a.search.missed%pause != 0 {
		return 0, false
	}
	return a.lookAhead(e, p)
}

// try opens p into the spare buffer with one of the keys.
func (a *authenticated) try(k cipher.AEAD, p []byte) bool {
	if k == nil {
		return false
	}
	_, err := k.Open(a.spare.Bytes()[:0], p[:aeadIV], p[aeadIV:], nil)
	return err == nil
}

// prepare makes the spare buffer n bytes long.
func (a *authenticated) prepare(n int) {
	if a.spare != nil {
		if a.spare.Reuse(n) {
			return
		}
		a.spare.Release()
	}
	a.spare = packet.Get(n)
}

// opened implements machine. A flow on which nothing comes holds no buffer.
func (a *authenticated) opened(n uint64) {
	a.dropSpare()
	e := a.epoch.Load()
	if e != nil && n > 0 && e.used.Add(n) >= a.most {
		a.move(e.number + 1)
	}
}

// close implements machine.
func (a *authenticated) close() {
	a.moving.Lock()
	a.epoch.Store(nil)
	a.chain.wipe()
	a.moving.Unlock()
	a.opening.Lock()
	a.search.stop()
	a.opening.Unlock()
}

func (a *authenticated) dropSpare() {
	a.opening.Lock()
	defer a.opening.Unlock()
	if a.spare != nil {
		a.spare.Release()
		a.spare = nil
	}
}
