package ipcp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// fragile is an IPCP that gives one end of pipes, uses one lower flow, and
// panics where it is told to; a messy one leaves its lock behind.
type fragile struct {
	ipcp.Unsupported
	env   ipcp.Env
	mu    sync.Mutex
	at    string
	messy bool
	ends  []*flow.Pipe // the other ends of the flows that it gave
}

func (f *fragile) maybe(where string) {
	f.mu.Lock()
	if f.at == where {
		if !f.messy {
			f.mu.Unlock()
		}
		panic("broken in " + where)
	}
	f.mu.Unlock()
}

func (f *fragile) Bootstrap(ctx context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	f.maybe("bootstrap")
	if cfg.Layer == "bad" {
		return irm.LayerInfo{}, errno.Invalid
	}
	return irm.LayerInfo{Name: cfg.Layer, Hash: cfg.Hash}, nil
}

func (f *fragile) Query(ctx context.Context, h []byte) error {
	f.maybe("query")
	if f.at == "nowhere" {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fragile) Connect(ctx context.Context, component, dst string, spec qos.Spec) error {
	l, err := f.env.Host.Alloc(ctx, dst, spec)
	if err == nil {
		l.Attach(flow.Funcs{OnReceive: func(b []*packet.Buffer) int {
			f.maybe("receive")
			packet.ReleaseAll(b)
			return len(b)
		}, OnEvent: func(flow.Event) { f.maybe("event") }})
	}
	return err
}

func (f *fragile) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	f.maybe("alloc")
	a, b := flow.NewPipe(flow.PipeOptions{QoS: req.QoS})
	f.mu.Lock()
	f.ends = append(f.ends, b)
	f.mu.Unlock()
	return &ipcp.Reply{Flow: &fragileFlow{a, f}}, nil
}

func (f *fragile) Show() map[string]any { f.maybe("show"); return map[string]any{"fine": true} }
func (f *fragile) Close() error         { f.maybe("close"); return nil }

type fragileFlow struct {
	*flow.Pipe
	f *fragile
}

func (f *fragileFlow) Send(b []*packet.Buffer) int { f.f.maybe("send"); return f.Pipe.Send(b) }

// host gives lower flows.
type host struct{ ends []*flow.Pipe }

func (h *host) Arrive(context.Context, *ipcp.Request) (ipcp.Offer, error) { return nil, errno.IPCP }
func (h *host) Accept(context.Context) (flow.Flow, qos.Spec, error) {
	return nil, qos.Spec{}, errno.IPCP
}
func (h *host) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	a, b := flow.NewPipe(flow.PipeOptions{})
	h.ends = append(h.ends, b)
	return a, nil
}

type events struct {
	mu   sync.Mutex
	seen []string
}

func (e *events) Receive(b []*packet.Buffer) int {
	packet.ReleaseAll(b)
	return len(b)
}
func (e *events) Event(ev flow.Event) {
	e.mu.Lock()
	e.seen = append(e.seen, ev.String())
	e.mu.Unlock()
}
func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.seen, " ")
}

// start makes a fragile unicast IPCP; failures counts the calls of onFail.
func start(t *testing.T) (g *ipcp.Guard, f *fragile, h *host, failures func() int) {
	t.Helper()
	h = &host{}
	var mu sync.Mutex
	n := 0
	g, err := ipcp.Start(irm.Unicast, func(env ipcp.Env) (ipcp.IPCP, error) {
		f = &fragile{env: env}
		return f, nil
	}, ipcp.Env{Identity: ipcp.Identity{PID: 4194305, Name: "u1"}, Host: h}, func(error) {
		mu.Lock()
		n++
		mu.Unlock()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g, f, h, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

var ctx = context.Background()

var name = hash.Sum(irm.SHA3_256, "name")

func bootstrap(g *ipcp.Guard) error {
	_, err := g.Bootstrap(ctx, irm.NewConfig(irm.Unicast, "layer"))
	return err
}

func alloc(g *ipcp.Guard) (flow.Flow, error) {
	r, err := g.AllocFlow(ctx, &ipcp.Request{Hash: name})
	if err != nil {
		return nil, err
	}
	return r.Flow, nil
}

func TestSupportedThenStateThenAction(t *testing.T) {
	operations := map[string]func(g *ipcp.Guard) error{
		"bootstrap":  bootstrap,
		"enroll":     func(g *ipcp.Guard) error { _, err := g.Enroll(ctx, "x"); return err },
		"connect":    func(g *ipcp.Guard) error { return g.Connect(ctx, irm.DataTransfer, "x", qos.Raw) },
		"disconnect": func(g *ipcp.Guard) error { return g.Disconnect(ctx, irm.DataTransfer, "x") },
		"reg":        func(g *ipcp.Guard) error { return g.Reg(ctx, name) },
		"unreg":      func(g *ipcp.Guard) error { return g.Unreg(ctx, name) },
		"query":      func(g *ipcp.Guard) error { return g.Query(ctx, name) },
		"alloc":      func(g *ipcp.Guard) error { _, err := alloc(g); return err },
		"join":       func(g *ipcp.Guard) error { _, err := g.Join(ctx, name); return err },
	}
	has := map[irm.IPCPType]string{
		irm.Local: "bootstrap reg unreg query alloc", irm.EthDIX: "bootstrap reg unreg query alloc",
		irm.EthLLC: "bootstrap reg unreg query alloc", irm.UDP4: "bootstrap reg unreg query alloc",
		irm.UDP6:      "bootstrap reg unreg query alloc",
		irm.Unicast:   "bootstrap enroll connect disconnect reg unreg query alloc",
		irm.Broadcast: "bootstrap enroll connect disconnect join",
	}
	for kind, list := range has {
		build := func(env ipcp.Env) (ipcp.IPCP, error) { return &fragile{env: env}, nil }
		for op, do := range operations {
			supported := strings.Contains(" "+list+" ", " "+op+" ")
			want := func(state string, err error, ok error) {
				t.Helper()
				if !supported {
					ok = errno.NotSup
				}
				if !errors.Is(err, ok) {
					t.Errorf("%v, %s, %s: %v, want %v", kind, state, op, err, ok)
				}
			}
			g, err := ipcp.Start(kind, build, ipcp.Env{Host: &host{}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if op != "bootstrap" && op != "enroll" {
				want("boot", do(g), errno.IPCPState)
			}
			if err := bootstrap(g); err != nil {
				t.Fatal(err)
			}
			if op == "bootstrap" || op == "enroll" {
				want("operational", do(g), errno.IPCPState)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			want("shutdown", do(g), errno.IPCPState)
		}
	}
}

func TestAFailedBootstrapCanBeRepeated(t *testing.T) {
	g, _, _, _ := start(t)
	if _, err := g.Bootstrap(ctx, irm.NewConfig(irm.Unicast, "bad")); !errors.Is(err, errno.Invalid) {
		t.Errorf("got %v", err)
	}
	if g.State() != ipcp.Boot {
		t.Errorf("state %v", g.State())
	}
	if err := bootstrap(g); err != nil || g.State() != ipcp.Operational || g.Layer().Name != "layer" {
		t.Errorf("state %v: %v", g.State(), err)
	}
}

func TestHashesOfTheWrongLengthGoNoFurther(t *testing.T) {
	g, f, _, failures := start(t)
	if err := bootstrap(g); err != nil {
		t.Fatal(err)
	}
	f.at = "query"
	for _, h := range [][]byte{nil, {}, name[:31], append(name[:32:32], 0)} {
		if err := g.Query(ctx, h); !errors.Is(err, errno.Invalid) {
			t.Errorf("%d bytes: %v", len(h), err)
		}
	}
	if failures() != 0 {
		t.Error("the IPCP was asked")
	}
}

func TestAPanicEndsThatIPCPAlone(t *testing.T) {
	for where, do := range map[string]func(g *ipcp.Guard, f *fragile, h *host, up flow.Flow) error{
		"query": func(g *ipcp.Guard, _ *fragile, _ *host, _ flow.Flow) error { return g.Query(ctx, name) },
		"alloc": func(g *ipcp.Guard, _ *fragile, _ *host, _ flow.Flow) error { _, err := alloc(g); return err },
		"show":  func(g *ipcp.Guard, _ *fragile, _ *host, _ flow.Flow) error { g.Show(); return g.Query(ctx, name) },
		"receive": func(g *ipcp.Guard, _ *fragile, h *host, _ flow.Flow) error {
			send(h.ends[0], 1)
			return g.Query(ctx, name)
		},
		"event": func(g *ipcp.Guard, _ *fragile, h *host, _ flow.Flow) error {
			h.ends[0].SetDown(true)
			return g.Query(ctx, name)
		},
		"send": func(g *ipcp.Guard, _ *fragile, _ *host, up flow.Flow) error { send(up, 1); return g.Query(ctx, name) },
		"goroutine": func(g *ipcp.Guard, f *fragile, _ *host, _ flow.Flow) error {
			f.env.Go(func() { f.maybe("goroutine") })
			synctest.Wait()
			return g.Query(ctx, name)
		},
		"timer": func(g *ipcp.Guard, f *fragile, _ *host, _ flow.Flow) error {
			f.env.AfterFunc(time.Second, func() { f.maybe("timer") })
			time.Sleep(time.Second)
			synctest.Wait()
			return g.Query(ctx, name)
		},
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, f, h, failures := start(t)
				if err := bootstrap(g); err != nil {
					t.Fatal(err)
				}
				if err := g.Connect(ctx, irm.DataTransfer, "below", qos.Raw); err != nil {
					t.Fatal(err)
				}
				below, above := &events{}, &events{}
				h.ends[0].Attach(below)
				up, err := alloc(g)
				if err != nil {
					t.Fatal(err)
				}
				up.Attach(above)
				late, err := alloc(g)
				if err != nil {
					t.Fatal(err)
				}

				f.mu.Lock()
				f.at = where
				f.mu.Unlock()
				if err := do(g, f, h, up); !errors.Is(err, errno.IPCP) || !strings.Contains(fmt.Sprint(err), "broken in "+where) {
					t.Errorf("got %v", err)
				}
				synctest.Wait()
				if g.State() != ipcp.Failed || failures() != 1 {
					t.Errorf("state %v, %d failures", g.State(), failures())
				}
				if got := above.String(); got != "down dealloc" {
					t.Errorf("the user above got %q", got)
				}
				if got := below.String(); got != "dealloc" && got != "down dealloc" {
					t.Errorf("the user below got %q", got)
				}
				user := &events{}
				late.Attach(user)
				if got := user.String(); got != "down dealloc" {
					t.Errorf("a user that came late got %q", got)
				}
				if n := send(up, 3); n != 3 {
					t.Errorf("took %d: a flow of a failed IPCP takes all", n)
				}
				send(f.ends[0], 1) // arrives nowhere
				up.Dealloc()
				late.Dealloc()
			})
		})
	}
}

func send(f flow.Flow, n int) (taken int) {
	var batch []*packet.Buffer
	for range n {
		batch = append(batch, packet.Get(10))
	}
	taken = f.Send(batch)
	packet.ReleaseAll(batch[taken:])
	return taken
}

func TestAPanicWhileItIsMadeMakesNoIPCP(t *testing.T) {
	_, err := ipcp.Start(irm.Local, func(ipcp.Env) (ipcp.IPCP, error) { panic("no") }, ipcp.Env{Host: &host{}}, nil)
	if !errors.Is(err, errno.IPCP) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsWaitingCallsGoroutinesAndFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f, h, failures := start(t)
		if err := bootstrap(g); err != nil {
			t.Fatal(err)
		}
		g.Connect(ctx, irm.DataTransfer, "below", qos.Raw)
		below, above := &events{}, &events{}
		h.ends[0].Attach(below)
		up, _ := alloc(g)
		up.Attach(above)
		ended := false
		f.env.Go(func() { <-f.env.Context.Done(); ended = true })
		f.env.AfterFunc(time.Hour, func() { t.Error("a timer ran after the end") })
		f.at = "nowhere"
		waiting := make(chan error)
		go func() { waiting <- g.Query(ctx, name) }()
		synctest.Wait()

		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, errno.IPCP) {
			t.Errorf("the waiting call: %v", err)
		}
		if !ended {
			t.Error("a goroutine is left")
		}
		if above.String() != "dealloc" || below.String() != "dealloc" {
			t.Errorf("above %q, below %q", above, below)
		}
		time.Sleep(2 * time.Hour)
		f.env.Go(func() { t.Error("a goroutine started after the end") })
		if failures() != 0 || g.State() != ipcp.Shutdown {
			t.Errorf("%d failures, state %v", failures(), g.State())
		}
	})
}

func TestALockThatAPanicLeftBehindHoldsUpNobody(t *testing.T) {
	g, f, _, _ := start(t)
	if err := bootstrap(g); err != nil {
		t.Fatal(err)
	}
	up, err := alloc(g)
	if err != nil {
		t.Fatal(err)
	}
	f.at, f.messy = "query", true
	g.Query(ctx, name)
	send(up, 1)
	up.Dealloc()
	if err := g.Query(ctx, name); !errors.Is(err, errno.IPCP) {
		t.Errorf("got %v", err)
	}
	if err := g.Close(); !errors.Is(err, errno.IPCP) {
		t.Errorf("got %v", err)
	}
	f.mu.Unlock() // so that nothing is left after the test
}

func TestAnIPCPThatDoesNotEndIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f, _, _ := start(t)
		stuck := make(chan struct{})
		f.env.Go(func() { <-stuck })
		if err := g.Close(); !errors.Is(err, errno.IPCP) {
			t.Errorf("got %v", err)
		}
		close(stuck)
		synctest.Wait()
	})
}
