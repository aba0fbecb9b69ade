package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

func TestTheNeighboursOfABroadcastLayerAreNamedAsWellAsPossible(t *testing.T) {
	g, err := graphOf(irm.IPCPInfo{Name: "b1", Type: irm.Broadcast, Layer: "all"}, tidy(map[string]any{
		"forwarding": map[string]any{"neighbours": []map[string]any{
			{"dst": "b2", "peer": "0d61", "state": "forwarding", "mtu": int64(8976)}, // dialled
			{"dst": "", "peer": "0e72", "state": "down", "mtu": int64(1400)},         // accepted
			{"dst": "", "peer": "", "state": "forwarding", "mtu": int64(1400)},       // of the C implementation
		}},
	}).(map[string]any))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimLeft(`
all: 4 members, 3 links known here

  0e72            b1 (down)
  b1 (this node)  0e72 (down), b2 (forwarding), neighbour 3 (forwarding)
  b2              b1 (forwarding)
  neighbour 3     b1 (forwarding)
`, "\n")
	if got := g.text(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestGraphvizIsQuoted(t *testing.T) {
	g := &graph{Layer: "a\"b\\c\n", Own: "x", Nodes: []string{"x"}}
	if got := g.dot(); !strings.HasPrefix(got, `graph "a\"b\\c\\n" {`) {
		t.Errorf("got %s", got)
	}
}

func TestComponentsAndMembersAreCompleted(t *testing.T) {
	n := newNode(t)
	pid, err := n.CreateIPCP(t.Context(), "n1", irm.Unicast)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.BootstrapIPCP(t.Context(), pid, irm.NewConfig(irm.Unicast, "mesh")); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"ipcp show n1 component ":     "connections directory dt flows linkstate unicast",
		"ipcp show n1 component l":    "linkstate",
		"ipcp show nobody component ": "",
		"layer graph ":                "mesh n1",
		"layer graph --dot me":        "mesh",
		"layer list name ":            "mesh",
	} {
		var out bytes.Buffer
		words := append([]string{grammar.CompleteWord, "--"}, strings.Split(line, " ")...)
		dial := func(context.Context, string) (Service, error) { return n, nil }
		if code := Run(t.Context(), words, Env{Stdout: &out, Stderr: &out, Dial: dial}); code != 0 {
			t.Errorf("code %d", code)
		}
		var got []string
		for _, l := range strings.Split(strings.TrimSpace(out.String()), "\n")[1:] {
			word, _, _ := strings.Cut(l, "\t")
			got = append(got, word)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("irm %s: %q, want %s", line, got, want)
		}
	}
}
