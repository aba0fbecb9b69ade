package sim

import (
	"testing"
	"time"

	"ouroboros/internal/simnet"
	"ouroboros/irm"
	"ouroboros/qos"
)

// busiest gives the link that carried most since the counts were taken.
func (n *Net) busiest(since map[Edge]uint64, among func(Edge) bool) (e Edge) {
	var most uint64
	for k, c := range n.counts() {
		if c -= since[k]; c > most && among(k) {
			e, most = k, c
		}
	}
	return e
}

// counts are the frames that were sent on each link.
func (n *Net) counts() map[Edge]uint64 {
	of := make(map[Edge]uint64, len(n.Edges))
	for _, e := range n.Edges {
		of[e] = n.Link(e[0], e[1]).Stats().Sent
	}
	return of
}

// failover sends 10,000 messages a second from one node to another, and cuts a
// link of their way, one of those among, after a second.
func failover(t *testing.T, n *Net, from, to int, among func(Edge) bool) (lost int, gap time.Duration) {
	t.Helper()
	s, err := n.Stream(from, to, qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	var cut Edge
	go func() {
		before := n.counts()
		time.Sleep(time.Second)
		if cut = n.busiest(before, among); cut != (Edge{}) {
			n.Link(cut[0], cut[1]).Cut()
		}
	}()
	if err := s.Send(100, 100*time.Microsecond, 3*time.Second); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second)
	if cut == (Edge{}) {
		t.Fatal("no link of the way was found")
	}
	gap, at := s.Gap()
	lost = s.Lost()
	t.Logf("link %v of the way from %d to %d was cut: %d of %d lost, a gap of %v", cut, from, to, lost, s.sent, gap)
	if lost > 0 && time.Until(at) < -3*time.Second-100*time.Millisecond {
		t.Error("the gap is not that of the cut")
	}
	s.Close()
	n.Link(cut[0], cut[1]).Mend()
	time.Sleep(2 * time.Second)
	return lost, gap
}

func anyLink(Edge) bool { return true }

// TestWithAlternatesACutCostsOnlyWhatIsOnTheWay: the node at the cut knows
// another way, so only the packets on the link itself are lost.
func TestWithAlternatesACutCostsOnlyWhatIsOnTheWay(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Grid(3, 3), Options{Seed: 1, Unicast: config(irm.LFA), Link: simnet.Link{Delay: 200 * time.Microsecond}})
		n.Settle()
		for _, to := range []int{8, 4, 5} {
			at := func(e Edge) bool { return e[0] == 0 }
			if lost, _ := failover(t, n, 0, to, at); lost >= 10 {
				t.Errorf("%d lost", lost)
			}
		}
	})
}

// TestTrafficIsBackSoonAfterACut in a layer of twenty nodes, whichever link of
// the way it is.
func TestTrafficIsBackSoonAfterACut(t *testing.T) {
	for _, r := range policies {
		t.Run(r.String(), func(t *testing.T) {
			world(t, func(t *testing.T) {
				n := Build(t, Grid(5, 4), Options{Seed: 2, Unicast: config(r), Link: simnet.Link{Delay: 500 * time.Microsecond}})
				n.Settle()
				for _, c := range []struct {
					from, to int
					among    func(Edge) bool
				}{
					{0, 19, func(e Edge) bool { return e[0] == 0 }},
					{0, 19, func(e Edge) bool { return e[0] != 0 && e[1] != 19 }},
					{4, 15, func(e Edge) bool { return e[0] == 15 || e[1] == 15 }},
				} {
					if _, gap := failover(t, n, c.from, c.to, c.among); gap > 50*time.Millisecond {
						t.Errorf("traffic from %d to %d was back after %v", c.from, c.to, gap)
					}
				}
			})
		})
	}
}

// TestAReliableFlowOutlivesACut: all comes, in order.
func TestAReliableFlowOutlivesACut(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Ring(6), Options{Seed: 3})
		n.Settle()
		s, err := n.Stream(0, 3, qos.Data)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		go func() {
			for range 4 {
				before := n.counts()
				time.Sleep(2 * time.Second)
				e := n.busiest(before, anyLink)
				n.Link(e[0], e[1]).Cut()
				time.Sleep(2 * time.Second)
				n.Link(e[0], e[1]).Mend()
			}
		}()
		if err := s.Send(1000, time.Millisecond, 17*time.Second); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if s.Lost() > 0 || !s.Ordered() {
			t.Errorf("%d lost; in order: %v", s.Lost(), s.Ordered())
		}
		gap, _ := s.Gap()
		t.Logf("%d messages, the longest gap %v", s.sent, gap)
	})
}

// TestWithEqualPathsAllAreUsedAndAFlowKeepsItsOrder.
func TestWithEqualPathsAllAreUsedAndAFlowKeepsItsOrder(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Grid(2, 2), Options{Seed: 4, Unicast: config(irm.ECMP), Link: simnet.Link{Delay: time.Millisecond, Jitter: time.Millisecond}})
		n.Settle()
		before := n.counts()
		for range 40 {
			s, err := n.Stream(0, 3, qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(100, 100*time.Microsecond, 20*time.Millisecond); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
			if s.Lost() > 0 || !s.Ordered() {
				t.Errorf("%d lost; in order: %v", s.Lost(), s.Ordered())
			}
			s.Close()
		}
		after := n.counts()
		for _, e := range n.Edges {
			if c := after[e] - before[e]; c < 200*10 {
				t.Errorf("link %v carried %d packets of 40 flows", e, c)
			}
		}
	})
}
