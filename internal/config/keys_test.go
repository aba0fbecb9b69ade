package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"ouroboros/irm"
)

// parseOne reads a file and gives its only IPCP.
func parseOne(t *testing.T, doc string) *IPCP {
	t.Helper()
	f, err := Parse("t.toml", []byte(doc))
	if err != nil {
		t.Fatalf("%s\nis refused:\n%v", doc, err)
	}
	if len(f.Warnings) > 0 {
		t.Errorf("%s\ngives a warning: %v", doc, f.Warnings[0])
	}
	if len(f.IPCPs) != 1 {
		t.Fatalf("%d IPCPs in\n%s", len(f.IPCPs), doc)
	}
	return f.IPCPs[0]
}

// layerKey is one key of an IPCP's table: what its field becomes.
type layerKey struct {
	kind, base, key string
	get             func(c *irm.Config) any
	byDefault       any
	good            map[string]any
	bad             []string
}

var ethBase, udp4Base, udp6Base = `dev = "eth0"`, `ip = "192.0.2.1"`, `ip = "2001:db8::1"`

func uni(get func(u *irm.UnicastConfig) any) func(c *irm.Config) any {
	return func(c *irm.Config) any { return get(c.Unicast) }
}

var hashes = map[string]any{`"SHA3_224"`: irm.SHA3_224, `"SHA3_256"`: irm.SHA3_256, `"SHA3_384"`: irm.SHA3_384, `"SHA3_512"`: irm.SHA3_512}
var notHashes = []string{`"MD5"`, `"CRC32"`, `"sha3"`, `256`, `true`, `[]`, `{}`}

var layerKeyTests = []layerKey{
	{"local", "", "hash", func(c *irm.Config) any { return c.Hash }, irm.SHA3_256, hashes, notHashes},
	{"eth-llc", ethBase, "hash", func(c *irm.Config) any { return c.Hash }, irm.SHA3_256, hashes, notHashes},
	{"eth-dix", ethBase, "hash", func(c *irm.Config) any { return c.Hash }, irm.SHA3_256, hashes, notHashes},
	{"unicast", "", "hash", func(c *irm.Config) any { return c.Hash }, irm.SHA3_256, hashes, notHashes},
	{"eth-dix", ethBase, "ethertype", func(c *irm.Config) any { return c.Eth.Ethertype }, uint16(0xA000),
		map[string]any{`0x0600`: uint16(0x600), `0xFFFE`: uint16(0xFFFE), `1536`: uint16(1536), `"A001"`: uint16(0xA001), `"0xA002"`: uint16(0xA002)},
		[]string{`0x05FF`, `0xFFFF`, `-1`, `65536`, `"zz"`, `""`, `1.5`, `1979-05-27`}},
	{"udp4", udp4Base, "port", func(c *irm.Config) any { return c.UDP.Port }, uint16(3435),
		map[string]any{`1`: uint16(1), `65535`: uint16(65535)}, []string{`0`, `65536`, `-1`, `"3435"`, `1e3`}},
	{"udp6", udp6Base, "port", func(c *irm.Config) any { return c.UDP.Port }, uint16(3435),
		map[string]any{`1`: uint16(1), `65_535`: uint16(65535)}, []string{`0`, `65536`}},
	{"udp4", udp4Base, "dns", func(c *irm.Config) any { return c.UDP.DNS }, netip.Addr{},
		map[string]any{`"192.0.2.53"`: netip.MustParseAddr("192.0.2.53")}, []string{`"::1"`, `"zz"`, `""`, `"0.0.0.0"`, `1`}},
	{"udp6", udp6Base, "dns", func(c *irm.Config) any { return c.UDP.DNS }, netip.Addr{},
		map[string]any{`"2001:db8::53"`: netip.MustParseAddr("2001:db8::53")}, []string{`"192.0.2.1"`, `"::ffff:192.0.2.1"`, `"::"`, `true`}},
	{"udp4", udp4Base + "\ndns = \"192.0.2.53\"", "dns_zone", func(c *irm.Config) any { return c.UDP.Zone }, "",
		map[string]any{`"flows.example.org"`: "flows.example.org", `"a-b._c."`: "a-b._c.", `"."`: "."}, nil},
	{"udp6", udp6Base + "\ndns = \"2001:db8::53\"", "dns_key", func(c *irm.Config) any { return c.UDP.Key }, "",
		map[string]any{`"/etc/ouroboros/ddns.key"`: "/etc/ouroboros/ddns.key"}, nil},
	{"udp4", udp4Base, "hosts", func(c *irm.Config) any { return c.UDP.Hosts }, "",
		map[string]any{`"/etc/ouroboros/hosts"`: "/etc/ouroboros/hosts"}, nil},
	{"udp4", udp4Base, "mtu", func(c *irm.Config) any { return c.UDP.MTU }, uint16(0),
		map[string]any{`256`: uint16(256), `1400`: uint16(1400), `65503`: uint16(65503)}, []string{`0`, `255`, `65504`, `"1400"`, `-1`}},
	{"unicast", "", "addr_size", uni(func(u *irm.UnicastConfig) any { return u.AddrSize }), uint8(4), map[string]any{`4`: uint8(4)}, []string{`3`, `5`, `"4"`}},
	{"unicast", "", "addr", uni(func(u *irm.UnicastConfig) any { return u.AddrSize }), uint8(4), map[string]any{`4`: uint8(4)}, []string{`0`}},
	{"unicast", "", "eid_size", uni(func(u *irm.UnicastConfig) any { return u.EIDSize }), uint8(8), map[string]any{`8`: uint8(8)}, []string{`7`, `9`, `8.0`}},
	{"unicast", "", "eid", uni(func(u *irm.UnicastConfig) any { return u.EIDSize }), uint8(8), map[string]any{`8`: uint8(8)}, []string{`0`}},
	{"unicast", "", "max_ttl", uni(func(u *irm.UnicastConfig) any { return u.MaxTTL }), uint8(60), map[string]any{`1`: uint8(1), `255`: uint8(255)}, []string{`0`, `256`, `"60"`}},
	{"unicast", "", "ttl", uni(func(u *irm.UnicastConfig) any { return u.MaxTTL }), uint8(60), map[string]any{`1`: uint8(1), `255`: uint8(255)}, []string{`0`, `256`}},
	{"unicast", "", "directory", uni(func(u *irm.UnicastConfig) any { return u.DHTK }), uint32(8), map[string]any{`"DHT"`: uint32(8), `"dht"`: uint32(8)}, []string{`"file"`, `0`}},
	{"unicast", "", "dht_alpha", uni(func(u *irm.UnicastConfig) any { return u.DHTAlpha }), uint32(3), map[string]any{`1`: uint32(1), `10`: uint32(10)}, []string{`0`, `11`, `"3"`}},
	{"unicast", "", "dht_k", uni(func(u *irm.UnicastConfig) any { return u.DHTK }), uint32(8), map[string]any{`1`: uint32(1), `20`: uint32(20)}, []string{`0`, `21`, `-8`}},
	{"unicast", "", "dht_t_expire", uni(func(u *irm.UnicastConfig) any { return u.DHTExpire }), uint32(86400), map[string]any{`10`: uint32(10), `86400`: uint32(86400)}, []string{`9`, `86401`, `07:32:00`}},
	{"unicast", "", "dht_t_expiry", uni(func(u *irm.UnicastConfig) any { return u.DHTExpire }), uint32(86400), map[string]any{`10`: uint32(10), `86400`: uint32(86400)}, []string{`9`, `86401`}},
	{"unicast", "", "dht_t_refresh", uni(func(u *irm.UnicastConfig) any { return u.DHTRefresh }), uint32(900), map[string]any{`3`: uint32(3), `3600`: uint32(3600)}, []string{`2`, `3601`, `inf`}},
	{"unicast", "", "dht_t_replicate", uni(func(u *irm.UnicastConfig) any { return u.DHTReplicate }), uint32(900), map[string]any{`3`: uint32(3), `3600`: uint32(3600)}, []string{`2`, `3601`, `nan`}},
	{"unicast", "", "routing", uni(func(u *irm.UnicastConfig) any { return u.Routing }), irm.LinkState, map[string]any{`"link-state"`: irm.LinkState, `"link_state"`: irm.LinkState, `"lfa"`: irm.LFA, `"ecmp"`: irm.ECMP}, []string{`"ospf"`, `1`, `true`}},
	{"unicast", "", "ls_t_recalc", uni(func(u *irm.UnicastConfig) any { return u.LSRecalc }), uint32(4), map[string]any{`1`: uint32(1), `4294967295`: uint32(4294967295)}, []string{`0`, `4294967296`, `"4"`}},
	{"unicast", "", "ls_t_update", uni(func(u *irm.UnicastConfig) any { return u.LSUpdate }), uint32(15), map[string]any{`1`: uint32(1), `4294967295`: uint32(4294967295)}, []string{`0`, `4294967296`, `"4"`}},
	{"unicast", "", "ls_t_timeo", uni(func(u *irm.UnicastConfig) any { return u.LSTimeout }), uint32(60), map[string]any{`1`: uint32(1), `4294967295`: uint32(4294967295)}, []string{`0`, `4294967296`, `"4"`}},
	{"unicast", "", "addr-auth", uni(func(u *irm.UnicastConfig) any { return u.AddrSize }), uint8(4), map[string]any{`"flat"`: uint8(4)}, []string{`"tree"`, `0`}},
	{"unicast", "", "addr_auth", uni(func(u *irm.UnicastConfig) any { return u.AddrSize }), uint8(4), map[string]any{`"flat"`: uint8(4)}, []string{`"tree"`, `0`}},
	{"unicast", "", "congestion", uni(func(u *irm.UnicastConfig) any { return u.Congestion }), irm.MBECN, map[string]any{`"none"`: irm.NoCongestion, `"mb-ecn"`: irm.MBECN}, []string{`"lfa"`, `"MB-ECN"`, `1`}},
}

func TestEveryLayerKeyHasItsDefaultItsRangeAndItsType(t *testing.T) {
	for _, k := range layerKeyTests {
		t.Run(k.kind+"/"+k.key, func(t *testing.T) {
			doc := fmt.Sprintf("[%s.x]\nbootstrap = \"l\"\n%s\n", k.kind, k.base)
			if got := k.get(parseOne(t, doc).Bootstrap); got != k.byDefault {
				t.Errorf("the default is %v, want %v", got, k.byDefault)
			}
			for value, want := range k.good {
				if got := k.get(parseOne(t, doc+k.key+" = "+value).Bootstrap); got != want {
					t.Errorf("%s = %s gives %v, want %v", k.key, value, got, want)
				}
			}
			for _, value := range k.bad {
				_, err := Parse("t.toml", []byte(doc+k.key+" = "+value))
				if err == nil {
					t.Errorf("%s = %s is taken", k.key, value)
					continue
				}
				place := fmt.Sprintf("t.toml:4:%d: ", len(k.key)+4)
				if !strings.HasPrefix(err.Error(), place) && !strings.HasPrefix(value, "[") && !strings.HasPrefix(value, "{") {
					t.Errorf("%s = %s: the error does not begin with %q:\n%v", k.key, value, place, err)
				}
				if !strings.Contains(err.Error(), "expected") || !strings.Contains(err.Error(), k.key) {
					t.Errorf("%s = %s: the error does not say what is expected:\n%v", k.key, value, err)
				}
			}
		})
	}
}

func TestRequiredKeysOfALayerAreAskedFor(t *testing.T) {
	for kind, key := range map[string]string{"eth-llc": "dev", "eth-dix": "dev", "udp4": "ip", "udp6": "ip"} {
		_, err := Parse("t.toml", []byte("["+kind+".x]\nbootstrap = \"l\"\n"))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("needs %q", key)) {
			t.Errorf("%s without %s: %v", kind, key, err)
		}
		if _, err := Parse("t.toml", []byte("["+kind+".x]\n")); err != nil {
			t.Errorf("%s that is not bootstrapped: %v", kind, err)
		}
	}
}

func TestAddressesOfTheUDPLayersAreUsed(t *testing.T) {
	p := parseOne(t, "[udp6.x]\nbootstrap = \"l\"\nip = \"2001:db8::7\"\n")
	if p.Bootstrap.UDP.IP != netip.MustParseAddr("2001:db8::7") {
		t.Errorf("the address is %v", p.Bootstrap.UDP.IP)
	}
	p = parseOne(t, "[udp4.x]\nbootstrap = \"l\"\nip = \"127.0.0.1\"\n")
	if p.Bootstrap.UDP.IP != netip.MustParseAddr("127.0.0.1") || p.Bootstrap.Hash != irm.MD5 {
		t.Errorf("the layer is %+v", p.Bootstrap)
	}
	for kind, bad := range map[string][]string{"udp4": {`"0.0.0.0"`, `"::1"`, `"1.2.3"`, `1`}, "udp6": {`"::"`, `"127.0.0.1"`, `"zz"`, `[]`}} {
		for _, v := range bad {
			if _, err := Parse("t.toml", []byte("["+kind+".x]\nbootstrap = \"l\"\nip = "+v+"\n")); err == nil {
				t.Errorf("%s: ip = %s is taken", kind, v)
			}
		}
	}
}

func TestTheDeviceOfAnEthernetLayerHasTwoSpellings(t *testing.T) {
	for _, key := range []string{"dev", "device"} {
		p := parseOne(t, "[eth-dix.x]\nbootstrap = \"l\"\n"+key+" = \"eth7\"\n")
		if p.Bootstrap.Eth.Device != "eth7" {
			t.Errorf("%s gives %q", key, p.Bootstrap.Eth.Device)
		}
	}
}

func TestAutobindIsWhatItsValueSays(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false} {
		if p := parseOne(t, "[unicast.x]\nbootstrap = \"l\"\nautobind = "+value); p.Autobind != want {
			t.Errorf("autobind = %s gives %v", value, p.Autobind)
		}
	}
	for _, value := range []string{`1`, `"true"`, `[true]`} {
		if _, err := Parse("t.toml", []byte("[unicast.x]\nbootstrap = \"l\"\nautobind = "+value)); err == nil {
			t.Errorf("autobind = %s is taken", value)
		}
	}
}

func TestNamesAndLayersHaveOneTo255Bytes(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, form := range []string{
		"[local.x]\nbootstrap = %q\n",
		"[local.x]\nbootstrap = \"l\"\nreg = [%q]\n",
		"[unicast.x]\nenrol = %q\n",
		"[unicast.x]\nenroll = %q\n",
		"[unicast.x]\nenrol = \"y\"\nconn = [%q]\n",
		"[local.%q]\n",
		"[name.%q]\n",
	} {
		for text, good := range map[string]bool{"y": true, long: true, "a b": true, "é*.ü": true, "": false, long + "x": false} {
			_, err := Parse("t.toml", []byte(fmt.Sprintf(form, text)))
			if (err == nil) != good {
				t.Errorf(form+"gives %v", text, err)
			}
		}
		if _, err := Parse("t.toml", []byte(strings.Replace(form, "%q", `"a\u0000b"`, 1))); err == nil {
			t.Errorf("a zero byte is taken in %s", form)
		}
	}
}

func TestTheTablesOfTheDaemonHaveTheirRanges(t *testing.T) {
	read := func(table, key, value string) (*File, error) {
		return Parse("t.toml", []byte("["+table+"]\n"+key+" = "+value+"\n"))
	}
	limits := []struct {
		key  string
		get  func(l Limits) int
		most int
	}{
		{"flows", func(l Limits) int { return l.Flows }, 1 << 20},
		{"flows_per_process", func(l Limits) int { return l.FlowsPerProcess }, 1 << 20},
		{"flows_per_user", func(l Limits) int { return l.FlowsPerUser }, 1 << 20},
		{"accepts_per_process", func(l Limits) int { return l.AcceptsPerProcess }, 1 << 20},
		{"allocs_per_process", func(l Limits) int { return l.AllocsPerProcess }, 1 << 20},
		{"names", func(l Limits) int { return l.Names }, 1 << 20},
		{"programs", func(l Limits) int { return l.Programs }, 1 << 20},
		{"processes", func(l Limits) int { return l.Processes }, 1 << 20},
		{"ipcps", func(l Limits) int { return l.IPCPs }, 1 << 20},
		{"watchers", func(l Limits) int { return l.Watchers }, 1 << 20},
		{"clients", func(l Limits) int { return l.Clients }, 1 << 20},
		{"clients_per_user", func(l Limits) int { return l.ClientsPerUser }, 1 << 20},
		{"calls", func(l Limits) int { return l.Calls }, 1 << 20},
		{"calls_per_user", func(l Limits) int { return l.CallsPerUser }, 1 << 20},
	}
	for _, l := range limits {
		for n, good := range map[int]bool{0: false, 1: true, l.most: true, l.most + 1: false, -1: false} {
			f, err := read("limits", l.key, fmt.Sprint(n))
			if (err == nil) != good || good && l.get(f.Limits) != n {
				t.Errorf("%s = %d: %v", l.key, n, err)
			}
		}
		if _, err := read("limits", l.key, `"many"`); err == nil {
			t.Errorf("%s is a string", l.key)
		}
	}
	f, err := Parse("t.toml", []byte(`[daemon]
state = "keep"
state_file = "/var/lib/x"
log_level = "debug"
log_format = "json"
runtime_dir = "/run/x"
security_dir = "/etc/x"
clock_slack = 250
`))
	want := Daemon{Keep: true, StateFile: "/var/lib/x", LogLevel: slog.LevelDebug, HasLevel: true, LogFormat: "json", RuntimeDir: "/run/x", ClockSlack: 250}
	if err != nil || f.Daemon != want || f.Security.Dir != "/etc/x" {
		t.Errorf("[daemon] gives %+v, %v", f, err)
	}
	for _, bad := range [][2]string{{"state", `"yes"`}, {"state", "true"}, {"state_file", `"x"`}, {"state_file", "1"}, {"log_level", `"loud"`},
		{"log_level", "1"}, {"log_format", `"xml"`}, {"runtime_dir", `"run"`}, {"runtime_dir", `""`}, {"security_dir", `"security"`},
		{"clock_slack", "0"}, {"clock_slack", "20001"}, {"clock_slack", `"100ms"`}} {
		if _, err := read("daemon", bad[0], bad[1]); err == nil || !strings.HasPrefix(err.Error(), "t.toml:2:") {
			t.Errorf("%s = %s: %v", bad[0], bad[1], err)
		}
	}
}

func TestAccessNamesUsersAndGroups(t *testing.T) {
	f, err := Parse("t.toml", []byte("[access]\nmanage = [\"alice\", \"@staff\", \"1000\"]\nflows = [\"@10\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(f.Access.Manage, f.Access.Flows); got != "[alice @staff 1000] [@10]" {
		t.Error(got)
	}
	f, err = Parse("t.toml", []byte("[access]\nmanage = []\nflows = \"all\"\n"))
	if err != nil || f.Access.Manage == nil || len(f.Access.Manage) != 0 || f.Access.Flows != nil {
		t.Errorf("%+v, %v", f, err)
	}
	for _, bad := range []string{"manage = \"all\"", "manage = \"alice\"", "flows = \"some\"", "flows = [1]", "manage = [\"\"]", "manage = [\"@\"]", "manage = [\"a b\"]"} {
		if _, err := Parse("t.toml", []byte("[access]\n"+bad+"\n")); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
