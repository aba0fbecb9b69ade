package interop

import (
	"fmt"
	"testing"

	"ouroboros/test/host"
)

// tree is five hosts:
//
//	a ─ b ─ c ─ d
//	    │
//	    e
var tree = append(chain(4), [2]int{1, 4})

// The directory is kept by all members together, whatever they are: each name is
// found from everywhere, one that was there before others have joined as well as
// those that came later.
func TestNamesAreFoundAcrossBothKinds(t *testing.T) {
	arranged(t, []arrangement{
		{ours, ours, ours, ours, ours},
		{ours, reference, ours, reference, ours},
		{reference, ours, reference, ours, reference},
		{ours, reference, reference, ours, reference},
	}, func(t testing.TB, who arrangement) {
		n := cabled(t, "unicast", who, tree)
		first := n.hosts[0]
		// A name of the time when there was one member.
		n.early = func(m *member) {
			if m == first {
				first.serve(t, "early", "oping", "-Q")
			}
		}
		n.join(t, quick...)
		for _, m := range n.hosts {
			m.serve(t, "oping."+m.name, "oping", "-Q")
		}
		for _, from := range n.hosts {
			if from != first {
				from.pings(t, "early")
			}
			for _, to := range n.hosts {
				if from != to {
					from.pings(t, "oping."+to.name)
				}
			}
		}
		for _, m := range n.ourMembers() {
			m.isRefused(t, "nobody")
			host.Eventually(t, m.name+" has all others as contacts", func() bool {
				return len(m.show(t).Directory.Contacts) == len(n.hosts)-1
			})
		}
		for _, m := range n.ourMembers() {
			t.Logf("%s: %s", m.name, counters(m.show(t)))
		}
		n.healthy(t)
	})
}

// counters are those of a directory that say how its lookups went.
func counters(s shown) (text string) {
	for _, name := range []string{"queries", "lookups", "local", "answers", "negative", "timeouts", "stores"} {
		text += fmt.Sprintf("%s %v ", name, s.Directory.Counters[name])
	}
	return text
}
