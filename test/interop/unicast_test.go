package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ouroboros"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/qos"
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

// oursAtBothEnds and oursFirst are lines whose ends this process can be.
var (
	oursAtBothEnds = []arrangement{{ours, ours, ours}, {ours, reference, ours}}
	oursFirst      = append(slices.Clone(oursAtBothEnds), arrangement{ours, ours, reference}, arrangement{ours, reference, reference})
)

func TestOperfMeasuresAcrossTwoHops(t *testing.T) {
	arranged(t, oursFirst, func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(3), quick...)
		a, c := n.hosts[0], n.hosts[2]
		s := c.serve(t, "operf.c", "operf")
		kinds := []string{"raw", "data"}
		if c.who == reference {
			kinds = kinds[:1] // it comes to a stand with several messages outstanding
		}
		for _, kind := range kinds {
			r := a.use(t, "operf", "operf.c", "-t", "bi", "-d", "1s", "-s", "1000", "-r", "2M", "-q", kind)
			if !regexp.MustCompile(`[1-9][0-9]* packets transmitted, [1-9][0-9]* received, [0-9]% packet loss`).MatchString(r.Stdout) ||
				strings.Contains(r.Stdout, "Invalid message") {
				t.Errorf("%s: exit %d\n%s%s%s", kind, r.Code, r.Stdout, r.Stderr, s.Out)
			}
		}
		n.healthy(t)
	})
}

// A flow that is idle is kept alive by packets that are empty in the layer, and
// so are the connections that carry it by packets that are empty below it.
func TestKeepAlivesCrossALayer(t *testing.T) {
	arranged(t, oursFirst, func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(3), quick...)
		a, c := n.hosts[0], n.hosts[2]
		c.serve(t, "oping.c", "oping", "-Q")
		spec := qos.Raw
		spec.Timeout = 2000
		f := a.allocates(t, "oping.c", &spec)
		if err := newPinger(f).once(64); err != nil {
			t.Fatal(err)
		}
		var taps []*tap
		for _, l := range n.lines {
			taps = append(taps, l.listen(l.ends[0]), l.listen(l.ends[1]))
		}
		for i, tap := range taps {
			host.Eventually(t, fmt.Sprintf("empty packets pass cable %d in direction %d, of flow and connection", i/2, i%2), func() bool {
				return tap.count(wire.HeaderLen) >= 3 && tap.count(0) >= 1
			})
		}
		f.Close()
		a.hasNoFlows(t)
		n.healthy(t)
	})
}

// Connections last, whoever has made them and whoever they lead to, while
// nothing is sent over them.
func TestIdleConnectionsLast(t *testing.T) {
	arranged(t, arrangements(2), func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(2))
		first, second := n.hosts[0], n.hosts[1]
		first.serve(t, "oping.a", "oping", "-Q")
		second.pings(t, "oping.a")
		time.Sleep(20 * time.Second) // more than the silence that ends them; is what the test is about
		second.pings(t, "oping.a")
		for _, m := range n.ourMembers() {
			s := m.show(t)
			if s.Connections.Dialling["lost"] != 0 || len(s.Connections.Connections) != 2 {
				t.Errorf("%s: %+v", m.name, s.Connections)
			}
		}
		n.healthy(t)
	})
}

// hasNoFlows waits until a member of ours carries no flow of the layer.
func (m *member) hasNoFlows(t testing.TB) {
	t.Helper()
	host.Eventually(t, m.name+" has no flows any more", func() bool { return m.show(t).Flows.Flows.Open == 0 })
}

// allocates makes this process a client of a host of ours and allocates a flow.
func (m *member) allocates(t testing.TB, name string, spec *ouroboros.QoS) *ouroboros.Flow {
	t.Helper()
	c := open(t, m.ours())
	var err error
	for range tries {
		var f *ouroboros.Flow
		if f, err = c.Alloc(within(t, 15*time.Second), name, spec); err == nil {
			t.Cleanup(func() { f.Close() })
			return f
		}
		if !mixed(m.net) {
			break
		}
	}
	t.Fatalf("%s allocates to %s: %v", m.name, name, err)
	return nil
}

// A name that is unregistered and registered again is reached. In between its
// server decides: who knew its address may still come.
func TestANameIsUnregistered(t *testing.T) {
	arranged(t, oursAtBothEnds, func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(3), quick...)
		a, c := n.hosts[0], n.hosts[2]
		c.serve(t, "oping.c", "oping", "-Q")
		a.pings(t, "oping.c")
		c.OK(t, "irm", "name", "unregister", "oping.c", "layer", "net")
		c.OK(t, "irm", "name", "register", "oping.c", "layer", "net")
		a.pings(t, "oping.c")
		n.healthy(t)
	})
}

// A neighbour that is disconnected is gone at once for members of ours, and
// comes back with the connection. Whoever has dialled, and in whatever order
// its components are connected again.
func TestNeighboursDisconnectAndConnectAgain(t *testing.T) {
	var all []arrangement
	for _, who := range arrangements(3) {
		if who[1] == ours || who[2] == ours { // two of the C implementation do not find back to each other
			all = append(all, who)
		}
	}
	arranged(t, all, func(t testing.TB, who arrangement) {
		n := layered(t, who, chain(3), quick...)
		a, b, c := n.hosts[0], n.hosts[1], n.hosts[2]
		a.serve(t, "oping.a", "oping", "-Q")
		c.serve(t, "oping.c", "oping", "-Q")
		a.pings(t, "oping.c")
		c.pings(t, "oping.a")
		for _, components := range [][]string{{"mgmt", "dt"}, {"dt", "mgmt"}} {
			c.disconnect(t, b)
			if c.who == ours {
				c.knows(t, 0, 0)
			}
			for _, component := range components {
				c.insist(t, "irm", "ipcp", "connect", "name", c.ipcp(), "dst", b.ipcp(), "component", component)
			}
			begin := time.Now()
			a.pingsAgain(t, "oping.c")
			c.pingsAgain(t, "oping.a")
			t.Logf("%v: it took %v", components, time.Since(begin).Round(10*time.Millisecond))
		}
		for _, m := range n.ourMembers() {
			m.knows(t, 4, 2)
		}
		n.healthy(t)
	})
}

// pingsAgain pings until all pings of one run are answered.
func (m *member) pingsAgain(t testing.TB, name string) {
	t.Helper()
	m.know(t, name)
	host.Eventually(t, m.name+" pings "+name, func() bool {
		m.net.allocates(t)
		return all5.MatchString(m.Run(t, "oping", "-n", name, "-c", "5", "-i", "5ms").Stdout)
	})
}
