package pace

import (
	"context"
	"math"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"ouroboros/internal/tool/clock"
)

func TestMessagesAreDueAtTheRate(t *testing.T) {
	for _, tc := range []struct {
		size int
		rate int64
		gap  time.Duration
	}{
		{500, 100000, 40 * time.Millisecond},
		{1000, 1000000, 8 * time.Millisecond},
		{1500, 1e9, 12 * time.Microsecond},
		{1, 8, time.Second},
		{0, 5, 0},
		{1, 1e12, 0},
	} {
		p := New(tc.size, tc.rate)
		for i := range 5 {
			if want := time.Duration(i) * tc.gap; p.Due() != want {
				t.Errorf("%d bytes at %d b/s: message %d is due at %v, want %v", tc.size, tc.rate, i, p.Due(), want)
			}
			p.Sent(p.Due())
		}
	}
}

func TestRoundingDoesNotAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 1<<20).Draw(t, "size")
		rate := rapid.OneOf(rapid.Int64Range(1, 1e10), rapid.Int64Range(1, math.MaxInt64)).Draw(t, "rate")
		n := rapid.Int64Range(0, 200).Draw(t, "n")
		p := New(size, rate)
		for range n {
			p.Sent(p.Due())
		}
		want := new(big.Int).Mul(big.NewInt(n*8*1e9), big.NewInt(int64(size)))
		if want.Div(want, big.NewInt(rate)); want.IsInt64() && want.Int64() != int64(p.Due()) {
			t.Fatalf("message %d is due at %d, want %v", n, p.Due(), want)
		}
	})
}

func TestASenderThatWasHeldUpCatchesUpALittle(t *testing.T) {
	p := New(1000, 1e6) // every 8 ms
	p.Sent(50 * time.Millisecond)
	if p.Due() != 8*time.Millisecond {
		t.Errorf("after 50 ms: due at %v", p.Due())
	}
	p.Sent(10 * time.Second)
	if want := 10*time.Second - behind; p.Due() != want {
		t.Errorf("after 10 s: due at %v, want %v", p.Due(), want)
	}
}

func TestWaitingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Waiter{Clock: clock.New()}
		start := w.Clock.Now()
		for i := range 3 {
			at := start + time.Duration(i)*time.Minute
			w.Until(t.Context(), at)
			if now := w.Clock.Now(); now != at {
				t.Errorf("waited until %v, not %v", now-start, at-start)
			}
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	for _, spin := range []bool{false, true} {
		w := Waiter{Clock: clock.New(), Spin: spin}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.Until(ctx, w.Clock.Now()+time.Hour)
	}
}

func TestSpinningWaitsUntilTheTime(t *testing.T) {
	w := Waiter{Clock: clock.New(), Spin: true}
	at := w.Clock.Now() + 2*time.Millisecond
	w.Until(t.Context(), at)
	if now := w.Clock.Now(); now < at {
		t.Errorf("%v too early", at-now)
	}
}
