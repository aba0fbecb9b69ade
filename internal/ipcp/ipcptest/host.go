package ipcptest

import (
	"context"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/qos"
)

// host is the ipcp.Host of one Env.
type host struct {
	w       *World
	name    string
	ctx     context.Context
	cancel  context.CancelFunc
	arrived chan accepted

	mu      sync.Mutex
	stopped bool
	inside  sync.WaitGroup
}

// accepted is a flow for an Accept.
type accepted struct {
	f    flow.Flow
	spec qos.Spec
}

func (h *host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.inside.Add(1)
	}
	return !h.stopped
}

func (h *host) spawn(f func()) {
	if !h.enter() {
		return
	}
	go func() {
		defer h.inside.Done()
		f()
	}()
}

func (h *host) afterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if h.ctx.Err() == nil && h.enter() {
			defer h.inside.Done()
			f()
		}
	})
}

func (h *host) stop() {
	h.cancel()
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.inside.Wait()
}

// Arrive implements ipcp.Host: there are no names above.
func (h *host) Arrive(context.Context, *ipcp.Request) (ipcp.Offer, error) {
	return nil, errno.New(errno.NameError, "no name of this node has that hash")
}

// Alloc implements ipcp.Host. It waits for an Accept of one of those that are
// bound to dst; of several, the one that accepts next gets the flow.
func (h *host) Alloc(ctx context.Context, dst string, spec qos.Spec) (flow.Flow, error) {
	w := h.w
	if f := w.refuse.Load(); f != nil && *f != nil {
		if err := (*f)(h.name, dst); err != nil {
			return nil, err
		}
	}
	for ctx.Err() == nil && h.ctx.Err() == nil {
		to := w.turn(h, dst)
		if to == nil {
			return nil, errno.New(errno.NameError, "nobody knows that name: neither this node nor a layer that it is in").
				Next("see that it is registered")
		}
		f := w.newFlow(h, to, dst, spec)
		timer := time.NewTimer(10 * time.Millisecond) // then it is another's turn
		select {
		case to.arrived <- accepted{f.ends[1], spec}:
			timer.Stop()
			return f.ends[0], nil
		case <-timer.C:
		case <-to.ctx.Done():
		case <-ctx.Done():
		}
		timer.Stop()
		f.drop()
	}
	if h.ctx.Err() != nil {
		return nil, errno.New(errno.IPCP, "the IPCP is gone")
	}
	if ctx.Err() == context.DeadlineExceeded {
		return nil, errno.New(errno.TimedOut, "nobody accepts flows to %q", dst)
	}
	return nil, ctx.Err()
}

// Accept implements ipcp.Host.
func (h *host) Accept(ctx context.Context) (flow.Flow, qos.Spec, error) {
	select {
	case a := <-h.arrived:
		return a.f, a.spec, nil
	case <-ctx.Done():
		return nil, qos.Spec{}, ctx.Err()
	case <-h.ctx.Done():
		return nil, qos.Spec{}, errno.New(errno.IPCP, "the IPCP is gone")
	}
}

// turn gives the next of those that are bound to a name, and h itself only when
// there is nobody else.
func (w *World) turn(h *host, name string) *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.bound[name]
	if len(l) == 0 {
		return nil
	}
	for range l {
		next := l[0]
		copy(l, l[1:])
		l[len(l)-1] = next
		if next != h {
			return next
		}
	}
	return h
}
