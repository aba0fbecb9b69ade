package enroll

import (
	"math"

	"ouroboros/internal/errno"
	"ouroboros/internal/wire/dt"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
)

// What policies are called on the wire. There is one of each.
const (
	routingLinkState = 0
	directoryDHT     = 0
	addrFlatRandom   = 0
)

// ToWire makes the configuration that a member hands out from the one that the
// layer was bootstrapped with. peer is the member's own address; broadcast
// layers have none.
func ToWire(cfg *irm.Config, peer dt.Addr) *wire.Config {
	c := &wire.Config{Layer: cfg.Layer, Hash: uint32(cfg.Hash), Type: uint32(cfg.Type)}
	if cfg.Type == irm.Broadcast {
		c.Hash = uint32(irm.SHA3_256)
	}
	if cfg.Type != irm.Unicast {
		return c
	}
	u := cfg.Unicast
	if u == nil {
		u = irm.NewUnicastConfig()
	}
	c.Unicast = &wire.Unicast{
		AddrSize: uint32(u.AddrSize), EIDSize: uint32(u.EIDSize), MaxTTL: uint32(u.MaxTTL),
		Routing:   routingLinkState,
		LS:        &wire.LinkState{Policy: uint32(u.Routing), Recalc: u.LSRecalc, Update: u.LSUpdate, Timeout: u.LSTimeout},
		Directory: directoryDHT,
		DHT: &wire.DHT{Alpha: u.DHTAlpha, K: u.DHTK, Expire: u.DHTExpire, Refresh: u.DHTRefresh,
			Replicate: u.DHTReplicate, Peer: peer},
		AddrAuth: addrFlatRandom, Congestion: uint32(u.Congestion),
	}
	return c
}

// FromWire makes the configuration of a layer that is joined. An error names the
// first thing that this implementation does not do; errno.NotSup. The size of
// endpoints is 8 whatever c says, as all members have it; what a member hands
// out is made from c (wire.Config.WithPeer), which keeps it.
func FromWire(c *wire.Config) (*irm.Config, error) {
	cfg := &irm.Config{Type: irm.IPCPType(c.Type), Layer: c.Layer, Hash: irm.HashAlgo(c.Hash)}
	if cfg.Type == irm.Broadcast {
		cfg.Hash = irm.SHA3_256 // whatever it says: such a layer has no choice
	}
	var err error
	if cfg.Type == irm.Unicast {
		if cfg.Unicast, err = unicast(c.Unicast); err != nil {
			return nil, err
		}
	}
	if err := cfg.Validate(); err != nil {
		return nil, &errno.Detail{Err: errno.NotSup, Cause: "the configuration of the layer cannot be used: " + err.Error()}
	}
	return cfg, nil
}

func unicast(u *wire.Unicast) (*irm.UnicastConfig, error) {
	if u == nil {
		return nil, lacking("unicast")
	}
	for _, p := range []struct {
		field string
		n     uint32
		most  uint32
	}{
		{"routing", u.Routing, routingLinkState},
		{"directory", u.Directory, directoryDHT},
		{"address authority", u.AddrAuth, addrFlatRandom},
		{"congestion avoidance", u.Congestion, uint32(irm.MBECN)},
	} {
		if p.n > p.most {
			return nil, errno.New(errno.NotSup, "the layer has the %s policy %d, which this IPCP does not know", p.field, p.n).
				Next("a newer version may know it")
		}
	}
	switch {
	case u.LS == nil:
		return nil, lacking("link state")
	case u.DHT == nil:
		return nil, lacking("DHT")
	case u.LS.Policy > uint32(irm.ECMP):
		return nil, errno.New(errno.NotSup, "the layer has the link state policy %d, which this IPCP does not know", u.LS.Policy).
			Next("a newer version may know it")
	}
	for _, p := range []struct {
		field string
		n     uint32
	}{{"addr_size", u.AddrSize}, {"max_ttl", u.MaxTTL}} {
		if p.n > math.MaxUint8 {
			return nil, errno.New(errno.NotSup, "the configuration of the layer cannot be used: %q cannot be %d", p.field, p.n)
		}
	}
	return &irm.UnicastConfig{
		AddrSize: uint8(u.AddrSize), EIDSize: uint8(irm.EIDSizeRange.Max), MaxTTL: uint8(u.MaxTTL),
		Routing: irm.Routing(u.LS.Policy), LSRecalc: u.LS.Recalc, LSUpdate: u.LS.Update, LSTimeout: u.LS.Timeout,
		Congestion: irm.Congestion(u.Congestion),
		DHTAlpha:   u.DHT.Alpha, DHTK: u.DHT.K, DHTExpire: u.DHT.Expire, DHTRefresh: u.DHT.Refresh, DHTReplicate: u.DHT.Replicate,
	}, nil
}

func lacking(part string) error {
	return errno.New(errno.NotSup, "the configuration of the layer has no %s part", part)
}
