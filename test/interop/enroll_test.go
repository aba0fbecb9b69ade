package interop

import (
	"math/rand/v2"
	"testing"
	"time"

	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// No message of an enrolment or of the beginning of a connection is repeated by
// the protocol. Members of ours begin anew when one is lost, within the time of
// the command. Those of the C implementation fail, and must be told again; then a
// member of ours that they have left half way enrolls them the next time.
func TestAMemberEnrollsAndConnectsThroughLosses(t *testing.T) {
	loss := map[string]float64{"ours-ours": 0.3, "reference-ours": 0.1, "ours-reference": 0.1}
	arranged(t, arrangements(2), func(t testing.TB, who arrangement) {
		for _, kind := range []string{"unicast", "broadcast"} {
			n := cabled(t, kind, who, chain(2))
			first, second := n.hosts[0], n.hosts[1]
			first.bootstrap(t)
			cable := n.lines[0].relay
			for _, d := range []relay.Direction{relay.AtoB, relay.BtoA} {
				// Some, and in any case the first.
				dice, passed := rand.New(rand.NewPCG(uint64(d), 3)), 0
				cable.ImpairOne(d, relay.Impairment{Loss: 1, Only: func([]byte) bool {
					passed++
					return passed == 1 || dice.Float64() < loss[who.String()]
				}})
			}
			begin := time.Now()
			second.know(t, first.ipcp())
			second.persists(t, "enroll", "type", kind, "layer", "net", "dst", first.ipcp(), "autobind")
			enrolled := time.Since(begin)
			if kind == "unicast" {
				second.persists(t, "connect", "dst", first.ipcp(), "component", "mgmt")
			}
			second.persists(t, "connect", "dst", first.ipcp(), "component", "dt")
			t.Logf("%s: enrolled after %v, connected after %v; lost %d and %d", kind, enrolled.Round(10*time.Millisecond),
				(time.Since(begin) - enrolled).Round(10*time.Millisecond), cable.Stats(relay.AtoB).Lost, cable.Stats(relay.BtoA).Lost)
			cable.Impair(relay.Impairment{})
			if kind == "unicast" {
				first.serve(t, "oping.a", "oping", "-Q")
				second.pingsAgain(t, "oping.a") // the links may not be known yet
			}
			n.healthy(t)
		}
	})
}

// persists runs a command about a host's member: once with ours, else until it
// succeeds.
func (m *member) persists(t testing.TB, command string, words ...string) {
	t.Helper()
	args := append([]string{"ipcp", command, "name", m.ipcp()}, words...)
	if m.who == ours {
		m.OK(t, "irm", args...)
		return
	}
	host.Eventually(t, m.name+" has done: "+command, func() bool {
		r := m.Run(t, "irm", args...)
		if r.Code != 0 {
			t.Logf("%s: %s %v: %s%s", m.name, command, words, r.Stdout, r.Stderr)
			m.attends(t)
		}
		return r.Code == 0
	})
}
