package irm

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"ouroboros/internal/errno"
)

func TestTheDefaultsAreValid(t *testing.T) {
	for _, word := range TypeWords() {
		typ, _ := ParseType(word)
		c := NewConfig(typ, "home")
		switch typ {
		case EthDIX, EthLLC:
			c.Eth.Device = "eth0"
		case UDP4:
			c.UDP.IP = netip.MustParseAddr("192.0.2.1")
		case UDP6:
			c.UDP.IP = netip.MustParseAddr("2001:db8::1")
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestAWrongValueIsNamed(t *testing.T) {
	unicast := func(f func(*UnicastConfig)) *Config {
		c := NewConfig(Unicast, "home")
		f(c.Unicast)
		return c
	}
	udp := func(t IPCPType, ip, dns string, port uint16) *Config {
		c := NewConfig(t, "home")
		c.UDP.IP, _ = netip.ParseAddr(ip)
		c.UDP.DNS, _ = netip.ParseAddr(dns)
		c.UDP.Port = port
		return c
	}
	eth := func(t IPCPType, dev string, typ uint16) *Config {
		c := NewConfig(t, "home")
		c.Eth.Device, c.Eth.Ethertype = dev, typ
		return c
	}
	tests := []struct {
		want string // "" = valid
		c    *Config
	}{
		{"layer name is empty", NewConfig(Local, "")},
		{"256 bytes", NewConfig(Local, strings.Repeat("a", 256))},
		{"", NewConfig(Local, strings.Repeat("a", 255))},
		{"not UTF-8", NewConfig(Local, "a\xff")},
		{"zero byte", NewConfig(Local, "a\x00b")},
		{"no IPCP type 7", &Config{Type: 7, Layer: "home"}},
		{"cannot be MD5", &Config{Type: Local, Layer: "home", Hash: MD5}},
		{"", &Config{Type: Unicast, Layer: "home"}},
		{`"addr_size" cannot be 8`, unicast(func(u *UnicastConfig) { u.AddrSize = 8 })},
		{`"eid_size" cannot be 4`, unicast(func(u *UnicastConfig) { u.EIDSize = 4 })},
		{`"max_ttl" cannot be 0; it can be 1 to 255`, unicast(func(u *UnicastConfig) { u.MaxTTL = 0 })},
		{`"ls_t_recalc"`, unicast(func(u *UnicastConfig) { u.LSRecalc = 0 })},
		{`"ls_t_update"`, unicast(func(u *UnicastConfig) { u.LSUpdate = 0 })},
		{`"ls_t_timeo"`, unicast(func(u *UnicastConfig) { u.LSTimeout = 0 })},
		{`"dht_alpha"`, unicast(func(u *UnicastConfig) { u.DHTAlpha = 11 })},
		{`"dht_k"`, unicast(func(u *UnicastConfig) { u.DHTK = 21 })},
		{`"dht_t_expire"`, unicast(func(u *UnicastConfig) { u.DHTExpire = 9 })},
		{`"dht_t_refresh"`, unicast(func(u *UnicastConfig) { u.DHTRefresh = 3601 })},
		{`"dht_t_replicate"`, unicast(func(u *UnicastConfig) { u.DHTReplicate = 2 })},
		{"routing policy 3", unicast(func(u *UnicastConfig) { u.Routing = 3 })},
		{"congestion policy 2", unicast(func(u *UnicastConfig) { u.Congestion = 2 })},
		{"no device", &Config{Type: EthDIX, Layer: "home", Hash: SHA3_256}},
		{"device is empty", eth(EthLLC, "", 0)},
		{"", eth(EthLLC, "eth0", 0)},
		{"16 bytes", eth(EthDIX, strings.Repeat("e", 16), 0xA000)},
		{"cannot be a network interface", eth(EthDIX, "../eth0", 0xA000)},
		{"0x05FF", eth(EthDIX, "eth0", 0x05FF)},
		{"", eth(EthDIX, "eth0", 0x0600)},
		{"", eth(EthDIX, "eth0", 0xFFFE)},
		{"0xFFFF", eth(EthDIX, "eth0", 0xFFFF)},
		{"has no address", &Config{Type: UDP4, Layer: "home"}},
		{"has no address", udp(UDP4, "", "", 1)},
		{"cannot use the address 0.0.0.0", udp(UDP4, "0.0.0.0", "", 1)},
		{"cannot use the address ::", udp(UDP6, "::", "", 1)},
		{"not an IPv4", udp(UDP4, "::1", "", 1)},
		{"not an IPv6", udp(UDP6, "192.0.2.1", "", 1)},
		{"DNS address ::1", udp(UDP4, "192.0.2.1", "::1", 1)},
		{`"port" cannot be 0`, udp(UDP4, "192.0.2.1", "", 0)},
		{"", udp(UDP6, "2001:db8::1", "2001:db8::2", 65535)},
	}
	for _, tt := range tests {
		err := tt.c.Validate()
		if tt.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", tt.c, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q in it", tt.c, err, tt.want)
		}
		if err != nil && !errors.Is(err, errno.Invalid) && !errors.Is(err, errno.IPCPType) {
			t.Errorf("%v wraps neither ErrInvalid nor ErrIPCPType", err)
		}
	}
}

func TestAValueThatIsRefusedSaysWhy(t *testing.T) {
	for why, change := range map[string]func(u *UnicastConfig){
		"endpoint ids have 8 bytes on the wire": func(u *UnicastConfig) { u.EIDSize = 4 },
		"addresses have 4 bytes":                func(u *UnicastConfig) { u.AddrSize = 8 },
		"a packet that may make no hop":         func(u *UnicastConfig) { u.MaxTTL = 0 },
	} {
		c := NewConfig(Unicast, "big")
		change(c.Unicast)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v does not say %q", err, why)
		}
	}
}
