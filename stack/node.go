// Package stack is a whole node of an Ouroboros network as a Go value: names,
// flows and IPC processes in this program, with no daemon and no socket.
//
//	n, err := stack.New(stack.Config{})
//	defer n.Close()
//
//	server, err := n.Client("server")
//	l, err := server.Listen(ctx, "hello")          // a net.Listener
//
//	client, err := n.Client("client")
//	f, err := client.Alloc(ctx, "hello", nil)      // a flow to it
//
// A Node is an irm.Service, so layers, names and bindings are made from Go as
// they are with a daemon. Two nodes of one program do not meet: they share
// nothing but memory pools, and reach each other as two hosts do, over a
// layer. The daemon irmd is a Node with sockets round it.
//
//	         irm.Service        Client        sockets of irmd
//	┌────────────┴────────────────┴──────────────────┴───────┐
//	│ Node   registry: names, processes, flows, IPCPs        │
//	│        fabric: rings, ports, pipes                     │
//	│        IPCPs, each behind its guard                    │
//	└────────────────────────────────────────────────────────┘
package stack

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"ouroboros"
	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	"ouroboros/internal/fabric"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/port"
	"ouroboros/internal/registry"
	"ouroboros/internal/ring"
	"ouroboros/irm"
	"ouroboros/qos"
)

// Limits bound what processes can make a node hold; 0 means the default.
type Limits = registry.Limits

// Demands are those of a node, for its servers and its clients.
type Demands = registry.Demands

// TrustDirs are directories of certificates.
type TrustDirs = crypt.StoreDirs

// Config says what a node is like. The zero value is a node that logs nothing,
// forgets everything at its end and starts no programs.
type Config struct {
	Logger *slog.Logger
	Limits Limits

	// StateFile keeps what was set up (IPCPs, names, registrations, bindings
	// of programs) for the next node that is given the same file; empty to
	// forget. Two running nodes must not share one.
	StateFile string
	// Store is used in place of StateFile.
	Store registry.Store

	// SecurityDir holds the security files of names that do not say where theirs
	// are, and below it the certificates that the node trusts.
	SecurityDir string
	// Demands are what the node demands of the other side of its flows where a
	// name leaves it to the node.
	Demands Demands
	// Trust says where the certificates are that the node trusts, where not in
	// cacert, untrusted and revoked below SecurityDir.
	Trust TrustDirs

	// Dir is the runtime directory with the sockets of the daemon that the
	// node is for. Only a node that has one starts bound programs on demand:
	// without sockets they could not reach it.
	Dir string
	// NoPrograms is for a node with sockets whose process may start none.
	NoPrograms bool
	// Env are variables, NAME=value, for programs started on demand.
	Env []string

	RequestWait  time.Duration // how long a bound process has to accept; default 1 s
	AllocTimeout time.Duration // of allocations without a deadline; default 20 s
	ClockSlack   time.Duration // how far the clock of another node may be ahead of this one's; default 100 ms

	// Kinds are IPCPs of other kinds than the built-in ones, or in their place.
	// They are for the tests of this module, whose networks lie in memory.
	Kinds map[irm.IPCPType]ipcp.Constructor
}

// closeWait bounds Close.
const closeWait = 30 * time.Second

// Node is one node. Its methods may be called from any goroutine.
type Node struct {
	irm.Service // the registry

	registry *registry.Registry
	fabric   *fabric.Fabric
	ports    sync.WaitGroup
	guards   guards

	mu      sync.Mutex
	clients map[int]*ouroboros.Client // by pid
	next    int                       // pid
	closed  bool

	closing sync.Once
	failed  error // of Close
}

// New starts a node.
func New(cfg Config) (*Node, error) { return start(cfg, newIPCP(cfg.Kinds)) }

// start is New with the IPCPs that build makes.
func start(cfg Config, build func(*slog.Logger) func(irm.IPCPType, ipcp.Identity, ipcp.Host) (ipcp.IPCP, error)) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Store == nil && cfg.StateFile != "" {
		cfg.Store = registry.FileStore{Path: cfg.StateFile}
	}
	n := &Node{clients: map[int]*ouroboros.Client{}, next: FirstClient}
	n.fabric = fabric.New(n.newPort)
	rc := registry.Config{
		Log:          cfg.Logger,
		Limits:       cfg.Limits,
		Fabric:       n.fabric,
		NewIPCP:      build(cfg.Logger),
		Guard:        n.guards.guard,
		Linger:       n.linger,
		Counters:     n.guards.counters,
		SecurityDir:  cfg.SecurityDir,
		Demands:      cfg.Demands,
		Trust:        cfg.Trust,
		Store:        cfg.Store,
		RequestWait:  cfg.RequestWait,
		AllocTimeout: cfg.AllocTimeout,
		ClockSlack:   cfg.ClockSlack,
		Version:      ouroboros.Version,
		Dir:          cfg.Dir,
	}
	switch {
	case cfg.NoPrograms:
		rc.Starter = noPrograms{}
	case cfg.Dir != "":
		rc.Starter = &registry.OSStarter{Log: cfg.Logger, Dir: cfg.Dir, Env: cfg.Env}
	}
	r, err := registry.New(rc)
	if err != nil {
		n.fabric.Close()
		return nil, err
	}
	n.registry, n.Service = r, r
	return n, nil
}

// noPrograms starts none.
type noPrograms struct{}

func (noPrograms) Start(context.Context, []string, uint32, uint32, func(error)) (int, error) {
	return 0, errno.New(errno.Perm, "this node is in a sandbox, and starts no programs").
		Next("start the program by other means, as a service of its own, or run the daemon without sandbox")
}

// newPort is the fabric's way to carry a ring over a flow. The node waits for
// its ports to end.
func (n *Node) newPort(end *ring.End, f flow.Flow, _ qos.Spec, done func()) (fabric.Port, error) {
	n.ports.Add(1)
	return port.New(end, f, func() {
		done()
		n.ports.Done()
	}), nil
}

// Registry and Fabric are for the daemon, which puts its sockets round them.
func (n *Node) Registry() *registry.Registry { return n.registry }
func (n *Node) Fabric() *fabric.Fabric       { return n.fabric }

// Close ends the node: it closes all clients, brings all flows down, ends the
// IPCPs and the programs that were started on demand, and waits for all of
// it. It fails when something has not ended after 30 seconds.
func (n *Node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	return n.Shutdown(ctx)
}

// Shutdown is Close with another limit. What has not ended when ctx ends goes
// on ending.
func (n *Node) Shutdown(ctx context.Context) error {
	n.closing.Do(func() { n.failed = n.shutdown(ctx) })
	return n.failed
}

func (n *Node) shutdown(ctx context.Context) error {
	n.mu.Lock()
	n.closed = true
	clients := n.clients
	n.clients = nil
	n.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
	err := n.registry.Close(ctx)

	ended := make(chan struct{})
	go func() {
		n.ports.Wait()
		n.guards.abort()
		n.guards.wait(ctx, true)
		n.fabric.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		if err == nil {
			err = errno.New(errno.TimedOut, "the node has not ended in time: messages of a flow are still being passed on")
		}
	}
	return err
}
