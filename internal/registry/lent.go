package registry

import (
	"sync"

	"ouroboros/internal/flow"
)

// lentFlow is a flow in the hands of an IPCP: deallocating it tells the
// registry, which closes the end.
type lentFlow struct {
	flow.Flow
	done func() // deallocates at the registry

	mu      sync.Mutex
	handler flow.Handler
}

func (l *lentFlow) Dealloc() { l.done() }

func (l *lentFlow) Attach(h flow.Handler) {
	l.mu.Lock()
	l.handler = h
	l.mu.Unlock()
	l.Flow.Attach(h)
}

// Lossless and Signal pass on what the flow may be able to do.
func (l *lentFlow) Lossless() bool      { return flow.IsLossless(l.Flow) }
func (l *lentFlow) Signal(e flow.Event) { flow.Signal(l.Flow, e) }

// carriedEnd is the end of an IPCP which uses a flow that another carries.
type carriedEnd struct{ lent *lentFlow }

func newCarriedEnd(f flow.Flow) *carriedEnd {
	return &carriedEnd{&lentFlow{Flow: f, done: f.Dealloc}}
}

// Flow implements FlowEnd.
func (c *carriedEnd) Flow() flow.Flow { return c.lent }

// Event implements End.
func (c *carriedEnd) Event(e flow.Event) {
	c.lent.mu.Lock()
	h := c.lent.handler
	c.lent.mu.Unlock()
	if h != nil {
		h.Event(e)
	}
}

// Close implements End.
func (c *carriedEnd) Close() {
	c.lent.mu.Lock()
	c.lent.handler = nil
	c.lent.mu.Unlock()
	c.lent.Flow.Dealloc()
}

// lend gives the flow of a grant to the IPCP that it was made for.
func (h *Process) lend(g *Grant) flow.Flow {
	f := g.End.(FlowEnd).Flow()
	l, ok := f.(*lentFlow)
	if !ok {
		l = &lentFlow{Flow: f}
	}
	id := g.ID
	l.done = func() { h.Dealloc(id) }
	return l
}
