package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ouroboros/test/host"
)

func TestTwoHostsMakeALayer(t *testing.T) {
	arranged(t, arrangements(2), func(t testing.TB, a arrangement) {
		n := layered(t, a, chain(2))
		first, second := n.hosts[0], n.hosts[1]
		first.serve(t, "oping.a", "oping", "-Q")
		second.serve(t, "oping.b", "oping", "-Q")
		second.pings(t, "oping.a")
		first.pings(t, "oping.b")
		n.healthy(t)
	})
}

// odd is a configuration in which nothing is as it is by default.
var odd = []string{
	"hash", "SHA3_512", "ttl", "17", "routing", "lfa", "congestion", "none",
	"ls_t_recalc", "2", "ls_t_update", "3", "ls_t_timeo", "11",
	"dht_alpha", "2", "dht_k", "5", "dht_t_expire", "3000", "dht_t_refresh", "60", "dht_t_replicate", "61",
}

// The last of a line has the configuration of the first, whoever handed it on.
func TestTheConfigurationOfALayerArrivesUnchanged(t *testing.T) {
	arranged(t, []arrangement{
		{ours, ours}, {reference, ours}, {ours, reference, ours}, {reference, reference, ours},
	}, func(t testing.TB, a arrangement) {
		n := layered(t, a, chain(len(a)), odd...)
		last := n.hosts[len(a)-1]
		got := last.show(t).Layer
		for key, want := range map[string]any{
			"name": "net", "hash": "SHA3_512", "addr_size": 4, "eid_size": 8, "max_ttl": 17, "routing": "lfa", "congestion": "none",
			"ls_t_recalc": 2, "ls_t_update": 3, "ls_t_timeo": 11,
			"dht_alpha": 2, "dht_k": 5, "dht_t_expire": 3000, "dht_t_refresh": 60, "dht_t_replicate": 61,
		} {
			if fmt.Sprint(got[key]) != fmt.Sprint(want) {
				t.Errorf("%s is %v, and was %v", key, got[key], want)
			}
		}
		first := n.hosts[0]
		if first.who == ours {
			mine := first.show(t).Layer
			delete(mine, "address")
			delete(got, "address")
			delete(got, "enrolled_with")
			if fmt.Sprint(mine) != fmt.Sprint(got) {
				t.Errorf("the first has %v\nthe last %v", mine, got)
			}
		}
		first.serve(t, "oping.a", "oping", "-Q")
		last.pings(t, "oping.a")
		last.serve(t, "oping.z", "oping", "-Q")
		first.pings(t, "oping.z")
		n.healthy(t)
	})
}

// quick are timers with which a test sees updates.
var quick = []string{"ls_t_update", "2", "ls_t_timeo", "20", "ls_t_recalc", "1"}

// A line of three, anybody at any place: everybody reaches everybody.
func TestALineOfThreeCarriesFlows(t *testing.T) {
	arranged(t, arrangements(3), func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(3), quick...)
		a, b, c := n.hosts[0], n.hosts[1], n.hosts[2]
		for _, m := range n.hosts {
			m.serve(t, "oping."+m.name, "oping", "-Q")
		}
		for _, from := range n.hosts {
			for _, to := range n.hosts {
				if from != to {
					from.pings(t, "oping."+to.name)
				}
			}
		}
		// Two hops, with all that a reliable flow does. Two programs of the C
		// implementation come to a stand with each other, whoever is between.
		if a.who == ours || c.who == ours {
			a.floods(t, "oping.c")
			c.floods(t, "oping.a")
		}
		// Everybody knows the same four links.
		var links []string
		for _, m := range n.ourMembers() {
			s := m.knows(t, 4, 2)
			if l := s.links(); links == nil {
				links = l
			} else if !slices.Equal(l, links) {
				t.Errorf("%s knows %v, others %v", m.name, l, links)
			}
		}
		for _, l := range n.lines {
			for i, m := range l.ends {
				if m.who == reference && l.ends[1-i].who == ours {
					l.asks(t, l.ends[1-i], m, links)
				}
			}
		}
		for _, m := range n.ourMembers() {
			m.isRefused(t, "nobody")
		}
		b.pings(t, "oping.a")
		n.healthy(t)
	})
}

// asks makes a second Management connection from a host of ours to one of the C
// implementation, which tells its data base over that.
func (l *line) asks(t testing.TB, from, to *member, want []string) {
	t.Helper()
	tap := l.listen(to)
	from.OK(t, "irm", "ipcp", "connect", "name", from.ipcp(), "dst", to.ipcp(), "component", "mgmt")
	host.Eventually(t, fmt.Sprintf("%s tells all of %v", to.name, want), func() bool {
		return slices.Equal(tap.told(), want)
	})
	from.OK(t, "irm", "ipcp", "disconnect", "name", from.ipcp(), "dst", to.ipcp(), "component", "mgmt")
}

// isRefused allocates to a name that nobody has registered.
func (m *member) isRefused(t testing.TB, name string) {
	t.Helper()
	begin := time.Now()
	r := m.Run(t, "oping", "-n", name, "-c", "1")
	if took := time.Since(begin); r.Code == 0 || took > 8*time.Second {
		t.Errorf("%s: the name %s is refused after %v: exit %d\n%s%s", m.name, name, took, r.Code, r.Stdout, r.Stderr)
	}
}
