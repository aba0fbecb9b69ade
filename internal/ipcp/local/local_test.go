package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/local"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// server is a host with one server behind it: decide answers each request, and
// completed flows come out of flows.
type server struct {
	decide func(ctx context.Context, req *ipcp.Request) error
	flows  chan flow.Flow
	failed chan error
}

func newServer() *server {
	return &server{
		decide: func(context.Context, *ipcp.Request) error { return nil },
		flows:  make(chan flow.Flow, 100), failed: make(chan error, 100),
	}
}

type offer struct {
	*server
	data []byte
}

func (s *server) Arrive(ctx context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	if err := s.decide(ctx, req); err != nil {
		return nil, err
	}
	return offer{s, append([]byte("answer to "), req.Data...)}, nil
}

func (s *server) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	return nil, errno.NotSup
}

func (s *server) Accept(context.Context) (flow.Flow, qos.Spec, error) {
	return nil, qos.Spec{}, errno.NotSup
}

func (o offer) Data() []byte         { return o.data }
func (o offer) Complete(f flow.Flow) { o.flows <- f }
func (o offer) Fail(err error)       { o.failed <- err }

// layer makes a local layer with one registered name.
func layer(t testing.TB, s *server) (g *ipcp.Guard, name []byte) {
	t.Helper()
	g, err := ipcp.Start(irm.Local, local.New, ipcp.Env{
		Identity: ipcp.Identity{PID: 4194305, Name: "l1"}, Host: s,
	}, func(err error) { t.Errorf("the IPCP failed: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	info, err := g.Bootstrap(t.Context(), irm.NewConfig(irm.Local, "home"))
	if err != nil || info != (irm.LayerInfo{Name: "home", Hash: irm.SHA3_256}) {
		t.Fatalf("bootstrapped to %v: %v", info, err)
	}
	name = hash.Sum(info.Hash, "name")
	if err := g.Reg(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return g, name
}

// counter counts packets and notes events; it takes nothing while stopped.
type counter struct {
	mu      sync.Mutex
	stopped bool
	packets int
	events  []flow.Event
}

func (c *counter) Receive(batch []*packet.Buffer) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return 0
	}
	c.packets += len(batch)
	packet.ReleaseAll(batch)
	return len(batch)
}

func (c *counter) Event(e flow.Event) {
	c.mu.Lock()
	c.events = append(c.events, e)
	c.mu.Unlock()
}

func (c *counter) stop(stopped bool) {
	c.mu.Lock()
	c.stopped = stopped
	c.mu.Unlock()
}

func (c *counter) seen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.packets, c.events)
}

// open allocates a flow and attaches a counter to each end.
func open(t testing.TB, g *ipcp.Guard, s *server, name []byte) (client, srv flow.Flow, atClient, atServer *counter) {
	t.Helper()
	r, err := g.AllocFlow(t.Context(), &ipcp.Request{Hash: name, QoS: qos.Data, Data: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Data) != "answer to hello" || r.MPL != 100*time.Millisecond {
		t.Errorf("reply %q, MPL %v", r.Data, r.MPL)
	}
	client, srv = r.Flow, <-s.flows
	atClient, atServer = &counter{}, &counter{}
	client.Attach(atClient)
	srv.Attach(atServer)
	return
}

func send(f flow.Flow, n int) (taken int) {
	var batch []*packet.Buffer
	for range n {
		batch = append(batch, packet.From([]byte("packet")))
	}
	taken = f.Send(batch)
	packet.ReleaseAll(batch[taken:])
	return taken
}

func TestRegisteringAndUnregisteringMayBeRepeated(t *testing.T) {
	g, name := layer(t, newServer())
	other := hash.Sum(irm.SHA3_256, "other")
	ctx := t.Context()
	for _, step := range []struct {
		what string
		err  error
		want error
	}{
		{"register again", g.Reg(ctx, name), nil},
		{"query", g.Query(ctx, name), nil},
		{"query another", g.Query(ctx, other), errno.NameError},
		{"unregister", g.Unreg(ctx, name), nil},
		{"unregister again", g.Unreg(ctx, name), nil},
		{"query after that", g.Query(ctx, name), errno.NameError},
		{"a short hash", g.Query(ctx, name[1:]), errno.Invalid},
		{"no hash", g.Reg(ctx, nil), errno.Invalid},
		{"enroll", second(g.Enroll(ctx, "x")), errno.NotSup},
		{"connect", g.Connect(ctx, irm.DataTransfer, "x", qos.Raw), errno.NotSup},
		{"join", second(g.Join(ctx, name)), errno.NotSup},
		{"bootstrap again", second(g.Bootstrap(ctx, irm.NewConfig(irm.Local, "x"))), errno.IPCPState},
	} {
		if !errors.Is(step.err, step.want) {
			t.Errorf("%s: %v, want %v", step.what, step.err, step.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAFlowJoinsTheTwoOwners(t *testing.T) {
	s := newServer()
	s.decide = func(_ context.Context, req *ipcp.Request) error {
		if !bytes.Equal(req.Hash, hash.Sum(irm.SHA3_256, "name")) || req.QoS != qos.Data || req.MPL != local.MPL {
			t.Errorf("the request changed on its way: %v", req)
		}
		return nil
	}
	g, name := layer(t, s)
	client, srv, atClient, atServer := open(t, g, s, name)
	send(client, 3)
	send(srv, 2)
	if !flow.IsLossless(client) || srv.QoS() != qos.Data || client.MTU() != 1<<20 {
		t.Error("the flow does not say what it is")
	}
	client.Dealloc()
	if got := atServer.seen(); got != "3 [dealloc]" {
		t.Errorf("server: %s", got)
	}
	if got := atClient.seen(); got != "2 []" {
		t.Errorf("client: %s", got)
	}
	srv.Dealloc()
	if open := g.Show()["flows"].(map[string]any)["open"]; open != 0 {
		t.Errorf("%v flows are left", open)
	}
}

func TestARefusalIsReportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.decide = func(context.Context, *ipcp.Request) error { return errno.AuthFailed }
		g, name := layer(t, s)
		start := time.Now()
		if _, err := g.AllocFlow(t.Context(), &ipcp.Request{Hash: name}); !errors.Is(err, errno.AuthFailed) {
			t.Errorf("got %v, want the server's refusal", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("after %v", d)
		}
	})
}

func TestAnUnknownNameIsRefusedWithoutAsking(t *testing.T) {
	s := newServer()
	s.decide = func(context.Context, *ipcp.Request) error { t.Error("the server was asked"); return nil }
	g, _ := layer(t, s)
	req := &ipcp.Request{Hash: hash.Sum(irm.SHA3_256, "nobody")}
	if _, err := g.AllocFlow(t.Context(), req); !errors.Is(err, errno.NameError) {
		t.Errorf("got %v", err)
	}
}

func TestAnAllocationWhoseClientGaveUpIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		decided := make(chan struct{})
		s.decide = func(context.Context, *ipcp.Request) error { <-decided; return nil } // does not look at its context
		g, name := layer(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan error)
		go func() {
			_, err := g.AllocFlow(ctx, &ipcp.Request{Hash: name})
			done <- err
		}()
		time.Sleep(2 * time.Second)
		close(decided)
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := <-s.failed; err == nil {
			t.Error("the server was not told")
		}
		if open := g.Show()["flows"].(map[string]any)["open"]; open != 0 {
			t.Errorf("%v flows are left", open)
		}
	})
}

func TestOnePendingServerHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.decide = func(ctx context.Context, req *ipcp.Request) error {
			if string(req.Data) == "slow" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		g, name := layer(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		slow := make(chan error)
		go func() {
			_, err := g.AllocFlow(ctx, &ipcp.Request{Hash: name, Data: []byte("slow")})
			slow <- err
		}()
		synctest.Wait()
		open(t, g, s, name)
		cancel()
		if err := <-slow; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestASlowReceiverHarmsNobodyElse(t *testing.T) {
	s := newServer()
	g, name := layer(t, s)
	slow, _, atSlow, atSlowServer := open(t, g, s, name)
	fast, _, _, atFastServer := open(t, g, s, name)
	atSlowServer.stop(true)
	for send(slow, 100) == 100 {
	}
	if n := send(fast, 5000); n != 5000 {
		t.Errorf("the other flow took %d", n)
	}
	if got := atFastServer.seen(); got != "5000 []" {
		t.Errorf("the other server: %s", got)
	}
	if got := atSlow.seen(); got != "0 []" {
		t.Errorf("the slow flow's client: %s", got)
	}
}

func TestClosingTheLayerEndsItsFlows(t *testing.T) {
	s := newServer()
	g, name := layer(t, s)
	client, _, atClient, atServer := open(t, g, s, name)
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if a, b := atClient.seen(), atServer.seen(); a != "0 [dealloc]" || b != a {
		t.Errorf("client: %s, server: %s", a, b)
	}
	if n := send(client, 1); n != 1 {
		t.Errorf("took %d: a flow that is gone takes all", n)
	}
	client.Dealloc()
	if _, err := g.AllocFlow(t.Context(), &ipcp.Request{Hash: name}); !errors.Is(err, errno.IPCPState) {
		t.Errorf("allocation after the end: %v", err)
	}
}

func TestADirectoryHashThatDoesNotExistIsRefused(t *testing.T) {
	g, err := ipcp.Start(irm.Local, local.New, ipcp.Env{Host: newServer()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Bootstrap(t.Context(), &irm.Config{Layer: "x", Hash: 9}); !errors.Is(err, errno.Invalid) {
		t.Errorf("got %v", err)
	}
	if g.State() != ipcp.Boot {
		t.Errorf("state %v", g.State())
	}
	if _, err := g.Bootstrap(t.Context(), irm.NewConfig(irm.Local, "x")); err != nil {
		t.Errorf("the second try: %v", err)
	}
}

func TestAPacketThroughTheLayerAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	s := newServer()
	g, name := layer(t, s)
	client, _, _, _ := open(t, g, s, name)
	batch := make([]*packet.Buffer, 32)
	if n := testing.AllocsPerRun(1000, func() {
		for i := range batch {
			batch[i] = packet.Get(1400)
		}
		client.Send(batch)
	}); n >= 1 {
		t.Errorf("%v allocations a batch", n)
	}
}

func BenchmarkLayer(b *testing.B) {
	for _, size := range []int{1, 32} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := newServer()
			g, name := layer(b, s)
			client, _, _, _ := open(b, g, s, name)
			batch := make([]*packet.Buffer, size)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for i := range batch {
					batch[i] = packet.Get(64)
				}
				client.Send(batch)
				n += size
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		})
	}
}
