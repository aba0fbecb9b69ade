package protect

import (
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
)

const (
	// atOnce is how many waiting packets are passed on in one call.
	atOnce = 64
	// parting is how long packets that wait hold up a Dealloc.
	parting = 10 * time.Second
)

// outbox keeps the packets that were taken from the user and not by the flow
// below: of one batch at most, for each goroutine that sends. They go before all
// others, when there is room.
type outbox struct {
	below flow.Flow
	tell  func()       // a user that was refused may send again
	n     atomic.Int32 // packets in q, or on their way down

	mu       sync.Mutex
	q        packet.Queue
	scratch  []*packet.Buffer
	writable uint64      // times that there was room
	flushing bool        // a goroutine passes packets on
	refused  bool        // the user waits for room
	over     bool        // nothing waits any more, whatever the flow below says
	last     func()      // when nothing waits any more; of the end of the flow
	late     *time.Timer // does not wait for longer
}

// len is the number of packets that wait.
func (o *outbox) len() int { return int(o.n.Load()) }

// ready reports whether a batch may be sent, and remembers it when not.
func (o *outbox) ready() bool {
	if o.n.Load() == 0 {
		return true
	}
	o.flush() // heals a word of room that was missed
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = o.n.Load() > 0
	return !o.refused
}

// send passes packets down, and keeps those that are not taken.
func (o *outbox) send(batch []*packet.Buffer) {
	o.mu.Lock()
	seen := o.writable
	o.mu.Unlock()
	rest := batch[o.below.Send(batch):]
	if len(rest) == 0 {
		return
	}
	o.mu.Lock()
	if o.over {
		o.mu.Unlock()
		packet.ReleaseAll(rest)
		return
	}
	for _, b := range rest {
		o.q.Push(b)
	}
	o.n.Add(int32(len(rest)))
	again := o.writable != seen
	o.mu.Unlock()
	if again {
		o.flush()
	}
}

// room is called when the flow below has room again.
func (o *outbox) room() {
	o.mu.Lock()
	o.writable++
	o.mu.Unlock()
	o.flush()
}

// flush passes on what waits, until the flow below is full.
func (o *outbox) flush() {
	o.mu.Lock()
	if o.flushing {
		o.mu.Unlock()
		return // that one looks again before it stops
	}
	o.flushing = true
	for o.q.Len() > 0 {
		batch := o.scratch[:0]
		for len(batch) < atOnce && o.q.Len() > 0 {
			batch = append(batch, o.q.Pop())
		}
		seen := o.writable
		o.mu.Unlock()
		n := o.below.Send(batch)
		o.n.Add(int32(-n))
		o.mu.Lock()
		o.q.Unpop(batch[n:])
		full := n < len(batch) && o.writable == seen
		if o.over {
			o.n.Add(int32(-o.q.Drop()))
		}
		clear(batch)
		o.scratch = batch[:0]
		if full {
			break
		}
	}
	o.flushing = false
	o.leave()
}

// drop gives up what waits: the flow below has ended.
func (o *outbox) drop() {
	o.mu.Lock()
	o.over = true
	o.n.Add(int32(-o.q.Drop()))
	o.leave()
}

// close calls last when nothing waits any more, now or later.
func (o *outbox) close(last func()) {
	o.mu.Lock()
	o.last = last
	if o.n.Load() > 0 {
		o.late = time.AfterFunc(parting, o.drop)
	}
	o.leave()
}

// leave releases the lock, and tells whom it concerns when nothing waits.
func (o *outbox) leave() {
	if o.n.Load() > 0 {
		o.mu.Unlock()
		return
	}
	tell, last := o.refused, o.last
	o.refused, o.last = false, nil
	if last != nil && o.late != nil {
		o.late.Stop()
	}
	o.mu.Unlock()
	if tell {
		o.tell()
	}
	if last != nil {
		last()
	}
}
