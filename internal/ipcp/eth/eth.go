// Package eth is the IPCP of a layer on an Ethernet, in two kinds that share
// everything but the form of their frames: eth-dix has an ethertype of its own,
// eth-llc lives in 802.3 frames. The members of a layer are the IPCPs of one
// kind, and one ethertype, on one broadcast domain.
//
//	shim.Shim    endpoints, allocation, directory
//	    │ Transmit, Manage           ▲ Deliver, Message
//	  edge       header in front     receiver    batches sorted by flow
//	    ▼ Send                       │ Receive
//	link/packet  one packet socket ◄─── port: opens, closes and re-opens it
//	                                     ▲
//	                                 link/monitor   what happens to the device
//
// What is on the wire is described in package wire/ethmgmt.
//
// A name is found by asking everybody: the query is a broadcast, repeated some
// times because frames are lost, and whoever has the name registered answers.
// Nobody answers for a name that he does not have, so an unknown one costs the
// whole wait. Answers that nobody asked for are dropped. What was learned is
// kept for a minute, or until nothing answers there.
//
// The peer of a flow is the address that its request went to, or came from;
// data from elsewhere is dropped, and in eth-llc also data from another SAP.
// Deallocating a flow is local: the protocol has no message for it.
//
// Flows outlive what happens to their device. When it loses its carrier, is
// switched off or removed they are down, and up again when it is back, also as
// a new device of the same name.
package eth

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/shim"
	wire "ouroboros/internal/wire/ethmgmt"
	"ouroboros/irm"
)

// MPL is the longest life of a packet that an Ethernet layer promises.
const MPL = 100 * time.Millisecond

// Endpoint numbers. An EID of our own is anything that the field can carry:
// peers only echo it. Of SAPs there are few.
var (
	dixOwn    = shim.Range{Lo: 1, Hi: 0xfffe}
	dixRemote = shim.Range{Lo: 1, Hi: 0xffff}
	llcOwn    = shim.Range{Lo: uint32(wire.FirstSAP), Hi: uint32(wire.LastSAP)}
	llcRemote = shim.Range{Lo: uint32(wire.FirstSAP), Hi: uint32(wire.LastPeerSAP)}
)

// longestLoopback is the MTU that loopback devices are taken to have: members
// of other make do not take longer frames there.
const longestLoopback = 9000

// IPCP is an Ethernet IPCP.
type IPCP struct {
	ipcp.Unsupported
	env    ipcp.Env
	kind   wire.Kind
	log    *slog.Logger
	within func(func() error) error // runs f in the network namespace of the device

	mu    sync.Mutex
	layer atomic.Pointer[layer] // set by Bootstrap
}

// layer is what an IPCP has once it is bootstrapped.
type layer struct {
	*shim.Shim[wire.MAC]
	i         *IPCP
	name      string
	kind      wire.Kind
	ethertype uint16 // of eth-dix
	hash      irm.HashAlgo
	hashSize  int
	port      port
	asked     asked
	count     counters
}

// counters are what happened to frames before they could be given to the Shim.
type counters struct {
	runt, foreign, length atomic.Uint64 // frames that were not taken, see ethmgmt
	group                 atomic.Uint64 // frames whose source is no station
	endpoint              atomic.Uint64 // eth-llc: data from another SAP than the peer's
	queries, answered     atomic.Uint64 // of others; of those, for names that are here
	queried               atomic.Uint64 // own queries sent
	unsolicited           atomic.Uint64 // answers to what was not asked
}

// NewDIX is the ipcp.Constructor of eth-dix IPCPs, NewLLC that of eth-llc ones.
func NewDIX(env ipcp.Env) (ipcp.IPCP, error) { return newIPCP(env, wire.DIX, nil), nil }
func NewLLC(env ipcp.Env) (ipcp.IPCP, error) { return newIPCP(env, wire.LLC, nil), nil }

func newIPCP(env ipcp.Env, kind wire.Kind, within func(func() error) error) *IPCP {
	if within == nil {
		within = func(f func() error) error { return f() }
	}
	i := &IPCP{env: env, kind: kind, log: env.Log, within: within}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	return i
}

// Bootstrap implements ipcp.IPCP. The device has to exist, but need not be up.
// When it fails nothing is left behind, and it can be tried again.
func (i *IPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	if err := cfg.Validate(); err != nil {
		return irm.LayerInfo{}, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if l := i.layer.Load(); l != nil {
		return irm.LayerInfo{}, errno.New(errno.IPCPState, "the IPCP is in layer %q already", l.name)
	}
	l := &layer{
		i: i, name: cfg.Layer, kind: i.kind, ethertype: cfg.Eth.Ethertype,
		hash: cfg.Hash, hashSize: hash.Size(cfg.Hash),
	}
	own, remote := dixOwn, dixRemote
	if i.kind == wire.LLC {
		own, remote = llcOwn, llcRemote
	}
	l.Shim = shim.New(shim.Config[wire.MAC]{
		Env: i.env, Edge: l, Own: own, Remote: remote, MPL: MPL, RegisteredOnly: true,
	})
	if err := l.port.open(l, cfg.Eth.Device); err != nil {
		return irm.LayerInfo{}, err
	}
	i.layer.Store(l)
	return irm.LayerInfo{Name: cfg.Layer, Hash: cfg.Hash}, nil
}

// maxPayload is the longest payload on a device.
func (l *layer) maxPayload(device string, mtu int) int {
	if strings.HasPrefix(device, "lo") {
		mtu = min(mtu, longestLoopback)
	}
	return l.kind.MaxPayload(mtu)
}

// up gives the layer, or says that there is none yet.
func (i *IPCP) up() (*layer, error) {
	if l := i.layer.Load(); l != nil {
		return l, nil
	}
	return nil, errno.New(errno.IPCPState, "the IPCP is in no layer yet").Next("bootstrap it first")
}

// Reg implements ipcp.IPCP. Nothing is announced: who wants the name asks.
func (i *IPCP) Reg(_ context.Context, hash []byte) error {
	l, err := i.up()
	if err == nil {
		l.Names.Add(hash)
	}
	return err
}

// Unreg implements ipcp.IPCP.
func (i *IPCP) Unreg(_ context.Context, hash []byte) error {
	l, err := i.up()
	if err == nil {
		l.Names.Remove(hash)
	}
	return err
}

// Query implements ipcp.IPCP.
func (i *IPCP) Query(ctx context.Context, hash []byte) error {
	l, err := i.up()
	if err == nil {
		_, err = l.find(ctx, hash)
	}
	return err
}

// AllocFlow implements ipcp.IPCP.
func (i *IPCP) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	l, err := i.up()
	if err != nil {
		return nil, err
	}
	if err := l.fits(l.kind.Fixed() + len(req.Hash) + len(req.Data)); err != nil {
		return nil, err
	}
	to, err := l.find(ctx, req.Hash)
	if err != nil {
		return nil, err
	}
	return l.Alloc(ctx, to, req)
}

// Close implements ipcp.IPCP.
func (i *IPCP) Close() error {
	i.mu.Lock()
	l := i.layer.Load()
	i.mu.Unlock()
	if l == nil {
		return nil
	}
	l.Shim.Close()
	return l.port.close()
}
