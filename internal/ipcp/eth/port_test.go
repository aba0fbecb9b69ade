package eth

import (
	"errors"
	"strings"
	"testing"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/netns"
	wire "ouroboros/internal/wire/ethmgmt"
)

func TestAFlowOutlivesAHundredFlapsOfTheCarrier(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		a, z := both(t, kind)
		client, server := connect(t, a, z, "oping")
		dev := z.space.Dev
		for range 100 {
			must(t, z.space.Down(dev))
			client.event(t, flow.EventDown) // no carrier
			server.event(t, flow.EventDown) // switched off
			client.send(t, "lost")
			must(t, z.space.Up(dev))
			client.event(t, flow.EventUp)
			server.event(t, flow.EventUp)
		}
		exchange(t, client, server)
		client.quiet(t)
		server.quiet(t)
	})
}

func TestWithoutACarrierAllocationsFailAtOnce(t *testing.T) {
	a, z := both(t, wire.DIX)
	client, _ := connect(t, a, z, "oping")
	must(t, z.space.Down(z.space.Dev))
	client.event(t, flow.EventDown)
	if _, err := a.AllocFlow(t.Context(), request("oping", "")); !errors.Is(err, errno.IPCP) || !strings.Contains(err.Error(), "down") {
		t.Errorf("got %v", err)
	}
	must(t, z.space.Up(z.space.Dev))
	client.event(t, flow.EventUp)
	eventually(t, "the other side is up", func() bool { return !z.i.layer.Load().Down() })
	again, server := connect(t, a, z, "oping")
	exchange(t, again, server)
}

func TestADeviceThatIsRemovedAndMadeAgainCarriesOn(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		a, z := both(t, kind)
		old, _ := connect(t, a, z, "oping")
		for range 3 {
			must(t, a.space.DeleteLink(netns.Dev))
			old.event(t, flow.EventDown)
			if _, err := a.AllocFlow(t.Context(), request("oping", "")); !errors.Is(err, errno.IPCP) {
				t.Errorf("without a device: %v", err)
			}
			must(t, netns.Connect(a.space, z.space, netns.Bare()))
			old.event(t, flow.EventUp)
			eventually(t, "the other side is up", func() bool { return !z.i.layer.Load().Down() })
			client, server := connect(t, a, z, "oping")
			exchange(t, client, server)
			client.Dealloc()
			server.Dealloc()
		}
		if n := a.shown("device", "opened_anew"); n != 3 {
			t.Errorf("opened %d times", n)
		}
	})
}

func TestFlowsGoOnWhenTheirDeviceHasItsAddressBack(t *testing.T) {
	a, z := both(t, wire.DIX)
	macA, err := a.space.MAC(netns.Dev)
	must(t, err)
	macZ, err := z.space.MAC(netns.Dev)
	must(t, err)
	client, server := connect(t, a, z, "oping")
	must(t, a.space.DeleteLink(netns.Dev))
	client.event(t, flow.EventDown)
	server.event(t, flow.EventDown)
	must(t, a.space.IP("link", "add", netns.Dev, "address", macA.String(), "netns", a.space.Name,
		"type", "veth", "peer", "name", netns.Dev, "address", macZ.String(), "netns", z.space.Name))
	must(t, a.space.Up(netns.Dev))
	must(t, z.space.Up(netns.Dev))
	client.event(t, flow.EventUp)
	server.event(t, flow.EventUp)
	exchange(t, client, server)
}

func TestAChangedMTUIsFollowed(t *testing.T) {
	a, z := both(t, wire.DIX)
	client, server := connect(t, a, z, "oping")
	for _, mtu := range []int{9000, 1300, 4000, 1500} {
		must(t, a.space.SetMTU(netns.Dev, mtu))
		must(t, z.space.SetMTU(netns.Dev, mtu))
		client.event(t, flow.EventMTU)
		server.event(t, flow.EventMTU)
		want := wire.DIX.MaxPayload(mtu)
		if client.MTU() != want || server.MTU() != want {
			t.Fatalf("MTU %d and %d, want %d", client.MTU(), server.MTU(), want)
		}
		long := strings.Repeat("x", want)
		client.send(t, long)
		server.packet(t, long)
		server.send(t, long)
		client.packet(t, long)
	}
	client.quiet(t)
}

func TestAChangedAddressIsFoundAgain(t *testing.T) {
	kinds(t, func(t *testing.T, kind wire.Kind) {
		a, z := both(t, kind)
		client, server := connect(t, a, z, "oping")
		must(t, z.space.IP("link", "set", "dev", netns.Dev, "address", "02:00:00:00:00:99"))
		eventually(t, "the new address is used", func() bool {
			k := z.i.layer.Load().port.link.Load()
			return k != nil && k.MAC() == [6]byte{2, 0, 0, 0, 0, 0x99}
		})
		// What the server sends now comes from a stranger.
		server.send(t, "from another address")
		eventually(t, "the stranger is counted", func() bool { return a.shown("flows", "foreign_source") == 1 })
		client.quiet(t)
		// The old address does not answer: it is forgotten, and the next try
		// asks everybody.
		_, err := a.AllocFlow(t.Context(), request("oping", ""))
		if err == nil {
			t.Error("somebody answered at the old address")
		}
		client, server = connect(t, a, z, "oping")
		exchange(t, client, server)
	})
}
