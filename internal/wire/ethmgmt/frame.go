package ethmgmt

import (
	"encoding/binary"
	"errors"
)

// Kind is one of the two layers.
type Kind uint8

// The kinds.
const (
	DIX Kind = iota
	LLC
)

func (k Kind) String() string {
	if k == LLC {
		return "eth-llc"
	}
	return "eth-dix"
}

// Lengths in bytes.
const (
	EthernetHeader = 14                 // addresses, and type or length
	DIXHeader      = EthernetHeader + 4 // with EID and length
	LLCHeader      = EthernetHeader + 3 // with the SAPs and control

	MaxLLC  = 0x05ff // highest length that is not an ethertype
	control = 0x03
	llc     = LLCHeader - EthernetHeader
)

// Header is the length of the header of a frame, MACs included.
func (k Kind) Header() int {
	if k == LLC {
		return LLCHeader
	}
	return DIXHeader
}

// Typed reports whether frames have an ethertype; else they are 802.3 frames.
func (k Kind) Typed() bool { return k == DIX }

// Management is the endpoint of management messages: EID 0, or SAP 1.
func (k Kind) Management() uint32 {
	if k == LLC {
		return uint32(ManagementSAP)
	}
	return 0
}

// MaxPayload is the longest payload on a device with that MTU, 0 if there is
// none.
func (k Kind) MaxPayload(mtu int) int {
	limit := 0xffff
	if k == LLC {
		limit = 1500
	}
	return max(0, min(mtu, limit)-(k.Header()-EthernetHeader))
}

// Why a frame is not taken.
var (
	ErrRunt    = errors.New("the frame is shorter than its header")
	ErrForeign = errors.New("the frame is of another protocol")
	ErrLength  = errors.New("the frame is shorter than it says")
)

// Source is the sender of a frame that has a whole Ethernet header.
func Source(frame []byte) MAC { return MAC(frame[6:12]) }

// Destination is the receiver of such a frame.
func Destination(frame []byte) MAC { return MAC(frame[0:6]) }

// PutDIX writes the header of a frame with n bytes of payload into h, which
// has DIXHeader bytes.
func PutDIX(h []byte, dst, src MAC, ethertype, eid uint16, n int) {
	_ = h[DIXHeader-1]
	copy(h[0:6], dst[:])
	copy(h[6:12], src[:])
	binary.BigEndian.PutUint16(h[12:], ethertype)
	binary.BigEndian.PutUint16(h[14:], eid)
	binary.BigEndian.PutUint16(h[16:], uint16(n))
}

// ParseDIX gives the EID at the receiver and the length of the payload, which
// begins at DIXHeader.
func ParseDIX(frame []byte, ethertype uint16) (eid uint16, n int, err error) {
	if len(frame) < DIXHeader {
		return 0, 0, ErrRunt
	}
	if binary.BigEndian.Uint16(frame[12:]) != ethertype {
		return 0, 0, ErrForeign
	}
	n = int(binary.BigEndian.Uint16(frame[16:]))
	if n > len(frame)-DIXHeader {
		return 0, 0, ErrLength
	}
	return binary.BigEndian.Uint16(frame[14:]), n, nil
}

// PutLLC writes the header of a frame with n bytes of payload into h, which
// has LLCHeader bytes.
func PutLLC(h []byte, dst, src MAC, dsap, ssap SAP, n int) {
	_ = h[LLCHeader-1]
	copy(h[0:6], dst[:])
	copy(h[6:12], src[:])
	binary.BigEndian.PutUint16(h[12:], uint16(n+llc))
	h[14], h[15], h[16] = dsap.Octet(), ssap.Octet(), control
}

// ParseLLC gives the SAPs and the length of the payload, which begins at
// LLCHeader. A SAP that nobody of this protocol has is an ErrForeign, as is
// anything but unnumbered information: other protocols share the frames.
func ParseLLC(frame []byte) (dsap, ssap SAP, n int, err error) {
	if len(frame) < LLCHeader {
		return 0, 0, 0, ErrRunt
	}
	n = int(binary.BigEndian.Uint16(frame[12:])) - llc
	if n > MaxLLC-llc {
		return 0, 0, 0, ErrForeign
	}
	dsap, ssap = SAPOf(frame[14]), SAPOf(frame[15])
	if frame[16] != control || !dsap.ours() || !ssap.ours() {
		return 0, 0, 0, ErrForeign
	}
	if n < 0 || n > len(frame)-LLCHeader {
		return 0, 0, 0, ErrLength
	}
	return dsap, ssap, n, nil
}

func (s SAP) ours() bool { return s >= ManagementSAP && s <= LastPeerSAP }
