package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ouroboros/internal/config"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/registry"
	"ouroboros/irm"
)

// keeper is an IPCP that keeps what it was bootstrapped with.
type keeper struct {
	ipcp.Unsupported
	got *irm.Config
}

func (k *keeper) Bootstrap(_ context.Context, c *irm.Config) (irm.LayerInfo, error) {
	k.got = c
	return irm.LayerInfo{Name: c.Layer, Hash: c.Hash}, nil
}
func (*keeper) Show() map[string]any { return nil }
func (*keeper) Close() error         { return nil }

func keeperNode(t *testing.T) (node, *keeper) {
	k := &keeper{}
	r, err := registry.New(registry.Config{Fabric: noFabric{},
		NewIPCP: func(irm.IPCPType, ipcp.Identity, ipcp.Host) (ipcp.IPCP, error) { return k, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return node{Registry: r}, k
}

// Each parameter of a layer that routes comes to the IPCP as it was given: on
// the command line, through the socket of a daemon, in a configuration file and
// from Go.
func TestEveryParameterOfAUnicastLayerArrives(t *testing.T) {
	for _, tc := range []struct {
		words string // of the command line
		keys  string // of the file
		set   func(c *irm.Config, u *irm.UnicastConfig)
	}{
		{"", "", func(*irm.Config, *irm.UnicastConfig) {}},
		{"addr 4 eid 8", "addr_size = 4\neid_size = 8", func(*irm.Config, *irm.UnicastConfig) {}},
		{"addr_size 4 eid_size 8 max_ttl 7", "addr = 4\neid = 8\nttl = 7", func(_ *irm.Config, u *irm.UnicastConfig) { u.MaxTTL = 7 }},
		{"ttl 255", "max_ttl = 255", func(_ *irm.Config, u *irm.UnicastConfig) { u.MaxTTL = 255 }},
		{"addr_auth flat", "addr-auth = \"flat\"", func(*irm.Config, *irm.UnicastConfig) {}},
		{"addr-auth flat", "addr_auth = \"flat\"", func(*irm.Config, *irm.UnicastConfig) {}},
		{"directory DHT", "directory = \"DHT\"", func(*irm.Config, *irm.UnicastConfig) {}},
		{"directory dht", "directory = \"dht\"", func(*irm.Config, *irm.UnicastConfig) {}},
		{"hash SHA3_224", "hash = \"SHA3_224\"", func(c *irm.Config, _ *irm.UnicastConfig) { c.Hash = irm.SHA3_224 }},
		{"hash SHA3_512", "hash = \"SHA3_512\"", func(c *irm.Config, _ *irm.UnicastConfig) { c.Hash = irm.SHA3_512 }},
		{"routing link_state", "routing = \"link-state\"", func(*irm.Config, *irm.UnicastConfig) {}},
		{"routing link-state", "routing = \"link_state\"", func(*irm.Config, *irm.UnicastConfig) {}},
		{"routing lfa", "routing = \"lfa\"", func(_ *irm.Config, u *irm.UnicastConfig) { u.Routing = irm.LFA }},
		{"routing ecmp", "routing = \"ecmp\"", func(_ *irm.Config, u *irm.UnicastConfig) { u.Routing = irm.ECMP }},
		{"congestion none", "congestion = \"none\"", func(_ *irm.Config, u *irm.UnicastConfig) { u.Congestion = irm.NoCongestion }},
		{"congestion mb-ecn", "congestion = \"mb-ecn\"", func(*irm.Config, *irm.UnicastConfig) {}},
		{"dht_alpha 1 dht_k 20", "dht_alpha = 1\ndht_k = 20", func(_ *irm.Config, u *irm.UnicastConfig) { u.DHTAlpha, u.DHTK = 1, 20 }},
		{"dht_t_expire 10 dht_t_refresh 3 dht_t_replicate 3600", "dht_t_expire = 10\ndht_t_refresh = 3\ndht_t_replicate = 3600",
			func(_ *irm.Config, u *irm.UnicastConfig) { u.DHTExpire, u.DHTRefresh, u.DHTReplicate = 10, 3, 3600 }},
		{"dht_t_expire 4711", "dht_t_expiry = 4711", func(_ *irm.Config, u *irm.UnicastConfig) { u.DHTExpire = 4711 }},
		{"ls_t_timeo 3 ls_t_update 2 ls_t_recalc 1", "ls_t_timeo = 3\nls_t_update = 2\nls_t_recalc = 1",
			func(_ *irm.Config, u *irm.UnicastConfig) { u.LSTimeout, u.LSUpdate, u.LSRecalc = 3, 2, 1 }},
	} {
		want := irm.NewConfig(irm.Unicast, "big")
		tc.set(want, want.Unicast)
		check := func(how string, got *irm.Config) {
			t.Helper()
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable()); diff != "" {
				t.Errorf("%s%s: %s", tc.words, how, diff)
			}
		}
		line := append([]string{"ipcp", "bootstrap", "name", "n1", "type", "unicast", "layer", "big"}, strings.Fields(tc.words)...)
		run := func(how string, k *keeper, dial func(context.Context, string) (Service, error)) {
			t.Helper()
			var out, bad bytes.Buffer
			if code := Run(t.Context(), line, Env{Stdout: &out, Stderr: &bad, Dial: dial}); code != 0 || bad.Len() > 0 {
				t.Fatalf("irm %s: %s", strings.Join(line, " "), &bad)
			}
			check(how, k.got)
		}
		n, k := keeperNode(t)
		run("", k, func(context.Context, string) (Service, error) { return n, nil })
		n, k = keeperNode(t)
		dir := daemon(t, n)
		run(" through a daemon", k, func(context.Context, string) (Service, error) { return irm.DialContext(t.Context(), dir) })

		f, err := config.Parse("t.toml", []byte("[unicast.n1]\nbootstrap = \"big\"\n"+tc.keys+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		n, k = keeperNode(t)
		rest, err := config.Apply(t.Context(), n.Registry, f)
		if err != nil {
			t.Fatal(err)
		}
		for err := range rest.Failed {
			t.Error(err)
		}
		check(" in a file", k.got)

		n, k = keeperNode(t)
		pid, err := n.CreateIPCP(t.Context(), "n1", irm.Unicast)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.BootstrapIPCP(t.Context(), pid, want); err != nil {
			t.Fatal(err)
		}
		check(" from Go", k.got)
	}
}
