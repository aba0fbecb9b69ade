package ethmgmt

import (
	"encoding/hex"
	"net"
)

// MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is everybody on the network.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// String writes it as 02:00:00:00:00:0a.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Individual reports whether the address can be that of one station: it is
// not a group's. The address of a loopback device is all zero.
func (m MAC) Individual() bool { return m[0]&1 == 0 }

// ParseMAC reads twelve hexadecimal digits, with or without separators.
func ParseMAC(s string) (m MAC, ok bool) {
	if a, err := net.ParseMAC(s); err == nil && len(a) == len(m) {
		return MAC(a), true
	}
	a, err := hex.DecodeString(s)
	if err != nil || len(a) != len(m) {
		return m, false
	}
	return MAC(a), true
}
