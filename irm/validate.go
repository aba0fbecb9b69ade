package irm

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"ouroboros/internal/errno"
)

// Longest texts, in bytes.
const (
	MaxName   = 255 // of a name, an IPCP, a layer
	MaxDevice = 15  // of a network interface, as the kernel has it
	MaxPath   = 511 // of a security file
)

// Range is a span of whole numbers, both ends included.
type Range struct {
	Min, Max int64
	Why      string // it cannot be others; may be empty
}

// Has reports whether n lies in the span.
func (r Range) Has(n int64) bool { return r.Min <= n && n <= r.Max }

// String gives the span as a person reads it: "1 to 20", or "4" when nothing
// else is possible.
func (r Range) String() string {
	if r.Min == r.Max {
		return fmt.Sprint(r.Min)
	}
	return fmt.Sprintf("%d to %d", r.Min, r.Max)
}

// Check is nil when n lies in the span; else it names key.
func (r Range) Check(key string, n int64) error {
	if r.Has(n) {
		return nil
	}
	return errno.New(errno.Invalid, "%q cannot be %d", key, n).Next("%s", r.Hint())
}

// Hint says what a number can be, and why if that is not plain.
func (r Range) Hint() string {
	if r.Why == "" {
		return "it can be " + r.String()
	}
	return "it can be " + r.String() + ": " + r.Why
}

// What the numbers of a Config can be; times are in seconds. The command line
// and the configuration file of the daemon check with these too.
var (
	AddrSizeRange     = Range{Min: 4, Max: 4, Why: "addresses have 4 bytes with the policy flat, the only one that there is"}
	EIDSizeRange      = Range{Min: 8, Max: 8, Why: "endpoint ids have 8 bytes on the wire, whatever is asked for"}
	TTLRange          = Range{Min: 1, Max: 255, Why: "a packet that may make no hop goes nowhere, and the header has one byte for it"}
	LSRange           = Range{Min: 1, Max: 1<<32 - 1} // each of the three link-state times
	DHTAlphaRange     = Range{Min: 1, Max: 10}
	DHTKRange         = Range{Min: 1, Max: 20}
	DHTExpireRange    = Range{Min: 10, Max: 86400}
	DHTRefreshRange   = Range{Min: 3, Max: 3600}
	DHTReplicateRange = Range{Min: 3, Max: 3600}
	EthertypeRange    = Range{Min: 0x0600, Max: 0xFFFE}
	PortRange         = Range{Min: 1, Max: 65535}
	UDPMTURange       = Range{Min: 256, Max: 65503}
)

// Words that the values of a configuration can be, the first spelling of each
// kind being the one to write.

// HashWords lists the algorithms that can be chosen.
func HashWords() []string { return append([]string(nil), hashWords[:4]...) }

// RoutingWords lists the routing policies.
func RoutingWords() []string {
	return []string{LinkState.String(), LFA.String(), ECMP.String()}
}

// CongestionWords lists the policies of congestion avoidance.
func CongestionWords() []string { return []string{NoCongestion.String(), MBECN.String()} }

// BalanceWords lists the policies of load balancing.
func BalanceWords() []string { return []string{RoundRobin.String(), Spill.String()} }

// AddressWords lists the address policies.
func AddressWords() []string { return []string{"flat"} }

// DirectoryWords lists the directory policies.
func DirectoryWords() []string { return []string{"DHT"} }

// ParseAddress understands flat.
func ParseAddress(word string) bool { return word == "flat" }

// ParseDirectory understands DHT and dht.
func ParseDirectory(word string) bool { return word == "DHT" || word == "dht" }

// CheckName is nil for what can be a name, or the name of an IPCP or a layer:
// 1 to 255 bytes of UTF-8 without a zero byte. what is for the error, as in "name" or
// "layer name".
func CheckName(what, s string) error { return checkText(what, s, MaxName) }

// CheckDevice is nil for what can be the name of a network interface.
func CheckDevice(s string) error {
	if err := checkText("device", s, MaxDevice); err != nil {
		return err
	}
	if s == "." || s == ".." || strings.ContainsAny(s, "/ \t\n:") {
		return errno.New(errno.Invalid, "device %q cannot be a network interface", s).
			Next("ip link shows those that there are")
	}
	return nil
}

func checkText(what, s string, longest int) error {
	switch {
	case s == "":
		return errno.New(errno.Invalid, "the %s is empty", what).Next("give 1 to %d bytes", longest)
	case len(s) > longest:
		return errno.New(errno.Invalid, "the %s is %d bytes long", what, len(s)).Next("give 1 to %d bytes", longest)
	case strings.ContainsRune(s, 0):
		return errno.New(errno.Invalid, "the %s %q holds a zero byte", what, s).Next("leave it out")
	case !utf8.ValidString(s):
		return errno.New(errno.Invalid, "the %s %q is not UTF-8", what, s).Next("write it in UTF-8")
	}
	return nil
}

// Validate is nil when an IPCP can be bootstrapped with c; else it names the
// first value that is wrong, and what it can be. A nil part is fine where it
// has defaults.
func (c *Config) Validate() error {
	if err := CheckName("layer name", c.Layer); err != nil {
		return err
	}
	if _, ok := ParseType(c.Type.String()); !ok {
		return errno.New(errno.IPCPType, "there is no IPCP type %d", int(c.Type)).
			Next("the types are %s", strings.Join(TypeWords(), ", "))
	}
	if err := c.validateHash(); err != nil {
		return err
	}
	switch c.Type {
	case Unicast:
		if c.Unicast != nil {
			return c.Unicast.validate()
		}
	case EthDIX, EthLLC:
		if c.Eth == nil {
			return errno.New(errno.Invalid, "an %s layer has no device", c.Type).Next("name a network interface")
		}
		return c.Eth.validate(c.Type)
	case UDP4, UDP6:
		if c.UDP == nil {
			return errno.New(errno.Invalid, "a %s layer has no address", c.Type).Next("give the IP address of this host")
		}
		return c.UDP.validate(c.Type)
	}
	return nil
}

func (c *Config) validateHash() error {
	switch c.Type {
	case UDP4, UDP6, Broadcast:
		return nil // not looked at
	}
	if _, ok := ParseHash(c.Hash.String()); !ok {
		return errno.New(errno.Invalid, "the hash algorithm of a layer cannot be %s", c.Hash).
			Next("it can be %s", strings.Join(HashWords(), ", "))
	}
	return nil
}

func (u *UnicastConfig) validate() error {
	numbers := []struct {
		key string
		n   int64
		r   Range
	}{
		{"addr_size", int64(u.AddrSize), AddrSizeRange},
		{"eid_size", int64(u.EIDSize), EIDSizeRange},
		{"max_ttl", int64(u.MaxTTL), TTLRange},
		{"ls_t_recalc", int64(u.LSRecalc), LSRange},
		{"ls_t_update", int64(u.LSUpdate), LSRange},
		{"ls_t_timeo", int64(u.LSTimeout), LSRange},
		{"dht_alpha", int64(u.DHTAlpha), DHTAlphaRange},
		{"dht_k", int64(u.DHTK), DHTKRange},
		{"dht_t_expire", int64(u.DHTExpire), DHTExpireRange},
		{"dht_t_refresh", int64(u.DHTRefresh), DHTRefreshRange},
		{"dht_t_replicate", int64(u.DHTReplicate), DHTReplicateRange},
	}
	for _, v := range numbers {
		if err := v.r.Check(v.key, v.n); err != nil {
			return err
		}
	}
	if _, ok := ParseRouting(u.Routing.String()); !ok {
		return errno.New(errno.Invalid, "there is no routing policy %d", int(u.Routing)).
			Next("it can be %s", strings.Join(RoutingWords(), ", "))
	}
	if _, ok := ParseCongestion(u.Congestion.String()); !ok {
		return errno.New(errno.Invalid, "there is no congestion policy %d", int(u.Congestion)).
			Next("it can be %s", strings.Join(CongestionWords(), ", "))
	}
	return nil
}

func (e *EthConfig) validate(t IPCPType) error {
	if err := CheckDevice(e.Device); err != nil {
		return err
	}
	if t == EthDIX && !EthertypeRange.Has(int64(e.Ethertype)) {
		return errno.New(errno.Invalid, "the ethertype cannot be 0x%04X", e.Ethertype).
			Next("it can be 0x0600 to 0xFFFE; 0xA000 to 0xEFFF are free of well-known protocols")
	}
	return nil
}

func (u *UDPConfig) validate(t IPCPType) error {
	if err := CheckIP(t, u.IP); err != nil {
		return err
	}
	if u.DNS.IsValid() && !family(t, u.DNS) {
		return errno.New(errno.Invalid, "the DNS address %s is not an %s address", u.DNS, familyName(t)).
			Next("give one, or none for no dynamic DNS")
	}
	if u.MTU != 0 {
		if err := UDPMTURange.Check("mtu", int64(u.MTU)); err != nil {
			return err
		}
	}
	if err := u.validateDNS(); err != nil {
		return err
	}
	return PortRange.Check("port", int64(u.Port))
}

func (u *UDPConfig) validateDNS() error {
	if err := CheckZone(u.Zone); err != nil {
		return err
	}
	switch {
	case len(u.Key) > MaxPath || strings.ContainsRune(u.Key, 0):
		return errno.New(errno.Invalid, "the DNS key cannot be read from a path of %d bytes", len(u.Key)).
			Next("give the path of a file, of at most %d bytes", MaxPath)
	case len(u.Hosts) > MaxPath || strings.ContainsRune(u.Hosts, 0):
		return errno.New(errno.Invalid, "the hosts cannot be read from a path of %d bytes", len(u.Hosts)).
			Next("give the path of a file, of at most %d bytes", MaxPath)
	case !u.DNS.IsValid() && u.Zone != "":
		return errno.New(errno.Invalid, "a DNS zone is given and no DNS server").Next("give the address of the server, too")
	case !u.DNS.IsValid() && u.Key != "":
		return errno.New(errno.Invalid, "a DNS key is given and no DNS server").Next("give the address of the server, too")
	}
	return nil
}

// CheckZone is nil for what can be the domain of a DNS zone: labels of letters,
// digits, hyphens and underscores, with or without a dot at the end. Empty is
// the root.
func CheckZone(s string) error {
	if s == "" || s == "." {
		return nil
	}
	const longest = 220 // with the name of a hash before it a domain has 254
	bad := len(s) > longest
	for _, label := range strings.Split(strings.TrimSuffix(s, "."), ".") {
		bad = bad || label == "" || len(label) > 63
		for _, c := range label {
			bad = bad || c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
		}
	}
	if bad {
		return errno.New(errno.Invalid, "%q cannot be a DNS zone", s).Next("give a domain such as flows.example.org")
	}
	return nil
}

// CheckIP is nil for what can be the own address of an IPCP of type t, UDP4
// or UDP6.
func CheckIP(t IPCPType, a netip.Addr) error {
	switch {
	case !a.IsValid():
		return errno.New(errno.Invalid, "a %s layer has no address", t).Next("give the %s address of this host", familyName(t))
	case !family(t, a):
		return errno.New(errno.Invalid, "%s is not an %s address", a, familyName(t)).Next("give the %s address of this host", familyName(t))
	case a.IsUnspecified():
		return errno.New(errno.Invalid, "a %s layer cannot use the address %s", t, a).Next("give the %s address of this host", familyName(t))
	}
	return nil
}

func family(t IPCPType, a netip.Addr) bool {
	if t == UDP4 {
		return a.Is4()
	}
	return a.Is6() && !a.Is4In6()
}

func familyName(t IPCPType) string {
	if t == UDP4 {
		return "IPv4"
	}
	return "IPv6"
}
