package registry

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/irm"
	"ouroboros/qos"
)

// carries makes an IPCP know every name and give flows that stay.
func (i *testIPCP) carries() {
	i.query = func(context.Context) error { return nil }
	i.alloc = func(context.Context) (flow.Flow, error) {
		near, _ := flow.NewPipe(flow.PipeOptions{QoS: qos.Raw})
		return near, nil
	}
}

func TestNoLayerRunsOverItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		u1, u2, u3 := make("u1", irm.Unicast, "l1"), make("u2", irm.Unicast, "l2"), make("u3", irm.Unicast, "l3")
		for _, i := range []*testIPCP{u1, u2, u3} {
			i.carries()
		}
		over := func(i *testIPCP, want string) flow.Flow { // allocates, and says over whom
			t.Helper()
			f, err := i.host.Alloc(bg, "far", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			flows, _ := n.ListFlows(bg)
			for _, g := range flows {
				if g.ClientPID == i.id.PID && g.IPCP != want {
					t.Fatalf("%s runs over %s, want %s", i.id.Name, g.IPCP, want)
				}
			}
			return f
		}
		f3 := over(u3, "u1") // the first of the order
		f2 := over(u2, "u1")
		// Now u1 may not run over u2 or u3, and there is no other.
		synctest.Wait()
		asked := u2.asked + u3.asked
		_, err := u1.host.Alloc(bg, "far", qos.Raw)
		wantIs(t, err, errno.NameError)
		if !strings.Contains(err.Error(), "run over this IPCP: l2, l3") {
			t.Errorf("got %v", err)
		}
		if u2.asked+u3.asked != asked {
			t.Error("a layer above was asked")
		}
		u1.query = func(context.Context) error { return errno.NameError }
		// Nor through another: u1 over u2 when u2 runs over u3 which runs over u1.
		f2.Dealloc()
		f2 = over(u2, "u3")
		if _, err := u1.host.Alloc(bg, "far", qos.Raw); err == nil {
			t.Fatal("u1 runs over u2, u3 and itself")
		}
		// It is the flows of the moment that count.
		f3.Dealloc()
		f1 := over(u1, "u2")
		for _, f := range []flow.Flow{f1, f2} {
			f.Dealloc()
		}
	})
}

func TestAFlowThatArrivesOverALayerAboveIsNotGivenToTheIPCPBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		u1, u2 := make("u1", irm.Unicast, "l1"), make("u2", irm.Unicast, "l2")
		u1.carries()
		if _, err := u2.host.Alloc(bg, "far", qos.Raw); err != nil { // u2 runs over u1
			t.Fatal(err)
		}
		for _, name := range []string{"u1", "u2"} {
			if err := n.BindProcess(bg, n.ipcps.byName[name].pid, "member"); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(bg)
		var accepts sync.WaitGroup
		got := map[string]bool{}
		var mu sync.Mutex
		for _, i := range []*testIPCP{u1, u2} {
			accepts.Go(func() {
				if _, _, err := i.host.Accept(ctx); err == nil {
					mu.Lock()
					got[i.id.Name] = true
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		// Over l2 neither of them can be reached, over l1 only u2.
		_, err := u2.arrive(bg, asking("member"))
		wantIs(t, err, errno.IPCP)
		o, err := u1.arrive(bg, asking("member"))
		if err != nil {
			t.Fatal(err)
		}
		near, _ := flow.NewPipe(flow.PipeOptions{})
		o.Complete(near)
		synctest.Wait()
		if mu.Lock(); got["u1"] || !got["u2"] {
			t.Errorf("the flow came to %v", got)
		}
		mu.Unlock()
		cancel()
		accepts.Wait()
	})
}

// Two allocations at the same time do not make a circle either.
func TestACircleIsSeenWhenItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, make := layered(t)
		u1, u2 := make("u1", irm.Unicast, "l1"), make("u2", irm.Unicast, "l2")
		both := make2(2)
		for _, i := range []*testIPCP{u1, u2} {
			i.carries()
			give := i.alloc
			i.alloc = func(ctx context.Context) (flow.Flow, error) {
				both()
				return give(ctx)
			}
		}
		var each sync.WaitGroup
		errs := [2]error{}
		for k, i := range []*testIPCP{u1, u2} {
			each.Go(func() { _, errs[k] = i.host.Alloc(bg, "far", qos.Raw) })
		}
		each.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("both ran over each other: %v", errs)
		}
	})
}

// make2 gives a function that returns when it was called n times.
func make2(n int) func() {
	var all sync.WaitGroup
	all.Add(n)
	return func() { all.Done(); all.Wait() }
}

func TestJoiningByNamePrefersABroadcastLayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		make("u1", irm.Unicast, "same")
		b := make("b1", irm.Broadcast, "same")
		make("e1", irm.EthDIX, "same")
		b.join = func(context.Context) (flow.Flow, error) {
			near, _ := flow.NewPipe(flow.PipeOptions{QoS: qos.NP1})
			return near, nil
		}
		client := n.process(20)
		g, err := client.Join(bg, "same")
		if err != nil {
			t.Fatal(err)
		}
		if flows, _ := n.ListFlows(bg); len(flows) != 1 || flows[0].IPCP != "b1" {
			t.Errorf("flows: %+v", flows)
		}
		client.Dealloc(g.ID)
		make("u2", irm.Unicast, "other")
		_, err = client.Join(bg, "other")
		wantIs(t, err, errno.NotAlloc)
		_, err = client.Join(bg, "none")
		wantIs(t, err, errno.IPCP)
	})
}

// A destination needs no entry of its own in the node of the client.
func TestAnIPCPReachesNamesThatItsNodeHasNeverHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		below, above := make("e1", irm.EthDIX, "lan"), make("u1", irm.Unicast, "big")
		below.carries()
		f, err := above.host.Alloc(bg, "n2", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		f.Dealloc()
		if names, _ := n.ListNames(bg); len(names) != 0 || below.asked != 1 {
			t.Errorf("asked %d times; names: %+v", below.asked, names)
		}
	})
}

// What a member says when it leaves goes over the layers below it.
func TestANodeThatEndsEndsLayersFromTheTop(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			n, make := layered(t)
			e1, e2 := make("e1", irm.EthDIX, "w1"), make("e2", irm.EthDIX, "w2")
			u1, u2 := make("u1", irm.Unicast, "l1"), make("u2", irm.Unicast, "l2")
			var mu sync.Mutex
			var ended []string
			for _, i := range []*testIPCP{e1, e2, u1, u2} {
				i.carries()
				i.close = func() {
					mu.Lock()
					defer mu.Unlock()
					ended = append(ended, i.id.Name)
				}
			}
			e2.query = func(context.Context) error { return errno.NameError }
			over := func(i *testIPCP) {
				if _, err := i.host.Alloc(bg, "far", qos.Raw); err != nil {
					t.Fatal(err)
				}
			}
			// u2 runs over u1, and u1 over e1.
			u2.query = func(context.Context) error { return errno.NameError }
			over(u1)
			e1.query = u2.query
			over(u2)
			if err := n.Close(bg); err != nil {
				t.Fatal(err)
			}
			at := func(name string) int { return slices.Index(ended, name) }
			if len(ended) != 4 || at("u2") > at("u1") || at("u1") > at("e1") {
				t.Errorf("they ended in the order %v", ended)
			}
		})
	}
}
