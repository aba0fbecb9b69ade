package linkstate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/lsa"
)

func TestWhatIsNewGoesToAllButWhereItCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b, c := ready(t, m, 2), ready(t, m, 3), ready(t, m, 4)
		news := []lsa.Update{
			{Src: 7, Dst: 8, Seq: 5},
			{Src: 7, Dst: 8, Seq: 6},
			{Src: 8, Dst: 7, Seq: 0},
			{Src: 3, Dst: 7, Seq: 1}, // also to its source
			{Src: 7, Dst: 8, Seq: 1 << 63},
			{Src: 7, Dst: 8, Seq: lsa.Make(3, 1496, false)},
			{Src: 7, Dst: 8, Seq: lsa.Make(4, 1496, true)},
		}
		for _, u := range news {
			a.send(u)
			if got := a.take(); len(got) != 0 {
				t.Errorf("%v went back", got)
			}
			for _, s := range []*station{b, c} {
				if got := updates(s.take()); !slices.Equal(got, []lsa.Update{u}) {
					t.Errorf("%v became %v", u, got)
				}
			}
			a.send(u)
			b.send(u)
			if got := c.take(); len(got) != 0 {
				t.Errorf("a second time: %v", got)
			}
		}
		// What is older is not sent on. Who sent it gets what is held, once.
		for range 5 {
			b.send(lsa.Update{Src: 7, Dst: 8, Seq: lsa.Make(3, 1496, false)}, lsa.Update{Src: 7, Dst: 8, Seq: 7})
		}
		pause(laterPause - time.Millisecond)
		if got := b.take(); len(got) != 0 {
			t.Errorf("sent back at once: %v", got)
		}
		pause(2 * time.Millisecond)
		if got := updates(b.take()); !slices.Equal(got, news[len(news)-1:]) {
			t.Errorf("sent back: %v", got)
		}
		if got := append(a.take(), c.take()...); len(got) != 0 {
			t.Errorf("others got %v", got)
		}
	})
}

func TestOtherPacketsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b := ready(t, m, 2), ready(t, m, 3)
		for _, n := range []int{23, 25, 48, 2, 1000} {
			a.raw(make([]byte, n))
		}
		for _, u := range []lsa.Update{
			{Src: 5, Dst: 5}, {Src: 0, Dst: 5}, {Src: 5, Dst: 0}, {Src: 1 << 32, Dst: 5}, {Src: 5, Dst: 1 << 40}, {Src: 1, Dst: 1},
		} {
			a.send(u)
		}
		if n := m.counter("malformed"); n != 11 {
			t.Errorf("%d are malformed", n)
		}
		a.raw(nil)             // a keep-alive
		a.raw(make([]byte, 1)) // a filler
		a.send(lsa.Update{Src: 5, Dst: 6})
		if n := m.counter("malformed"); n != 11 || m.counter("received") != 1 {
			t.Errorf("%v", m.Show()["counters"])
		}
		if got := b.take(); len(got) != 1 || len(m.Show()["lsdb"].([]any)) != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestANewNeighbourGetsTheDataBaseAfterAPause(t *testing.T) {
	for _, n := range []int{1, 10, 1000, 5000} {
		synctest.Test(t, func(t *testing.T) {
			m := newMember(t, 1)
			a := ready(t, m, 2)
			m.Up(2, 0)
			var want []lsa.Update
			for i := range n {
				u := lsa.Update{Src: 100 + wireAddr(i/3), Dst: 100000 + wireAddr(i), Seq: lsa.Seq(i)}
				want = append(want, u)
				a.send(u)
			}
			a.send(lsa.Update{Src: 3, Dst: 2, Seq: 4}) // its own link
			a.send(lsa.Update{Src: 2, Dst: 3, Seq: 4})
			a.send(lsa.Update{Src: 50, Dst: 51, Seq: lsa.Make(1, 0, true)})
			news := lsa.Update{Src: 60, Dst: 61, Seq: 1} // in the pause
			want = append(want, news, lsa.Update{Src: 2, Dst: 3, Seq: 4}, lsa.Update{Src: 1, Dst: 2, Seq: lsa.Make(1, 0, false)})
			slices.SortFunc(want, func(a, b lsa.Update) int {
				return cmp.Or(cmp.Compare(a.Dst, b.Dst), cmp.Compare(a.Src, b.Src))
			})
			s := newStation(t, m, 3)
			pause(firstPause - time.Millisecond)
			a.send(news)
			gone := lsa.Update{Src: 62, Dst: 61, Seq: lsa.Make(1, 0, true)}
			a.send(gone)
			want = append([]lsa.Update{gone}, want...)
			if got := s.take(); len(got) != 0 {
				t.Errorf("%d updates in the pause", len(got))
			}
			pause(time.Duration(n/windowPackets+2) * windowTime)
			got := s.take()
			if us := updates(got); !slices.Equal(us, want) {
				t.Errorf("%d updates, want %d", len(us), len(want))
			}
			for i, h := range got {
				if d := h.at.Sub(s.since); d < firstPause {
					t.Errorf("update %d after %v", i, d)
				}
				if i >= windowPackets && h.at.Sub(got[i-windowPackets].at) < windowTime {
					t.Fatalf("more than %d updates in %v", windowPackets, windowTime)
				}
			}
		})
	}
}

func TestAnUpdateCrossesEachLinkOfATriangleTwiceAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newMember(t, 1), newMember(t, 2), newMember(t, 3)
		join(t, a, b)
		join(t, b, c)
		join(t, c, a)
		s := ready(t, a, 9)
		sent := func() (n int) { return a.counter("sent") + b.counter("sent") + c.counter("sent") }
		before := sent()
		s.send(lsa.Update{Src: 9, Dst: 1, Seq: 3})
		pause(5 * time.Second)
		if n := sent() - before; n < 2 || n > 6 {
			t.Errorf("%d packets", n)
		}
		for _, m := range []*member{a, b, c} {
			if m.shown(9, 1) == nil {
				t.Errorf("%v does not know it", m.cfg.Own)
			}
		}
	})
}

func TestANeighbourThatTakesNothingDelaysItselfOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b := ready(t, m, 2), ready(t, m, 3)
		stuck := newStation(t, m, 4, flow.Limit{Packets: 8})
		stuck.deaf = true
		pause(firstPause)
		const links = 300
		for seq := range lsa.Seq(200) {
			for i := range wireAddr(links) {
				a.send(lsa.Update{Src: 100 + i, Dst: 5000, Seq: seq})
			}
			if got := b.take(); len(got) != links {
				t.Fatalf("round %d: the other neighbour got %d", seq, len(got))
			}
			pause(windowTime)
		}
		m.mu.Lock()
		if p := m.peers[4]; p.waiting() > links || len(p.queued) != p.waiting() || cap(p.queue) > 8*links {
			t.Errorf("%d wait in a queue of %d", p.waiting(), cap(p.queue))
		}
		m.mu.Unlock()
		stuck.mu.Lock()
		stuck.deaf = false
		stuck.mu.Unlock()
		stuck.f.Resume()
		pause(time.Second)
		got := stuck.take()
		last := make(map[link]lsa.Seq)
		for _, h := range got {
			last[link{h.Src, h.Dst}] = h.Seq
		}
		if len(got) > links+8 || len(last) != links {
			t.Errorf("%d updates of %d links", len(got), len(last))
		}
		for k, seq := range last {
			if seq != 199 {
				t.Errorf("%v has %d", k, seq)
			}
		}
	})
}

func TestTheQueueOfAStuckNeighbourForgetsLinksThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a := ready(t, m, 2)
		stuck, away := newStation(t, m, 4, flow.Limit{Packets: 8}), newStation(t, m, 5)
		stuck.deaf = true
		pause(firstPause)
		away.f.SetDown(true)
		for round := range wireAddr(50) {
			for i := range wireAddr(100) {
				a.send(lsa.Update{Src: 10000 + 1000*round + i, Dst: 5000, Seq: lsa.Make(1, 0, i%2 == 0)})
			}
			pause(61 * time.Second)
		}
		m.mu.Lock()
		for _, addr := range []int{4, 5} {
			if p := m.peers[wireAddr(addr)]; p.waiting() > 300 || len(p.queued) > 300 {
				t.Errorf("%d wait for %d", p.waiting(), addr)
			}
		}
		m.mu.Unlock()
	})
}

func TestTheNewestConnectionThatIsUpIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		from := ready(t, m, 2)
		older, newer := ready(t, m, 3), newStation(t, m, 3)
		seq := lsa.Seq(0)
		news := func() lsa.Update {
			seq++
			u := lsa.Update{Src: 7, Dst: 8, Seq: seq}
			from.send(u)
			return u
		}
		expect := func(when string, u lsa.Update, yes, no *station) {
			t.Helper()
			if got := updates(yes.take()); len(got) == 0 || got[len(got)-1] != u {
				t.Errorf("%s: %v does not end with %v", when, got, u)
			}
			if got := no.take(); len(got) != 0 {
				t.Errorf("%s: the other got %v", when, got)
			}
		}
		expect("in the pause", news(), older, newer)
		pause(firstPause)
		expect("after the pause", news(), newer, older)
		newer.f.SetDown(true)
		expect("down", news(), older, newer)
		newer.f.SetDown(false)
		expect("up", lsa.Update{Src: 7, Dst: 8, Seq: seq}, newer, older) // again
		expect("up", news(), newer, older)
		newer.f.Dealloc()
		expect("deallocated", news(), older, newer)
		if newer.conn.lost.Load() == nil {
			t.Error("nobody was told")
		}
		// An update of the neighbour is not sent back, on none of its connections.
		newest := ready(t, m, 3)
		older.send(lsa.Update{Src: 3, Dst: 9, Seq: 1})
		if got := newest.take(); len(got) != 0 {
			t.Errorf("sent back: %v", got)
		}
		older.f.End(flow.EventPeer)
		if older.conn.lost.Load() == nil {
			t.Error("nobody was told of a silent peer")
		}
		m.part(newest.conn)
		if n := len(m.Show()["management"].([]any)); n != 1 || m.counter("silent") != 1 || m.counter("ended") != 1 {
			t.Errorf("%d connections, %v", n, m.Show()["counters"])
		}
	})
}

func TestAFlowThatIsUpAgainGetsWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		from, s := ready(t, m, 2), ready(t, m, 3)
		s.f.SetDown(true)
		for i := range wireAddr(100) {
			from.send(lsa.Update{Src: 100 + i, Dst: 5, Seq: 1})
		}
		if got := s.take(); len(got) != 0 {
			t.Errorf("%d came over a flow that is down", len(got))
		}
		s.f.SetDown(false)
		if got := s.take(); len(got) != 100 {
			t.Errorf("%d updates", len(got))
		}
		s.f.SetDown(false) // says nothing new
		if got := s.take(); len(got) != 0 {
			t.Errorf("%d updates", len(got))
		}
	})
}

func TestOldConnectionsOfANeighbourAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		var all []*station
		for range maxConns + 5 {
			all = append(all, newStation(t, m, 2))
		}
		synctest.Wait()
		for i, s := range all {
			if lost := s.conn.lost.Load() != nil; lost != (i < 5) {
				t.Errorf("connection %d is lost: %v", i, lost)
			}
		}
	})
}

func TestAnEntryIsRemovedWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1, func(c *Config) { c.Update, c.Timeout = 5*time.Second, 20*time.Second })
		s := ready(t, m, 2)
		m.Up(2, 0)
		for seq := range lsa.Seq(10) {
			s.send(both(2, 3, seq)...)
			s.send(lsa.Update{Src: 2, Dst: 1, Seq: seq})
			pause(5 * time.Second)
		}
		if m.next(3) == nil {
			t.Error("a link that is refreshed is away")
		}
		pause(20*time.Second - 5*time.Second - time.Millisecond)
		if m.next(3) == nil {
			t.Error("removed too early")
		}
		pause(time.Millisecond)
		if m.next(3) != nil || m.next(2) != nil || m.shown(2, 3) != nil || m.shown(2, 1) != nil {
			t.Errorf("after the time-out: %v", m.Show()["lsdb"])
		}
		if m.shown(1, 2) == nil || m.counter("aged") != 3 {
			t.Errorf("%v, aged %d", m.Show()["lsdb"], m.counter("aged"))
		}
	})
}

func TestAWithdrawalRemovesALinkAtOnceAndForTheTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b := ready(t, m, 2), ready(t, m, 3)
		m.Up(2, 0)
		a.send(lsa.Update{Src: 2, Dst: 1, Seq: lsa.Make(1, 0, false)}, lsa.Update{Src: 2, Dst: 7, Seq: lsa.Make(2, 0, false)}, lsa.Update{Src: 7, Dst: 2, Seq: 3})
		pause(time.Second)
		if m.next(7) == nil {
			t.Fatal("no route")
		}
		a.send(lsa.Update{Src: 2, Dst: 7, Seq: lsa.Make(3, 0, true)})
		if m.next(7) != nil {
			t.Error("the route is still there")
		}
		b.send(lsa.Update{Src: 2, Dst: 7, Seq: lsa.Make(2, 0, false)}, lsa.Update{Src: 2, Dst: 7, Seq: 99})
		pause(59 * time.Second)
		if e := m.shown(2, 7); e == nil || e["withdrawn"] != true {
			t.Errorf("%v", e)
		}
		pause(2 * time.Second)
		if e := m.shown(2, 7); e != nil {
			t.Errorf("the tombstone is still there: %v", e)
		}
	})
}

// A member of the C implementation that gets one of our numbers back as that of
// its own link goes on from there, one by one.
func TestALinkWhoseNumberIsCountedOnStaysUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, evil := ready(t, m, 2), ready(t, m, 3)
		m.Up(2, 0)
		a.send(lsa.Update{Src: 2, Dst: 1, Seq: 4}, lsa.Update{Src: 2, Dst: 7, Seq: 5}, lsa.Update{Src: 7, Dst: 2, Seq: 5})
		pause(time.Second)
		forged := lsa.Make(1000, 64, true)
		evil.send(lsa.Update{Src: 2, Dst: 7, Seq: forged})
		if m.next(7) != nil {
			t.Error("a withdrawal that nobody can tell from a true one was not believed")
		}
		for i := range lsa.Seq(40) { // the number passes through all that could be parts
			a.send(lsa.Update{Src: 2, Dst: 7, Seq: forged + 1 + i}, lsa.Update{Src: 7, Dst: 2, Seq: 6 + i}, lsa.Update{Src: 2, Dst: 1, Seq: 6 + i})
			pause(15 * time.Second)
			if m.next(7) == nil || m.routes.Load().To[7].MTU != 0 {
				t.Fatalf("after %d refreshes: %+v", i, m.routes.Load().To)
			}
		}
	})
}

func TestAFloodOfRandomUpdatesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		evil, good, other := ready(t, m, 2), ready(t, m, 3), ready(t, m, 4)
		m.Up(3, 0)
		good.send(lsa.Update{Src: 3, Dst: 1, Seq: 1})
		other.deaf = true // its queue fills
		r := rand.New(rand.NewPCG(1, 1))
		for range 2 * maxLinks / 64 {
			batch := make([]*packet.Buffer, 64)
			for i := range batch {
				b := packet.Get(lsa.Size)
				lsa.Update{Src: wireAddr(int(r.Uint32())), Dst: wireAddr(int(r.Uint32())), Seq: lsa.Seq(r.Uint64())}.Put(b.Bytes())
				batch[i] = b
			}
			flow.SendOrDrop(evil.f, batch)
		}
		for i := range wireAddr(2 * maxFromSource) {
			evil.send(lsa.Update{Src: 99, Dst: 1000 + i})
		}
		m.mu.Lock()
		if m.db.foreign > maxLinks || len(m.db.all) > maxLinks+300 || m.db.from[99] > maxFromSource {
			t.Errorf("%d links, %d of one source", m.db.foreign, m.db.from[99])
		}
		for _, p := range m.peers {
			if p.waiting() > len(m.db.all) || len(p.later) > len(m.db.all) {
				t.Errorf("%d wait for %v, %d later", p.waiting(), p.addr, len(p.later))
			}
		}
		m.mu.Unlock()
		if m.counter("refused") == 0 {
			t.Error("nothing was refused")
		}
		// What is known goes on as ever.
		pause(2 * time.Second)
		good.take()
		start := time.Now()
		good.send(lsa.Update{Src: 3, Dst: 1, Seq: 2})
		if e := m.shown(3, 1); e == nil || e["seq"] != uint64(2) || time.Since(start) != 0 {
			t.Errorf("%v", e)
		}
		if m.next(3) == nil {
			t.Error("the neighbour has no route")
		}
		// All that is not repeated ages out.
		pause(62 * time.Second)
		if n := len(m.Show()["lsdb"].([]any)); n > 2 {
			t.Errorf("%d links are left", n)
		}
	})
	runtime.GC()
}

func TestOneSourceHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		for i := range wireAddr(maxFromSource + 10) {
			s.send(lsa.Update{Src: 99, Dst: 1000 + i})
		}
		s.send(lsa.Update{Src: 98, Dst: 1000})
		if n := len(m.Show()["lsdb"].([]any)); n != maxFromSource+1 || m.counter("refused") != 10 {
			t.Errorf("%d links, %d refused", n, m.counter("refused"))
		}
	})
}

func TestAKnownUpdateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	m := newMember(t, 1)
	s := newStation(t, m, 2)
	batch := make([]*packet.Buffer, 32)
	send := func() {
		for i := range batch {
			b := packet.Get(lsa.Size)
			lsa.Update{Src: wireAddr(10 + i), Dst: 5, Seq: 1}.Put(b.Bytes())
			batch[i] = b
		}
		s.f.Send(batch)
	}
	send()
	if n := testing.AllocsPerRun(1000, send); n >= 1 {
		t.Errorf("%v allocations a batch", n)
	}
}

func BenchmarkReceive(b *testing.B) {
	for _, known := range []bool{true, false} {
		b.Run(fmt.Sprintf("known=%v", known), func(b *testing.B) {
			m := newMember(b, 1)
			s := newStation(b, m, 2)
			batch := make([]*packet.Buffer, 64)
			b.ReportAllocs()
			seq := lsa.Seq(1)
			for range b.N / len(batch) {
				if !known {
					seq++
				}
				for i := range batch {
					p := packet.Get(lsa.Size)
					lsa.Update{Src: wireAddr(10 + i), Dst: 5, Seq: seq}.Put(p.Bytes())
					batch[i] = p
				}
				s.f.Send(batch)
			}
		})
	}
}

// FuzzReceive gives a member what a neighbour may send: the first byte of each
// packet is its length.
func FuzzReceive(f *testing.F) {
	add := func(us ...lsa.Update) {
		var b []byte
		for _, u := range us {
			p := make([]byte, lsa.Size)
			u.Put(p)
			b = append(append(b, lsa.Size), p...)
		}
		f.Add(b)
	}
	add(lsa.Update{Src: 2, Dst: 1, Seq: 5}, lsa.Update{Src: 2, Dst: 3, Seq: 6}, lsa.Update{Src: 3, Dst: 2, Seq: lsa.Make(3, 1496, false)})
	add(lsa.Update{Src: 1, Dst: 2, Seq: lsa.Max}, lsa.Update{Src: 1, Dst: 9, Seq: 1 << 63})
	add(lsa.Update{Src: 3, Dst: 3}, lsa.Update{Src: 2, Dst: 3, Seq: lsa.Make(9, 0, true)}, lsa.Update{Src: 2, Dst: 3, Seq: 1})
	f.Add([]byte{0, 1, 1, 25, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMember(t, 1)
		s := newStation(t, m, 2)
		defer s.f.Dealloc()
		m.Up(2, 1496)
		packets := 0
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			s.f.Send([]*packet.Buffer{packet.From(b[1 : 1+n])})
			packets++
			b = b[1+n:]
		}
		m.mu.Lock()
		for k, e := range m.db.entries {
			if k.src == k.dst || !k.src.Valid() || !k.dst.Valid() || e.own != (k.src == 1) || m.db.all[e.at] != e {
				t.Errorf("%v: %+v", k, e)
			}
			if r := m.db.entries[link{k.dst, k.src}]; e.reverse != r {
				t.Errorf("%v has the wrong other direction", k)
			}
		}
		if len(m.db.entries) != len(m.db.all) || len(m.db.all) > packets+1 || m.db.foreign > len(m.db.all) {
			t.Errorf("%d links of %d packets", len(m.db.all), packets)
		}
		m.mu.Unlock()
		m.Show()
		m.Close()
	})
}
