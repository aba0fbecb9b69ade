package linkstate

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
	"ouroboros/irm"
)

// star gives m the neighbour 2 that has links to n others, and takes what the
// neighbour would hear.
func star(t *testing.T, m *member, n int) *station {
	s := ready(t, m, 2)
	m.Up(2, 1496)
	s.send(lsa.Update{Src: 2, Dst: 1, Seq: 1})
	for i := range wireAddr(n) {
		s.send(both(2, 100+i, 1)...)
	}
	pause(20 * time.Second)
	if len(m.Members()) != n+1 {
		t.Fatalf("%d members", len(m.Members()))
	}
	return s
}

func TestAStormOfChangesIsComputedFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := star(t, m, 20)
		before := m.counter("computed")
		start := time.Now()
		for i := range lsa.Seq(1000) { // a link that comes and goes
			s.send(lsa.Update{Src: 2, Dst: 105, Seq: lsa.Make(uint32(i), 0, i%2 == 0)})
			pause(2 * time.Millisecond)
		}
		if n := m.counter("computed") - before; n > 12 {
			t.Errorf("%d computations of 1,000 changes in %v", n, time.Since(start))
		}
		pause(4 * time.Second)
		if m.next(105) == nil {
			t.Error("the last change was not computed")
		}
		// After a time of quiet a change is computed at once.
		pause(10 * time.Second)
		s.send(lsa.Update{Src: 2, Dst: 105, Seq: lsa.Make(5000, 0, true)})
		if m.next(105) != nil {
			t.Error("a change after a time of quiet waits")
		}
	})
}

func TestALostNeighbourIsComputedInAStormToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := star(t, m, 3)
		m.Up(3, 0)
		s.send(both(2, 3, 1)...)
		s.send(lsa.Update{Src: 3, Dst: 1, Seq: 1})
		pause(20 * time.Second)
		for i := range lsa.Seq(1000) {
			s.send(lsa.Update{Src: 2, Dst: 101, Seq: lsa.Make(uint32(i), 0, i%2 == 0)})
			pause(2 * time.Millisecond)
		}
		if !slices.Equal(m.next(3), []wire.Addr{3}) {
			t.Fatalf("%v", m.next(3))
		}
		m.Down(3)
		synctest.Wait()
		if !slices.Equal(m.next(3), []wire.Addr{2}) {
			t.Errorf("the way to a lost neighbour is %v", m.next(3))
		}
	})
}

func TestWhatChangesNothingIsNotComputed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := star(t, m, 20)
		before, installs := m.counter("computed"), m.installs.Load()
		for seq := range lsa.Seq(50) {
			s.send(lsa.Update{Src: 2, Dst: 1, Seq: 2 + seq})
			for i := range wireAddr(20) {
				s.send(both(2, 100+i, 2+seq)...)
			}
			s.send(lsa.Update{Src: 100, Dst: 999 + wireAddr(int(seq)), Seq: seq}) // one way
			pause(time.Second)
		}
		if n := m.counter("computed") - before; n != 0 {
			t.Errorf("%d computations", n)
		}
		// A link that changes no route is computed, not installed.
		s.send(both(100, 101, 1)...)
		pause(5 * time.Second)
		if m.counter("computed") == before || m.installs.Load() != installs {
			t.Errorf("%d computations, %d installed", m.counter("computed")-before, m.installs.Load()-installs)
		}
	})
}

func TestALinkNeedsBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		step := func(want bool, what string) {
			t.Helper()
			pause(time.Second)
			if got := m.next(3) != nil; got != want {
				t.Errorf("%s: reached %v", what, got)
			}
		}
		s.send(both(2, 3, 1)...)
		step(false, "own link missing")
		m.Up(2, 0)
		step(false, "one way here")
		s.send(lsa.Update{Src: 2, Dst: 1, Seq: 1})
		step(true, "all there")
		s.send(lsa.Update{Src: 3, Dst: 2, Seq: lsa.Make(1, 0, true)})
		step(false, "one way there")
		s.send(lsa.Update{Src: 3, Dst: 2, Seq: lsa.Make(2, 0, false)})
		step(true, "again")
		m.Down(2)
		step(false, "own link down")
		m.Up(2, 0)
		step(true, "own link up")
	})
}

// The order of neighbours is that in which links were learnt, last first, as a
// member of the C implementation has it; but without repetitions.
func TestPoliciesOrderNeighboursAsTheyWereLearnt(t *testing.T) {
	for p, want := range map[irm.Routing][]wire.Addr{
		irm.LinkState: {2}, irm.LFA: {2, 4, 3}, irm.ECMP: {4, 3, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMember(t, 1, policy(p))
			s := ready(t, m, 2)
			for _, nb := range []wire.Addr{2, 3, 4} {
				m.Up(nb, 0)
				s.send(lsa.Update{Src: nb, Dst: 1, Seq: 1})
				s.send(both(nb, 9, 1)...)
			}
			s.send(lsa.Update{Src: 5, Dst: 1, Seq: 1}) // one way: no neighbour
			s.send(both(5, 9, 1)...)
			pause(time.Second)
			if got := m.next(9); !slices.Equal(got, want) {
				t.Errorf("%v: %v, want %v", p, got, want)
			}
			// A link that was away is learnt anew.
			m.Down(2)
			s.send(lsa.Update{Src: 2, Dst: 1, Seq: lsa.Make(1, 0, true)})
			pause(time.Second)
			m.Up(2, 0)
			s.send(lsa.Update{Src: 2, Dst: 1, Seq: lsa.Make(2, 0, false)})
			pause(time.Second)
			want := map[irm.Routing][]wire.Addr{irm.LinkState: {2}, irm.LFA: {2, 4, 3}, irm.ECMP: {2, 4, 3}}[p]
			if got := m.next(9); !slices.Equal(got, want) {
				t.Errorf("%v, again: %v, want %v", p, got, want)
			}
		})
	}
}

func TestAnMTUIsThatOfTheNarrowestLinkThatTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := ready(t, m, 2)
		m.Up(2, 8976)
		s.send(
			lsa.Update{Src: 2, Dst: 1, Seq: lsa.Make(1, 8976, false)},
			lsa.Update{Src: 2, Dst: 3, Seq: lsa.Make(1, 8976, false)}, lsa.Update{Src: 3, Dst: 2, Seq: lsa.Make(1, 1496, false)},
			lsa.Update{Src: 3, Dst: 4, Seq: lsa.Make(1, 1400, false)}, lsa.Update{Src: 4, Dst: 3, Seq: 7},
			lsa.Update{Src: 2, Dst: 5, Seq: 7}, lsa.Update{Src: 5, Dst: 2, Seq: 7},
		)
		pause(time.Second)
		for dst, want := range map[wire.Addr]int{2: 8976, 3: 1496, 4: 1400, 5: 8976} {
			if got := m.routes.Load().To[dst].MTU; got != want {
				t.Errorf("to %v: %d, want %d", dst, got, want)
			}
		}
		s.send(lsa.Update{Src: 3, Dst: 2, Seq: lsa.Make(2, 8976, false)})
		pause(5 * time.Second)
		if got := m.routes.Load().To[3].MTU; got != 8976 {
			t.Errorf("after a change: %d", got)
		}
	})
}

func TestNothingIsInstalledAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		s := star(t, m, 3)
		s.take()
		m.Close()
		m.Close()
		if got := s.take(); len(got) != 1 || !got[0].Seq.Withdrawn() || got[0].Src != 1 {
			t.Errorf("at the end came %v", got)
		}
		n := m.installs.Load()
		m.Up(3, 0)
		m.Down(2)
		s.send(both(2, 4, 1)...)
		if err := m.join(&testConn{}, 5); err == nil {
			t.Error("a connection is taken")
		}
		pause(time.Minute)
		if m.installs.Load() != n || len(s.take()) != 0 {
			t.Error("it goes on")
		}
	})
}

func TestALinkStateThatWasNotStartedCanBeClosed(t *testing.T) {
	l := New(Config{Own: 1, Go: func(func()) {}, AfterFunc: time.AfterFunc})
	l.Up(2, 0)
	l.Start() // its IPCP has ended: nothing runs
	l.Close()
}
