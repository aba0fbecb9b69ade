package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/netns"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// arrangement says who is at each place of a network.
type arrangement []string

func (a arrangement) has(who string) bool { return slices.Contains(a, who) }

func (a arrangement) String() string { return strings.Join(a, "-") }

// arrangements are all of n places, but for that of references alone.
func arrangements(n int) (all []arrangement) {
	for bits := range 1<<n - 1 {
		a := make(arrangement, n)
		for i := range a {
			a[i] = ours
			if bits>>i&1 != 0 {
				a[i] = reference
			}
		}
		all = append(all, a)
	}
	return all
}

// arranged runs a test for each arrangement, on new hosts.
func arranged(t *testing.T, all []arrangement, test func(t testing.TB, a arrangement)) {
	for _, a := range all {
		t.Run(a.String(), func(t *testing.T) {
			if a.has(reference) && !host.HasReference() {
				t.Skip("no " + host.ReferenceVariable + ": the tests against the C implementation need the directory that it is installed in")
			}
			t.Parallel()
			tried(t, a, func(t testing.TB) { test(t, a) })
		})
	}
}

// network is hosts with cables between them. Each cable is a layer of its own;
// the hosts are members of one layer over all of them.
//
//	 host a            host b                       host c
//	┌──────────┐      ┌───────────────────┐        ┌──────────┐
//	│    n.a   │      │        n.b        │        │   n.c    │   layer "net"
//	│     │    │      │     │       │     │        │    │     │
//	│   e.ab   │      │   e.ab    e.bc    │        │  e.bc    │   layers "ab", "bc"
//	└─────┼────┘      └─────┼───────┼─────┘        └────┼─────┘
//	      └───── relay ─────┘       └────── relay ──────┘
type network struct {
	t     testing.TB
	kind  string // of the layer
	hosts []*member
	lines []*line
	early func(m *member) // called with each host that has become a member; or nil
}

// line is a cable and the layer over it.
type line struct {
	layer string
	ends  [2]*member
	relay *relay.Relay
}

// member is a host of a network.
type member struct {
	host.Node
	net   *network
	who   string
	name  string // one letter
	space *netns.Space
	lines []*line
}

// pairs are the ends of cables, as numbers of hosts.
type pairs [][2]int

// chain is n hosts in a row.
func chain(n int) (p pairs) {
	for i := range n - 1 {
		p = append(p, [2]int{i, i + 1})
	}
	return p
}

// cabled makes the hosts and the layers of their cables.
func cabled(t testing.TB, kind string, who arrangement, cables pairs) *network {
	t.Helper()
	n := &network{t: t, kind: kind}
	for i, w := range who {
		m := &member{net: n, who: w, name: string(rune('a' + i)), space: netns.Empty(t)}
		n.hosts = append(n.hosts, m)
	}
	for i, c := range cables {
		a, b := n.hosts[c[0]], n.hosts[c[1]]
		l := &line{layer: a.name + b.name, ends: [2]*member{a, b}}
		var err error
		if l.relay, err = relay.Join(a.space, l.layer, b.space, l.layer, uint64(i)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.relay.Close() })
		n.lines = append(n.lines, l)
		l.record(t)
		a.lines, b.lines = append(a.lines, l), append(b.lines, l)
	}
	for _, m := range n.hosts {
		m.start(t)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, m := range n.ourMembers() {
			t.Logf("%s: %s", m.name, m.Run(t, "irm", "ipcp", "show", m.ipcp(), "--json").Stdout)
		}
	})
	return n
}

// start runs the host's daemon, with the layers of its cables.
func (m *member) start(t testing.TB) {
	t.Helper()
	if m.who == reference {
		m.Node = host.StartReference(t, m.space)
	} else {
		m.Node = host.StartAt(t, m.space)
	}
	for _, l := range m.lines {
		m.OK(t, "irm", "ipcp", "bootstrap", "name", "e."+l.layer, "type", "eth-dix", "layer", l.layer, "dev", l.layer)
	}
}

// ipcp is the name of the host's member of the layer.
func (m *member) ipcp() string { return "n." + m.name }

// ours is the daemon of a host of ours.
func (m *member) ours() *host.Daemon { return m.Node.(*host.Daemon) }

// other is the end of a line that m is not.
func (l *line) other(m *member) *member {
	if l.ends[0] == m {
		return l.ends[1]
	}
	return l.ends[0]
}

// bootstrap makes a host the first member.
func (m *member) bootstrap(t testing.TB, parameters ...string) {
	t.Helper()
	m.OK(t, "irm", append([]string{"ipcp", "bootstrap", "name", m.ipcp(), "type", m.net.kind, "layer", "net", "autobind"}, parameters...)...)
	m.attends(t)
	m.reachable(t)
}

// attends fails at once when an IPCP of the C implementation takes no commands or
// connections: it can miss that it has become operational, and then every command
// to it waits for 20 s; and one of a broadcast layer can begin to wait for
// connections before there is what it waits at, and then mostly finds it, or else
// tries for ever.
func (m *member) attends(t testing.TB) {
	t.Helper()
	r, ok := m.Node.(*host.Reference)
	if !ok {
		return
	}
	if strings.Contains(r.Log().String(), "shutting down") {
		t.Fatalf("%s: the reference's IPCP has stopped to take commands", m.name)
	}
	waits := func() int { return strings.Count(r.Log().String(), "Failed to get next DT connection") }
	if n := waits(); n > 0 {
		time.Sleep(100 * time.Millisecond)
		if waits() > n {
			t.Fatalf("%s: the reference's IPCP takes no connections", m.name)
		}
	}
	r.Hasten()
}

// reachable registers the member in the layers of the host's cables.
func (m *member) reachable(t testing.TB) {
	t.Helper()
	for _, l := range m.lines {
		m.OK(t, "irm", "name", "register", m.ipcp(), "layer", l.layer)
	}
}

// enroll makes a host a member, through a neighbour.
func (m *member) enroll(t testing.TB, via *member) {
	t.Helper()
	m.know(t, via.ipcp())
	m.insist(t, "irm", "ipcp", "enroll", "name", m.ipcp(), "type", m.net.kind, "layer", "net", "dst", via.ipcp(), "autobind")
	m.attends(t)
	m.reachable(t)
}

// insist runs a command that asks another host something; one of the C
// implementation gives up after 200 ms, and is told again.
func (m *member) insist(t testing.TB, name string, args ...string) {
	t.Helper()
	for try := 1; ; try++ {
		r := m.Run(t, name, args...)
		if r.Code == 0 {
			return
		}
		m.attends(t)
		if m.who == ours || try == tries {
			t.Fatalf("%s (%s): %s %s: exit %d\n%s%s", m.name, m.who, name, strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
		}
		t.Logf("%s: %s %s: %s%s", m.name, name, strings.Join(args, " "), r.Stdout, r.Stderr)
	}
}

// know makes a destination known to a host of the C implementation, which
// allocates to names of its own registry only.
func (m *member) know(t testing.TB, name string) {
	t.Helper()
	if m.who == reference {
		m.Run(t, "irm", "name", "create", name)
	}
}

// connect connects a member with a neighbour.
func (m *member) connect(t testing.TB, with *member) {
	t.Helper()
	m.know(t, with.ipcp())
	if m.net.kind == "unicast" {
		m.insist(t, "irm", "ipcp", "connect", "name", m.ipcp(), "dst", with.ipcp(), "component", "mgmt")
	}
	m.insist(t, "irm", "ipcp", "connect", "name", m.ipcp(), "dst", with.ipcp(), "component", "dt")
}

// disconnect ends what connect made.
func (m *member) disconnect(t testing.TB, with *member) {
	t.Helper()
	m.OK(t, "irm", "ipcp", "disconnect", "name", m.ipcp(), "dst", with.ipcp())
}

// join makes all hosts members: the first bootstraps, and each next one enrolls
// with a neighbour and connects to those that are members already.
func (n *network) join(t testing.TB, parameters ...string) {
	t.Helper()
	var in []*member
	for i, m := range n.hosts {
		if i == 0 {
			m.bootstrap(t, parameters...)
		}
		first := true
		for _, l := range m.lines {
			if nb := l.other(m); slices.Contains(in, nb) {
				if first {
					m.enroll(t, nb)
				}
				first = false
				m.connect(t, nb)
			}
		}
		in = append(in, m)
		if n.early != nil {
			n.early(m)
		}
	}
}

// layered makes a unicast layer over hosts that are joined by cables.
func layered(t testing.TB, who arrangement, cables pairs, parameters ...string) *network {
	t.Helper()
	n := cabled(t, "unicast", who, cables)
	n.join(t, parameters...)
	return n
}

// serve runs a tool as a server under a name that the layer knows.
func (m *member) serve(t testing.TB, name, tool string, args ...string) *host.Process {
	t.Helper()
	p := m.Go(t, nil, tool, append([]string{"--listen"}, args...)...)
	m.Bind(t, p, name)
	m.OK(t, "irm", "name", "register", name, "layer", "net")
	return p
}

// use runs a tool as a client. A host of the C implementation gives a name up
// after 200 ms, having asked once, and one in some twenty answers of such a
// server gets lost: then it is tried again, as long as the test has patience.
func (m *member) use(t testing.TB, tool, name string, args ...string) host.Result {
	t.Helper()
	m.know(t, name)
	args = append([]string{"-n", name}, args...)
	for begin := time.Now(); ; {
		var r host.Result
		if ref, ok := m.Node.(*host.Reference); ok {
			r = ref.RunFor(t, 40*time.Second, tool, args...)
		} else {
			r = m.Run(t, tool, args...)
		}
		if !strings.Contains(r.Stdout+r.Stderr, "Failed to allocate flow") || time.Since(begin) > host.Patience {
			return r
		}
		if !mixed(m.net) {
			return r
		}
		t.Logf("%s: %s %s: %s%s", m.name, tool, name, r.Stdout, r.Stderr)
		m.net.allocates(t)
	}
}

// allocates fails at once when a flow allocator of the C implementation has come
// to a stand.
func (n *network) allocates(t testing.TB) {
	t.Helper()
	for _, m := range n.hosts {
		if ref, ok := m.Node.(*host.Reference); ok && ref.Stands() {
			t.Fatalf("%s: the reference's flow allocator has come to a stand", m.name)
		}
	}
}

func mixed(n *network) bool {
	return slices.ContainsFunc(n.hosts, func(m *member) bool { return m.who == reference })
}

// pings exchanges five messages with an oping server. They can change places on
// hosts of the C implementation, where two threads read for one flow.
func (m *member) pings(t testing.TB, name string) {
	t.Helper()
	r := m.use(t, "oping", name, "-c", "5", "-i", "5ms")
	if !all5.MatchString(r.Stdout) || !mixed(m.net) && !strings.Contains(r.Stdout, " 0 out-of-order") {
		t.Fatalf("%s (%s) pings %s: exit %d\n%s%s", m.name, m.who, name, r.Code, r.Stdout, r.Stderr)
	}
}

var all5 = regexp.MustCompile(`5 packets transmitted, 5 received, \d out-of-order, 0% packet loss`)

// floods exchanges a hundred messages with an oping server over a reliable flow,
// the next when the answer is there.
func (m *member) floods(t testing.TB, name string) {
	t.Helper()
	busy := "-f"
	if m.who == reference {
		busy = "-F" // its reader can sleep on what has come, unless it reads busily
	}
	r := m.use(t, "oping", name, "-c", "100", "-q", "data", "-s", "1000", "-Q", busy)
	if !strings.Contains(r.Stdout, "100 packets transmitted, 100 received, 0 out-of-order, 0% packet loss") {
		t.Fatalf("%s (%s) floods %s: exit %d\n%s%s", m.name, m.who, name, r.Code, r.Stdout, r.Stderr)
	}
}

// healthy fails when a host of the C implementation has crashed.
func (n *network) healthy(t testing.TB) {
	t.Helper()
	for _, m := range n.hosts {
		if r, ok := m.Node.(*host.Reference); ok {
			for _, c := range r.Crashed() {
				t.Errorf("%s: the reference crashed: %s", m.name, c)
			}
		}
	}
}

// shown is what a member of ours says of itself.
type shown struct {
	Layer     map[string]any
	LinkState struct {
		Own  string
		LSDB []struct {
			Src, Dst   string
			Seq        uint64
			Structured bool
			Age        float64 `json:"age_s"`
			Withdrawn  bool
			Usable     bool
		}
		Neighbours []struct {
			Address string
			Up      bool
		}
		Routes []struct {
			Dst  string
			Next []string
		}
		Counters map[string]float64
	}
	Directory struct {
		Counters map[string]float64
		Contacts []struct{ Address string }
		Values   []struct {
			Hash      string
			Addresses []string
		}
	}
	Flows struct {
		Flows struct {
			Open int
			List []struct {
				Remote  string
				Sent    struct{ Packets, Dropped int }
				Updates int `json:"updates_received"`
				Told    int `json:"updates_sent"`
			}
		}
		Arrivals map[string]float64
	}
	Enrollment  map[string]float64
	Connections struct {
		Dialling, Accepting map[string]float64
		Connections         []struct {
			ID                   int
			Component, Dst, Peer string
			State                string
			Redials              int
		}
	}
}

// show asks a member of ours.
func (m *member) show(t testing.TB) (s shown) {
	t.Helper()
	var of struct{ Components shown }
	text := m.OK(t, "irm", "ipcp", "show", m.ipcp(), "--json")
	if err := json.Unmarshal([]byte(text), &of); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return of.Components
}

// links are those that a member of ours knows and that exist, as "from>to".
func (s *shown) links() (l []string) {
	for _, e := range s.LinkState.LSDB {
		if !e.Withdrawn {
			l = append(l, e.Src+">"+e.Dst)
		}
	}
	slices.Sort(l)
	return l
}

// knows waits until a member of ours has the given number of links in its data
// base, and routes to so many members.
func (m *member) knows(t testing.TB, links, routes int) (s shown) {
	t.Helper()
	host.Eventually(t, fmt.Sprintf("%s has %d links and %d routes", m.name, links, routes), func() bool {
		s = m.show(t)
		return len(s.links()) == links && len(s.LinkState.Routes) == routes
	})
	return s
}

// ourMembers are the hosts that are ours and run.
func (n *network) ourMembers() (l []*member) {
	for _, m := range n.hosts {
		if m.who == ours && m.Node != nil {
			l = append(l, m)
		}
	}
	return l
}

// within bounds what a test waits for beyond the patience of the others.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
