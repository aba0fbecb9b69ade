package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/netns"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// network is hosts in namespaces with cables between them. Each cable has a
// layer of its own, and an IPCP of that at both ends.
//
//	 site a            site b                       site c
//	┌──────────┐      ┌───────────────────┐        ┌──────────┐
//	│    n.a   │      │        n.b        │        │   n.c    │   layer "net"
//	│     │    │      │     │       │     │        │    │     │
//	│   e.ab   │      │   e.ab    e.bc    │        │  e.bc    │   layers "ab", "bc"
//	└─────┼────┘      └─────┼───────┼─────┘        └────┼─────┘
//	      └───── cable ─────┘       └────── cable ──────┘
type network struct {
	sites  []*site // by name
	cables []*cable
}

// site is a host of a network. Its name is a letter.
type site struct {
	*host.Daemon
	name   string
	space  *netns.Space
	cables []*cable
	me     *ouroboros.Client // this process at the site
	file   string            // configuration
}

// cable joins two sites; its name is those of both, and that of its interfaces
// and of the layer over it.
type cable struct {
	name  string
	kind  string // of the layer over it
	ends  [2]*site
	relay *relay.Relay // of a cable that can be cut in silence; else nil
	addrs [2]netip.Prefix
}

// lay makes sites and cables, without daemons. A cable is written as its ends,
// "ab"; "~ab" leads through a relay and "ab:udp4" carries another kind of layer
// than eth-dix.
func lay(t testing.TB, cables string) *network {
	t.Helper()
	n := &network{}
	for i, word := range strings.Fields(cables) {
		name, silent := strings.CutPrefix(word, "~")
		name, kind, other := strings.Cut(name, ":")
		if !other {
			kind = "eth-dix"
		}
		c := &cable{name: name, kind: kind, ends: [2]*site{n.grow(t, name[:1]), n.grow(t, name[1:])}}
		a, b := c.ends[0], c.ends[1]
		var err error
		if silent {
			c.relay, err = relay.Join(a.space, name, b.space, name, uint64(i))
			if err == nil {
				t.Cleanup(func() { c.relay.Close() })
			}
		} else {
			err = errors.Join(netns.Join(a.space, name, b.space, name), a.space.Quiet(name), b.space.Quiet(name))
		}
		if err == nil && kind == "udp4" {
			for side, s := range c.ends {
				c.addrs[side] = netip.MustParsePrefix(fmt.Sprintf("10.77.%d.%d/24", i+1, side+1))
				err = errors.Join(err, s.space.AddAddr(name, c.addrs[side]))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		n.cables = append(n.cables, c)
		a.cables, b.cables = append(a.cables, c), append(b.cables, c)
	}
	slices.SortFunc(n.sites, func(a, b *site) int { return strings.Compare(a.name, b.name) })
	return n
}

// grow gives the site of a name, which it makes if there is none.
func (n *network) grow(t testing.TB, name string) *site {
	for _, s := range n.sites {
		if s.name == name {
			return s
		}
	}
	s := &site{name: name, space: netns.Empty(t)}
	n.sites = append(n.sites, s)
	return s
}

// site finds one that is there.
func (n *network) site(name string) *site {
	i := slices.IndexFunc(n.sites, func(s *site) bool { return s.name == name })
	return n.sites[i]
}

// cable finds one that is there.
func (n *network) cable(name string) *cable {
	i := slices.IndexFunc(n.cables, func(c *cable) bool { return c.name == name })
	return n.cables[i]
}

// start runs a daemon at each site, with the layers of its cables.
func (n *network) start(t testing.TB) {
	t.Helper()
	for _, s := range n.sites {
		s.Daemon = host.StartAt(t, s.space)
		for _, c := range s.cables {
			s.raise(t, c)
		}
	}
}

// raise makes the layer over a cable.
func (s *site) raise(t testing.TB, c *cable) {
	t.Helper()
	kind, _ := irm.ParseType(c.kind)
	cfg := irm.NewConfig(kind, c.name)
	if c.kind == "udp4" {
		cfg.UDP.IP, cfg.UDP.Hosts = c.addrs[c.side(s)].Addr(), s.hosts(t, c)
	} else {
		cfg.Eth.Device = c.name
	}
	s.bootstrap(t, "e."+c.name, cfg)
}

// bootstrap makes an IPCP and a layer of it.
func (s *site) bootstrap(t testing.TB, name string, cfg *irm.Config) {
	t.Helper()
	pid, err := s.Irm.CreateIPCP(t.Context(), name, cfg.Type)
	if err == nil {
		_, err = s.Irm.BootstrapIPCP(t.Context(), pid, cfg)
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, name, err)
	}
}

// hosts writes the file that says where the names of the other end are.
func (s *site) hosts(t testing.TB, c *cable) string {
	t.Helper()
	far := 1 - c.side(s)
	path := filepath.Join(t.TempDir(), "hosts")
	line := fmt.Sprintf("%s n.%s\n", c.addrs[far].Addr(), c.ends[far].name)
	if err := os.WriteFile(path, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *cable) side(s *site) int { return slices.Index(c.ends[:], s) }

// other is the end that s is not.
func (c *cable) other(s *site) *site { return c.ends[1-c.side(s)] }

// member is the name of the site's IPCP in the layer over all.
func (s *site) member() string { return "n." + s.name }

// register makes a name reachable in a layer.
func (s *site) register(t testing.TB, name, layer string) {
	t.Helper()
	if err := s.Irm.CreateName(t.Context(), irm.NameInfo{Name: name, Balance: irm.Spill}); err != nil && !errors.Is(err, ouroboros.ErrExist) {
		t.Fatal(err)
	}
	all, err := s.Irm.ListIPCPs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Layer != layer {
			continue
		}
		if err := s.Irm.RegName(t.Context(), name, i.PID); err != nil {
			t.Fatalf("%s: register %s in %s: %v", s.name, name, layer, err)
		}
	}
}

// attend makes an IPCP reachable under its own name in the given layers.
func (s *site) attend(t testing.TB, ipcp string, below ...string) {
	t.Helper()
	if err := s.Irm.BindProcess(t.Context(), s.pid(t, ipcp), ipcp); err != nil {
		t.Fatal(err)
	}
	for _, l := range below {
		s.register(t, ipcp, l)
	}
}

// enroll makes an IPCP a member of a layer through another.
func (s *site) enroll(t testing.TB, name string, kind irm.IPCPType, dst string) {
	t.Helper()
	pid, err := s.Irm.CreateIPCP(t.Context(), name, kind)
	if err == nil {
		_, err = s.Irm.EnrollIPCP(t.Context(), pid, dst)
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, name, err)
	}
}

// connect connects all components of an IPCP with another member.
func (s *site) connect(t testing.TB, name, dst string, spec qos.Spec) {
	t.Helper()
	for _, component := range []string{irm.Management, irm.DataTransfer} {
		if err := s.Irm.ConnectIPCP(t.Context(), s.pid(t, name), component, dst, spec); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
}

// wires are the layers of the site's cables.
func (s *site) wires() (layers []string) {
	for _, c := range s.cables {
		layers = append(layers, c.name)
	}
	return layers
}

// join makes all sites members of the layer "net": the first bootstraps, and
// each next one enrolls with a neighbour and connects to all that are members
// already.
func (n *network) join(t testing.TB, options ...option) {
	t.Helper()
	cfg := irm.NewConfig(irm.Unicast, "net")
	spec := qos.Raw
	for _, o := range options {
		o(cfg.Unicast, &spec)
	}
	first := n.sites[0]
	first.bootstrap(t, first.member(), cfg)
	first.attend(t, first.member(), first.wires()...)
	in := []*site{first}
	for len(in) < len(n.sites) {
		for _, s := range n.sites {
			via := s.neighbours(in)
			if slices.Contains(in, s) || len(via) == 0 {
				continue
			}
			s.enroll(t, s.member(), irm.Unicast, via[0].member())
			s.attend(t, s.member(), s.wires()...)
			for _, nb := range via {
				s.connect(t, s.member(), nb.member(), spec)
			}
			in = append(in, s)
		}
	}
}

// option changes the layer "net".
type option func(*irm.UnicastConfig, *qos.Spec)

func policy(r irm.Routing) option { return func(c *irm.UnicastConfig, _ *qos.Spec) { c.Routing = r } }

// over is the quality of the flows that members are connected by.
func over(spec qos.Spec) option { return func(_ *irm.UnicastConfig, s *qos.Spec) { *s = spec } }

// neighbours are those of the given sites that a cable leads to.
func (s *site) neighbours(among []*site) (nbs []*site) {
	for _, c := range s.cables {
		if o := c.other(s); slices.Contains(among, o) {
			nbs = append(nbs, o)
		}
	}
	return nbs
}

// unicast is sites that are all members of one layer.
func unicast(t testing.TB, cables string, options ...option) *network {
	t.Helper()
	n := lay(t, cables)
	n.start(t)
	n.join(t, options...)
	return n
}

// shown is what a member of a unicast layer says of itself.
type shown struct {
	Layer struct {
		Name, Address, Routing string
	}
	Connections struct {
		Connections []struct {
			Component, Dst, State, QoS string
			Redials                    int
		}
		Dialling, Accepting map[string]float64
	}
	DT struct {
		Ports []struct {
			Neighbour string
			Up        bool
			MTU       int
			Downs     int
			Cubes     []struct {
				Received  float64 `json:"received_packets"`
				Forwarded float64 `json:"forwarded_packets"`
				Sent      float64 `json:"sent_packets"`
			}
		}
		Forwarding map[string][]string
	}
	LinkState struct {
		Policy string
		LSDB   []struct {
			Src, Dst          string
			Withdrawn, Usable bool
			MTU               int
		}
		Counters map[string]float64
	}
	Directory struct{ Counters map[string]float64 }
	Flows     struct {
		Flows struct {
			Open    int
			Unknown float64 `json:"unknown_endpoint"`
		}
		Arrivals map[string]float64
	}
}

// show asks the site's member of the layer "net"; one that is not there yet
// shows nothing.
func (s *site) show(t testing.TB) shown { return s.showIPCP(t, s.member()) }

func (s *site) showIPCP(t testing.TB, name string) (v shown) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), host.Patience)
	defer cancel()
	all, err := s.Irm.ListIPCPs(ctx)
	var m map[string]any
	if i := find(all, name); err == nil && i >= 0 {
		m, err = s.Irm.ShowIPCP(ctx, all[i].PID)
	}
	if err == nil {
		var text []byte
		if text, err = json.Marshal(m); err == nil {
			err = json.Unmarshal(text, &v)
		}
	}
	if err != nil {
		t.Fatalf("%s: show %s: %v", s.name, name, err)
	}
	return v
}

func find(all []irm.IPCPInfo, name string) int {
	return slices.IndexFunc(all, func(i irm.IPCPInfo) bool { return i.Name == name })
}

// pid finds an IPCP of the site.
func (s *site) pid(t testing.TB, name string) int {
	t.Helper()
	all, err := s.Irm.ListIPCPs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	i := find(all, name)
	if i < 0 {
		t.Fatalf("%s has no IPCP %s: %v", s.name, name, all)
	}
	return all[i].PID
}

// address is that of the site in the layer "net".
func (s *site) address(t testing.TB) string { return s.show(t).Layer.Address }

// links are those that can be used as a site knows them, in one direction each.
func (v shown) links() (l []string) {
	for _, e := range v.LinkState.LSDB {
		if e.Usable && e.Src < e.Dst {
			l = append(l, e.Src+" "+e.Dst)
		}
	}
	slices.Sort(l)
	return l
}

// settled waits until all sites know so many links, and reach all others.
func (n *network) settled(t testing.TB, links int) {
	t.Helper()
	for _, s := range n.sites {
		host.Eventually(t, fmt.Sprintf("%s knows %d links and reaches all", s.name, links), func() bool {
			v := s.show(t)
			return len(v.links()) == links && len(v.DT.Forwarding) == len(n.sites)-1
		})
	}
}

// serve has this process accept flows to a name at a site, registered in a
// layer, and hand each to f.
func (s *site) serve(t testing.TB, name, layer string, f func(*ouroboros.Flow)) {
	t.Helper()
	s.listen(t, name, f)
	s.register(t, name, layer)
}

// listen is serve for a name that is registered already.
func (s *site) listen(t testing.TB, name string, f func(*ouroboros.Flow)) {
	t.Helper()
	l, err := s.client(t).Listen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			fl, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			go f(fl)
		}
	}()
}

// echoes returns each message.
func echoes(f *ouroboros.Flow) {
	defer f.Close()
	buf := make([]byte, ouroboros.MaxMessage)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		if _, err := f.Write(buf[:n]); err != nil {
			return
		}
	}
}

// client is this process at a site.
func (s *site) client(t testing.TB) *ouroboros.Client {
	t.Helper()
	if s.me == nil {
		s.me = open(t, s.Daemon)
	}
	return s.me
}

// call allocates a flow, within the patience of a test.
func (s *site) call(t testing.TB, name string, spec *qos.Spec) *ouroboros.Flow {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), host.Patience)
	defer cancel()
	f, err := s.client(t).Alloc(ctx, name, spec)
	if err != nil {
		t.Fatalf("%s calls %s: %v", s.name, name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// talk exchanges messages of several lengths over a new flow with who returns
// them.
func (s *site) talk(t testing.TB, name string, spec *qos.Spec) {
	t.Helper()
	f := s.call(t, name, spec)
	defer f.Close()
	f.SetReadTimeout(host.Patience)
	buf := make([]byte, 2048)
	for _, size := range []int{1, 64, 1000, 1300} {
		sent := make([]byte, size)
		rand.Read(sent)
		if _, err := f.Write(sent); err != nil {
			t.Fatalf("%s to %s: write %d bytes: %v", s.name, name, size, err)
		}
		if n, err := f.Read(buf); err != nil || !bytes.Equal(buf[:n], sent) {
			t.Fatalf("%s to %s: of %d bytes came back %d, %v", s.name, name, size, n, err)
		}
	}
}

// speak has every site serve a name, "echo." and its own, in a layer.
func (n *network) speak(t testing.TB, layer string) {
	t.Helper()
	for _, s := range n.sites {
		s.serve(t, "echo."+s.name, layer, echoes)
	}
}

// everybody talks with everybody.
func (n *network) everybody(t testing.TB, spec *qos.Spec) {
	t.Helper()
	for _, from := range n.sites {
		for _, to := range n.sites {
			if from != to {
				from.talk(t, "echo."+to.name, spec)
			}
		}
	}
}

// took is how long something lasts.
func took(f func()) time.Duration {
	begin := time.Now()
	f()
	return time.Since(begin)
}

// quiet waits until no flows of programs are left, only those between members.
func (n *network) quiet(t testing.TB) {
	t.Helper()
	for _, s := range n.sites {
		host.Eventually(t, s.name+" has flows of IPCPs alone", func() bool {
			flows, err := s.Irm.ListFlows(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return !slices.ContainsFunc(flows, func(f irm.FlowInfo) bool {
				return strings.HasPrefix(f.Name, "echo.") || strings.HasPrefix(f.Name, "oping.")
			})
		})
	}
}
