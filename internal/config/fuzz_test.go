package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ouroboros/irm"
)

// FuzzConfig: any bytes give a configuration whose values are in their
// ranges, or errors that can be shown.
func FuzzConfig(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("..", "..", "packaging", "irmd.toml.example"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	for _, k := range layerKeyTests {
		for v := range k.good {
			f.Add([]byte("[" + k.kind + ".x]\nbootstrap = \"l\"\n" + k.base + "\n" + k.key + " = " + v))
		}
		for _, v := range k.bad {
			f.Add([]byte("[" + k.kind + ".x]\nbootstrap = \"l\"\n" + k.base + "\n" + k.key + " = " + v))
		}
	}
	f.Add([]byte("[name.\"a.b\"]\nprog=[\"/x\"]\nargs=[[\"\\u0000\"]]\n[[name]]\n"))
	f.Add([]byte("[access]\nmanage=[\"@x\"]\nflows=\"all\"\n[limits]\nflows=1_0\n[daemon]\nstate='keep'"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz", data)
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatalf("an error of another kind: %v", err)
			}
			for _, e := range errs {
				if e.Line < 1 || e.Column < 1 || e.Message == "" || e.Show() == "" {
					t.Fatalf("an error without a place or a text: %+v", e)
				}
			}
			return
		}
		for _, n := range file.Names {
			if n.Info.Name == "" || len(n.Info.Name) > irm.MaxName {
				t.Fatalf("the name %q", n.Info.Name)
			}
		}
		for _, p := range file.steps() {
			c := p.Bootstrap
			if c == nil {
				continue
			}
			if c.Type != p.Type || c.Layer == "" || len(c.Layer) > irm.MaxName {
				t.Fatalf("the layer %+v", c)
			}
			switch p.Type {
			case irm.Unicast:
				u := c.Unicast
				if u.AddrSize != 4 || u.EIDSize != 8 || u.MaxTTL == 0 || u.DHTAlpha < 1 || u.DHTAlpha > 10 || u.DHTK < 1 || u.DHTK > 20 {
					t.Fatalf("unicast %+v", u)
				}
			case irm.UDP4, irm.UDP6:
				if !c.UDP.IP.IsValid() || c.UDP.IP.Is4() != (p.Type == irm.UDP4) || c.UDP.Port == 0 {
					t.Fatalf("udp %+v", c.UDP)
				}
			case irm.EthDIX, irm.EthLLC:
				if c.Eth.Device == "" || c.Eth.Ethertype < 0x600 || c.Eth.Ethertype == 0xFFFF {
					t.Fatalf("eth %+v", c.Eth)
				}
			}
		}
	})
}
