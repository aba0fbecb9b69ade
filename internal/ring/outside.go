package ring

import (
	"context"
	"time"

	"ouroboros/internal/errno"
)

// Outside is a thread that calls from outside of Go and sleeps there: a
// goroutine that slept for it would keep it from being cancelled, and cost a
// second wake-up. It reads and writes as a goroutine does, and spins like one;
// but where that would park, the call returns errno.Again with the thread's
// Bell in the place of the parked goroutine. The thread then sleeps until the
// Bell can be read, empties it and calls again, or gives up and calls Leave.
//
// An Outside belongs to one thread, which waits for one thing at a time.
type Outside struct {
	Bell int // eventfd of the thread

	end    *End // that it waits for
	waiter *waiter
	before time.Time
}

// Read is End.Read without time-out and without parking.
func (o *Outside) Read(e *End, p []byte, mode ReadMode) (int, error) {
	slept := o.returned(e)
	if e.readDeadline.passed.Load() {
		return 0, e.pastDeadline()
	}
	c := &e.in
	c.mu.Lock()
	defer c.mu.Unlock()
	if slept > 0 {
		e.readSpin.slept(slept)
	}
	n, err := e.take(p, mode)
	if err != errno.Again {
		return n, err
	}
	if c.spin(e) {
		if n, err := e.take(p, mode); err != errno.Again {
			return n, err
		}
	}
	o.join(e)
	c.dataArmed.Store(1)
	if n, err = e.take(p, mode); err != errno.Again {
		o.Leave()
	}
	return n, err
}

// Ready is Read that reads nothing: nil when a Read would not give errno.Again,
// or errno.NotAlloc.
func (o *Outside) Ready(e *End) error {
	slept := o.returned(e)
	c := &e.in
	c.mu.Lock()
	defer c.mu.Unlock()
	if slept > 0 {
		e.readSpin.slept(slept)
	}
	err := e.ready()
	if err != errno.Again {
		return err
	}
	if c.spin(e) {
		if err = e.ready(); err != errno.Again {
			return err
		}
	}
	o.join(e)
	c.dataArmed.Store(1)
	if err = e.ready(); err != errno.Again {
		o.Leave()
	}
	return err
}

// ready looks whether a read would not have to wait. Callers hold in.mu.
func (e *End) ready() error {
	if e.closed {
		return errno.NotAlloc
	}
	if e.in.endMark {
		return nil
	}
	if e.look() == errno.Again {
		return errno.Again
	}
	return nil
}

// Write is End.Write without time-out and without parking.
func (o *Outside) Write(e *End, b []byte) error {
	slept := o.returned(e)
	if e.writeDeadline.passed.Load() {
		return e.pastDeadline()
	}
	p := &e.out
	p.mu.Lock()
	defer p.mu.Unlock()
	if slept > 0 {
		e.writeSpin.slept(slept)
	}
	err := e.give(b)
	if err != errno.Again {
		return err
	}
	if p.spin(e) {
		if err = e.give(b); err != errno.Again {
			return err
		}
	}
	o.join(e)
	p.arm(recordSize(len(b)))
	if err = e.give(b); err != errno.Again {
		o.Leave()
	}
	return err
}

func (o *Outside) join(e *End) {
	o.end, o.waiter, o.before = e, e.waiters.joinWith(o.Bell), time.Now()
}

// returned takes the thread off the list that it slept on, and says how long
// it did; 0 when it did not sleep on e.
func (o *Outside) returned(e *End) time.Duration {
	if o.waiter == nil {
		return 0
	}
	same, before := o.end == e, o.before
	o.Leave()
	if !same {
		return 0
	}
	return time.Since(before)
}

// Leave gives the waiting up. The Bell is not rung any more when it returns,
// but may have been.
func (o *Outside) Leave() {
	if o.waiter != nil {
		o.end.waiters.leave(o.waiter)
		o.end, o.waiter = nil, nil
	}
}

// WriteContext is Write until ctx ends, whose error it then gives. It does not
// look at the deadline, and does not spin.
func (e *End) WriteContext(ctx context.Context, b []byte) error {
	for {
		e.out.mu.Lock()
		err := e.give(b)
		if err != errno.Again {
			e.out.mu.Unlock()
			return err
		}
		w := e.waiters.join()
		e.out.arm(recordSize(len(b)))
		err = e.give(b)
		e.out.mu.Unlock()
		if err == errno.Again {
			select {
			case <-w.ch:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		e.waiters.leave(w)
		if err != errno.Again {
			return err
		}
	}
}
