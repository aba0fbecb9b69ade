// Package dt is the wire format of data transfer in a unicast layer: the header
// in front of every packet, and the addresses of the layer's members. It is
// bytes in, struct out.
//
//	offset  size  field
//	0       4     dst   address of the destination, little endian
//	4       1     qos   cube that the originator chose; nobody decides by it
//	5       1     ttl   hops that are left
//	6       1     ecn   congestion on the way, as bits that are ORed
//	7       8     eid   endpoint at the destination, little endian
//	15      n     payload, which may be empty
//
// The packet has no source, length, checksum or version. Sizes of address and
// endpoint are parameters of a layer, but 4 and 8 are all that exists: the flat
// address policy knows no others.
//
// Byte order differs from message to message in a unicast layer. This header is
// little endian; flow allocation and link state are big endian.
package dt

import (
	"encoding/binary"
	"fmt"
	"math"
)

// HeaderLen is the length of the header in bytes.
const HeaderLen = 15

// Endpoints that are components of every member. Those up to FirstFlowEID are
// reserved, the others are flows.
const (
	EIDFlowAllocator = 0
	EIDDirectory     = 1
	FirstFlowEID     = 64
)

// Where fields are, for those who change them in place.
const (
	ttlAt = 5
	ecnAt = 6
)

// Addr is the address of a member of a unicast layer. Most messages carry it in
// 64 bits, of which the upper half is 0.
type Addr uint64

// Valid reports whether a can be the address of a member.
func (a Addr) Valid() bool { return a != 0 && a <= math.MaxUint32 }

// String gives the four bytes as they are in the header, least significant
// first: "e2.b4.53.92" for 0x9253b4e2.
func (a Addr) String() string {
	if a > math.MaxUint32 {
		return fmt.Sprintf("0x%016x", uint64(a))
	}
	return fmt.Sprintf("%02x.%02x.%02x.%02x", byte(a), byte(a>>8), byte(a>>16), byte(a>>24))
}

// Header stands in front of every packet.
type Header struct {
	Dst Addr
	QoS uint8
	TTL uint8
	ECN uint8
	EID uint64
}

// Parse reads the header of a packet; false when the packet is too short to
// have one.
func Parse(b []byte) (h Header, ok bool) {
	if len(b) < HeaderLen {
		return h, false
	}
	return Header{
		Dst: Addr(binary.LittleEndian.Uint32(b)),
		QoS: b[4], TTL: b[ttlAt], ECN: b[ecnAt],
		EID: binary.LittleEndian.Uint64(b[7:]),
	}, true
}

// Put writes the header into the first HeaderLen bytes of b.
func (h Header) Put(b []byte) {
	_ = b[HeaderLen-1]
	binary.LittleEndian.PutUint32(b, uint32(h.Dst))
	b[4], b[ttlAt], b[ecnAt] = h.QoS, h.TTL, h.ECN
	binary.LittleEndian.PutUint64(b[7:], h.EID)
}

// SetTTL changes the remaining hops of a packet that has a header.
func SetTTL(b []byte, ttl uint8) { b[ttlAt] = ttl }

// ECN is the mark of a packet that has a header.
func ECN(b []byte) uint8 { return b[ecnAt] }

// Mark adds a congestion level to a packet that has a header.
func Mark(b []byte, level uint8) { b[ecnAt] |= level }
