package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"ouroboros/internal/simnet"
)

// trouble is what happens to a network at random: links that are cut, that go
// silent or bad, nodes that stop, that crash, and all of it put right after a
// while.
type trouble struct {
	n      *Net
	r      *rand.Rand
	t      *testing.T
	happen map[string]int
}

// pause draws a time with a mean.
func (x *trouble) pause(mean time.Duration) time.Duration {
	return time.Duration(float64(mean) * min(x.r.ExpFloat64(), 5))
}

// one makes something happen that is over before calm.
func (x *trouble) one(calm time.Time) {
	until := min(x.pause(45*time.Second), time.Until(calm))
	e := x.n.Edges[x.r.IntN(len(x.n.Edges))]
	l := x.n.Link(e[0], e[1])
	after := func(what string, f func()) {
		x.happen[what]++
		time.AfterFunc(until, f)
	}
	switch x.r.IntN(6) {
	case 0, 1:
		l.Cut()
		after("cut", l.Mend)
	case 2:
		l.Silence(true)
		after("silent", func() { l.Silence(false) })
	case 3:
		bad := x.n.opts.Link
		bad.Loss, bad.Reorder, bad.Duplicate = 0.2, 0.1, 0.1
		l.Set(bad)
		after("bad", func() { l.Set(x.n.opts.Link) })
	default:
		i := 1 + x.r.IntN(x.n.N-1)
		if !x.n.Hosts[i].Running() {
			return
		}
		if x.r.IntN(2) == 0 {
			x.happen["stop"]++
			x.n.Stop(i)
		} else {
			x.happen["crash"]++
			x.n.Crash(i)
		}
	}
}

// back starts the nodes that do not run. In the middle of trouble one that does
// not reach its neighbours waits for another time.
func (x *trouble) back(all bool) {
	for again := true; again; {
		again = false
		for i, h := range x.n.Hosts {
			if h.Running() {
				continue
			}
			near := false
			for _, o := range x.n.near[i] {
				near = near || x.n.Hosts[o].Running()
			}
			if !near {
				again = all // a neighbour comes first
				continue
			}
			if err := x.n.Start(i); err != nil {
				x.n.Stop(i)
				if all {
					x.t.Errorf("node %d does not come back: %v", i, err)
				}
			}
		}
	}
}

// TestADayOfTrouble: things happen for some minutes, then all is put right, and
// within the refresh interval every name resolves from every node and every way
// leads there; again and again, until the day is over.
func TestADayOfTrouble(t *testing.T) {
	g, day := Random(12, 4, 1), time.Hour
	if soak {
		g, day = Random(30, 4, 1), 24*time.Hour
	}
	if testing.Short() {
		day = 20 * time.Minute
	}
	world(t, func(t *testing.T) {
		n := Build(t, g, Options{Seed: 1, Link: simnet.Link{Delay: 2 * time.Millisecond, Loss: 0.001}})
		x := &trouble{n: n, r: rand.New(rand.NewPCG(1, 2)), t: t, happen: make(map[string]int)}
		refresh := time.Duration(n.opts.Unicast.LSUpdate) * time.Second
		memory, checks, longest := int64(0), 0, time.Duration(0)
		for begun := time.Now(); time.Since(begun) < day; {
			for calm := time.Now().Add(5 * time.Minute); time.Now().Before(calm); {
				x.one(calm)
				time.Sleep(x.pause(20 * time.Second))
				if x.r.IntN(3) == 0 {
					x.back(false)
				}
			}
			for _, l := range n.Links() {
				l.Silence(false)
				l.Set(n.opts.Link)
				if l.IsCut() {
					l.Mend()
				}
			}
			x.back(true)
			checks++
			d, err := Await(t.Context(), 2*refresh, time.Second, func() error { return n.Walk(nil) })
			if err != nil {
				t.Errorf("%v: %v after all was put right: %v", time.Since(begun), d, err)
			}
			all, err := Await(t.Context(), 2*refresh-d, 500*time.Millisecond, n.resolves)
			if err != nil {
				t.Errorf("%v: %v after all was put right: %v", time.Since(begun), d+all, err)
			}
			longest = max(longest, d+all)
			if t.Failed() {
				return
			}
			if checks == 3 { // all has been used once
				memory = heap()
			}
		}
		grown := (heap() - memory) / int64(n.N)
		t.Logf("%v: %v; %d times all was well again, after %v at most; the memory of a node grew by %d kB", day, x.happen, checks, longest, grown>>10)
		// Tables of endpoints keep their pages, half a megabyte in all.
		if grown > 512<<10 {
			t.Error("memory grows")
		}
	})
}

// TestLookupsTakeFewRounds: no more than the logarithm of the number of members
// and one.
func TestLookupsTakeFewRounds(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Random(60, 4, 4), Options{Seed: 4})
		n.Settle()
		var some []Pair
		for i := range n.Hosts {
			some = append(some, Pair{i, (i + 17) % n.N}, Pair{i, (11*i + 5) % n.N})
		}
		if _, err := n.ResolveAll(without(some)...); err != nil {
			t.Error(err)
		}
		n.roundsAreFew(t)
	})
}

// roundsAreFew looks at the counters of all directories.
func (n *Net) roundsAreFew(t *testing.T) {
	t.Helper()
	limit := int(math.Ceil(math.Log2(float64(n.N)))) + 1
	most, lookups := 0, uint64(0)
	for i, h := range n.Hosts {
		s, err := h.Show()
		if err != nil {
			t.Fatal(err)
		}
		c := s.Directory.Counters
		most, lookups = max(most, c.Rounds), lookups+c.Lookups
		if c.Rounds > limit {
			t.Errorf("node %d: a lookup took %d rounds", i, c.Rounds)
		}
	}
	t.Logf("%d lookups took %d rounds at most; the limit is %d", lookups, most, limit)
}
