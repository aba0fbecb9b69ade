package fa_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/unicast/fa"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	msg "ouroboros/internal/wire/fa"
	"ouroboros/qos"
)

func TestAFlowCarriesPacketsBothWays(t *testing.T) {
	for _, spec := range []qos.Spec{qos.Raw, qos.RawNoErrors, qos.BestEffort, qos.Data, qos.Voice, qos.Video, {}} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, newLayer())
			var asked *ipcp.Request
			b.host.decide = func(_ context.Context, req *ipcp.Request) error { asked = req; return nil }
			r, err := a.AllocFlow(t.Context(), &ipcp.Request{Hash: name("there"), QoS: spec, Data: []byte("hello")})
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Data) != "answer to hello" || r.MPL != 100*time.Millisecond || asked.MPL != r.MPL {
				t.Errorf("reply %q, MPL %v and %v", r.Data, r.MPL, asked.MPL)
			}
			far := <-b.host.flows
			if asked.QoS != spec || far.QoS() != spec || r.Flow.QoS() != spec {
				t.Errorf("asked %v, arrived %v, %v", spec, asked.QoS, far.QoS())
			}
			var here, there collect
			r.Flow.Attach(&here)
			far.Attach(&there)
			for _, text := range []string{"", "one", "two"} { // an empty packet is a keep-alive
				r.Flow.Send([]*packet.Buffer{packet.From([]byte(text))})
				far.Send([]*packet.Buffer{packet.From([]byte("re " + text))})
			}
			settle()
			if len(here.got) != 3 || len(there.got) != 3 || string(there.got[2]) != "two" || string(here.got[1]) != "re one" {
				t.Errorf("got %q and %q", here.got, there.got)
			}
		})
	}
}

func TestParallelAllocationsSucceedWhenThreeOfTenAreLost(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			l := newLayer()
			l.fate = losses(0.3, seed)
			a, b := pair(t, l)
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() {
					if _, err := alloc(t, a, 20*time.Second); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			settle()
			// Who gave up and was asked again may have left one behind, which is
			// told as soon as it is heard of.
			if n := len(b.host.flows); n < 200 || n > 220 {
				t.Errorf("the server was given %d flows", n)
			}
			a.expect(t, "flows", map[string]uint64{"open": 200})
		})
	}
}

func TestTheCImplementationGetsEachRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a := l.join(t, 1)
		ref := newReference(l, 2)
		a.dir.set("there", 2)
		ref.deaf = true // its accept takes too long
		if _, err := a.AllocFlow(t.Context(), request("there", "hello")); !errors.Is(err, errno.Again) {
			t.Errorf("the allocation gave %v", err)
		}
		settle()
		if ref.requests != 1 || ref.unknown < 3 {
			t.Errorf("it had %d requests and %d messages that it does not know", ref.requests, ref.unknown)
		}
		a.expect(t, "flows", map[string]uint64{"open": 0, "peers": 0})
		ref.deaf = false
		f := mustAlloc(t, a)
		var here collect
		f.Attach(&here)
		f.Send(packets(2, 3))
		settle()
		if len(here.got) != 2 { // it echoes
			t.Errorf("%d packets came back", len(here.got))
		}
		f.Dealloc()
		settle()
		if ref.ends != 0 {
			t.Error("it was sent the end of a flow, which it would complain about")
		}
	})
}

func TestAReplyToTheCImplementationWaitsALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		b := l.join(t, 2)
		ref := newReference(l, 1)
		begun := time.Now()
		r := ref.ask(2, "there", "hello")
		if r.Response != 0 || string(r.Data) != "answer to hello" || r.SAddr != 0 {
			t.Errorf("%+v", r)
		}
		if took := time.Since(begun); took != 15*time.Millisecond {
			t.Errorf("it came after %v", took)
		}
		far := (<-b.host.flows).(*fa.Flow)
		if far.Remote() != r.REID || far.Peer() != 1 {
			t.Errorf("a flow to %v %d", far.Peer(), far.Remote())
		}
	})
}

func TestTheCImplementationsDoubledRequestIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		l.fate = func(_, _ wire.Addr) (int, time.Duration) { return 3, 0 }
		b := l.join(t, 2)
		ref := newReference(l, 1)
		ref.ask(2, "there", "hello")
		settle()
		if len(b.host.flows) != 1 {
			t.Errorf("%d flows", len(b.host.flows))
		}
		if ref.replies != 3 { // one, three times
			t.Errorf("%d replies", ref.replies)
		}
	})
}

func TestARefusalIsTheNumberOfThePeer(t *testing.T) {
	for _, want := range []error{errno.AuthFailed, errno.Perm, errno.NameError, errno.IPCP, errno.Crypt, errno.NoBufs} {
		synctest.Test(t, func(t *testing.T) {
			l := newLayer()
			a, b := pair(t, l)
			b.host.decide = func(context.Context, *ipcp.Request) error { return want }
			var eid uint64
			l.pass = func(from, _ wire.Addr, m *msg.Message) bool {
				if from == 2 {
					eid = m.SEID
				}
				return true
			}
			begun := time.Now()
			_, err := alloc(t, a, 20*time.Second)
			if !errors.Is(err, want) || time.Since(begun) > 20*time.Millisecond {
				t.Errorf("%v after %v, want %v", err, time.Since(begun), want)
			}
			if eid < wire.FirstFlowEID {
				t.Errorf("a refusal with endpoint %d", eid)
			}
			a.expect(t, "flows", map[string]uint64{"open": 0, "peers": 0})
			b.expect(t, "flows", map[string]uint64{"open": 0, "peers": 0})
			if doubted := len(a.dir.failed) > 0; doubted != (want == errno.NameError || want == errno.IPCP) {
				t.Errorf("after %v the directory was told: %v", want, doubted)
			}
		})
	}
}

func TestTheNextMemberIsAskedWhenOneDoesNotHaveTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a, b := pair(t, l)
		c := l.join(t, 3)
		b.host.decide = func(context.Context, *ipcp.Request) error { return errno.NameError }
		l.add(4)                                       // silent
		a.dir.set("there", 1, 0, 1<<40, 2, 2, 4, 9, 3) // itself, nonsense, twice, without a route
		begun := time.Now()
		f := mustAlloc(t, a)
		if f.Peer() != 3 || len(c.host.flows) != 1 || !slices.Equal(a.dir.failed, []wire.Addr{2, 4, 9}) {
			t.Errorf("the flow goes to %v, failed are %v", f.Peer(), a.dir.failed)
		}
		if took := time.Since(begun).Truncate(10 * time.Millisecond); took != 4020*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		b.expect(t, "arrivals", map[string]uint64{"requests": 1})
	})
}

func TestAMemberThatRefusesForWhatTheRequestIsIsTheLastAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a, b := pair(t, l)
		c := l.join(t, 3)
		b.host.decide = func(context.Context, *ipcp.Request) error { return errno.AuthFailed }
		a.dir.set("there", 2, 3)
		if _, err := alloc(t, a, time.Minute); !errors.Is(err, errno.AuthFailed) {
			t.Error(err)
		}
		c.expect(t, "arrivals", map[string]uint64{"requests": 0})
	})
}

func TestANameThatIsOnlyHereIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, newLayer())
		a.dir.set("there", 1)
		if _, err := alloc(t, a, time.Second); !errors.Is(err, errno.NameError) {
			t.Error(err)
		}
		if _, err := a.AllocFlow(t.Context(), request("nowhere", "")); !errors.Is(err, errno.NameError) {
			t.Error(err)
		}
		if _, err := a.AllocFlow(t.Context(), &ipcp.Request{Hash: name("there")[:16]}); !errors.Is(err, errno.Invalid) {
			t.Error(err)
		}
	})
}

func TestARouteIsWaitedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		a.net.route(2, false)
		b.net.route(1, false) // nor does the responder know the way yet
		time.AfterFunc(500*time.Millisecond, func() { a.net.route(2, true) })
		time.AfterFunc(900*time.Millisecond, func() { b.net.route(1, true) })
		begun := time.Now()
		mustAlloc(t, a)
		if took := time.Since(begun); took != 905*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if len(b.host.flows) != 1 || len(b.host.failed) != 0 {
			t.Errorf("%d flows, %d failed", len(b.host.flows), len(b.host.failed))
		}
	})
}

func TestWithoutARouteTheCauseIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		a.net.route(2, false)
		begun := time.Now()
		_, err := alloc(t, a, time.Minute)
		if !errors.Is(err, errno.IPCP) || !strings.Contains(err.Error(), "no route to the member 02.00.00.00") {
			t.Error(err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %v", took)
		}
		b.expect(t, "arrivals", map[string]uint64{"requests": 0})
	})
}

func TestAReplyThatHasNoRouteFailsTheOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		b.net.route(1, false)
		if _, err := a.AllocFlow(t.Context(), request("there", "")); !errors.Is(err, errno.Again) {
			t.Error(err)
		}
		settle()
		if len(b.host.failed) != 1 || len(b.host.flows) != 0 {
			t.Errorf("%d failed, %d flows", len(b.host.failed), len(b.host.flows))
		}
		b.expect(t, "flows", map[string]uint64{"open": 0})
		b.expect(t, "arrivals", map[string]uint64{"reply_not_sent": 1, "pending": 0})
	})
}

func TestARequestWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		a.net.room.Store(0)
		b.net.room.Store(0)
		time.AfterFunc(95*time.Millisecond, func() { a.net.room.Store(-1) })
		time.AfterFunc(195*time.Millisecond, func() { b.net.room.Store(-1) })
		begun := time.Now()
		mustAlloc(t, a)
		if took := time.Since(begun); took > 220*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestDataThatIsTooLongIsRefusedWithTheFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		if _, err := a.AllocFlow(t.Context(), request("there", string(make([]byte, 1956)))); !errors.Is(err, errno.MsgSize) ||
			!strings.Contains(err.Error(), "1955") {
			t.Error(err)
		}
		b.host.answer = func(*ipcp.Request) []byte { return make([]byte, 1987) }
		if r, err := a.AllocFlow(t.Context(), request("there", string(make([]byte, 1955)))); err != nil || len(r.Data) != 1987 {
			t.Error(err)
		}
		b.host.answer = func(*ipcp.Request) []byte { return make([]byte, 1988) }
		if _, err := alloc(t, a, time.Minute); !errors.Is(err, errno.MsgSize) {
			t.Error(err)
		}
		if err := <-b.host.failed; !errors.Is(err, errno.MsgSize) || !strings.Contains(err.Error(), "1987") {
			t.Error(err)
		}
		b.expect(t, "flows", map[string]uint64{"open": 1})
	})
}

func TestOnlyTheFirstReplyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		l.fate = func(from, _ wire.Addr) (int, time.Duration) { return 2, 0 }
		a, _, near, far, here, there := joined(t, l)
		remote := near.Remote()
		a.net.say(&msg.Message{Code: msg.Reply, REID: near.EID(), SEID: 4711})
		a.net.say(&msg.Message{Code: msg.Reply, REID: near.EID(), SEID: 4711, Response: -1})
		if near.Remote() != remote || remote != far.EID() {
			t.Errorf("the peer's endpoint is %d now", near.Remote())
		}
		settle()
		a.expect(t, "allocation", map[string]uint64{"duplicate_replies": 3, "accepted": 1})
		near.Send(packets(1, 1))
		far.Send(packets(1, 1))
		settle()
		if len(here.got) != 2 || len(there.got) != 2 {
			t.Errorf("%d and %d arrived", len(here.got), len(there.got))
		}
	})
}

func TestRepliesThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		reply msg.Message
		want  error
	}{
		{msg.Message{SEID: 9}, errno.TimedOut},                    // no endpoint of a flow: as if there were no reply
		{msg.Message{SEID: 900, Response: 5}, errno.Crypt},        // means nothing
		{msg.Message{SEID: 0, Response: -1}, errno.Perm},          // a refusal needs no endpoint
		{msg.Message{Response: -1 << 31}, nil},                    // whatever it is, an error
		{msg.Message{SEID: 1 << 63, Response: 0}, errno.NotAlloc}, // is one
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLayer()
			a, b := pair(t, l)
			b.host.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return errno.Again }
			l.pass = func(_, _ wire.Addr, m *msg.Message) bool {
				if m.Code == msg.Request {
					c.reply.Code, c.reply.REID = msg.Reply, m.SEID
					time.AfterFunc(time.Millisecond, func() { a.net.say(&c.reply) })
				}
				return true
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, err := a.AllocFlow(ctx, request("there", ""))
			switch {
			case c.want == errno.NotAlloc:
				if err != nil || r.Flow.(*fa.Flow).Remote() != c.reply.SEID {
					t.Error(err)
				}
				return
			case err == nil || c.want != nil && !errors.Is(err, c.want):
				t.Errorf("%+v: %v", c.reply, err)
			}
			settle()
			a.expect(t, "flows", map[string]uint64{"open": 0})
			if c.want == errno.TimedOut { // and withdrawn
				b.expect(t, "arrivals", map[string]uint64{"pending": 0})
			}
		})
	}
}

func TestAReplyThatIsLateEndsTheFlowOfThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a, b := pair(t, l)
		l.fate = func(from, to wire.Addr) (int, time.Duration) {
			if from == 2 {
				return 1, 6 * time.Second
			}
			return 1, 0
		}
		l.pass = func(_, _ wire.Addr, m *msg.Message) bool { // not that the request is withdrawn
			return m.Code != msg.Dealloc || m.REID != 0
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := a.AllocFlow(ctx, request("there", "")); !errors.Is(err, errno.TimedOut) {
			t.Error(err)
		}
		a.expect(t, "flows", map[string]uint64{"open": 0, "resting": 1})
		far := <-b.host.flows
		var there collect
		far.Attach(&there)
		settle()
		if _, events := there.seen(); len(events) != 0 {
			t.Errorf("events %v", events)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, events := there.seen(); !slices.Equal(events, []flow.Event{flow.EventDealloc}) {
			t.Errorf("events %v", events)
		}
		if n := a.shown("allocation", "late_replies"); n < 1 {
			t.Errorf("%d late replies", n)
		}
		a.expect(t, "flows", map[string]uint64{"open": 0})
		if n := a.shown("flows", "told_again"); n < 1 {
			t.Error("the peer was not told")
		}
	})
}

func TestWhenTheContextEndsNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		cancelled := make(chan time.Duration, 1)
		begun := time.Now()
		b.host.decide = func(ctx context.Context, _ *ipcp.Request) error {
			<-ctx.Done()
			cancelled <- time.Since(begun)
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel) // PENDING keeps the attempt alive until then
		if _, err := a.AllocFlow(ctx, request("there", "")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if d := <-cancelled; d != 10005*time.Millisecond {
			t.Errorf("the responder heard of it after %v", d)
		}
		settle()
		a.expect(t, "flows", map[string]uint64{"open": 0, "peers": 0})
		b.expect(t, "flows", map[string]uint64{"open": 0, "peers": 0})
		b.expect(t, "arrivals", map[string]uint64{"pending": 0, "withdrawn": 1, "requests": 1})
	})
}

func TestAWithdrawnRequestThatWasJustAcceptedIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a, b := pair(t, l)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Millisecond) // the reply is on its way
		defer cancel()
		if _, err := a.AllocFlow(ctx, request("there", "")); !errors.Is(err, errno.TimedOut) {
			t.Error(err)
		}
		var there collect
		(<-b.host.flows).Attach(&there)
		settle()
		if _, events := there.seen(); !slices.Equal(events, []flow.Event{flow.EventDealloc}) {
			t.Errorf("events %v", events)
		}
	})
}

func TestTheEndOfTheAllocatorEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		a, b, near, _, here, there := joined(t, l)
		l.add(3)
		a.dir.set("silent", 3)
		outcome := make(chan error, 1)
		go func() {
			_, err := a.AllocFlow(context.Background(), request("silent", ""))
			outcome <- err
		}()
		b.host.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return ctx.Err() }
		refused := make(chan error, 1)
		go func() {
			_, err := alloc(t, a, time.Minute)
			refused <- err
		}()
		settle()
		b.close()
		if err := <-refused; !errors.Is(err, errno.IPCPState) {
			t.Errorf("the request that was pending: %v", err)
		}
		settle()
		for _, c := range []*collect{here, there} {
			if _, events := c.seen(); !slices.Equal(events, []flow.Event{flow.EventDealloc}) {
				t.Errorf("events %v", events)
			}
		}
		a.close()
		if err := <-outcome; !errors.Is(err, errno.IPCP) {
			t.Errorf("the attempt: %v", err)
		}
		if _, err := a.AllocFlow(context.Background(), request("silent", "")); !errors.Is(err, errno.IPCP) {
			t.Errorf("afterwards: %v", err)
		}
		if near.Send(packets(3, 1)) != 3 {
			t.Error("an ended flow did not take")
		}
		near.Dealloc()
		a.expect(t, "flows", map[string]uint64{"open": 0, "peers": 0})
	})
}

func TestSlowDecisionsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newLayer())
		b.host.decide = func(_ context.Context, req *ipcp.Request) error {
			if string(req.Data) == "slow" {
				time.Sleep(8 * time.Second)
			}
			return nil
		}
		slow := make(chan error, 1)
		go func() {
			_, err := a.AllocFlow(t.Context(), request("there", "slow"))
			slow <- err
		}()
		settle()
		begun := time.Now()
		mustAlloc(t, a)
		if took := time.Since(begun); took > 20*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if err := <-slow; err != nil || time.Since(begun) > 8*time.Second {
			t.Errorf("the slow one: %v after %v", err, time.Since(begun))
		}
		b.expect(t, "arrivals", map[string]uint64{"requests": 2, "accepted": 2})
	})
}
