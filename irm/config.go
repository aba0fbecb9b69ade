package irm

import "net/netip"

// Config is how an IPCP makes a layer. Exactly the part that belongs to Type
// is used; a nil part means its defaults.
type Config struct {
	Type    IPCPType
	Layer   string   // at most 255 bytes
	Hash    HashAlgo // ignored by UDP (MD5) and broadcast (SHA3-256) layers
	Unicast *UnicastConfig
	Eth     *EthConfig
	UDP     *UDPConfig
}

// NewConfig gives the defaults of a kind of layer.
func NewConfig(t IPCPType, layer string) *Config {
	c := &Config{Type: t, Layer: layer, Hash: SHA3_256}
	switch t {
	case Unicast:
		c.Unicast = NewUnicastConfig()
	case EthDIX, EthLLC:
		c.Eth = &EthConfig{Ethertype: DefaultEthertype}
	case UDP4, UDP6:
		c.UDP = &UDPConfig{Port: DefaultPort}
		c.Hash = MD5
	}
	return c
}

// Defaults of the shims.
const (
	DefaultEthertype = 0xA000
	DefaultPort      = 3435
)

// EthConfig belongs to EthDIX and EthLLC.
type EthConfig struct {
	Device    string // network interface
	Ethertype uint16 // EthDIX only: 0x0600..0xFFFE
}

// UDPConfig belongs to UDP4 and UDP6.
type UDPConfig struct {
	IP   netip.Addr // own address
	Port uint16     // the same for all members of the layer
	DNS  netip.Addr // dynamic DNS server; the zero Addr = none
	Zone string     // domain in which the DNS server keeps the names; empty = the root
	Key  string     // file with the TSIG key for updates, as tsig-keygen writes it; empty = unsigned
	// Hosts is a file at the node that says where names are, lines of an
	// address and names; it goes before the resolver of the system. Empty = none.
	Hosts string
	MTU   uint16 // longest payload of a flow in bytes; 0 = 8976 with UDP4, 8948 with UDP6
}

// Routing is the policy of a unicast layer's forwarding.
type Routing int

// The policies.
const (
	LinkState Routing = 0 // shortest paths
	LFA       Routing = 1 // with loop-free alternates
	ECMP      Routing = 2 // equal-cost multipath
)

func (r Routing) String() string {
	switch r {
	case LinkState:
		return "link_state"
	case LFA:
		return "lfa"
	case ECMP:
		return "ecmp"
	}
	return "UNKNOWN"
}

// ParseRouting understands link_state, link-state, lfa and ecmp.
func ParseRouting(word string) (Routing, bool) {
	switch word {
	case "link_state", "link-state":
		return LinkState, true
	case "lfa":
		return LFA, true
	case "ecmp":
		return ECMP, true
	}
	return 0, false
}

// Congestion is the congestion avoidance of a unicast layer.
type Congestion int

// The policies.
const (
	NoCongestion Congestion = 0
	MBECN        Congestion = 1
)

func (c Congestion) String() string {
	switch c {
	case NoCongestion:
		return "none"
	case MBECN:
		return "mb-ecn"
	}
	return "UNKNOWN"
}

// ParseCongestion understands none and mb-ecn.
func ParseCongestion(word string) (Congestion, bool) {
	switch word {
	case "none":
		return NoCongestion, true
	case "mb-ecn":
		return MBECN, true
	}
	return 0, false
}

// UnicastConfig belongs to Unicast. Times are in seconds.
type UnicastConfig struct {
	AddrSize, EIDSize, MaxTTL uint8

	Routing    Routing
	LSRecalc   uint32 // recalculation interval
	LSUpdate   uint32 // update interval
	LSTimeout  uint32 // link time-out
	Congestion Congestion

	DHTAlpha     uint32 // search factor, 1..10
	DHTK         uint32 // replication factor, 1..20
	DHTExpire    uint32 // 10..86400
	DHTRefresh   uint32 // 3..3600
	DHTReplicate uint32 // 3..3600
}

// NewUnicastConfig gives the defaults.
func NewUnicastConfig() *UnicastConfig {
	return &UnicastConfig{
		AddrSize: 4, EIDSize: 8, MaxTTL: 60,
		LSRecalc: 4, LSUpdate: 15, LSTimeout: 60, Congestion: MBECN,
		DHTAlpha: 3, DHTK: 8, DHTExpire: 86400, DHTRefresh: 900, DHTReplicate: 900,
	}
}
