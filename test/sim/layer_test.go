package sim

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/simnet"
	"ouroboros/irm"
)

// soak says that the long tests run, too.
var soak = os.Getenv("OUROBOROS_SOAK") == "1"

// world runs a test in virtual time. Everything in it is random by its seed
// alone, but for addresses and the order of what happens in one instant.
func world(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	// One processor: the race detector of Go 1.26 crashes when timers of a bubble
	// are looked at on several. Time is virtual, so nothing is lost.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	begun := time.Now()
	synctest.Test(t, f)
	t.Logf("it took %v", time.Since(begun).Round(time.Millisecond))
}

// policies are the ways of routing.
var policies = []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP}

func config(r irm.Routing) *irm.UnicastConfig {
	c := irm.NewUnicastConfig()
	c.Routing = r
	return c
}

func TestEveryNameResolvesFromEveryNode(t *testing.T) {
	graphs := []Graph{Line(8), Ring(10), Grid(5, 4), Tree(20, 3), Random(30, 4, 1)}
	for _, g := range graphs {
		t.Run(g.Name, func(t *testing.T) {
			world(t, func(t *testing.T) {
				n := Build(t, g, Options{Seed: 1})
				n.Settle()
				if err := n.Walk(nil); err != nil {
					t.Error(err)
				}
				took, err := n.ResolveAll()
				if err != nil {
					t.Error(err)
				}
				t.Logf("%d allocations, median %v", len(took), Median(took))
			})
		})
	}
}

func TestAHundredNodesAreALayer(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Random(100, 4, 2), Options{Seed: 2})
		n.Settle()
		if err := n.Walk(nil); err != nil {
			t.Error(err)
		}
		var some []Pair
		for i := range n.Hosts {
			some = append(some, Pair{i, (i + 31) % n.N}, Pair{i, (7*i + 3) % n.N})
		}
		took, err := n.ResolveAll(without(some)...)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%d allocations, median %v", len(took), Median(took))
	})
}

// without leaves out pairs of a node with itself.
func without(pairs []Pair) (other []Pair) {
	for _, p := range pairs {
		if p.From != p.To {
			other = append(other, p)
		}
	}
	return other
}

func TestLossAndDuplicatesAndDisorderBelowAreNoMatter(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Grid(4, 3), Options{Seed: 3, Link: simnet.Link{
			Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.03, Duplicate: 0.02, Reorder: 0.02,
		}})
		n.Settle()
		if err := n.Walk(nil); err != nil {
			t.Error(err)
		}
		took, err := n.ResolveAll()
		if err != nil {
			t.Error(err)
		}
		t.Logf("%d allocations, median %v", len(took), Median(took))
	})
}

// TestNoLoopOutlivesTheNewsOfAChange cuts and mends links one after the other;
// soon after each the tables lead everywhere again and nowhere round.
func TestNoLoopOutlivesTheNewsOfAChange(t *testing.T) {
	for _, r := range policies {
		t.Run(r.String(), func(t *testing.T) {
			world(t, func(t *testing.T) {
				n := Build(t, Grid(5, 4), Options{Seed: 4, Unicast: config(r)})
				n.Settle()
				down := make(map[Edge]bool)
				connected := func(from, to int) bool {
					return n.Distances(from, func(e Edge) bool { return !down[e] })[to] >= 0
				}
				for k := range 40 {
					e := n.Edges[(k*7)%len(n.Edges)]
					if down[e] {
						n.Link(e[0], e[1]).Mend()
					} else {
						n.Link(e[0], e[1]).Cut()
					}
					down[e] = !down[e]
					time.Sleep(n.calm())
					if err := n.Walk(connected); err != nil {
						t.Fatalf("after change %d of link %v: %v", k, e, err)
					}
				}
			})
		})
	}
}

func TestAPartitionHeals(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Grid(6, 4), Options{Seed: 5})
		n.Settle()
		left := func(i int) bool { return i%6 < 3 }
		cut := n.Partition(left)
		time.Sleep(2 * time.Minute) // longer than link states live
		var inside []Pair
		for _, p := range n.Pairs() {
			if left(p.From) == left(p.To) {
				inside = append(inside, p)
			}
		}
		if _, err := n.ResolveAll(inside...); err != nil {
			t.Errorf("inside of the halves: %v", err)
		}
		if err := n.Walk(func(from, to int) bool { return left(from) == left(to) }); err != nil {
			t.Error(err)
		}
		for _, l := range cut {
			l.Mend()
		}
		refresh := time.Duration(n.opts.Unicast.LSUpdate) * time.Second
		d, err := Await(t.Context(), refresh, 100*time.Millisecond, func() error { return n.Walk(nil) })
		if err != nil {
			t.Errorf("no ways after %v: %v", d, err)
		}
		all, err := Await(t.Context(), refresh-d, 500*time.Millisecond, n.resolves)
		if err != nil {
			t.Errorf("%v after the ways are there: %v", all, err)
		}
		t.Logf("there were ways after %v, and all names %v later", d, all)
	})
}

// TestAFifthOfTheNodesComesAndGoes: half of those that go say nothing.
func TestAFifthOfTheNodesComesAndGoes(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Random(25, 5, 6), Options{Seed: 6})
		n.Settle()
		fifth := n.N / 5
		for round := range 3 {
			var gone []int
			for k := range fifth {
				i := 1 + (round*fifth+k*3)%(n.N-1)
				if !n.Hosts[i].Running() {
					continue
				}
				gone = append(gone, i)
				if k%2 == 0 {
					n.Stop(i)
				} else {
					n.Crash(i)
				}
			}
			time.Sleep(30 * time.Second)
			alive := func(from, to int) bool {
				return n.Distances(from, func(e Edge) bool { return n.Hosts[e[0]].Running() && n.Hosts[e[1]].Running() })[to] >= 0
			}
			if err := n.Walk(alive); err != nil {
				t.Errorf("round %d, without %v: %v", round, gone, err)
			}
			var pairs []Pair
			for _, p := range n.Pairs() {
				if alive(p.From, p.To) {
					pairs = append(pairs, p)
				}
			}
			if _, err := n.ResolveAll(pairs...); err != nil {
				t.Errorf("round %d, without %v: %v", round, gone, err)
			}
			for _, i := range gone {
				if err := n.Start(i); err != nil {
					t.Fatalf("round %d: node %d comes back: %v", round, i, err)
				}
			}
			d, err := Await(t.Context(), 15*time.Second, 100*time.Millisecond, func() error { return n.Walk(nil) })
			if err != nil {
				t.Errorf("round %d, all are back: %v", round, err)
			}
			all, err := Await(t.Context(), 15*time.Second, 500*time.Millisecond, n.resolves)
			if err != nil {
				t.Errorf("round %d, all are back: %v", round, err)
			}
			t.Logf("round %d: %v went; ways were there %v after they came back, and all names %v later", round, gone, d, all)
		}
	})
}

func TestALinkThatIsSilentIsGivenUp(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Ring(6), Options{Seed: 7})
		n.Settle()
		n.Link(0, 1).Silence(true)
		n.Link(3, 4).SetFrom(0, simnet.Link{Loss: 1}) // one direction only
		n.Link(3, 4).SetFrom(0, simnet.Link{Delay: time.Millisecond})
		d, err := Await(t.Context(), 2*time.Minute, time.Second, func() error {
			if err := n.Walk(nil); err != nil {
				return err
			}
			t, err := n.tables()
			if err != nil {
				return err
			}
			if next := t.of[0][1]; len(next) != 1 || next[0] == 1 {
				return errors.New("the silent link is still used")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := n.ResolveAll(); err != nil {
			t.Error(err)
		}
		n.Link(0, 1).Silence(false)
		back, err := Await(t.Context(), 2*time.Minute, time.Second, func() error {
			t, err := n.tables()
			if err == nil && (len(t.of[0][1]) == 0 || t.of[0][1][0] != 1) {
				err = fmt.Errorf("the link is not used again: %v", t.of[0][1])
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		t.Logf("given up after %v, used again after %v", d, back)
	})
}
