// Package cep is the wire format of connection establishment between
// components of IPCPs: one message in each direction, the same in both. It is
// bytes in, struct out; who connects to whom is the business of the IPCP.
//
//	field  type    field of Message
//	1      string  Component  "Data Transfer"; at most 128 bytes
//	2      string  Protocol   "dtp"
//	3      int32   Version
//	5      int32   Syntax     SyntaxGPB ...
//	8      uint64  Address    of the sender in its layer; 0 = it has none
//
// The encoding is that of Protocol Buffers. All fields are always present, also
// when they are zero, in the order of their numbers. Fields 4, 6 and 7 list what
// else is understood; nobody sends them and they are skipped, as are fields with
// other numbers. A message has at most MaxSize bytes.
//
//	0a 0d "Data Transfer"  12 03 "dtp"  18 01  28 02  40 e1a8cbaf07
//	   Component           Protocol  Version Syntax  Address
//
// A component that the acceptor does not have is answered with the zero
// Message, the refusal.
package cep

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"ouroboros/internal/wire/dt"
)

// Sizes in bytes.
const (
	MaxSize      = 128 // of a message: the C implementation cuts longer ones
	MaxComponent = 128
)

// The syntaxes of messages that a protocol can have. Link state says GPB and has
// fixed records.
const (
	SyntaxGPB   int32 = 0
	SyntaxASN1  int32 = 1
	SyntaxFixed int32 = 2
)

// Message is what a component says of itself. The zero Message is the refusal.
type Message struct {
	Component string
	Protocol  string
	Version   int32
	Syntax    int32
	Address   dt.Addr
}

// Why bytes are no message.
var (
	ErrSize     = errors.New("the message is longer than 128 bytes")
	ErrEncoding = errors.New("the message is not encoded as it must be")
	ErrMissing  = errors.New("the message lacks a field")
	ErrRepeated = errors.New("the message has a field twice")
	ErrRange    = errors.New("the message has a number that does not fit its field")
	ErrName     = errors.New("the message has a name that is too long or not UTF-8")
)

// The field numbers.
const (
	fieldComponent = 1
	fieldProtocol  = 2
	fieldVersion   = 3
	fieldSyntax    = 5
	fieldAddress   = 8
)

// fields are those that a message must have.
const fields = 1<<fieldComponent | 1<<fieldProtocol | 1<<fieldVersion | 1<<fieldSyntax | 1<<fieldAddress

// Refusal reports whether m says that the acceptor does not have the component.
func (m Message) Refusal() bool { return m.Component == "" }

// Agrees is nil when two components that say m and o of themselves can talk to
// each other; else it says what is different. Component and address are not
// compared.
func (m Message) Agrees(o Message) error {
	if m.Protocol == o.Protocol && m.Version == o.Version && m.Syntax == o.Syntax {
		return nil
	}
	return fmt.Errorf("%s there, %s here", o.protocol(), m.protocol())
}

// protocol describes the protocol for people.
func (m Message) protocol() string {
	return fmt.Sprintf("protocol %q version %d syntax %d", m.Protocol, m.Version, m.Syntax)
}

// Parse reads a packet.
func Parse(b []byte) (m Message, err error) {
	if len(b) > MaxSize {
		return m, ErrSize
	}
	var seen uint32
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Message{}, ErrEncoding
		}
		b = b[n:]
		switch num {
		case fieldComponent, fieldProtocol, fieldVersion, fieldSyntax, fieldAddress:
			if seen&(1<<num) != 0 {
				return Message{}, ErrRepeated
			}
			seen |= 1 << num
			n, err = m.field(num, typ, b)
		default:
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				err = ErrEncoding
			}
		}
		if err != nil {
			return Message{}, err
		}
		b = b[n:]
	}
	if seen != fields {
		return Message{}, ErrMissing
	}
	return m, nil
}

// field reads one of the known fields and says how long it is.
func (m *Message) field(num protowire.Number, typ protowire.Type, b []byte) (n int, err error) {
	if num == fieldComponent || num == fieldProtocol {
		if typ != protowire.BytesType {
			return 0, ErrEncoding
		}
		s, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, ErrEncoding
		}
		if len(s) > MaxComponent || !utf8.Valid(s) {
			return 0, ErrName
		}
		if num == fieldComponent {
			m.Component = string(s)
		} else {
			m.Protocol = string(s)
		}
		return n, nil
	}
	if typ != protowire.VarintType {
		return 0, ErrEncoding
	}
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return 0, ErrEncoding
	}
	if num == fieldAddress {
		m.Address = dt.Addr(v)
		return n, nil
	}
	if i := int64(v); i < math.MinInt32 || i > math.MaxInt32 {
		return 0, ErrRange
	}
	if num == fieldVersion {
		m.Version = int32(int64(v))
	} else {
		m.Syntax = int32(int64(v))
	}
	return n, nil
}

// Size is the length of the packet. One of more than MaxSize bytes is
// understood by nobody.
func (m Message) Size() int {
	return 5 + protowire.SizeBytes(len(m.Component)) + protowire.SizeBytes(len(m.Protocol)) +
		protowire.SizeVarint(uint64(int64(m.Version))) + protowire.SizeVarint(uint64(int64(m.Syntax))) +
		protowire.SizeVarint(uint64(m.Address))
}

// Put writes the packet into b, which has Size bytes.
func (m Message) Put(b []byte) {
	b = b[:0:len(b)]
	b = protowire.AppendTag(b, fieldComponent, protowire.BytesType)
	b = protowire.AppendString(b, m.Component)
	b = protowire.AppendTag(b, fieldProtocol, protowire.BytesType)
	b = protowire.AppendString(b, m.Protocol)
	b = protowire.AppendTag(b, fieldVersion, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(int64(m.Version)))
	b = protowire.AppendTag(b, fieldSyntax, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(int64(m.Syntax)))
	b = protowire.AppendTag(b, fieldAddress, protowire.VarintType)
	protowire.AppendVarint(b, uint64(m.Address))
}
