// Package fa is the wire format of flow allocation in a unicast layer: messages
// between the flow allocators of two members, each the payload of one packet to
// endpoint 0. It is bytes in, struct out; who answers what is the business of
// the allocator. All fields are big endian.
//
//	offset  size  field         REQUEST, PROBE      REPLY           UPDATE
//	0       8     s_addr        of the requester    0               0
//	8       8     r_eid         0                   the receiver's  the receiver's
//	16      8     s_eid         the requester's     the sender's    0
//	24      8     bandwidth     bit/s               0               0
//	32      4     response      0                   0, or -errno    0
//	36      4     delay         ms                  0               0
//	40      4     loss          as in package qos   0               0
//	44      4     ber           as in package qos   0               0
//	48      4     max_gap       ms                  0               0
//	52      4     timeout       ms                  0               0
//	56      2     ece           0                   0               level
//	58      1     code
//	59      1     availability  class of nines      0               0
//	60      1     in_order      0 or 1              0               0
//	61      H     hash          of the name         -               -
//	...           data          to the end          to the end      -
//
//	code  name     meaning
//	0     REQUEST  a flow to a name is wanted
//	1     REPLY    it is given (response 0) or refused
//	2     UPDATE   packets of the flow were marked on their way: slow down
//	240   PROBE    the same request once more: it has no answer
//	241   PENDING  the request has come and is not decided; r_eid and s_addr
//	242   DEALLOC  the sender's end of the flow is gone; r_eid and s_eid. With
//	               r_eid 0: so is the request of s_addr and s_eid
//
// H is the length of the hashes of the layer. The last three are ours: the C
// implementation drops codes that it does not know, and whatever it does not
// read in a message is 0. A message is not longer than 2048 bytes, whoever it
// is for.
package fa

import (
	"encoding/binary"
	"errors"

	"ouroboros/internal/wire/dt"
	"ouroboros/qos"
)

// Sizes in bytes.
const (
	FixedSize = 61
	MaxSize   = 2048
)

// MaxLevel is the highest congestion level that an UPDATE can report: 32 times
// the highest mark of a packet.
const MaxLevel = 32 * 255

// Code says what a message is.
type Code uint8

// The codes.
const (
	Request Code = 0
	Reply   Code = 1
	Update  Code = 2
	Probe   Code = 240
	Pending Code = 241
	Dealloc Code = 242
)

func (c Code) String() string {
	switch c {
	case Request:
		return "REQUEST"
	case Reply:
		return "REPLY"
	case Update:
		return "UPDATE"
	case Probe:
		return "PROBE"
	case Pending:
		return "PENDING"
	case Dealloc:
		return "DEALLOC"
	}
	return "unknown"
}

// hasHash reports whether a hash stands before the data, hasData whether
// there is data.
func (c Code) hasHash() bool { return c == Request || c == Probe }
func (c Code) hasData() bool { return c.hasHash() || c == Reply }

// Why bytes are no message.
var (
	ErrShort = errors.New("the message is shorter than its code requires")
	ErrLong  = errors.New("the message is longer than 2048 bytes")
	ErrCode  = errors.New("the message has an unknown code")
)

// Message is a message. Hash and Data of a parsed one lie in the packet.
type Message struct {
	Code     Code
	SAddr    dt.Addr
	REID     uint64 // endpoint of the receiver
	SEID     uint64 // endpoint of the sender
	Response int32
	QoS      qos.Spec
	ECE      uint16
	Hash     []byte // REQUEST, PROBE
	Data     []byte // REQUEST, PROBE, REPLY
}

// MaxData is the longest data of a message in a layer with hashes of a length.
func MaxData(c Code, hashLen int) int {
	switch {
	case c.hasHash():
		return MaxSize - FixedSize - hashLen
	case c.hasData():
		return MaxSize - FixedSize
	}
	return 0
}

// Parse reads a message of a layer with hashes of hashLen bytes. What stands
// behind a message without data is ignored.
func Parse(b []byte, hashLen int) (m Message, err error) {
	switch {
	case len(b) < FixedSize:
		return m, ErrShort
	case len(b) > MaxSize:
		return m, ErrLong
	}
	be := binary.BigEndian
	m = Message{
		Code:  Code(b[58]),
		SAddr: dt.Addr(be.Uint64(b)), REID: be.Uint64(b[8:]), SEID: be.Uint64(b[16:]),
		Response: int32(be.Uint32(b[32:])), ECE: be.Uint16(b[56:]),
		QoS: qos.Spec{
			Bandwidth: be.Uint64(b[24:]), Delay: be.Uint32(b[36:]), Loss: be.Uint32(b[40:]), BER: be.Uint32(b[44:]),
			MaxGap: be.Uint32(b[48:]), Timeout: be.Uint32(b[52:]), Availability: b[59], InOrder: b[60] != 0,
		},
	}
	rest := b[FixedSize:]
	switch m.Code {
	case Request, Probe:
		if len(rest) < hashLen {
			return Message{}, ErrShort
		}
		m.Hash, m.Data = rest[:hashLen:hashLen], rest[hashLen:]
	case Reply:
		m.Data = rest
	case Update, Pending, Dealloc:
	default:
		return Message{}, ErrCode
	}
	return m, nil
}

// Size is the length of the message in bytes.
func (m *Message) Size() int {
	n := FixedSize
	if m.Code.hasHash() {
		n += len(m.Hash)
	}
	if m.Code.hasData() {
		n += len(m.Data)
	}
	return n
}

// Put writes the message into b, which has Size bytes.
func (m *Message) Put(b []byte) {
	_ = b[FixedSize-1]
	be := binary.BigEndian
	be.PutUint64(b, uint64(m.SAddr))
	be.PutUint64(b[8:], m.REID)
	be.PutUint64(b[16:], m.SEID)
	be.PutUint64(b[24:], m.QoS.Bandwidth)
	be.PutUint32(b[32:], uint32(m.Response))
	be.PutUint32(b[36:], m.QoS.Delay)
	be.PutUint32(b[40:], m.QoS.Loss)
	be.PutUint32(b[44:], m.QoS.BER)
	be.PutUint32(b[48:], m.QoS.MaxGap)
	be.PutUint32(b[52:], m.QoS.Timeout)
	be.PutUint16(b[56:], m.ECE)
	b[58], b[59], b[60] = byte(m.Code), m.QoS.Availability, 0
	if m.QoS.InOrder {
		b[60] = 1
	}
	rest := b[FixedSize:]
	if m.Code.hasHash() {
		rest = rest[copy(rest, m.Hash):]
	}
	if m.Code.hasData() {
		copy(rest, m.Data)
	}
}
