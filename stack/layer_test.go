package stack

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/fabric"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/oap"
	"ouroboros/internal/packet"
	"ouroboros/internal/registry"
	"ouroboros/irm"
	"ouroboros/qos"
)

// TestALayerCarriesFlowsToAClient allocates through a local IPCP as a layer
// above would, and talks to a client of the node: ring, port, guard and pipe
// in one line.
func TestALayerCarriesFlowsToAClient(t *testing.T) {
	n := &Node{clients: make(map[int]*ouroboros.Client), next: FirstClient}
	n.fabric = fabric.New(n.newPort)
	make := newIPCP(nil)(nil)
	var layer ipcp.IPCP
	r, err := registry.New(registry.Config{
		Fabric: n.fabric,
		NewIPCP: func(k irm.IPCPType, id ipcp.Identity, h ipcp.Host) (p ipcp.IPCP, err error) {
			layer, err = make(k, id, h)
			return layer, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.registry, n.Service = r, r
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pid, err := n.CreateIPCP(ctx, "l1", irm.Local)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.BootstrapIPCP(ctx, pid, irm.NewConfig(irm.Local, "home")); err != nil {
		t.Fatal(err)
	}
	server, err := n.Client("server")
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen(ctx, "service")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.RegName(ctx, "service", pid); err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	served := func(f *ouroboros.Flow) {
		defer f.Close()
		buf := [2000]byte{}
		for {
			k, err := f.Read(buf[:])
			if err != nil {
				if !errors.Is(err, ouroboros.ErrFlowDown) {
					t.Errorf("the server's read: %v", err)
				}
				return
			}
			f.Write([]byte(strings.ToUpper(string(buf[:k]))))
		}
	}
	for range 2 {
		wg.Go(func() {
			f, err := l.AcceptFlow(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if f.MPL() != 100*time.Millisecond {
				t.Errorf("MPL %v", f.MPL())
			}
			served(f)
		})
	}
	alloc := func() (flow.Flow, chan string, chan flow.Event) {
		attempt, err := new(oap.Client).Begin("service", oap.Security{})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := layer.AllocFlow(ctx, &ipcp.Request{Hash: hash.Sum(irm.SHA3_256, "service"), QoS: qos.Data, Data: attempt.Request()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := attempt.Complete(reply.Data); err != nil {
			t.Fatal(err)
		}
		got, events := newChan[string](), newChan[flow.Event]()
		reply.Flow.Attach(flow.Funcs{
			OnReceive: func(b []*packet.Buffer) int {
				for _, p := range b {
					got <- string(p.Bytes())
					p.Release()
				}
				return len(b)
			},
			OnEvent: func(e flow.Event) { events <- e },
		})
		return reply.Flow, got, events
	}

	f, got, _ := alloc()
	f.Send([]*packet.Buffer{packet.From([]byte("one")), packet.From([]byte("two"))})
	if a, b := <-got, <-got; a != "ONE" || b != "TWO" {
		t.Errorf("got %q and %q", a, b)
	}
	f.Dealloc() // the server's read ends

	f, _, events := alloc()
	flows, err := n.ListFlows(ctx)
	if err != nil || len(flows) == 0 || flows[len(flows)-1].IPCP != "l1" || flows[len(flows)-1].Layer != "home" {
		t.Errorf("flows %+v: %v", flows, err)
	}
	if err := n.DestroyIPCP(ctx, pid); err != nil {
		t.Error(err)
	}
	if e := <-events; e != flow.EventDealloc {
		t.Errorf("the user of the layer got %v", e)
	}
	f.Dealloc()
}

func newChan[T any]() chan T { return make(chan T, 100) }
