package enroll_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/enroll"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
)

func TestAConfigurationSurvivesTheWay(t *testing.T) {
	special := &irm.UnicastConfig{AddrSize: 4, EIDSize: 8, MaxTTL: 7, Routing: irm.ECMP, LSRecalc: 1, LSUpdate: 2, LSTimeout: 3,
		Congestion: irm.NoCongestion, DHTAlpha: 10, DHTK: 20, DHTExpire: 60, DHTRefresh: 5, DHTReplicate: 6}
	for _, c := range []*irm.Config{
		irm.NewConfig(irm.Unicast, "layer"), irm.NewConfig(irm.Broadcast, "layer"),
		{Type: irm.Unicast, Layer: strings.Repeat("x", 255), Hash: irm.SHA3_224, Unicast: special},
		{Type: irm.Unicast, Layer: "ü", Hash: irm.SHA3_384, Unicast: irm.NewUnicastConfig()},
		{Type: irm.Unicast, Layer: "l", Hash: irm.SHA3_512, Unicast: irm.NewUnicastConfig()},
	} {
		w := enroll.ToWire(c, own)
		if want := own; c.Type == irm.Unicast && w.Peer() != want || c.Type != irm.Unicast && w.Peer() != 0 {
			t.Errorf("%s: peer %v", c.Layer, w.Peer())
		}
		got, err := enroll.FromWire(w)
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Errorf("%s: %v: %s", c.Layer, err, diff)
		}
	}
	plain, err := enroll.FromWire(enroll.ToWire(&irm.Config{Type: irm.Unicast, Layer: "l", Hash: irm.SHA3_256}, own))
	if diff := cmp.Diff(irm.NewConfig(irm.Unicast, "l"), plain); err != nil || diff != "" {
		t.Errorf("the defaults: %v: %s", err, diff)
	}
	odd, err := enroll.FromWire(enroll.ToWire(&irm.Config{Type: irm.Broadcast, Layer: "l", Hash: irm.SHA3_512}, own))
	if err != nil || odd.Hash != irm.SHA3_256 {
		t.Errorf("a broadcast layer has the hash %v: %v", odd.Hash, err)
	}
}

func TestWhatIsNotKnownIsRefusedByName(t *testing.T) {
	for text, change := range map[string]func(c *wire.Config){
		"routing policy 1,":              func(c *wire.Config) { c.Unicast.Routing = 1 },
		"link state policy 3,":           func(c *wire.Config) { c.Unicast.LS.Policy = 3 },
		"directory policy 1,":            func(c *wire.Config) { c.Unicast.Directory = 1 },
		"address authority policy 1,":    func(c *wire.Config) { c.Unicast.AddrAuth = 1 },
		"congestion avoidance policy 2,": func(c *wire.Config) { c.Unicast.Congestion = 2 },
		"no unicast part":                func(c *wire.Config) { c.Unicast = nil },
		"no link state part":             func(c *wire.Config) { c.Unicast.LS = nil },
		"no DHT part":                    func(c *wire.Config) { c.Unicast.DHT = nil },
		`"addr_size" cannot be 8`:        func(c *wire.Config) { c.Unicast.AddrSize = 8 },
		`"addr_size" cannot be 260`:      func(c *wire.Config) { c.Unicast.AddrSize = 260 },
		`"max_ttl" cannot be 0`:          func(c *wire.Config) { c.Unicast.MaxTTL = 0 },
		`"max_ttl" cannot be 316`:        func(c *wire.Config) { c.Unicast.MaxTTL = 316 },
		`"ls_t_update" cannot be 0`:      func(c *wire.Config) { c.Unicast.LS.Update = 0 },
		`"dht_k" cannot be 4294967295`:   func(c *wire.Config) { c.Unicast.DHT.K = 1<<32 - 1 },
		`"dht_t_refresh" cannot be 0`:    func(c *wire.Config) { c.Unicast.DHT.Refresh = 0 },
		"hash algorithm":                 func(c *wire.Config) { c.Hash = 4 },
		"hash algorithm of a layer":      func(c *wire.Config) { c.Hash = 1<<32 - 1 },
		"there is no IPCP type 7":        func(c *wire.Config) { c.Type = 7 },
		"holds a zero byte":              func(c *wire.Config) { c.Layer = "a\x00b" },
	} {
		c := enroll.ToWire(irm.NewConfig(irm.Unicast, "layer"), own)
		change(c)
		if cfg, err := enroll.FromWire(c); !errors.Is(err, errno.NotSup) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, %v", text, cfg, err)
		}
	}
}

func TestTheSizeOfEndpointsIsTakenFor8AndHandedOn(t *testing.T) {
	c := enroll.ToWire(irm.NewConfig(irm.Unicast, "layer"), own)
	c.Unicast.EIDSize = 2
	cfg, err := enroll.FromWire(c)
	if err != nil || cfg.Unicast.EIDSize != 8 || c.WithPeer(5).Unicast.EIDSize != 2 {
		t.Errorf("%+v: %v", cfg, err)
	}
}
