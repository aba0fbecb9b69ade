package ring

import (
	"time"

	"ouroboros/internal/errno"
)

// ReadMode says what happens to a message that is longer than the buffer.
type ReadMode uint8

// The modes.
const (
	// Whole: the message is discarded with errno.MsgSize.
	Whole ReadMode = iota
	// Partial: the following reads give the rest. One that fills its buffer
	// exactly is followed by one that returns 0: the end of the message.
	Partial
	// Bytes: message boundaries do not count. The buffer is filled with as
	// many messages as are there, and ends of messages are not reported.
	Bytes
)

// ReadOptions are how a Read reads and waits.
type ReadOptions struct {
	Mode    ReadMode
	NoWait  bool          // errno.Again instead of waiting
	Timeout time.Duration // of this call; negative = none, 0 = do not wait but say TimedOut
}

// Read gives the next message. Messages that were queued come before the end
// of the flow: errno.FlowDown, or errno.FlowPeer.
func (e *End) Read(p []byte, o ReadOptions) (int, error) {
	if e.readDeadline.passed.Load() {
		return 0, e.pastDeadline()
	}
	c := &e.in
	c.mu.Lock()
	n, err := e.take(p, o.Mode)
	if err != errno.Again {
		c.mu.Unlock()
		return n, err
	}
	if o.NoWait {
		c.mu.Unlock()
		return 0, err
	}
	if o.Timeout == 0 {
		c.mu.Unlock()
		return 0, errno.TimedOut
	}
	return e.readWait(p, o)
}

// readWait waits for a message. It is called with in.mu and gives it up.
func (e *End) readWait(p []byte, o ReadOptions) (int, error) {
	c := &e.in
	var limit time.Time
	if o.Timeout > 0 {
		limit = time.Now().Add(o.Timeout)
	}
	for {
		// Nobody spins while others have parked: they would be served first.
		if c.spin(e) {
			if n, err := e.take(p, o.Mode); err != errno.Again {
				c.mu.Unlock()
				return n, err
			}
		}
		w := e.waiters.join()
		c.dataArmed.Store(1)
		n, err := e.take(p, o.Mode)
		c.mu.Unlock()
		if err != errno.Again {
			e.waiters.leave(w)
			return n, err
		}
		if e.readDeadline.passed.Load() {
			e.waiters.leave(w)
			return 0, errno.TimedOut
		}
		before := time.Now()
		woken := w.park(limit)
		e.waiters.leave(w)

		c.mu.Lock()
		if woken {
			e.readSpin.slept(time.Since(before))
		}
		n, err = e.take(p, o.Mode)
		if err != errno.Again {
			c.mu.Unlock()
			return n, err
		}
		if !woken || e.readDeadline.passed.Load() {
			c.mu.Unlock()
			return 0, errno.TimedOut
		}
	}
}

// spin looks for new messages for a bounded while.
func (c *consumer) spin(e *End) bool {
	return e.readSpin.while(c.tailWord, pack(c.tail, c.arrived))
}

// TryRead is Read without waiting: errno.Again when nothing is there. Unlike
// Read it does not look at the deadline.
func (e *End) TryRead(p []byte, mode ReadMode) (int, error) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	return e.take(p, mode)
}

// take reads what is there. Callers hold in.mu.
func (e *End) take(p []byte, mode ReadMode) (int, error) {
	c := &e.in
	if e.closed {
		return 0, errno.NotAlloc
	}
	if c.endMark {
		if mode != Bytes {
			c.endMark = false
			return 0, nil
		}
		c.endMark = false
	}
	if err := e.look(); err != nil {
		return 0, err
	}
	switch {
	case mode == Bytes:
		return e.takeBytes(p)
	case mode == Whole && c.offset == 0 && uint64(len(p)) < c.length:
		e.pass()
		return 0, errno.MsgSize
	case len(p) == 0:
		return 0, nil // a message stays
	}
	n := c.copyOut(p)
	c.offset += uint64(n)
	if c.offset < c.length {
		return n, nil
	}
	c.endMark = mode == Partial && n == len(p)
	e.pass()
	return n, nil
}

// takeBytes fills p from as many messages as are there, but one at least.
func (e *End) takeBytes(p []byte) (n int, err error) {
	c := &e.in
	for {
		m := c.copyOut(p[n:])
		n += m
		c.offset += uint64(m)
		if c.offset < c.length {
			return n, nil
		}
		e.pass()
		if n == len(p) || e.look() != nil {
			return n, nil
		}
	}
}

// look finds the next message; errno.Again or the flow's condition without
// one. What was written before a side closed is seen before the closing.
func (e *End) look() error {
	c := &e.in
	if e.marks.Load()&markPoison != 0 {
		return errno.FlowDown
	}
	if !c.next() {
		return e.poison()
	}
	if c.length != 0 {
		return nil
	}
	err := e.condition()
	if err == nil {
		return errno.Again
	}
	if !c.next() {
		return e.poison()
	}
	if c.length != 0 {
		return nil
	}
	return err
}

// pass drops the message at the head of the ring.
func (e *End) pass() {
	if e.in.done() {
		e.ringPeer()
	}
}

// NextLen gives the length of the next message, or of what was left of it by
// a partial read; errno.Again without one.
func (e *End) NextLen() (int, error) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.closed {
		return 0, errno.NotAlloc
	}
	if err := e.look(); err != nil {
		return 0, err
	}
	return int(e.in.length - e.in.offset), nil
}

// ReadBatch reads up to most messages without waiting. For each it asks room
// for a buffer of the message's length, and copies the message there; room
// may answer nil, which ends the batch and leaves the message. room must not
// use the End. The error says why there are not more messages: nil when most
// were read or room ended it, else as TryRead.
func (e *End) ReadBatch(most int, room func(n int) []byte) (n int, err error) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.closed {
		return 0, errno.NotAlloc
	}
	for ; n < most; n++ {
		if err := e.look(); err != nil {
			return n, err
		}
		b := room(int(e.in.length - e.in.offset))
		if b == nil {
			return n, nil
		}
		e.in.copyOut(b)
		e.pass()
	}
	return n, nil
}

// lingers is how often Linger lends the processor before it gives up.
const lingers = 8

// Linger looks for a message for some microseconds, and lends the processor
// meanwhile. It is for a reader that has just taken many: the writer is likely
// to be at work, and a sleep and a wake cost both more than that.
func (e *End) Linger() bool {
	for range lingers {
		if e.RxQueueLen() > 0 {
			return true
		}
		if lend() > longSpin {
			break
		}
	}
	return e.RxQueueLen() > 0
}

// Arm asks for a wake when there is something to read or a new state. It
// reports false when a message is there already: nothing will wake for that
// one. An end is disarmed by each wake.
func (e *End) Arm() bool {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.closed {
		return true
	}
	e.in.dataArmed.Store(1)
	return e.look() == errno.Again
}

// ArmCount arms like Arm and gives how many messages ever arrived, modulo
// 2^32, and how many of them wait to be read. The difference of arrived
// between two calls is the number of new messages.
func (e *End) ArmCount() (arrived uint32, waiting int) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.closed {
		return e.in.arrived, 0
	}
	e.in.dataArmed.Store(1)
	waiting, ok := e.in.waiting()
	if e.marks.Load()&markPoison != 0 {
		return e.in.arrived, 0
	}
	if !ok {
		e.poison()
	}
	return e.in.arrived, waiting
}

// RxQueueLen is the number of messages waiting to be read; one that was read
// in part still counts.
func (e *End) RxQueueLen() int {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.closed || e.marks.Load()&markPoison != 0 {
		return 0
	}
	n, ok := e.in.waiting()
	if !ok {
		e.poison()
	}
	return n
}

// pastDeadline is the error of a call after the deadline: a flow that is gone
// says so rather than timing out.
func (e *End) pastDeadline() error {
	if e.closing.Load() {
		return errno.NotAlloc
	}
	return errno.TimedOut
}
