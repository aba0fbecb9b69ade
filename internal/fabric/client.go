package fabric

import (
	"context"
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/registry"
	"ouroboros/internal/session"
	"ouroboros/qos"
)

// Client is a process in this program: a session.Backend without a socket.
type Client struct {
	owner   *Owner
	process *registry.Process

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	calls  sync.WaitGroup

	mu     sync.Mutex
	flows  map[int]*session.Grant
	closed bool
}

var _ session.Backend = (*Client)(nil)

// NewClient makes the backend of a process that announced itself with owner.
// Close leaves for both.
func NewClient(p *registry.Process, owner *Owner) *Client {
	c := &Client{owner: owner, process: p, flows: make(map[int]*session.Grant)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Alloc implements session.Backend.
func (c *Client) Alloc(ctx context.Context, dst string, spec qos.Spec) (*session.Grant, error) {
	return c.grant(ctx, func(ctx context.Context) (*registry.Grant, error) {
		return c.process.Alloc(ctx, dst, spec)
	})
}

// Accept implements session.Backend.
func (c *Client) Accept(ctx context.Context) (*session.Grant, error) {
	return c.grant(ctx, c.process.Accept)
}

// Join implements session.Backend.
func (c *Client) Join(ctx context.Context, layer string) (*session.Grant, error) {
	return c.grant(ctx, func(ctx context.Context) (*registry.Grant, error) {
		return c.process.Join(ctx, layer)
	})
}

// Bind implements session.Backend. A process of the node's own program may
// always bind itself.
func (c *Client) Bind(ctx context.Context, name string) error {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return c.process.Bind(ctx, name)
}

// begin counts a call, which ends when the client is closed.
func (c *Client) begin(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, errClosed()
	}
	c.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(errClosed()) })
	return ctx, func() { stop(); cancel(nil); c.calls.Done() }, nil
}

func errClosed() error { return errno.New(errno.NotAlloc, "the client is closed") }

func (c *Client) grant(ctx context.Context, ask func(context.Context) (*registry.Grant, error)) (*session.Grant, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	g, err := ask(ctx)
	if err != nil {
		if c.ctx.Err() != nil {
			return nil, errClosed()
		}
		return nil, err
	}
	end := g.End.(*End)
	rings, err := end.Ring()
	if err != nil {
		c.process.Dealloc(g.ID)
		return nil, err
	}
	grant := &session.Grant{
		ID: g.ID, Name: g.Name, QoS: g.QoS, MPL: g.MPL, MTU: g.MTU,
		Remote: g.Remote, Peer: g.Peer, End: rings,
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		rings.Close()
		c.process.Dealloc(g.ID)
		return nil, errClosed()
	}
	c.flows[g.ID] = grant
	c.mu.Unlock()
	end.OnEvent(grant.Notify)
	return grant, nil
}

// Dealloc implements session.Backend. The end of the flow must be closed
// before.
func (c *Client) Dealloc(id int) {
	c.mu.Lock()
	_, ok := c.flows[id]
	delete(c.flows, id)
	leave := c.closed && len(c.flows) == 0
	c.mu.Unlock()
	if !ok {
		return
	}
	c.process.Dealloc(id)
	if leave {
		c.leave()
	}
}

// Ended implements session.Backend.
func (c *Client) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.process.Ended()
}

// Close implements session.Backend.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	held := make([]*session.Grant, 0, len(c.flows))
	for _, g := range c.flows {
		held = append(held, g)
	}
	c.mu.Unlock()
	c.cancel()
	c.calls.Wait()
	for _, g := range held {
		g.Notify(flow.EventDown)
	}
	if len(held) == 0 {
		c.leave()
	}
	return nil
}

// leave ends the process for the node. Its rings were all closed.
func (c *Client) leave() {
	c.process.Exit()
	c.owner.Leave()
}
