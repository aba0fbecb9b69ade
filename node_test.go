package ouroboros

import (
	"context"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/ring"
	"ouroboros/internal/session"
	"ouroboros/qos"
)

func TestMain(m *testing.M) {
	leak.Main(m)
}

// node is the least that joins processes by name: real rings, one link for
// each pair of processes.
type node struct {
	shared bool

	mu     sync.Mutex
	bound  map[string]*process
	id     int
	held   map[int][2]*session.Grant
	links  []*ring.Link
	joined *process
}

// process is a session.Backend on a node.
type process struct {
	node *node
	pid  int
	in   chan *session.Grant
	done chan struct{}
	once sync.Once
}

func newNode(t testing.TB, shared bool) *node {
	n := &node{shared: shared, bound: make(map[string]*process), held: make(map[int][2]*session.Grant)}
	t.Cleanup(func() {
		for _, l := range n.links {
			l.Close()
		}
	})
	return n
}

// client is a new process on the node.
func (n *node) client(t testing.TB) *Client {
	n.mu.Lock()
	n.id++
	p := &process{node: n, pid: 1000 + n.id, in: make(chan *session.Grant, 1000), done: make(chan struct{})}
	n.mu.Unlock()
	c := NewClient(p)
	t.Cleanup(func() { c.Close() })
	return c
}

func (p *process) Alloc(ctx context.Context, dst string, spec qos.Spec) (*session.Grant, error) {
	n := p.node
	n.mu.Lock()
	server := n.bound[dst]
	n.id++
	id := n.id
	n.mu.Unlock()
	if dst == "nobody answers" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if server == nil {
		return nil, errno.New(errno.NameError, "cannot allocate a flow to %q: no layer knows that name", dst)
	}
	s, err := ring.NewSegment(ring.SegmentOptions{Shared: n.shared})
	if err != nil {
		return nil, err
	}
	l, err := ring.NewLink(n.shared)
	if err != nil {
		return nil, err
	}
	var g [2]*session.Grant
	for side := range g {
		e, err := ring.NewEnd(s, l, 0, side)
		if err != nil {
			return nil, err
		}
		g[side] = &session.Grant{ID: id, Name: dst, QoS: spec, MPL: time.Second, MTU: MaxMessage, End: e,
			Peer: [2]int{server.pid, p.pid}[side]}
	}
	s.CloseFD()
	n.mu.Lock()
	n.links = append(n.links, l)
	n.held[id] = g
	n.mu.Unlock()
	server.in <- g[1]
	return g[0], nil
}

func (p *process) Accept(ctx context.Context) (*session.Grant, error) {
	select {
	case g := <-p.in:
		return g, nil
	default:
	}
	select {
	case g := <-p.in:
		return g, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *process) Join(ctx context.Context, layer string) (*session.Grant, error) {
	return nil, errno.New(errno.IPCP, "cannot join the layer %q: this node has no IPCP in it", layer)
}

func (p *process) Bind(ctx context.Context, name string) error {
	if name == "forbidden" {
		return errno.New(errno.Perm, "cannot bind to %q", name)
	}
	p.node.mu.Lock()
	defer p.node.mu.Unlock()
	p.node.bound[name] = p
	return nil
}

func (p *process) Dealloc(id int) {}

func (p *process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) Close() error {
	p.once.Do(func() {
		close(p.done)
		for {
			select {
			case g := <-p.in:
				g.End.Close()
			default:
				return
			}
		}
	})
	return nil
}

// crash is what the node says to the other side of a flow when a process was
// killed: its end is not closed.
func (n *node) crash(f *Flow) {
	n.mu.Lock()
	g := n.held[f.ID()]
	n.mu.Unlock()
	for _, g := range g {
		if g.End != f.end {
			g.Notify(flow.EventDown)
		}
	}
}

// flowPair is both ends of a flow between two processes of a node.
func flowPair(t testing.TB, n *node, spec *QoS) (client, server *Flow) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cc, sc := n.client(t), n.client(t)
	if err := sc.backend.Bind(ctx, "echo"); err != nil {
		t.Fatal(err)
	}
	client, err := cc.Alloc(ctx, "echo", spec)
	if err != nil {
		t.Fatal(err)
	}
	if server, err = sc.Accept(ctx); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// kinds runs a test over memory of the program and over shared memory.
func kinds(t *testing.T, f func(t *testing.T, n *node)) {
	t.Run("heap", func(t *testing.T) { f(t, newNode(t, false)) })
	t.Run("shared", func(t *testing.T) { f(t, newNode(t, true)) })
}
