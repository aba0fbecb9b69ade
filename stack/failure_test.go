package stack

import (
	"context"
	"errors"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/fabric"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/local"
	"ouroboros/internal/registry"
	"ouroboros/irm"
)

// brittle is a local IPCP that panics when it is asked for a name.
type brittle struct{ ipcp.IPCP }

func (brittle) Query(context.Context, []byte) error { panic("brittle") }

func TestAnIPCPThatPanicsIsListedAsFailedAndTheNodeLivesOn(t *testing.T) {
	n := &Node{clients: make(map[int]*ouroboros.Client), next: FirstClient}
	n.fabric = fabric.New(n.newPort)
	r, err := registry.New(registry.Config{
		Fabric: n.fabric,
		NewIPCP: func(k irm.IPCPType, id ipcp.Identity, h ipcp.Host) (ipcp.IPCP, error) {
			return ipcp.Start(k, func(env ipcp.Env) (ipcp.IPCP, error) {
				l, err := local.New(env)
				return brittle{l}, err
			}, ipcp.Env{Identity: id, Host: h}, h.(registry.Failure).Failed)
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
	c, err := n.Client("client")
	if err != nil {
		t.Fatal(err)
	}
	for { // the host hears of it a moment after the call has failed
		if _, err := c.Alloc(ctx, "anything", nil); err == nil || ctx.Err() != nil {
			t.Fatalf("allocated: %v", err)
		}
		ps, err := n.ListIPCPs(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ps[0].State == "failed" {
			break
		}
	}
	if err := n.RegName(ctx, "anything", pid); err == nil {
		t.Error("a failed IPCP registers names")
	}
	if err := n.DestroyIPCP(ctx, pid); err != nil {
		t.Error(err)
	}
	if _, err := n.CreateIPCP(ctx, "l1", irm.Local); err != nil {
		t.Errorf("its name is not free again: %v", err)
	}
	if _, err := c.Alloc(ctx, "anything", nil); errors.Is(err, ouroboros.ErrTimeout) || err == nil {
		t.Errorf("got %v", err)
	}
}
