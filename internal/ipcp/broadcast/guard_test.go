package broadcast

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
)

func counted(got []string, text string) (n int) {
	for _, g := range got {
		if g == text {
			n++
		}
	}
	return n
}

// guarded gives what the guard of a member shows.
func (m *member) guarded(key string) any { return m.Show()["guard"].(map[string]any)[key] }

// stormy makes a loop with a member that takes a moment to forward, as on a
// network: without it a loop would be a call that never returns.
//
//	a ══ b      both of our kind
//	 ╲  ╱
//	  r         blind
func stormy(t *testing.T, w *world) (a, b *member, r *blind) {
	a, b, r = w.member("a"), w.member("b"), w.blind("r")
	r.slow = time.Millisecond
	w.connect("a", "b")
	w.connect("a", "r")
	w.connect("b", "r")
	rest(time.Second)
	return a, b, r
}

func TestAStormThroughAnotherMemberIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, r := stormy(t, w)
		x, y := a.join(), b.join()
		// Each message makes a storm, until a connection is blocked.
		for i := range 200 {
			x.write(fmt.Sprint("message ", i))
			time.Sleep(20 * time.Millisecond)
		}
		rest(time.Second)
		before := r.forwarded()
		rest(5 * time.Second)
		if n := r.forwarded() - before; n != 0 {
			t.Errorf("%d packets went round in 5 s", n)
		}
		blocked := 0
		for _, m := range []*member{a, b} {
			for _, l := range m.neighbours() {
				if l["state"] == "storm" {
					blocked++
				}
			}
		}
		// Two, when both ends act in the same moment: rarely.
		if blocked != 1 && blocked != 2 {
			t.Errorf("%d connections are blocked, want 1\n%v", blocked, w)
		}
		y.take()
		r.take()
		x.write("now")
		rest(time.Second)
		if n, m := counted(y.take(), "now"), counted(r.take(), "now"); n != 1 || m != 2-blocked {
			t.Errorf("it arrives %d and %d times\n%v", n, m, w)
		}
		if n := w.Logged("level=ERROR", "packets go round", "irm ipcp disconnect"); n < 1 || n > 2 {
			t.Errorf("it is told %d times", n)
		}
	})
}

func TestASingleMessageInALoopDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, r := stormy(t, w)
		a.join().write("once")
		y := b.join()
		rest(10 * time.Second)
		before := r.forwarded()
		rest(10 * time.Second)
		if n := r.forwarded() - before; n != 0 {
			t.Errorf("it went round %d times in 10 s", n)
		}
		if n := counted(y.take(), "once"); n > 200 {
			t.Errorf("it arrived %d times", n)
		}
	})
}

func TestALoopThatLastsIsBlockedForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, r := stormy(t, w)
		x, y := a.join(), b.join()
		const messages = 36000
		for i := range messages {
			x.write(fmt.Sprint("message ", i))
			time.Sleep(100 * time.Millisecond)
		}
		rest(time.Second)
		if n := len(y.take()); n > messages*11/10 || n < messages*9/10 {
			t.Errorf("%d messages became %d", messages, n)
		}
		if n := a.guarded("blocked").(uint64) + b.guarded("blocked").(uint64); n < 3 || n > 20 {
			t.Errorf("connections were blocked %d times within an hour", n)
		}
		_ = r
	})
}

// When the loop is opened everything is as it should be, after a while.
func TestAfterTheLoopIsOpenedAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, r := stormy(t, w)
		x, y := a.join(), b.join()
		for i := range 100 {
			x.write(fmt.Sprint("message ", i))
			time.Sleep(20 * time.Millisecond)
		}
		if err := b.Disconnect(t.Context(), "Data Transfer", "r"); err != nil {
			t.Fatal(err)
		}
		rest(stormMost)
		x.take()
		y.take()
		r.take()
		for _, write := range []func(...string){x.write, y.write} {
			write("hello")
			rest(10 * time.Millisecond)
		}
		if got := r.take(); !slices.Equal(got, []string{"hello", "hello"}) {
			t.Errorf("r got %q", got)
		}
		if got := append(x.take(), y.take()...); len(got) != 2 {
			t.Errorf("a and b got %q", got)
		}
	})
}

// Members that write the same are no loop: neither slowly, nor fast, nor as
// answers to a question.
func TestMembersThatWriteTheSame(t *testing.T) {
	for what, tc := range map[string]struct {
		every time.Duration
		lost  float64 // that may be, of all
	}{
		"heartbeats":      {time.Second, 0},
		"many heartbeats": {100 * time.Millisecond, 0},
		"a flood":         {5 * time.Millisecond, 0.05},
		"a greater flood": {time.Millisecond, 0.2}, // of two seconds
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.member("a"), w.member("b")
			var all []*blind
			w.connect("a", "b")
			for i := range 3 {
				r := w.blind(fmt.Sprint("r", i))
				r.connect("a")
				all = append(all, r)
			}
			rest(time.Second)
			x, y := a.join(), b.join()
			const rounds = 2000
			for range rounds {
				x.write("alive")
				y.write("alive")
				for _, r := range all {
					r.write("alive")
				}
				time.Sleep(tc.every)
			}
			rest(time.Second)
			for _, p := range []*participant{x, y} {
				if n := len(p.take()); float64(n) < 4*rounds*(1-tc.lost) {
					t.Errorf("%s: %d of %d arrived\n%v", what, n, 4*rounds, w)
				}
			}
			for _, l := range a.neighbours() {
				if l["state"] != "forwarding" {
					t.Errorf("%s: a connection is %v", what, l["state"])
				}
			}
			if a.guarded("blocked") != uint64(0) {
				t.Errorf("%s: a connection was blocked", what)
			}
		})
	}
}

func TestManyThatAnswerTheSameAreNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a")
		r, s := w.blind("r"), w.blind("s")
		r.connect("a")
		s.connect("a")
		rest(time.Second)
		x := a.join()
		const rounds, members = 100, 60
		for i := range rounds {
			x.write(fmt.Sprint("who is there? ", i))
			for range members {
				r.write("here")
				s.write("here")
				time.Sleep(time.Millisecond)
			}
			time.Sleep(2 * time.Second)
		}
		rest(time.Second)
		if n := len(x.take()); n != rounds*2*members {
			t.Errorf("%d of %d answers arrived; tests: %v", n, rounds*2*members, a.guarded("tests"))
		}
		if a.guarded("blocked") != uint64(0) {
			t.Error("a connection was blocked")
		}
	})
}

func TestTheGuardSleepsWhereNothingCanComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := w.member("a")
		w.member("b")
		w.member("c")
		w.connect("a", "b")
		w.connect("a", "c")
		if a.guarded("active") != false {
			t.Error("it looks at packets of members that keep a tree")
		}
		if err := a.Disconnect(t.Context(), "Data Transfer", "b"); err != nil {
			t.Fatal(err)
		}
		if err := a.Disconnect(t.Context(), "Data Transfer", "c"); err != nil {
			t.Fatal(err)
		}
		r := w.blind("r")
		r.connect("a")
		synctest.Wait()
		if a.guarded("active") != false {
			t.Error("it looks at packets of a single connection")
		}
		w.connect("a", "b")
		if a.guarded("active") != true {
			t.Error("it sleeps although packets can come back")
		}
	})
}

func BenchmarkGuard(b *testing.B) {
	for _, size := range []int{64, 1400} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newForwarder(func(time.Duration, func()) *time.Timer { return nil }, nil)
			f.guard.set(true)
			n := &neighbour{f: f, open: true}
			batch := make([]*packet.Buffer, 32)
			for i := range batch {
				batch[i] = packet.Get(size)
				copy(batch[i].Bytes(), fmt.Sprint(i))
			}
			b.ReportAllocs()
			k := 0
			for b.Loop() {
				f.guard.pass(n, batch)
				k += len(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(k), "ns/packet")
		})
	}
}

var _ flow.Handler = (*link)(nil)
