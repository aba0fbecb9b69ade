package simnet

import (
	"context"
	"fmt"
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

// leastMPL is the longest life of a packet that a layer promises, as that of
// Ethernet. Over a long link it is longer.
const leastMPL = 100 * time.Millisecond

// Endpoint numbers. The C implementation would have given number 1 to one of
// its own, so every peer shows at once to be of our kind.
var (
	own     = shim.Range{Lo: 2, Hi: 0x1000}
	foreign = shim.Range{Lo: 1, Hi: 1}
)

// IPCP is a member of a layer on a link.
type IPCP struct {
	ipcp.Unsupported
	net *Net
	env ipcp.Env

	mu    sync.Mutex
	layer atomic.Pointer[layer] // set by Bootstrap
}

// layer is what an IPCP has once it is bootstrapped.
type layer struct {
	*shim.Shim[wire.MAC]
	env       ipcp.Env
	name      string
	ethertype uint16
	hashSize  int
	station   *station
	count     counters
}

// Bootstrap implements ipcp.IPCP: cfg.Eth.Device names the link.
func (i *IPCP) Bootstrap(_ context.Context, cfg *irm.Config) (irm.LayerInfo, error) {
	if err := cfg.Validate(); err != nil {
		return irm.LayerInfo{}, err
	}
	g := i.net.Segment(cfg.Eth.Device)
	if g == nil {
		return irm.LayerInfo{}, errno.New(errno.Invalid, "there is no link %q", cfg.Eth.Device)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if l := i.layer.Load(); l != nil {
		return irm.LayerInfo{}, errno.New(errno.IPCPState, "the IPCP is in layer %q already", l.name)
	}
	link := g.Link()
	l := &layer{env: i.env, name: cfg.Layer, ethertype: cfg.Eth.Ethertype, hashSize: hash.Size(cfg.Hash)}
	l.Shim = shim.New(shim.Config[wire.MAC]{
		Env: i.env, Edge: l, Own: own, Remote: shim.Range{Lo: 1, Hi: 0xffff}, Foreign: foreign,
		MPL: max(leastMPL, 2*(link.Delay+link.Jitter)), MTU: link.payload(), RegisteredOnly: true,
	})
	l.station = &station{seg: g, layer: l, mac: i.net.address()}
	i.layer.Store(l)
	g.attach(l.station)
	l.station.follow()
	return irm.LayerInfo{Name: cfg.Layer, Hash: cfg.Hash}, nil
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
	to, err := l.find(ctx, req.Hash)
	if err != nil {
		return nil, err
	}
	return l.Alloc(ctx, to, req)
}

// Show implements ipcp.IPCP: what the Shim shows, and the link.
func (i *IPCP) Show() map[string]any {
	l := i.layer.Load()
	if l == nil {
		return map[string]any{}
	}
	shown := l.Shim.Show()
	c := &l.count
	directory := shown["directory"].(map[string]any)
	directory["queries_sent"] = c.queried.Load()
	directory["queries_heard"] = c.queries.Load()
	directory["queries_answered"] = c.answered.Load()
	shown["frames"] = map[string]any{"malformed": c.malformed.Load(), "other_protocol": c.foreign.Load()}
	g := l.station.seg
	g.mu.Lock()
	defer g.mu.Unlock()
	st := l.station.stats
	shown["device"] = map[string]any{
		"name": g.name, "up": !g.cut, "mtu": g.cfg.payload(), "address": l.station.mac.String(),
		"ethertype": fmt.Sprintf("0x%04X", l.ethertype),
		"sent":      st.Sent, "sent_bytes": st.Bytes, "delivered": st.Delivered, "lost": st.Lost,
		"overflows": st.Overflowed, "short_takes": st.Full,
	}
	return shown
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
	l.station.seg.detach(l.station)
	return nil
}
