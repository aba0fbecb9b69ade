package simnet_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/internal/simnet"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// host accepts all that comes to a member.
type host struct{ flows chan flow.Flow }

type offer struct{ *host }

func (h *host) Arrive(context.Context, *ipcp.Request) (ipcp.Offer, error) { return offer{h}, nil }
func (h *host) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	return nil, errno.NotSup
}
func (h *host) Accept(context.Context) (flow.Flow, qos.Spec, error) {
	return nil, qos.Spec{}, errno.NotSup
}

func (o offer) Data() []byte         { return []byte("yes") }
func (o offer) Complete(f flow.Flow) { o.flows <- f }
func (o offer) Fail(error)           {}

// member is an IPCP on a link, behind its guard.
type member struct {
	*ipcp.Guard
	flows chan flow.Flow
}

func join(t testing.TB, net *simnet.Net, device string) *member {
	t.Helper()
	h := &host{flows: make(chan flow.Flow, 1000)}
	g, err := ipcp.Start(irm.EthDIX, net.Kind(), ipcp.Env{Identity: ipcp.Identity{PID: 5000000, Name: "m"}, Host: h}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := irm.NewConfig(irm.EthDIX, "lan")
	cfg.Eth.Device = device
	if _, err := g.Bootstrap(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return &member{g, h.flows}
}

func name(s string) []byte { return hash.Sum(irm.SHA3_256, s) }

// seen is the user of a flow: what came, and when.
type seen struct {
	mu     sync.Mutex
	begun  time.Time
	got    []byte // the first byte of each
	at     []time.Duration
	events []flow.Event
	wake   chan struct{} // EventWritable
}

func watch(f flow.Flow) *seen {
	s := &seen{begun: time.Now(), wake: make(chan struct{}, 1)}
	f.Attach(s)
	return s
}

func (s *seen) Receive(batch []*packet.Buffer) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range batch {
		s.got = append(s.got, b.Bytes()[0])
		s.at = append(s.at, time.Since(s.begun))
		b.Release()
	}
	return len(batch)
}

func (s *seen) Event(e flow.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	if e == flow.EventWritable {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (s *seen) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.got, s.at, s.events = time.Now(), nil, nil, nil
}

// came, times and told are what was seen so far.
func (s *seen) came() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *seen) times() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.at)
}

func (s *seen) told() []flow.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// pair joins two members over a link and gives a flow between them.
func pair(t testing.TB, net *simnet.Net, device string) (a, b flow.Flow) {
	t.Helper()
	ma, mb := join(t, net, device), join(t, net, device)
	return connect(t, ma, mb)
}

func connect(t testing.TB, ma, mb *member) (a, b flow.Flow) {
	t.Helper()
	if err := mb.Reg(t.Context(), name("b")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := ma.AllocFlow(ctx, &ipcp.Request{Hash: name("b"), QoS: qos.NP1, Data: []byte("request")})
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Data) != "yes" {
		t.Errorf("the answer is %q", r.Data)
	}
	return r.Flow, <-mb.flows
}

// numbered makes n packets of a size whose first byte counts.
func numbered(n, size int) []*packet.Buffer {
	bs := make([]*packet.Buffer, n)
	for i := range bs {
		bs[i] = packet.Get(size)
		bs[i].Bytes()[0] = byte(i)
	}
	return bs
}

// header is what a frame has before the payload.
const header = 18
