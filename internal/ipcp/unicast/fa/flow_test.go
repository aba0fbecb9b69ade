package fa_test

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/unicast/fa"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	msg "ouroboros/internal/wire/fa"
	"ouroboros/irm"
	"ouroboros/qos"
)

// plain has no congestion avoidance.
func plain(c *fa.Config) { c.CA = irm.NoCongestion }

func TestWhatTheNetworkHasNoRoomForIsTheSendersUntilItIsWritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, _, here, there := joined(t, newLayer())
		a.net.room.Store(3)
		batch := packets(10, 5)
		taken := near.Send(batch)
		if taken != 3 {
			t.Fatalf("took %d", taken)
		}
		a.net.writable(-1)
		a.net.writable(-1) // nobody waits any more
		synctest.Wait()
		if !slices.Equal(here.events, []flow.Event{flow.EventWritable}) {
			t.Errorf("events %v", here.events)
		}
		if near.Send(batch[taken:]) != 7 {
			t.Error("the rest was not taken")
		}
		settle()
		if len(there.got) != 10 {
			t.Errorf("%d packets arrived", len(there.got))
		}
		sent := a.Show()["flows"].(map[string]any)["list"].([]map[string]any)[0]["sent"].(map[string]any)
		if sent["packets"] != uint64(10) || sent["bytes"] != uint64(50) {
			t.Errorf("counted %v", sent)
		}
	})
}

func TestAPacketLongerThanTheMTUIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, _, here, there := joined(t, newLayer())
		batch := append(packets(1, 1000), append(packets(2, 1001), packets(1, 0)...)...)
		if near.Send(batch) != 4 {
			t.Error("not all were taken")
		}
		settle()
		if len(there.got) != 2 {
			t.Errorf("%d arrived", len(there.got))
		}
		a.expect(t, "flows", map[string]uint64{"too_long": 2})
		a.net.mtu.Store(2000)
		a.net.changed()
		a.net.changed()
		settle()
		if near.MTU() != 2000 || !slices.Equal(here.events, []flow.Event{flow.EventMTU}) {
			t.Errorf("MTU %d, events %v", near.MTU(), here.events)
		}
	})
}

func TestARouteThatIsGoneForAMomentIsNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, _, here, there := joined(t, newLayer())
		a.net.route(2, false)
		settle()
		if near.Send(packets(2, 1)) != 2 { // lost
			t.Error("without a route a flow takes all")
		}
		a.net.route(2, true)
		settle()
		near.Send(packets(3, 1))
		settle()
		if len(here.events) != 0 || len(there.got) != 3 || near.MTU() != 1000 {
			t.Errorf("events %v, %d arrived, MTU %d", here.events, len(there.got), near.MTU())
		}
	})
}

func TestTheLossOfARouteIsAnEventOfEachFlowOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, _, here, _ := joined(t, newLayer())
		var other collect
		mustAlloc(t, a).Attach(&other)
		a.net.route(2, false)
		a.net.route(2, false)
		time.Sleep(200 * time.Millisecond)
		a.net.route(7, false) // something else changes
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if want := []flow.Event{flow.EventDown}; !slices.Equal(here.events, want) || !slices.Equal(other.events, want) {
			t.Errorf("events %v and %v", here.events, other.events)
		}
		if near.MTU() != 1000 {
			t.Errorf("MTU %d", near.MTU())
		}
		time.Sleep(time.Minute)
		a.net.route(2, true)
		a.net.route(2, true)
		settle()
		if want := []flow.Event{flow.EventDown, flow.EventUp}; !slices.Equal(here.events, want) || !slices.Equal(other.events, want) {
			t.Errorf("events %v and %v", here.events, other.events)
		}
	})
}

func TestPacketsBeforeTheUserIsThereAreKeptToALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		near := mustAlloc(t, a)
		for range 20 {
			near.Send(packets(10, 1))
		}
		settle()
		var there collect
		(<-b.host.flows).Attach(&there)
		if len(there.got) != 128 {
			t.Errorf("%d were kept", len(there.got))
		}
		b.expect(t, "flows", map[string]uint64{"overrun": 72})
	})
}

func TestASlowUserLosesItsOwnPacketsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer(), plain)
		slow, quick := mustAlloc(t, a), mustAlloc(t, a)
		taken := 0
		first := <-b.host.flows
		first.Attach(flow.Funcs{OnReceive: func(batch []*packet.Buffer) int {
			n := min(len(batch), 100-taken)
			packet.ReleaseAll(batch[:n])
			taken += n
			return n
		}})
		var there collect
		(<-b.host.flows).Attach(&there)
		for range 100 {
			slow.Send(packets(10, 1))
			quick.Send(packets(10, 1))
			settle()
		}
		if taken != 100 || len(there.got) != 1000 {
			t.Errorf("slow took %d, quick %d", taken, len(there.got))
		}
		b.expect(t, "flows", map[string]uint64{"overrun": 1000 - 100 - 128})
		taken = 0
		first.Resume()
		if taken != 100 {
			t.Errorf("%d of those kept were offered again", taken)
		}
	})
}

func TestTheEndOfOneSideIsTheEndOfTheOther(t *testing.T) {
	for _, lost := range []int{0, 1} { // of the two that say so
		synctest.Test(t, func(t *testing.T) {
			l := newLayer()
			left := lost
			l.pass = func(_, _ wire.Addr, m *msg.Message) bool {
				if m.Code == msg.Dealloc && left > 0 {
					left--
					return false
				}
				return true
			}
			a, b, near, far, here, there := joined(t, l)
			near.Send(packets(3, 1))
			near.Dealloc()
			near.Dealloc()
			if near.Send(packets(1, 1)) != 1 {
				t.Error("a deallocated flow did not take")
			}
			settle()
			if n, events := there.seen(); n != 3 || !slices.Equal(events, []flow.Event{flow.EventDealloc}) {
				t.Errorf("there %d, %v", n, events)
			}
			if n, events := here.seen(); n+len(events) != 0 {
				t.Errorf("here %d, %v", n, events)
			}
			if far.Send(packets(1, 1)) != 1 {
				t.Error("an ended flow did not take")
			}
			far.Dealloc()
			settle()
			for _, n := range []*node{a, b} {
				n.expect(t, "flows", map[string]uint64{"open": 0, "resting": 1, "peers": 0, "unknown_endpoint": 0})
			}
			time.Sleep(time.Minute)
			a.expect(t, "flows", map[string]uint64{"resting": 0})
		})
	}
}

func TestAPeerThatSendsToAnEndedFlowIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		lose, told := true, 0
		l.pass = func(_, _ wire.Addr, m *msg.Message) bool {
			if m.Code == msg.Dealloc {
				told++
				return !lose
			}
			return true
		}
		a, _, near, far, _, there := joined(t, l)
		near.Dealloc()
		settle()
		if told != 2 {
			t.Errorf("it was said %d times", told)
		}
		for range 10 {
			far.Send(packets(1, 1))
			settle()
		}
		if told != 3 {
			t.Errorf("it was said %d times", told)
		}
		lose = false
		time.Sleep(30 * time.Second)
		far.Send(packets(1, 0)) // a keep-alive
		settle()
		if _, events := there.seen(); !slices.Equal(events, []flow.Event{flow.EventDealloc}) {
			t.Errorf("events %v", events)
		}
		a.expect(t, "flows", map[string]uint64{"unknown_endpoint": 11, "told_again": 2})
	})
}

func TestPacketsThatTookALongerWayArriveBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		l.fate = func(_, _ wire.Addr) (int, time.Duration) { return 1, 0 }
		_, _, near, _, _, there := joined(t, l)
		l.fate = func(_, _ wire.Addr) (int, time.Duration) { return 1, 10 * time.Millisecond }
		near.Send(packets(3, 1))
		l.fate = nil
		near.Dealloc()
		settle()
		if n, events := there.seen(); n != 3 || !slices.Equal(events, []flow.Event{flow.EventDealloc}) {
			t.Errorf("%d, %v", n, events)
		}
	})
}

func TestNobodyElseEndsAFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, near, far, here, there := joined(t, newLayer())
		for _, m := range []msg.Message{
			{REID: near.EID()}, {REID: near.EID(), SEID: near.EID()}, {REID: near.EID(), SEID: far.EID() + 1},
			{REID: far.EID(), SEID: far.EID()}, {SEID: far.EID(), SAddr: 2}, {SEID: near.EID(), SAddr: 2}, {SEID: near.EID()}, {},
		} {
			m.Code = msg.Dealloc
			a.net.say(&m)
			b.net.say(&m)
		}
		settle()
		near.Send(packets(1, 1))
		far.Send(packets(1, 1))
		settle()
		for _, c := range []*collect{here, there} {
			if n, events := c.seen(); n != 1 || len(events) != 0 {
				t.Errorf("%d, %v", n, events)
			}
		}
	})
}

func TestThePacketsOfAFlowAreInItsClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a, b := pair(t, l)
		r, err := a.AllocFlow(t.Context(), &ipcp.Request{Hash: name("there"), QoS: qos.Voice})
		if err != nil {
			t.Fatal(err)
		}
		var cubes []uint8
		b.net.RegisterFlows(func(_ uint64, batch []*packet.Buffer) {
			h, _ := wire.Parse(batch[0].Bytes())
			cubes = append(cubes, h.QoS)
			packet.ReleaseAll(batch)
		})
		r.Flow.Send(packets(1, 1))
		settle()
		if !slices.Equal(cubes, []uint8{uint8(qos.CubeVoice)}) {
			t.Errorf("cubes %v", cubes)
		}
	})
}

func TestMarksAreReportedToTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		var levels []uint16
		l.pass = func(from, to wire.Addr, m *msg.Message) bool {
			if m.Code == msg.Update {
				levels = append(levels, m.ECE)
				if from != 2 || to != 1 || m.SEID != 0 || m.SAddr != 0 {
					t.Errorf("%v to %v: %+v", from, to, m)
				}
			}
			return true
		}
		a, b, near, _, _, _ := joined(t, l)
		a.net.mark.Store(3)
		for range 12 {
			near.Send(packets(1, 10))
			settle()
		}
		a.net.mark.Store(0)
		for range 6 {
			near.Send(packets(1, 10))
			settle()
		}
		if !slices.Equal(levels, []uint16{3, 9, 33, 0}) {
			t.Errorf("reported %v", levels)
		}
		for _, c := range []struct {
			n   *node
			key string
		}{{a, "updates_received"}, {b, "updates_sent"}} {
			if n := c.n.Show()["flows"].(map[string]any)["list"].([]map[string]any)[0][c.key]; n != uint64(4) {
				t.Errorf("%s %v", c.key, n)
			}
		}
	})
}

func TestWithoutCongestionAvoidanceMarksMeanNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a, _, near, _, _, there := joined(t, l, plain)
		l.pass = func(_, _ wire.Addr, m *msg.Message) bool {
			if m.Code == msg.Update {
				t.Error("an UPDATE was sent")
			}
			return true
		}
		a.net.mark.Store(63)
		a.net.say(&msg.Message{Code: msg.Update, REID: near.EID(), ECE: 2016})
		for range 50 {
			if near.Send(packets(100, 1000)) != 100 {
				t.Error("it waits")
			}
		}
		settle()
		if n, _ := there.seen(); n != 5000 {
			t.Errorf("%d arrived", n)
		}
	})
}

func TestUpdatesForNobodyDoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, far, _, _ := joined(t, newLayer())
		gone := mustAlloc(t, a)
		gone.Dealloc()
		for _, eid := range []uint64{0, 1, 63, 64, 1 << 63, gone.EID(), far.EID()} {
			a.net.say(&msg.Message{Code: msg.Update, REID: eid, ECE: 2016})
			a.net.say(&msg.Message{Code: msg.Reply, REID: eid, SEID: 900})
			a.net.say(&msg.Message{Code: msg.Reply, REID: eid, SEID: 900, Response: -1})
			a.net.say(&msg.Message{Code: msg.Pending, REID: eid})
		}
		settle()
		a.expect(t, "flows", map[string]uint64{"stray_updates": 7, "open": 1})
		a.expect(t, "allocation", map[string]uint64{"late_replies": 14})
		if congestion(a, near)["upstream_level"] != uint16(0) {
			t.Error("the flow took an update that was not for it")
		}
	})
}

// congestion is what Show says of a flow's congestion avoidance.
func congestion(n *node, f *fa.Flow) map[string]any {
	for _, shown := range n.Show()["flows"].(map[string]any)["list"].([]map[string]any) {
		if shown["eid"] == strconv.FormatUint(f.EID(), 10) {
			return shown["congestion"].(map[string]any)
		}
	}
	return nil
}

func TestCongestionSlowsASenderDownAndAWaitingOneIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, newLayer())
		f := mustAlloc(t, a)
		w := &waker{woken: make(chan struct{}, 1)}
		f.Attach(w)
		// pump sends as much as it may for a while.
		pump := func(d time.Duration) (sent int) {
			for until := time.Now().Add(d); time.Now().Before(until); {
				batch := packets(32, 1000)
				n := f.Send(batch)
				packet.ReleaseAll(batch[n:])
				sent += n
				if n < len(batch) {
					select {
					case <-w.woken:
					case <-time.After(2 * time.Second):
						t.Error("nobody was woken")
					}
				}
			}
			return sent
		}
		pump(30 * time.Millisecond)
		before := pump(30 * time.Millisecond)
		for range 50 {
			a.net.say(&msg.Message{Code: msg.Update, REID: f.EID(), ECE: 2016})
			pump(50 * time.Millisecond)
		}
		if after := pump(30 * time.Millisecond); after == 0 || after > before/4 {
			t.Errorf("%d packets, %d before", after, before)
		}
		if r := congestion(a, f)["regime"]; r == "slow start" {
			t.Errorf("in %v", r)
		}
	})
}

// waker passes EventWritable on.
type waker struct {
	collect
	woken chan struct{}
}

func (w *waker) Event(e flow.Event) {
	if e == flow.EventWritable {
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}
}
