package ovpn

import (
	"math/bits"
	"net/netip"

	"ouroboros/internal/tool/args"
	"ouroboros/qos"
)

// Options are those of the command line.
type Options struct {
	Name   string // of the server; empty to be one
	Device string
	MTU    int64 // 0: as the flow needs it
	QoS    qos.Spec
	JSON   bool

	ip, mask string
	// Addr is what the device gets; the zero Prefix leaves it as it is.
	Addr netip.Prefix
}

// Limits of the MTU: IPv4 needs the least, and a packet has 16 bits for its
// length.
const (
	minMTU     = 68
	maxMTU     = 65535
	defaultMTU = 1500
)

// commandLine describes the options; they are read into o.
func (o *Options) commandLine() *args.Set {
	*o = Options{QoS: qos.Raw}
	s := args.New("ovpn", "Carries IP over a flow: a TUN device at each end, the packets of one come out of\nthe other. Without a name it is the server, and serves one client at a time.")
	s.String(&o.Name, "-n", "--name", "NAME", "Be the client of the server of this name")
	s.QoS(&o.QoS, "-q", "--qos")
	s.Group("Device")
	s.String(&o.ip, "-i", "--ip", "ADDRESS", "Address of the device, also as ADDRESS/BITS")
	s.String(&o.mask, "-m", "--mask", "MASK", "Its subnet mask, as 255.255.255.0")
	s.String(&o.Device, "-d", "--device", "DEVICE", "Its name; one that was made for this user needs no\nroot, and no address here")
	s.Int(&o.MTU, "", "--mtu", "BYTES", "Its MTU (default: what the flow carries, at most 1500)")
	s.Group("Both")
	s.Flag(&o.JSON, "", "--json", "Print JSON, an object for each thing that happens")
	return s
}

// finish checks what was read as a whole.
func (o *Options) finish() (err error) {
	if o.MTU != 0 && (o.MTU < minMTU || o.MTU > maxMTU) {
		return args.Errorf("Invalid MTU: %d. It is between %d and %d.", o.MTU, minMTU, maxMTU)
	}
	if o.ip == "" {
		switch {
		case o.mask != "":
			return args.Lost("Please specify an IP address.")
		case o.Device == "":
			return args.Lost("Please specify an IP address, or a device that has one.")
		}
		return nil
	}
	if p, err := netip.ParsePrefix(o.ip); err == nil {
		if o.mask != "" {
			return args.Errorf("The mask is there twice: %s and %s.", o.ip, o.mask)
		}
		o.Addr = p
		return nil
	}
	a, err := netip.ParseAddr(o.ip)
	if err != nil || a.Zone() != "" {
		return args.Errorf("Invalid IP address: %s.", o.ip)
	}
	if o.mask == "" {
		return args.Lost("Please specify a subnetmask.")
	}
	m, err := netip.ParseAddr(o.mask)
	if err != nil || !m.Is4() || !a.Is4() {
		return args.Errorf("Invalid subnet mask: %s.", o.mask)
	}
	b := m.As4()
	word := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	ones := bits.LeadingZeros32(^word)
	if word<<ones != 0 {
		return args.Errorf("Invalid subnet mask: %s.", o.mask)
	}
	o.Addr = netip.PrefixFrom(a, ones)
	return nil
}
