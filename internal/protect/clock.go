package protect

import (
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
)

// quarter of the time-out without a packet asks for a keep-alive.
const quarter = 4

// Attach implements flow.Flow. The times run from here.
func (f *Flow) Attach(h flow.Handler) {
	f.in.Attach(h)
	if f.timeout > 0 {
		now := f.now()
		f.sent.Store(now)
		f.heard.Store(now)
		f.mu.Lock()
		if !f.closed {
			f.timer = time.AfterFunc(f.timeout/quarter, f.tick)
			f.armed = true
		}
		f.mu.Unlock()
	}
	f.below.Attach(f)
}

// tick is called by the timer: it does what is due and sets the timer for what
// is due next.
func (f *Flow) tick() {
	f.mu.Lock()
	f.armed = false
	if f.ended || f.closed {
		f.finish()
		return
	}
	f.firing = true
	now := f.now()
	silent := time.Duration(now - f.heard.Load())
	idle := time.Duration(now - f.sent.Load())
	f.dead = silent >= f.timeout
	alive := !f.dead && idle >= f.timeout/quarter
	if alive {
		f.sent.Store(now)
		idle = 0
	}
	if !f.dead {
		f.timer.Reset(min(f.timeout-silent, f.timeout/quarter-idle))
		f.armed = true
	}
	dead := f.dead
	f.mu.Unlock()

	if alive {
		f.counters.AliveOut.Add(1)
		flow.SendOrDrop(f.below, []*packet.Buffer{packet.Get(0)})
	}
	if dead {
		f.counters.Silent.Add(1)
		f.in.Event(flow.EventPeer)
	}

	f.mu.Lock()
	f.firing = false
	if f.owed && !f.closed {
		f.owed = false
		f.mu.Unlock()
		f.in.End(flow.EventDealloc)
		f.mu.Lock()
	}
	f.finish()
}

// Event implements flow.Handler for the flow below. The end comes after a peer
// time-out that is just being told.
func (f *Flow) Event(e flow.Event) {
	switch {
	case e == flow.EventWritable && f.sealer != nil:
		f.out.room()
		return
	case e != flow.EventDealloc:
		f.in.Event(e)
		return
	}
	if f.sealer != nil {
		f.out.drop()
	}
	f.mu.Lock()
	f.ended = true
	f.owed = f.firing
	if f.owed {
		f.mu.Unlock()
		return
	}
	if f.armed && f.timer.Stop() {
		f.armed = false
	}
	f.mu.Unlock()
	f.in.End(e)
}

// Dealloc implements flow.Flow.
func (f *Flow) Dealloc() {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return
	}
	f.closed = true
	if f.armed && f.timer.Stop() {
		f.armed = false
	}
	f.mu.Unlock()
	// Without the lock: room in a full Inbox makes the flow below deliver what
	// it kept, and then its end.
	f.in.Close()
	if f.sealer == nil {
		f.leave()
		return
	}
	f.sealer.Close()
	f.out.close(f.leave)
}

// leave deallocates the flow below.
func (f *Flow) leave() {
	f.below.Dealloc()
	f.mu.Lock()
	f.leaving = true
	f.finish()
}

// finish tells that a Dealloc has taken effect, unless a tick is running or
// about to, which will. The lock is held at the call and not at the return.
func (f *Flow) finish() {
	now := f.leaving && !f.firing && !f.armed
	if now {
		f.leaving = false
	}
	f.mu.Unlock()
	if now && f.done != nil {
		f.done()
	}
}
