package ring

import (
	"sync"
	"sync/atomic"
	"time"
)

// waiter is a parked call. Waiters belong to their End and are reused, so that
// blocking does not allocate.
type waiter struct {
	ch    chan struct{} // capacity 1
	bell  int           // eventfd that is written instead; -1 = none
	timer *time.Timer   // nil until a call with a time-out parks
	next  *waiter
}

// waiters are the parked calls of an End.
type waiters struct {
	parked atomic.Int32 // length of list, read without mu

	mu   sync.Mutex // a leaf: nothing is called with it held
	list *waiter
	free *waiter
}

// join registers a waiter; what happens from now on wakes it.
func (q *waiters) join() *waiter { return q.joinWith(-1) }

// joinWith registers a waiter that sleeps on an eventfd, outside of Go; -1 for
// one that parks.
func (q *waiters) joinWith(bell int) *waiter {
	q.mu.Lock()
	w := q.free
	if w == nil {
		w = &waiter{ch: make(chan struct{}, 1)}
	} else {
		q.free = w.next
		select {
		case <-w.ch:
		default:
		}
	}
	w.bell = bell
	w.next = q.list
	q.list = w
	q.parked.Add(1)
	q.mu.Unlock()
	return w
}

func (q *waiters) leave(w *waiter) {
	q.mu.Lock()
	for p := &q.list; *p != nil; p = &(*p).next {
		if *p == w {
			*p = w.next
			break
		}
	}
	w.next = q.free
	q.free = w
	q.parked.Add(-1)
	q.mu.Unlock()
}

// wake wakes all. The parked counter and what the callers changed before are
// sequentially consistent: a call that joins too late to be woken sees the
// change when it looks again before it parks.
func (q *waiters) wake() {
	if q.parked.Load() == 0 {
		return
	}
	q.mu.Lock()
	for w := q.list; w != nil; w = w.next {
		if w.bell >= 0 {
			writeEventfd(w.bell)
			continue
		}
		select {
		case w.ch <- struct{}{}:
		default:
		}
	}
	q.mu.Unlock()
}

// park sleeps until woken or until the limit, if there is one; false when the
// limit has passed.
func (w *waiter) park(limit time.Time) bool {
	if limit.IsZero() {
		<-w.ch
		return true
	}
	d := time.Until(limit)
	if d <= 0 {
		return false
	}
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	select {
	case <-w.ch:
		w.timer.Stop()
		return true
	case <-w.timer.C:
		return false
	}
}

// deadline is an absolute point in time after which calls fail. Looking at it
// costs one load.
type deadline struct {
	passed atomic.Bool

	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	wake  func()
}

// set moves the deadline and wakes the parked calls, which look again; zero
// removes it.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
	}
	left := time.Duration(1)
	if !t.IsZero() {
		left = time.Until(t)
	}
	d.passed.Store(left <= 0)
	if !t.IsZero() && left > 0 {
		if d.timer == nil {
			d.timer = time.AfterFunc(left, d.fire)
		} else {
			d.timer.Reset(left)
		}
	}
	d.mu.Unlock()
	if left <= 0 {
		d.wake()
	}
}

func (d *deadline) fire() {
	d.mu.Lock()
	pass := !d.at.IsZero() && time.Until(d.at) <= 0 // else it was moved meanwhile
	if pass {
		d.passed.Store(true)
	}
	d.mu.Unlock()
	if pass {
		d.wake()
	}
}

func (d *deadline) stop() {
	d.mu.Lock()
	d.at = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
}
