package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ouroboros/irm"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// square is a network with two ways from a to d, and a stream between the two.
//
//	  b
//	 ╱ ╲
//	a   d
//	 ╲ ╱
//	  c
func square(t testing.TB, r irm.Routing, cables string) (n *network, s *stream) {
	t.Helper()
	n = unicast(t, cables, policy(r))
	n.settled(t, 4)
	return n, n.streams(t, "a", "d", nil)
}

// way is the two cables over which the stream goes: those whose ports send.
func (n *network) way(t testing.TB, s *stream) (near, far *cable) {
	t.Helper()
	a, d := n.site("a"), n.site("d")
	sent := func() map[string]float64 {
		m := map[string]float64{}
		for _, p := range a.show(t).DT.Ports {
			m[p.Neighbour] += p.Cubes[0].Sent
		}
		return m
	}
	host.Eventually(t, "the stream goes one way", func() bool {
		before, from := sent(), s.now()
		host.Eventually(t, "messages are sent", func() bool { return s.now() >= from+50 })
		after := sent()
		for _, c := range a.cables {
			via := c.other(a)
			if nb := via.address(t); after[nb]-before[nb] >= 40 {
				near, far = c, via.cables[slices.IndexFunc(via.cables, func(c *cable) bool { return c.other(via) == d })]
				return true
			}
		}
		return false
	})
	return near, far
}

// cut takes an end of a cable down until the network has noticed, and then up
// again. It gives how many messages of a stream were lost either time.
func (n *network) cut(t testing.TB, s *stream, end *site, c *cable) (lost, back int) {
	t.Helper()
	from := s.now()
	if err := end.space.Down(c.name); err != nil {
		t.Fatal(err)
	}
	n.knows(t, len(n.cables)-1)
	lost = s.lost(t, from)
	from = s.now()
	if err := end.space.Up(c.name); err != nil {
		t.Fatal(err)
	}
	n.knows(t, len(n.cables))
	return lost, s.lost(t, from)
}

// knows waits until all know so many links.
func (n *network) knows(t testing.TB, links int) {
	t.Helper()
	for _, s := range n.sites {
		host.Eventually(t, fmt.Sprintf("%s knows %d links", s.name, links), func() bool { return len(s.show(t).links()) == links })
	}
}

// Of a few losses the least is held against what the machine can do, since one
// that runs tests is busy, and all against what nobody should see.
func few(t testing.TB, what string, lost []int, most int) {
	t.Helper()
	t.Logf("%s: %v messages of a thousand a second were lost", what, lost)
	if slices.Min(lost) > most || slices.Max(lost) > 500 {
		t.Errorf("%s: %v messages were lost, and %d should be", what, lost, most)
	}
}

const tries = 3

func TestTrafficGoesAnotherWayWhenACarrierIsLost(t *testing.T) {
	for _, r := range []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP} {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			n, s := square(t, r, "ab bd ac cd")
			var near, far, back []int
			for i := range tries {
				// At the sender's side, and at the other side of the same cable.
				c, _ := n.way(t, s)
				lost, again := n.cut(t, s, c.ends[i%2], c)
				near, back = append(near, lost), append(back, again)
			}
			for range tries {
				_, c := n.way(t, s)
				lost, again := n.cut(t, s, n.site("d"), c)
				far, back = append(far, lost), append(back, again)
			}
			most := 50
			if r == irm.LFA {
				most = 9
			}
			few(t, "a cut at the first hop", near, most)
			few(t, "a cut further on", far, 50)
			few(t, "the cable is back", back, 9)
		})
	}
}

func TestACarrierThatFlapsCostsLittle(t *testing.T) {
	t.Parallel()
	n, s := square(t, irm.LFA, "ab bd ac cd")
	c, _ := n.way(t, s)
	a, b := n.site("a"), c.other(n.site("a"))
	nb := b.address(t)
	redials, before := n.redials(t), n.holds(t)
	from := s.now()
	var lost []int
	for range 20 {
		begin := s.now()
		for _, change := range []func(string) error{b.space.Down, b.space.Up} {
			if err := change(c.name); err != nil {
				t.Fatal(err)
			}
		}
		lost = append(lost, s.lost(t, begin))
	}
	all := s.lost(t, from)
	few(t, "a flap", lost, 9)
	if sent := s.now() - from; all > sent/10 {
		t.Errorf("of %d messages %d were lost", sent, all)
	}
	n.settled(t, 4)
	host.Eventually(t, "the first way is taken again", func() bool {
		now, _ := n.way(t, s)
		return now == c
	})
	// The flows below have outlived it.
	v := a.show(t)
	for _, p := range v.DT.Ports {
		if p.Neighbour == nb && p.Downs < 10 {
			t.Errorf("the port to %s went down %d times", b.name, p.Downs)
		}
	}
	if now := n.redials(t); now != redials {
		t.Errorf("%d connections were made again", now-redials)
	}
	n.same(t, before)
}

// redials counts the connections that were made again.
func (n *network) redials(t testing.TB) (all int) {
	t.Helper()
	for _, s := range n.sites {
		for _, c := range s.show(t).Connections.Connections {
			all += c.Redials
		}
	}
	return all
}

// A cable that says nothing of its end: only silence tells.
func TestASilentNeighbourIsGivenUp(t *testing.T) {
	for _, what := range []string{"both ways", "one way"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			n, s := square(t, irm.LinkState, "~ab bd ~ac cd")
			c, _ := n.way(t, s)
			before := n.holds(t)
			dead := relay.Impairment{Loss: 1}
			from, begin := s.now(), time.Now()
			if what == "both ways" {
				c.relay.Impair(dead)
			} else {
				c.relay.ImpairOne(relay.AtoB, dead) // from a
			}
			number, at := s.flows(t)
			took := at.Sub(begin)
			t.Logf("traffic goes on after %v, and %d of %d messages are lost", took, s.lost(t, from), number-from)
			if took < 5*time.Second || took > 20*time.Second {
				t.Errorf("a silent neighbour is given up after %v", took)
			}
			n.knows(t, 3)
			begin = time.Now()
			c.relay.Impair(relay.Impairment{})
			n.settled(t, 4)
			t.Logf("the link is back after %v", time.Since(begin))
			host.Eventually(t, "the first way is taken again", func() bool {
				now, _ := n.way(t, s)
				return now == c
			})
			if n.redials(t) == 0 {
				t.Error("no connection was made again")
			}
			if what == "both ways" { // else one end waits for the silence of the old flows
				n.same(t, before)
			}
		})
	}
}
