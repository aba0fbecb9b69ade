package sim

import (
	"fmt"
	"math/rand/v2"
)

// Graph is nodes, numbered from 0, and the links between them.
type Graph struct {
	Name  string
	N     int
	Edges []Edge
}

// Edge is a link; the lower number comes first.
type Edge [2]int

func edge(a, b int) Edge { return Edge{min(a, b), max(a, b)} }

// Line joins n nodes in a row.
func Line(n int) Graph {
	g := Graph{Name: fmt.Sprintf("line %d", n), N: n}
	for i := 1; i < n; i++ {
		g.Edges = append(g.Edges, Edge{i - 1, i})
	}
	return g
}

// Ring joins n nodes in a circle.
func Ring(n int) Graph {
	g := Line(n)
	g.Name = fmt.Sprintf("ring %d", n)
	g.Edges = append(g.Edges, Edge{0, n - 1})
	return g
}

// Grid joins w x h nodes with their neighbours; node y*w+x stands at x, y.
func Grid(w, h int) Graph {
	g := Graph{Name: fmt.Sprintf("grid %dx%d", w, h), N: w * h}
	for i := range g.N {
		if i%w > 0 {
			g.Edges = append(g.Edges, Edge{i - 1, i})
		}
		if i >= w {
			g.Edges = append(g.Edges, Edge{i - w, i})
		}
	}
	return g
}

// Tree joins n nodes, each with up to k below it.
func Tree(n, k int) Graph {
	g := Graph{Name: fmt.Sprintf("tree %d", n), N: n}
	for i := 1; i < n; i++ {
		g.Edges = append(g.Edges, Edge{(i - 1) / k, i})
	}
	return g
}

// Random joins n nodes by n*degree/2 links, connected: a random tree, and links
// between random pairs.
func Random(n, degree int, seed uint64) Graph {
	g := Graph{Name: fmt.Sprintf("random %d", n), N: n}
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	have := make(map[Edge]bool)
	add := func(e Edge) {
		if e[0] != e[1] && !have[e] {
			have[e] = true
			g.Edges = append(g.Edges, e)
		}
	}
	for i := 1; i < n; i++ {
		add(edge(i, r.IntN(i)))
	}
	for most := n * (n - 1) / 2; len(g.Edges) < min(n*degree/2, most); {
		add(edge(r.IntN(n), r.IntN(n)))
	}
	return g
}

// Neighbours lists the neighbours of each node.
func (g Graph) Neighbours() [][]int {
	of := make([][]int, g.N)
	for _, e := range g.Edges {
		of[e[0]] = append(of[e[0]], e[1])
		of[e[1]] = append(of[e[1]], e[0])
	}
	return of
}

// Distances gives the hops from a node to all, over the links that use says;
// -1 = no way.
func (g Graph) Distances(from int, use func(Edge) bool) []int {
	of, d := g.Neighbours(), make([]int, g.N)
	for i := range d {
		d[i] = -1
	}
	d[from] = 0
	for next := []int{from}; len(next) > 0; next = next[1:] {
		for _, o := range of[next[0]] {
			if d[o] < 0 && (use == nil || use(edge(next[0], o))) {
				d[o] = d[next[0]] + 1
				next = append(next, o)
			}
		}
	}
	return d
}

// Diameter is the longest of all shortest ways.
func (g Graph) Diameter() (most int) {
	for i := range g.N {
		for _, d := range g.Distances(i, nil) {
			most = max(most, d)
		}
	}
	return most
}
