// Package session is the connection between a process and its node: who it
// is, which flows it holds, and how their memory reaches it.
//
// Backend is that connection as package ouroboros sees it. Conn implements it
// over the flow socket of a daemon; stack.Node implements it in the same
// program.
package session

import (
	"context"
	"sync"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ring"
	"ouroboros/qos"
)

// Backend is a process's connection to its node. Methods may be called from
// any goroutine; those with a context give up when it ends, and what they had
// begun is undone.
type Backend interface {
	Alloc(ctx context.Context, dst string, spec qos.Spec) (*Grant, error)
	// Accept gives a flow that was granted while ctx ended: its client has it
	// already. With a ctx whose deadline is over it takes one that a client
	// waits for, or fails at once.
	Accept(ctx context.Context) (*Grant, error)
	Join(ctx context.Context, layer string) (*Grant, error)

	// Bind binds this process to a name; ErrPerm for those who may not manage
	// the node.
	Bind(ctx context.Context, name string) error

	// Dealloc says that this process is done with a flow, whose End it has
	// closed before. It does not wait for the node. It must not be called from
	// a function given to End.OnWake.
	Dealloc(id int)

	// Ended reports whether the node is gone: no call can succeed any more.
	Ended() bool

	// Close leaves the node. Flows still held get EventDown.
	Close() error
}

// Grant is an allocated flow as its process receives it.
type Grant struct {
	ID     int           // of the flow on the node
	Name   string        // the name that was asked for
	QoS    qos.Spec      // agreed
	MPL    time.Duration //
	MTU    int           // longest message in bytes
	Remote bool          // the other end is not a process of this node
	Peer   int           // pid of the other process; 0 when Remote
	End    *ring.End     // the two rings; the receiver closes it

	mu      sync.Mutex
	handler func(flow.Event)
	early   []flow.Event
}

// Notify reports an event that the node saw: EventDown when the process at
// the other end, or the node, is gone.
func (g *Grant) Notify(e flow.Event) {
	g.mu.Lock()
	h := g.handler
	if h == nil {
		g.early = append(g.early, e)
	}
	g.mu.Unlock()
	if h != nil {
		h(e)
	}
}

// OnEvent sets who is told, and tells what came before. h runs on the
// goroutine that hears the node: it must not block, nor wait for a call of the
// Backend.
func (g *Grant) OnEvent(h func(flow.Event)) {
	g.mu.Lock()
	g.handler = h
	early := g.early
	g.early = nil
	g.mu.Unlock()
	for _, e := range early {
		h(e)
	}
}
