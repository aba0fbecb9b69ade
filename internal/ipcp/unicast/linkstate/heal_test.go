package linkstate

import (
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/wire/lsa"
)

func TestANeighbourThatMissedAWithdrawalIsTold(t *testing.T) {
	for _, apart := range []time.Duration{5 * time.Second, 35 * time.Second, 50 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			l := newLayer(t)
			defer l.close()
			l.build([]pair{{1, 2}, {2, 3}, {2, 4}, {4, 5}})
			pause(10 * time.Second)
			l.check("at first")
			// While 1 is apart its neighbour 2 loses a link, and 4, further on, another.
			l.cut(1, 2, true)
			pause(5 * time.Second)
			l.cut(2, 3, false)
			l.cut(4, 5, false)
			pause(apart)
			m := l.parties[1].(*member)
			if apart < 40*time.Second && (m.shown(2, 3) == nil || m.shown(4, 5) == nil) {
				t.Error("1 has forgotten the links already")
			}
			l.connect(1, 2)
			pause(300 * time.Millisecond)
			l.check("one again")
			l.sameLinks("one again")
		})
	}
}

func TestANeighbourGetsItsOwnLinksIfItIsOfOurKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a := ready(t, m, 2)
		counted := lsa.Make(7, 64, true) // forged for a member of the other kind, that counts on
		a.send(
			lsa.Update{Src: 3, Dst: 9, Seq: lsa.Make(1, 1496, false)}, lsa.Update{Src: 3, Dst: 8, Seq: lsa.Make(2, 1496, true)},
			lsa.Update{Src: 4, Dst: 9, Seq: 5}, lsa.Update{Src: 4, Dst: 8, Seq: counted},
		)
		a.send(lsa.Update{Src: 4, Dst: 8, Seq: counted + 1})
		ours, other := newStation(t, m, 3), newStation(t, m, 4)
		pause(firstPause + time.Millisecond)
		if got := ours.take(); len(of(got, 3, 9)) != 1 || len(of(got, 3, 8)) != 0 || len(of(got, 4, 9)) != 1 || len(of(got, 4, 8)) != 1 {
			t.Errorf("a neighbour of our kind got %v", got)
		}
		if got := other.take(); len(of(got, 4, 9)) != 0 || len(of(got, 4, 8)) != 0 || len(of(got, 3, 9)) != 1 {
			t.Errorf("a neighbour of the other kind got %v", got)
		}
	})
}

func TestAnEchoOfALinkLongForgottenIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, 1)
		a := ready(t, m, 2)
		m.Up(2, 0)
		m.Up(3, 0)
		old := of(a.take(), 1, 3)[0].Update
		m.Down(3)
		pause(2 * time.Minute)
		a.take()
		a.send(old)
		pause(time.Millisecond)
		if got := of(a.take(), 1, 3); len(got) != 1 || !got[0].Seq.Withdrawn() || !got[0].Seq.Newer(old.Seq) {
			t.Errorf("answered with %v", got)
		}
		if m.counter("conflicts") != 0 || m.counter("forged") != 0 {
			t.Errorf("%v", m.Show()["counters"])
		}
	})
}

// Who holds an old update of a link that is about to time out does not bring it
// back where it has timed out already, or two members would keep it for ever.
func TestALinkThatTimesOutHasNoSecondLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		defer l.close()
		l.build(line(3))
		a := ready(t, l.parties[1].(*member), 99)
		pause(5 * time.Second)
		a.send(both(99, 98, 500)...)
		pause(3 * time.Second)
		// The source begins again, from 0, and refreshes as ever.
		for seq := range lsa.Seq(12) {
			a.send(both(99, 98, seq)...)
			pause(15 * time.Second)
		}
		for _, p := range l.parties {
			m := p.(*member)
			if e := m.shown(99, 98); e == nil || e["seq"].(uint64) > 11 {
				t.Errorf("%v holds %v", m.cfg.Own, e)
			}
		}
	})
}
