package fa_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/unicast/dt"
	"ouroboros/internal/ipcp/unicast/fa"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

// cable is a network of two members: what one sends arrives at the other during
// the call.
type cable struct {
	own   wire.Addr
	other *cable
	mark  uint8
	comp  func([]*packet.Buffer)
	flows func(uint64, []*packet.Buffer)
}

func (c *cable) Own() wire.Addr                                 { return c.own }
func (c *cable) Stall(wire.Addr, dt.Waiter)                     {}
func (c *cable) Unstall(dt.Waiter)                              {}
func (c *cable) MTU(wire.Addr) int                              { return 1480 }
func (c *cable) QueueLen(wire.Addr) int                         { return 0 }
func (c *cable) HasRoute(to wire.Addr) bool                     { return to == c.other.own }
func (c *cable) OnChange(func())                                {}
func (c *cable) Register(_ uint64, f func([]*packet.Buffer))    { c.comp = f }
func (c *cable) RegisterFlows(f func(uint64, []*packet.Buffer)) { c.flows = f }

func (c *cable) Send(to wire.Addr, cube uint8, eid uint64, batch []*packet.Buffer) (taken int) {
	h := wire.Header{Dst: to, QoS: cube, TTL: 60, ECN: c.mark, EID: eid}
	for _, b := range batch {
		h.Put(b.Prepend(wire.HeaderLen))
	}
	if eid == wire.EIDFlowAllocator {
		c.other.comp(batch)
	} else {
		c.other.flows(eid, batch)
	}
	return len(batch)
}

// wired is a flow between two members at the ends of a cable. What arrives is
// released.
func wired(t testing.TB, ca irm.Congestion) (near, far *cable, f *fa.Flow) {
	near, far = &cable{own: 1}, &cable{own: 2}
	near.other, far.other = far, near
	h := newHost()
	start := func(c *cable) *fa.Allocator {
		d := &directory{at: make(map[string][]wire.Addr)}
		d.set("there", 2)
		a := fa.New(fa.Config{Net: c, Directory: d, Host: h, HashLen: hashLen, CA: ca,
			Go: func(f func()) { go f() }, AfterFunc: time.AfterFunc})
		t.Cleanup(a.Close)
		return a
	}
	a := start(near)
	start(far)
	r, err := a.AllocFlow(context.Background(), request("there", ""))
	if err != nil {
		t.Fatal(err)
	}
	r.Flow.Attach(flow.Funcs{})
	(<-h.flows).Attach(flow.Funcs{})
	return near, far, r.Flow.(*fa.Flow)
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	for _, ca := range []irm.Congestion{irm.NoCongestion, irm.MBECN} {
		near, _, f := wired(t, ca)
		p, batch := make([]byte, 64), make([]*packet.Buffer, 32)
		for _, mark := range []uint8{0, 1, 0} {
			near.mark = mark
			if n := testing.AllocsPerRun(1000, func() {
				for i := range batch {
					batch[i] = packet.From(p)
				}
				packet.ReleaseAll(batch[f.Send(batch):])
			}); n >= 1 {
				t.Errorf("%v, mark %d: %v allocations a batch", ca, mark, n)
			}
		}
	}
}

func BenchmarkFlow(b *testing.B) {
	for _, ca := range []irm.Congestion{irm.NoCongestion, irm.MBECN} {
		for _, size := range []int{1, 32} {
			b.Run(fmt.Sprintf("%v/batch=%d", ca, size), func(b *testing.B) {
				_, _, f := wired(b, ca)
				batch := make([]*packet.Buffer, size)
				// What counts is a flow in full swing, that was never slowed down.
				for begun := time.Now(); time.Since(begun) < 300*time.Millisecond; {
					for i := range batch {
						batch[i] = packet.Get(64)
					}
					packet.ReleaseAll(batch[f.Send(batch):])
				}
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					for i := range batch {
						batch[i] = packet.Get(64)
					}
					taken := f.Send(batch)
					packet.ReleaseAll(batch[taken:])
					n += taken
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(n, 1)), "ns/packet")
			})
		}
	}
}
