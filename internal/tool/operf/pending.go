package operf

import (
	"sync/atomic"
	"time"
)

// slots is how many messages can be under way before their times are
// forgotten; a power of two.
const slots = 1 << 17

// pending knows when messages were sent that did not come back yet. One
// goroutine sends and one receives.
type pending struct {
	sent  atomic.Int64 // messages
	times []atomic.Int64
}

func newPending() *pending { return &pending{times: make([]atomic.Int64, slots)} }

// send notes that the next message goes out, and gives its id.
func (p *pending) send(at time.Duration) (id uint32) {
	n := p.sent.Load()
	p.times[n%slots].Store(int64(at) + 1) // 0 stands for none
	p.sent.Store(n + 1)
	return uint32(n)
}

// unsend takes the last send back: the message could not be sent.
func (p *pending) unsend() { p.sent.Add(-1) }

// fate is what became of a message.
type fate uint8

const (
	returned  fate = iota // for the first time
	forgotten             // too long under way to know its time
	repeated              // returned before
	unknown               // never sent
)

// receive takes the id of a message that came back, and says when it was sent
// if it came back for the first time.
func (p *pending) receive(id uint32) (at time.Duration, f fate) {
	sent := p.sent.Load()
	// The id is the low half of the number of one of the last messages.
	n := sent - 1 - int64(uint32(sent-1)-id)
	switch {
	case n < 0:
		return 0, unknown
	case sent-n > slots:
		return 0, forgotten
	}
	switch t := p.times[n%slots].Swap(0); t {
	case 0:
		return 0, repeated
	default:
		return time.Duration(t - 1), returned
	}
}
