package simnet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/simnet"
)

func TestAPacketTakesTheDelayAndTheTimeOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		// 8 Mbit/s: a byte a microsecond.
		net.Link("l", simnet.Link{Bandwidth: 8e6, Delay: 7 * time.Millisecond})
		a, b := pair(t, net, "l")
		s := watch(b)
		time.Sleep(time.Second)
		s.reset()
		if n := a.Send(numbered(5, 1000-header)); n != 5 {
			t.Fatalf("%d taken", n)
		}
		if q := a.QueueLen(); q != 5 {
			t.Errorf("%d wait", q)
		}
		time.Sleep(2500 * time.Microsecond)
		if q := a.QueueLen(); q != 3 {
			t.Errorf("after 2.5 packets %d wait", q)
		}
		time.Sleep(time.Second)
		for i, at := range s.times() {
			if want := time.Duration(i+1)*time.Millisecond + 7*time.Millisecond; at != want {
				t.Errorf("packet %d came after %v, not %v", i, at, want)
			}
		}
		if string(s.came()) != "\x00\x01\x02\x03\x04" {
			t.Errorf("came: %v", s.came())
		}
	})
}

func TestALinkWithoutLimitsCarriesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		net.Link("l", simnet.Link{})
		a, b := pair(t, net, "l")
		s := watch(b)
		a.Send(numbered(100, 100))
		synctest.Wait()
		time.Sleep(1)
		if s.count() != 100 || s.times()[99] != 0 {
			t.Errorf("%d came, the last after %v", s.count(), s.times()[len(s.times())-1])
		}
		if a.QueueLen() != 0 {
			t.Error("some wait")
		}
	})
}

// drive sends n packets as fast as the link takes them.
func drive(t *testing.T, f flow.Flow, s *seen, n, size int) {
	t.Helper()
	for n > 0 {
		bs := numbered(min(n, 50), size)
		for len(bs) > 0 {
			k := f.Send(bs)
			bs, n = bs[k:], n-k
			if len(bs) > 0 {
				<-s.wake
			}
		}
	}
}

func TestAFullQueueHoldsItsSenderUpAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		l := net.Link("l", simnet.Link{Bandwidth: 8e6, Queue: 10, Delay: time.Millisecond})
		a, b := pair(t, net, "l")
		sa, sb := watch(a), watch(b)
		time.Sleep(time.Second)
		sb.reset()
		const n = 1000
		drive(t, a, sa, n, 1000-header)
		if q := l.Queued(0); q > 10 || q == 0 {
			t.Errorf("%d wait", q)
		}
		time.Sleep(time.Second)
		if sb.count() != n {
			t.Errorf("%d came", sb.count())
		}
		if last := sb.times()[len(sb.times())-1]; last != n*time.Millisecond+time.Millisecond {
			t.Errorf("the wire was not used all the time: the last came after %v", last)
		}
		if st := l.Stats(); st.Lost+st.Overflowed != 0 || st.Full == 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAFullQueueDropsItsTailWhenToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		l := net.Link("l", simnet.Link{Bandwidth: 8e6, Queue: 10, DropTail: true})
		a, b := pair(t, net, "l")
		s := watch(b)
		time.Sleep(time.Second)
		if n := a.Send(numbered(25, 500)); n != 25 {
			t.Errorf("%d taken", n)
		}
		time.Sleep(time.Second)
		if s.count() != 10 || s.came()[9] != 9 || l.Stats().Overflowed != 15 {
			t.Errorf("came: %v; %+v", s.came(), l.Stats())
		}
	})
}

func TestASenderThatNeverWaitsDoesNotStopTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		net.Link("l", simnet.Link{Delay: time.Millisecond})
		a, b := pair(t, net, "l")
		sa, sb := watch(a), watch(b)
		begun := time.Now()
		drive(t, a, sa, 100_000, 100)
		time.Sleep(time.Second)
		if sb.count() != 100_000 {
			t.Errorf("%d came", sb.count())
		}
		if d := time.Since(begun); d < 10*time.Millisecond {
			t.Errorf("it took %v", d)
		}
	})
}

func TestChancesAreAsSetAndTheSameInEveryRun(t *testing.T) {
	run := func(seed uint64) (st simnet.Stats, got []byte) {
		synctest.Test(t, func(t *testing.T) {
			net := simnet.New(simnet.Options{Seed: seed})
			l := net.Link("l", simnet.Link{})
			a, b := pair(t, net, "l")
			s := watch(b)
			l.Set(simnet.Link{Loss: 0.1, Duplicate: 0.05, Reorder: 0.02, Delay: time.Millisecond, Jitter: time.Millisecond})
			before := l.Stats()
			for range 200 {
				a.Send(numbered(100, 50))
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Second)
			st, got = l.Stats(), s.came()
			st.Sent -= before.Sent
			if n := st.Sent - st.Lost + st.Duplicated; len(got) != int(n) {
				t.Errorf("%d came of %+v", len(got), st)
			}
		})
		return st, got
	}
	st, got := run(1)
	near := func(what string, n, want uint64) {
		if n < want*9/10 || n > want*11/10 {
			t.Errorf("%s: %d, not about %d", what, n, want)
		}
	}
	near("lost", st.Lost, 2000)
	near("twice", st.Duplicated, 900)
	near("overtaken", st.Reordered, 378)
	if _, again := run(1); !slices.Equal(got, again) {
		t.Error("another run with the seed is different")
	}
	if _, other := run(2); slices.Equal(got, other) {
		t.Error("another seed does the same")
	}
}

func TestJitterAndChangesOfTheDelayKeepTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{Seed: 3})
		l := net.Link("l", simnet.Link{Delay: 10 * time.Millisecond, Jitter: 10 * time.Millisecond})
		a, b := pair(t, net, "l")
		s := watch(b)
		for i := range 200 {
			bs := numbered(1, 10)
			bs[0].Bytes()[0] = byte(i)
			a.Send(bs)
			time.Sleep(500 * time.Microsecond)
			if i == 100 {
				l.Set(simnet.Link{})
			}
		}
		time.Sleep(time.Second)
		if s.count() != 200 || !slices.IsSorted(s.came()) {
			t.Errorf("%d came: %v", s.count(), s.came())
		}
		s.reset()
		l.Set(simnet.Link{Reorder: 0.1})
		for i := range 200 {
			bs := numbered(1, 10)
			bs[0].Bytes()[0] = byte(i)
			a.Send(bs)
			time.Sleep(500 * time.Microsecond)
		}
		time.Sleep(time.Second)
		if s.count() != 200 || slices.IsSorted(s.came()) {
			t.Errorf("%d came, in order: %v", s.count(), s.came())
		}
	})
}

func TestACutIsToldToBothSidesAtOnceAndAMendToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		l := net.Link("l", simnet.Link{Bandwidth: 8e6, Delay: time.Millisecond, Queue: 10})
		a, b := pair(t, net, "l")
		sa, sb := watch(a), watch(b)
		time.Sleep(time.Second)
		bs := numbered(20, 1000)
		packet.ReleaseAll(bs[a.Send(bs):])
		l.Cut()
		for _, s := range []*seen{sa, sb} {
			if !slices.Contains(s.told(), flow.EventDown) || slices.Contains(s.told(), flow.EventUp) {
				t.Errorf("after the cut: %v", s.told())
			}
		}
		if !slices.Contains(sa.told(), flow.EventWritable) {
			t.Error("the sender that waited was forgotten")
		}
		if n := a.Send(numbered(3, 10)); n != 3 {
			t.Errorf("%d taken without a carrier", n)
		}
		time.Sleep(time.Second)
		if sb.count() != 0 || l.Stats().Lost != 10 || l.Queued(0) != 0 {
			t.Errorf("%d came through the cut; %+v", sb.count(), l.Stats())
		}
		l.Mend()
		for _, s := range []*seen{sa, sb} {
			if !slices.Contains(s.told(), flow.EventUp) {
				t.Errorf("after the mend: %v", s.told())
			}
		}
		a.Send(numbered(3, 10))
		time.Sleep(time.Second)
		if sb.count() != 3 {
			t.Errorf("%d came after the mend", sb.count())
		}
	})
}

func TestSilenceIsToldToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		l := net.Link("l", simnet.Link{})
		a, b := pair(t, net, "l")
		sa, sb := watch(a), watch(b)
		l.Silence(true)
		a.Send(numbered(5, 10))
		b.Send(numbered(5, 10))
		time.Sleep(time.Second)
		if sa.count()+sb.count() != 0 || len(sa.told())+len(sb.told()) != 0 {
			t.Errorf("came: %v, %v; told: %v, %v", sa.came(), sb.came(), sa.told(), sb.told())
		}
		l.Silence(false)
		l.SetFrom(1, simnet.Link{Loss: 1})
		a.Send(numbered(5, 10))
		b.Send(numbered(5, 10))
		time.Sleep(time.Second)
		if sb.count() != 5 || sa.count() != 0 {
			t.Errorf("one direction: %d and %d came", sb.count(), sa.count())
		}
	})
}

func TestTheMTUFollowsTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		l := net.Link("l", simnet.Link{MTU: 600})
		a, b := pair(t, net, "l")
		sa := watch(a)
		watch(b)
		if a.MTU() != 596 {
			t.Errorf("MTU %d", a.MTU())
		}
		l.Set(simnet.Link{})
		if a.MTU() != 1496 || !slices.Contains(sa.told(), flow.EventMTU) {
			t.Errorf("MTU %d, told: %v", a.MTU(), sa.told())
		}
	})
}

func TestASegmentJoinsManyAndANameIsFoundWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{Seed: 5})
		l := net.Link("lan", simnet.Link{Delay: time.Millisecond, Loss: 0.1})
		var ms []*member
		for i := range 5 {
			m := join(t, net, "lan")
			if err := m.Reg(t.Context(), name(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			ms = append(ms, m)
		}
		for i, m := range ms {
			for k := range ms {
				begun := time.Now()
				err := m.Query(t.Context(), name(fmt.Sprint(k)))
				if want := k != i; want != (err == nil) {
					t.Errorf("%d asks for %d: %v after %v", i, k, err, time.Since(begun))
				}
			}
		}
		for i := 1; i < 5; i++ {
			a, b := connect(t, ms[i-1], ms[i])
			s := watch(b)
			for range 100 {
				a.Send(numbered(1, 100))
			}
			time.Sleep(time.Second)
			if s.count() < 70 || s.count() == 100 {
				t.Errorf("%d of 100 came", s.count())
			}
			a.Dealloc()
			b.Dealloc()
			ms[i].Unreg(t.Context(), name("b"))
			l.Cut() // forget where it was
			l.Mend()
		}
	})
}

func TestAStationThatLeavesIsNoStationAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		l := net.Link("l", simnet.Link{Delay: time.Millisecond})
		ma, mb := join(t, net, "l"), join(t, net, "l")
		a, b := connect(t, ma, mb)
		sa := watch(a)
		watch(b)
		a.Send(numbered(5, 10))
		b.Send(numbered(5, 10)) // arrives all the same
		if err := mb.Close(); err != nil {
			t.Fatal(err)
		}
		a.Send(numbered(5, 10))
		time.Sleep(time.Second)
		if sa.count() != 5 || l.Stations() != 1 || l.Stats().Lost != 10 {
			t.Errorf("%d came, %d stations, %+v", sa.count(), l.Stations(), l.Stats())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		l.Cut()
		if err := ma.Query(ctx, name("b")); !errors.Is(err, errno.IPCP) {
			t.Errorf("a query without a carrier: %v", err)
		}
		l.Mend()
		if err := ma.Query(ctx, name("b")); !errors.Is(err, errno.NameError) {
			t.Errorf("a query for a name of a station that left: %v", err)
		}
	})
}

func TestAPacketAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	net := simnet.New(simnet.Options{})
	net.Link("l", simnet.Link{Bandwidth: 100e9})
	a, b := pair(t, net, "l")
	got := make(chan int, 1000)
	a.Attach(flow.Funcs{})
	b.Attach(flow.Funcs{OnReceive: func(bs []*packet.Buffer) int {
		packet.ReleaseAll(bs)
		got <- len(bs)
		return len(bs)
	}})
	p, bs := make([]byte, 64), make([]*packet.Buffer, 32)
	if n := testing.AllocsPerRun(1000, func() {
		for i := range bs {
			bs[i] = packet.From(p)
		}
		for rest := bs; len(rest) > 0; {
			rest = rest[a.Send(rest):]
		}
		for n := 0; n < len(bs); {
			n += <-got
		}
	}); n >= 1 {
		t.Errorf("%v allocations a batch", n)
	}
}

func BenchmarkLink(b *testing.B) {
	for _, size := range []int{1, 32} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			net := simnet.New(simnet.Options{})
			net.Link("l", simnet.Link{})
			x, y := pair(b, net, "l")
			got := make(chan int, 10000)
			x.Attach(flow.Funcs{})
			y.Attach(flow.Funcs{OnReceive: func(bs []*packet.Buffer) int {
				packet.ReleaseAll(bs)
				got <- len(bs)
				return len(bs)
			}})
			p, bs := make([]byte, 64), make([]*packet.Buffer, size)
			b.ReportAllocs()
			for n := 0; n < b.N; n += size {
				for i := range bs {
					bs[i] = packet.From(p)
				}
				x.Send(bs)
				for k := 0; k < size; {
					k += <-got
				}
			}
		})
	}
}
