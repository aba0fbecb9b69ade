// Package broadcast is the IPCP of a broadcast layer: what a process that has
// joined it writes is copied to every other one, at every member.
//
//	  processes                                        processes
//	   ║  ║  ║ Join                                       ║  ║
//	┌──╨──╨──╨─────────── member ───────────┐         ┌───╨──╨─── member ──┐
//	│ forwarder: from one, to all others    │◄═══════►│                    │
//	│ tree: which connections carry         │◄───────►│                    │
//	│ guard: storms through other members   │         └────────────────────┘
//	└───────────────────────────────────────┘
//	      ═══ Data Transfer: packets as they were written, nothing added
//	      ─── Spanning Tree: beside it, between members of our kind
//
// There are no addresses, no header, no directory and no membership: a packet
// travels over the connections of members, and these must form a tree. Members
// of our kind see to that themselves: they know each other by the address in
// the message that begins a connection, which the C implementation sends as 0
// and does not look at, and agree on a tree (package spantree) over connections
// of a component that the C implementation refuses. Connections through members
// of the latter are always open; a guard finds the storms of loops among them.
//
// Delivery is best effort, in order for each sender. Nobody waits for a slow
// reader.
package broadcast

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/enroll"
	conf "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
	"ouroboros/qos"
)

const (
	// silence is after how long a connection is given up on which nothing comes,
	// not even a keep-alive.
	silence = 15 * time.Second

	// connMost is the most connections of one component that others make.
	connMost = 1024

	// settleTime is how long Connect waits until it is agreed how the connection
	// carries. It is made anyway.
	settleTime = 3 * time.Second
)

// IPCP is a broadcast IPCP.
type IPCP struct {
	ipcp.Unsupported
	env  ipcp.Env
	own  uint64 // member id
	mgr  *connmgr.Switchboard
	fwd  *forwarder
	tree tree

	enroller *enroll.Enroller

	count struct {
		self, double, uncontrolled, astray, strays, garbage atomic.Uint64
	}

	mu     sync.Mutex
	info   irm.LayerInfo
	raw    *conf.Config // as it is handed out; nil before it is in a layer
	links  map[*connmgr.Conn]*link
	byPeer map[uint64]*link
	strays map[uint64]*control
	joined map[*joinedFlow]struct{}
	closed bool
}

// New is the ipcp.Constructor of broadcast IPCPs.
func New(env ipcp.Env) (ipcp.IPCP, error) { return newIPCP(env), nil }

func newIPCP(env ipcp.Env) *IPCP {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	b := &IPCP{
		env: env, own: memberID(time.Now()),
		links: make(map[*connmgr.Conn]*link), byPeer: make(map[uint64]*link),
		strays: make(map[uint64]*control), joined: make(map[*joinedFlow]struct{}),
	}
	b.fwd = newForwarder(env.AfterFunc, env.Log)
	b.tree.init(b)
	b.enroller = enroll.NewEnroller(env, b.handOut)
	b.mgr = connmgr.New(env, connmgr.Options{Silence: silence, Limit: connMost})
	b.mgr.Register(b.enroller)
	b.mgr.Register(dataTransfer{b})
	b.mgr.Register(treeComponent{b})
	return b
}

// Bootstrap implements ipcp.IPCP. The hash algorithm is SHA3-256, whatever the
// configuration says.
func (b *IPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	if cfg.Type != irm.Broadcast {
		return irm.LayerInfo{}, errno.New(errno.Invalid, "the configuration is that of a %v layer", cfg.Type)
	}
	c := *cfg
	c.Hash = irm.SHA3_256
	if err := c.Validate(); err != nil {
		return irm.LayerInfo{}, err
	}
	return b.enter(enroll.ToWire(&c, 0))
}

// Enroll implements ipcp.IPCP.
func (b *IPCP) Enroll(ctx context.Context, dst string) (irm.LayerInfo, error) {
	got, finish, err := enroll.Join(ctx, b.mgr, b.env.Log, dst, irm.Broadcast, nil)
	if err != nil {
		return irm.LayerInfo{}, err
	}
	info, err := b.enter(got.Raw)
	finish(err)
	return info, err
}

// enter makes this IPCP a member of the layer of a configuration.
func (b *IPCP) enter(raw *conf.Config) (irm.LayerInfo, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return irm.LayerInfo{}, errGone()
	}
	b.raw = raw
	b.info = irm.LayerInfo{Name: raw.Layer, Hash: irm.SHA3_256}
	info := b.info
	b.mu.Unlock()
	b.mgr.Start()
	b.env.Log.Info("member of a layer", "layer", info.Name, "member", name(b.own))
	return info, nil
}

// handOut gives the configuration for those who enroll with this member.
func (b *IPCP) handOut() (*conf.Config, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.raw == nil {
		return nil, errno.New(errno.IPCPState, "the IPCP is in no layer")
	}
	return b.raw, nil
}

// Connect implements ipcp.IPCP. It returns when it is agreed with the neighbour
// whether the connection carries, so that what is written next arrives there.
func (b *IPCP) Connect(ctx context.Context, component, dst string, spec qos.Spec) error {
	if err := only(component); err != nil {
		return err
	}
	if err := b.mgr.Connect(ctx, component, dst, spec); err != nil {
		return err
	}
	b.mu.Lock()
	var l *link
	for c, o := range b.links {
		if c.Dst() == dst && (l == nil || c.ID() > l.conn.ID()) {
			l = o
		}
	}
	b.mu.Unlock()
	if l == nil {
		return nil // lost again, and dialled again
	}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-l.settled:
	case <-l.ctx.Done():
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// Disconnect implements ipcp.IPCP.
func (b *IPCP) Disconnect(ctx context.Context, component, dst string) error {
	if err := only(component); err != nil {
		return err
	}
	return b.mgr.Disconnect(ctx, component, dst)
}

// only: people connect data transfer; what belongs to it comes by itself.
func only(component string) error {
	if component == irm.DataTransfer {
		return nil
	}
	return errno.New(errno.NotSup, "a broadcast IPCP cannot be told to connect %q", component).
		Next("it has %q only; in irm: component dt", irm.DataTransfer)
}

// Close implements ipcp.IPCP. Neighbours are told, and processes get
// EventDealloc.
func (b *IPCP) Close() error {
	b.mu.Lock()
	b.closed = true
	joined := b.joined
	b.joined = make(map[*joinedFlow]struct{})
	b.mu.Unlock()
	for j := range joined {
		b.fwd.remove(j.neighbour)
		j.user.end()
	}
	b.mgr.Close()
	b.tree.close()
	return nil
}

// memberID makes an id that nobody else has. Members that are older have lower
// ones, so that the root of the tree is old and a newcomer changes nothing for
// others; within a second it is chance. 0 is no id, and the sign bit is left
// alone.
func memberID(now time.Time) uint64 {
	const chance = 31
	return uint64(uint32(now.Unix()))<<chance | rand.Uint64N(1<<chance-1) + 1
}

// errGone is why nothing can be done any more.
func errGone() error { return errno.New(errno.IPCP, "the IPCP is being destroyed") }
