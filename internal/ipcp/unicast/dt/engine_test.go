package dt

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
)

func TestMain(m *testing.M) { leak.Main(m) }

const own = wire.Addr(1)

// neighbour is what is behind a port: it keeps what the engine sends to it.
type neighbour struct {
	*flow.Pipe
	port *Port

	mu   sync.Mutex
	room int
	got  []wire.Header
	data []string
}

func (n *neighbour) Receive(batch []*packet.Buffer) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := min(n.room, len(batch))
	n.room -= k
	for _, b := range batch[:k] {
		h, ok := wire.Parse(b.Bytes())
		if !ok {
			panic("a packet without a header was sent")
		}
		n.got = append(n.got, h)
		n.data = append(n.data, string(b.Bytes()[wire.HeaderLen:]))
		b.Release()
	}
	return k
}

func (n *neighbour) Event(flow.Event) {}

func (n *neighbour) take() (got []wire.Header) {
	n.mu.Lock()
	defer n.mu.Unlock()
	got, n.got, n.data = n.got, nil, nil
	return got
}

func (n *neighbour) give(room int) {
	n.mu.Lock()
	n.room += room
	n.mu.Unlock()
	n.Resume()
}

// connect adds a neighbour. Its queue holds limit packets beyond its room.
func connect(e *Engine, a wire.Addr, room, limit int) *neighbour {
	near, far := flow.NewPipe(flow.PipeOptions{MTU: 1500, Limit: flow.Limit{Packets: limit}})
	n := &neighbour{Pipe: far, room: room}
	far.Attach(n)
	n.port = e.AddPort(a, near, nil)
	near.Attach(n.port)
	return n
}

// arrive lets packets come from the neighbour.
func (n *neighbour) arrive(hs ...wire.Header) {
	var batch []*packet.Buffer
	for i, h := range hs {
		b := packet.From(make([]byte, wire.HeaderLen+1))
		h.Put(b.Bytes())
		b.Bytes()[wire.HeaderLen] = byte(i)
		batch = append(batch, b)
	}
	n.Send(batch)
}

func payloads(words ...string) (batch []*packet.Buffer) {
	for _, w := range words {
		batch = append(batch, packet.From([]byte(w)))
	}
	return batch
}

// via is a route over neighbours.
func via(mtu int, next ...wire.Addr) Hops { return Hops{Next: next, MTU: mtu} }

func TestAPacketInTransitLeavesWithOneHopLess(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	a, b := connect(e, 2, 100, 0), connect(e, 3, 100, 0)
	e.Install(map[wire.Addr]Hops{9: via(0, 3)})
	for _, c := range []struct{ in, out int }{{0, -1}, {1, -1}, {2, 1}, {60, 59}, {255, 254}} {
		a.arrive(wire.Header{Dst: 9, QoS: 7, TTL: uint8(c.in), ECN: 5, EID: 1 << 63})
		got := b.take()
		if c.out < 0 {
			if len(got) != 0 {
				t.Errorf("TTL %d passed as %+v", c.in, got)
			}
			continue
		}
		want := wire.Header{Dst: 9, QoS: 7, TTL: uint8(c.out), ECN: 5, EID: 1 << 63}
		if len(got) != 1 || got[0] != want {
			t.Errorf("TTL %d: %+v, want %+v", c.in, got, want)
		}
	}
	if n := a.port.count.ttl.Load(); n != 2 {
		t.Errorf("%d counted", n)
	}
}

func TestPacketsForThisMemberAreDeliveredWhateverTheirTTL(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	a := connect(e, 2, 100, 0)
	var got []string
	note := func(what string) func([]*packet.Buffer) {
		return func(batch []*packet.Buffer) {
			for _, b := range batch {
				got = append(got, fmt.Sprintf("%s ecn %d", what, wire.ECN(b.Bytes())))
				b.Release()
			}
		}
	}
	e.Register(wire.EIDFlowAllocator, note("fa"))
	e.Register(wire.EIDDirectory, note("dir"))
	e.RegisterFlows(func(eid uint64, batch []*packet.Buffer) { note(fmt.Sprintf("flow %d", eid))(batch) })
	a.arrive(
		wire.Header{Dst: own, TTL: 0, EID: 0}, wire.Header{Dst: own, TTL: 1, EID: 1},
		wire.Header{Dst: own, TTL: 9, EID: 2}, wire.Header{Dst: own, TTL: 9, EID: 63},
		wire.Header{Dst: own, TTL: 9, EID: 64, ECN: 3}, wire.Header{Dst: own, TTL: 9, EID: 1<<64 - 1},
		wire.Header{Dst: own, TTL: 9, EID: 64, ECN: 4})
	want := []string{"fa ecn 0", "dir ecn 0", "flow 64 ecn 3", "flow 64 ecn 4", "flow 18446744073709551615 ecn 0"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := a.port.count.noEndpoint.Load(); n != 2 {
		t.Errorf("%d for reserved endpoints", n)
	}
}

func TestWhatIsNotForwardedIsCounted(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	a, b := connect(e, 2, 100, 0), connect(e, 3, 0, 1)
	e.Install(map[wire.Addr]Hops{9: via(0, 3), 8: via(0, 2)})
	a.arrive(wire.Header{Dst: 7, TTL: 9}, wire.Header{Dst: 8, TTL: 9})
	short := packet.From(make([]byte, wire.HeaderLen-1))
	a.Send([]*packet.Buffer{short, packet.Get(0)})
	a.arrive(wire.Header{Dst: 9, TTL: 9}, wire.Header{Dst: 9, TTL: 9}, wire.Header{Dst: 9, TTL: 9})
	c := &a.port.count
	if c.noRoute.Load() != 1 || c.back.Load() != 1 || c.short.Load() != 2 {
		t.Errorf("no route %d, back %d, short %d", c.noRoute.Load(), c.back.Load(), c.short.Load())
	}
	if n := b.port.count.full.Load(); n != 2 {
		t.Errorf("%d dropped at the full port, want 2 of 3", n)
	}
}

func TestMarksOfTheOutgoingQueueAreAdded(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60, Mark: true})
	a, b := connect(e, 2, 100, 0), connect(e, 3, 0, 10000)
	e.Install(map[wire.Addr]Hops{9: via(0, 3)})
	for range 2000 {
		a.arrive(wire.Header{Dst: 9, TTL: 9, ECN: 64})
	}
	e.Send(9, 1, 77, payloads("x"))
	b.give(10000)
	got := b.take()
	if len(got) != 2001 {
		t.Fatalf("%d packets", len(got))
	}
	for at, want := range map[int]uint8{0: 64, 15: 64, 40: 64 | 2, 16 * 7: 64 | 7, 1500: 64 | 63, 2000: 63} {
		if got[at].ECN != want {
			t.Errorf("packet %d is marked %d, want %d", at, got[at].ECN, want)
		}
	}
	if h := got[2000]; h.QoS != 1 || h.TTL != 60 || h.EID != 77 {
		t.Errorf("sent %+v", h)
	}
}

func TestWithoutCongestionAvoidanceNothingIsMarked(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	a, b := connect(e, 2, 100, 0), connect(e, 3, 0, 10000)
	e.Install(map[wire.Addr]Hops{9: via(0, 3)})
	for range 100 {
		a.arrive(wire.Header{Dst: 9, TTL: 9, ECN: 5})
	}
	b.give(1000)
	for _, h := range b.take() {
		if h.ECN != 5 {
			t.Fatalf("marked %d", h.ECN)
		}
	}
}

func TestThePacketAfterALostCarrierTakesTheAlternate(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	a, b, c := connect(e, 2, 100, 0), connect(e, 3, 100, 0), connect(e, 4, 100, 0)
	e.Install(map[wire.Addr]Hops{9: via(0, 3, 4)})
	a.arrive(wire.Header{Dst: 9, TTL: 9})
	b.SetDown(true)
	a.arrive(wire.Header{Dst: 9, TTL: 9})
	e.Send(9, 0, 64, payloads("x"))
	// A new table does not bring traffic back to a dead port.
	e.Install(map[wire.Addr]Hops{9: via(0, 3, 4)})
	a.arrive(wire.Header{Dst: 9, TTL: 9})
	if x, y := len(b.take()), len(c.take()); x != 1 || y != 3 {
		t.Errorf("%d over the primary and %d over the alternate", x, y)
	}
	b.SetDown(false)
	a.arrive(wire.Header{Dst: 9, TTL: 9})
	if x, y := len(b.take()), len(c.take()); x != 1 || y != 0 {
		t.Errorf("after the carrier came back: %d and %d", x, y)
	}
	b.SetDown(true)
	c.SetDown(true)
	a.arrive(wire.Header{Dst: 9, TTL: 9})
	if e.HasRoute(9) || a.port.count.noRoute.Load() != 1 {
		t.Error("a way with all ports down")
	}
}

func TestTheHopsThatAreShownAreThoseThatAreUp(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	a, _ := connect(e, 2, 1000, 0), connect(e, 3, 1000, 0)
	e.Install(map[wire.Addr]Hops{9: via(0, 2, 3), 8: via(0, 4)})
	shown := func() map[string][]string { return e.Show()["forwarding"].(map[string][]string) }
	to, two, three := wire.Addr(9).String(), wire.Addr(2).String(), wire.Addr(3).String()
	if got := shown(); len(got) != 1 || !slices.Equal(got[to], []string{two, three}) {
		t.Errorf("shown: %v", got)
	}
	a.port.Event(flow.EventDown)
	if got := shown(); !slices.Equal(got[to], []string{three}) {
		t.Errorf("shown: %v", got)
	}
}

func TestEqualPathsAreSharedAndAFlowKeepsItsOwn(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60, Spread: true})
	ns := []*neighbour{connect(e, 2, 10000, 0), connect(e, 3, 10000, 0), connect(e, 4, 10000, 0)}
	e.Install(map[wire.Addr]Hops{9: via(0, 2, 3, 4)})
	const flows = 300
	for range 4 {
		for eid := range uint64(flows) {
			e.Send(9, 0, 64+eid*0x1_0000_0001, payloads("x"))
		}
	}
	path := map[uint64]int{}
	for i, n := range ns {
		got := n.take()
		if len(got) < flows*4/6 {
			t.Errorf("path %d carried %d of %d packets", i, len(got), flows*4)
		}
		for _, h := range got {
			if was, ok := path[h.EID]; ok && was != i {
				t.Fatalf("flow %d took two paths", h.EID)
			}
			path[h.EID] = i
		}
	}
	ns[1].SetDown(true)
	for eid := range uint64(flows) {
		e.Send(9, 0, 64+eid*0x1_0000_0001, payloads("x"))
	}
	for i, n := range ns {
		for _, h := range n.take() {
			if was := path[h.EID]; was != 1 && was != i {
				t.Fatalf("a flow of path %d moved to %d", was, i)
			}
		}
	}
}

func TestOfTwoConnectionsTheNewestThatIsUpIsTaken(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	old, young := connect(e, 2, 100, 0), connect(e, 2, 100, 0)
	e.Install(map[wire.Addr]Hops{2: via(0, 2)})
	e.Send(2, 0, 64, payloads("x"))
	young.SetDown(true)
	e.Send(2, 0, 64, payloads("x"))
	young.port.Remove()
	e.Send(2, 0, 64, payloads("x"))
	if a, b := len(old.take()), len(young.take()); a != 2 || b != 1 {
		t.Errorf("old %d, young %d", a, b)
	}
	old.port.Remove()
	if n := e.Send(2, 0, 64, payloads("x", "y")); n != 2 || e.count.noRouteLocal.Load() != 2 || e.HasRoute(2) {
		t.Errorf("took %d without a port", n)
	}
}

type waiter struct{ woken int }

func (w *waiter) Writable() { w.woken++ }

func TestALocalSenderWaitsForTheFirstHop(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	n := connect(e, 2, 1, 2)
	e.Install(map[wire.Addr]Hops{2: via(0, 2)})
	w := new(waiter)
	batch := payloads("a", "b", "c", "d", "e")
	k := e.Send(2, 0, 64, batch)
	if k != 3 {
		t.Fatalf("took %d", k)
	}
	e.Stall(2, w)
	k += e.Send(2, 0, 64, batch[k:])
	for _, b := range batch[k:] {
		if b.Len() != 1 {
			t.Errorf("what was not taken has %d bytes", b.Len())
		}
	}
	if w.woken != 0 {
		t.Error("woken while full")
	}
	n.give(10)
	if w.woken != 1 {
		t.Errorf("woken %d times", w.woken)
	}
	k += e.Send(2, 0, 64, batch[k:])
	if k != 5 || len(n.take()) != 5 {
		t.Errorf("%d sent", k)
	}
	// A change of the way wakes as well, and who forgot it is left alone.
	gone := new(waiter)
	e.Stall(2, w)
	e.Stall(2, gone)
	e.Unstall(gone)
	n.port.Remove()
	if w.woken != 2 || gone.woken != 0 {
		t.Errorf("woken %d and %d times", w.woken, gone.woken)
	}
}

func TestTheMTUIsThatOfThePathAndTheFirstHop(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	changes := 0
	e.OnChange(func() { changes++ })
	n := connect(e, 2, 1, 0)
	e.Install(map[wire.Addr]Hops{2: via(0, 2), 3: via(1400, 2), 4: via(9000, 2)})
	for dst, want := range map[wire.Addr]int{2: 1485, 3: 1385, 4: 1485, 5: 0} {
		if got := e.MTU(dst); got != want {
			t.Errorf("to %d: %d, want %d", dst, got, want)
		}
	}
	before := changes
	n.SetMTU(1300)
	if e.MTU(3) != 1285 || changes == before {
		t.Errorf("%d after the change, %d told", e.MTU(3), changes-before)
	}
}

func TestABatchIsPassedOnInOneCallForEachWay(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60})
	a := connect(e, 2, 100, 0)
	sends := map[wire.Addr]int{}
	for _, peer := range []wire.Addr{3, 4} {
		near, far := flow.NewPipe(flow.PipeOptions{})
		far.Attach(flow.Funcs{OnReceive: func(batch []*packet.Buffer) int {
			sends[peer]++
			for i := 1; i < len(batch); i++ {
				if batch[i].Bytes()[wire.HeaderLen] < batch[i-1].Bytes()[wire.HeaderLen] {
					t.Error("out of order")
				}
			}
			packet.ReleaseAll(batch)
			return len(batch)
		}})
		near.Attach(e.AddPort(peer, near, nil))
	}
	delivered := 0
	e.RegisterFlows(func(_ uint64, batch []*packet.Buffer) { delivered++; packet.ReleaseAll(batch) })
	e.Install(map[wire.Addr]Hops{8: via(0, 3), 9: via(0, 4)})
	var hs []wire.Header
	for range 20 {
		hs = append(hs, wire.Header{Dst: 8, TTL: 9}, wire.Header{Dst: 9, TTL: 9}, wire.Header{Dst: own, EID: 64})
	}
	a.arrive(hs...)
	if sends[3] != 1 || sends[4] != 1 || delivered != 1 {
		t.Errorf("%v sends, %d deliveries", sends, delivered)
	}
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	e, a := bench(t)
	batch := make([]*packet.Buffer, 32)
	for what, h := range map[string]wire.Header{"transit": {Dst: 9, TTL: 9}, "local": {Dst: own, EID: 99}} {
		if n := testing.AllocsPerRun(1000, func() { fill(batch, h); a.Receive(batch) }); n >= 1 {
			t.Errorf("%s: %v allocations a batch", what, n)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		for i := range batch {
			batch[i] = packet.Get(64)
		}
		e.Send(9, 0, 99, batch)
	}); n >= 1 {
		t.Errorf("sending: %v allocations a batch", n)
	}
}

// sink is a flow that takes everything.
type sink struct{ flow.Flow }

func (sink) Send(batch []*packet.Buffer) int { packet.ReleaseAll(batch); return len(batch) }
func (sink) QueueLen() int                   { return 0 }
func (sink) MTU() int                        { return 1500 }

// bench is an engine with a neighbour that sends and another that takes all.
func bench(testing.TB) (*Engine, *Port) {
	e := New(Config{Own: own, MaxTTL: 60, Mark: true})
	a := e.AddPort(2, sink{}, nil)
	e.AddPort(3, sink{}, nil)
	routes := map[wire.Addr]Hops{}
	for d := range wire.Addr(1000) {
		routes[9+d] = via(0, 3)
	}
	e.Install(routes)
	e.RegisterFlows(func(_ uint64, batch []*packet.Buffer) { packet.ReleaseAll(batch) })
	return e, a
}

func fill(batch []*packet.Buffer, h wire.Header) {
	for i := range batch {
		batch[i] = packet.Get(64)
		h.Put(batch[i].Bytes())
	}
}

func BenchmarkTransit(b *testing.B) {
	for _, size := range []int{1, 32} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			_, a := bench(b)
			batch := make([]*packet.Buffer, size)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				fill(batch, wire.Header{Dst: 9, TTL: 9})
				a.Receive(batch)
				n += size
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		})
	}
}

func BenchmarkSend(b *testing.B) {
	e, _ := bench(b)
	batch := make([]*packet.Buffer, 1)
	b.ReportAllocs()
	for b.Loop() {
		batch[0] = packet.Get(64)
		e.Send(9, 0, 99, batch)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 60, 0, 64, 0, 0, 0, 0, 0, 0, 0, 'x'}, uint8(3))
	f.Fuzz(func(t *testing.T, p []byte, cut uint8) {
		e := New(Config{Own: own, MaxTTL: 60, Mark: true, Spread: true})
		a, b := connect(e, 2, 100, 0), connect(e, 3, 1, 1)
		e.Install(map[wire.Addr]Hops{2: via(0, 2), 3: via(0, 3), 9: via(0, 3, 2)})
		e.Register(wire.EIDDirectory, func(batch []*packet.Buffer) { packet.ReleaseAll(batch) })
		var batch []*packet.Buffer
		for len(p) > 0 {
			n := min(int(cut)%40, len(p))
			batch = append(batch, packet.From(p[:n]))
			if n == 0 {
				break
			}
			p = p[n:]
		}
		n := len(batch)
		a.Send(batch)
		var counted uint64
		for i := range a.port.cubes {
			counted += a.port.cubes[i].in.packets.Load()
		}
		if counted+a.port.count.short.Load() != uint64(n) {
			t.Fatalf("%d packets, %d counted", n, counted)
		}
		_ = b
	})
}

func TestRandomPacketsAreOnlyCounted(t *testing.T) {
	e := New(Config{Own: own, MaxTTL: 60, Mark: true})
	a, b := connect(e, 2, 1<<30, 0), connect(e, 3, 1<<30, 0)
	e.Install(map[wire.Addr]Hops{2: via(0, 2), 3: via(0, 3)})
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		p := packet.Get(r.IntN(40))
		for i := range p.Bytes() {
			p.Bytes()[i] = byte(r.Uint32())
		}
		if p.Len() >= wire.HeaderLen && r.IntN(2) == 0 {
			binary.LittleEndian.PutUint32(p.Bytes(), uint32(r.IntN(5)))
		}
		a.Send([]*packet.Buffer{p})
	}
	for _, h := range b.take() {
		if h.Dst != 3 || h.TTL == 0 {
			t.Fatalf("forwarded %+v", h)
		}
	}
}
