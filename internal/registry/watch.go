package registry

import (
	"context"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// watchQueue is how many events a watcher may be behind.
const watchQueue = 1024

// watcher is one call of Watch. r.mu guards it.
type watcher struct {
	events []irm.Event
	lost   bool
	wake   chan struct{} // one token
}

// publish tells all watchers of a change. r.mu is held.
func (r *Registry) publish(ev irm.Event) {
	if len(r.watchers) == 0 {
		return
	}
	ev.Time = time.Now()
	for w := range r.watchers {
		switch {
		case w.lost:
			r.count.eventsLost++
		case len(w.events) >= watchQueue:
			w.lost = true
			r.count.eventsLost++
		default:
			w.events = append(w.events, ev)
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// Watch calls f for every change from now on, in order, until ctx ends, f
// fails or the node ends. A watcher that is too slow misses events: it gets
// those before the gap, then one of kind "lost", then those from then on.
func (r *Registry) Watch(ctx context.Context, f func(irm.Event) error) error {
	w := &watcher{wake: make(chan struct{}, 1)}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return errClosed()
	}
	if len(r.watchers) >= r.cfg.Limits.Watchers {
		r.count.limit++
		r.mu.Unlock()
		return errno.New(errno.NoBufs, "cannot watch: the node has %d watchers, and may not have more", r.cfg.Limits.Watchers)
	}
	r.watchers[w] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.watchers, w)
		r.mu.Unlock()
	}()
	for {
		r.mu.Lock()
		events, lost := w.events, w.lost
		w.events, w.lost = nil, false
		r.mu.Unlock()
		if lost {
			events = append(events, irm.Event{Time: time.Now(), Kind: "lost", Detail: "some events were missed: list what matters again"})
		}
		for _, ev := range events {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(ev); err != nil {
				return err
			}
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ctx.Done():
			return errClosed()
		}
	}
}
