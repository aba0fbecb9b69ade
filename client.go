package ouroboros

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/session"
	"ouroboros/qos"
)

// allocTimeout is how long Alloc and Join wait without a deadline.
const allocTimeout = 20 * time.Second

// Client is one process on a node: it is bound to names and holds flows. Its
// methods are those of the package and may be called from any goroutine.
type Client struct {
	backend session.Backend
	door    door

	mu     sync.Mutex
	flows  map[*Flow]struct{}
	closed bool
}

// Open connects to the daemon. dir is its runtime directory; empty means the
// one in OUROBOROS_RUNTIME_DIR, else this user's daemon, else the system's.
func Open(dir string) (*Client, error) {
	c, err := session.Dial(dir)
	if err != nil {
		return nil, err
	}
	return NewClient(c), nil
}

// NewClient wraps a connection to a node; programs use Open or
// stack.Node.Client.
func NewClient(b session.Backend) *Client {
	c := &Client{backend: b, flows: make(map[*Flow]struct{})}
	c.door.init(c)
	return c
}

// Alloc allocates a flow to the name dst, as the function Alloc describes.
func (c *Client) Alloc(ctx context.Context, dst string, spec *QoS) (*Flow, error) {
	if spec == nil {
		spec = &qos.Raw
	}
	ctx, cancel := withDefault(ctx)
	defer cancel()
	g, err := c.backend.Alloc(ctx, dst, *spec)
	if err != nil {
		return nil, timely(err, "cannot allocate a flow to %q: nobody answered in time", dst)
	}
	return c.adopt(g, false)
}

// Accept waits for the next flow to a name of this process that no Listener of
// the client listens to.
func (c *Client) Accept(ctx context.Context) (*Flow, error) { return c.door.accept(ctx, "", nil) }

// Join makes the process a member of a broadcast layer.
func (c *Client) Join(ctx context.Context, layer string) (*Flow, error) {
	ctx, cancel := withDefault(ctx)
	defer cancel()
	g, err := c.backend.Join(ctx, layer)
	if err != nil {
		return nil, timely(err, "cannot join the layer %q: nobody answered in time", layer)
	}
	return c.adopt(g, false)
}

// Listen gives a net.Listener for flows to name, as the function Listen
// describes. Two listeners for one name take turns.
func (c *Client) Listen(ctx context.Context, name string) (*Listener, error) {
	if name != "" {
		err := c.backend.Bind(ctx, name)
		if err != nil && !errors.Is(err, errno.Exist) {
			return nil, timely(err, "cannot bind this process to %q: the node did not answer in time", name)
		}
	}
	return c.door.listen(name)
}

// DialContext gives the stream view of a new reliable flow to addr, as the
// function DialContext describes.
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	f, err := c.Alloc(ctx, cutPort(addr), &qos.Data)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "ouroboros", Addr: Addr(addr), Err: err}
	}
	s, err := f.Stream()
	if err != nil {
		f.Close()
		return nil, &net.OpError{Op: "dial", Net: "ouroboros", Addr: Addr(addr), Err: err}
	}
	return s, nil
}

// Close deallocates all flows of the client, ends its listeners and leaves the
// node. Calling it again does nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	flows := make([]*Flow, 0, len(c.flows))
	for f := range c.flows {
		flows = append(flows, f)
	}
	c.mu.Unlock()

	c.door.close()
	for _, f := range flows {
		f.Close()
	}
	return c.backend.Close()
}

// Ended reports whether no call of the client can succeed any more: it was
// closed, or its node has ended.
func (c *Client) Ended() bool { return !c.isUsable() }

// isUsable reports whether calls can succeed.
func (c *Client) isUsable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && !c.backend.Ended()
}

// adopt makes a flow of a grant. A client that was closed meanwhile gives it
// back.
func (c *Client) adopt(g *session.Grant, server bool) (*Flow, error) {
	f := newFlow(c, g, server)
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.flows[f] = struct{}{}
	}
	c.mu.Unlock()
	if closed {
		f.Close()
		return nil, errClientClosed
	}
	return f, nil
}

func (c *Client) forget(f *Flow) {
	c.mu.Lock()
	delete(c.flows, f)
	c.mu.Unlock()
}

var errClientClosed = errno.New(errno.IRMd, "cannot use the network: this client was closed")

// withDefault bounds an allocation that has no deadline.
func withDefault(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, allocTimeout)
}

// timely says of a context's deadline what timed out.
func timely(err error, format string, args ...any) error {
	var e *errno.Error
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &e) {
		return errno.New(errno.TimedOut, format, args...)
	}
	return err
}

// cutPort takes ":port" off an address.
func cutPort(addr string) string {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 || strings.Trim(addr[i+1:], "0123456789") != "" {
		return addr
	}
	return addr[:i]
}
