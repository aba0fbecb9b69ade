package broadcast

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestThreeMembersInALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, c := w.member("a"), w.member("b"), w.member("c")
		w.connect("a", "b")
		w.connect("c", "b")
		synctest.Wait() // c's news travel on to a
		var all []*participant
		for _, m := range []*member{a, b, c} {
			for range 3 {
				all = append(all, m.join())
			}
		}
		once(t, "line", all...)
		if err := c.Disconnect(t.Context(), irm.DataTransfer, "b"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		once(t, "without c", all[:6]...)
		once(t, "c alone", all[6:]...)
		if n := len(b.neighbours()); n != 1 {
			t.Errorf("b has %d neighbours after c has gone", n)
		}
	})
}

func TestOrderIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _, c := w.member("a"), w.member("b"), w.member("c")
		w.connect("a", "b")
		w.connect("b", "c")
		synctest.Wait()
		x, y := a.join(), c.join()
		var want []string
		for i := range 5000 {
			want = append(want, fmt.Sprint(i))
		}
		x.write(want...)
		synctest.Wait()
		if got := y.take(); !slices.Equal(got, want) {
			t.Errorf("%d of %d arrived, or out of order", len(got), len(want))
		}
	})
}

func TestEachJoinIsAParticipantOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newWorld(t).member("a")
		x, y := m.join(), m.join()
		once(t, "one member", x, y)
		x.write("before")
		synctest.Wait()
		z := m.join() // gets nothing earlier
		synctest.Wait()
		if got := z.take(); got != nil {
			t.Errorf("got %q", got)
		}
		y.f.Dealloc()
		y.f.Dealloc()
		synctest.Wait()
		once(t, "after one has gone", x, z)
		if n := m.Show()["forwarding"].(map[string]any)["processes"]; n != 2 {
			t.Errorf("%v processes", n)
		}
		if x.f.QoS() != qos.NP1 {
			t.Errorf("the quality is %v", x.f.QoS())
		}
	})
}

func TestWhatCannotBeJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := w.bare("a")
		if _, err := m.Join(t.Context(), hash.Sum(irm.SHA3_256, layer)); !errors.Is(err, errno.IPCPState) {
			t.Errorf("before it is in a layer: %v", err)
		}
		m = w.member("b")
		h := hash.Sum(irm.SHA3_256, layer)
		for i := range h {
			for _, d := range []byte{1, 255} {
				h[i] += d
				if _, err := m.Join(t.Context(), h); !errors.Is(err, errno.NameError) {
					t.Errorf("byte %d is %+d: %v", i, int8(d), err)
				}
				h[i] -= d
			}
		}
		if _, err := m.Join(t.Context(), h[:16]); !errors.Is(err, errno.Invalid) {
			t.Errorf("half a hash: %v", err)
		}
	})
}

func TestTheHashIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newWorld(t).bare("a")
		cfg := irm.NewConfig(irm.Broadcast, layer)
		cfg.Hash = irm.SHA3_512
		info, err := m.Bootstrap(t.Context(), cfg)
		if err != nil || info != (irm.LayerInfo{Name: layer, Hash: irm.SHA3_256}) {
			t.Errorf("got %v, %v", info, err)
		}
		if _, err := m.Bootstrap(t.Context(), cfg); !errors.Is(err, errno.IPCPState) {
			t.Errorf("a second time: %v", err)
		}
	})
}

func TestEnrolment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.member("a")
		b := w.bare("b")
		info, err := b.Enroll(t.Context(), "a")
		if err != nil || info != (irm.LayerInfo{Name: layer, Hash: irm.SHA3_256}) {
			t.Fatalf("got %v, %v", info, err)
		}
		w.Bind("b", layer) // any member will do
		c := w.bare("c")
		if _, err := c.Enroll(t.Context(), layer); err != nil {
			t.Fatal(err)
		}
		x, y := b.join(), c.join()
		once(t, "enrolled, not connected", x)
		once(t, "enrolled, not connected", y)
		w.connect("c", "b")
		synctest.Wait()
		once(t, "connected", x, y)

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		d := w.bare("d")
		if _, err := d.Enroll(ctx, "nobody"); !errors.Is(err, errno.NameError) || !strings.Contains(err.Error(), `"nobody"`) {
			t.Errorf("got %v", err)
		}
		if _, err := d.Enroll(t.Context(), "a"); err != nil { // it can be tried again
			t.Error(err)
		}
	})
}

func TestOnlyDataTransferIsConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a")
		w.member("b")
		for _, component := range []string{irm.Management, spanningTree, ""} {
			if err := a.Connect(t.Context(), component, "b", qos.Raw); !errors.Is(err, errno.NotSup) {
				t.Errorf("connect %q: %v", component, err)
			}
			if err := a.Disconnect(t.Context(), component, "b"); !errors.Is(err, errno.NotSup) {
				t.Errorf("disconnect %q: %v", component, err)
			}
		}
		if err := a.Disconnect(t.Context(), irm.DataTransfer, "nobody"); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseTellsNeighboursAndProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a"), w.member("b")
		w.connect("a", "b")
		x := a.join()
		w.Mute(true) // not even the layer below tells
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := len(b.neighbours()); n != 0 {
			t.Errorf("b has %d neighbours", n)
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		if !slices.Contains(x.events, flow.EventDealloc) {
			t.Errorf("the process got %v", x.events)
		}
	})
}

func TestTheMTUIsThatOfTheConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a"), w.member("b")
		x := a.join()
		if n := x.f.MTU(); n != flow.MaxPacket {
			t.Errorf("alone: %d", n)
		}
		w.SetMTU(9000)
		w.connect("a", "b")
		synctest.Wait()
		y := b.join()
		if n, m := x.f.MTU(), y.f.MTU(); n != 9000 || m != 9000 {
			t.Errorf("connected: %d, %d", n, m)
		}
		w.SetMTU(1300)
		c := w.member("c")
		w.connect("b", "c")
		synctest.Wait()
		if n, m := x.f.MTU(), y.f.MTU(); n != 9000 || m != 1300 {
			t.Errorf("with c: %d, %d", n, m)
		}
		z := c.join()
		long := strings.Repeat("x", 5000)
		x.write(long, "short")
		synctest.Wait()
		if got := y.take(); len(got) != 2 || got[0] != long {
			t.Errorf("b got %d messages", len(got))
		}
		if got := z.take(); !slices.Equal(got, []string{"short"}) {
			t.Errorf("c got %d messages", len(got))
		}
		if n := b.Show()["forwarding"].(map[string]any)["too_long"]; n != uint64(1) {
			t.Errorf("%v too long", n)
		}
		w.Between("b", "c")[0].SetMTU(2000)
		synctest.Wait()
		if n := y.f.MTU(); n != 2000 {
			t.Errorf("after a change: %d", n)
		}
		if err := b.Disconnect(t.Context(), irm.DataTransfer, "c"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := y.f.MTU(); n != 9000 {
			t.Errorf("without c: %d", n)
		}
		y.mu.Lock()
		defer y.mu.Unlock()
		if !slices.Contains(y.events, flow.EventMTU) {
			t.Errorf("the process got %v", y.events)
		}
	})
}

func TestSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.SetMTU(1500)
		a, b := w.member("a"), w.member("b")
		w.connect("a", "b")
		synctest.Wait()
		x, y := a.join(), b.join()
		for _, n := range []int{0, 1, 1399, 1400, 1401, 1500, 1501} {
			x.write(strings.Repeat("m", n))
			synctest.Wait()
			got := y.take()
			if want := n > 0 && n <= 1500; want != (len(got) == 1 && len(got[0]) == n) {
				t.Errorf("%d bytes: got %d messages", n, len(got))
			}
		}
	})
}

func TestADownConnectionIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.member("a"), w.member("b")
		w.connect("a", "b")
		synctest.Wait()
		x, y := a.join(), b.join()
		for _, f := range w.Between("a", "b") {
			f.SetDown(true)
		}
		synctest.Wait()
		x.write("lost")
		if s := a.neighbours()[0]["state"]; s != "down" {
			t.Errorf("it is %v", s)
		}
		for _, f := range w.Between("a", "b") {
			f.SetDown(false)
		}
		rest(time.Second)
		once(t, "up again", x, y)
	})
}

func TestADeadMemberIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, _, c := w.member("a"), w.member("b"), w.member("c")
		w.connect("a", "b")
		w.connect("b", "c")
		w.connect("c", "a")
		synctest.Wait()
		once(t, "triangle", a.join(), c.join())
		x, y, z := a.join(), a.join(), c.join()
		w.kill("b")
		rest(10 * time.Second)
		once(t, "both that are left", x, y, z)
		for _, m := range []*member{a, c} {
			if n := len(m.neighbours()); n != 1 {
				t.Errorf("%s has %d neighbours", m.name, n)
			}
		}
		// It comes back, with another id: what was asked for is dialled again.
		w.member("b")
		rest(time.Minute)
		once(t, "it is back", x, z, w.members["b"].join())
		if n := len(a.neighbours()); n != 2 {
			t.Errorf("a has %d neighbours", n)
		}
	})
}
