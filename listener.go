package ouroboros

import (
	"context"
	"net"
)

// Listener is a net.Listener over the flows to a name.
type Listener struct{}

// Accept gives the stream view of the next reliable flow; a flow that may
// lose messages is deallocated and passed over.
func (l *Listener) Accept() (net.Conn, error) { panic("not built yet") }

// AcceptFlow gives the next flow of any kind.
func (l *Listener) AcceptFlow(ctx context.Context) (*Flow, error) { panic("not built yet") }

// Close ends pending accepts with net.ErrClosed. Accepted flows go on.
func (l *Listener) Close() error { panic("not built yet") }

// Addr is the name.
func (l *Listener) Addr() net.Addr { panic("not built yet") }
