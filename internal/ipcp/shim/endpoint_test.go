package shim_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
)

// joined is a flow between two members, with a collector at each end.
func joined(t *testing.T, changes ...change) (a, b *member, near, far flow.Flow, here, there *collect) {
	a, b, ga, hb := pair(t, newNetwork(), changes...)
	near = mustAlloc(t, ga).Flow
	far = <-hb.flows
	here, there = new(collect), new(collect)
	near.Attach(here)
	far.Attach(there)
	return a, b, near, far, here, there
}

func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func packets(n, size int) []*packet.Buffer {
	batch := make([]*packet.Buffer, n)
	for i := range batch {
		batch[i] = packet.From(make([]byte, size))
	}
	return batch
}

func TestWhatTheEdgeHasNoRoomForIsTheSendersUntilItIsWritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, _, here, there := joined(t)
		a.room.Store(3)
		batch := packets(10, 5)
		taken := near.Send(batch)
		if taken != 3 {
			t.Fatalf("took %d", taken)
		}
		a.room.Store(-1)
		a.Writable()
		a.Writable() // nobody waits any more
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
	})
}

func TestAPacketLongerThanTheMTUIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, _, here, there := joined(t)
		batch := append(packets(1, 1000), append(packets(2, 1001), packets(1, 0)...)...)
		if near.Send(batch) != 4 {
			t.Error("not all were taken")
		}
		settle()
		if len(there.got) != 2 || a.shown("flows", "too_long") != 2 {
			t.Errorf("%d arrived, %v", len(there.got), a.Show()["flows"])
		}
		a.SetMTU(2000)
		a.SetMTU(2000)
		if near.MTU() != 2000 || !slices.Equal(here.events, []flow.Event{flow.EventMTU}) {
			t.Errorf("MTU %d, events %v", near.MTU(), here.events)
		}
	})
}

func TestALinkThatGoesDownIsAnEventOfEachFlowOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, near, _, here, there := joined(t)
		a.SetDown(true)
		a.SetDown(true)
		near.Send(packets(3, 1)) // lost
		a.SetDown(false)
		a.SetDown(false)
		near.Send(packets(2, 1))
		settle()
		if !slices.Equal(here.events, []flow.Event{flow.EventDown, flow.EventUp}) {
			t.Errorf("events %v", here.events)
		}
		if len(there.got) != 2 {
			t.Errorf("%d packets arrived", len(there.got))
		}
	})
}

func TestPacketsBeforeTheUserIsThereAreKeptToALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, ga, hb := pair(t, newNetwork())
		near := mustAlloc(t, ga).Flow
		far := <-hb.flows
		for range 20 {
			near.Send(packets(10, 1))
		}
		settle()
		var there collect
		far.Attach(&there)
		if len(there.got) != 128 || b.shown("flows", "overrun") != 72 {
			t.Errorf("%d were kept, %d dropped", len(there.got), b.shown("flows", "overrun"))
		}
	})
}

func TestASlowUserLosesItsOwnPacketsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, ga, hb := pair(t, newNetwork())
		slow, quick := mustAlloc(t, ga).Flow, mustAlloc(t, ga).Flow
		taken := 0
		first := <-hb.flows
		first.Attach(flow.Funcs{OnReceive: func(batch []*packet.Buffer) int {
			n := min(len(batch), 100-taken)
			packet.ReleaseAll(batch[:n])
			taken += n
			return n
		}})
		var there collect
		(<-hb.flows).Attach(&there)
		for range 100 {
			slow.Send(packets(10, 1))
			quick.Send(packets(10, 1))
			settle()
		}
		if taken != 100 || len(there.got) != 1000 || b.shown("flows", "overrun") != 1000-100-128 {
			t.Errorf("slow took %d, quick %d, dropped %d", taken, len(there.got), b.shown("flows", "overrun"))
		}
		taken = 0
		first.Resume()
		if taken != 100 {
			t.Errorf("%d of those kept were offered again", taken)
		}
	})
}

func TestDataOfAnotherThanThePeerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, _, _, _, there := joined(t)
		b.Each(func(e *shim.Endpoint[address]) {
			e.Deliver(3, packets(2, 1))
			e.Deliver(1, packets(1, 1))
		})
		if b.Endpoint(0) != nil || b.Endpoint(0xffffffff) != nil {
			t.Error("there is an endpoint that was never opened")
		}
		if len(there.got) != 1 || b.shown("flows", "foreign_source") != 2 || b.shown("flows", "unknown_endpoint") != 2 {
			t.Errorf("%d arrived, %v", len(there.got), b.Show()["flows"])
		}
	})
}

func TestADeallocatedFlowIsGoneAtOnceAndOnlyHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, near, far, here, there := joined(t)
		near.Send(packets(3, 1))
		near.Dealloc()
		near.Dealloc()
		if near.Send(packets(1, 1)) != 1 {
			t.Error("a deallocated flow did not take")
		}
		far.Send(packets(2, 1))
		settle()
		if len(there.got) != 3 || len(there.events) != 0 || len(here.got) != 0 || len(here.events) != 0 {
			t.Errorf("there %v %v, here %v %v", there.got, there.events, here.got, here.events)
		}
		if a.shown("flows", "open") != 0 || b.shown("flows", "open") != 1 || a.shown("flows", "unknown_endpoint") != 2 {
			t.Errorf("%v", a.Show()["flows"])
		}
		if a.shown("flows", "resting") != 1 {
			t.Error("the number does not rest")
		}
		time.Sleep(11 * time.Second)
		if a.shown("flows", "resting") != 0 {
			t.Error("the number rests for ever")
		}
	})
}

func TestTheEndOfTheIPCPEndsItsFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		_, _, ga, hb := pair(t, n)
		r := mustAlloc(t, ga)
		<-hb.flows
		var here collect
		r.Flow.Attach(&here)
		if err := ga.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(here.events, []flow.Event{flow.EventDealloc}) {
			t.Errorf("events %v", here.events)
		}
	})
}
