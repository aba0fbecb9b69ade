package ouroboros

import (
	"context"
	"net"

	"ouroboros/internal/session"
)

// Client is one process on a node: it is bound to names and holds flows. Its
// methods are those of the package and may be called from any goroutine.
type Client struct{}

// Open connects to the daemon. dir is its runtime directory; empty means the
// one in OUROBOROS_RUNTIME_DIR, else this user's daemon, else the system's.
func Open(dir string) (*Client, error) { panic("not built yet") }

// NewClient wraps a connection to a node; programs use Open or
// stack.Node.Client.
func NewClient(b session.Backend) *Client { panic("not built yet") }

func (c *Client) Alloc(ctx context.Context, dst string, spec *QoS) (*Flow, error) {
	panic("not built yet")
}
func (c *Client) Accept(ctx context.Context) (*Flow, error) { panic("not built yet") }
func (c *Client) Join(ctx context.Context, layer string) (*Flow, error) {
	panic("not built yet")
}
func (c *Client) Listen(ctx context.Context, name string) (*Listener, error) {
	panic("not built yet")
}
func (c *Client) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	panic("not built yet")
}

// Close deallocates all flows of the client and leaves the node.
func (c *Client) Close() error { panic("not built yet") }
