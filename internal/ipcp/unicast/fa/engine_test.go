package fa_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/unicast/dt"
	"ouroboros/internal/ipcp/unicast/fa"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

// TestOverDataTransfer lets two allocators meet over engines and an N-1 flow.
func TestOverDataTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := flow.NewPipe(flow.PipeOptions{MTU: 1500})
		h := newHost()
		var engines [2]*dt.Engine
		var allocators [2]*fa.Allocator
		for i, n1 := range []*flow.Pipe{near, far} {
			own, peer := wire.Addr(i+1), wire.Addr(2-i)
			e := dt.New(dt.Config{Own: own, MaxTTL: 60, Mark: true})
			d := &directory{at: make(map[string][]wire.Addr)}
			d.set("there", 2)
			allocators[i] = fa.New(fa.Config{Net: e, Directory: d, Host: h, HashLen: hashLen, CA: irm.MBECN,
				Go: func(f func()) { go f() }, AfterFunc: time.AfterFunc})
			defer allocators[i].Close()
			n1.Attach(e.AddPort(peer, n1, nil))
			e.Install(map[wire.Addr]dt.Hops{peer: {Next: []wire.Addr{peer}}})
			engines[i] = e
		}
		r, err := allocators[0].AllocFlow(t.Context(), request("there", "hello"))
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Flow.MTU(); n != 1500-wire.HeaderLen {
			t.Errorf("MTU %d", n)
		}
		var here, there collect
		r.Flow.Attach(&here)
		(<-h.flows).Attach(&there)
		for range 100 {
			if r.Flow.Send(packets(10, 1485)) != 10 {
				t.Error("it waits")
			}
			time.Sleep(10 * time.Millisecond)
		}
		engines[0].Install(nil)
		time.Sleep(time.Second)
		engines[0].Install(map[wire.Addr]dt.Hops{2: {Next: []wire.Addr{2}, MTU: 1400}})
		time.Sleep(time.Second)
		synctest.Wait()
		if n, _ := there.seen(); n != 1000 {
			t.Errorf("%d arrived", n)
		}
		if _, events := here.seen(); len(events) != 3 || events[0] != flow.EventDown || r.Flow.MTU() != 1385 {
			t.Errorf("events %v, MTU %d", events, r.Flow.MTU())
		}
		if text, err := json.Marshal(allocators[0].Show()); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		r.Flow.Dealloc()
		settle()
		if _, events := there.seen(); len(events) != 1 || events[0] != flow.EventDealloc {
			t.Errorf("events there %v", events)
		}
	})
}
