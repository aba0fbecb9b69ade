// Package tree is the wire format of the messages with which members of a
// broadcast layer agree on a tree among the connections that they have. It is
// bytes in, struct out; what the words mean says package spantree.
//
//	offset  size  field of Message
//	0       1     version: 1
//	1       1     Kind: 1 state, 2 request, 3 gone
//	2       1     Flags: 1 attached, 2 parent, 4 down; others are 0
//	3       1     0
//	4       4     Serial   of the state; rises with each change
//	8       4     Ack      the last serial of the receiver that came
//	12      4     Epoch    of the sender; rises when its root changes
//	16      4     Joined   epoch of the receiver that the sender knows
//	20      2     Hops     state: to the root; request: that it may still take
//	22      2     0
//	24      8     Sender   member id
//	32      8     Root     state: of the sender; request: who is asked
//	40      8     Seq      state: of the root's news; request: that is asked for
//
// All numbers are big endian. A message has 48 bytes; more may follow in later
// versions and is not looked at. What does not belong to a Kind is 0 and not
// looked at either.
package tree

import (
	"encoding/binary"
	"errors"
)

// Size is the length of a message in bytes.
const Size = 48

// Version of the protocol.
const Version = 1

// Kind is the kind of a message.
type Kind uint8

// The kinds.
const (
	State   Kind = 1 // what the sender knows: all of it, each time
	Request Kind = 2 // the sender needs news of a root that are newer
	Gone    Kind = 3 // the connection has ended at the sender
)

// Flags of a State.
type Flags uint8

// The flags.
const (
	Attached Flags = 1 // the sender has a way to its root
	Parent   Flags = 2 // over this connection
	Down     Flags = 4 // the connection carries nothing at the sender
	known          = Attached | Parent | Down
)

// Message is one message.
type Message struct {
	Kind   Kind
	Flags  Flags
	Serial uint32
	Ack    uint32
	Epoch  uint32
	Joined uint32
	Hops   uint16
	Sender uint64
	Root   uint64
	Seq    uint64
}

// Why bytes are no message.
var (
	ErrSize    = errors.New("tree: the message is too short")
	ErrVersion = errors.New("tree: the message is of another version")
	ErrKind    = errors.New("tree: the message is of an unknown kind")
	ErrMember  = errors.New("tree: the message names member 0")
)

// Parse reads a packet.
func Parse(b []byte) (m Message, err error) {
	if len(b) < Size {
		return m, ErrSize
	}
	if b[0] != Version {
		return m, ErrVersion
	}
	m = Message{
		Kind: Kind(b[1]), Flags: Flags(b[2]) & known,
		Serial: binary.BigEndian.Uint32(b[4:]),
		Ack:    binary.BigEndian.Uint32(b[8:]),
		Epoch:  binary.BigEndian.Uint32(b[12:]),
		Joined: binary.BigEndian.Uint32(b[16:]),
		Hops:   binary.BigEndian.Uint16(b[20:]),
		Sender: binary.BigEndian.Uint64(b[24:]),
		Root:   binary.BigEndian.Uint64(b[32:]),
		Seq:    binary.BigEndian.Uint64(b[40:]),
	}
	switch {
	case m.Kind < State || m.Kind > Gone:
		return Message{}, ErrKind
	case m.Sender == 0, m.Root == 0 && m.Kind != Gone:
		return Message{}, ErrMember
	}
	return m, nil
}

// Put writes the message into the first Size bytes of b.
func (m Message) Put(b []byte) {
	_ = b[Size-1]
	b[0], b[1], b[2], b[3] = Version, byte(m.Kind), byte(m.Flags&known), 0
	binary.BigEndian.PutUint32(b[4:], m.Serial)
	binary.BigEndian.PutUint32(b[8:], m.Ack)
	binary.BigEndian.PutUint32(b[12:], m.Epoch)
	binary.BigEndian.PutUint32(b[16:], m.Joined)
	binary.BigEndian.PutUint16(b[20:], m.Hops)
	binary.BigEndian.PutUint16(b[22:], 0)
	binary.BigEndian.PutUint64(b[24:], m.Sender)
	binary.BigEndian.PutUint64(b[32:], m.Root)
	binary.BigEndian.PutUint64(b[40:], m.Seq)
}
