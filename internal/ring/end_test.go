package ring

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
)

// pair is both ends of a flow in this program.
func pair(t testing.TB, o SegmentOptions) (a, b *End) {
	t.Helper()
	s, err := NewSegment(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLink(o.Shared)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = NewEnd(s, l, 7, 0); err != nil {
		t.Fatal(err)
	}
	if b, err = NewEnd(s, l, 7, 1); err != nil {
		t.Fatal(err)
	}
	s.CloseFD()
	t.Cleanup(func() {
		a.Close()
		b.Close()
		l.Close()
	})
	return a, b
}

// kinds runs a test with memory of this program and with shared memory.
func kinds(t *testing.T, f func(t *testing.T, shared bool)) {
	t.Run("heap", func(t *testing.T) { f(t, false) })
	t.Run("shared", func(t *testing.T) { f(t, true) })
}

func mustWrite(t *testing.T, e *End, p []byte) {
	t.Helper()
	if err := e.Write(p, WriteOptions{Timeout: time.Minute}); err != nil {
		t.Fatalf("write of %d bytes: %v", len(p), err)
	}
}

func mustRead(t *testing.T, e *End, want []byte) {
	t.Helper()
	buf := make([]byte, len(want)+1)
	n, err := e.Read(buf, ReadOptions{Mode: Partial, Timeout: time.Minute})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if !bytes.Equal(buf[:n], want) {
		t.Fatalf("read %d bytes, want %d: or their contents differ", n, len(want))
	}
}

func pattern(n, seed int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8 + seed)
	}
	return p
}

func TestMessagesOfAllSizesArriveWhole(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		for _, n := range []int{1, 2, 7, 8, 9, 63, 64, 65, 1400, 4087, 4088, 4089, 65536, 300000, 1<<20 - 1, 1 << 20, 3, 1 << 20, 4096} {
			for range 3 {
				mustWrite(t, a, pattern(n, n))
				mustRead(t, b, pattern(n, n))
				mustWrite(t, b, pattern(n, 1))
				mustRead(t, a, pattern(n, 1))
			}
		}
		if err := a.Write(make([]byte, a.MaxMessage()+1), WriteOptions{Timeout: -1}); err != errno.MsgSize {
			t.Fatalf("a message longer than the ring carries: %v, want MsgSize", err)
		}
	})
}

func TestIdleTrafficStaysInOnePage(t *testing.T) {
	a, b := pair(t, SegmentOptions{})
	for range 10000 {
		mustWrite(t, a, pattern(100, 0))
		mustRead(t, b, pattern(100, 0))
	}
	for i, v := range a.out.mem[2*pageSize:] {
		if v != 0 {
			t.Fatalf("byte %d of the ring was used", 2*pageSize+i)
		}
	}
}

func TestStreamingStaysInTwiceTheWindow(t *testing.T) {
	a, b := pair(t, SegmentOptions{})
	p := pattern(1400, 0)
	for i := range 100000 {
		mustWrite(t, a, p)
		if i >= 50 {
			mustRead(t, b, p)
		}
	}
	for i, v := range a.out.mem[2*DefaultWindow+2*pageSize:] {
		if v != 0 {
			t.Fatalf("byte %d of the ring was used", i)
		}
	}
}

func TestPartialReads(t *testing.T) {
	type step struct {
		buf  int
		mode ReadMode
		n    int
		err  error
	}
	for _, c := range []struct {
		name  string
		sizes []int
		steps []step
	}{
		{"shorter than the buffer is returned whole", []int{3}, []step{{4, Partial, 3, nil}, {4, Partial, 0, errno.Again}}},
		{"exactly the buffer, then the end mark", []int{4, 2}, []step{{4, Partial, 4, nil}, {4, Partial, 0, nil}, {4, Partial, 2, nil}}},
		{"longer: the rest follows", []int{10}, []step{{4, Partial, 4, nil}, {4, Partial, 4, nil}, {4, Partial, 2, nil}, {4, Partial, 0, errno.Again}}},
		{"twice the buffer: the rest, then the end mark", []int{8}, []step{{4, Partial, 4, nil}, {4, Partial, 4, nil}, {4, Partial, 0, nil}, {4, Partial, 0, errno.Again}}},
		{"longer with whole reads is discarded", []int{5, 4}, []step{{4, Whole, 0, errno.MsgSize}, {4, Whole, 4, nil}, {4, Whole, 0, errno.Again}}},
		{"nothing asked, nothing lost", []int{5}, []step{{0, Partial, 0, nil}, {0, Partial, 0, nil}, {8, Partial, 5, nil}}},
		{"nothing asked with whole reads discards", []int{5}, []step{{0, Whole, 0, errno.MsgSize}, {8, Whole, 0, errno.Again}}},
		{"the end mark survives a change of mode", []int{4, 5}, []step{{4, Partial, 4, nil}, {4, Whole, 0, nil}, {4, Whole, 0, errno.MsgSize}}},
		{"a begun message goes on with whole reads", []int{10}, []step{{4, Partial, 4, nil}, {4, Whole, 4, nil}, {4, Whole, 2, nil}}},
		{"bytes join messages", []int{3, 3, 3}, []step{{7, Bytes, 7, nil}, {7, Bytes, 2, nil}, {7, Bytes, 0, errno.Again}}},
		{"bytes do not see ends", []int{4, 4}, []step{{4, Partial, 4, nil}, {8, Bytes, 4, nil}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t, SegmentOptions{})
			var sent, got []byte
			for i, n := range c.sizes {
				mustWrite(t, a, pattern(n, i))
				sent = append(sent, pattern(n, i)...)
			}
			for i, s := range c.steps {
				buf := make([]byte, s.buf)
				n, err := b.TryRead(buf, s.mode)
				if n != s.n || err != s.err {
					t.Fatalf("step %d: %d, %v; want %d, %v", i, n, err, s.n, s.err)
				}
				if err == errno.MsgSize {
					sent = nil
				}
				got = append(got, buf[:n]...)
			}
			if sent != nil && !bytes.Equal(sent, got) {
				t.Fatalf("read %x, want %x", got, sent)
			}
		})
	}
}

func TestQueueLengthsCountMessages(t *testing.T) {
	a, b := pair(t, SegmentOptions{})
	for range 5 {
		mustWrite(t, a, []byte("hello"))
	}
	check := func(want int) {
		t.Helper()
		if tx, rx := a.TxQueueLen(), b.RxQueueLen(); tx != want || rx != want {
			t.Fatalf("tx %d, rx %d, want %d", tx, rx, want)
		}
	}
	check(5)
	mustRead(t, b, []byte("hello"))
	check(4)
	b.TryRead(make([]byte, 2), Partial)
	check(4)
	for range 4 {
		b.TryRead(make([]byte, 9), Partial)
	}
	check(0)
}

func TestFullRingBlocksTheWriter(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		p := pattern(10000, 0)
		sent := 0
		for a.TryWrite(p) == nil {
			sent++
		}
		if sent*len(p) > DefaultWindow || sent == 0 {
			t.Fatalf("%d messages fit", sent)
		}
		if err := a.Write(p, WriteOptions{NoWait: true}); err != errno.Again {
			t.Fatal(err)
		}
		if err := a.Write(p, WriteOptions{Timeout: 0}); err != errno.TimedOut {
			t.Fatal(err)
		}
		if err := a.Write(p, WriteOptions{Timeout: time.Millisecond}); err != errno.TimedOut {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- a.Write(p, WriteOptions{Timeout: -1}) }()
		for range sent + 1 {
			mustRead(t, b, p)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestMessageAboveTheWindowWaitsForAnEmptyRing(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		small, large := pattern(100, 1), pattern(1<<20, 2)
		for range 10 {
			mustWrite(t, a, small)
		}
		if err := a.TryWrite(large); err != errno.Again {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- a.Write(large, WriteOptions{Timeout: -1}) }()
		for range 10 {
			mustRead(t, b, small)
		}
		mustRead(t, b, large)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestBlockedCallsAreWoken(t *testing.T) {
	for _, c := range []struct {
		name  string
		cause func(a, b *End)
		read  error
		write error
	}{
		{"by a down of the other side", func(a, b *End) { b.SetState(flow.EventDown) }, errno.FlowDown, errno.FlowDown},
		{"by its closing", func(a, b *End) { b.Close() }, errno.FlowDown, errno.FlowDown},
		{"by a down from the node", func(a, b *End) { a.Mark(flow.EventDown) }, errno.FlowDown, errno.FlowDown},
		{"by an own down", func(a, b *End) { a.SetDown(true) }, errno.FlowDown, errno.FlowDown},
		{"by an own close", func(a, b *End) { a.Close() }, errno.NotAlloc, errno.NotAlloc},
		{"by the deadline", func(a, b *End) {
			a.SetReadDeadline(time.Unix(1, 0))
			a.SetWriteDeadline(time.Now().Add(time.Millisecond))
		}, errno.TimedOut, errno.TimedOut},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds(t, func(t *testing.T, shared bool) {
				a, b := pair(t, SegmentOptions{Shared: shared})
				for a.TryWrite(make([]byte, 5000)) == nil {
				}
				read, write := make(chan error, 2), make(chan error, 1)
				for range 2 {
					go func() {
						_, err := a.Read(make([]byte, 10), ReadOptions{Timeout: -1})
						read <- err
					}()
				}
				go func() { write <- a.Write(make([]byte, 5000), WriteOptions{Timeout: -1}) }()
				for a.waiters.parked.Load() != 3 {
					runtime.Gosched()
				}
				c.cause(a, b)
				for range 2 {
					if err := <-read; err != c.read {
						t.Errorf("reader: %v, want %v", err, c.read)
					}
				}
				if err := <-write; err != c.write {
					t.Errorf("writer: %v, want %v", err, c.write)
				}
			})
		})
	}
}

func TestPeerTimeoutStopsReadersOnly(t *testing.T) {
	a, b := pair(t, SegmentOptions{})
	mustWrite(t, b, []byte("last"))
	b.SetState(flow.EventPeer)
	mustRead(t, a, []byte("last"))
	if _, err := a.Read(nil, ReadOptions{Timeout: -1}); err != errno.FlowPeer {
		t.Fatal(err)
	}
	mustWrite(t, a, []byte("still"))
}

func TestQueuedMessagesAreReadBeforeTheEnd(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		for range 3 {
			mustWrite(t, a, []byte("word"))
		}
		a.Close()
		for range 3 {
			mustRead(t, b, []byte("word"))
		}
		if _, err := b.Read(make([]byte, 9), ReadOptions{Timeout: -1}); err != errno.FlowDown {
			t.Fatal(err)
		}
		if !b.Ended() {
			t.Fatal("the end looks like a crash")
		}
		if err := b.TryWrite([]byte("x")); err != errno.FlowDown {
			t.Fatal(err)
		}
	})
}

func TestEndThatComesLateFindsWhatAClosedOneWrote(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		s, err := NewSegment(SegmentOptions{Shared: shared})
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewLink(shared)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		a, err := NewEnd(s, l, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, a, []byte("early"))
		a.Close()
		b, err := NewEnd(s, l, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.CloseFD()
		mustRead(t, b, []byte("early"))
		if !b.Ended() {
			t.Fatal("not ended")
		}
		b.Close()
		if s.mem != nil {
			t.Fatal("memory is left")
		}
	})
}

func TestStatesAreCountedAndDoNotMix(t *testing.T) {
	a, b := pair(t, SegmentOptions{})
	a.SetDown(true)
	a.SetDown(false)
	a.SetDown(true)
	if s := b.PeerState(); s.Downs() != 2 || s.Ups() != 1 || !s.Has(StateDown) {
		t.Fatalf("state %x", uint64(s))
	}
	b.SetDown(false) // does not lift what a said
	if !b.IsDown() {
		t.Fatal("the down of the other side was removed")
	}
	a.SetDown(false)
	if a.IsDown() || b.IsDown() {
		t.Fatal("still down")
	}
	a.SetOptions(7)
	a.SetDeaf(true)
	if s := b.PeerState(); s.Options() != 7 || !s.Has(StateDeaf) {
		t.Fatalf("state %x", uint64(s))
	}
	if err := b.TryWrite([]byte("x")); err != errno.NotAlloc {
		t.Fatal(err)
	}
	a.SetDeaf(false)
	mustWrite(t, b, []byte("x"))
}

func TestTwoReadersGetDifferentMessages(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		const count = 20000
		var mu sync.Mutex
		seen := make(map[uint32]bool)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				buf := make([]byte, 8)
				for {
					n, err := b.Read(buf, ReadOptions{Mode: Whole, Timeout: -1})
					if err != nil {
						return
					}
					v := uint32(buf[0]) | uint32(buf[1])<<8 | uint32(buf[2])<<16
					mu.Lock()
					if n != 3 || seen[v] {
						t.Errorf("message %d twice, or %d bytes", v, n)
					}
					seen[v] = true
					mu.Unlock()
				}
			})
		}
		for i := range count {
			mustWrite(t, a, []byte{byte(i), byte(i >> 8), byte(i >> 16)})
			if i%100 == 0 {
				runtime.Gosched()
			}
		}
		a.Close()
		wg.Wait()
		if len(seen) != count {
			t.Fatalf("%d messages, want %d", len(seen), count)
		}
	})
}

func TestCloseMayRaceWithEverything(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		for range 200 {
			s, _ := NewSegment(SegmentOptions{Shared: shared})
			l, err := NewLink(shared)
			if err != nil {
				t.Fatal(err)
			}
			a, _ := NewEnd(s, l, 1, 0)
			b, _ := NewEnd(s, l, 1, 1)
			s.CloseFD()
			var wg sync.WaitGroup
			for _, e := range []*End{a, b} {
				wg.Go(func() {
					for e.Write(make([]byte, 100), WriteOptions{Timeout: -1}) == nil {
					}
				})
				wg.Go(func() {
					buf := make([]byte, 100)
					for {
						if _, err := e.Read(buf, ReadOptions{Timeout: -1}); err != nil {
							return
						}
					}
				})
				wg.Go(func() { e.Arm(); e.RxQueueLen(); e.TxQueueLen(); e.SetDown(true); e.PeerState() })
				wg.Go(func() {
					for range rand.IntN(100) {
						runtime.Gosched()
					}
					e.Close()
				})
			}
			wg.Wait()
			l.Close()
		}
	})
}

func TestWakeHookRunsForWhoArmed(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		rung := make(chan struct{}, 100)
		b.OnWake(func() { rung <- struct{}{} })
		if !b.Arm() {
			t.Fatal("something there")
		}
		mustWrite(t, a, []byte("one"))
		<-rung
		mustWrite(t, a, []byte("two")) // nobody armed
		if b.Arm() {
			t.Fatal("armed although messages wait")
		}
		if n, waiting := b.ArmCount(); n != 2 || waiting != 2 {
			t.Fatalf("%d messages arrived, %d wait", n, waiting)
		}
		var got [][]byte
		n, err := b.ReadBatch(10, func(n int) []byte {
			got = append(got, make([]byte, n))
			return got[len(got)-1]
		})
		if n != 2 || !errors.Is(err, errno.Again) || string(got[0]) != "one" || string(got[1]) != "two" {
			t.Fatal(n, err, got)
		}
		a.SetState(flow.EventDown)
		<-rung
		a.SetState(flow.EventUp)
		<-rung

		roomy := make(chan struct{}, 100)
		a.OnWake(func() { roomy <- struct{}{} })
		for a.TryWrite(make([]byte, 1000)) == nil {
		}
		if !a.ArmRoom(1000) {
			t.Fatal("room in a full ring")
		}
		for {
			if _, err := b.TryRead(make([]byte, 1000), Whole); err == errno.Again {
				break
			}
		}
		<-roomy
		if a.ArmRoom(1000) {
			t.Fatal("no room after the wake")
		}
	})
}

func TestReadTimesOutInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, SegmentOptions{})
		start := time.Now()
		if _, err := a.Read(nil, ReadOptions{Timeout: time.Hour}); err != errno.TimedOut || time.Since(start) != time.Hour {
			t.Fatal(err, time.Since(start))
		}
		a.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := a.Read(nil, ReadOptions{Timeout: -1}); err != errno.TimedOut || time.Since(start) != time.Hour+time.Minute {
			t.Fatal(err, time.Since(start))
		}
		a.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			b.Write([]byte("late"), WriteOptions{Timeout: -1})
		}()
		mustRead(t, a, []byte("late"))
		if time.Since(start) != time.Hour+time.Minute+time.Second {
			t.Fatal(time.Since(start))
		}
	})
}

func TestDataPathDoesNotAllocate(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		p, buf := make([]byte, 64), make([]byte, 64)
		if n := testing.AllocsPerRun(1000, func() {
			a.Write(p, WriteOptions{Timeout: -1})
			b.Read(buf, ReadOptions{Mode: Whole, Timeout: -1})
		}); n != 0 {
			t.Errorf("%v allocations per message", n)
		}
		b.Read(buf, ReadOptions{Timeout: time.Microsecond})
		if n := testing.AllocsPerRun(100, func() {
			b.Read(buf, ReadOptions{Timeout: time.Microsecond})
			b.SetReadDeadline(time.Now().Add(time.Hour))
		}); n != 0 {
			t.Errorf("%v allocations per blocked read", n)
		}
	})
}
