package fa_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	msg "ouroboros/internal/wire/fa"
	"ouroboros/qos"
)

// besieged is a member that has flows, waits for replies and is deciding, while
// anything comes for it.
type besieged struct {
	*node
	eids    []uint64 // that are, or were, in use
	outcome chan error
}

func besiege(t *testing.T, l *layer) *besieged {
	var asked atomic.Uint64
	l.pass = func(_, _ wire.Addr, m *msg.Message) bool {
		if m.Code == msg.Request {
			asked.Store(m.SEID)
		}
		return true
	}
	a, b := pair(t, l)
	a.host.decide = func(_ context.Context, req *ipcp.Request) error {
		switch req.Hash[0] & 3 {
		case 0:
			return errno.NameError
		case 1:
			time.Sleep(50 * time.Millisecond)
		case 2:
			return errno.IPCP
		}
		return nil
	}
	v := &besieged{node: a, outcome: make(chan error, 1)}
	for range 3 {
		f := mustAlloc(t, a)
		f.Attach(&collect{})
		v.eids = append(v.eids, f.EID(), f.Remote())
	}
	f := mustAlloc(t, a)
	v.eids = append(v.eids, f.EID(), f.Remote())
	f.Dealloc()
	for len(b.host.flows) > 0 {
		(<-b.host.flows).Attach(&collect{})
	}
	l.add(3)
	a.dir.set("silent", 3)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := a.AllocFlow(ctx, request("silent", ""))
		if err == nil {
			r.Flow.Attach(&collect{})
		}
		v.outcome <- err
	}()
	synctest.Wait()
	v.eids = append(v.eids, asked.Load()) // of the attempt that waits
	return v
}

// hit lets bytes come for an endpoint.
func (v *besieged) hit(eid uint64, ecn uint8, b []byte) {
	p := packet.Get(wire.HeaderLen + len(b))
	wire.Header{Dst: v.net.addr, ECN: ecn, EID: eid}.Put(p.Bytes())
	copy(p.Bytes()[wire.HeaderLen:], b)
	switch {
	case eid == wire.EIDFlowAllocator:
		v.net.comp([]*packet.Buffer{p})
	case eid >= wire.FirstFlowEID:
		v.net.flows(eid, []*packet.Buffer{p})
	default:
		p.Release()
	}
}

// over ends the siege: whatever came, nothing of it stays.
func (v *besieged) over(t *testing.T) {
	t.Helper()
	if err := <-v.outcome; errors.Is(err, errno.TimedOut) {
		t.Error("the allocation outlived three seconds of silence")
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	for len(v.host.flows) > 0 {
		(<-v.host.flows).Dealloc()
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	v.expect(t, "arrivals", map[string]uint64{"pending": 0, "kept": 0})
	v.expect(t, "flows", map[string]uint64{"resting": 0})
	if n := v.shown("flows", "open"); n > 4 {
		t.Errorf("%d flows are left", n)
	}
}

func TestAnythingAtAllIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := besiege(t, newLayer())
		r := rand.New(rand.NewPCG(1, 2))
		messages := 100_000
		if raceEnabled {
			messages /= 5
		}
		codes := []msg.Code{msg.Request, msg.Reply, msg.Update, msg.Probe, msg.Pending, msg.Dealloc, 3, 255}
		eid := func() uint64 {
			switch r.IntN(4) {
			case 0:
				return r.Uint64N(100)
			case 1:
				return r.Uint64()
			}
			return v.eids[r.IntN(len(v.eids))]
		}
		for i := range messages {
			if i%1000 == 0 {
				time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
				synctest.Wait()
			}
			m := &msg.Message{
				Code: codes[r.IntN(len(codes))], SAddr: wire.Addr(r.IntN(6)), REID: eid(), SEID: eid(),
				Response: int32(r.IntN(3)-1) * r.Int32(), ECE: uint16(r.Uint32()),
				QoS:  qos.Spec{Timeout: uint32(r.IntN(20)), Delay: r.Uint32(), InOrder: r.IntN(2) == 0},
				Hash: name(string(rune('a' + r.IntN(20)))), Data: make([]byte, r.IntN(50)),
			}
			b := make([]byte, m.Size())
			m.Put(b)
			for range r.IntN(4) { // it was damaged on the way
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			if r.IntN(10) == 0 {
				b = b[:r.IntN(len(b)+1)]
			}
			if r.IntN(20) == 0 {
				v.hit(eid(), uint8(r.Uint32()), b)
			} else {
				v.hit(0, 0, b)
			}
			if n := v.shownPending(); n > 1024 {
				t.Fatalf("%d requests are pending", n)
			}
		}
		v.over(t)
	})
}

// shownPending is the number of pending requests, asked now and then only.
func (v *besieged) shownPending() uint64 {
	if rand.IntN(1000) > 0 {
		return 0
	}
	return v.shown("arrivals", "pending")
}

func TestRequestsWithoutEndAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		b := l.join(t, 2)
		b.host.decide = func(ctx context.Context, _ *ipcp.Request) error { <-ctx.Done(); return ctx.Err() }
		for addr := range wire.Addr(5) {
			l.add(10 + addr)
		}
		refused := 0
		l.pass = func(_, _ wire.Addr, m *msg.Message) bool {
			if m.Code == msg.Reply && m.Response == -int32(errno.NoBufs.Errno()) {
				refused++
			}
			return true
		}
		ask := func(from wire.Addr, eid uint64) {
			b.net.say(&msg.Message{Code: msg.Request, SAddr: from, SEID: eid, Hash: name("there")})
		}
		for i := range uint64(300) {
			ask(10, 1000+i)
		}
		b.expect(t, "arrivals", map[string]uint64{"pending": 256, "excess": 44})
		for from := range wire.Addr(5) {
			for i := range uint64(256) {
				ask(10+from, 1000+i)
			}
		}
		b.expect(t, "arrivals", map[string]uint64{"pending": 1024, "excess": 44 + 256})
		settle()
		if refused != 44+256 {
			t.Errorf("%d were refused", refused)
		}
		for i := range uint64(256) {
			b.net.say(&msg.Message{Code: msg.Dealloc, SAddr: 10, SEID: 1000 + i})
		}
		settle()
		b.expect(t, "arrivals", map[string]uint64{"pending": 768})
		l.pass = nil
	})
}

func TestRefusalsForNobodyWaitForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLayer().join(t, 2)
		b.host.decide = func(context.Context, *ipcp.Request) error { return errno.NameError }
		for i := range uint64(1000) {
			b.net.say(&msg.Message{Code: msg.Request, SAddr: wire.Addr(100 + i), SEID: 1 << 40, Hash: name("there")})
		}
		synctest.Wait()
		b.expect(t, "arrivals", map[string]uint64{"pending": 0, "kept": 0, "refused": 1000})
		b.host.decide = func(context.Context, *ipcp.Request) error { return nil }
		for i := range uint64(2000) {
			b.net.say(&msg.Message{Code: msg.Request, SAddr: wire.Addr(100 + i), SEID: 1 << 40, Hash: name("there")})
		}
		synctest.Wait()
		b.expect(t, "arrivals", map[string]uint64{"pending": 1024, "excess": 2000 - 1024}) // for a route
		time.Sleep(2 * time.Second)
		b.expect(t, "arrivals", map[string]uint64{"pending": 0, "reply_not_sent": 1024})
		b.expect(t, "flows", map[string]uint64{"open": 0, "peers": 0})
	})
}

func TestDecidedRequestsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer()
		b := l.join(t, 2)
		b.host.decide = func(context.Context, *ipcp.Request) error { return errno.IPCP }
		for i := range uint64(20_000) {
			b.net.say(&msg.Message{Code: msg.Request, SAddr: 1, SEID: 1<<40 + i<<16, Hash: name("there")})
			if i%200 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if n := b.shown("arrivals", "kept"); n > 16384 {
			t.Errorf("%d are kept", n)
		}
		time.Sleep(time.Minute)
		b.expect(t, "arrivals", map[string]uint64{"kept": 0, "pending": 0})
		b.host.decide = func(context.Context, *ipcp.Request) error { return errno.NameError }
		for i := range uint64(100) {
			b.net.say(&msg.Message{Code: msg.Request, SAddr: 1, SEID: 1<<40 + i<<16, Hash: name("there")})
		}
		synctest.Wait()
		b.expect(t, "arrivals", map[string]uint64{"kept": 0, "pending": 0})
	})
}

func TestRequestsThatMakeNoSenseAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLayer().join(t, 2)
		for _, m := range []msg.Message{
			{SAddr: 0, SEID: 100}, {SAddr: 2, SEID: 100}, {SAddr: 1 << 32, SEID: 100}, {SAddr: 1, SEID: 0}, {SAddr: 1, SEID: 63},
		} {
			m.Hash = name("there")
			b.net.say(&m)
			m.Code = msg.Probe
			b.net.say(&m)
		}
		b.expect(t, "arrivals", map[string]uint64{"requests": 0, "malformed": 10})
	})
}

func TestAPeerTimeOutThatWouldKeepThisEndBusyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, newLayer())
		for timeout, want := range map[uint32]error{0: nil, 1: errno.Invalid, 9: errno.Invalid, 10: nil} {
			_, err := a.AllocFlow(t.Context(), &ipcp.Request{Hash: name("there"), QoS: qos.Spec{Timeout: timeout}})
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%d ms: %v", timeout, err)
			}
		}
	})
}

// FuzzMessages lets anything come for a live allocator, in any order.
//
//	byte 0   what: 0 data, else a message with the code of that number
//	byte 1   how much time passes before, in 20 ms
//	byte 2,3 endpoints: of the flows there are, or numbers of their own
//	byte 4   address, response, mark, what is asked for
func FuzzMessages(f *testing.F) {
	f.Add([]byte{1, 0, 8, 200, 0, 0, 0, 8, 0, 3})              // accepted, then data
	f.Add([]byte{1, 0, 8, 200, 255, 1, 0, 8, 200, 0})          // refused, then accepted
	f.Add([]byte{3, 0, 200, 201, 1, 3, 9, 200, 201, 1})        // a request, probed
	f.Add([]byte{5, 0, 0, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9}) // an end, data, an update
	f.Fuzz(func(t *testing.T, in []byte) {
		synctest.Test(t, func(t *testing.T) {
			v := besiege(t, newLayer())
			codes := []msg.Code{msg.Request, msg.Reply, msg.Update, msg.Probe, msg.Pending, msg.Dealloc}
			eid := func(b byte) uint64 {
				if b < 128 {
					return v.eids[int(b)%len(v.eids)]
				}
				return uint64(b)
			}
			for ; len(in) >= 5; in = in[5:] {
				time.Sleep(time.Duration(in[1]) * 20 * time.Millisecond)
				synctest.Wait()
				if in[0] == 0 {
					v.hit(eid(in[2]), in[4], in[3:4])
					continue
				}
				m := &msg.Message{
					Code: codes[int(in[0])%len(codes)], SAddr: wire.Addr(in[4] & 7), REID: eid(in[2]), SEID: eid(in[3]),
					Response: int32(int8(in[4])), ECE: uint16(in[4]) << 8, Hash: name(string(in[4:5])),
				}
				b := make([]byte, m.Size())
				m.Put(b)
				v.hit(0, 0, b)
			}
			v.over(t)
		})
	})
}
