package linkstate

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/wire/lsa"
)

func TestALinkIsAnnouncedRepeatedAndRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		start := time.Now()
		m.Up(2, 1496)
		pause(10 * time.Minute)
		got := of(s.take(), 1, 2)
		if len(got) < 3 {
			t.Fatalf("%d updates", len(got))
		}
		if d := got[0].at.Sub(start); d != 0 {
			t.Errorf("the first came after %v", d)
		}
		if d := got[1].at.Sub(start); d != time.Second {
			t.Errorf("it is repeated after %v", d)
		}
		different := false
		for i, u := range got {
			if !u.Seq.Structured() || u.Seq.Counter() != uint32(i+1) || u.Seq.MTU() != 1496 || u.Seq.Withdrawn() {
				t.Errorf("update %d: %s", i, describe(u.Seq))
			}
			if i < 2 {
				continue
			}
			d := u.at.Sub(got[i-1].at)
			if d < 13500*time.Millisecond || d > 16500*time.Millisecond {
				t.Errorf("a refresh after %v", d)
			}
			different = different || d != 15*time.Second
		}
		if !different {
			t.Error("there is no jitter")
		}
		if average := got[len(got)-1].at.Sub(got[1].at) / time.Duration(len(got)-2); average > 15500*time.Millisecond {
			t.Errorf("a refresh each %v", average)
		}
	})
}

func TestAnUpdateTimeAboveTheTimeOutIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1, func(c *Config) { c.Update, c.Timeout = 30*time.Second, 30*time.Second })
		s := ready(t, m, 2)
		m.Up(2, 0)
		pause(10 * time.Minute)
		last := time.Time{}
		for _, u := range of(s.take(), 1, 2) {
			if !last.IsZero() && u.at.Sub(last) >= 30*time.Second {
				t.Errorf("a refresh after %v", u.at.Sub(last))
			}
			last = u.at
		}
	})
}

func TestADownLinkIsWithdrawnThreeTimesAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		m.Up(2, 0)
		pause(20 * time.Second)
		s.take()
		start := time.Now()
		m.Down(2)
		pause(59 * time.Second)
		got := s.take()
		if len(got) != 3 {
			t.Fatalf("%v", got)
		}
		last := uint32(0)
		for i, after := range []time.Duration{0, 100 * time.Millisecond, time.Second} {
			u := got[i]
			if u.at.Sub(start) != after || !u.Seq.Withdrawn() || u.Seq.Counter() <= last {
				t.Errorf("after %v: %s", u.at.Sub(start), describe(u.Seq))
			}
			last = u.Seq.Counter()
		}
		if e := m.shown(1, 2); e == nil || e["withdrawn"] != true {
			t.Errorf("the tombstone is %v", e)
		}
		pause(2 * time.Second)
		if e := m.shown(1, 2); e != nil {
			t.Errorf("not forgotten: %v", e)
		}
		m.Up(2, 0)
		if got := s.take(); len(got) != 1 || got[0].Seq.Counter() <= last || got[0].Seq.Withdrawn() {
			t.Errorf("up again: %v", got)
		}
	})
}

func TestALinkThatIsUpAgainEndsItsWithdrawal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		m.Up(2, 0)
		m.Down(2)
		m.Up(2, 0)
		m.Up(2, 0) // says nothing new
		m.Down(3)  // never was
		pause(900 * time.Millisecond)
		got := s.take()
		last := lsa.Seq(0)
		for _, u := range got {
			if !u.Seq.Newer(last) {
				t.Errorf("%s after %s", describe(u.Seq), describe(last))
			}
			last = u.Seq
		}
		// What was not sent at once needs no update of its own.
		if len(got) == 0 || len(got) > 3 || last.Withdrawn() {
			t.Errorf("%v", got)
		}
	})
}

func TestAnotherMTUIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		s.send(lsa.Update{Src: 2, Dst: 1, Seq: lsa.Make(1, 8976, false)})
		m.Up(2, 1496)
		pause(5 * time.Second)
		if h := m.routes.Load().To[2]; h.MTU != 1496 {
			t.Errorf("%+v", h)
		}
		s.take()
		m.Up(2, 8976)
		got := s.take()
		if len(got) != 1 || got[0].Seq.MTU() != 8976 {
			t.Errorf("%v", got)
		}
		if h := m.routes.Load().To[2]; h.MTU != 8976 {
			t.Errorf("%+v", h)
		}
	})
}

func TestALinkThatFlapsIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		for range 1000 {
			m.Up(2, 0)
			pause(time.Millisecond)
			m.Down(2)
			pause(time.Millisecond)
		}
		m.Up(2, 0)
		pause(500 * time.Millisecond)
		got := s.take()
		if len(got) > 40 {
			t.Errorf("%d updates in two seconds", len(got))
		}
		if last := got[len(got)-1]; last.Seq.Withdrawn() {
			t.Error("the last state was not announced")
		}
	})
}

// forgeries are numbers that another member makes up for a link with the number
// held.
func forgeries(held lsa.Seq) map[string]lsa.Seq {
	c := held.Counter()
	return map[string]lsa.Seq{
		"withdrawn":             lsa.Make(c+1, 0, true),
		"far ahead":             lsa.Make(c+1<<30, 0, true),
		"the last but one":      lsa.Make(lsa.LastCounter-1, 0, true),
		"the last":              lsa.Make(lsa.LastCounter, 0, true),
		"the highest":           lsa.Max,
		"the same, with more":   held | 0xffff,
		"of no member":          1 << 63,
		"the highest of all":    math.MaxUint64,
		"above the structured":  lsa.Max + 1,
		"below the structured":  lsa.Make(0, 0, false) - 1,
		"what a member counted": 12345,
	}
}

func TestAForgedUpdateOfALinkIsPutRightAtOnce(t *testing.T) {
	for _, name := range []string{"withdrawn", "far ahead", "the last but one", "the last", "the highest", "the same, with more",
		"of no member", "the highest of all", "above the structured", "below the structured", "what a member counted"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The originator 1, a member 3 of ours that hears of the link
				// through it, and who forges at 3.
				m, far := newMember(t, 1), newMember(t, 3)
				join(t, m, far)
				m.Up(3, 1496)
				far.Up(1, 1496)
				evil := ready(t, far, 66)
				m.Up(2, 1496)
				evil.send(lsa.Update{Src: 2, Dst: 1, Seq: 5})
				pause(3 * time.Second)
				if far.next(2) == nil {
					t.Fatal("no route before")
				}
				e := m.shown(1, 2)
				held := lsa.Make(uint32(e["seq"].(uint64)), 1496, false)
				start := time.Now()
				evil.send(lsa.Update{Src: 1, Dst: 2, Seq: forgeries(held)[name]})
				for far.next(2) == nil && time.Since(start) < time.Minute {
					pause(time.Millisecond)
				}
				if d := time.Since(start); d > 50*time.Millisecond {
					t.Errorf("the route was away for %v", d)
				}
				// It lives on through the refreshes, and can be withdrawn.
				for range 200 {
					pause(time.Second)
					evil.send(lsa.Update{Src: 2, Dst: 1, Seq: lsa.Seq(10 + time.Since(start)/time.Second)})
					if far.next(2) == nil && far.shown(1, 2) != nil {
						t.Fatalf("the route is away after %v: %v", time.Since(start), far.shown(1, 2))
					}
				}
				if far.next(2) == nil {
					t.Error("the link is away after 200 s")
				}
				m.Down(2)
				pause(50 * time.Millisecond)
				if far.next(2) != nil {
					t.Error("the link cannot be withdrawn")
				}
			})
		})
	}
}

func TestALinkThatOthersInventIsWithdrawn(t *testing.T) {
	for _, seq := range []lsa.Seq{0, 1000, lsa.Make(7, 0, false), lsa.Make(lsa.LastCounter-2, 0, false), 1 << 63, math.MaxUint64} {
		synctest.Test(t, func(t *testing.T) {
			m := newMember(t, 1)
			m.Up(9, 0)
			a, b := ready(t, m, 2), ready(t, m, 3)
			a.take()
			a.send(lsa.Update{Src: 1, Dst: 77, Seq: seq})
			pause(time.Millisecond)
			for _, s := range []*station{a, b} {
				got := of(s.take(), 1, 77)
				if len(got) != 1 || !got[0].Seq.Withdrawn() || !got[0].Seq.Newer(seq) {
					t.Errorf("%d is answered with %v", seq, got)
				}
			}
			for i := range uint32(100) { // who forges goes on
				a.send(lsa.Update{Src: 1, Dst: 77, Seq: lsa.Make(max(1000, seq.Counter())+10*i, 0, false)})
				pause(100 * time.Millisecond)
			}
			if n := len(of(b.take(), 1, 77)); n > maxAnswers {
				t.Errorf("%d answers in ten seconds", n)
			}
			pause(3 * time.Minute)
			if n := len(of(b.take(), 1, 77)); n != 0 || m.shown(1, 77) != nil {
				t.Errorf("the link is refreshed: %d updates", n)
			}
			if m.counter("forged") == 0 || m.counter("conflicts") == 0 {
				t.Errorf("%v", m.Show()["counters"])
			}
		})
	}
}

func TestManyInventedLinksAreAnsweredWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		m.Up(9, 0)
		a, b := ready(t, m, 2), ready(t, m, 3)
		start := time.Now()
		for i := range 20000 {
			a.send(lsa.Update{Src: 1, Dst: 100000 + 7*wireAddr(i), Seq: lsa.Make(uint32(i), 0, false)})
			if i%100 == 0 {
				pause(100 * time.Millisecond)
			}
		}
		n := len(b.take())
		if limit := 64 + int(time.Since(start)/answerPace); n == 0 || n > limit {
			t.Errorf("%d answers in %v", n, time.Since(start))
		}
		m.mu.Lock()
		if m.phantoms > maxPhantoms || len(m.own) > maxPhantoms+1 {
			t.Errorf("%d phantoms", m.phantoms)
		}
		m.mu.Unlock()
		pause(3 * time.Minute)
		m.mu.Lock()
		if m.phantoms != 0 || len(m.own) != 1 || len(m.db.all) != 1 {
			t.Errorf("%d phantoms are left, %d own links, %d in the data base", m.phantoms, len(m.own), len(m.db.all))
		}
		m.mu.Unlock()
	})
}

func TestAnOldUpdateOfAWithdrawnLinkMeetsItsTombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a, b := ready(t, m, 2), ready(t, m, 3)
		m.Up(9, 0)
		old := a.take()[0].Update
		m.Down(9)
		pause(5 * time.Second)
		last := b.take()
		a.take()
		a.send(old)
		pause(200 * time.Millisecond)
		got := a.take()
		if len(got) != 1 || got[0].Seq != last[len(last)-1].Seq {
			t.Errorf("sent back: %v, want %v", got, last[len(last)-1])
		}
		if got := b.take(); len(got) != 0 {
			t.Errorf("others got %v", got)
		}
		// What is newer than the tombstone is withdrawn once more, for all.
		a.send(lsa.Update{Src: 1, Dst: 9, Seq: lsa.Make(500, 0, false)})
		pause(time.Millisecond)
		for _, s := range []*station{a, b} {
			if got := s.take(); len(got) != 1 || !got[0].Seq.Withdrawn() || got[0].Seq.Counter() != 501 {
				t.Errorf("%v", got)
			}
		}
	})
}
