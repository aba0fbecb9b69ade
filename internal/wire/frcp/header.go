// Package frcp is the header of the flow and retransmission control protocol,
// which the packets of every in-order flow carry. It knows bytes and numbers;
// the machine is internal/frcp.
//
// The header has 12 octets, all numbers big endian:
//
//	 0        1        2        3
//	+--------+--------------------------+
//	| flags  |  window (24 bit)         |   octets 0..3
//	+--------+--------------------------+
//	|  sequence number (32)             |   octets 4..7
//	+-----------------------------------+
//	|  acknowledgement number (32)      |   octets 8..11
//	+-----------------------------------+
//
//	flag   name  meaning
//	0x01   DATA  user data follows the header
//	0x02   DRF   nothing before this number is unacknowledged (data run flag)
//	0x04   ACK   the acknowledgement number counts: everything before it has come
//	0x08   FC    the window counts: the low 24 bits of the first number that the
//	             receiver does not accept
//	0x10   RDVS  rendez-vous: "tell me your window"
//	0x20, 0x40   first and more fragments: reserved, sent as 0 and ignored
//	0x80         reserved, sent as 0 and ignored
//
// Numbers count packets, modulo 2^32. A field whose flag is off has no
// meaning and may be anything, see Header.
package frcp

import "encoding/binary"

// HeaderLen is the length of the header in bytes.
const HeaderLen = 12

// Flags are the first octet.
type Flags uint8

// The flags.
const (
	DATA Flags = 0x01
	DRF  Flags = 0x02
	ACK  Flags = 0x04
	FC   Flags = 0x08
	RDVS Flags = 0x10
)

// Has reports whether any flag of g is set.
func (f Flags) Has(g Flags) bool { return f&g != 0 }

// Header is a header as it stands on the wire, fields without meaning
// included: retransmissions of the C implementation fill the acknowledgement
// number with ACK off.
type Header struct {
	Flags  Flags
	Window uint32 // low 24 bits of the first number not accepted; with FC
	Seq    Seq
	Ack    Seq // next number expected; with ACK
}

// Parse reads the header of p; false when p is too short to have one.
func Parse(p []byte) (h Header, ok bool) {
	if len(p) < HeaderLen {
		return h, false
	}
	first := binary.BigEndian.Uint32(p)
	return Header{
		Flags:  Flags(first >> 24),
		Window: first & windowMask,
		Seq:    Seq(binary.BigEndian.Uint32(p[4:])),
		Ack:    Seq(binary.BigEndian.Uint32(p[8:])),
	}, true
}

// Put writes the header into the first HeaderLen bytes of p; of the window the
// low 24 bits.
func (h Header) Put(p []byte) {
	_ = p[HeaderLen-1]
	binary.BigEndian.PutUint32(p, uint32(h.Flags)<<24|h.Window&windowMask)
	binary.BigEndian.PutUint32(p[4:], uint32(h.Seq))
	binary.BigEndian.PutUint32(p[8:], uint32(h.Ack))
}
