package ipcp

import (
	"context"
	"sync"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// upperFlow is a flow that the IPCP gave to a user: calls of the user go into
// the wall.
type upperFlow struct {
	g *Guard
	f flow.Flow

	mu     sync.Mutex
	h      flow.Handler
	ended  bool         // EventDealloc was, or will be, the user's last event
	missed []flow.Event // events that end the flow, before there was a user
}

// give takes a flow of the IPCP into care on its way to a user.
func (g *Guard) give(f flow.Flow) (flow.Flow, error) {
	u := &upperFlow{g: g, f: f}
	g.mu.Lock()
	if g.upper != nil {
		g.upper[u] = struct{}{}
		g.mu.Unlock()
		return u, nil
	}
	g.mu.Unlock()
	f.Dealloc()
	return nil, g.gone()
}

// end reports the end in place of an IPCP that cannot any more.
func (u *upperFlow) end(events []flow.Event) {
	u.mu.Lock()
	if u.ended {
		u.mu.Unlock()
		return
	}
	u.ended = true
	h := u.h
	if h == nil {
		u.missed = events
	}
	u.mu.Unlock()
	if h != nil {
		for _, e := range events {
			h.Event(e)
		}
	}
}

// Send implements flow.Flow. What a panic interrupts counts as taken: nobody
// knows which buffers still have an owner, so the collector gets them.
func (u *upperFlow) Send(batch []*packet.Buffer) (taken int) {
	if u.g.broken.Load() {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	taken = len(batch)
	defer u.g.catch(nil)
	taken = u.f.Send(batch)
	return taken
}

// Attach implements flow.Flow.
func (u *upperFlow) Attach(h flow.Handler) {
	u.mu.Lock()
	u.h = h
	missed := u.missed
	u.missed = nil
	u.mu.Unlock()
	for _, e := range missed {
		h.Event(e)
	}
	if u.g.broken.Load() {
		return
	}
	defer u.g.catch(nil)
	u.f.Attach(&upperHandler{u: u, h: h})
}

// Resume implements flow.Flow.
func (u *upperFlow) Resume() {
	if u.g.broken.Load() {
		return
	}
	defer u.g.catch(nil)
	u.f.Resume()
}

// MTU implements flow.Flow.
func (u *upperFlow) MTU() (n int) {
	defer u.g.catch(nil)
	return u.f.MTU()
}

// QoS implements flow.Flow.
func (u *upperFlow) QoS() (s qos.Spec) {
	defer u.g.catch(nil)
	return u.f.QoS()
}

// QueueLen implements flow.Flow.
func (u *upperFlow) QueueLen() (n int) {
	if u.g.broken.Load() {
		return 0
	}
	defer u.g.catch(nil)
	return u.f.QueueLen()
}

// Dealloc implements flow.Flow.
func (u *upperFlow) Dealloc() {
	u.g.mu.Lock()
	delete(u.g.upper, u)
	u.g.mu.Unlock()
	u.mu.Lock()
	u.ended = true
	u.mu.Unlock()
	if u.g.Cause() != nil {
		return
	}
	defer u.g.catch(nil)
	u.f.Dealloc()
}

// Lossless implements the interface of that name.
func (u *upperFlow) Lossless() bool {
	defer u.g.catch(nil)
	return flow.IsLossless(u.f)
}

// Signal implements flow.Signaller.
func (u *upperFlow) Signal(e flow.Event) {
	if u.g.broken.Load() {
		return
	}
	defer u.g.catch(nil)
	flow.Signal(u.f, e)
}

// upperHandler is the way out to the user: not guarded, but shut when the IPCP
// has failed.
type upperHandler struct {
	u *upperFlow
	h flow.Handler
}

func (k *upperHandler) Receive(batch []*packet.Buffer) int {
	if k.u.g.broken.Load() {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	return k.h.Receive(batch)
}

func (k *upperHandler) Event(e flow.Event) {
	k.u.mu.Lock()
	ended := k.u.ended
	k.u.ended = ended || e == flow.EventDealloc
	k.u.mu.Unlock()
	if !ended {
		k.h.Event(e)
	}
}

// lowerFlow is a flow that the IPCP uses: what it receives goes into the wall.
type lowerFlow struct {
	flow.Flow
	g *Guard
}

// use takes a flow into care on its way into the IPCP.
func (g *Guard) use(f flow.Flow) (flow.Flow, error) {
	l := &lowerFlow{Flow: f, g: g}
	g.mu.Lock()
	if g.lower != nil {
		g.lower[l] = struct{}{}
		g.mu.Unlock()
		return l, nil
	}
	g.mu.Unlock()
	f.Dealloc()
	return nil, g.gone()
}

func (l *lowerFlow) Attach(h flow.Handler) { l.Flow.Attach(&lowerHandler{l.g, h}) }

func (l *lowerFlow) Dealloc() {
	l.g.mu.Lock()
	delete(l.g.lower, l)
	l.g.mu.Unlock()
	l.Flow.Dealloc()
}

func (l *lowerFlow) Lossless() bool      { return flow.IsLossless(l.Flow) }
func (l *lowerFlow) Signal(e flow.Event) { flow.Signal(l.Flow, e) }

// lowerHandler is the way in for what a lower flow brings.
type lowerHandler struct {
	g *Guard
	h flow.Handler
}

func (k *lowerHandler) Receive(batch []*packet.Buffer) (taken int) {
	if k.g.broken.Load() {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	taken = len(batch)
	defer k.g.catch(nil)
	taken = k.h.Receive(batch)
	return taken
}

func (k *lowerHandler) Event(e flow.Event) {
	if k.g.broken.Load() {
		return
	}
	defer k.g.catch(nil)
	k.h.Event(e)
}

// guardedHost is the host as the IPCP sees it.
type guardedHost struct {
	g    *Guard
	host Host
}

// Arrive waits until a bootstrap or an enrolment that is just succeeding has
// done so: packets may come as soon as a socket is open.
func (h guardedHost) Arrive(ctx context.Context, req *Request) (Offer, error) {
	select {
	case <-h.g.machine.Ready():
	case <-h.g.ctx.Done():
		return nil, h.g.gone()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := h.g.machine.CheckHash(OpAlloc, req.Hash); err != nil {
		return nil, err
	}
	o, err := h.host.Arrive(ctx, req)
	if err != nil {
		return nil, err
	}
	return guardedOffer{o, h.g}, nil
}

func (h guardedHost) Alloc(ctx context.Context, dst string, spec qos.Spec) (flow.Flow, error) {
	f, err := h.host.Alloc(ctx, dst, spec)
	if err != nil {
		return nil, err
	}
	return h.g.use(f)
}

func (h guardedHost) Accept(ctx context.Context) (flow.Flow, qos.Spec, error) {
	f, spec, err := h.host.Accept(ctx)
	if err != nil {
		return nil, spec, err
	}
	f, err = h.g.use(f)
	return f, spec, err
}

type guardedOffer struct {
	Offer
	g *Guard
}

func (o guardedOffer) Complete(f flow.Flow) {
	u, err := o.g.give(f)
	if err != nil {
		o.Offer.Fail(err)
		return
	}
	o.Offer.Complete(u)
}
