package shim_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
	"ouroboros/irm"
	"ouroboros/qos"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// address is where a member of a simulated network is.
type address int

// network joins members. Each message and each packet takes latency, unless
// lose says that it does not arrive.
type network struct {
	latency time.Duration
	lose    func(from, to address) bool
	seen    func(from, to address, m *shim.Message) // what is sent, lost or not

	mu      sync.Mutex
	members map[address]*member
}

func newNetwork() *network {
	return &network{latency: 5 * time.Millisecond, members: make(map[address]*member)}
}

// bursts loses three in a row, a share of all on average, each direction for
// itself.
func bursts(share float64, seed uint64) func(from, to address) bool {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 3))
	left := make(map[[2]address]int)
	start := share / (3 - 2*share)
	return func(from, to address) bool {
		mu.Lock()
		defer mu.Unlock()
		way := [2]address{from, to}
		if left[way] > 0 {
			left[way]--
			return true
		}
		if r.Float64() < start {
			left[way] = 2
			return true
		}
		return false
	}
}

// carry calls f at the member that is reached, after the latency.
func (n *network) carry(from, to address, f func(m *member)) {
	n.mu.Lock()
	m := n.members[to]
	n.mu.Unlock()
	if m == nil || n.lose != nil && n.lose(from, to) {
		return
	}
	if n.latency == 0 {
		f(m)
		return
	}
	time.AfterFunc(n.latency, func() { f(m) })
}

// member is an IPCP made of a Shim and nothing else.
type member struct {
	ipcp.Unsupported
	*shim.Shim[address]

	net     *network
	at      address
	foreign atomic.Bool  // does not know the messages of our own kind
	room    atomic.Int64 // packets that Transmit takes; negative = all
	refuse  atomic.Int64 // messages that Manage has no room for
	env     ipcp.Env
}

func (m *member) Bootstrap(context.Context, *irm.Config) (irm.LayerInfo, error) {
	return irm.LayerInfo{Name: "net", Hash: irm.MD5}, nil
}

func (m *member) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	to, ok := m.Directory.Lookup(req.Hash)
	if !ok {
		return nil, errno.NameError
	}
	r, err := m.Alloc(ctx, to, req)
	if errors.Is(err, errno.Again) { // it was forgotten, and is asked for again
		m.Directory.Add(req.Hash, to, time.Hour)
	}
	return r, err
}

func (m *member) Query(context.Context, []byte) error { return nil }

func (m *member) Close() error {
	m.Shim.Close()
	return nil
}

func (m *member) Transmit(e *shim.Endpoint[address], batch []*packet.Buffer) (taken int) {
	n := len(batch)
	if room := m.room.Load(); room >= 0 {
		n = min(n, int(room))
		m.room.Add(-int64(n))
	}
	for _, b := range batch[:n] {
		id, from := e.Remote(), m.at
		m.net.carry(from, e.Peer(), func(to *member) {
			if there := to.Endpoint(id); there != nil {
				there.Deliver(from, []*packet.Buffer{b})
			} else {
				b.Release()
			}
		})
	}
	return n
}

func (m *member) Manage(to address, msg *shim.Message) error {
	if m.refuse.Load() > 0 {
		m.refuse.Add(-1)
		return errno.Again
	}
	if len(msg.Data) > 2000 {
		return errno.MsgSize
	}
	if m.net.seen != nil {
		m.net.seen(m.at, to, msg)
	}
	c := *msg
	c.Hash = append([]byte(nil), msg.Hash...)
	c.Data = append([]byte(nil), msg.Data...)
	m.net.carry(m.at, to, func(peer *member) {
		if peer.foreign.Load() && c.Code > shim.FlowReply {
			return
		}
		peer.Message(m.at, &c)
	})
	return nil
}

// host is what stands behind a member: decide answers each request, and flows
// that are complete come out of flows.
type host struct {
	decide func(ctx context.Context, req *ipcp.Request) error
	flows  chan flow.Flow
	failed chan error
}

func newHost() *host {
	return &host{
		decide: func(context.Context, *ipcp.Request) error { return nil },
		flows:  make(chan flow.Flow, 10000), failed: make(chan error, 10000),
	}
}

type offer struct {
	*host
	data []byte
}

func (h *host) Arrive(ctx context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	if err := h.decide(ctx, req); err != nil {
		return nil, err
	}
	return offer{h, append([]byte("answer to "), req.Data...)}, nil
}

func (h *host) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	return nil, errno.NotSup
}

func (h *host) Accept(context.Context) (flow.Flow, qos.Spec, error) {
	return nil, qos.Spec{}, errno.NotSup
}

func (o offer) Data() []byte         { return o.data }
func (o offer) Complete(f flow.Flow) { o.flows <- f }
func (o offer) Fail(err error)       { o.failed <- err }

// change is made to the configuration of a member's Shim.
type change func(*shim.Config[address])

// join makes a member, in operation until the test ends.
func (n *network) join(t testing.TB, at address, h *host, changes ...change) (*member, *ipcp.Guard) {
	t.Helper()
	m := &member{net: n, at: at}
	m.room.Store(-1)
	g, err := ipcp.Start(irm.UDP4, func(env ipcp.Env) (ipcp.IPCP, error) {
		m.env = env
		cfg := shim.Config[address]{
			Env: env, Edge: m,
			Own: shim.Range{Lo: 1, Hi: 0x7fffffff}, Remote: shim.Range{Lo: 1, Hi: 0xffffffff},
			MPL: 5 * time.Second, MTU: 1000,
		}
		for _, c := range changes {
			c(&cfg)
		}
		m.Shim = shim.New(cfg)
		return m, nil
	}, ipcp.Env{Identity: ipcp.Identity{PID: 5000000 + int(at), Name: "m"}, Host: h}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Bootstrap(t.Context(), irm.NewConfig(irm.UDP4, "net")); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.members[at] = m
	n.mu.Unlock()
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, g
}

// name is a hash.
func name(s string) []byte { return hash.Sum(irm.MD5, s) }

// request asks for the name with data that begins with an id of its own.
func request(s, data string) *ipcp.Request {
	id := make([]byte, shim.RequestIDSize)
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	return &ipcp.Request{Hash: name(s), QoS: qos.Raw, Data: append(id, data...)}
}

// count is a number out of Show.
func (m *member) shown(component, key string) uint64 {
	switch v := m.Show()[component].(map[string]any)[key].(type) {
	case uint64:
		return v
	case int:
		return uint64(v)
	}
	return 1 << 63
}
