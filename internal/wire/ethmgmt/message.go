package ethmgmt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ouroboros/qos"
)

// Code says what a message is.
type Code uint8

// The messages. An all-zero payload is a request. The last two are our own: a
// peer of another make does not know them and drops them.
const (
	FlowRequest Code = 0
	FlowReply   Code = 1
	NameQuery   Code = 2
	NameReply   Code = 3
	Probe       Code = 240
	ProbeAnswer Code = 241
)

func (c Code) String() string {
	switch c {
	case FlowRequest:
		return "FLOW_REQ"
	case FlowReply:
		return "FLOW_REPLY"
	case NameQuery:
		return "NAME_QUERY_REQ"
	case NameReply:
		return "NAME_QUERY_REPLY"
	case Probe:
		return "PROBE"
	case ProbeAnswer:
		return "PROBE_ANSWER"
	}
	return fmt.Sprintf("code %d", uint8(c))
}

func (c Code) known() bool { return c <= NameReply || c == Probe || c == ProbeAnswer }

// hashed reports whether a hash follows the fixed part, withData whether
// anything follows that.
func (c Code) hashed() bool   { return c != FlowReply && c != ProbeAnswer }
func (c Code) withData() bool { return c <= FlowReply || c == Probe || c == ProbeAnswer }

// MaxMessage is the longest message in bytes that is taken.
const MaxMessage = 9000

// Message is a management message.
type Message struct {
	Code        Code
	Source      uint16   // endpoint of the sender: FlowRequest, FlowReply, Probe
	Destination uint16   // endpoint of the receiver: FlowReply, ProbeAnswer
	Response    int32    // FlowReply: 0 = accepted, else an error number, negative; ProbeAnswer
	QoS         qos.Spec // FlowRequest
	Hash        []byte   // of the name; not in a FlowReply or ProbeAnswer
	Data        []byte   // not in a NameQuery or NameReply
}

// Why a message is not taken.
var (
	ErrShort = errors.New("the message is shorter than its kind requires")
	ErrLong  = errors.New("the message is too long")
	ErrCode  = errors.New("the message has an unknown code")
)

// The fixed part of messages.
const (
	dixFixed = 39
	llcFixed = 37
)

// Fixed is the length of the fixed part.
func (k Kind) Fixed() int {
	if k == LLC {
		return llcFixed
	}
	return dixFixed
}

// Len is the length of m on the wire.
func (k Kind) Len(m *Message) int { return k.Fixed() + len(m.Hash) + len(m.Data) }

// Put writes m into p, which has Len bytes.
func (k Kind) Put(p []byte, m *Message) {
	clear(p[:k.Fixed()])
	be := binary.BigEndian
	if k == LLC {
		p[0], p[1], p[2], p[3] = uint8(m.Source), uint8(m.Destination), uint8(m.Code), m.QoS.Availability
	} else {
		be.PutUint16(p[0:], m.Source)
		be.PutUint16(p[2:], m.Destination)
		p[37], p[38] = uint8(m.Code), m.QoS.Availability
	}
	be.PutUint32(p[4:], m.QoS.Loss)
	be.PutUint64(p[8:], m.QoS.Bandwidth)
	be.PutUint32(p[16:], m.QoS.BER)
	be.PutUint32(p[20:], m.QoS.MaxGap)
	be.PutUint32(p[24:], m.QoS.Delay)
	be.PutUint32(p[28:], m.QoS.Timeout)
	be.PutUint32(p[32:], uint32(m.Response))
	if m.QoS.InOrder {
		p[36] = 1
	}
	n := k.Fixed()
	n += copy(p[n:], m.Hash)
	copy(p[n:], m.Data)
}

// Append writes m behind p.
func (k Kind) Append(p []byte, m *Message) []byte {
	n := len(p)
	p = append(p, make([]byte, k.Len(m))...)
	k.Put(p[n:], m)
	return p
}

// Parse reads a message. Hash and Data lie in p. hashSize is the length of a
// hash in this layer, in bytes. What is behind the hash of a query or its
// answer is not looked at.
func (k Kind) Parse(p []byte, hashSize int) (m Message, err error) {
	if len(p) > MaxMessage {
		return m, ErrLong
	}
	if len(p) < k.Fixed() {
		return m, ErrShort
	}
	be := binary.BigEndian
	if k == LLC {
		m.Source, m.Destination = uint16(p[0]), uint16(p[1])
		m.Code, m.QoS.Availability = Code(p[2]), p[3]
	} else {
		m.Source, m.Destination = be.Uint16(p[0:]), be.Uint16(p[2:])
		m.Code, m.QoS.Availability = Code(p[37]), p[38]
	}
	if !m.Code.known() {
		return m, ErrCode
	}
	m.QoS.Loss = be.Uint32(p[4:])
	m.QoS.Bandwidth = be.Uint64(p[8:])
	m.QoS.BER = be.Uint32(p[16:])
	m.QoS.MaxGap = be.Uint32(p[20:])
	m.QoS.Delay = be.Uint32(p[24:])
	m.QoS.Timeout = be.Uint32(p[28:])
	m.Response = int32(be.Uint32(p[32:]))
	m.QoS.InOrder = p[36] != 0
	p = p[k.Fixed():]
	if m.Code.hashed() {
		if len(p) < hashSize {
			return m, ErrShort
		}
		m.Hash, p = p[:hashSize:hashSize], p[hashSize:]
	}
	if m.Code.withData() {
		m.Data = p
	}
	return m, nil
}
