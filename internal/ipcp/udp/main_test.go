package udp

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/packet"
	"ouroboros/irm"
	"ouroboros/qos"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// host is what stands behind an IPCP: it accepts each request unless it
// refuses, and flows that are complete come out of flows.
type host struct {
	no    atomic.Pointer[error]
	flows chan flow.Flow
}

func newHost() *host { return &host{flows: make(chan flow.Flow, 10000)} }

// refuse answers all requests with an error from now on.
func (h *host) refuse(err error) { h.no.Store(&err) }

type offer struct {
	h    *host
	data []byte
}

func (h *host) Arrive(_ context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	if err := h.no.Load(); err != nil {
		return nil, *err
	}
	return offer{h, append([]byte("re "), req.Data...)}, nil
}

func (h *host) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	return nil, errno.NotSup
}

func (h *host) Accept(context.Context) (flow.Flow, qos.Spec, error) {
	return nil, qos.Spec{}, errno.NotSup
}

func (o offer) Data() []byte         { return o.data }
func (o offer) Complete(f flow.Flow) { o.h.flows <- f }
func (o offer) Fail(error)           {}

// made is an IPCP of a test with its guard.
type made struct {
	*ipcp.Guard
	*layer
	inner *IPCP
	host  *host
}

// begin makes an IPCP in no layer.
func begin(t testing.TB, kind irm.IPCPType, find Finder) *made {
	t.Helper()
	m := &made{host: newHost()}
	g, err := ipcp.Start(kind, func(env ipcp.Env) (ipcp.IPCP, error) {
		i, err := New(kind, find)(env)
		m.inner, _ = i.(*IPCP)
		return i, err
	}, ipcp.Env{Identity: ipcp.Identity{PID: 5000001, Name: "u"}, Host: m.host}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	m.Guard = g
	return m
}

func kindOf(addr netip.Addr) irm.IPCPType {
	if addr.Is4() {
		return irm.UDP4
	}
	return irm.UDP6
}

// member makes an IPCP in a layer, on a port that nobody has.
func member(t testing.TB, addr string, change ...func(*irm.UDPConfig)) *made {
	t.Helper()
	ip := netip.MustParseAddr(addr)
	m := begin(t, kindOf(ip), nobody{})
	m.join(t, ip, change...)
	return m
}

func (m *made) join(t testing.TB, ip netip.Addr, change ...func(*irm.UDPConfig)) {
	t.Helper()
	for range 100 {
		cfg := irm.NewConfig(kindOf(ip), "net")
		cfg.UDP.IP, cfg.UDP.Port = ip, uint16(20000+rand.IntN(10000))
		for _, c := range change {
			c(cfg.UDP)
		}
		_, err := m.Bootstrap(t.Context(), cfg)
		if err == nil {
			m.layer = m.inner.layer.Load()
			return
		}
		if errno.Number(err) != 98 {
			t.Fatal(err)
		}
	}
	t.Fatal("no port is free")
}

func name(s string) []byte { return hash.Sum(irm.MD5, s) }

// knows tells m that another has a name.
func (m *made) knows(s string, other *made) {
	m.Directory.Add(name(s), other.local, time.Hour)
}

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// request asks for a name with data that begins with an id of its own.
func request(s string) *ipcp.Request {
	data := make([]byte, 36)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return &ipcp.Request{Hash: name(s), QoS: qos.Raw, Data: data}
}

// flowTo allocates a flow and gives both its ends.
func (m *made) flowTo(t testing.TB, other *made) (near, far flow.Flow) {
	t.Helper()
	m.knows("service", other)
	r, err := m.AllocFlow(limited(t), request("service"))
	if err != nil {
		t.Fatal(err)
	}
	return r.Flow, <-other.host.flows
}

// collect keeps the lengths of what comes.
type collect struct {
	mu   sync.Mutex
	got  []int
	news chan struct{}
}

func newCollect() *collect { return &collect{news: make(chan struct{}, 1)} }

func (c *collect) Receive(batch []*packet.Buffer) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range batch {
		c.got = append(c.got, b.Len())
		b.Release()
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
	return len(batch)
}

func (c *collect) Event(flow.Event) {}

// wait waits until n packets have come and gives their lengths.
func (c *collect) wait(t testing.TB, n int) []int {
	t.Helper()
	late := time.After(patience)
	for {
		c.mu.Lock()
		got := append([]int(nil), c.got...)
		c.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-c.news:
		case <-late:
			t.Fatalf("%d of %d packets have come", len(got), n)
		}
	}
}

// until waits for something that must happen.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	late := time.Now().Add(patience)
	for !f() {
		if time.Now().After(late) {
			t.Fatalf("%s has not happened", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (m *made) shown(component, key string) any {
	return m.Show()[component].(map[string]any)[key]
}
