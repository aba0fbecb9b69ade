package dht

import (
	"time"

	wire "ouroboros/internal/wire/dt"
)

// Bounds of what is known about addresses.
const (
	maxPeers   = 4096
	evictLook  = 64 // peers looked at when one must go
	maxBackoff = 5 * time.Minute
)

// Limits of answers to one address.
var (
	answersToClaims   = rate{20, 40}
	answersToContacts = rate{1000, 2000}
)

// peer is what is known about an address.
type peer struct {
	addr      wire.Addr
	id        key  // of its last answer, or what was claimed last
	confirmed bool // it has answered, with this id
	ours      bool // it follows contacts by itself: its requests bear the mark
	place     place

	heard   time.Time     // its last answer
	asked   time.Time     // the last request to it
	doubted bool          // it is looked soon whether it has another id
	pending int           // requests that wait for an answer
	rtt     time.Duration // smoothed; 0 = not measured

	failures int       // requests in a row that it left unanswered
	failed   time.Time // when the last of them was given up
	lost     time.Time // since when there is no route; zero: there is
	noted    time.Time // when it was heard of last, from whomever

	answers pace
}

// silent reports whether p has left so many requests unanswered that no lookup
// waits for it. A ping that it answers ends that.
func (p *peer) silent() bool { return p.failures >= maxFailures }

// backoff is the pause between two pings.
func (p *peer) backoff() time.Duration {
	return min(time.Second<<min(p.failures, 10), maxBackoff)
}

// peer gives what is known about an address, and begins to know something; nil
// when there is no room.
func (d *Directory) peer(a wire.Addr) *peer {
	p := d.peers[a]
	if p == nil {
		if len(d.peers) >= maxPeers && !d.evictPeer() {
			d.count.peersFull++
			return nil
		}
		p = &peer{addr: a}
		d.peers[a] = p
	}
	p.noted = d.now
	return p
}

// evictPeer forgets, of a few peers outside of the table, the one that was not
// heard of for longest.
func (d *Directory) evictPeer() bool {
	var oldest *peer
	looked := 0
	for _, p := range d.peers {
		if p.place != nowhere || p.pending > 0 {
			continue
		}
		if oldest == nil || p.noted.Before(oldest.noted) {
			oldest = p
		}
		if looked++; looked == evictLook {
			break
		}
	}
	if oldest == nil {
		return false
	}
	delete(d.peers, oldest.addr)
	return true
}

// usable reports whether a contact can be asked and named to others.
func (d *Directory) usable(p *peer) bool { return d.net.HasRoute(p.addr) }

// contacts is the number of usable contacts.
func (d *Directory) contacts() (n int) {
	d.table.all(func(p *peer) bool {
		if d.usable(p) {
			n++
		}
		return true
	})
	return n
}
