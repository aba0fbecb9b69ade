package ring

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"ouroboros/internal/errno"
)

func TestABatchRingsOnceAndIsThereAsAWhole(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		woken := make(chan int, 100)
		b.OnWake(func() {
			n := 0
			for buf := make([]byte, 2000); ; n++ {
				if _, err := b.TryRead(buf, Whole); err != nil {
					break
				}
			}
			b.Arm()
			woken <- n
		})
		msg := make([]byte, 1400)
		for range 10 {
			b.Arm()
			if n, err := a.WriteBatch(64, func(int) []byte { return msg }); n != 64 || err != nil {
				t.Fatalf("%d written: %v", n, err)
			}
			select {
			case n := <-woken:
				if n != 64 {
					t.Errorf("woken for %d messages", n)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("not woken")
			}
		}
		if len(woken) != 0 {
			t.Errorf("%d rings too many", len(woken))
		}
	})
}

func TestABatchStopsWhereThereIsNoRoomOrAMessageIsTooLong(t *testing.T) {
	a, b := pair(t, SegmentOptions{Size: 4096})
	sizes := []int{100, 0, 200, 5000, 300}
	n, err := a.WriteBatch(len(sizes), func(i int) []byte { return make([]byte, sizes[i]) })
	if n != 3 || err != errno.MsgSize || b.RxQueueLen() != 2 {
		t.Errorf("%d written, %d to be read: %v", n, b.RxQueueLen(), err)
	}
	n, err = a.WriteBatch(100, func(int) []byte { return make([]byte, 500) })
	if n == 0 || n == 100 || err != errno.Again || b.RxQueueLen() != 2+n {
		t.Errorf("%d written, %d to be read: %v", n, b.RxQueueLen(), err)
	}
	b.Close()
	if n, err = a.WriteBatch(3, func(int) []byte { return []byte("x") }); n != 0 || !errors.Is(err, errno.FlowDown) {
		t.Errorf("%d written to a closed side: %v", n, err)
	}
	a.Close()
	if n, err = a.WriteBatch(3, func(int) []byte { return []byte("x") }); n != 0 || !errors.Is(err, errno.NotAlloc) {
		t.Errorf("%d written after the close: %v", n, err)
	}
}

func TestTheLongestMessageIsWhatTheOtherSideSays(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		a, b := pair(t, SegmentOptions{Shared: shared})
		check := func(want int) {
			t.Helper()
			if a.MTU() != want {
				t.Errorf("MTU %d, want %d", a.MTU(), want)
			}
			if err := a.TryWrite(make([]byte, want)); err != nil {
				t.Errorf("%d bytes: %v", want, err)
			}
			if err := a.TryWrite(make([]byte, want+1)); err != errno.MsgSize {
				t.Errorf("%d bytes: %v", want+1, err)
			}
			mustRead(t, b, make([]byte, want))
		}
		check(a.MaxMessage())
		a.Limit(1000)
		check(1000)
		for _, n := range []int{1400, 500, 9000} {
			b.SetMTU(n)
			check(n)
		}
		b.SetMTU(-1)
		check(1000)
		a.Limit(0)
		check(a.MaxMessage())
		b.SetMTU(math.MaxInt)
		check(a.MaxMessage())
		a.peerMTU.Store(math.MaxUint32) // what a hostile side may say
		check(a.MaxMessage())
		a.peerMTU.Store(1)
		check(1)
		if b.MTU() != b.MaxMessage() {
			t.Errorf("the other direction has MTU %d", b.MTU())
		}
	})
}

func TestAWriterThatWaitsForRoomHearsThatItsMessageIsTooLongNow(t *testing.T) {
	a, b := pair(t, SegmentOptions{Size: 8192})
	for a.TryWrite(make([]byte, 1000)) == nil {
	}
	wrote := make(chan error)
	go func() { wrote <- a.Write(make([]byte, 1000), WriteOptions{Timeout: 30 * time.Second}) }()
	b.SetMTU(100)
	for b.RxQueueLen() > 0 {
		b.TryRead(make([]byte, 1000), Whole)
	}
	if err := <-wrote; err != nil && err != errno.MsgSize { // it may have been quicker
		t.Error(err)
	}
	if err := a.TryWrite(make([]byte, 101)); err != errno.MsgSize {
		t.Error(err)
	}
}

func TestABatchAllocatesNothing(t *testing.T) {
	a, b := pair(t, SegmentOptions{})
	msg, buf := make([]byte, 1400), make([]byte, 1400)
	message := func(int) []byte { return msg }
	if n := testing.AllocsPerRun(100, func() {
		a.WriteBatch(32, message)
		for range 32 {
			b.TryRead(buf, Whole)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBatch(b *testing.B) {
	for _, count := range []int{1, 32} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			w, r := pair(b, SegmentOptions{})
			msg, buf := make([]byte, 1400), make([]byte, 1400)
			message := func(int) []byte { return msg }
			for n := 0; n < b.N; n += count {
				w.WriteBatch(count, message)
				for range count {
					r.TryRead(buf, Whole)
				}
			}
		})
	}
}
