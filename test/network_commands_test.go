package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"ouroboros/test/host"
)

// line is what somebody types at a site, and what comes of it.
type line struct {
	at   string // site
	irm  string // words
	says string // parts of what it says, with | between them; "" = it succeeds
	most time.Duration
}

// types has irm do what a line says.
func (n *network) types(t testing.TB, l line) {
	t.Helper()
	if wrong := n.does(t, l); wrong != "" {
		t.Fatal(wrong)
	}
}

// all is types for lines at the same time.
func (n *network) all(t testing.TB, lines []line) {
	t.Helper()
	wrong := make(chan string, len(lines))
	for _, l := range lines {
		go func() { wrong <- n.does(t, l) }()
	}
	for range lines {
		if w := <-wrong; w != "" {
			t.Error(w)
		}
	}
}

// does gives what is wrong with the outcome of a line.
func (n *network) does(t testing.TB, l line) string {
	begin := time.Now()
	r := n.site(l.at).Run(t, "irm", strings.Fields(l.irm)...)
	took := time.Since(begin)
	said := fmt.Sprintf("%s: irm %s: exit %d after %v\n%s%s", l.at, l.irm, r.Code, took, r.Stdout, r.Stderr)
	if (l.says == "") != (r.Code == 0) {
		return said
	}
	for part := range strings.SplitSeq(l.says, "|") {
		if !strings.Contains(r.Stderr, part) {
			return fmt.Sprintf("does not say %q: %s", part, said)
		}
	}
	if took > l.most {
		return "it took too long: " + said
	}
	return ""
}

// How long a command may take: what is known here, what a neighbour has to say,
// and what takes patience with neighbours that may be starting.
const (
	atOnce = 5 * time.Second
	soon   = 15 * time.Second
	late   = 40 * time.Second
)

func TestALayerIsMadeByHand(t *testing.T) {
	t.Parallel()
	n := lay(t, "ab bc")
	for _, s := range n.sites {
		s.Daemon = host.StartAt(t, s.space)
	}
	for _, l := range []line{
		{at: "a", irm: "ipcp bootstrap type eth-dix name e1 layer ab dev ab"},
		{at: "b", irm: "ipcp bootstrap type eth-dix name e1 layer ab dev ab"},
		{at: "b", irm: "ipcp bootstrap type eth-dix name e2 layer bc dev bc"},
		{at: "c", irm: "ipcp bootstrap type eth-dix name e2 layer bc dev bc"},

		{at: "a", irm: "ipcp bootstrap type unicast name n.a layer net autobind"},
		{at: "a", irm: "name register n.a layer ab"},
		{at: "a", irm: "name register net layer ab"},

		// With the name of the layer, in the order in which people do it.
		{at: "b", irm: "ipcp enroll name n.b layer net autobind"},
		{at: "b", irm: "name register n.b layer ab layer bc"},
		{at: "b", irm: "ipcp connect name n.b dst n.a"},
		{at: "b", irm: "name register net ipcp e2"},

		// Created before, and one component after the other.
		{at: "c", irm: "ipcp create type unicast name n.c"},
		{at: "c", irm: "ipcp enroll name n.c layer net dst n.b autobind"},
		{at: "c", irm: "ipcp connect name n.c dst n.b component mgmt"},
		{at: "c", irm: "ipcp connect name n.c dst n.b component dt qos data"},
	} {
		l.most = atOnce
		n.types(t, l)
	}
	n.settled(t, 2)
	n.speak(t, "net")
	n.everybody(t, nil)

	// The side that connected disconnects, and what was over it is over.
	n.types(t, line{at: "c", irm: "ipcp disconnect name n.c dst n.b", most: atOnce})
	host.Eventually(t, "c is alone", func() bool { return len(n.site("c").show(t).DT.Ports) == 0 })
	n.types(t, line{at: "c", irm: "ipcp connect name n.c dst n.b", most: atOnce})
	n.settled(t, 2)
	n.site("c").talk(t, "echo.a", nil)

	// Destroyed: the others notice, and another takes its place.
	n.types(t, line{at: "c", irm: "ipcp destroy name n.c", most: atOnce})
	host.Eventually(t, "b has one neighbour", func() bool { return len(n.site("b").show(t).DT.Forwarding) == 1 })
	n.types(t, line{at: "c", irm: "ipcp enroll name n.c layer net dst n.b autobind", most: atOnce})
	n.types(t, line{at: "c", irm: "ipcp connect name n.c dst n.b", most: atOnce})
	n.settled(t, 2)
}

func TestWhatCannotBeSaysWhyAndWhatToDo(t *testing.T) {
	t.Parallel()
	n := lay(t, "ab")
	n.start(t)
	a := n.site("a")
	bindHint := "at the node of that member, bind its IPCP to the name and register it"
	for _, l := range []line{
		{"b", "ipcp connect name n.b dst n.a", `there is no IPCP "n.b"|irm ipcp list`, atOnce},
		{"b", "ipcp create name n.b type unicast", "", atOnce},
		{"b", "ipcp connect name n.b dst n.a", `cannot connect Management of "n.b" and "n.a"|in no layer yet|bootstrap or enroll it first`, atOnce},
		{"b", "name register echo.b layer net", `cannot register "echo.b"|in no layer "net"`, atOnce},
		{"b", "layer graph net", `no IPCP of this node is in a layer "net"|irm layer list`, atOnce},
		{"b", "layer graph n.b", `in no layer yet|bootstrap or enroll it first`, atOnce},
		{"b", "ipcp enroll name n.b type eth-dix dst n.a", `"type" cannot be "eth-dix"|unicast, broadcast`, atOnce},
		{"b", "ipcp enroll name e.ab layer net dst n.a", `"e.ab" is eth-dix, not unicast`, atOnce},
		// Nobody is there yet.
		{"b", "ipcp enroll name n.b layer net dst n.a autobind", `cannot enroll "n.b" with "n.a"|nobody knows that name|` + bindHint, soon},

		{"a", "ipcp bootstrap name n.a type unicast layer net autobind", "", atOnce},
		{"a", "name register n.a layer ab", "", atOnce},
		{"b", "ipcp enroll name x.b type broadcast layer net dst n.a", `cannot enroll "x.b" with "n.a"|in the layer "net" of type unicast|make an IPCP of the type of the layer`, atOnce},
		{"b", "ipcp enroll name y.b layer other dst n.a", `in layer "net" now|not in "other"|irm ipcp destroy name y.b`, atOnce},
		{"b", "ipcp destroy name y.b", "", atOnce},
		{"b", "ipcp enroll name n.b layer net dst n.a autobind", "", atOnce},
		{"b", "ipcp enroll name n.b layer net dst n.a", `in layer "net" already|create another IPCP`, atOnce},

		{"b", "ipcp connect name n.b dst n.a component routing", `"component" cannot be "routing"|dt, mgmt`, atOnce},
		{"b", "layer graph ab", `"ab" is eth-dix|only unicast layers have a graph`, atOnce},

		{"a", "ipcp bootstrap name all.a type broadcast layer all autobind", "", atOnce},
		{"a", "name register all.a layer ab", "", atOnce},
		{"b", "ipcp connect name n.b dst all.a", `has no component "Management"|of the same type`, atOnce},
		{"b", "ipcp enroll name z.b type unicast dst all.a", `in the layer "all" of type broadcast`, atOnce},
		{"b", "ipcp enroll name x.b type broadcast layer all dst all.a", "", atOnce},
		{"b", "ipcp connect name x.b dst n.a", `the component "Data Transfer" of the member "n.a" is another|of the same type`, atOnce},
		{"b", "ipcp connect name x.b dst all.a component mgmt", `cannot be told to connect "Management"|component dt`, atOnce},
		{"b", "ipcp connect name x.b dst all.a", "", atOnce},
	} {
		n.types(t, l)
	}

	// A program that is no member, which returns what it gets.
	a.serve(t, "echo", "ab", echoes)
	n.types(t, line{"b", "ipcp create name w.b type unicast", "", atOnce})
	for _, l := range []line{
		{"b", "ipcp enroll name w.b dst echo", `cannot enroll "w.b" with "echo"|cannot be read|see that`, soon},
		{"b", "ipcp connect name n.b dst echo", `cannot connect Management of "n.b" and "echo"|which is that of this member|connect to another member`, soon},
		{"b", "ipcp connect name n.b dst n.a", "", atOnce}, // it has not lost its way
	} {
		n.types(t, l)
	}

	// What takes patience, all at the same time.
	a.register(t, "idle", "ab") // and bound to nothing
	n.all(t, []line{
		{"b", "ipcp connect name n.b dst nobody", `cannot connect Management of "n.b" and "nobody"|nobody knows that name|` + bindHint, soon},
		{"b", "ipcp enroll name v.b dst nobody", `cannot enroll "v.b" with "nobody"|nobody knows that name|` + bindHint, soon},
		{"b", "ipcp connect name n.b dst n.b", `cannot connect Management of "n.b" and "n.b"|the name of this IPCP itself`, late},
		{"b", "ipcp connect name n.b dst idle", `cannot connect Management of "n.b" and "idle"|no process accepts it|` + bindHint, late},
		{"b", "ipcp enroll name u.b dst idle", `cannot enroll "u.b" with "idle"|no process accepts it|` + bindHint, late},
	})

	// A host that hears and says nothing.
	a.Signal(syscall.SIGSTOP)
	defer a.Signal(syscall.SIGCONT)
	n.all(t, []line{
		{"b", "ipcp enroll name u.b dst n.a", `cannot enroll "u.b" with "n.a"|` + bindHint, late},
		{"b", "ipcp connect name n.b dst n.a component dt", `cannot connect Data Transfer of "n.b" and "n.a"|` + bindHint, late},
	})
}
