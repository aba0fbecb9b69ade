package eth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
)

func TestAFlowCarriesPacketsBothWays(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		for name, options := range map[string][]netns.Option{
			"plain": nil, "jumbo": {netns.MTU(9000)}, "vlan": {netns.VLAN(5)},
		} {
			t.Run(name, func(t *testing.T) {
				a, z := both(t, kind, options...)
				client, server := connect(t, a, z, "oping")
				exchange(t, client, server)
				client.send(t, "") // a keep-alive
				server.packet(t, "")
				mtu := client.MTU()
				want := kind.MaxPayload(1500)
				if name == "jumbo" {
					want = kind.MaxPayload(9000)
				}
				if mtu != want || server.MTU() != want {
					t.Errorf("MTU %d, want %d", mtu, want)
				}
				for _, n := range []int{1, 41, 42, 43, mtu - 1, mtu} {
					long := strings.Repeat("x", n)
					client.send(t, long)
					server.packet(t, long)
					server.send(t, long)
					client.packet(t, long)
				}
				client.send(t, strings.Repeat("x", mtu+1))
				client.send(t, "after a packet that is too long")
				server.packet(t, "after a packet that is too long")
				if n := a.shown("flows", "too_long"); n != 1 {
					t.Errorf("%d packets were too long", n)
				}
				server.Dealloc()
				client.Dealloc()
			})
		}
	})
}

func TestAnUnknownNameIsReported(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		a, z := both(t, kind)
		// The own registration does not count: the name would be found here
		// without the layer.
		must(t, a.Reg(t.Context(), name("mine")))
		begun := time.Now()
		for _, s := range []string{"mine", "nobody's"} {
			if _, err := a.AllocFlow(t.Context(), request(s, "")); !errors.Is(err, errno.NameError) {
				t.Errorf("%s: %v", s, err)
			}
		}
		if took := time.Since(begun); took < queryEnd {
			t.Errorf("it took %v", took)
		}
		must(t, z.Reg(t.Context(), name("nobody's")))
		must(t, a.Query(t.Context(), name("nobody's")))
		must(t, z.Unreg(t.Context(), name("nobody's")))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := a.Query(ctx, name("another")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the wait was not over: %v", err)
		}
	})
}

func TestARefusalIsAnsweredAtOnceAndLeavesNothing(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		a, z := both(t, kind)
		must(t, z.Reg(t.Context(), name("oping")))
		for _, refusal := range []error{errno.AuthFailed, errno.Perm, errno.NameError} {
			z.host.decides(func(*ipcp.Request) error { return refusal }, "")
			begun := time.Now()
			if _, err := a.AllocFlow(t.Context(), request("oping", "")); !errors.Is(err, refusal) {
				t.Errorf("got %v, want %v", err, refusal)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		}
		if n := a.shown("flows", "open") + z.shown("flows", "open"); n != 0 {
			t.Errorf("%d endpoints are open", n)
		}
		z.host.decides(accept, "")
		client, server := connect(t, a, z, "oping")
		exchange(t, client, server)
	})
}

func TestARequestThatIsTooLongSaysSo(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		a, z := both(t, kind)
		must(t, z.Reg(t.Context(), name("oping")))
		most := a.i.layer.Load().MTU() - kind.Fixed() - 32 - 16
		_, err := a.AllocFlow(t.Context(), request("oping", strings.Repeat("c", most+1)))
		if !errors.Is(err, errno.MsgSize) || !strings.Contains(err.Error(), "MTU") {
			t.Errorf("got %v", err)
		}
		z.host.decides(accept, strings.Repeat("c", 100)) // the answer does not fit any more
		_, err = a.AllocFlow(t.Context(), request("oping", strings.Repeat("c", most)))
		if !errors.Is(err, errno.MsgSize) {
			t.Errorf("got %v", err)
		}
		select {
		case err := <-z.host.failed:
			if !errors.Is(err, errno.MsgSize) {
				t.Errorf("the server's side: %v", err)
			}
		case <-time.After(patience):
			t.Error("the server's side does not know")
		}
		z.host.decides(accept, "")
		if _, err = a.AllocFlow(t.Context(), request("oping", strings.Repeat("c", most))); err != nil {
			t.Error(err)
		}
	})
}

func TestASAPIsFreeAgainAfterItsFlow(t *testing.T) {
	a, z := both(t, wire.LLC)
	const most = 62
	for round := range 3 {
		var ends []end
		for range most {
			c, s := connect(t, a, z, "oping")
			ends = append(ends, c, s)
		}
		_, err := a.AllocFlow(t.Context(), request("oping", ""))
		if !errors.Is(err, errno.NoBufs) || !strings.Contains(err.Error(), "62") {
			t.Errorf("round %d, one more flow: %v", round, err)
		}
		// The other side is full as well, and says so.
		must(t, a.Reg(t.Context(), name("back")))
		if _, err := z.AllocFlow(t.Context(), request("back", "")); !errors.Is(err, errno.NoBufs) {
			t.Errorf("round %d, back: %v", round, err)
		}
		for i := range ends[:4] {
			exchange(t, ends[i&^1], ends[i|1])
		}
		for _, e := range ends {
			e.Dealloc()
		}
	}
	client, server := connect(t, a, z, "oping")
	exchange(t, client, server)
}

func TestManyFlowsAtATimeDoNotMix(t *testing.T) {
	a, z := both(t, wire.DIX)
	const most = 300
	type joined struct{ client, server end }
	var all []joined
	for range most {
		c, s := connect(t, a, z, "oping")
		all = append(all, joined{c, s})
	}
	for i, j := range all {
		j.client.send(t, "to "+string(rune('A'+i)))
		j.server.send(t, "from "+string(rune('A'+i)))
	}
	for i, j := range all {
		j.server.packet(t, "to "+string(rune('A'+i)))
		j.client.packet(t, "from "+string(rune('A'+i)))
	}
}

func TestAnIPCPCanBeBootstrappedAfterAFailure(t *testing.T) {
	s, _ := pair(t)
	m := create(t, s, wire.DIX)
	if _, err := m.Bootstrap(t.Context(), config(wire.DIX, "nic9")); !errors.Is(err, errno.NoEntry) {
		t.Errorf("no device: %v", err)
	}
	if err := m.Query(t.Context(), name("x")); !errors.Is(err, errno.IPCPState) {
		t.Errorf("query: %v", err)
	}
	info, err := m.Bootstrap(t.Context(), config(wire.DIX, s.Dev))
	if err != nil || info.Name != "lan" {
		t.Errorf("%v: %v", info, err)
	}
}

func TestCloseEndsTheFlows(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		a, z := both(t, kind)
		client, server := connect(t, a, z, "oping")
		must(t, z.Close())
		server.event(t, flow.EventDealloc)
		client.send(t, "to nobody")
		client.quiet(t) // the wire has no message for it
	})
}

func TestLoopbackJoinsTwoOfAHost(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		s := netns.Empty(t)
		a, z := join(t, s, kind, "lo"), join(t, s, kind, "lo")
		client, server := connect(t, a, z, "oping")
		exchange(t, client, server)
		if n, want := client.MTU(), kind.MaxPayload(9000); n != want {
			t.Errorf("MTU %d, want %d", n, want)
		}
	})
}

func TestASlowReceiverDisturbsNobody(t *testing.T) {
	a, z := both(t, wire.DIX)
	must(t, z.Reg(t.Context(), name("slow")))
	reply, err := a.AllocFlow(t.Context(), request("slow", ""))
	must(t, err)
	(<-z.host.flows).Attach(flow.Funcs{OnReceive: func([]*packet.Buffer) int { return 0 }})
	client, server := connect(t, a, z, "quick")
	for range 1000 {
		b := []*packet.Buffer{packet.From([]byte("x"))}
		if reply.Flow.Send(b) == 0 {
			b[0].Release()
		}
	}
	exchange(t, client, server)
	must(t, z.Reg(t.Context(), name("third")))
	must(t, a.Query(t.Context(), name("third")))
	if z.shown("flows", "overrun") == 0 {
		t.Error("nothing was dropped")
	}
}
