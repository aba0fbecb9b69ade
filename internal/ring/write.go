package ring

import (
	"time"

	"ouroboros/internal/errno"
)

// WriteOptions are how a Write waits.
type WriteOptions struct {
	NoWait  bool          // errno.Again instead of waiting
	Timeout time.Duration // of this call; negative = none, 0 = do not wait but say TimedOut
}

// Write sends p as one message. An empty one is not sent.
func (e *End) Write(p []byte, o WriteOptions) error {
	if e.writeDeadline.passed.Load() {
		return e.pastDeadline()
	}
	e.out.mu.Lock()
	err := e.give(p)
	if err != errno.Again {
		e.out.mu.Unlock()
		return err
	}
	if o.NoWait {
		e.out.mu.Unlock()
		return err
	}
	if o.Timeout == 0 {
		e.out.mu.Unlock()
		return errno.TimedOut
	}
	return e.writeWait(p, o)
}

// writeWait waits for room. It is called with out.mu and gives it up.
func (e *End) writeWait(b []byte, o WriteOptions) error {
	p := &e.out
	var limit time.Time
	if o.Timeout > 0 {
		limit = time.Now().Add(o.Timeout)
	}
	need := recordSize(len(b))
	for {
		if p.spin(e) {
			if err := e.give(b); err != errno.Again {
				p.mu.Unlock()
				return err
			}
		}
		w := e.waiters.join()
		p.arm(need)
		err := e.give(b)
		p.mu.Unlock()
		if err != errno.Again {
			e.waiters.leave(w)
			return err
		}
		if e.writeDeadline.passed.Load() {
			e.waiters.leave(w)
			return errno.TimedOut
		}
		before := time.Now()
		woken := w.park(limit)
		e.waiters.leave(w)

		p.mu.Lock()
		if woken {
			e.writeSpin.slept(time.Since(before))
		}
		err = e.give(b)
		if err != errno.Again {
			p.mu.Unlock()
			return err
		}
		if !woken || e.writeDeadline.passed.Load() {
			p.mu.Unlock()
			return errno.TimedOut
		}
	}
}

// spin looks for room for a bounded while.
func (p *producer) spin(e *End) bool {
	return e.writeSpin.while(p.headWord, pack(p.head, p.taken))
}

// TryWrite is Write without waiting: errno.Again when there is no room. Unlike
// Write it does not look at the deadline.
func (e *End) TryWrite(b []byte) error {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	return e.give(b)
}

// publishEvery is how many bytes of a batch are written before a reader that
// is looking sees them: it copies the first while the last are written.
const publishEvery = 16 << 10

// WriteBatch writes up to n messages without waiting, in order, and rings the
// other side once for all. message gives the i-th; it must not use the End. It
// says how many were written, and why not the next one: nil when all were,
// else as TryWrite.
func (e *End) WriteBatch(n int, message func(i int) []byte) (written int, err error) {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	p := &e.out
	if err = e.writable(); err != nil {
		return 0, err
	}
	seen, first := p.tail, p.count
	for ; written < n; written++ {
		b := message(written)
		if len(b) == 0 {
			continue
		}
		if err = e.room(b); err != nil {
			break
		}
		p.place(b)
		if p.tail-seen >= publishEvery {
			p.publish()
			seen = p.tail
		}
	}
	if p.count != first {
		p.publish()
		if p.rings() {
			e.ringPeer()
		}
	}
	return written, err
}

// give writes a message if there is room. Callers hold out.mu.
func (e *End) give(b []byte) error {
	if err := e.writable(); err != nil || len(b) == 0 {
		return err
	}
	if err := e.room(b); err != nil {
		return err
	}
	if e.out.put(b) {
		e.ringPeer()
	}
	return nil
}

// writable is why nothing can be written, or nil. Callers hold out.mu.
func (e *End) writable() error {
	if e.closed {
		return errno.NotAlloc
	}
	m, s := e.marks.Load(), State(e.peerState.Load())
	if m|uint32(s&stateFlags) != 0 {
		switch {
		case m&(markDown|markClosed|markPoison|markOwn) != 0, s.Has(StateClosed | StateDown):
			return errno.FlowDown
		case s.Has(StateDeaf):
			return errno.NotAlloc
		}
		// After a peer time-out writing goes on.
	}
	return nil
}

// room makes room for a message, or says why there is none. Callers hold
// out.mu.
func (e *End) room(b []byte) error {
	if len(b) > e.longest() {
		return errno.MsgSize
	}
	room, ok := e.out.reserve(recordSize(len(b)))
	switch {
	case !ok:
		return e.poison()
	case !room:
		return errno.Again
	}
	return nil
}

// ArmRoom asks for a wake when a message of n bytes fits. It reports false
// when it fits already, or will never be sent.
func (e *End) ArmRoom(n int) bool {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	if e.closed || n > e.longest() {
		return false
	}
	need := recordSize(n)
	e.out.arm(need)
	room, ok := e.out.reserve(need)
	if !ok {
		e.poison()
		return false
	}
	return !room
}

// TxQueueLen is the number of messages that the other side has not read.
func (e *End) TxQueueLen() int {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	if e.closed || e.marks.Load()&markPoison != 0 {
		return 0
	}
	n, ok := e.out.queued()
	if !ok {
		e.poison()
		return 0
	}
	return n
}
