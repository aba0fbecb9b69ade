package interop

import (
	"testing"
	"time"

	"ouroboros/test/host"
)

// patientTimers are timers with which no link ages out while a test runs.
var patientTimers = []string{"ls_t_update", "2", "ls_t_timeo", "600", "ls_t_recalc", "1"}

// A member of ours that ends says so, and members of ours have no route to it any
// more, also behind those of the C implementation, which pass it on.
func TestAMemberThatEndsIsWithdrawn(t *testing.T) {
	arranged(t, []arrangement{
		{ours, ours, ours}, {ours, reference, ours}, {ours, reference, reference, ours}, {reference, ours, reference, ours},
	}, func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(len(who)), patientTimers...)
		last := n.hosts[len(who)-1]
		last.serve(t, "oping.z", "oping", "-Q")
		for _, m := range n.hosts[:len(who)-1] {
			m.pings(t, "oping.z")
		}
		gone := last.show(t).LinkState.Own
		last.ours().Stop(t)
		last.Node = nil
		for _, m := range n.ourMembers() {
			host.Eventually(t, m.name+" has no route to who has ended", func() bool { return !m.reaches(t, gone) })
			if s := m.show(t); len(s.LinkState.Routes) != len(who)-2 {
				t.Errorf("%s reaches %v", m.name, s.LinkState.Routes)
			}
		}
		n.healthy(t)
	})
}

// reaches says whether a member of ours has a route to an address.
func (m *member) reaches(t testing.TB, address string) bool {
	t.Helper()
	for _, r := range m.show(t).LinkState.Routes {
		if r.Dst == address {
			return true
		}
	}
	return false
}

// A member that is cut off says nothing: its links age out at those of ours that
// are not its neighbours, and its neighbours see that it is silent, or that
// nothing is heard of its link any more. The far direction stays for ever when a
// member of the C implementation announces it.
func TestAMemberThatDiesAgesOut(t *testing.T) {
	arranged(t, []arrangement{
		{ours, ours, ours}, {ours, ours, reference}, {ours, reference, ours}, {ours, reference, reference}, {reference, ours, reference},
	}, func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(3), quick...)
		last := n.hosts[2]
		last.serve(t, "oping.c", "oping", "-Q")
		n.hosts[0].pings(t, "oping.c")
		for _, m := range n.ourMembers() {
			m.knows(t, 4, 2)
		}
		last.Kill()
		last.Node = nil
		for _, m := range n.ourMembers() {
			host.Eventually(t, m.name+" reaches only the neighbour of the one that has died", func() bool {
				return len(m.show(t).LinkState.Routes) == 1
			})
		}
		// Those that are left have lost nothing.
		n.hosts[1].serve(t, "oping.b", "oping", "-Q")
		n.hosts[0].pings(t, "oping.b")
		n.healthy(t)
	})
}

// square is four hosts, each with two neighbours. (The last cable is not "ad",
// which the program ip takes for a word of its own.)
var square = append(chain(4), [2]int{3, 0})

// In a square there is always another way. Members of ours take it when a
// neighbour is disconnected; those of the C implementation keep the way that they
// have when they hear no more of a link, until a member of ours reminds them.
func TestASquareOfBothKindsFindsOtherWays(t *testing.T) {
	arranged(t, []arrangement{
		{ours, ours, ours, ours}, {ours, reference, ours, ours}, {ours, reference, ours, reference},
		{reference, ours, reference, ours}, {reference, reference, ours, ours},
	}, func(t testing.TB, who arrangement) {
		n := layered(t, who, square, "ls_t_update", "2", "ls_t_timeo", "10", "ls_t_recalc", "1")
		a, d := n.hosts[0], n.hosts[3]
		for _, m := range n.hosts {
			m.serve(t, "oping."+m.name, "oping", "-Q")
		}
		reachEachOther(t, "at first", n.hosts)
		d.disconnect(t, a)
		reachEachOther(t, "with a link less", n.hosts)
		d.connect(t, a)
		reachEachOther(t, "with that link again", n.hosts)
		n.healthy(t)
	})
}

// reachEachOther waits until each of some hosts reaches all others.
func reachEachOther(t testing.TB, when string, some []*member) {
	t.Helper()
	begin := time.Now()
	for _, from := range some {
		for _, to := range some {
			if from != to {
				from.pingsAgain(t, "oping."+to.name)
			}
		}
	}
	t.Logf("%s: all have reached all after %v", when, time.Since(begin).Round(100*time.Millisecond))
}

// Who is left finds the way round a member that is gone, however it went.
func TestASquareGoesOnWithoutAMember(t *testing.T) {
	arranged(t, []arrangement{
		{ours, ours, ours, ours}, {ours, ours, reference, ours}, {reference, ours, ours, ours},
		{ours, reference, ours, reference}, {reference, ours, reference, reference},
	}, func(t testing.TB, who arrangement) {
		n := layered(t, who, square, "ls_t_update", "2", "ls_t_timeo", "10", "ls_t_recalc", "1")
		last := n.hosts[3]
		left := n.hosts[:3]
		for _, m := range left {
			m.serve(t, "oping."+m.name, "oping", "-Q")
		}
		reachEachOther(t, "at first", left)
		if last.who == ours {
			last.ours().Stop(t)
		} else {
			last.Kill()
		}
		last.Node = nil
		reachEachOther(t, "without "+last.name, left)
		for _, m := range n.ourMembers() {
			host.Eventually(t, m.name+" reaches the two that are left", func() bool {
				return len(m.show(t).LinkState.Routes) == 2
			})
		}
		n.healthy(t)
	})
}
