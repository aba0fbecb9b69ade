// Package ouroboros lets a program talk over an Ouroboros network.
//
// A flow connects two processes and is allocated to a name:
//
//	f, err := ouroboros.Alloc(ctx, "oping", nil)     // client
//	f, err := ouroboros.Accept(ctx)                  // server, bound to the name
//
// A flow carries messages: one Write is one message, and one Read returns one.
// Its QoS, agreed at allocation, says whether messages may be lost. Stream
// gives the view of a byte stream, so that net/http, gRPC and all that takes a
// net.Conn or net.Listener runs over a layer.
//
// The first call finds the daemon of this user, or of the system, in the
// runtime directory. A Client made by Open, or by a stack.Node, is one such
// connection; the functions of the package use a default one.
package ouroboros

import (
	"context"
	"net"
	"sync"

	"ouroboros/qos"
)

// QoS is the quality of service that a flow is asked for.
type QoS = qos.Spec

// Version of the system. The wire is that of Ouroboros 0.23.
const Version = "0.23.0"

// MaxMessage is the longest message in bytes that a flow between two
// processes of one node carries. Flows over a layer may carry less; a Write
// says so with ErrMsgSize.
const MaxMessage = 1 << 20

// standard is the client of the functions of the package.
var standard struct {
	mu     sync.Mutex
	client *Client
}

// Default gives the client that the functions of this package use, connecting
// it at first use. After a failure, or once that client was closed or its
// daemon has ended, the next call connects anew. Flows and listeners stay with
// the client that they are of.
func Default() (*Client, error) {
	standard.mu.Lock()
	defer standard.mu.Unlock()
	if standard.client != nil && standard.client.isUsable() {
		return standard.client, nil
	}
	c, err := Open("")
	if err != nil {
		return nil, err
	}
	standard.client = c
	return c, nil
}

// Alloc allocates a flow to the name dst. spec nil means raw. Without a
// deadline in ctx it gives up after 20 s. Errors: ErrName and ErrIPCP when no
// layer knows the name, ErrTimeout, ErrIRMd without a daemon, or the peer's
// refusal.
func Alloc(ctx context.Context, dst string, spec *QoS) (*Flow, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	return c.Alloc(ctx, dst, spec)
}

// Accept waits for the next flow to a name that this process, or the program
// it runs, is bound to.
func Accept(ctx context.Context) (*Flow, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	return c.Accept(ctx)
}

// Join makes this process a member of a broadcast layer.
func Join(ctx context.Context, layer string) (*Flow, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	return c.Join(ctx, layer)
}

// Listen gives a net.Listener for flows to name. If this process is not bound
// to name yet and may manage the node, it is bound now. An empty name stands
// for every name that the process is bound to.
func Listen(ctx context.Context, name string) (*Listener, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	return c.Listen(ctx, name)
}

// DialContext allocates a reliable flow to addr (a name; a ":port" at its end
// is cut off) and gives its stream view: for http.Transport and
// grpc.WithContextDialer. network is not looked at.
func DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	return c.DialContext(ctx, network, addr)
}
