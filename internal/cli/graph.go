package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"ouroboros/internal/errno"
	"ouroboros/irm"
)

// graph is who is linked with whom in a layer, sorted.
type graph struct {
	Layer string     `json:"layer"`
	Type  string     `json:"type"`
	Own   string     `json:"own"` // the address of this node's member, or the name of a broadcast IPCP
	Nodes []string   `json:"nodes"`
	Edges []edgeView `json:"edges"`
}

// edgeView is a link. When only one end tells of it that is A.
type edgeView struct {
	A     string `json:"a"`
	B     string `json:"b"`
	Both  bool   `json:"both"`
	MTU   int64  `json:"mtu"`   // bytes; 0 = not known
	State string `json:"state"` // of a broadcast layer, as "forwarding"
}

// graphOf makes the graph from what the components of an IPCP show.
func graphOf(i irm.IPCPInfo, components map[string]any) (*graph, error) {
	g := &graph{Layer: i.Layer, Type: i.Type.String(), Nodes: []string{}, Edges: []edgeView{}}
	if i.Type == irm.Broadcast {
		g.Own = i.Name
		if !g.neighbours(components) {
			return nil, errno.New(errno.NotSup, "the broadcast layer %q does not tell of its neighbours", i.Layer).
				Next("only unicast layers have a graph; see: irm ipcp show %s", i.Name)
		}
		return g, nil
	}
	state, ok := components["linkstate"].(map[string]any)
	own, _ := state["own"].(string)
	if !ok || own == "" {
		return nil, errno.New(errno.IPCP, "the IPCP %q does not tell of its link states", i.Name).
			Next("see what it shows: irm ipcp show %s", i.Name)
	}
	g.Own = own
	g.linkStates(state["lsdb"])
	return g, nil
}

// linkStates takes the links of a data base. An entry is one direction.
func (g *graph) linkStates(lsdb any) {
	type pair struct{ src, dst string }
	mtu := map[pair]int64{}
	for _, l := range objects(lsdb) {
		p := pair{word(l["src"]), word(l["dst"])}
		if gone, _ := l["withdrawn"].(bool); !gone && p.src != "" && p.dst != "" {
			mtu[p] = integer(l["mtu"])
		}
	}
	for p, m := range mtu {
		back, both := mtu[pair{p.dst, p.src}]
		switch {
		case !both:
			g.Edges = append(g.Edges, edgeView{A: p.src, B: p.dst, MTU: m})
		case p.src < p.dst: // the other direction is not told again
			if m == 0 || back != 0 && back < m {
				m = back
			}
			g.Edges = append(g.Edges, edgeView{A: p.src, B: p.dst, Both: true, MTU: m})
		}
	}
	g.sort()
}

// neighbours takes those of a broadcast IPCP: false when it shows none.
func (g *graph) neighbours(components map[string]any) bool {
	list, ok := components["neighbours"]
	if forwarding, is := components["forwarding"].(map[string]any); is && !ok {
		if list, ok = forwarding["neighbours"]; !ok {
			list, ok = forwarding["ports"]
		}
	}
	if !ok {
		return false
	}
	for n, l := range objects(list) {
		name := ""
		for _, key := range []string{"name", "dst", "neighbour", "peer", "address", "id"} {
			if name = word(l[key]); name != "" && name != "0" {
				break
			}
		}
		if name == "" {
			name = fmt.Sprintf("neighbour %d", n+1)
		}
		g.Edges = append(g.Edges, edgeView{A: g.Own, B: name, Both: true, MTU: integer(l["mtu"]), State: word(l["state"])})
	}
	g.sort()
	return true
}

// sort puts all in order; the nodes are the own one and the ends of the edges.
func (g *graph) sort() {
	nodes := map[string]bool{g.Own: true}
	for _, e := range g.Edges {
		nodes[e.A], nodes[e.B] = true, true
	}
	g.Nodes = slices.Sorted(maps.Keys(nodes))
	slices.SortFunc(g.Edges, func(x, y edgeView) int {
		return cmp.Or(cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B), cmp.Compare(x.State, y.State))
	})
}

// text writes a line a member, with its neighbours:
//
//	big: 3 members, 1 link, 1 one way
//
//	  01.00.00.00 (this node)  02.00.00.00
//	  02.00.00.00              01.00.00.00, 03.00.00.00 (one way)
//	  03.00.00.00              -
func (g *graph) text() string {
	var b strings.Builder
	both := 0
	for _, e := range g.Edges {
		if e.Both {
			both++
		}
	}
	fmt.Fprintf(&b, "%s: %s, %s", printable(g.Layer), plural(len(g.Nodes), "member"), plural(both, "link"))
	if one := len(g.Edges) - both; one > 0 {
		fmt.Fprintf(&b, ", %d one way", one)
	}
	if g.Type == irm.Broadcast.String() {
		b.WriteString(" known here")
	}
	b.WriteString("\n\n")
	title := func(n string) string {
		if n == g.Own {
			return printable(n) + " (this node)"
		}
		return printable(n)
	}
	to := map[string][]string{}
	for _, e := range g.Edges {
		note := ""
		switch {
		case !e.Both:
			note = " (one way)"
		case e.State != "":
			note = " (" + printable(e.State) + ")"
		}
		to[e.A] = append(to[e.A], printable(e.B)+note)
		if e.Both {
			to[e.B] = append(to[e.B], printable(e.A)+note)
		}
	}
	width := 0
	for _, n := range g.Nodes {
		width = max(width, utf8.RuneCountInString(title(n)))
	}
	for _, n := range g.Nodes {
		slices.Sort(to[n])
		b.WriteString("  ")
		pad(&b, title(n), width)
		fmt.Fprintf(&b, "  %s\n", cmp.Or(strings.Join(to[n], ", "), "-"))
	}
	return b.String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// dot writes the graph in the language of Graphviz. A link that only one end
// tells of, or over which nothing is sent, is dashed.
func (g *graph) dot() string {
	var b strings.Builder
	fmt.Fprintf(&b, "graph %s {\n  node [shape=box];\n", quote(g.Layer))
	for _, n := range g.Nodes {
		if n == g.Own {
			fmt.Fprintf(&b, "  %s [style=filled, penwidth=2];\n", quote(n))
		} else {
			fmt.Fprintf(&b, "  %s;\n", quote(n))
		}
	}
	for _, e := range g.Edges {
		var attributes []string
		if e.State != "" {
			attributes = append(attributes, "label="+quote(e.State))
		}
		switch {
		case !e.Both:
			attributes = append(attributes, "style=dashed", "dir=forward")
		case e.State != "" && e.State != "forwarding":
			attributes = append(attributes, "style=dashed")
		}
		fmt.Fprintf(&b, "  %s -- %s", quote(e.A), quote(e.B))
		if len(attributes) > 0 {
			fmt.Fprintf(&b, " [%s]", strings.Join(attributes, ", "))
		}
		b.WriteString(";\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// quote writes a name as Graphviz has it, whatever it holds.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(s)) + `"`
}

// objects gives the objects of a list, or of an object of objects, whose keys
// become their names.
func objects(v any) []map[string]any {
	var all []map[string]any
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if m, ok := e.(map[string]any); ok {
				all = append(all, m)
			}
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if m, ok := v[k].(map[string]any); ok {
				m = maps.Clone(m)
				m["name"] = k
				all = append(all, m)
			}
		}
	}
	return all
}

// word gives a value as text; "" for none.
func word(v any) string {
	if v == nil {
		return ""
	}
	if s, ok := v.(string); ok {
		return s
	}
	return scalar(v)
}

// integer gives a number; 0 for anything else.
func integer(v any) int64 {
	var n int64
	if isNumber(v) {
		fmt.Sscan(scalar(v), &n)
	}
	return n
}
