package stack

import (
	"context"
	"sync"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/protect"
	"ouroboros/qos"
)

// linger is how long a node that ends waits for its flows to finish what they
// owe their peers: the last retransmissions and acknowledgements.
const linger = 2 * time.Second

// guards counts the flows that IPCPs carry over a network, with what is put
// round them for their QoS. A flow is open until nothing of it runs any more:
// its user may be long gone while the protocols finish.
//
//	user ─ guarded ─ protect ─ flow of an IPCP
type guards struct {
	mu      sync.Mutex
	open    int
	leaving int           // of these, deallocated by their user
	change  chan struct{} // closed when one has ended; nil while nobody waits
}

// guarded is such a flow towards its user.
type guarded struct {
	flow.Flow
	all *guards

	mu   sync.Mutex
	left bool
}

// guard is the registry's way to put protocols round a flow.
func (g *guards) guard(f flow.Flow, spec qos.Spec, mpl time.Duration) flow.Flow {
	g.mu.Lock()
	g.open++
	g.mu.Unlock()
	return &guarded{Flow: protect.New(f, protect.Config{QoS: spec, Done: g.ended}), all: g}
}

// Dealloc implements flow.Flow.
func (f *guarded) Dealloc() {
	f.mu.Lock()
	again := f.left
	f.left = true
	f.mu.Unlock()
	if again {
		return
	}
	f.all.mu.Lock()
	f.all.leaving++
	f.all.mu.Unlock()
	f.Flow.Dealloc()
}

func (g *guards) ended() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	g.leaving--
	if g.change != nil {
		close(g.change)
		g.change = nil
	}
}

// wait waits until the flows that their users have deallocated, or all, have
// ended.
func (g *guards) wait(ctx context.Context, all bool) {
	for {
		g.mu.Lock()
		n := g.leaving
		if all {
			n = g.open
		}
		if n == 0 {
			g.mu.Unlock()
			return
		}
		if g.change == nil {
			g.change = make(chan struct{})
		}
		change := g.change
		g.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return
		}
	}
}

// linger waits for what the flows of processes still owe, but not for long.
func (n *Node) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, linger)
	defer cancel()
	passed := make(chan struct{})
	go func() {
		n.ports.Wait()
		close(passed)
	}()
	select {
	case <-passed:
	case <-ctx.Done():
		return
	}
	n.guards.wait(ctx, false)
}
