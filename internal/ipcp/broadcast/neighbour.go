package broadcast

import (
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
)

// neighbour is one end of a connection, or of the flow of a joined process, at
// the forwarder. It is the flow.Handler of what comes from there.
type neighbour struct {
	f     *forwarder
	flow  flow.Flow
	user  *userEnd // of a joined process; nil: a connection
	queue queue
	count tally
	id    uint32
	link  *link        // of a connection
	limit atomic.Int64 // longest packet that is sent to it

	// Of the forwarder's mu:
	open   bool // a connection that takes no part in the tree
	agreed bool // the tree lets it carry, or it is no part of it
	down   bool
	stormy bool
	closed bool

	carries atomic.Bool      // what all that comes to
	tested  atomic.Bool      // by the guard
	held    atomic.Bool      // a process that waits
	watch   watch            // of the guard
	scratch []*packet.Buffer // of Receive
	copies  []*packet.Buffer // of Receive
}

// tally counts what a neighbour received and was sent.
type tally struct {
	received, sent   atomic.Uint64 // packets
	bytesIn          atomic.Uint64
	blocked          atomic.Uint64 // received while it did not carry
	overrun, tooLong atomic.Uint64 // not sent: its queue was full; longer than it takes
	storm            atomic.Uint64 // received, and dropped by the guard
}

func (t *tally) add(o *tally) {
	t.received.Add(o.received.Load())
	t.sent.Add(o.sent.Load())
	t.bytesIn.Add(o.bytesIn.Load())
	t.blocked.Add(o.blocked.Load())
	t.overrun.Add(o.overrun.Load())
	t.tooLong.Add(o.tooLong.Load())
	t.storm.Add(o.storm.Load())
}

func (n *neighbour) local() bool { return n.user != nil }

// Receive implements flow.Handler: what came goes to all others.
func (n *neighbour) Receive(batch []*packet.Buffer) (taken int) {
	f := n.f
	s := f.carrying.Load()
	if !n.carries.Load() {
		n.count.blocked.Add(uint64(len(batch)))
		packet.ReleaseAll(batch)
		return len(batch)
	}
	if n.local() && f.saturated(s) {
		// Who makes room looks at held after that: look once more.
		n.held.Store(true)
		if f.saturated(s) {
			return 0
		}
		n.held.Store(false)
	}
	all, fresh := n.admit(batch)
	last := -1
	for i, o := range s.all {
		if o != n {
			last = i
		}
	}
	if last < 0 {
		packet.ReleaseAll(all)
	}
	for i, o := range s.all[:last+1] {
		switch {
		case o == n:
		case i == last && o.tested.Load():
			packet.ReleaseAll(all[fresh:])
			o.send(all[:fresh])
		case i == last:
			o.send(all)
		default:
			some := all
			if o.tested.Load() {
				some = all[:fresh]
			}
			n.copies = n.copies[:0]
			for _, b := range some {
				if b.Len() > int(o.limit.Load()) {
					o.count.tooLong.Add(1)
					continue
				}
				n.copies = append(n.copies, b.Clone())
			}
			o.send(n.copies)
		}
	}
	clear(n.scratch[:cap(n.scratch)])
	clear(n.copies[:cap(n.copies)])
	return len(batch)
}

// admit gives those packets of a batch that are passed on, and how many of them
// go also to a neighbour that is tested; the others are released. An empty one
// is nothing that a process wrote.
func (n *neighbour) admit(batch []*packet.Buffer) (all []*packet.Buffer, fresh int) {
	n.scratch = n.scratch[:0]
	bytes := 0
	for _, b := range batch {
		if b.Len() == 0 {
			b.Release()
			continue
		}
		bytes += b.Len()
		n.scratch = append(n.scratch, b)
	}
	n.count.received.Add(uint64(len(n.scratch)))
	n.count.bytesIn.Add(uint64(bytes))
	if n.f.guard.active.Load() {
		return n.f.guard.pass(n, n.scratch)
	}
	return n.scratch, len(n.scratch)
}

// send passes packets to the neighbour, as far as it takes them and there is
// room for the rest. batch stays the caller's slice.
func (n *neighbour) send(batch []*packet.Buffer) {
	limit := int(n.limit.Load())
	k := 0
	for _, b := range batch {
		if b.Len() > limit {
			n.count.tooLong.Add(1)
			b.Release()
			continue
		}
		batch[k] = b
		k++
	}
	batch = batch[:k]
	if k == 0 {
		return
	}
	dropped := n.queue.send(n, batch)
	n.count.sent.Add(uint64(k - dropped))
	n.count.overrun.Add(uint64(dropped))
}

// resize takes the MTU of the flow over.
func (n *neighbour) resize() {
	mtu := n.flow.MTU()
	if n.link != nil && n.link.foreign() {
		mtu = min(mtu, cMTU)
	}
	n.limit.Store(int64(mtu))
}

// queue is what a neighbour did not take yet. Packets overtake none that wait,
// so those of one sender stay in order.
type queue struct {
	most      flow.Limit
	waits     atomic.Bool  // something waits, or is being sent
	fullSince atomic.Int64 // ns; 0 = it is not full

	mu       sync.Mutex
	q        packet.Queue
	draining bool // a goroutine is
	writable bool // room came meanwhile
	drops    int  // calls of drop
	closed   bool
	batch    [64]*packet.Buffer // of who drains
}

// send gives n what it takes and queues the rest; it says how many packets were
// dropped.
func (q *queue) send(n *neighbour, batch []*packet.Buffer) (dropped int) {
	taken := 0
	if !q.waits.Load() {
		taken = n.flow.Send(batch)
		if taken == len(batch) {
			return 0
		}
	}
	q.mu.Lock()
	gone := q.closed || !n.carries.Load() // since the snapshot was taken
	for _, b := range batch[taken:] {
		if gone || q.q.Len() >= q.most.Packets || q.q.Bytes()+b.Len() > q.most.Bytes && q.q.Len() > 0 {
			b.Release()
			dropped++
			continue
		}
		q.q.Push(b)
	}
	q.waits.Store(q.q.Len() > 0 || q.draining)
	filled := q.full() && q.fullSince.Load() == 0
	if filled {
		q.fullSince.Store(time.Now().UnixNano())
	}
	q.mu.Unlock()
	if filled {
		n.f.filled()
	}
	q.drain(n) // room may have come before it was known that somebody waits
	return dropped
}

// full: there may not be room for another batch. q.mu is held.
func (q *queue) full() bool {
	return q.q.Len() > 0 && (2*q.q.Len() >= q.most.Packets || 2*q.q.Bytes() >= q.most.Bytes)
}

// room says that n takes packets again.
func (q *queue) room(n *neighbour) {
	q.mu.Lock()
	q.writable = true
	q.mu.Unlock()
	q.drain(n)
}

// drain sends what waits, as far as n takes it. No lock is held while it sends.
func (q *queue) drain(n *neighbour) {
	q.mu.Lock()
	if q.draining {
		q.mu.Unlock()
		return
	}
	q.draining = true
	for !q.closed && q.q.Len() > 0 {
		q.writable = false
		batch := q.batch[:0]
		for len(batch) < cap(batch) && q.q.Len() > 0 {
			batch = append(batch, q.q.Pop())
		}
		drops := q.drops
		q.mu.Unlock()
		taken := n.flow.Send(batch)
		q.mu.Lock()
		if q.drops != drops {
			packet.ReleaseAll(batch[taken:])
		} else {
			q.q.Unpop(batch[taken:])
		}
		short := taken < len(batch)
		clear(batch)
		if short && !q.writable {
			break
		}
	}
	q.draining = false
	q.waits.Store(q.q.Len() > 0)
	roomy := !q.full() && q.fullSince.Swap(0) != 0
	q.mu.Unlock()
	if roomy {
		n.f.release()
	}
}

// drop releases what waits.
func (q *queue) drop() {
	q.mu.Lock()
	q.q.Drop()
	q.drops++
	q.waits.Store(q.draining)
	q.fullSince.Store(0)
	q.mu.Unlock()
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.drop()
}

// held is what waits, in packets and bytes.
func (q *queue) held() (packets, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.q.Len(), q.q.Bytes()
}
