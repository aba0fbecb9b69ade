package stack

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/packet"
	"ouroboros/irm"
	"ouroboros/qos"
)

// network joins the nodes of a test: their IPCPs of type UDP4 find each other
// on it. Packets are lost, damaged and held up as the test says.
type network struct {
	mtu int
	// impair may change a packet on the way, or lose it; nil = all pass.
	impair func(b *packet.Buffer) (lost bool)

	cfg      Config // of the nodes of pairOf
	epochBit int

	mu    sync.Mutex
	ipcps []*wireIPCP
	flows []*wireFlow
}

// wireIPCP is an IPCP on a network.
type wireIPCP struct {
	ipcp.Unsupported
	env ipcp.Env
	net *network
	mu  sync.Mutex
	reg map[string]bool
}

const wireMPL = 50 * time.Millisecond

func (n *network) ipcp(*slog.Logger) func(irm.IPCPType, ipcp.Identity, ipcp.Host) (ipcp.IPCP, error) {
	others := newIPCP(nil)(slog.New(slog.DiscardHandler))
	return func(t irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
		if t != irm.UDP4 {
			return others(t, id, host)
		}
		return ipcp.Start(t, func(env ipcp.Env) (ipcp.IPCP, error) {
			w := &wireIPCP{env: env, net: n, reg: make(map[string]bool)}
			n.mu.Lock()
			n.ipcps = append(n.ipcps, w)
			n.mu.Unlock()
			return w, nil
		}, ipcp.Env{Identity: id, Host: host}, nil)
	}
}

func (w *wireIPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	return irm.LayerInfo{Name: cfg.Layer, Hash: irm.SHA3_256}, nil
}

func (w *wireIPCP) Reg(_ context.Context, h []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reg[string(h)] = true
	return nil
}

func (w *wireIPCP) Unreg(context.Context, []byte) error { return nil }

// who finds the IPCP where a name is registered.
func (n *network) who(h []byte) *wireIPCP {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.ipcps {
		w.mu.Lock()
		has := w.reg[string(h)]
		w.mu.Unlock()
		if has {
			return w
		}
	}
	return nil
}

func (w *wireIPCP) Query(_ context.Context, h []byte) error {
	if w.net.who(h) == nil {
		return ouroboros.ErrName
	}
	return nil
}

func (w *wireIPCP) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	other := w.net.who(req.Hash)
	offer, err := other.env.Host.Arrive(ctx, &ipcp.Request{Hash: req.Hash, QoS: req.QoS, Data: req.Data, MPL: wireMPL})
	if err != nil {
		return nil, err
	}
	a, b := flow.NewPipe(flow.PipeOptions{QoS: req.QoS, MTU: w.net.mtu})
	client, server := &wireFlow{Pipe: a, net: w.net}, &wireFlow{Pipe: b, net: w.net}
	w.net.mu.Lock()
	w.net.flows = append(w.net.flows, client, server)
	w.net.mu.Unlock()
	data := offer.Data()
	offer.Complete(server)
	return &ipcp.Reply{Flow: client, Data: data, MPL: wireMPL}, nil
}

func (w *wireIPCP) Show() map[string]any { return nil }

func (w *wireIPCP) Close() error {
	w.net.mu.Lock()
	flows := w.net.flows
	w.net.mu.Unlock()
	for _, f := range flows {
		f.End(flow.EventDealloc)
	}
	return nil
}

// wireFlow is one end of a flow on a network: it tells the peer nothing of its
// end.
type wireFlow struct {
	*flow.Pipe
	net *network
}

func (f *wireFlow) Lossless() bool { return false }

func (f *wireFlow) Send(batch []*packet.Buffer) int {
	for i := range batch {
		if f.net.impair != nil && f.net.impair(batch[i]) {
			batch[i].Release()
		} else {
			flow.SendOrDrop(f.Pipe, batch[i:i+1])
		}
	}
	return len(batch)
}

func (f *wireFlow) Dealloc() {}

// setMTU and setDown change the network below all flows.
func (n *network) each(do func(f *wireFlow)) {
	n.mu.Lock()
	flows := n.flows
	n.mu.Unlock()
	for _, f := range flows {
		do(f)
	}
}

func (n *network) setMTU(mtu int)    { n.each(func(f *wireFlow) { f.SetMTU(mtu) }) }
func (n *network) setDown(down bool) { n.each(func(f *wireFlow) { f.SetDown(down) }) }

// across gives both ends of a flow between two nodes on a network.
func across(t testing.TB, net *network, spec qos.Spec) (client, server *ouroboros.Flow) {
	t.Helper()
	_, client, server = pairOf(t, net, spec)
	return client, server
}

// pairOf gives the nodes of the client and the server besides.
func pairOf(t testing.TB, net *network, spec qos.Spec) (nodes [2]*Node, client, server *ouroboros.Flow) {
	t.Helper()
	ctx := t.Context()
	var pids [2]int
	for i := range nodes {
		n, err := start(net.cfg, net.ipcp)
		if err != nil {
			t.Fatal(err)
		}
		n.guards.epochBit = net.epochBit
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
		if pids[i], err = n.CreateIPCP(ctx, "wire", irm.UDP4); err != nil {
			t.Fatal(err)
		}
		cfg := irm.NewConfig(irm.UDP4, "net")
		cfg.UDP.IP = netip.MustParseAddr("192.0.2.1")
		if _, err := n.BootstrapIPCP(ctx, pids[i], cfg); err != nil {
			t.Fatal(err)
		}
		nodes[i] = n
	}
	sc, err := nodes[1].Client("server")
	if err != nil {
		t.Fatal(err)
	}
	l, err := sc.Listen(ctx, "service")
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].RegName(ctx, "service", pids[1]); err != nil {
		t.Fatal(err)
	}
	cc, err := nodes[0].Client("client")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		var err error
		server, err = l.AcceptFlow(ctx)
		accepted <- err
	}()
	if client, err = cc.Alloc(ctx, "service", &spec); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return nodes, client, server
}
