package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/local"
	"ouroboros/internal/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// testIPCP is a member of a layer whose other members are functions.
type testIPCP struct {
	ipcp.Unsupported
	host ipcp.Host
	id   ipcp.Identity

	bootstrap func(cfg *irm.Config) error
	enroll    func(ctx context.Context, dst string) error
	connect   func(ctx context.Context, component, dst string) error
	reg       func(ctx context.Context) error
	query     func(ctx context.Context) error
	alloc     func(ctx context.Context) (flow.Flow, error)
	join      func(ctx context.Context) (flow.Flow, error)
	close     func()
	respond   func(response []byte) []byte // changes the response of the server's node
	server    *oap.Server                  // of that node

	mu    sync.Mutex
	names map[string]bool
	asked int
	cfg   irm.Config
	peers []string // component and destination of what is connected
}

func (i *testIPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	if i.bootstrap != nil {
		if err := i.bootstrap(cfg); err != nil {
			return irm.LayerInfo{}, err
		}
	}
	i.cfg = *cfg
	return irm.LayerInfo{Name: cfg.Layer, Hash: cfg.Hash}, nil
}

func (i *testIPCP) Enroll(ctx context.Context, dst string) (irm.LayerInfo, error) {
	if i.enroll != nil {
		if err := i.enroll(ctx, dst); err != nil {
			return irm.LayerInfo{}, err
		}
	}
	return irm.LayerInfo{Name: "enrolled", Hash: irm.SHA3_256}, nil
}

// Connect and Disconnect work when the test says how.
func (i *testIPCP) Connect(ctx context.Context, component, dst string, spec qos.Spec) error {
	if i.connect == nil {
		return errno.NotSup
	}
	if err := i.connect(ctx, component, dst); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.peers = append(i.peers, component+" "+dst+" "+spec.String())
	return nil
}

func (i *testIPCP) Disconnect(_ context.Context, component, dst string) error {
	if i.connect == nil {
		return errno.NotSup
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.peers = slices.DeleteFunc(i.peers, func(p string) bool { return strings.HasPrefix(p, component+" "+dst+" ") })
	return nil
}

// connections lists what is connected, sorted.
func (i *testIPCP) connections() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(i.peers)), ", ")
}

func (i *testIPCP) Reg(ctx context.Context, h []byte) error {
	if i.reg != nil {
		if err := i.reg(ctx); err != nil {
			return err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.names == nil {
		i.names = make(map[string]bool)
	}
	i.names[string(h)] = true
	return nil
}

func (i *testIPCP) Unreg(_ context.Context, h []byte) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.names, string(h))
	return nil
}

func (i *testIPCP) Query(ctx context.Context, _ []byte) error {
	i.mu.Lock()
	i.asked++
	i.mu.Unlock()
	if i.query == nil {
		return errno.NameError
	}
	return i.query(ctx)
}

func (i *testIPCP) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	accepted, err := i.server.Check("far", oap.Security{}, req.Data, time.Now())
	if err != nil {
		return nil, errno.Of(errno.Number(err))
	}
	f, err := i.alloc(ctx)
	if err != nil {
		return nil, err
	}
	data, _, err := accepted.Respond()
	if err == nil && i.respond != nil {
		data = i.respond(data)
	}
	return &ipcp.Reply{Flow: f, Data: data, MPL: 5 * time.Second}, err
}

// arrive brings a request for a name, registered in the layer as names are that
// somebody asks for there.
func (i *testIPCP) arrive(ctx context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	e := i.host.(*host).e
	e.r.mu.Lock()
	n := e.r.nameOfHash(e.algo(), req.Hash)
	register := n != nil && !n.in(e)
	e.r.mu.Unlock()
	if register {
		e.r.RegName(bg, n.info.Name, e.pid)
	}
	return i.host.Arrive(ctx, req)
}

// asking gives a new request for a name, as another node makes it.
func asking(name string) *ipcp.Request {
	a, err := new(oap.Client).Begin(name, oap.Security{})
	if err != nil {
		panic(err)
	}
	return &ipcp.Request{Hash: hash.Sum(irm.SHA3_256, name), QoS: qos.Voice, MPL: time.Second, Data: a.Request()}
}

func (i *testIPCP) Join(ctx context.Context, h []byte) (flow.Flow, error) {
	if i.join == nil {
		return nil, errno.NotSup
	}
	return i.join(ctx)
}

func (i *testIPCP) Show() map[string]any { return map[string]any{"asked": i.asked} }
func (i *testIPCP) Close() error {
	if i.close != nil {
		i.close()
	}
	return nil
}

// layered gives a node whose IPCPs are testIPCPs, and local ones real.
func layered(t testing.TB) (*testNode, func(name string, kind irm.IPCPType, layer string) *testIPCP) {
	made := make(map[string]*testIPCP)
	n := newNode(t, func(c *Config) {
		c.NewIPCP = func(kind irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
			if kind == irm.Local {
				return ipcp.Start(kind, local.New, ipcp.Env{Identity: id, Host: host}, host.(Failure).Failed)
			}
			i := &testIPCP{host: host, id: id, server: oap.NewServer(oap.ServerConfig{})}
			made[id.Name] = i
			return i, nil
		}
	})
	return n, func(name string, kind irm.IPCPType, layer string) *testIPCP {
		t.Helper()
		pid, err := n.CreateIPCP(bg, name, kind)
		if err != nil {
			t.Fatal(err)
		}
		cfg := irm.NewConfig(kind, layer)
		if kind == irm.EthDIX || kind == irm.EthLLC {
			cfg.Eth.Device = "lo"
		}
		if _, err := n.BootstrapIPCP(bg, pid, cfg); err != nil {
			t.Fatal(err)
		}
		return made[name]
	}
}

// answers makes an IPCP know every name after d and give flows.
func (i *testIPCP) answers(d time.Duration) {
	i.query = func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	i.alloc = func(context.Context) (flow.Flow, error) {
		a, b := flow.NewPipe(flow.PipeOptions{QoS: qos.Raw, MTU: 1400})
		b.Dealloc()
		return a, nil
	}
}

func TestTheLayerThatAnswersFirstCarriesTheFlow(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name    string
		answers []time.Duration // unicast, eth-llc, eth-dix; never = does not know it
		want    string
		took    time.Duration
	}{
		{"the only one", []time.Duration{never, 30 * ms, never}, "i1", 30 * ms},
		{"the fastest", []time.Duration{50 * ms, 10 * ms, 40 * ms}, "i1", 10*ms + queryTie},
		{"the preferred of a tie", []time.Duration{10*ms + queryTie/2, 10 * ms, 10 * ms}, "i0", 10*ms + queryTie/2},
		{"in order, without waiting for the last", []time.Duration{never, 10 * ms, 500 * ms}, "i1", 10 * ms},
		{"the preferred at once", []time.Duration{0, 500 * ms, 500 * ms}, "i0", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, make := layered(t)
				for i, d := range tc.answers {
					e := make(fmt.Sprintf("i%d", i), []irm.IPCPType{irm.Unicast, irm.EthLLC, irm.EthDIX}[i], "l")
					if d != never {
						e.answers(d)
					}
				}
				client := n.process(20)
				took(t, tc.took, func() {
					g, err := client.Alloc(bg, "far", qos.Raw)
					if err != nil {
						t.Fatal(err)
					}
					if !g.Remote || g.Peer != 0 || g.MPL != 5*time.Second || g.MTU != 1400 {
						t.Errorf("got %+v", g)
					}
				})
				flows, _ := n.ListFlows(bg)
				if len(flows) != 1 || flows[0].IPCP != tc.want || flows[0].Layer != "l" {
					t.Fatalf("flows: %+v", flows)
				}
			})
		})
	}
}

func TestALayerThatCannotReachTheNameIsFollowedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		first, second := make("i0", irm.Unicast, "l0"), make("i1", irm.EthDIX, "l1")
		first.answers(0)
		second.answers(0)
		first.alloc = func(context.Context) (flow.Flow, error) { return nil, errno.IPCP }
		client := n.process(20)
		if _, err := client.Alloc(bg, "far", qos.Raw); err != nil {
			t.Fatal(err)
		}
		second.alloc = func(context.Context) (flow.Flow, error) { return nil, errno.AuthFailed }
		_, err := client.Alloc(bg, "far", qos.Raw)
		wantIs(t, err, errno.AuthFailed) // the word of the peer, as it is
	})
}

func TestAnAllocationInALayerEndsWithItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		e.answers(0)
		var ended error
		e.alloc = func(ctx context.Context) (flow.Flow, error) { <-ctx.Done(); ended = ctx.Err(); return nil, ctx.Err() }
		client := n.process(20)
		for _, d := range []time.Duration{300 * time.Millisecond, 3 * time.Second, never} {
			want := d
			if d == never {
				want = 20 * time.Second
			}
			ended = nil
			took(t, want, func() {
				_, err := client.Alloc(within(t, d), "far", qos.Raw)
				wantIs(t, err, errno.TimedOut)
			})
			if ended == nil {
				t.Error("the IPCP was not told")
			}
		}
		took(t, 0, func() {
			_, err := client.Alloc(within(t, 0), "far", qos.Raw)
			wantIs(t, err, errno.TimedOut)
		})
		time.AfterFunc(time.Second, client.Exit)
		took(t, time.Second, func() {
			_, err := client.Alloc(bg, "far", qos.Raw)
			wantIs(t, err, errno.Pipe)
		})
		if flows, _ := n.ListFlows(bg); len(flows) != 0 {
			t.Errorf("flows are left: %+v", flows)
		}
	})
}

func TestADirectoryThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		make("i0", irm.Unicast, "l0").query = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		took(t, queryWait, func() {
			_, err := n.process(20).Alloc(bg, "far", qos.Raw)
			wantIs(t, err, errno.NameError)
		})
	})
}

func TestANameIsReachableOnlyInItsLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e, other := make("i0", irm.Unicast, "l0"), make("i1", irm.Unicast, "l1")
		n.CreateName(bg, irm.NameInfo{Name: "a"})
		n.accepting(n.process(10, "a"))
		refused := func(i *testIPCP) {
			t.Helper()
			_, err := i.host.Arrive(bg, asking("a"))
			wantIs(t, err, errno.NameError)
		}
		served := func(i *testIPCP) {
			t.Helper()
			o, err := i.host.Arrive(bg, asking("a"))
			if err != nil {
				t.Fatal(err)
			}
			o.Fail(errors.New("no carrier"))
		}
		refused(e)
		// The layer may bring requests before it says that it is done.
		e.reg = func(context.Context) error { served(e); refused(other); return nil }
		if err := n.RegName(bg, "a", e.id.PID); err != nil {
			t.Fatal(err)
		}
		served(e)
		refused(other)
		if err := n.UnregName(bg, "a", e.id.PID); err != nil {
			t.Fatal(err)
		}
		refused(e)
		e.reg = func(context.Context) error { return errno.TimedOut }
		if err := n.RegName(bg, "a", e.id.PID); err == nil {
			t.Fatal("it was registered")
		}
		refused(e)
	})
}

func TestRequestsThatArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		n.CreateName(bg, irm.NameInfo{Name: "a"})
		for _, h := range [][]byte{hash.Sum(irm.SHA3_256, "b"), hash.Sum(irm.MD5, "a"), nil} {
			_, err := e.arrive(bg, &ipcp.Request{Hash: h})
			wantIs(t, err, errno.NameError)
		}
		took(t, 0, func() { // nobody is bound
			_, err := e.arrive(bg, asking("a"))
			wantIs(t, err, errno.IPCP)
		})
		server := n.process(10, "a")
		took(t, time.Second, func() { // somebody is, and does not accept
			_, err := e.arrive(bg, asking("a"))
			wantIs(t, err, errno.IPCP)
		})

		accepted := n.accepting(server)
		o, err := e.arrive(bg, asking("a"))
		if err != nil {
			t.Fatal(err)
		}
		// The accept is taken: a second request does not get it.
		_, err = n.process(20).Alloc(within(t, 0), "a", qos.Raw)
		wantIs(t, err, errno.TimedOut)
		// The reply cannot be sent: the accept is there again.
		o.Fail(errors.New("no carrier"))
		if o, err = e.arrive(bg, asking("a")); err != nil {
			t.Fatal(err)
		}
		a, b := flow.NewPipe(flow.PipeOptions{})
		defer b.Dealloc()
		o.Complete(a)
		g := (<-accepted).g
		if !g.Remote || g.QoS != qos.Voice || g.MPL != time.Second || g.Name != "a" {
			t.Fatalf("got %+v", g)
		}
		if flows, _ := n.ListFlows(bg); len(flows) != 1 || flows[0].ServerPID != 10 || flows[0].ClientPID != 0 {
			t.Fatalf("flows: %+v", flows)
		}
	})
}

// gone reports whether the other end of a pipe has heard of its deallocation.
type ear struct {
	flow.Handler
	mu     sync.Mutex
	events []flow.Event
}

func (e *ear) Event(ev flow.Event) { e.mu.Lock(); e.events = append(e.events, ev); e.mu.Unlock() }

func TestAnArrivedFlowWhoseServerLeftGoesToAnotherOrIsDeallocated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		first, second := n.process(10, "a"), n.process(11, "a")
		n.accepting(first)
		o, err := e.arrive(bg, asking("a"))
		if err != nil {
			t.Fatal(err)
		}
		accepted := n.accepting(second)
		first.Exit()
		a, b := flow.NewPipe(flow.PipeOptions{})
		o.Complete(a)
		if g := (<-accepted).g; g == nil {
			t.Fatal("the second server did not get it")
		}
		b.Dealloc()

		n.accepting(second)
		if o, err = e.arrive(bg, asking("a")); err != nil {
			t.Fatal(err)
		}
		second.Exit()
		a, b = flow.NewPipe(flow.PipeOptions{})
		heard := &ear{}
		b.Attach(heard)
		o.Complete(a)
		if len(heard.events) != 1 || heard.events[0] != flow.EventDealloc {
			t.Fatalf("the layer heard %v", heard.events)
		}
		b.Dealloc()
	})
}

func TestAnAcceptDoesNotWaitForEverForALayersReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		server := n.process(10, "a")
		got := func() outcome {
			c := newOutcome()
			go func() { g, err := server.Accept(within(t, time.Second)); c <- outcome{g, err} }()
			synctest.Wait()
			if _, err := e.arrive(bg, asking("a")); err != nil {
				t.Fatal(err)
			}
			return <-c // the reply never leaves
		}
		took(t, time.Second+settleWait, func() { wantIs(t, got().err, errno.TimedOut) })
	})
}

func newOutcome() chan outcome { return make(chan outcome, 1) }

func TestALocalLayerCarriesFlowsOfProcessesAndOfIPCPs(t *testing.T) {
	n, make := layered(t)
	make("l1", irm.Local, "home")
	server := n.process(10, "a")
	upper := make("u1", irm.Unicast, "up") // uses flows as a process
	infos, _ := n.ListIPCPs(bg)
	if err := n.BindProcess(bg, infos[1].PID, "member"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "member"} {
		if err := n.RegName(bg, name, infos[0].PID); err != nil {
			t.Fatal(err)
		}
	}

	// An IPCP to a process, and a process to an IPCP.
	accepted := n.accepting(server)
	f, err := upper.host.Alloc(bg, "a", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	g := (<-accepted).g
	if g.Peer != infos[1].PID {
		t.Fatalf("got %+v", g)
	}
	f.Dealloc()
	if !g.End.(*testEnd).saw(flow.EventDealloc) {
		t.Fatal("the process did not hear that the IPCP deallocated")
	}
	server.Dealloc(g.ID)
	if flows, _ := n.ListFlows(bg); len(flows) != 0 {
		t.Fatalf("flows are left: %+v", flows)
	}

	// An IPCP never gets a flow to itself.
	ctx, cancel := context.WithCancel(bg)
	done := newOutcome()
	go func() { _, _, err := upper.host.Accept(ctx); done <- outcome{err: err} }()
	for n.pendingOf(n.ipcps.byName["u1"].handle) == 0 {
		yield()
	}
	over, stop := context.WithTimeout(bg, 0)
	defer stop()
	_, err = upper.host.Alloc(over, "member", qos.Raw)
	if err == nil {
		t.Fatal("an IPCP got a flow to itself")
	}
	cancel()
	wantIs(t, (<-done).err, context.Canceled)
}

func TestTheLifeOfAnIPCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := layered(t)
		pid, err := n.CreateIPCP(bg, "i", irm.UDP4)
		if err != nil {
			t.Fatal(err)
		}
		if pid < FirstIPCP {
			t.Fatalf("pid %d could be a process's", pid)
		}
		_, err = n.CreateIPCP(bg, "i", irm.Unicast)
		wantIs(t, err, errno.Exist)
		_, err = n.CreateIPCP(bg, "j", irm.IPCPType(7))
		wantIs(t, err, errno.IPCPType)
		_, err = n.CreateIPCP(bg, "", irm.Local)
		wantIs(t, err, errno.Invalid)

		n.CreateName(bg, irm.NameInfo{Name: "a"})
		wantIs(t, n.RegName(bg, "a", pid), errno.IPCPState)
		wantIs(t, n.RegName(bg, "b", pid), errno.NameError)
		wantIs(t, n.RegName(bg, "a", 1), errno.IPCP)
		wantIs(t, n.DestroyIPCP(bg, 1), errno.IPCP)
		wantIs(t, n.DestroyIPCP(bg, 0), errno.IPCP)
		n.process(10)
		wantIs(t, n.DestroyIPCP(bg, 10), errno.IPCP)

		cfg := irm.NewConfig(irm.UDP4, "net")
		_, err = n.BootstrapIPCP(bg, pid, cfg)
		wantIs(t, err, errno.Invalid) // no address
		cfg.UDP.IP = localhost
		_, err = n.BootstrapIPCP(bg, pid, irm.NewConfig(irm.Local, "net"))
		wantIs(t, err, errno.Invalid)
		i := n.ipcps.byPID[pid].impl.(*testIPCP)
		i.bootstrap = func(*irm.Config) error { return errno.New(errno.IPCP, "address in use") }
		_, err = n.BootstrapIPCP(bg, pid, cfg)
		wantIs(t, err, errno.IPCP)
		infos, _ := n.ListIPCPs(bg)
		if infos[0].Layer != irm.NotEnrolled || infos[0].State != "boot" {
			t.Fatalf("listed: %+v", infos)
		}
		i.bootstrap = nil
		cfg.Hash = irm.SHA3_512
		info, err := n.BootstrapIPCP(bg, pid, cfg)
		if err != nil || info.Hash != irm.MD5 {
			t.Fatalf("%+v, %v: UDP layers use MD5", info, err)
		}
		_, err = n.BootstrapIPCP(bg, pid, cfg)
		wantIs(t, err, errno.IPCPState)
		_, err = n.EnrollIPCP(bg, pid, "x")
		wantIs(t, err, errno.IPCPState)

		for range 2 { // may be repeated
			if err := n.RegName(bg, "a", pid); err != nil {
				t.Fatal(err)
			}
		}
		names, _ := n.ListNames(bg)
		if r := names[0].Registrations; len(r) != 1 || r[0].IPCP != "i" || r[0].Layer != "net" || len(r[0].Hash) != 16 {
			t.Fatalf("registrations: %+v", r)
		}
		if err := n.DestroyName(bg, "a"); err != nil {
			t.Fatal(err)
		}
		if len(i.names) != 0 {
			t.Fatal("the layer still knows a destroyed name")
		}
		wantIs(t, n.UnregName(bg, "a", pid), errno.NameError)

		n.CreateName(bg, irm.NameInfo{Name: "b"})
		n.RegName(bg, "b", pid)
		if err := n.DestroyIPCP(bg, pid); err != nil {
			t.Fatal(err)
		}
		if names, _ := n.ListNames(bg); len(names[0].Registrations) != 0 {
			t.Fatal("a destroyed IPCP still has registrations")
		}
		wantIs(t, n.DestroyIPCP(bg, pid), errno.IPCP)
		if _, err := n.CreateIPCP(bg, "i", irm.UDP4); err != nil {
			t.Fatal("the name of a destroyed IPCP is not free:", err)
		}
	})
}

func TestAFailedIPCPIsListedAndCanOnlyBeDestroyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		i := make("i", irm.Unicast, "l")
		i.answers(0)
		i.host.(Failure).Failed(errors.New("panic"))
		infos, _ := n.ListIPCPs(bg)
		if infos[0].State != "failed" {
			t.Fatalf("listed: %+v", infos)
		}
		_, err := n.process(20).Alloc(bg, "far", qos.Raw)
		wantIs(t, err, errno.NameError)
		_, err = n.BootstrapIPCP(bg, infos[0].PID, irm.NewConfig(irm.Unicast, "l"))
		wantIs(t, err, errno.IPCP)
		if err := n.DestroyIPCP(bg, infos[0].PID); err != nil {
			t.Fatal(err)
		}
	})
}

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		p := n.process(10)
		_, err := p.Join(bg, "nowhere")
		wantIs(t, err, errno.IPCP)
		make("l1", irm.Local, "home")
		_, err = p.Join(bg, "home")
		wantIs(t, err, errno.NotAlloc)
		make("b1", irm.Broadcast, "all").join = func(context.Context) (flow.Flow, error) {
			a, b := flow.NewPipe(flow.PipeOptions{QoS: qos.NP1})
			b.Dealloc()
			return a, nil
		}
		g, err := p.Join(bg, "all")
		if err != nil || g.QoS != qos.NP1 || g.Name != "all" {
			t.Fatalf("%+v, %v", g, err)
		}
		if err := p.Dealloc(g.ID); err != nil {
			t.Fatal(err)
		}
	})
}

func Test300NamesAnd300IPCPsAreListed(t *testing.T) {
	n, make := layered(t)
	for i := range 300 {
		make(fmt.Sprintf("i%03d", i), []irm.IPCPType{irm.Unicast, irm.Local, irm.EthDIX}[i%3], "l")
		n.CreateName(bg, irm.NameInfo{Name: fmt.Sprintf("%023d", i)})
	}
	names, _ := n.ListNames(bg)
	ipcps, _ := n.ListIPCPs(bg)
	if len(names) != 300 || len(ipcps) != 300 {
		t.Fatalf("%d names and %d IPCPs", len(names), len(ipcps))
	}
	for i := 1; i < 300; i++ {
		a, b := ipcps[i-1], ipcps[i]
		if a.Type > b.Type || a.Type == b.Type && a.PID >= b.PID {
			t.Fatalf("%+v is listed before %+v", a, b)
		}
	}
}

func TestAnIPCPUsesAFlowThatAnotherCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		lower, upper := make("i0", irm.EthDIX, "below"), make("u1", irm.Unicast, "above")
		lower.answers(0)
		var far *flow.Pipe
		lower.alloc = func(context.Context) (flow.Flow, error) {
			var near *flow.Pipe
			near, far = flow.NewPipe(flow.PipeOptions{QoS: qos.Raw})
			return near, nil
		}
		f, err := upper.host.Alloc(bg, "neighbour", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if upper.asked != 0 {
			t.Error("the IPCP was asked itself")
		}
		heard := &ear{}
		f.Attach(heard)
		far.Signal(flow.EventDown)
		if !flow.IsLossless(f) || len(heard.events) != 1 || heard.events[0] != flow.EventDown {
			t.Errorf("the flow passes on %v", heard.events)
		}
		heardFar := &ear{}
		far.Attach(heardFar)
		f.Dealloc()
		f.Dealloc()
		if len(heardFar.events) != 1 || heardFar.events[0] != flow.EventDealloc {
			t.Errorf("the other end heard %v", heardFar.events)
		}
		far.Dealloc()
		if flows, _ := n.ListFlows(bg); len(flows) != 0 {
			t.Errorf("flows are left: %+v", flows)
		}
	})
}

func TestConnectionsAndRegistrationsOfAnIPCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		make("u", irm.Unicast, "l")
		pid := n.ipcps.byName["u"].pid
		wantIs(t, n.ConnectIPCP(bg, 1, irm.Management, "x", qos.Raw), errno.IPCP)
		wantIs(t, n.ConnectIPCP(bg, pid, "mgmt", "x", qos.Raw), errno.Invalid)
		wantIs(t, n.ConnectIPCP(bg, pid, irm.Management, "", qos.Raw), errno.Invalid)
		wantIs(t, n.DisconnectIPCP(bg, pid, irm.Management, "x"), errno.NotSup) // the word of the IPCP
		if shown, err := n.ShowIPCP(bg, pid); err != nil || shown["asked"] != 0 {
			t.Errorf("shown: %v, %v", shown, err)
		}
		n.CreateName(bg, irm.NameInfo{Name: "a"})
		if err := n.RegName(bg, "a", pid); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := n.UnregName(bg, "a", pid); err != nil {
				t.Fatal(err)
			}
		}
		if names, _ := n.ListNames(bg); len(names[0].Registrations) != 0 {
			t.Errorf("still registered: %+v", names)
		}
	})
}
