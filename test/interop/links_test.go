package interop

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/netns"
	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// allocates waits until flows to a name can be allocated and carry messages.
func (w *world) allocates(t *testing.T, c *ouroboros.Client, why string) {
	t.Helper()
	host.Eventually(t, "a flow is allocated and used "+why, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		f, err := c.Alloc(ctx, "echo", nil)
		if err != nil {
			return false
		}
		defer f.Close()
		f.SetReadTimeout(time.Second)
		if _, err := f.Write([]byte("hello")); err != nil {
			return false
		}
		n, err := f.Read(make([]byte, 10))
		return n == 5 && err == nil
	})
}

func TestALayerComesBackWithItsInterface(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		w.role(t, "echo")
		c := open(t, w.here())
		spec := qos.Raw
		spec.Timeout = 2000
		f := w.allocate(t, c, "echo", &spec)
		if err := w.a.DeleteLink(netns.Dev); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Alloc(shortly(t), "echo", nil); err == nil {
			t.Error("a flow is allocated without an interface")
		}
		if err := netns.Connect(w.a, w.b); err != nil {
			t.Fatal(err)
		}
		w.allocates(t, c, "after the interface was made again")
		f.Close()
		noFlows(t, w.here())
	})
}

func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestALayerComesBackWithItsAddress(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		if !strings.HasPrefix(l.name, "udp") {
			t.Skip("this layer has no address")
		}
		w := join(t, l, p)
		w.role(t, "echo")
		c := open(t, w.here())
		addr := w.a.IPv4
		if l.name == "udp6" {
			addr = w.a.IPv6
		}
		other := addr.Addr().Next().Next().Next()
		f := w.allocate(t, c, "echo", nil)
		if err := w.a.DelAddr(w.a.Dev, addr); err != nil {
			t.Fatal(err)
		}
		if err := w.a.AddAddr(w.a.Dev, prefix(other, addr.Bits())); err != nil {
			t.Fatal(err)
		}
		c.Alloc(shortly(t), "echo", nil)
		// The old address is another again: the layer was told that one.
		if err := w.a.DelAddr(w.a.Dev, prefix(other, addr.Bits())); err != nil {
			t.Fatal(err)
		}
		if err := w.a.AddAddr(w.a.Dev, addr); err != nil {
			t.Fatal(err)
		}
		w.allocates(t, c, "with the address of before")
		ping(t, f)
	})
}

// ping waits until a message comes back, whatever else comes.
func ping(t *testing.T, f *ouroboros.Flow) {
	t.Helper()
	want := fmt.Sprintf("hello %d", time.Now().UnixNano())
	buf := make([]byte, 1<<16)
	host.Eventually(t, "a message comes back", func() bool {
		f.SetWriteTimeout(time.Second)
		f.SetReadTimeout(200 * time.Millisecond)
		if _, err := f.Write([]byte(want)); err != nil {
			return false
		}
		for {
			n, err := f.Read(buf)
			if err != nil || string(buf[:n]) == want {
				return err == nil
			}
		}
	})
}

func TestATransferOutlivesACableThatIsPulledForThreeSeconds(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		w := joinByRelay(t, l, p, 31)
		w.role(t, "sum")
		spec := qos.Data
		f := w.allocate(t, open(t, w.here()), "sum", &spec)
		done := make(chan error, 1)
		go func() { done <- transfer(f, 256<<20, 5*host.Patience) }()
		// The transfer is under way when the relay has carried some of it.
		host.Eventually(t, "the transfer is under way", func() bool { return w.relay.Stats(relay.AtoB).Sent > 2000 })
		if err := w.relay.Unplug(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // is what the test is about
		select {
		case err := <-done:
			t.Fatalf("the transfer was over before the cable was put back: %v", err)
		default:
		}
		if err := w.relay.Plug(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAHundredCarrierFlaps(t *testing.T) {
	each(t, []peers{oursOurs}, func(t *testing.T, l layer, p peers) {
		w := joinByRelay(t, l, p, 32)
		w.role(t, "echo")
		c := open(t, w.here())
		f := w.allocate(t, c, "echo", nil)
		ping(t, f)
		s := ouroboros.NewFlowSet()
		defer s.Close()
		if err := s.Add(f); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if err := w.relay.Unplug(); err != nil {
				t.Fatal(err)
			}
			if err := w.relay.Plug(); err != nil {
				t.Fatal(err)
			}
		}
		ping(t, f)
		w.allocates(t, c, "after a hundred flaps")
		if f.Flags()&ouroboros.Down != 0 {
			t.Error("the flow is still down")
		}
		if !strings.HasPrefix(l.name, "eth") {
			return
		}
		// Once more, slowly: the flow hears of each.
		for _, step := range []struct {
			do   func() error
			want ouroboros.EventType
		}{{w.relay.Unplug, ouroboros.FlowDown}, {w.relay.Plug, ouroboros.FlowUp}} {
			for drained := false; !drained; {
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // polls
				_, err := s.Wait(ctx, nil)
				drained = err != nil
			}
			begin := time.Now()
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			await(t, s, step.want)
			t.Logf("event %d came %v after the command began", step.want, time.Since(begin).Round(time.Millisecond))
		}
		ping(t, f)
	})
}

func prefix(a netip.Addr, bits int) netip.Prefix { return netip.PrefixFrom(a, bits) }
