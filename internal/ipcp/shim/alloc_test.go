package shim_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
)

// pair is two members that know where the names of the other are.
func pair(t *testing.T, n *network, changes ...change) (a, b *member, ga *ipcp.Guard, hb *host) {
	hb = newHost()
	a, ga = n.join(t, 1, newHost(), changes...)
	b, _ = n.join(t, 2, hb, changes...)
	a.Directory.Add(name("there"), 2, time.Hour)
	return a, b, ga, hb
}

func alloc(t *testing.T, g *ipcp.Guard, limit time.Duration) (*ipcp.Reply, error) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		r, err := g.AllocFlow(ctx, request("there", "hello"))
		if !errors.Is(err, errno.Again) {
			return r, err
		}
	}
}

func mustAlloc(t *testing.T, g *ipcp.Guard) *ipcp.Reply {
	t.Helper()
	r, err := alloc(t, g, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// collect attaches a handler that copies what comes.
type collect struct {
	mu     sync.Mutex
	got    [][]byte
	events []flow.Event
}

func (c *collect) Receive(batch []*packet.Buffer) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range batch {
		c.got = append(c.got, append([]byte(nil), b.Bytes()...))
		b.Release()
	}
	return len(batch)
}

func (c *collect) Event(e flow.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func TestAFlowCarriesPacketsBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, ga, hb := pair(t, newNetwork())
		r := mustAlloc(t, ga)
		if !bytes.HasPrefix(r.Data, []byte("answer to ")) || r.MPL != 5*time.Second {
			t.Errorf("reply %q, MPL %v", r.Data, r.MPL)
		}
		far := <-hb.flows
		var here, there collect
		r.Flow.Attach(&here)
		far.Attach(&there)
		for _, text := range []string{"", "one", "two"} {
			r.Flow.Send([]*packet.Buffer{packet.From([]byte(text))})
			far.Send([]*packet.Buffer{packet.From([]byte("re " + text))})
		}
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if len(here.got) != 3 || len(there.got) != 3 {
			t.Errorf("got %q and %q", here.got, there.got)
		}
	})
}

func TestAllocationsSucceedWhenThreeOfTenAreLostInBursts(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			n.lose = bursts(0.3, seed)
			_, _, ga, hb := pair(t, n)
			for i := range 50 {
				if _, err := alloc(t, ga, 20*time.Second); err != nil {
					t.Fatalf("seed %d, allocation %d: %v", seed, i, err)
				}
			}
			if len(hb.flows) > 55 { // one for each request with an id of its own
				t.Errorf("seed %d: the server has %d flows", seed, len(hb.flows))
			}
		})
	}
}

func TestParallelAllocationsSucceedWhenThreeOfTenAreLostInBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.lose = bursts(0.3, 7)
		_, b, ga, hb := pair(t, n)
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				if _, err := alloc(t, ga, 30*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(hb.flows); n < 200 || n > 210 {
			t.Errorf("the server has %d flows, %d endpoints", len(hb.flows), b.shown("flows", "open"))
		}
	})
}

func TestAPeerOfAnotherMakeGetsEachRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		sent := make(map[shim.Code]int)
		var mu sync.Mutex
		n.seen = func(from, _ address, m *shim.Message) {
			mu.Lock()
			defer mu.Unlock()
			if from == 1 {
				sent[m.Code]++
			}
		}
		a, b, ga, hb := pair(t, n)
		b.foreign.Store(true)
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error {
			<-ctx.Done()
			return ctx.Err()
		}
		_, err := ga.AllocFlow(t.Context(), request("there", "hello"))
		if !errors.Is(err, errno.Again) {
			t.Errorf("the allocation gave %v", err)
		}
		mu.Lock()
		if sent[shim.FlowReq] != 1 || sent[shim.Probe] < 3 {
			t.Errorf("sent %v", sent)
		}
		mu.Unlock()
		if open := a.shown("flows", "open"); open != 0 {
			t.Errorf("%d endpoints are left", open)
		}
	})
}

func TestARefusalIsTheNumberOfThePeer(t *testing.T) {
	for _, want := range []error{errno.AuthFailed, errno.Perm, errno.NameError, errno.IPCP} {
		synctest.Test(t, func(t *testing.T) {
			a, b, ga, hb := pair(t, newNetwork())
			hb.decide = func(context.Context, *ipcp.Request) error { return want }
			start := time.Now()
			_, err := alloc(t, ga, 20*time.Second)
			if !errors.Is(err, want) || time.Since(start) > 100*time.Millisecond {
				t.Errorf("%v after %v, want %v", err, time.Since(start), want)
			}
			if a.shown("flows", "open")+b.shown("flows", "open") != 0 {
				t.Error("an endpoint is left")
			}
			if _, known := a.Directory.Lookup(name("there")); known == errors.Is(want, errno.NameError) {
				t.Errorf("after %v the address is known: %v", want, known)
			}
		})
	}
}

func TestAPositiveResponseIsACryptError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		a, b, ga, hb := pair(t, n)
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return ctx.Err() }
		n.seen = func(_, _ address, m *shim.Message) {
			if m.Code == shim.FlowReq {
				_ = b.Manage(1, &shim.Message{Code: shim.FlowReply, Requester: m.Requester, Responder: 9, Response: 5})
			}
		}
		if _, err := alloc(t, ga, time.Second); !errors.Is(err, errno.Crypt) {
			t.Errorf("got %v", err)
		}
		if a.shown("flows", "open") != 0 {
			t.Error("an endpoint is left")
		}
	})
}

func TestOnlyTheFirstReplyOfWhoWasAskedCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		a, b, ga, hb := pair(t, n)
		c, _ := n.join(t, 3, newHost())
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return ctx.Err() }
		var asked shim.Message
		n.seen = func(_, _ address, m *shim.Message) {
			if m.Code != shim.FlowReq {
				return
			}
			asked = *m
			reply := func(from *member, responder uint32, response int32) {
				a.Message(from.at, &shim.Message{Code: shim.FlowReply, Requester: m.Requester, Responder: responder, Response: response})
			}
			reply(c, 666, 0)  // forged
			reply(b, 0, 0)    // no endpoint
			reply(b, 42, 0)   // good
			reply(b, 43, 0)   // duplicate
			reply(b, 44, -13) // duplicate
		}
		r := mustAlloc(t, ga)
		time.Sleep(time.Second)
		for key, want := range map[string]uint64{"forged_replies": 1, "duplicate_replies": 2, "accepted": 1} {
			if got := a.shown("allocation", key); got != want {
				t.Errorf("%s is %d, not %d", key, got, want)
			}
		}
		if e := a.Endpoint(asked.Requester); e == nil || e.Remote() != 42 || e.Peer() != 2 {
			t.Errorf("the endpoint is %+v", e)
		}
		r.Flow.Dealloc()
		_ = b.Manage(1, &shim.Message{Code: shim.FlowReply, Requester: asked.Requester, Responder: 42})
		time.Sleep(time.Second)
		if a.shown("allocation", "late_replies") != 1 {
			t.Errorf("late replies: %v", a.Show())
		}
	})
}

func TestARequestThatComesAgainIsOneFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		_, b, ga, hb := pair(t, n)
		var asked shim.Message
		n.seen = func(_, _ address, m *shim.Message) {
			if m.Code == shim.FlowReq {
				asked = *m
			}
		}
		r := mustAlloc(t, ga)
		for range 10 {
			b.Message(1, &asked)
		}
		b.Message(3, &asked) // another source is another request
		time.Sleep(time.Second)
		if len(hb.flows) != 2 || b.shown("arrivals", "again") != 10 {
			t.Errorf("%d flows, %v", len(hb.flows), b.Show())
		}
		// Once data has come the reply is not sent again.
		(<-hb.flows).Attach(new(collect))
		r.Flow.Send([]*packet.Buffer{packet.From(nil)})
		time.Sleep(time.Second)
		n.seen = func(from, _ address, m *shim.Message) { t.Errorf("sent %+v", m) }
		b.Message(1, &asked)
		n.seen = nil
		// And after half a minute nothing is kept.
		time.Sleep(31 * time.Second)
		if b.shown("arrivals", "kept") != 0 {
			t.Errorf("kept: %v", b.Show())
		}
	})
}

func TestWhoeverGivesUpLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, ga, hb := pair(t, newNetwork())
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error {
			time.Sleep(time.Second)
			return nil
		}
		if _, err := alloc(t, ga, 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if a.shown("flows", "open") != 0 || a.shown("allocation", "late_replies") == 0 {
			t.Errorf("requester: %v", a.Show())
		}
		if b.shown("arrivals", "pending") != 0 {
			t.Errorf("responder: %v", b.Show())
		}
	})
}

func TestAnIPCPThatEndsRefusesWhatItHasNotDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		_, ga := n.join(t, 1, newHost())
		hb := newHost()
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return ctx.Err() }
		b, gb := n.join(t, 2, hb)
		n.members[1].Directory.Add(name("there"), 2, time.Hour)
		outcome := make(chan error)
		begun := time.Now()
		go func() {
			_, err := alloc(t, ga, 20*time.Second)
			outcome <- err
		}()
		time.Sleep(time.Second)
		if err := gb.Close(); err != nil {
			t.Error(err)
		}
		if err := <-outcome; !errors.Is(err, errno.IPCPState) || time.Since(begun) > 1100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if p := b.shown("arrivals", "pending"); p != 0 {
			t.Errorf("%d are pending", p)
		}
	})
}

func TestPendingRequestsDoNotWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, ga, hb := pair(t, newNetwork())
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error {
			time.Sleep(time.Second)
			return nil
		}
		start := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := alloc(t, ga, 10*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > 1100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if len(hb.flows) != 100 || b.shown("flows", "open") != 100 {
			t.Errorf("%d flows", len(hb.flows))
		}
	})
}

func TestRequestsOverTheLimitAreRefusedAndKeptNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		_, b, _, hb := pair(t, n)
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return ctx.Err() }
		refused := 0
		n.seen = func(_, _ address, m *shim.Message) {
			if m.Code == shim.FlowReply && m.Response == -int32(errno.NoBufs.Errno()) {
				refused++
			}
		}
		for i := range uint32(5000) {
			r := request("there", "")
			b.Message(address(1+i%10), &shim.Message{Code: shim.FlowReq, Requester: 1 + i, Hash: r.Hash, Data: r.Data})
		}
		synctest.Wait()
		if p := b.shown("arrivals", "pending"); p != 4096 || refused != 5000-4096 {
			t.Errorf("%d are pending, %d refused", p, refused)
		}
	})
}

func TestOneSourceDoesNotTakeAllPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, _, hb := pair(t, newNetwork(), func(c *shim.Config[address]) {
			c.Origin = func(a address) address { return a / 1000 }
		})
		hb.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return ctx.Err() }
		for i := range uint32(2000) {
			r := request("there", "")
			b.Message(address(1+i%500), &shim.Message{Code: shim.FlowReq, Requester: 1 + i, Hash: r.Hash, Data: r.Data})
		}
		synctest.Wait()
		if p := b.shown("arrivals", "pending"); p != 512 {
			t.Errorf("%d are pending", p)
		}
	})
}

func TestAReplyWithoutRoomIsSentLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, ga, hb := pair(t, newNetwork())
		b.refuse.Store(5)
		mustAlloc(t, ga)
		if len(hb.flows) != 1 || len(hb.failed) != 0 {
			t.Errorf("%d flows, %d failed", len(hb.flows), len(hb.failed))
		}
	})
}

func TestAReplyThatCannotBeSentFailsTheOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, ga, hb := pair(t, newNetwork())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req := request("there", string(make([]byte, 1980))) // with "answer to " it is too long
		if _, err := ga.AllocFlow(ctx, req); !errors.Is(err, errno.MsgSize) {
			t.Errorf("got %v", err)
		}
		if len(hb.failed) != 1 || len(hb.flows) != 0 {
			t.Errorf("%d failed, %d flows", len(hb.failed), len(hb.flows))
		}
		if a.shown("flows", "open")+b.shown("flows", "open") != 0 {
			t.Error("an endpoint is left")
		}
	})
}

func TestNamesThatAreNotHereAreIgnoredWhereTheMediumWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, ga, hb := pair(t, newNetwork(), func(c *shim.Config[address]) { c.RegisteredOnly = true })
		if _, err := alloc(t, ga, time.Second); !errors.Is(err, errno.TimedOut) {
			t.Errorf("got %v", err)
		}
		b.Names.Add(name("there"))
		b.net.members[1].Directory.Add(name("there"), 2, time.Hour)
		mustAlloc(t, ga)
		if len(hb.flows) != 1 {
			t.Errorf("%d flows", len(hb.flows))
		}
	})
}

func TestAPeerWhoseNumbersAreNotThoseOfAnotherMakeIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, ga, _ := pair(t, newNetwork(), func(c *shim.Config[address]) {
			c.Own, c.Foreign, c.Pause = shim.Range{Lo: 1 << 16, Hi: 1 << 20}, shim.Range{Lo: 1, Hi: 1<<16 - 1}, time.Hour
		})
		mustAlloc(t, ga)
		if !a.Knows(2) || !b.Knows(1) {
			t.Error("they do not know each other")
		}
	})
}

func TestAReplyToAnotherMakeWaitsALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, ga, _ := pair(t, newNetwork(), func(c *shim.Config[address]) {
			c.Own, c.Foreign, c.Pause = shim.Range{Lo: 64, Hi: 4095}, shim.Range{Lo: 1, Hi: 1<<16 - 1}, 50*time.Millisecond
		})
		begun := time.Now()
		mustAlloc(t, ga)
		if took := time.Since(begun); took != 60*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}
