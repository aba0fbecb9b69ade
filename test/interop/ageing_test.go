package interop

import (
	"testing"

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
