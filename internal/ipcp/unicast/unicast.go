// Package unicast is the IPCP of a layer that routes: its members carry flows
// between named processes over as many hops as it takes, on flows of the layers
// below, be those networks or layers that route again.
//
//	              registry
//	                 │ ipcp.IPCP
//	┌────────────────▼──────────────────────────────────────────────┐
//	│ IPCP        states, configuration, one member at a time       │
//	│  fa         flow allocator: flows of the layer's users        │
//	│  dht        directory: where names are                        │
//	│  linkstate  routing: which neighbour leads where              │
//	│  dt         data transfer: sends, forwards, delivers          │
//	│  connmgr    connections with neighbours      enroll           │
//	└────────────────┬──────────────────────────────────────────────┘
//	                 │ flow.Flow
//	       flows of lower layers: Management and Data Transfer
//
// # Life
//
// Bootstrap draws an address and starts the components. Enroll asks a member for
// the configuration of the layer and does the same. Neither makes a neighbour:
// Connect does, once for each component. Management carries link states, Data
// Transfer packets; a neighbour is routed over when it has both.
//
// # Addresses
//
// An address is 32 random bits, and nobody hands them out. A member that has no
// data transfer connection yet can find out whether its address is taken: the
// data base of link states that its first neighbour sends names every member. It
// then draws another and begins again under that, before any packet has carried
// the first.
package unicast

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/enroll"
	wire "ouroboros/internal/wire/dt"
	conf "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
	"ouroboros/qos"
)

// neighbourSilence is how long a neighbour may say nothing before it counts as
// dead, unless the layer's updates come more rarely.
const neighbourSilence = 15 * time.Second

// IPCP is a unicast IPCP.
type IPCP struct {
	ipcp.Unsupported // Join
	env              ipcp.Env
	draw             func() wire.Addr
	board            *connmgr.Switchboard
	enroller         *enroll.Enroller
	management       *proxy
	transfer         *proxy

	begin sync.Mutex // held while a member begins or moves to another address
	moves int        // to another address; of begin

	mu     sync.Mutex
	member *member             // nil before the IPCP is in a layer
	names  map[string]struct{} // hashes registered here
	closed bool
}

// New is the ipcp.Constructor of unicast IPCPs.
func New(env ipcp.Env) (ipcp.IPCP, error) { return newIPCP(env, drawAddr), nil }

func newIPCP(env ipcp.Env, draw func() wire.Addr) *IPCP {
	u := &IPCP{env: env, draw: draw, names: make(map[string]struct{})}
	u.board = connmgr.New(env, connmgr.Options{Silence: neighbourSilence})
	u.enroller = enroll.NewEnroller(env, u.handOut)
	u.management = newProxy(u, managementInfo, func(m *member) connmgr.Component { return m.routing.Management() })
	u.transfer = newProxy(u, transferInfo, func(m *member) connmgr.Component { return m.links })
	for _, c := range []connmgr.Component{u.enroller, u.management, u.transfer} {
		u.board.Register(c)
	}
	return u
}

// drawAddr gives a random address.
func drawAddr() wire.Addr {
	for {
		var b [4]byte
		rand.Read(b[:])
		if a := wire.Addr(binary.LittleEndian.Uint32(b[:])); a.Valid() {
			return a
		}
	}
}

// Bootstrap implements ipcp.IPCP.
func (u *IPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	c := *cfg
	if c.Unicast == nil {
		c.Unicast = irm.NewUnicastConfig()
	}
	if err := c.Validate(); err != nil {
		return irm.LayerInfo{}, err
	}
	return u.enter(&c, enroll.ToWire(&c, 0), 0)
}

// Enroll implements ipcp.IPCP.
func (u *IPCP) Enroll(ctx context.Context, dst string) (irm.LayerInfo, error) {
	got, finish, err := enroll.Join(ctx, u.board, u.env.Log, dst, irm.Unicast, nil)
	if err != nil {
		return irm.LayerInfo{}, err
	}
	info, err := u.enter(got.Config, got.Raw, got.Peer)
	finish(err)
	return info, err
}

// enter makes this IPCP a member of a layer.
func (u *IPCP) enter(cfg *irm.Config, raw *conf.Config, peer wire.Addr) (irm.LayerInfo, error) {
	u.begin.Lock()
	defer u.begin.Unlock()
	m := u.newMember(cfg, raw, peer, u.draw())
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		m.close()
		return irm.LayerInfo{}, errGone()
	}
	u.member = m
	u.mu.Unlock()
	m.start()
	u.board.Start()
	u.env.Log.Info("member of a layer", "layer", cfg.Layer, "address", m.own)
	return irm.LayerInfo{Name: cfg.Layer, Hash: cfg.Hash}, nil
}

func errGone() error { return errno.New(errno.IPCP, "the IPCP is being destroyed") }

// handOut gives the configuration for those who enroll with this member.
func (u *IPCP) handOut() (*conf.Config, error) {
	m, err := u.now()
	if err != nil {
		return nil, err
	}
	return m.raw.WithPeer(m.own), nil
}

// now gives the present member.
func (u *IPCP) now() (*member, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.member == nil {
		return nil, errno.New(errno.IPCPState, "the IPCP is in no layer")
	}
	return u.member, nil
}

// Connect implements ipcp.IPCP.
func (u *IPCP) Connect(ctx context.Context, component, dst string, spec qos.Spec) error {
	if component == irm.DataTransfer {
		if err := u.settle(ctx); err != nil {
			return err
		}
	}
	for {
		m, err := u.now()
		if err != nil {
			return err
		}
		err = u.board.Connect(ctx, component, dst, spec)
		// A neighbour with the address of this member is met here first. Routing
		// may have been told before, and moved: that ends what was being made.
		moved := false
		if now, _ := u.now(); now != nil && now != m {
			moved = errors.Is(err, errno.FlowDown) || errors.Is(err, errno.Exist)
		} else if errors.Is(err, errno.Exist) && !m.links.any() {
			moved = u.move(m) == nil
		}
		if !moved {
			return err
		}
	}
}

// Disconnect implements ipcp.IPCP.
func (u *IPCP) Disconnect(ctx context.Context, component, dst string) error {
	return u.board.Disconnect(ctx, component, dst)
}

// Reg implements ipcp.IPCP.
func (u *IPCP) Reg(ctx context.Context, hash []byte) error {
	m, err := u.now()
	if err != nil {
		return err
	}
	if err := m.dir.Reg(ctx, hash); err != nil {
		return err
	}
	u.mu.Lock()
	u.names[string(hash)] = struct{}{}
	u.mu.Unlock()
	return nil
}

// Unreg implements ipcp.IPCP.
func (u *IPCP) Unreg(ctx context.Context, hash []byte) error {
	m, err := u.now()
	if err != nil {
		return err
	}
	u.mu.Lock()
	delete(u.names, string(hash))
	u.mu.Unlock()
	return m.dir.Unreg(ctx, hash)
}

// Query implements ipcp.IPCP.
func (u *IPCP) Query(ctx context.Context, hash []byte) error {
	m, err := u.now()
	if err != nil {
		return err
	}
	return m.query(ctx, hash)
}

// AllocFlow implements ipcp.IPCP.
func (u *IPCP) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	m, err := u.now()
	if err != nil {
		return nil, err
	}
	return m.flows.AllocFlow(ctx, req)
}

// Show implements ipcp.IPCP.
func (u *IPCP) Show() map[string]any {
	shown := map[string]any{"connections": u.board.Show(), "enrollment": u.enroller.Show()}
	m, err := u.now()
	if err != nil {
		return shown
	}
	shown["layer"] = m.show()
	shown["dt"] = m.engine.Show()
	shown["linkstate"] = m.routing.Show()
	shown["directory"] = m.dir.Show()
	shown["flows"] = m.flows.Show()
	return shown
}

// Close implements ipcp.IPCP. The flows over the layer end first, then the
// neighbours are told that the links go, then the connections end.
func (u *IPCP) Close() error {
	u.mu.Lock()
	u.closed = true
	m := u.member
	u.mu.Unlock()
	if m != nil {
		m.close()
	}
	u.board.Close()
	return nil
}
