// Package udpmgmt is the wire format of the UDP layers: the number in front of
// every datagram and the management messages. It is bytes in, struct out; who
// answers what is the business of the IPCP. All fields are big endian.
//
// # Datagrams
//
//	offset  size  field
//	0       4     EID at the receiver; 0 = management
//	4       n     payload of the flow; n = 0 is a keep-alive of the layer above
//
// A datagram shorter than 4 bytes is nothing; every receiver drops it.
//
// # Management messages
//
//	offset  size  field         meaning
//	0       4     0
//	4       4     s_eid         EID of the requester, in all messages
//	8       4     d_eid         EID of the responder: FLOW_REPLY
//	12      4     response      FLOW_REPLY: 0, or a negative error; PROBE_ANSWER
//	16      8     bandwidth     bit/s
//	24      4     delay         ms
//	28      4     loss
//	32      4     ber           errors per 10^9 bits
//	36      4     max_gap       ms
//	40      4     timeout       ms
//	44      1     code
//	45      1     availability  class of nines
//	46      1     in_order
//	47            what the code has
//
//	code  name          behind the fixed part
//	1     FLOW_REQ      hash of 16 bytes, then data to the end
//	2     FLOW_REPLY    data to the end
//	240   PROBE         hash of 16 bytes, then data to the end
//	241   PROBE_ANSWER  data to the end
//
// The last two are ours. The C implementation drops codes that it does not
// know. What a message does not use is 0.
package udpmgmt

import (
	"encoding/binary"
	"errors"

	"ouroboros/qos"
)

// Sizes in bytes.
const (
	EIDSize   = 4
	FixedSize = 47 // with the EID
	HashSize  = 16 // MD5

	// MaxForeign is the longest message that the C implementation survives.
	MaxForeign = 2048
)

// Code says what a message is.
type Code uint8

// The codes.
const (
	FlowReq     Code = 1
	FlowReply   Code = 2
	Probe       Code = 240
	ProbeAnswer Code = 241
)

func (c Code) String() string {
	switch c {
	case FlowReq:
		return "FLOW_REQ"
	case FlowReply:
		return "FLOW_REPLY"
	case Probe:
		return "PROBE"
	case ProbeAnswer:
		return "PROBE_ANSWER"
	}
	return "unknown"
}

// hasHash reports whether a hash stands before the data.
func (c Code) hasHash() bool { return c == FlowReq || c == Probe }

// Why bytes are no message.
var (
	ErrShort = errors.New("the message is shorter than its code requires")
	ErrCode  = errors.New("the message has an unknown code")
	ErrData  = errors.New("the datagram is no management message")
)

// Message is a management message. Hash and Data of a parsed one lie in the
// datagram.
type Message struct {
	Code     Code
	SEID     uint32
	DEID     uint32
	Response int32
	QoS      qos.Spec
	Hash     []byte // HashSize bytes: FLOW_REQ, PROBE
	Data     []byte
}

// EID gives the number in front of a datagram; false when it is too short to
// have one.
func EID(datagram []byte) (eid uint32, ok bool) {
	if len(datagram) < EIDSize {
		return 0, false
	}
	return binary.BigEndian.Uint32(datagram), true
}

// PutEID writes the number into the first four bytes of b.
func PutEID(b []byte, eid uint32) { binary.BigEndian.PutUint32(b, eid) }

// Parse reads a whole datagram as a management message.
func Parse(b []byte) (m Message, err error) {
	if len(b) < FixedSize {
		return m, ErrShort
	}
	be := binary.BigEndian
	if be.Uint32(b) != 0 {
		return m, ErrData
	}
	m = Message{
		Code: Code(b[44]),
		SEID: be.Uint32(b[4:]), DEID: be.Uint32(b[8:]), Response: int32(be.Uint32(b[12:])),
		QoS: qos.Spec{
			Bandwidth: be.Uint64(b[16:]), Delay: be.Uint32(b[24:]), Loss: be.Uint32(b[28:]), BER: be.Uint32(b[32:]),
			MaxGap: be.Uint32(b[36:]), Timeout: be.Uint32(b[40:]), Availability: b[45], InOrder: b[46] != 0,
		},
	}
	rest := b[FixedSize:]
	switch m.Code {
	case FlowReq, Probe:
		if len(rest) < HashSize {
			return Message{}, ErrShort
		}
		m.Hash, m.Data = rest[:HashSize:HashSize], rest[HashSize:]
	case FlowReply, ProbeAnswer:
		m.Data = rest
	default:
		return Message{}, ErrCode
	}
	return m, nil
}

// Size is the length of the datagram.
func (m *Message) Size() int {
	n := FixedSize + len(m.Data)
	if m.Code.hasHash() {
		n += HashSize
	}
	return n
}

// Put writes the datagram into b, which has Size bytes.
func (m *Message) Put(b []byte) {
	be := binary.BigEndian
	be.PutUint32(b, 0)
	be.PutUint32(b[4:], m.SEID)
	be.PutUint32(b[8:], m.DEID)
	be.PutUint32(b[12:], uint32(m.Response))
	be.PutUint64(b[16:], m.QoS.Bandwidth)
	be.PutUint32(b[24:], m.QoS.Delay)
	be.PutUint32(b[28:], m.QoS.Loss)
	be.PutUint32(b[32:], m.QoS.BER)
	be.PutUint32(b[36:], m.QoS.MaxGap)
	be.PutUint32(b[40:], m.QoS.Timeout)
	b[44] = byte(m.Code)
	b[45] = m.QoS.Availability
	b[46] = 0
	if m.QoS.InOrder {
		b[46] = 1
	}
	rest := b[FixedSize:]
	if m.Code.hasHash() {
		clear(rest[:HashSize])
		copy(rest[:HashSize], m.Hash)
		rest = rest[HashSize:]
	}
	copy(rest, m.Data)
}
