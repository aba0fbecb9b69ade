package flow

import (
	"sync"

	"ouroboros/internal/packet"
)

// Limit bounds a queue of packets. One packet always fits into an empty queue.
type Limit struct {
	Packets int // 0 = DefaultLimit.Packets
	Bytes   int // 0 = DefaultLimit.Bytes
}

// DefaultLimit holds four of the longest packets, or 1024 short ones.
var DefaultLimit = Limit{Packets: 1024, Bytes: 4 * MaxPacket}

func (l Limit) orDefault() Limit {
	if l.Packets <= 0 {
		l.Packets = DefaultLimit.Packets
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultLimit.Bytes
	}
	return l
}

// offered is the number of packets that are taken out of the queue for one
// call of Receive.
const offered = 64

// Inbox hands packets to one Handler as the contract of Flow promises it: in
// order, never two calls at a time, no lock held, the end last. It keeps what
// the handler does not take, up to its limit, and takes itself no more than
// that. Packets may be put from any goroutine, also from inside the handler.
//
// There is no goroutine: who puts delivers, what others put meanwhile too. A
// put from inside a delivery only queues, so the depth of calls is bounded
// however many flows are joined in a ring. Only when others keep one goroutine
// delivering for longer than a full queue does it pass the work on to a new
// one, so that it gets back to its own flows.
//
// Must be set up with Init.
type Inbox struct {
	limit Limit
	room  func() // called when there is room after a Put that took fewer; may be nil
	spawn func(func())

	mu      sync.Mutex
	h       Handler
	q       packet.Queue
	early   []Event          // before Attach
	scratch []*packet.Buffer // of the goroutine that is delivering
	end     Event            // after the last packet; 0 = none yet
	busy    bool             // a goroutine is delivering
	held    bool             // the handler is full: wait for Resume
	resumed bool             // Resume came during the present call of Receive
	full    bool             // a Put took fewer: room is owed
	ended   bool             // end was delivered
	closed  bool             // by the handler's side
	dropped uint64
}

// Init sets the limit, who is told when there is room after a Put that took
// fewer (nil: nobody), and who starts the rare goroutine (nil: go); spawn must not run
// the function itself.
func (i *Inbox) Init(l Limit, room func(), spawn func(func())) {
	i.limit, i.room, i.spawn = l.orDefault(), room, spawn
	if i.spawn == nil {
		i.spawn = func(f func()) { go f() }
	}
}

// Put delivers batch, or queues it for later, and says how many packets it
// took. A closed or ended Inbox takes and releases all.
func (i *Inbox) Put(batch []*packet.Buffer) (taken int) {
	if len(batch) == 0 {
		return 0
	}
	i.mu.Lock()
	if i.closed || i.end != 0 {
		i.dropped += uint64(len(batch))
		i.mu.Unlock()
		packet.ReleaseAll(batch)
		return len(batch)
	}
	if i.busy || i.held || i.h == nil || i.q.Len() > 0 {
		taken = i.queue(batch)
		if !i.busy {
			i.deliver(true)
		}
		i.mu.Unlock()
		return taken
	}
	// The common case: nothing waits, so the batch goes up as it came.
	i.busy = true
	n := i.offer(batch)
	taken = n
	if n < len(batch) {
		if i.closed {
			packet.ReleaseAll(batch[n:])
			taken = len(batch)
		} else {
			taken += i.queue(batch[n:])
		}
	}
	i.busy = false
	i.deliver(true)
	i.mu.Unlock()
	return taken
}

// queue appends what fits. The lock is held.
func (i *Inbox) queue(batch []*packet.Buffer) (n int) {
	for _, b := range batch {
		if l := i.q.Len(); l > 0 && (l >= i.limit.Packets || i.q.Bytes()+b.Len() > i.limit.Bytes) {
			i.full = true
			break
		}
		i.q.Push(b)
		n++
	}
	return n
}

// offer calls Receive and notes whether the handler is full. The lock is held,
// but not during the call; when the handler panics it is left unlocked.
func (i *Inbox) offer(batch []*packet.Buffer) (n int) {
	h := i.h
	i.resumed = false
	i.mu.Unlock()
	returned := false
	defer func() {
		i.mu.Lock()
		if !returned {
			i.busy = false
			i.mu.Unlock()
		} else if n < len(batch) {
			i.held = !i.resumed
		}
	}()
	n = h.Receive(batch)
	if n < 0 || n > len(batch) {
		panic("flow: a handler took packets that were not offered")
	}
	returned = true
	return n
}

// deliver offers what is queued, and the end. The lock is held at call and
// return, not during calls of the handler.
func (i *Inbox) deliver(bounded bool) {
	if i.busy || i.h == nil {
		return
	}
	i.busy = true
	budget := i.limit.Packets
	for !i.closed && !i.held && i.q.Len() > 0 {
		if bounded && budget <= 0 {
			i.spawn(i.deliverRest)
			return // still busy: the new goroutine is
		}
		if i.scratch == nil {
			i.scratch = make([]*packet.Buffer, offered)
		}
		batch := i.scratch[:0]
		for len(batch) < offered && i.q.Len() > 0 {
			batch = append(batch, i.q.Pop())
		}
		n := i.offer(batch)
		budget -= n
		if i.closed {
			packet.ReleaseAll(batch[n:])
		} else {
			i.q.Unpop(batch[n:])
		}
		clear(batch)
		i.tellRoom()
	}
	if i.end != 0 && !i.ended && !i.closed && i.q.Len() == 0 {
		i.ended = true
		h, e := i.h, i.end
		i.mu.Unlock()
		h.Event(e)
		i.mu.Lock()
	}
	i.busy = false
}

func (i *Inbox) deliverRest() {
	i.mu.Lock()
	i.busy = false
	i.deliver(false)
	i.mu.Unlock()
}

// tellRoom tells who was refused, once half of the queue is free. The lock is
// held, but not during the call.
func (i *Inbox) tellRoom() {
	if !i.full || !i.closed && (2*i.q.Len() > i.limit.Packets || 2*i.q.Bytes() > i.limit.Bytes) {
		return
	}
	i.full = false
	if i.room != nil {
		i.mu.Unlock()
		i.room()
		i.mu.Lock()
	}
}

// Attach sets the handler and delivers what came before. Attaching a second
// one panics.
func (i *Inbox) Attach(h Handler) {
	i.mu.Lock()
	if i.h != nil {
		i.mu.Unlock()
		panic("flow: a second handler is attached")
	}
	i.h = h
	i.busy = true // packets that arrive now queue up behind the events
	for len(i.early) > 0 && !i.closed {
		e := i.early[0]
		i.early = i.early[1:]
		i.mu.Unlock()
		h.Event(e)
		i.mu.Lock()
	}
	i.early = nil
	i.busy = false
	i.deliver(true)
	i.mu.Unlock()
}

// Pop takes the oldest packet out of an Inbox that nobody is attached to yet;
// nil when there is none.
func (i *Inbox) Pop() *packet.Buffer {
	i.mu.Lock()
	if i.h != nil {
		i.mu.Unlock()
		panic("flow: popping what a handler is to receive")
	}
	b := i.q.Pop()
	i.tellRoom()
	i.mu.Unlock()
	return b
}

// Resume offers again what the handler did not take.
func (i *Inbox) Resume() {
	i.mu.Lock()
	i.resumed, i.held = true, false
	i.deliver(true)
	i.mu.Unlock()
}

// Event reports e to the handler now, before packets that are queued. Of the
// events before Attach the last of each kind is kept.
func (i *Inbox) Event(e Event) {
	i.mu.Lock()
	h := i.h
	switch {
	case i.closed || i.ended:
		h = nil
	case h == nil:
		for k, old := range i.early {
			if old == e {
				i.early = append(i.early[:k], i.early[k+1:]...)
				break
			}
		}
		i.early = append(i.early, e)
	}
	i.mu.Unlock()
	if h != nil {
		h.Event(e)
	}
}

// End reports e, mostly EventDealloc, after the last packet that is queued,
// and takes nothing more. Only the first call counts.
func (i *Inbox) End(e Event) {
	i.mu.Lock()
	if i.end == 0 && !i.closed {
		i.end = e
		i.deliver(true)
	}
	i.mu.Unlock()
}

// Close drops what is queued and calls the handler no more: its side has
// deallocated. It reports whether this call did it.
func (i *Inbox) Close() bool {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return false
	}
	i.closed = true
	i.early = nil
	i.dropped += uint64(i.q.Drop())
	i.tellRoom()
	i.mu.Unlock()
	return true
}

// Len is the number of queued packets.
func (i *Inbox) Len() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.q.Len()
}

// Held is what is queued: packets and the sum of their lengths in bytes.
func (i *Inbox) Held() (packets, bytes int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.q.Len(), i.q.Bytes()
}

// Dropped counts the packets that came after the end or were queued at Close.
func (i *Inbox) Dropped() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.dropped
}
