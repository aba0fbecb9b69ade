package graph_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"ouroboros/internal/ipcp/unicast/linkstate/graph"
	"ouroboros/internal/leak"
	"ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

func TestMain(m *testing.M) { leak.Main(m) }

type vector struct {
	Name              string
	Source            dt.Addr
	LSAs              [][2]dt.Addr `json:"lsas_in_order"`
	Simple, LFA, ECMP struct{ Table map[string][]dt.Addr }
}

// confirmed gives the links that both ends announce, in the order in which the
// first of the two announcements came.
func confirmed(lsas [][2]dt.Addr) (edges []graph.Edge) {
	born := make(map[[2]dt.Addr]uint64)
	for i, l := range lsas {
		other := [2]dt.Addr{l[1], l[0]}
		first, both := born[other]
		if !both {
			first = uint64(i)
		}
		born[l] = first
		if both {
			edges = append(edges, graph.Edge{A: l[0], B: l[1], Born: first})
		}
	}
	return edges
}

// mended is a list of the C implementation without what is wrong in it: the
// neighbours that have not confirmed the link, and those that are there twice.
func mended(list []dt.Addr, source dt.Addr, edges []graph.Edge) (l []dt.Addr) {
	for _, n := range list {
		ok := slices.ContainsFunc(edges, func(e graph.Edge) bool {
			return e.A == source && e.B == n || e.B == source && e.A == n
		})
		if ok && !slices.Contains(l, n) {
			l = append(l, n)
		}
	}
	return l
}

func TestTheOrderIsThatOfTheCImplementation(t *testing.T) {
	text, err := os.ReadFile("testdata/unicast-routing-graph-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 15 {
		t.Fatalf("%d topologies", len(file.Cases))
	}
	var s graph.Solver
	changed := 0
	for _, c := range file.Cases {
		edges := confirmed(c.LSAs)
		for policy, table := range map[irm.Routing]map[string][]dt.Addr{
			irm.LinkState: c.Simple.Table, irm.LFA: c.LFA.Table, irm.ECMP: c.ECMP.Table,
		} {
			got := s.Routes(c.Source, policy, edges)
			if len(got) != len(table) {
				t.Errorf("%s, %v: %v, want %v", c.Name, policy, got, table)
			}
			for dst, list := range table {
				a, _ := strconv.ParseUint(dst, 10, 64)
				want := mended(list, c.Source, edges)
				if !slices.Equal(want, list) {
					changed++
					if policy != irm.LFA {
						t.Errorf("%s, %v to %s is %v and needs mending", c.Name, policy, dst, list)
					}
				}
				if !slices.Equal(got[dt.Addr(a)].Next, want) {
					t.Errorf("%s, %v to %s: %v, want %v", c.Name, policy, dst, got[dt.Addr(a)].Next, want)
				}
			}
		}
	}
	if changed == 0 {
		t.Error("no list was mended")
	}
}

// plain is a layer, to be computed the slow way.
type plain struct {
	edges []graph.Edge
	next  map[dt.Addr]map[dt.Addr]int // MTU, 0 = not known
}

func newPlain(edges []graph.Edge) plain {
	p := plain{edges, make(map[dt.Addr]map[dt.Addr]int)}
	for _, e := range edges {
		for _, d := range [][2]dt.Addr{{e.A, e.B}, {e.B, e.A}} {
			if p.next[d[0]] == nil {
				p.next[d[0]] = make(map[dt.Addr]int)
			}
			p.next[d[0]][d[1]] = e.MTU
		}
	}
	return p
}

// dijkstra follows the rule of the layer by the letter: the unsettled vertex
// with the smallest distance, then the lowest address, is next; a label is
// replaced by a strictly smaller distance only.
func (p plain) dijkstra(from dt.Addr) (dist map[dt.Addr]int, hop map[dt.Addr]dt.Addr) {
	dist, hop = map[dt.Addr]int{from: 0}, make(map[dt.Addr]dt.Addr)
	settled := make(map[dt.Addr]bool)
	for {
		u, best := dt.Addr(0), math.MaxInt
		for v, d := range dist {
			if !settled[v] && (d < best || d == best && v < u) {
				u, best = v, d
			}
		}
		if best == math.MaxInt {
			return dist, hop
		}
		settled[u] = true
		for v := range p.next[u] {
			if d, known := dist[v]; known && d <= best+1 {
				continue
			}
			dist[v] = best + 1
			hop[v] = v
			if u != from {
				hop[v] = hop[u]
			}
		}
	}
}

// narrowest is the smallest MTU of all shortest ways from one to the other.
func (p plain) narrowest(from, to dt.Addr, dist map[dt.Addr]int) int {
	if from == to {
		return math.MaxInt
	}
	m := math.MaxInt
	for u, mtu := range p.next[to] {
		if d, ok := dist[u]; !ok || d != dist[to]-1 {
			continue
		}
		if mtu > 0 {
			m = min(m, mtu)
		}
		m = min(m, p.narrowest(from, u, dist))
	}
	return m
}

// routes is Solver.Routes, the slow way.
func (p plain) routes(s dt.Addr, policy irm.Routing) map[dt.Addr]graph.Hops {
	var neighbours []graph.Edge // B is the neighbour
	for _, e := range p.edges {
		if e.B == s {
			e.A, e.B = e.B, e.A
		}
		if e.A == s {
			neighbours = append(neighbours, e)
		}
	}
	slices.SortFunc(neighbours, func(x, y graph.Edge) int { return int(y.Born) - int(x.Born) })
	dist, hop := p.dijkstra(s)
	far := make(map[dt.Addr]map[dt.Addr]int)
	for _, n := range neighbours {
		far[n.B], _ = p.dijkstra(n.B)
	}
	routes := make(map[dt.Addr]graph.Hops)
	for v, first := range hop {
		h := graph.Hops{MTU: math.MaxInt}
		if policy != irm.ECMP {
			h.Next = append(h.Next, first)
		}
		for _, n := range neighbours {
			switch {
			case policy == irm.ECMP && far[n.B][v]+1 == dist[v],
				policy == irm.LFA && n.B != v && n.B != first && far[n.B][v] < 1+dist[v]:
				h.Next = append(h.Next, n.B)
			}
			if n.B == first || policy == irm.ECMP && far[n.B][v]+1 == dist[v] {
				if n.MTU > 0 {
					h.MTU = min(h.MTU, n.MTU)
				}
				h.MTU = min(h.MTU, p.narrowest(n.B, v, far[n.B]))
			}
		}
		if h.MTU == math.MaxInt {
			h.MTU = 0
		}
		routes[v] = h
	}
	return routes
}

// random gives links between n members, each with some MTU or none.
func random(r *rand.Rand, n, links int) (edges []graph.Edge) {
	addrs := make([]dt.Addr, n)
	for i := range addrs {
		addrs[i] = dt.Addr(r.Uint32() | 1)
	}
	seen := make(map[[2]dt.Addr]bool)
	for range links {
		a, b := addrs[r.IntN(n)], addrs[r.IntN(n)]
		if a == b || seen[[2]dt.Addr{min(a, b), max(a, b)}] {
			continue
		}
		seen[[2]dt.Addr{min(a, b), max(a, b)}] = true
		edges = append(edges, graph.Edge{A: a, B: b, Born: uint64(len(edges) * 7 % 1009), MTU: []int{0, 0, 1481, 1496, 8976}[r.IntN(5)]})
	}
	return edges
}

func same(a, b map[dt.Addr]graph.Hops) bool {
	return maps.EqualFunc(a, b, func(x, y graph.Hops) bool { return x.MTU == y.MTU && slices.Equal(x.Next, y.Next) })
}

func TestRandomLayersAreRoutedAsTheRuleSays(t *testing.T) {
	var s graph.Solver // its memory is used again
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		n := 2 + r.IntN(24)
		edges := random(r, n, n+r.IntN(2*n))
		if len(edges) == 0 {
			continue
		}
		source := edges[0].A
		p := newPlain(edges)
		shuffled := slices.Clone(edges)
		r.Shuffle(len(shuffled), func(i, j int) {
			shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
			shuffled[i].A, shuffled[i].B = shuffled[i].B, shuffled[i].A
		})
		for _, policy := range []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP} {
			got, want := s.Routes(source, policy, edges), p.routes(source, policy)
			if !same(got, want) {
				t.Fatalf("%v from %v over %v:\n%v, want\n%v", policy, source, edges, got, want)
			}
			if again := s.Routes(source, policy, shuffled); !same(got, again) {
				t.Fatalf("%v from %v over %v: the order of links matters", policy, source, edges)
			}
		}
	}
}

func TestManyNeighboursAreAsGoodAsFew(t *testing.T) {
	var edges []graph.Edge // a hub with 70 spokes, of which those next to each other are linked
	for i := range dt.Addr(70) {
		edges = append(edges, graph.Edge{A: 1, B: 100 + i, Born: uint64(i)})
		if i%3 != 0 {
			edges = append(edges, graph.Edge{A: 100 + i, B: 99 + i, Born: 1000})
		}
		edges = append(edges, graph.Edge{A: 100 + i, B: 1000 + i/2, Born: 2000})
	}
	var s graph.Solver
	p := newPlain(edges)
	for _, policy := range []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP} {
		if !same(s.Routes(1, policy, edges), p.routes(1, policy)) {
			t.Errorf("%v differs", policy)
		}
	}
}

func TestASourceWithoutLinksHasNoRoutes(t *testing.T) {
	var s graph.Solver
	for _, policy := range []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP} {
		for _, edges := range [][]graph.Edge{nil, {{A: 2, B: 3}}} {
			if got := s.Routes(1, policy, edges); len(got) != 0 {
				t.Errorf("%v over %v: %v", policy, edges, got)
			}
		}
	}
}

func TestAResultIsNotTouchedByTheNext(t *testing.T) {
	var s graph.Solver
	edges := []graph.Edge{{A: 1, B: 2, Born: 1}, {A: 1, B: 3, Born: 2}, {A: 2, B: 4, Born: 3}, {A: 3, B: 4, Born: 4}}
	before := s.Routes(1, irm.LFA, edges)
	want := newPlain(edges).routes(1, irm.LFA)
	s.Routes(4, irm.ECMP, []graph.Edge{{A: 9, B: 4}, {A: 8, B: 9}})
	if !same(before, want) {
		t.Errorf("%v, want %v", before, want)
	}
}

func large(seed uint64) []graph.Edge {
	r := rand.New(rand.NewPCG(seed, seed))
	edges := random(r, 2000, 8100)
	return edges[:min(len(edges), 8000)]
}

func hub() (edges []graph.Edge) {
	r := rand.New(rand.NewPCG(3, 3))
	for i := range dt.Addr(1999) {
		edges = append(edges, graph.Edge{A: 1, B: 2 + i, Born: uint64(i), MTU: 1496})
	}
	seen := make(map[[2]dt.Addr]bool)
	for len(edges) < 8000 {
		a, b := 2+dt.Addr(r.IntN(1999)), 2+dt.Addr(r.IntN(1999))
		if k := [2]dt.Addr{min(a, b), max(a, b)}; a != b && !seen[k] {
			seen[k] = true
			edges = append(edges, graph.Edge{A: a, B: b, MTU: 8976})
		}
	}
	return edges
}

func TestEightThousandLinksTakeLessThanFiftyMilliseconds(t *testing.T) {
	if raceEnabled {
		t.Skip("nothing can be said about times under the race detector")
	}
	var s graph.Solver
	for name, edges := range map[string][]graph.Edge{"random": large(1), "hub": hub()} {
		for _, policy := range []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP} {
			best := time.Hour // a busy machine makes single ones slow
			for range 10 {
				start := time.Now()
				s.Routes(edges[0].A, policy, edges)
				best = min(best, time.Since(start))
			}
			if limit := 50 * time.Millisecond; best > limit {
				t.Errorf("%s, %v: %v", name, policy, best)
			}
		}
	}
}

// The figure that is promised: 2,000 members and 8,000 links in 50 ms.
func BenchmarkRoutes(b *testing.B) {
	for name, edges := range map[string][]graph.Edge{"random": large(1), "hub": hub()} {
		for _, policy := range []irm.Routing{irm.LinkState, irm.LFA, irm.ECMP} {
			b.Run(fmt.Sprintf("%s/%v", name, policy), func(b *testing.B) {
				var s graph.Solver
				b.ReportAllocs()
				for b.Loop() {
					s.Routes(edges[0].A, policy, edges)
				}
			})
		}
	}
}
