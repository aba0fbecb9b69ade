package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/irm"
	"ouroboros/qos"
)

// refuses makes an IPCP know every name after d, and the server refuse.
func (i *testIPCP) refuses(d time.Duration, err error) {
	i.answers(d)
	i.alloc = func(context.Context) (flow.Flow, error) { return nil, err }
}

// unheard makes an IPCP that knows every name after a millisecond, and whose
// requests are lost some times, which it finds out after d.
func (i *testIPCP) unheard(d time.Duration, times int) {
	i.answers(time.Millisecond)
	given := i.alloc
	i.alloc = func(ctx context.Context) (flow.Flow, error) {
		if times--; times >= 0 {
			time.Sleep(d)
			return nil, errno.Again
		}
		return given(ctx)
	}
}

// silent makes an IPCP that never answers.
func (i *testIPCP) silent() {
	i.query = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
}

func TestLayersThatAreSlowOrCannotDoWhatTheySaid(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name string
		set  func(i0, i1, i2 *testIPCP)
		want string // the layer; empty = refused
		err  error
		took time.Duration
	}{
		{"a slow one is waited for when the fast one fails",
			func(i0, i1, i2 *testIPCP) { i0.answers(3 * time.Second); i1.refuses(ms, errno.IPCP) },
			"i0", nil, 3 * time.Second},
		{"the others that said yes follow in their order",
			func(i0, i1, i2 *testIPCP) {
				i0.refuses(ms, errno.NameError)
				i1.refuses(ms, errno.IPCP)
				i2.answers(ms)
			},
			"i2", nil, ms},
		{"one in which nobody answers gives way to the next",
			func(i0, i1, i2 *testIPCP) { i0.unheard(3*time.Second, 99); i2.answers(ms) },
			"i2", nil, 3*time.Second + ms},
		{"and comes round again",
			func(i0, i1, i2 *testIPCP) { i0.unheard(3*time.Second, 1); i2.refuses(ms, errno.IPCP) },
			"i0", nil, 3*time.Second + ms},
		{"one that says yes while nobody answers in another is asked next",
			func(i0, i1, i2 *testIPCP) { i0.unheard(3*time.Second, 99); i2.answers(4 * time.Second) },
			"i2", nil, 6*time.Second + ms + queryTie},
		{"a message that does not fit into one layer may fit into another",
			func(i0, i1, i2 *testIPCP) { i0.refuses(ms, errno.MsgSize); i2.answers(ms) },
			"i2", nil, ms},
		{"a refusal that another layer cannot mend is the answer",
			func(i0, i1, i2 *testIPCP) { i0.refuses(ms, errno.AuthFailed); i1.answers(ms) },
			"", errno.AuthFailed, ms},
		{"the word of the server outweighs that of the layers that do not know the name",
			func(i0, i1, i2 *testIPCP) { i2.refuses(ms, errno.IPCP) },
			"", errno.IPCP, ms},
		{"a layer that never answers costs the time of a query, if nobody knows the name",
			func(i0, i1, i2 *testIPCP) { i0.silent() },
			"", errno.NameError, queryWait},
		{"and nothing but a tie if somebody does",
			func(i0, i1, i2 *testIPCP) { i0.silent(); i2.answers(7 * ms) },
			"i2", nil, 7*ms + queryTie},
		{"and nothing at all if somebody preferred does",
			func(i0, i1, i2 *testIPCP) { i2.silent(); i0.answers(7 * ms) },
			"i0", nil, 7 * ms},
		{"one that comes after the time of a query is too late",
			func(i0, i1, i2 *testIPCP) { i0.answers(queryWait + ms) },
			"", errno.NameError, queryWait},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, make := layered(t)
				tc.set(make("i0", irm.Unicast, "l0"), make("i1", irm.EthLLC, "l1"), make("i2", irm.EthDIX, "l2"))
				took(t, tc.took, func() {
					_, err := n.process(20).Alloc(bg, "far", qos.Raw)
					if tc.err != nil || err != nil {
						wantIs(t, err, tc.err)
					}
				})
				flows, _ := n.ListFlows(bg)
				if tc.want == "" && len(flows) != 0 || tc.want != "" && (len(flows) != 1 || flows[0].IPCP != tc.want) {
					t.Errorf("flows: %+v", flows)
				}
			})
		})
	}
}

// givesTooLate makes an IPCP that gives its flow although the caller has gone,
// as when its answer crosses the end of the caller.
func (i *testIPCP) givesTooLate(heard *ear) {
	i.answers(0)
	i.alloc = func(ctx context.Context) (flow.Flow, error) {
		<-ctx.Done()
		near, far := flow.NewPipe(flow.PipeOptions{})
		far.Attach(heard)
		return near, nil
	}
}

func TestAFlowThatComesTooLateIsDeallocated(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(n *testNode, h *Process, cancel context.CancelFunc)
		want error
	}{
		{"the client died", func(_ *testNode, h *Process, _ context.CancelFunc) { h.Exit() }, errno.Pipe},
		{"the IPCP was destroyed", func(n *testNode, _ *Process, cancel context.CancelFunc) {
			n.DestroyIPCP(bg, n.ipcps.byName["i0"].pid)
			cancel()
		}, nil},
		{"the node ended", func(n *testNode, _ *Process, _ context.CancelFunc) { n.Close(bg) }, errno.IRMd},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, make := layered(t)
				heard := &ear{}
				make("i0", irm.Unicast, "l0").givesTooLate(heard)
				h := n.process(20)
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				go func() {
					synctest.Wait()
					tc.end(n, h, cancel)
				}()
				g, err := h.Alloc(ctx, "far", qos.Raw)
				if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
					t.Errorf("got %+v, %v", g, err)
				}
				synctest.Wait()
				if len(heard.events) != 1 || heard.events[0] != flow.EventDealloc {
					t.Errorf("the server's side heard %v", heard.events)
				}
				if flows, _ := n.ListFlows(bg); len(flows) != 0 {
					t.Errorf("flows are left: %+v", flows)
				}
			})
		})
	}
}

// What can happen between the acceptance of a request and its completion.
func TestAnArrivedFlowWithoutAServerIsDeallocated(t *testing.T) {
	for name, end := range map[string]func(n *testNode, h *Process){
		"the server died":           func(_ *testNode, h *Process) { h.Exit() },
		"the IPCP was destroyed":    func(n *testNode, _ *Process) { n.DestroyIPCP(bg, n.ipcps.byName["i0"].pid) },
		"the node ended":            func(n *testNode, _ *Process) { n.Close(bg) },
		"the accept's time is over": func(*testNode, *Process) { time.Sleep(2 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, make := layered(t)
				e := make("i0", irm.Unicast, "l0")
				server := n.process(10, "a")
				ctx := within(t, time.Second)
				served := newOutcome()
				go func() { g, err := server.Accept(ctx); served <- outcome{g, err} }()
				synctest.Wait()
				o, err := e.arrive(bg, asking("a"))
				if err != nil {
					t.Fatal(err)
				}
				end(n, server)
				near, far := flow.NewPipe(flow.PipeOptions{})
				heard := &ear{}
				far.Attach(heard)
				o.Complete(near)
				if len(heard.events) != 1 || heard.events[0] != flow.EventDealloc {
					t.Errorf("the layer heard %v", heard.events)
				}
				if out := <-served; out.err == nil {
					t.Errorf("the server got %+v", out.g)
				}
				if n.fabric.open() != 0 {
					t.Error("ends are left")
				}
			})
		})
	}
}
