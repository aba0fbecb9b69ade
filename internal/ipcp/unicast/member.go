package unicast

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/unicast/dht"
	"ouroboros/internal/ipcp/unicast/dt"
	"ouroboros/internal/ipcp/unicast/fa"
	"ouroboros/internal/ipcp/unicast/linkstate"
	wire "ouroboros/internal/wire/dt"
	conf "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
)

// member is the IPCP under one address: all components that know it.
type member struct {
	u    *IPCP
	cfg  *irm.Config
	raw  *conf.Config // the same as it was given to this member
	peer wire.Addr    // of the member that it enrolled with; 0 = it is the first
	born time.Time
	own  wire.Addr

	engine  *dt.Engine
	links   *adjacencies
	routing *linkstate.LinkState
	dir     *dht.Directory
	flows   *fa.Allocator

	change atomic.Int64 // time of the last change of the layer as seen from here, ns since born
}

// young is how long after a change of the layer a name that is not known is
// asked for again: routes and directory may be on their way.
const (
	young = 500 * time.Millisecond
	again = 20 * time.Millisecond
)

// newMember makes the components; start sets them to work.
func (u *IPCP) newMember(cfg *irm.Config, raw *conf.Config, peer, own wire.Addr) *member {
	c := cfg.Unicast
	m := &member{u: u, cfg: cfg, raw: raw, peer: peer, own: own, born: time.Now()}
	log := u.env.Log.With("address", own)
	m.engine = dt.New(dt.Config{
		Own: own, MaxTTL: c.MaxTTL, Mark: c.Congestion == irm.MBECN, Spread: c.Routing == irm.ECMP, Log: log,
	})
	m.routing = linkstate.New(linkstate.Config{
		Own: own, Policy: c.Routing,
		Recalc: seconds(c.LSRecalc), Update: seconds(c.LSUpdate), Timeout: seconds(c.LSTimeout),
		Install: m.install, Conflict: u.conflict,
		Log: log, Go: u.env.Go, AfterFunc: u.env.AfterFunc,
	})
	m.links = &adjacencies{m: m}
	m.dir = dht.New(dht.Config{
		Net: m.engine, HashLen: hash.Size(cfg.Hash), Alpha: int(c.DHTAlpha), K: int(c.DHTK),
		Expire: seconds(c.DHTExpire), Refresh: seconds(c.DHTRefresh), Replicate: seconds(c.DHTReplicate),
		Peer: peer, Members: m.routing.Members,
		Log: log, Go: u.env.Go, AfterFunc: u.env.AfterFunc,
	})
	m.flows = fa.New(fa.Config{
		Net: m.engine, Directory: m.dir, Host: u.env.Host, HashLen: hash.Size(cfg.Hash), CA: c.Congestion,
		Log: log, Go: u.env.Go, AfterFunc: u.env.AfterFunc,
	})
	m.engine.OnChange(m.changed)
	return m
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

func (m *member) start() {
	m.routing.Start()
	m.dir.Start()
}

// changed is told that ways have changed.
func (m *member) changed() {
	m.change.Store(int64(time.Since(m.born)))
	m.dir.RoutesChanged()
}

// query looks a name up. While the layer has just changed a name that is not
// known may be known in a moment, and so may somebody who answers.
func (m *member) query(ctx context.Context, hash []byte) error {
	for {
		_, err := m.dir.Query(ctx, hash)
		open := errors.Is(err, errno.NameError) || errors.Is(err, errno.TimedOut)
		if !open || time.Since(m.born)-time.Duration(m.change.Load()) > young {
			return err
		}
		t := time.NewTimer(again)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// close ends the components: flows over the layer first, while what they still
// say can leave.
func (m *member) close() {
	m.flows.Close()
	m.routing.Close()
	m.dir.Close()
}

// install gives the engine what routing has found.
func (m *member) install(r *linkstate.Routes) {
	to := make(map[wire.Addr]dt.Hops, len(r.To))
	for dst, h := range r.To {
		to[dst] = dt.Hops(h)
	}
	m.engine.Install(to)
}

// show describes the layer as this member knows it.
func (m *member) show() map[string]any {
	c := m.cfg.Unicast
	shown := map[string]any{
		"name": m.cfg.Layer, "hash": m.cfg.Hash.String(), "address": m.own.String(),
		"addr_size": int(c.AddrSize), "eid_size": int(c.EIDSize), "max_ttl": int(c.MaxTTL),
		"routing": c.Routing.String(), "congestion": c.Congestion.String(),
		"ls_t_recalc": c.LSRecalc, "ls_t_update": c.LSUpdate, "ls_t_timeo": c.LSTimeout,
		"dht_alpha": c.DHTAlpha, "dht_k": c.DHTK,
		"dht_t_expire": c.DHTExpire, "dht_t_refresh": c.DHTRefresh, "dht_t_replicate": c.DHTReplicate,
	}
	if m.peer != 0 {
		shown["enrolled_with"] = m.peer.String()
	}
	return shown
}
