package seal

import "crypto/cipher"

const (
	// patience is how many packets in a row may be refused before keys are looked
	// at that the peer cannot have come to yet, as far as this end knows.
	patience = 64
	// pause is how many more for each key that is looked at.
	pause = 8
	// farthest is how many epochs ahead a peer is looked for: 2^30 packets.
	farthest = 1024
)

// search looks for a peer that is farther ahead than the window of keys. A cable
// that was cut for some seconds is enough: who sends a million packets a second
// comes to another key each second, whether or not they arrive.
//
// Every few packets that are refused one is tried with one key more. The peer stays
// with its key for 2^20 packets, so it is found; forged packets cost little more for
// it, and a search that finds nobody begins again.
type search struct {
	missed int    // packets refused in a row
	chain  *chain // of the next key; nil = not begun
	from   uint64 // the epoch of this end when it began
	at     int    // the place of the next key, counted like those of the window
}

// stop ends the search: something was opened.
func (s *search) stop() {
	s.missed = 0
	if s.chain != nil {
		s.chain.wipe()
		s.chain = nil
	}
}

// lookAhead tries one key beyond the window and gives its place, counted like
// those in the window.
func (a *authenticated) lookAhead(e *epoch, p []byte) (at int, ok bool) {
	s := &a.search
	if s.chain == nil || s.from != e.number || s.at >= farthest {
		a.moving.Lock()
		same := a.epoch.Load() == e
		c := *a.chain
		a.moving.Unlock()
		if !same {
			c.wipe()
			return 0, false
		}
		if s.chain != nil {
			s.chain.wipe()
		}
		s.chain, s.from, s.at = &c, e.number, keys
	}
	var k cipher.AEAD
	s.chain.take(func(key *[KeySize]byte) { k = a.suite.newAEAD(key) })
	at = s.at
	s.at++
	return at, a.try(k, p)
}
