package connmgr_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dt"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

const dataTransfer = "Data Transfer"

// part is a component for tests. It hands each connection over to itself, keeps
// what comes, and reports what is lost.
type part struct {
	info cep.Message

	mu      sync.Mutex
	take    func(c *connmgr.Conn) error // before a connection is taken; may be nil
	conns   []*connmgr.Conn
	removed []*connmgr.Conn
	lost    int
	got     []string
}

func transfer(address dt.Addr) *part {
	return &part{info: cep.Message{Component: dataTransfer, Protocol: "dtp", Version: 1, Syntax: 2, Address: address}}
}

func (p *part) Info() cep.Message { return p.info }

func (p *part) Added(c *connmgr.Conn) error {
	p.mu.Lock()
	take := p.take
	p.mu.Unlock()
	if take != nil {
		if err := take(c); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	c.HandOver(flow.Funcs{
		OnReceive: func(batch []*packet.Buffer) int {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, b := range batch {
				p.got = append(p.got, string(b.Bytes()))
				b.Release()
			}
			return len(batch)
		},
		OnEvent: func(e flow.Event) {
			if e == flow.EventDealloc || e == flow.EventPeer {
				p.drop(c)
				p.mu.Lock()
				p.lost++
				p.mu.Unlock()
				c.Lost(errors.New("lost: " + e.String()))
			}
		},
	})
	return nil
}

func (p *part) Removed(c *connmgr.Conn) {
	p.drop(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removed = append(p.removed, c)
}

func (p *part) drop(c *connmgr.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.conns {
		if o == c {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			return
		}
	}
}

// only gives the one connection that there is.
func (p *part) only(t testing.TB) *connmgr.Conn {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) != 1 {
		t.Fatalf("%d connections", len(p.conns))
	}
	return p.conns[0]
}

func (p *part) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// member is an IPCP with one component.
type member struct {
	*connmgr.Switchboard
	part *part
	env  ipcp.Env
}

func join(t testing.TB, w *ipcptest.World, name string, address dt.Addr, opts connmgr.Options) *member {
	t.Helper()
	env := w.Env(name)
	m := &member{connmgr.New(env, opts), transfer(address), env}
	m.Register(m.part)
	m.Start()
	t.Cleanup(m.Close)
	return m
}

// counter gives a number of Show.
func (m *member) counter(group, name string) uint64 {
	return m.Show().(map[string]any)[group].(map[string]any)[name].(uint64)
}

func (m *member) list() []map[string]any {
	return m.Show().(map[string]any)["connections"].([]map[string]any)
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// stranger is an IPCP that speaks for itself.
type stranger struct {
	t   testing.TB
	env ipcp.Env
}

func (s stranger) call(dst string) *flow.Conn {
	s.t.Helper()
	f, err := s.env.Host.Alloc(within(s.t, time.Second), dst, qos.Raw)
	if err != nil {
		s.t.Fatal(err)
	}
	return flow.NewConn(f, s.env.Go)
}

// answer accepts and calls f for each flow, with what came first.
func (s stranger) answer(f func(c *flow.Conn, first []byte)) {
	s.env.Go(func() {
		for {
			fl, _, err := s.env.Host.Accept(s.env.Context)
			if err != nil {
				return
			}
			c := flow.NewConn(fl, s.env.Go)
			s.env.Go(func() {
				first, _ := recv(s.env.Context, c, time.Minute)
				f(c, first)
			})
		}
	})
}

func say(c *flow.Conn, b []byte) { _ = c.Send(context.Background(), packet.From(b)) }

func put(m cep.Message) []byte {
	b := make([]byte, m.Size())
	m.Put(b)
	return b
}

func recv(ctx context.Context, c *flow.Conn, wait time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	b, err := c.Recv(ctx)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	return append([]byte{}, b.Bytes()...), nil
}

// ended waits for the end of a flow and says how long that took.
func ended(t testing.TB, c *flow.Conn) time.Duration {
	t.Helper()
	begun := time.Now()
	if b, err := recv(t.Context(), c, time.Minute); !errors.Is(err, errno.FlowDown) {
		t.Errorf("received %x: %v", b, err)
	}
	return time.Since(begun)
}

// moody is a host whose Accept fails until it is well.
type moody struct {
	ipcp.Host
	mu    sync.Mutex
	well  bool
	tries int
}

func (h *moody) Accept(ctx context.Context) (flow.Flow, qos.Spec, error) {
	h.mu.Lock()
	well := h.well
	h.tries++
	h.mu.Unlock()
	if !well {
		return nil, qos.Spec{}, errno.NoBufs
	}
	return h.Host.Accept(ctx)
}
