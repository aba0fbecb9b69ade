package sim

import (
	"testing"

	"ouroboros/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestGraphs(t *testing.T) {
	for _, c := range []struct {
		g                  Graph
		n, edges, diameter int
	}{
		{Line(5), 5, 4, 4}, {Ring(6), 6, 6, 3}, {Grid(4, 3), 12, 17, 5}, {Tree(7, 2), 7, 6, 4},
		{Line(1), 1, 0, 0}, {Random(2, 4, 1), 2, 1, 1},
	} {
		if c.g.N != c.n || len(c.g.Edges) != c.edges || c.g.Diameter() != c.diameter {
			t.Errorf("%s: %d nodes, %d links, diameter %d", c.g.Name, c.g.N, len(c.g.Edges), c.g.Diameter())
		}
	}
	g := Random(100, 4, 7)
	if len(g.Edges) != 200 {
		t.Errorf("%d links", len(g.Edges))
	}
	for i, d := range g.Distances(0, nil) {
		if d < 0 {
			t.Errorf("node %d cannot be reached", i)
		}
	}
	for i, e := range Random(100, 4, 7).Edges {
		if e != g.Edges[i] || e[0] >= e[1] {
			t.Errorf("another graph: %v, %v", e, g.Edges[i])
		}
	}
}
