package interop

import (
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/netns"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// layer is a kind of layer that goes over a network.
type layer struct {
	name string
	at   func(s *netns.Space) []string // words of irm ipcp bootstrap
	most int                           // bytes that a message over it can have, MTU 1500
	// payload is what a frame carries for a flow of the layer, nil for other
	// frames and the layer's own messages.
	payload func(frame []byte) []byte
}

// data says whether a frame is a message of a flow, keep-alives included.
func (l layer) data(frame []byte) bool { return l.payload(frame) != nil }

// empty says whether a frame is a keep-alive.
func (l layer) empty(frame []byte) bool {
	p := l.payload(frame)
	return p != nil && len(p) == 0
}

var layers = []layer{
	{
		name:    "udp4",
		at:      func(s *netns.Space) []string { return []string{"ip", s.IPv4.Addr().String()} },
		most:    8976,
		payload: func(f []byte) []byte { return overUDP(f, 0x0800, 14+9, 14+20) },
	},
	{
		name:    "udp6",
		at:      func(s *netns.Space) []string { return []string{"ip", s.IPv6.Addr().String()} },
		most:    8948,
		payload: func(f []byte) []byte { return overUDP(f, 0x86dd, 14+6, 14+40) },
	},
	{
		name: "eth-dix",
		at:   func(s *netns.Space) []string { return []string{"dev", s.Dev} },
		most: 1496,
		payload: func(f []byte) []byte {
			if len(f) < 18 || word(f, 12) != 0xa000 || word(f, 14) == 0 || len(f) < 18+word(f, 16) {
				return nil
			}
			return f[18 : 18+word(f, 16)]
		},
	},
	{
		name: "eth-llc",
		at:   func(s *netns.Space) []string { return []string{"dev", s.Dev} },
		most: 1497,
		payload: func(f []byte) []byte {
			if len(f) < 17 || word(f, 12) > 1500 || word(f, 12) < 3 || f[14] == 0x80 || len(f) < 14+word(f, 12) {
				return nil
			}
			return f[17 : 14+word(f, 12)]
		},
	},
}

func word(f []byte, at int) int { return int(f[at])<<8 | int(f[at+1]) }

// overUDP is what a frame carries behind the endpoint of a datagram, given
// where the number of the protocol and the UDP header are.
func overUDP(f []byte, ethertype, protocol, header int) []byte {
	if len(f) < header+12 || word(f, 12) != ethertype || f[protocol] != 17 {
		return nil
	}
	end := header + word(f, header+4)
	if end < header+12 || end > len(f) || binary.BigEndian.Uint32(f[header+8:]) == 0 {
		return nil
	}
	return f[header+12 : end]
}

// peers says who is at the two ends: the client's host, then the server's.
type peers struct{ client, server string }

func (p peers) String() string { return p.client + "-" + p.server }

const (
	ours      = "ours"
	reference = "reference"
)

var (
	oursOurs = peers{ours, ours}
	allPeers = []peers{oursOurs, {ours, reference}, {reference, ours}}
)

// each runs a test for all layers and the given pairs.
func each(t *testing.T, pairs []peers, test func(t *testing.T, l layer, p peers)) {
	for _, l := range layers {
		for _, p := range pairs {
			t.Run(l.name+"/"+p.String(), func(t *testing.T) {
				if p != oursOurs && !host.HasReference() {
					t.Skip("no " + host.ReferenceVariable + ": the tests against the C implementation need the directory that it is installed in")
				}
				t.Parallel()
				test(t, l, p)
			})
		}
	}
}

// world is two hosts in one layer: the client's in space a, the server's in b.
type world struct {
	layer
	peers
	t      testing.TB
	a, b   *netns.Space
	relay  *relay.Relay // nil when a cable joins them
	client host.Node
	server host.Node

	arguments []string            // of daemons of ours
	files     []host.SecurityFile // of references, from their start on
	more      []string            // names that both hosts resolve to the server
}

// Names that both hosts resolve to the server. Those that are not served are
// served by nobody.
var names = []string{"oping", "oecho", "ocbr", "operf", "ovpn", "echo", "sum", "mute", "idle", "nobody"}

// join makes a world on a plain cable.
func join(t testing.TB, l layer, p peers, options ...netns.Option) *world {
	t.Helper()
	w := &world{layer: l, peers: p, t: t}
	w.a, w.b = netns.Pair(t, options...)
	w.start(t)
	return w
}

// joinByRelay makes a world with a relay in the middle.
func joinByRelay(t testing.TB, l layer, p peers, seed uint64, options ...netns.Option) *world {
	t.Helper()
	w := &world{layer: l, peers: p, t: t}
	w.a, w.b, w.relay = relay.Pair(t, seed, options...)
	w.start(t)
	return w
}

func (w *world) start(t testing.TB) {
	t.Helper()
	server := w.b.IPv4.Addr()
	if w.name == "udp6" {
		if !w.b.IPv6.IsValid() {
			t.Skip("no IPv6 here")
		}
		server = w.b.IPv6.Addr()
	}
	hosts := map[string]netip.Addr{}
	for _, n := range append(w.more, names...) {
		sum := md5.Sum([]byte(n))
		hosts[hex.EncodeToString(sum[:])] = server
	}
	for _, s := range []*netns.Space{w.a, w.b} {
		if err := s.Hosts(hosts); err != nil {
			t.Fatal(err)
		}
	}
	w.server = w.node(t, w.peers.server, w.b)
	w.client = w.node(t, w.peers.client, w.a)
	w.bootstrap(t, w.server, w.b)
	w.bootstrap(t, w.client, w.a)
	if w.peers.client == reference {
		// It allocates to names of its own registry only.
		for _, n := range names {
			w.client.OK(t, "irm", "name", "create", n)
		}
	}
}

func (w *world) node(t testing.TB, who string, s *netns.Space) host.Node {
	t.Helper()
	if who == reference {
		return host.StartReference(t, s, w.files...)
	}
	return host.StartAt(t, s, w.arguments...)
}

func (w *world) bootstrap(t testing.TB, n host.Node, s *netns.Space) {
	t.Helper()
	words := []string{"ipcp", "bootstrap", "name", "i1", "type", w.name, "layer", "net"}
	n.OK(t, "irm", append(words, w.at(s)...)...)
}

// register makes a name of the server's host known in the layer.
func (w *world) register(t testing.TB, name string) {
	t.Helper()
	w.server.OK(t, "irm", "name", "register", name, "layer", "net")
}

// serve runs a tool as a server on the server's host, under its own name.
func (w *world) serve(t testing.TB, tool string, args ...string) *host.Process {
	t.Helper()
	p := w.server.Go(t, nil, tool, append([]string{"--listen"}, args...)...)
	w.server.Bind(t, p, tool)
	w.register(t, tool)
	return p
}

// tool runs a tool as a client on the client's host. With the reference at an
// end it is tried a few times while fails is in what it says: as a server that
// loses answers, and as a client it gives a name up after 200 ms, having asked
// once.
func (w *world) tool(t testing.TB, fails string, name string, args ...string) host.Result {
	t.Helper()
	for try := 1; ; try++ {
		r := w.client.Run(t, name, args...)
		if w.peers == oursOurs || try == tries || !strings.Contains(r.Stdout+r.Stderr, fails) {
			return r
		}
		t.Logf("try %d: %s%s", try, r.Stdout, r.Stderr)
	}
}

const tries = 5

// here is the daemon of ours on the client's host.
func (w *world) here() *host.Daemon { return w.client.(*host.Daemon) }

// open makes this process a client of the daemon of ours.
func open(t testing.TB, d *host.Daemon) *ouroboros.Client {
	t.Helper()
	c, err := ouroboros.Open(d.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// allocate allocates a flow from the daemon of ours; towards the reference it
// tries a few times.
func (w *world) allocate(t testing.TB, c *ouroboros.Client, name string, spec *ouroboros.QoS) *ouroboros.Flow {
	t.Helper()
	f, err := w.try(c, name, spec)
	if err != nil {
		t.Fatalf("allocate to %s: %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (w *world) try(c *ouroboros.Client, name string, spec *ouroboros.QoS) (f *ouroboros.Flow, err error) {
	limit, most := host.Patience, 1
	if w.peers.server == reference {
		limit, most = 3*time.Second, tries
	}
	for range most {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		f, err = c.Alloc(ctx, name, spec)
		cancel()
		if err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%d tries: %w", most, err)
}

// noFlows waits until a daemon of ours holds no flow.
func noFlows(t testing.TB, d *host.Daemon) {
	t.Helper()
	host.Eventually(t, "the daemon holds no flow any more", func() bool {
		flows, err := d.Irm.ListFlows(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return len(flows) == 0
	})
}

// healthy fails when a reference of the world crashed.
func (w *world) healthy(t testing.TB) {
	t.Helper()
	for _, n := range []host.Node{w.client, w.server} {
		if r, ok := n.(*host.Reference); ok {
			for _, c := range r.Crashed() {
				t.Errorf("the reference crashed: %s", c)
			}
		}
	}
}
