package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ouroboros"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/stack"
)

// node is a host: a stack of its own, with its IPCPs by name.
type node struct {
	*stack.Node
	name string
	ip   netip.Addr
	pids map[string]int // of its IPCPs

	cables []int // pids of those on a cable
}

// cable is a UDP layer between two nodes, on a port of its own.
type cable struct {
	name  string
	ends  [2]*node
	port  uint16
	hosts string // file that says which names are at which end
}

// world is the whole network.
type world struct {
	dir    string
	nodes  []*node // a, b, c
	cables []*cable
	ending []func()
}

func newWorld(dir string) (*world, error) {
	w := &world{dir: dir}
	for i, name := range []string{"a", "b", "c"} {
		n, err := stack.New(stack.Config{Dir: filepath.Join(dir, name)})
		if err != nil {
			w.close()
			return nil, err
		}
		w.nodes = append(w.nodes, &node{Node: n, name: name, ip: netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), pids: map[string]int{}})
	}
	return w, nil
}

func (w *world) close() {
	for _, f := range slices.Backward(w.ending) {
		f()
	}
	for _, n := range w.nodes {
		n.Close()
	}
}

func (w *world) node(name string) *node { return w.nodes[name[0]-'a'] }

// build makes the layers from below to above.
func (w *world) build(ctx context.Context) error {
	for _, name := range []string{"ab", "bc", "ac"} {
		if err := w.lay(ctx, name); err != nil {
			return err
		}
	}
	// net: a is the first member. b and c ask a neighbour for the layer, which
	// makes them members, and then connect.
	net := irm.NewConfig(irm.Unicast, "net")
	net.Unicast.Routing = irm.LFA
	if err := w.found(ctx, "a", net); err != nil {
		return err
	}
	if err := w.join(ctx, "b", irm.Unicast, "net", "a"); err != nil {
		return err
	}
	if err := w.join(ctx, "c", irm.Unicast, "net", "a", "b"); err != nil {
		return err
	}
	// top is a unicast layer as well. That its cables are flows of net is none
	// of its business.
	if err := w.found(ctx, "a", irm.NewConfig(irm.Unicast, "top")); err != nil {
		return err
	}
	if err := w.join(ctx, "c", irm.Unicast, "top", "a"); err != nil {
		return err
	}
	if err := w.found(ctx, "a", irm.NewConfig(irm.Broadcast, "chat")); err != nil {
		return err
	}
	if err := w.join(ctx, "b", irm.Broadcast, "chat", "a"); err != nil {
		return err
	}
	return w.join(ctx, "c", irm.Broadcast, "chat", "a", "b")
}

// lay makes the UDP layer of a cable. A file says that the members of net are
// reached at its ends.
func (w *world) lay(ctx context.Context, name string) error {
	c := &cable{name: name, ends: [2]*node{w.node(name[:1]), w.node(name[1:])}}
	c.hosts = filepath.Join(w.dir, "hosts-"+name)
	var lines strings.Builder
	for _, n := range c.ends {
		fmt.Fprintf(&lines, "%v net-%s\n", n.ip, n.name)
	}
	if err := os.WriteFile(c.hosts, []byte(lines.String()), 0o644); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	c.port = port
	for _, n := range c.ends {
		cfg := irm.NewConfig(irm.UDP4, name)
		cfg.UDP.IP, cfg.UDP.Port, cfg.UDP.Hosts = n.ip, port, c.hosts
		if err := n.bootstrap(ctx, name+"-"+n.name, cfg); err != nil {
			return err
		}
		n.cables = append(n.cables, n.pids[name+"-"+n.name])
	}
	w.cables = append(w.cables, c)
	return nil
}

// freePort finds a UDP port that nobody uses at the moment.
func freePort() (uint16, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port), nil
}

// bootstrap makes an IPCP the first member of a layer.
func (n *node) bootstrap(ctx context.Context, ipcp string, cfg *irm.Config) error {
	pid, err := n.CreateIPCP(ctx, ipcp, cfg.Type)
	if err != nil {
		return err
	}
	n.pids[ipcp] = pid
	_, err = n.BootstrapIPCP(ctx, pid, cfg)
	return err
}

// found makes the first member of a layer that has neighbours, and lets others
// reach it by its name.
func (w *world) found(ctx context.Context, at string, cfg *irm.Config) error {
	n, ipcp := w.node(at), cfg.Layer+"-"+at
	if err := n.bootstrap(ctx, ipcp, cfg); err != nil {
		return err
	}
	return n.reachable(ctx, ipcp, cfg.Layer)
}

// join makes a member of a layer and connects it with others.
func (w *world) join(ctx context.Context, at string, t irm.IPCPType, layer string, neighbours ...string) error {
	n, ipcp := w.node(at), layer+"-"+at
	pid, err := n.CreateIPCP(ctx, ipcp, t)
	if err != nil {
		return err
	}
	n.pids[ipcp] = pid
	if _, err := n.EnrollIPCP(ctx, pid, layer+"-"+neighbours[0]); err != nil {
		return err
	}
	if err := n.reachable(ctx, ipcp, layer); err != nil {
		return err
	}
	for _, nb := range neighbours {
		if t == irm.Unicast {
			if err := n.ConnectIPCP(ctx, pid, irm.Management, layer+"-"+nb, qos.Raw); err != nil {
				return err
			}
		}
		if err := n.ConnectIPCP(ctx, pid, irm.DataTransfer, layer+"-"+nb, qos.Raw); err != nil {
			return err
		}
	}
	return nil
}

// reachable binds an IPCP to its name and registers that below: a member of net
// in all cables of its node, the others in net.
func (n *node) reachable(ctx context.Context, ipcp, layer string) error {
	if err := n.BindProcess(ctx, n.pids[ipcp], ipcp); err != nil {
		return err
	}
	below := n.cables
	if layer != "net" {
		below = []int{n.pids["net-"+n.name]}
	}
	for _, pid := range below {
		if err := n.RegName(ctx, ipcp, pid); err != nil {
			return err
		}
	}
	return nil
}

// cut ends the cable between a and c, as if it was pulled out at a.
func (w *world) cut(ctx context.Context) error {
	n := w.node("a")
	return n.DestroyIPCP(ctx, n.pids["ac-a"])
}

// path is the way from a to c through net, by the routes of its members.
func (w *world) path(ctx context.Context) (string, error) {
	names := map[any]string{}
	shown := map[string]map[string]any{}
	for _, n := range w.nodes {
		s, err := n.ShowIPCP(ctx, n.pids["net-"+n.name])
		if err != nil {
			return "", err
		}
		shown[n.name] = s["linkstate"].(map[string]any)
		names[shown[n.name]["own"]] = n.name
	}
	way := "a"
	for at := "a"; at != "c" && len(way) < 40; {
		next := ""
		for _, r := range shown[at]["routes"].([]any) {
			r := r.(map[string]any)
			if hops := r["next"].([]any); names[r["dst"]] == "c" && len(hops) > 0 {
				next = names[hops[0]]
			}
		}
		if next == "" {
			return way + " → ?", nil
		}
		way, at = way+" → "+next, next
	}
	return way, nil
}

// client makes an identity that lives as long as the world.
func (w *world) client(at, name string) (*ouroboros.Client, error) {
	c, err := w.node(at).Client(name)
	if err == nil {
		w.ending = append(w.ending, func() { c.Close() })
	}
	return c, err
}

// register makes a name reachable in a layer.
func (n *node) register(ctx context.Context, name, layer string) error {
	if err := n.CreateName(ctx, irm.NameInfo{Name: name}); err != nil {
		return err
	}
	return n.RegName(ctx, name, n.pids[layer+"-"+n.name])
}

// serveOping lets node c start oping when somebody pings, if it is installed
// beside this program or in the path.
func (w *world) serveOping(ctx context.Context) error {
	oping, err := lookOping()
	if err != nil {
		fmt.Fprintln(os.Stderr, "oping is not in the path, so nobody serves the name ping:", err)
		return nil
	}
	n := w.node("c")
	if err := n.BindProgram(ctx, irm.ProgramBinding{Program: oping, Args: []string{"--listen", "--quiet"}, Name: "ping", Auto: true}); err != nil {
		return err
	}
	return n.register(ctx, "ping", "top")
}
