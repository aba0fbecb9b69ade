package broadcast

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/flow"
)

// cMTU is the longest packet that a member of the C implementation passes on;
// it cuts longer ones, so it is sent none.
const cMTU = 1400

// patience is how long a process that writes waits for connections that take
// nothing. After it they lose packets, and the others go on.
const patience = 100 * time.Millisecond

// forwarder copies what comes from one neighbour to all others. Neighbours are
// connections with other members and flows of joined processes; the rule makes
// no difference between them.
//
//	Receive(batch) ──► snapshot of those that carry ──► queue, Send   one each
//
// What arrived together leaves together, run to completion on the goroutine
// that received it. Nothing here waits for a neighbour: each has a queue, and
// loses what it does not take. The only ones that wait are processes that
// write, and they wait for connections, not for each other.
type forwarder struct {
	afterFunc func(time.Duration, func()) *time.Timer

	carrying atomic.Pointer[snapshot]
	guard    guard

	mu      sync.Mutex
	all     map[*neighbour]struct{}
	lastID  uint32
	mtu     int  // of the flows of processes
	telling bool // a goroutine tells them
	retell  bool // it must do so again

	watching atomic.Bool // a timer waits for connections that are full

	// What the neighbours that are gone have counted.
	gone tally
}

// snapshot are the neighbours that carry; it is never changed.
type snapshot struct {
	all   []*neighbour
	links int // of them, connections
}

func newForwarder(afterFunc func(time.Duration, func()) *time.Timer, log *slog.Logger) *forwarder {
	f := &forwarder{afterFunc: afterFunc, all: make(map[*neighbour]struct{}), mtu: flow.MaxPacket}
	f.carrying.Store(&snapshot{})
	f.guard.init(f, log)
	return f
}

// longest is the longest packet that all connections take.
func (f *forwarder) longest() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mtu
}

func (f *forwarder) isDown(n *neighbour) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return n.down
}

// add enters a neighbour, whose handler is attached after that, unless it was
// removed already.
func (f *forwarder) add(n *neighbour) {
	f.mu.Lock()
	if n.closed {
		f.mu.Unlock()
		return
	}
	f.lastID++
	n.id = f.lastID
	f.all[n] = struct{}{}
	f.publish()
	f.mu.Unlock()
	f.measure()
}

// remove forgets a neighbour; what waits for it is dropped.
func (f *forwarder) remove(n *neighbour) {
	f.mu.Lock()
	n.closed = true
	if _, ok := f.all[n]; !ok {
		f.mu.Unlock()
		return
	}
	delete(f.all, n)
	f.publish()
	f.mu.Unlock()
	n.queue.close()
	f.gone.add(&n.count)
	f.measure()
	f.release()
}

// set changes what decides whether a neighbour carries.
func (f *forwarder) set(n *neighbour, change func(n *neighbour)) {
	if f.change(n, change) {
		f.release()
	}
}

// change is set, and says whether release must be called; it may be called with
// locks held.
func (f *forwarder) change(n *neighbour, change func(n *neighbour)) (ends bool) {
	f.mu.Lock()
	change(n)
	carried := n.carries.Load()
	f.publish()
	ends = carried && !n.carries.Load()
	f.mu.Unlock()
	if ends {
		n.queue.drop()
	}
	return ends
}

// publish makes the snapshot anew. f.mu is held.
func (f *forwarder) publish() {
	s := &snapshot{}
	open, links := 0, 0
	for n := range f.all {
		n.carries.Store(!n.closed && !n.down && n.agreed && !n.stormy)
		if !n.local() {
			links++
			if n.open {
				open++
			}
		}
		if n.carries.Load() {
			s.all = append(s.all, n)
			if !n.local() {
				s.links++
			}
		}
	}
	f.carrying.Store(s)
	// A loop that nobody sees leads out over an open connection and back over
	// another one.
	f.guard.set(open >= 1 && links >= 2)
}

// measure gives the flows of processes the longest packet that all connections
// take. The users of those flows are told without a lock, one change at a time.
func (f *forwarder) measure() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.telling {
		f.retell = true
		return
	}
	f.telling = true
	for again := true; again; again = f.retell {
		f.retell = false
		f.mtu = flow.MaxPacket
		var local []*neighbour
		for n := range f.all {
			if n.local() {
				local = append(local, n)
			} else {
				f.mtu = min(f.mtu, int(n.limit.Load()))
			}
		}
		mtu := f.mtu
		f.mu.Unlock()
		for _, n := range local {
			n.user.setMTU(mtu)
		}
		f.mu.Lock()
	}
	f.telling = false
}

// saturated reports whether a process that writes should wait: there are
// connections, and all of them are full since a moment.
func (f *forwarder) saturated(s *snapshot) bool {
	if s.links == 0 {
		return false
	}
	waits := false
	var now time.Time
	for _, n := range s.all {
		if n.local() {
			continue
		}
		since := n.queue.fullSince.Load()
		if since == 0 {
			return false
		}
		if now.IsZero() {
			now = time.Now()
		}
		if now.Sub(time.Unix(0, since)) < patience {
			waits = true // one that takes nothing for longer holds nobody
		}
	}
	return waits
}

// release lets the processes that wait try again.
func (f *forwarder) release() {
	for _, n := range f.carrying.Load().all {
		if n.held.Load() && n.held.Swap(false) {
			n.flow.Resume()
		}
	}
}

// filled is called when the queue of a connection has become full.
func (f *forwarder) filled() {
	if !f.watching.Swap(true) {
		f.afterFunc(patience, f.watch)
	}
}

// watch ends the patience of processes that wait.
func (f *forwarder) watch() {
	f.watching.Store(false)
	f.release()
	for _, n := range f.carrying.Load().all {
		if !n.local() && n.queue.fullSince.Load() != 0 {
			f.filled()
			return
		}
	}
}
