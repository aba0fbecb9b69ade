package cli

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"ouroboros/internal/errno"
	"ouroboros/internal/fabric"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/local"
	"ouroboros/internal/leak"
	"ouroboros/internal/registry"
	"ouroboros/internal/server"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) {
	if os.Getenv(asIRM) != "" {
		os.Exit(actAsIRM())
	}
	leak.Main(m)
}

// node is a registry that a command may let go.
type node struct {
	*registry.Registry
	self *registry.Process // this one
}

func (node) Close() error { return nil }

// newNode gives an empty node that ends with the test. Its flows carry
// nothing; its layers with neighbours have one member and know some names.
func newNode(t *testing.T) node {
	r, err := makeNode()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	id := registry.Identity{PID: os.Getpid(), UID: 1000, Exe: "/usr/bin/server", Args: []string{"server"}}
	p, err := r.Announce(id, person{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Exit)
	return node{r, p}
}

// serve gives the node a flow from the process 1 to this one, and a process
// that waits for another.
func serve(t *testing.T, n node) {
	ctx, cancel := context.WithCancel(context.Background())
	client, err := n.Announce(registry.Identity{PID: 1, UID: 1001, Exe: "/usr/bin/client", Args: []string{"client"}}, person{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Exit)
	if err := n.BindProcess(ctx, os.Getpid(), "service"); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error)
	go func() {
		_, err := n.self.Accept(ctx)
		accepted <- err
	}()
	if _, err := client.Alloc(ctx, "service", qos.Data); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
}

func makeNode() (*registry.Registry, error) {
	return registry.New(registry.Config{
		Fabric: noFabric{}, Version: "0.0", Dir: "/run/ouroboros",
		NewIPCP: func(kind irm.IPCPType, id ipcp.Identity, host ipcp.Host) (ipcp.IPCP, error) {
			build := newMember
			if kind == irm.Local {
				build = local.New
			}
			return ipcp.Start(kind, build, ipcp.Env{Identity: id, Host: host, Log: slog.New(slog.DiscardHandler)}, func(error) {})
		},
	})
}

// daemon serves a node on the sockets of a directory.
func daemon(t *testing.T, n node) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "irm") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	rings := fabric.New(nil) // nobody asks for flows here
	t.Cleanup(rings.Close)
	s, err := server.New(server.Config{Dir: dir, Node: n.Registry, Fabric: rings})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return dir
}

// populated gives a node with something in it, for completion.
func populated(context.Context, string) (Service, error) {
	r, err := makeNode()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	for ipcp, layer := range map[string]string{"l1": "home", "l2": "site:local"} {
		pid, err := r.CreateIPCP(ctx, ipcp, irm.Local)
		if err != nil {
			return nil, err
		}
		if _, err := r.BootstrapIPCP(ctx, pid, irm.NewConfig(irm.Local, layer)); err != nil {
			return nil, err
		}
	}
	for _, n := range []string{"oping", "oecho", "site:web"} {
		if err := r.CreateName(ctx, irm.NameInfo{Name: n}); err != nil {
			return nil, err
		}
	}
	return node{Registry: r}, nil
}

type person struct{}

func (person) OwnerName() string { return "a test" }

// noFabric makes flows that carry nothing: irm looks at them from outside.
type noFabric struct{}

func (noFabric) Direct(registry.Owner, registry.Owner, qos.Spec) (a, b registry.End, err error) {
	return noEnd{}, noEnd{}, nil
}

func (noFabric) Attach(registry.Owner, flow.Flow, qos.Spec) (registry.End, error) {
	return noEnd{}, nil
}

type noEnd struct{}

func (noEnd) Event(flow.Event) {}
func (noEnd) Close()           {}

// member is an IPCP of a layer whose other members are words: enrolment with
// "elsewhere" leads to the layer "other", with "member" to "big", with any
// other word to the layer of that name. Everything called "refused" fails, and
// data transfer with "half".
type member struct {
	ipcp.Unsupported

	mu    sync.Mutex
	cfg   *irm.Config
	peers map[string]string // component and peer -> QoS
}

func newMember(ipcp.Env) (ipcp.IPCP, error) { return &member{peers: map[string]string{}}, nil }

func refused(what string) error {
	if what == "refused" {
		return errno.New(errno.TimedOut, "%q does not answer", what).Next("try again")
	}
	return nil
}

func (m *member) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cfg = cfg
	return irm.LayerInfo{Name: cfg.Layer, Hash: cfg.Hash}, refused(cfg.Layer)
}

func (m *member) Enroll(_ context.Context, dst string) (irm.LayerInfo, error) {
	layer := map[string]string{"elsewhere": "other", "member": "big"}[dst]
	if layer == "" {
		layer = dst
	}
	return irm.LayerInfo{Name: layer, Hash: irm.SHA3_256}, refused(dst)
}

func (m *member) Connect(_ context.Context, component, dst string, spec qos.Spec) error {
	if err := refused(dst); err != nil {
		return err
	}
	if dst == "half" && component == irm.DataTransfer {
		return errno.New(errno.TimedOut, "%q does not answer", dst).Next("try again")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peers[component+" "+dst] = spec.String()
	return nil
}

func (m *member) Disconnect(_ context.Context, component, dst string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.peers, component+" "+dst)
	return nil
}

// Show shows the configuration and the connections, for the sessions.
func (m *member) Show() map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	shown := map[string]any{"connections": map[string]any{}}
	for _, p := range slices.Sorted(maps.Keys(m.peers)) {
		shown["connections"].(map[string]any)[p] = m.peers[p]
	}
	if m.cfg == nil {
		return shown
	}
	switch {
	case m.cfg.Layer == "mesh":
		maps.Copy(shown, meshState())
	case m.cfg.Layer == "tree":
		shown["neighbours"] = []map[string]any{
			{"dst": "b3", "state": "blocked", "mtu": 1400}, {"dst": "b2", "state": "forwarding", "mtu": 1400},
		}
	}
	if u := m.cfg.Unicast; u != nil {
		shown["unicast"] = map[string]any{
			"sizes": []any{u.AddrSize, u.EIDSize, u.MaxTTL}, "policies": []any{u.Routing.String(), u.Congestion.String()},
			"link state": []any{u.LSRecalc, u.LSUpdate, u.LSTimeout},
			"dht":        []any{u.DHTAlpha, u.DHTK, u.DHTExpire, u.DHTRefresh, u.DHTReplicate},
		}
	}
	if e := m.cfg.Eth; e != nil {
		shown["eth"] = map[string]any{"device": e.Device, "ethertype": int(e.Ethertype)}
	}
	if u := m.cfg.UDP; u != nil {
		shown["udp"] = map[string]any{"ip": u.IP.String(), "dns": u.DNS.String(), "port": int(u.Port)}
	}
	return shown
}

func (*member) Close() error { return nil }

// meshState is what a member of a layer that routes shows.
func meshState() map[string]any {
	link := func(src, dst string, mtu int, withdrawn bool) map[string]any {
		return map[string]any{"src": src, "dst": dst, "seq": uint64(1000000), "age_s": 1.25, "mtu": mtu, "withdrawn": withdrawn, "usable": !withdrawn}
	}
	const own, b, c, d = "e2.b4.53.92", "0a.00.00.01", "0b.00.00.01", "ff.00.00.01"
	return map[string]any{
		"linkstate": map[string]any{
			"own": own, "policy": "lfa",
			"lsdb": []map[string]any{
				link(own, b, 1400, false), link(b, own, 1350, false), link(own, c, 0, false), link(c, own, 9000, false),
				link(b, c, 1400, false), // c does not tell of it
				link(c, d, 1400, true), link(d, c, 1400, true),
			},
			"neighbours": []map[string]any{{"address": b, "up": true, "mtu": 1400}, {"address": c, "up": false, "mtu": 0}},
		},
		"directory": map[string]any{"k": 8, "values": map[string]any{"85dc67": []string{own, b}, "0011aa": []string{c}}},
		"flows": map[string]any{"open": 2, "list": []any{
			map[string]any{"eid": "81985529216486895", "remote": b, "sent": map[string]any{"packets": 12345678, "bytes": 98765432100, "dropped": 0},
				"congestion": map[string]any{"policy": "mb-ecn", "slot_ns": 1048576, "regime": "slow start"}},
			map[string]any{"eid": "65", "remote": c, "sent": map[string]any{"packets": 1, "bytes": 20, "dropped": 0},
				"congestion": map[string]any{"policy": "mb-ecn", "slot_ns": 131072, "regime": "avoidance"}},
		}},
		"dt": map[string]any{"address": own, "ports": []any{
			map[string]any{"id": 1, "neighbour": b, "dropped_full": 0, "cubes": []any{
				map[string]any{"cube": "best effort", "sent_packets": 7, "forwarded_packets": 123456789},
				map[string]any{"cube": "voice", "sent_packets": 0, "forwarded_packets": 3}}},
		}},
	}
}
