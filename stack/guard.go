package stack

import (
	"context"
	"sync"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/frcp"
	"ouroboros/internal/protect"
	"ouroboros/internal/registry"
	"ouroboros/internal/seal"
)

// linger is how long a node that ends waits for its flows to finish what they
// owe their peers: the last retransmissions and acknowledgements.
const linger = 2 * time.Second

// What peers can make the flows on networks keep, for users that do not read
// and while they do not acknowledge: roughly so many bytes of all flows
// together in each direction, but most and least of each.
const (
	keptOfAll   = 512 << 20
	keptMost    = 8 << 20
	keptLeast   = 256 << 10
	shortBuffer = 2048 // about what a short packet takes of memory
)

// share is what a flow may keep when so many are open.
func share(open int) int { return min(max(keptOfAll/max(open, 1), keptLeast), keptMost) }

// guards are the flows that IPCPs carry over a network, with what is put round
// them for their QoS, and their key. A flow is open until nothing of it runs any
// more: its user may be long gone while the protocols finish.
//
//	user ─ guarded ─ [FRCP] ─ protect: [sealed] ─ flow of an IPCP
type guards struct {
	frcp    frcp.Counters
	protect protect.Counters
	seal    seal.Counters

	// epochBit makes keys change after 2^epochBit packets; 0 = as both
	// implementations do it. For tests.
	epochBit int

	mu      sync.Mutex
	open    int
	leaving map[*guarded]struct{} // of these, deallocated by their user
	change  chan struct{}         // closed when one has ended; nil while nobody waits
}

// guarded is such a flow towards its user.
type guarded struct {
	flow.Flow
	machine *frcp.Flow // nil when the flow is not to be in order
	all     *guards
	left    bool // guarded by all
}

// guard is the registry's way to put protocols round a flow.
func (g *guards) guard(f flow.Flow, n registry.Needs) (flow.Flow, error) {
	var sealer *seal.Sealer
	if n.Key != nil {
		var err error
		sealer, err = seal.New(seal.Config{
			Cipher: n.Cipher, Key: (*[seal.KeySize]byte)(n.Key), EpochBit: g.epochBit, Counters: &g.seal,
		})
		if err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	g.open++
	keep := share(g.open)
	g.mu.Unlock()
	u := &guarded{all: g}
	u.Flow = protect.New(f, protect.Config{
		QoS: n.QoS, Sealer: sealer, Counters: &g.protect, Backlog: keep, Done: func() { g.ended(u) },
	})
	if n.QoS.InOrder {
		u.machine = frcp.New(u.Flow, frcp.Config{
			QoS: n.QoS, MPL: n.MPL, Counters: &g.frcp,
			// Short packets fill it as long ones do: memory is what counts.
			Window: keep / shortBuffer, WindowBytes: keep, SendBytes: keep,
		})
		u.Flow = u.machine
	}
	return u, nil
}

// SetFlags passes on what the application says of FRCP.
func (u *guarded) SetFlags(flags uint) {
	if u.machine != nil {
		u.machine.SetFlags(flags)
	}
}

// Dealloc implements flow.Flow.
func (u *guarded) Dealloc() {
	g := u.all
	g.mu.Lock()
	again := u.left
	u.left = true
	if !again {
		if g.leaving == nil {
			g.leaving = make(map[*guarded]struct{})
		}
		g.leaving[u] = struct{}{}
	}
	g.mu.Unlock()
	if !again {
		u.Flow.Dealloc()
	}
}

// ended is told that nothing of a flow runs any more.
func (g *guards) ended(u *guarded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	delete(g.leaving, u)
	if g.change != nil {
		close(g.change)
		g.change = nil
	}
}

// abort ends the flows whose users have gone.
func (g *guards) abort() {
	g.mu.Lock()
	var left []*guarded
	for u := range g.leaving {
		left = append(left, u)
	}
	g.mu.Unlock()
	for _, u := range left {
		if u.machine != nil {
			u.machine.Abort()
		}
	}
}

// wait waits until the flows that their users have deallocated, or all, have
// ended.
func (g *guards) wait(ctx context.Context, all bool) {
	for {
		g.mu.Lock()
		n := len(g.leaving)
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
