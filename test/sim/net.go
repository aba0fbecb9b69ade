package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/simnet"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/stack"
)

// Layer is the name of the layer that all nodes are members of.
const Layer = "L"

// Options say what a Net is like. The zero value is a layer with the defaults
// on links without faults and a delay of a millisecond.
type Options struct {
	Seed    uint64
	Link    simnet.Link        // of every edge
	Unicast *irm.UnicastConfig // of the layer; nil = the defaults
	// Flows is the quality of the connections for data transfer; the zero
	// value means qos.Raw.
	Flows qos.Spec
	Log   *slog.Logger
}

// Net is a network of nodes, all of them members of one unicast layer, and
// each with a server for a name of its own that echoes.
type Net struct {
	*simnet.Net
	Graph
	Hosts []*Host
	t     testing.TB
	opts  Options
	near  [][]int
	sinks atomic.Int64 // servers of Streams
}

// Host is a node of a Net; its Node is nil while it does not run.
type Host struct {
	*stack.Node
	Index  int
	U      int // pid of the IPCP in the layer
	Client *ouroboros.Client

	net *Net
	eth map[int]int // pids of the IPCPs on the links, by neighbour
}

// MemberName is the name under which the members of a node are reached from
// below, ServiceName that of its server in the layer.
func MemberName(i int) string  { return fmt.Sprintf("u.%d", i) }
func ServiceName(i int) string { return fmt.Sprintf("s.%d", i) }

// device names a link.
func device(e Edge) string { return fmt.Sprintf("%d-%d", e[0], e[1]) }

// New makes the links of a graph and no node yet.
func New(t testing.TB, g Graph, o Options) *Net {
	t.Helper()
	if o.Link == (simnet.Link{}) {
		o.Link.Delay = time.Millisecond
	}
	if o.Unicast == nil {
		o.Unicast = irm.NewUnicastConfig()
	}
	if o.Flows == (qos.Spec{}) {
		o.Flows = qos.Raw
	}
	n := &Net{Net: simnet.New(simnet.Options{Seed: o.Seed}), Graph: g, t: t, opts: o, near: g.Neighbours()}
	for _, e := range g.Edges {
		n.Net.Link(device(e), o.Link)
	}
	for i := range g.N {
		n.Hosts = append(n.Hosts, &Host{Index: i, net: n})
	}
	t.Cleanup(n.close)
	return n
}

// atOnce is the size from which on nodes are started together.
const atOnce = 50

// Build makes a network in which all nodes run and are members: a small one node
// by node, a large one in waves that go out from node 0.
func Build(t testing.TB, g Graph, o Options) *Net {
	t.Helper()
	n := New(t, g, o)
	var err error
	if g.N < atOnce {
		for i := range n.Hosts {
			err = errors.Join(err, n.Start(i))
		}
	} else {
		err = n.waves()
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waves starts all nodes of one distance from node 0 together, and connects
// those of them that are neighbours when all of them run.
func (n *Net) waves() (err error) {
	distance := n.Distances(0, nil)
	for d := 0; err == nil; d++ {
		var wave []int
		for i, far := range distance {
			if far == d {
				wave = append(wave, i)
			}
		}
		if len(wave) == 0 {
			return nil
		}
		before := func(o int) bool { return distance[o] < d }
		err = together(wave, func(i int) error { return n.start(i, before) })
		if err != nil {
			return err
		}
		err = together(wave, func(i int) error {
			ctx, cancel := n.Context(time.Minute)
			defer cancel()
			for _, o := range n.near[i] {
				if o > i && distance[o] == d {
					if err := n.Hosts[i].Connect(ctx, o); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return err
}

// together calls f for all, some at a time.
func together(all []int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	places := make(chan struct{}, parallel)
	for k, i := range all {
		wg.Go(func() {
			places <- struct{}{}
			errs[k] = f(i)
			<-places
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Settle waits until routing is at rest: while links come and go it computes
// more seldom, and after a time of quiet at once again.
func (n *Net) Settle() {
	time.Sleep(3*time.Duration(n.opts.Unicast.LSRecalc)*time.Second + n.calm())
}

// calm is how long the news of one change may be on the way through a network at
// rest, until it is in all tables.
func (n *Net) calm() time.Duration {
	return time.Duration(n.Diameter())*n.opts.Link.Delay + 100*time.Millisecond
}

// Link gives the link between two nodes.
func (n *Net) Link(a, b int) *simnet.Segment { return n.Segment(device(edge(a, b))) }

// Links gives all links, in the order of the edges.
func (n *Net) Links() []*simnet.Segment {
	all := make([]*simnet.Segment, len(n.Edges))
	for i, e := range n.Edges {
		all[i] = n.Segment(device(e))
	}
	return all
}

// Context gives one that ends with the test or after some time.
func (n *Net) Context(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(n.t.Context(), d)
}

// Start starts a node, has it join the layer at the first neighbour that runs,
// and connects it with all that do. A node without such neighbours begins the
// layer.
func (n *Net) Start(i int) error {
	if err := n.start(i, func(o int) bool { return n.Hosts[o].Running() }); err != nil {
		return fmt.Errorf("node %d: %w", i, err)
	}
	return nil
}

// start is Start with those neighbours that use says.
func (n *Net) start(i int, use func(o int) bool) error {
	h := n.Hosts[i]
	if err := h.boot(); err != nil {
		return err
	}
	ctx, cancel := n.Context(time.Minute)
	defer cancel()
	var running []int
	for _, o := range n.near[i] {
		if use(o) {
			running = append(running, o)
		}
	}
	if len(running) == 0 {
		cfg := irm.NewConfig(irm.Unicast, Layer)
		cfg.Unicast = n.opts.Unicast
		if _, err := h.BootstrapIPCP(ctx, h.U, cfg); err != nil {
			return err
		}
	} else if _, err := h.EnrollIPCP(ctx, h.U, MemberName(running[0])); err != nil {
		return err
	}
	for _, o := range running {
		if err := h.Connect(ctx, o); err != nil {
			return err
		}
	}
	return h.serve(ctx)
}

// boot starts the node, with a member on each of its links that can be found
// from there.
func (h *Host) boot() error {
	n := h.net
	node, err := stack.New(stack.Config{
		Logger: n.opts.Log,
		Kinds:  map[irm.IPCPType]ipcp.Constructor{irm.EthDIX: n.Kind()},
	})
	if err != nil {
		return err
	}
	h.Node, h.eth = node, make(map[int]int)
	ctx, cancel := n.Context(time.Minute)
	defer cancel()
	name := MemberName(h.Index)
	if h.U, err = node.CreateIPCP(ctx, name, irm.Unicast); err != nil {
		return err
	}
	if err := node.BindProcess(ctx, h.U, name); err != nil {
		return err
	}
	for _, o := range n.near[h.Index] {
		e := edge(h.Index, o)
		pid, err := node.CreateIPCP(ctx, "eth."+device(e), irm.EthDIX)
		if err != nil {
			return err
		}
		cfg := irm.NewConfig(irm.EthDIX, "eth."+device(e))
		cfg.Eth.Device = device(e)
		if _, err := node.BootstrapIPCP(ctx, pid, cfg); err != nil {
			return err
		}
		if err := node.RegName(ctx, name, pid); err != nil {
			return err
		}
		h.eth[o] = pid
	}
	return nil
}

// Connect makes the connections of the member with that of a neighbour.
func (h *Host) Connect(ctx context.Context, o int) error {
	if err := h.ConnectIPCP(ctx, h.U, irm.Management, MemberName(o), qos.Raw); err != nil {
		return err
	}
	return h.ConnectIPCP(ctx, h.U, irm.DataTransfer, MemberName(o), h.net.opts.Flows)
}

// Disconnect ends them.
func (h *Host) Disconnect(ctx context.Context, o int) error {
	return errors.Join(
		h.DisconnectIPCP(ctx, h.U, irm.DataTransfer, MemberName(o)),
		h.DisconnectIPCP(ctx, h.U, irm.Management, MemberName(o)))
}

// serve starts the server of the node and registers its name in the layer.
func (h *Host) serve(ctx context.Context) (err error) {
	if h.Client, err = h.Node.Client("echo"); err != nil {
		return err
	}
	l, err := h.Client.Listen(ctx, ServiceName(h.Index))
	if err != nil {
		return err
	}
	go func() {
		for {
			f, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			go echo(f)
		}
	}()
	return h.RegName(ctx, ServiceName(h.Index), h.U)
}

// echoTime is how long a server keeps a flow on which nothing comes: not every
// layer tells it that the client has gone.
const echoTime = 5 * time.Second

func echo(f *ouroboros.Flow) {
	defer f.Close()
	f.SetReadTimeout(echoTime)
	buf := make([]byte, 16<<10)
	for {
		k, err := f.Read(buf)
		if err != nil {
			return
		}
		if _, err := f.Write(buf[:k]); err != nil {
			return
		}
	}
}

// Running reports whether the node runs.
func (h *Host) Running() bool { return h.Node != nil }

// Stop ends a node in good order.
func (n *Net) Stop(i int) {
	h := n.Hosts[i]
	if !h.Running() {
		return
	}
	node := h.Node
	h.Node, h.Client = nil, nil
	if err := node.Close(); err != nil {
		n.t.Errorf("node %d: %v", i, err)
	}
}

// Crash ends a node without a word: nobody hears of it.
func (n *Net) Crash(i int) {
	for _, o := range n.near[i] {
		n.Link(i, o).Silence(true)
	}
	n.Stop(i)
	for _, o := range n.near[i] {
		n.Link(i, o).Silence(false)
	}
}

// close ends all nodes.
func (n *Net) close() {
	var wg sync.WaitGroup
	for i := range n.Hosts {
		wg.Go(func() { n.Stop(i) })
	}
	wg.Wait()
}

// Partition cuts all links between the nodes for which side says true and the
// others, and gives them.
func (n *Net) Partition(side func(i int) bool) (cut []*simnet.Segment) {
	for _, e := range n.Edges {
		if side(e[0]) != side(e[1]) {
			l := n.Segment(device(e))
			l.Cut()
			cut = append(cut, l)
		}
	}
	return cut
}
