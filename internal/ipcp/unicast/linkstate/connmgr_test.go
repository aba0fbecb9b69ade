package linkstate

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/irm"
	"ouroboros/qos"
)

// host gives the flows of one member to the other.
type host struct {
	ipcp.Host
	in    chan flow.Flow
	hosts map[string]*host
}

func (h *host) Alloc(_ context.Context, dst string, spec qos.Spec) (flow.Flow, error) {
	other := h.hosts[dst]
	if other == nil {
		return nil, errno.NameError
	}
	a, b := flow.NewPipe(flow.PipeOptions{QoS: spec})
	other.in <- b
	return a, nil
}

func (h *host) Accept(ctx context.Context) (flow.Flow, qos.Spec, error) {
	select {
	case f := <-h.in:
		return f, f.QoS(), nil
	case <-ctx.Done():
		return nil, qos.Spec{}, ctx.Err()
	}
}

func TestMembersMeetThroughTheirSwitchboards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := make(map[string]*host)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		meet := func(name string, m *member) *connmgr.Switchboard {
			h := &host{in: make(chan flow.Flow, 1), hosts: hosts}
			hosts[name] = h
			s := connmgr.New(ipcp.Env{
				Identity: ipcp.Identity{Name: name}, Host: h, Context: ctx,
				Go: func(f func()) { go f() }, AfterFunc: time.AfterFunc,
			}, connmgr.Options{})
			s.Register(m.Management())
			s.Start()
			return s
		}
		a, b := newMember(t, 1), newMember(t, 2)
		sa, sb := meet("a", a), meet("b", b)
		if err := sa.Connect(ctx, irm.Management, "b", qos.Spec{}); err != nil {
			t.Fatal(err)
		}
		a.Up(2, 1496)
		b.Up(1, 1496)
		pause(time.Second)
		if a.next(2) == nil || b.next(1) == nil {
			t.Error("no routes")
		}
		if err := sa.Disconnect(ctx, irm.Management, "b"); err != nil {
			t.Fatal(err)
		}
		pause(time.Second)
		for _, m := range []*member{a, b} {
			if n := len(m.Show()["management"].([]any)); n != 0 {
				t.Errorf("%v has %d connections", m.cfg.Own, n)
			}
		}
		// Who has the same address is not connected.
		c := newMember(t, 2)
		sc := meet("c", c)
		if err := sb.Connect(ctx, irm.Management, "c", qos.Spec{}); err == nil {
			t.Error("a second member with the address is a neighbour")
		}
		for _, s := range []*connmgr.Switchboard{sa, sb, sc} {
			s.Close()
		}
	})
}
