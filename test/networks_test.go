package test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

func TestALineCarriesFlowsBetweenAll(t *testing.T) {
	t.Parallel()
	n := unicast(t, "ab bc cd")
	n.settled(t, 3)
	n.speak(t, "net")
	for _, spec := range []*qos.Spec{nil, &qos.Voice, &qos.Data} {
		n.everybody(t, spec)
	}
	// What passes through is not what arrives.
	b := n.site("b").show(t)
	forwarded := 0.0
	for _, p := range b.DT.Ports {
		for _, c := range p.Cubes {
			forwarded += c.Forwarded
		}
	}
	if forwarded == 0 {
		t.Errorf("b has forwarded nothing: %+v", b.DT)
	}
	n.quiet(t)
}

func TestARingIsAsItsGraphSays(t *testing.T) {
	t.Parallel()
	n := unicast(t, "ab bc cd de ea")
	n.settled(t, 5)
	n.speak(t, "net")
	n.everybody(t, nil)
	for _, s := range n.sites {
		s.graphs(t, n)
	}
}

// graphs compares what irm says of the layer with the cables.
func (s *site) graphs(t testing.TB, n *network) {
	t.Helper()
	name := map[string]string{}
	for _, o := range n.sites {
		name[o.address(t)] = o.name
	}
	var want []string
	for _, c := range n.cables {
		ends := []string{c.ends[0].name, c.ends[1].name}
		slices.Sort(ends)
		want = append(want, strings.Join(ends, ""))
	}
	slices.Sort(want)
	var g struct {
		Layer, Type, Own string
		Nodes            []string
		Edges            []struct {
			A, B string
			Both bool
			MTU  int
		}
	}
	text := s.OK(t, "irm", "layer", "graph", "net", "--json")
	if err := json.Unmarshal([]byte(text), &g); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var have []string
	for _, e := range g.Edges {
		ends := []string{name[e.A], name[e.B]}
		slices.Sort(ends)
		have = append(have, strings.Join(ends, ""))
		if !e.Both || e.MTU < 1400 {
			t.Errorf("%s: the link %s is %+v", s.name, strings.Join(ends, ""), e)
		}
	}
	slices.Sort(have)
	if g.Layer != "net" || g.Type != "unicast" || name[g.Own] != s.name || len(g.Nodes) != len(n.sites) || !slices.Equal(have, want) {
		t.Errorf("%s knows the links %q, and there are %q:\n%s", s.name, have, want, text)
	}

	text = s.OK(t, "irm", "layer", "graph", "net", "--dot")
	edges := regexp.MustCompile(`(?m)^  "[0-9a-f.]+" -- "[0-9a-f.]+";$`).FindAllString(text, -1)
	if len(edges) != len(want) || !strings.HasPrefix(text, "graph \"net\" {\n") || !strings.HasSuffix(text, "}\n") {
		t.Errorf("%s: in the language of Graphviz:\n%s", s.name, text)
	}
	if dot, err := exec.LookPath("dot"); err == nil {
		cmd := exec.Command(dot, "-Tplain")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "\nedge ") != len(want) {
			t.Errorf("dot: %v\n%s", err, out)
		}
	}

	text = s.OK(t, "irm", "layer", "graph", "net")
	if !strings.HasPrefix(text, fmt.Sprintf("net: %d members, %d links\n", len(n.sites), len(want))) || !strings.Contains(text, g.Own+" (this node)") {
		t.Errorf("%s: for people:\n%s", s.name, text)
	}

	var layers []struct {
		Layer, Type, Hash string
		IPCPs, Names      []string
	}
	text = s.OK(t, "irm", "layer", "list", "--json")
	if err := json.Unmarshal([]byte(text), &layers); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var below []string
	for _, l := range layers {
		switch l.Type {
		case "unicast":
			if l.Layer != "net" || !slices.Equal(l.IPCPs, []string{s.member()}) || !slices.Equal(l.Names, []string{"echo." + s.name}) {
				t.Errorf("%s is in the layer %+v", s.name, l)
			}
		case "eth-dix":
			below = append(below, l.Layer)
			if !slices.Equal(l.Names, []string{s.member()}) {
				t.Errorf("%s has registered %q in %s", s.name, l.Names, l.Layer)
			}
		}
	}
	if !slices.Equal(below, s.wires()) || len(layers) != len(below)+1 {
		t.Errorf("%s is in the layers %+v, and has the cables %q", s.name, layers, s.wires())
	}

	for _, part := range []string{"connections", "directory", "dt", "enrollment", "flows", "layer", "linkstate"} {
		if out := s.OK(t, "irm", "ipcp", "show", s.member(), "component", part); len(out) < 40 {
			t.Errorf("%s shows of %s:\n%s", s.name, part, out)
		}
	}
}

func TestFlowsTakeAllEqualPaths(t *testing.T) {
	t.Parallel()
	n := unicast(t, "ab bd ac cd", policy(irm.ECMP))
	n.settled(t, 4)
	n.speak(t, "net")
	a, d := n.site("a"), n.site("d")
	if next := a.show(t).DT.Forwarding[d.address(t)]; len(next) != 2 {
		t.Fatalf("a has the ways %q to d", next)
	}
	for range 40 {
		a.talk(t, "echo.d", nil)
	}
	for _, s := range []*site{a, d} {
		for _, p := range s.show(t).DT.Ports {
			if sent := p.Cubes[0].Sent; sent < 40 {
				t.Errorf("%s has sent %v packets to %s", s.name, sent, p.Neighbour)
			}
		}
	}
}

func TestAlternatesAreKnownBeforeTheyAreNeeded(t *testing.T) {
	t.Parallel()
	n := unicast(t, "ab bd ac cd", policy(irm.LFA))
	n.settled(t, 4)
	a, b, d := n.site("a").show(t), n.site("b").address(t), n.site("d").address(t)
	// Opposite: over either neighbour. The neighbour itself: the other one could
	// send it back.
	if to := a.DT.Forwarding; len(to[d]) != 2 || len(to[b]) != 1 || to[b][0] != b {
		t.Errorf("a has the ways %q to d and %q to b", to[d], to[b])
	}
}

// upper makes members of another layer, which stands on one that is there. The
// first bootstraps, and each next one has the one before as its neighbour.
func (n *network) upper(t testing.TB, layer, below string, spec qos.Spec, sites ...string) {
	t.Helper()
	for i, name := range sites {
		s := n.site(name)
		mine := layer + "." + name
		if i == 0 {
			s.bootstrap(t, mine, irm.NewConfig(irm.Unicast, layer))
		} else {
			s.enroll(t, mine, irm.Unicast, layer+"."+sites[i-1])
		}
		s.attend(t, mine, below)
		if i > 0 {
			s.connect(t, mine, layer+"."+sites[i-1], spec)
		}
	}
}

// Four layers of routing over four cables of two kinds:
//
//	top     a ───────────────────────────── d
//	mid     a ─────────────── c ─────────── d
//	low     a ───── b ─────── c ─────────── d
//	net     a ───── b ─────── c ─────────── d
//	      eth-dix  udp4     eth-dix
func TestLayersStandOnLayers(t *testing.T) {
	t.Parallel()
	n := unicast(t, "ab bc:udp4 cd")
	n.settled(t, 3)
	n.upper(t, "low", "net", qos.Raw, "a", "b", "c", "d")
	n.upper(t, "mid", "low", qos.Data, "a", "c", "d")
	n.upper(t, "top", "mid", qos.Raw, "a", "d")
	for _, layer := range []string{"net", "low", "mid", "top"} {
		a, d := n.site("a"), n.site("d")
		d.serve(t, "echo.d."+layer, layer, echoes)
		a.serve(t, "echo.a."+layer, layer, echoes)
		for range 3 {
			a.talk(t, "echo.d."+layer, nil)
			d.talk(t, "echo.a."+layer, &qos.Data)
		}
	}
	// Each layer takes its headers: what is too long is refused, not lost.
	says := regexp.MustCompile(`the flow carries (\d+) at most`)
	var last int
	for _, layer := range []string{"net", "low", "mid", "top"} {
		f := n.site("a").call(t, "echo.d."+layer, nil)
		_, err := f.Write(make([]byte, 9000))
		var most int
		if err == nil {
			t.Fatalf("layer %s takes a message of 9000 bytes", layer)
		} else if m := says.FindStringSubmatch(err.Error()); m != nil {
			fmt.Sscan(m[1], &most)
		}
		if most < 1350 || last != 0 && most >= last {
			t.Errorf("layer %s carries %d bytes over one of %d: %v", layer, most, last, err)
		}
		if _, err := f.Write(make([]byte, most)); err != nil {
			t.Errorf("layer %s: %d bytes: %v", layer, most, err)
		}
		f.SetReadTimeout(host.Patience)
		if got, err := f.Read(make([]byte, 9000)); err != nil || got != most {
			t.Errorf("layer %s: of %d bytes %d came back, %v", layer, most, got, err)
		}
		last = most
		f.Close()
	}
	n.quiet(t)
}

// A reliable flow below hides what a cable loses, and both kinds may be there
// together.
func TestNeighboursAreConnectedByAnyQuality(t *testing.T) {
	t.Parallel()
	n := lay(t, "~ab bc")
	n.start(t)
	n.join(t, over(qos.Data))
	n.settled(t, 2)
	n.speak(t, "net")
	n.cable("ab").relay.Impair(relay.Impairment{Loss: 0.1})
	a, c := n.site("a"), n.site("c")
	f := a.call(t, "echo.c", nil)
	f.SetReadTimeout(host.Patience)
	go func() {
		for i := range 500 {
			fmt.Fprint(f, i)
			time.Sleep(200 * time.Microsecond)
		}
	}()
	buf := make([]byte, 2048)
	for i := range 500 {
		if got, err := f.Read(buf); err != nil || string(buf[:got]) != fmt.Sprint(i) {
			t.Fatalf("message %d came back as %q, %v", i, buf[:got], err)
		}
	}
	f.Close()
	if s := n.cable("ab").relay.Stats(relay.AtoB); s.Lost == 0 {
		t.Errorf("the cable lost nothing: %+v", s)
	}

	// A second connection, of another quality: the newest is used.
	n.cable("ab").relay.Impair(relay.Impairment{})
	if err := a.Irm.ConnectIPCP(t.Context(), a.pid(t, "n.a"), irm.DataTransfer, "n.b", qos.Raw); err != nil {
		t.Fatal(err)
	}
	host.Eventually(t, "a has two ports to b", func() bool { return len(a.show(t).DT.Ports) == 2 })
	a.talk(t, "echo.c", nil)
	c.talk(t, "echo.a", &qos.Data)
	// Who made a connection ends it.
	for _, end := range [][2]string{{"a", "b"}, {"b", "a"}} {
		s := n.site(end[0])
		if err := s.Irm.DisconnectIPCP(t.Context(), s.pid(t, s.member()), irm.DataTransfer, "n."+end[1]); err != nil {
			t.Fatal(err)
		}
	}
	host.Eventually(t, "nothing leads to c any more", func() bool { return len(a.show(t).DT.Forwarding) == 0 })
}

// A layer in which each hears what the others write, over the line.
func TestABroadcastLayerOverALine(t *testing.T) {
	t.Parallel()
	n := lay(t, "ab bc")
	n.start(t)
	for i, s := range n.sites {
		if i == 0 {
			s.bootstrap(t, "all.a", irm.NewConfig(irm.Broadcast, "all"))
		} else {
			s.enroll(t, "all."+s.name, irm.Broadcast, "all."+n.sites[i-1].name)
		}
		s.attend(t, "all."+s.name, s.wires()...)
		if i > 0 {
			err := s.Irm.ConnectIPCP(t.Context(), s.pid(t, "all."+s.name), irm.DataTransfer, "all."+n.sites[i-1].name, qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, from := range n.sites {
		for _, to := range n.sites {
			if from != to {
				n.hears(t, from.name, to.name)
			}
		}
	}
	for _, s := range n.sites {
		if text := s.OK(t, "irm", "layer", "graph", "all"); !strings.Contains(text, "known here") {
			t.Errorf("%s:\n%s", s.name, text)
		}
	}
}

// hears waits until what is said at a site in the layer "all" is heard at
// another. What is said before all links carry is lost, so it is said again.
func (n *network) hears(t testing.TB, from, to string) {
	t.Helper()
	joined := [2]*ouroboros.Flow{}
	for i, name := range []string{from, to} {
		c, f := n.site(name).client(t), (*ouroboros.Flow)(nil)
		// A configured node may still be enrolling in its last layer.
		host.Eventually(t, name+" is in the layer", func() bool {
			var err error
			f, err = c.Join(t.Context(), "all")
			return err == nil
		})
		defer f.Close()
		f.SetReadTimeout(100 * time.Millisecond)
		joined[i] = f
	}
	said, buf := "hello from "+from, make([]byte, 2048)
	host.Eventually(t, to+" hears "+from, func() bool {
		if _, err := joined[0].Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := joined[1].Read(buf)
			if err != nil {
				return false
			}
			if string(buf[:n]) == said {
				return true
			}
		}
	})
}
