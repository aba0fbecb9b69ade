// Package dht is the wire format of the directory of a unicast layer: one
// protobuf message, alone in a data transfer packet to endpoint 1. It is bytes
// in, struct out. In the tables a number is a varint and "bytes" are length
// delimited; fields are written in ascending order.
//
//	message
//	field  name   type    in
//	1      code   uint32  all; 0 is written, too
//	2      src    contact all: the sender
//	3      store  store   STORE
//	4      find   find    FIND_NODE_REQ, FIND_VALUE_REQ
//	5      node   node    FIND_NODE_RSP, FIND_VALUE_RSP
//	6      val    val     FIND_VALUE_RSP, also when there is no value
//
//	contact   1 id bytes      2 addr uint64
//	store     1 key bytes     2 value bytes   3 expiry uint32, seconds since 1970
//	find      1 cookie uint64 2 key bytes
//	node      1 cookie uint64 2 key bytes     3 contact, repeated
//	val       1 value bytes, repeated
//
//	code  message
//	0     STORE
//	1     FIND_NODE_REQ
//	2     FIND_NODE_RSP
//	3     FIND_VALUE_REQ
//	4     FIND_VALUE_RSP
//
// All fields but the repeated ones are required. Keys and ids have the length
// of the layer's hashes. A value is the address of a member in 8 bytes, big
// endian, while addr is a varint of the same number.
//
// # What is taken
//
// Fields with other numbers are skipped. A message without a field that its
// code requires, with a sender, key or cookie that nobody can have, or longer
// than MaxLen is refused whole. A contact or a value that is wrong is left out
// and counted, since members of the C implementation pass on what they were
// told; so are those beyond MaxListed.
package dht

import (
	"encoding/binary"
	"errors"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"ouroboros/internal/wire/dt"
)

// Bounds. The C implementation sends at most 20 contacts and 8 values, below
// 2 KiB together.
const (
	MaxLen    = 8192 // of a message, in bytes
	MaxListed = 64   // contacts, and values, that are looked at
	ValueLen  = 8    // of the address of a member
)

// Code says what a message is.
type Code uint32

// The codes.
const (
	Store        Code = 0
	FindNodeReq  Code = 1
	FindNodeRsp  Code = 2
	FindValueReq Code = 3
	FindValueRsp Code = 4
)

func (c Code) String() string {
	switch c {
	case Store:
		return "STORE"
	case FindNodeReq:
		return "FIND_NODE_REQ"
	case FindNodeRsp:
		return "FIND_NODE_RSP"
	case FindValueReq:
		return "FIND_VALUE_REQ"
	case FindValueRsp:
		return "FIND_VALUE_RSP"
	}
	return "unknown"
}

// Request reports whether c asks for an answer, Response whether it is one.
func (c Code) Request() bool  { return c == FindNodeReq || c == FindValueReq }
func (c Code) Response() bool { return c == FindNodeRsp || c == FindValueRsp }

// Why bytes are no message.
var (
	ErrLong    = errors.New("the message is longer than any")
	ErrSyntax  = errors.New("the message is no protobuf of its form")
	ErrCode    = errors.New("the message has an unknown code")
	ErrMissing = errors.New("the message lacks a field that its code requires")
	ErrSource  = errors.New("the message has a sender that cannot be a member")
	ErrKey     = errors.New("the message has a key of the wrong length")
	ErrCookie  = errors.New("the message has the cookie 0")
	ErrValue   = errors.New("the message stores an empty value")
)

// Contact is a member: its id, and its address in the layer.
type Contact struct {
	ID   []byte
	Addr dt.Addr
}

// Message is any message. A code uses the fields that it has; the others are
// neither read nor written. Slices of bytes in a parsed message lie in the
// packet.
type Message struct {
	Code     Code
	Src      Contact
	Key      []byte
	Cookie   uint64    // requests and responses
	Value    []byte    // STORE
	Expiry   uint32    // STORE: seconds since 1970
	Contacts []Contact // responses
	Values   [][]byte  // FIND_VALUE_RSP

	LeftOut int // contacts and values that Parse did not take
}

// PutAddr gives an address as a value.
func PutAddr(a dt.Addr) []byte { return binary.BigEndian.AppendUint64(nil, uint64(a)) }

// Addr reads a value as an address; false when it is none.
func Addr(value []byte) (a dt.Addr, ok bool) {
	if len(value) != ValueLen {
		return 0, false
	}
	a = dt.Addr(binary.BigEndian.Uint64(value))
	return a, a.Valid()
}

// Numbers of fields.
const (
	fieldCode, fieldSrc, fieldStore, fieldFind, fieldNode, fieldVal = 1, 2, 3, 4, 5, 6

	contactID, contactAddr            = 1, 2
	storeKey, storeValue, storeExpiry = 1, 2, 3
	findCookie, findKey, nodeContacts = 1, 2, 3 // find, and node, which begins the same
	valValues                         = 1
)

// parser goes through the fields of one message or submessage.
type parser struct {
	rest []byte
	num  protowire.Number
	typ  protowire.Type
	bad  bool
}

// next reads the tag of the next field; false at the end, and at an error.
func (p *parser) next() bool {
	if p.bad || len(p.rest) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(p.rest)
	if n < 0 {
		p.bad = true
		return false
	}
	p.num, p.typ, p.rest = num, typ, p.rest[n:]
	return true
}

// varint, bytes and skip read the value of the field.
func (p *parser) varint() uint64 {
	if p.typ != protowire.VarintType {
		p.bad = true
		return 0
	}
	v, n := protowire.ConsumeVarint(p.rest)
	return advance(p, v, n)
}

func (p *parser) bytes() []byte {
	if p.typ != protowire.BytesType {
		p.bad = true
		return nil
	}
	v, n := protowire.ConsumeBytes(p.rest)
	if n >= 0 {
		v = v[:len(v):len(v)] // not nil, also when it is empty
	}
	return advance(p, v, n)
}

func (p *parser) skip() {
	n := protowire.ConsumeFieldValue(p.num, p.typ, p.rest)
	advance(p, struct{}{}, n)
}

func advance[T any](p *parser, v T, n int) T {
	if n < 0 {
		p.bad = true
		var none T
		return none
	}
	p.rest = p.rest[n:]
	return v
}

// end says what is wrong with what was read.
func (p *parser) end(complete bool) error {
	switch {
	case p.bad:
		return ErrSyntax
	case !complete:
		return ErrMissing
	}
	return nil
}

// Parse reads a whole message of a layer with hashes of idLen bytes. It uses
// the slices that m has. After an error m is of no use.
func (m *Message) Parse(b []byte, idLen int) error {
	*m = Message{Contacts: m.Contacts[:0], Values: m.Values[:0]}
	if len(b) > MaxLen {
		return ErrLong
	}
	var code bool
	var sub [fieldVal + 1][]byte // of each field that was there; not nil
	p := parser{rest: b}
	for p.next() {
		switch {
		case p.num > fieldVal:
			p.skip()
		case p.num == fieldCode:
			m.Code, code = Code(p.varint()), true
		default:
			sub[p.num] = p.bytes()
		}
	}
	if p.bad {
		return ErrSyntax
	}
	if !code || sub[fieldSrc] == nil {
		return ErrMissing
	}
	var ok bool
	if m.Src, ok = parseContact(sub[fieldSrc]); !ok {
		return ErrSyntax
	}
	if !m.Src.valid(idLen) {
		return ErrSource
	}
	var err error
	switch m.Code {
	case Store:
		err = m.parseStore(sub[fieldStore])
	case FindNodeReq, FindValueReq:
		err = m.parseFind(sub[fieldFind], false, idLen)
	case FindNodeRsp:
		err = m.parseFind(sub[fieldNode], true, idLen)
	case FindValueRsp:
		if err = m.parseFind(sub[fieldNode], true, idLen); err == nil {
			err = m.parseValues(sub[fieldVal])
		}
	default:
		return ErrCode
	}
	switch {
	case err != nil:
		return err
	case len(m.Key) != idLen:
		return ErrKey
	case m.Code != Store && m.Cookie == 0:
		return ErrCookie
	case m.Code == Store && len(m.Value) == 0:
		return ErrValue
	}
	return nil
}

func (c Contact) valid(idLen int) bool { return len(c.ID) == idLen && c.Addr.Valid() }

// parseContact reads a contact; false when its form is wrong. What is missing
// leaves a contact that is not valid.
func parseContact(b []byte) (c Contact, ok bool) {
	p := parser{rest: b}
	for p.next() {
		switch p.num {
		case contactID:
			c.ID = p.bytes()
		case contactAddr:
			c.Addr = dt.Addr(p.varint())
		default:
			p.skip()
		}
	}
	return c, !p.bad
}

func (m *Message) parseStore(b []byte) error {
	var expiry bool
	p := parser{rest: b}
	for p.next() {
		switch p.num {
		case storeKey:
			m.Key = p.bytes()
		case storeValue:
			m.Value = p.bytes()
		case storeExpiry:
			m.Expiry, expiry = uint32(p.varint()), true
		default:
			p.skip()
		}
	}
	return p.end(m.Key != nil && m.Value != nil && expiry)
}

func (m *Message) parseFind(b []byte, node bool, idLen int) error {
	var cookie bool
	p := parser{rest: b}
	for p.next() {
		switch {
		case p.num == findCookie:
			m.Cookie, cookie = p.varint(), true
		case p.num == findKey:
			m.Key = p.bytes()
		case node && p.num == nodeContacts:
			c, ok := parseContact(p.bytes())
			if ok && c.valid(idLen) && len(m.Contacts) < MaxListed {
				m.Contacts = append(m.Contacts, c)
			} else {
				m.LeftOut++
			}
		default:
			p.skip()
		}
	}
	return p.end(m.Key != nil && cookie)
}

func (m *Message) parseValues(b []byte) error {
	p := parser{rest: b}
	for p.next() {
		if p.num != valValues {
			p.skip()
			continue
		}
		if v := p.bytes(); len(v) > 0 && len(m.Values) < MaxListed {
			m.Values = append(m.Values, v)
		} else {
			m.LeftOut++
		}
	}
	return p.end(b != nil)
}

// Size is the length of the message in bytes.
func (m *Message) Size() int {
	n := numberSize(uint64(m.Code)) + bytesSize(m.Src.size())
	switch {
	case m.Code == Store:
		n += bytesSize(m.storeSize())
	case m.Code.Request():
		n += bytesSize(m.findSize())
	case m.Code.Response():
		n += bytesSize(m.nodeSize())
	}
	if m.Code == FindValueRsp {
		n += bytesSize(m.valSize())
	}
	return n
}

// Append writes the message behind b.
func (m *Message) Append(b []byte) []byte {
	b = slices.Grow(b, m.Size())
	b = appendNumber(b, fieldCode, uint64(m.Code))
	b = m.Src.append(b, fieldSrc)
	switch {
	case m.Code == Store:
		b = appendLen(b, fieldStore, m.storeSize())
		b = appendBytes(b, storeKey, m.Key)
		b = appendBytes(b, storeValue, m.Value)
		b = appendNumber(b, storeExpiry, uint64(m.Expiry))
	case m.Code.Request():
		b = appendLen(b, fieldFind, m.findSize())
		b = appendNumber(b, findCookie, m.Cookie)
		b = appendBytes(b, findKey, m.Key)
	case m.Code.Response():
		b = appendLen(b, fieldNode, m.nodeSize())
		b = appendNumber(b, findCookie, m.Cookie)
		b = appendBytes(b, findKey, m.Key)
		for _, c := range m.Contacts {
			b = c.append(b, nodeContacts)
		}
	}
	if m.Code == FindValueRsp {
		b = appendLen(b, fieldVal, m.valSize())
		for _, v := range m.Values {
			b = appendBytes(b, valValues, v)
		}
	}
	return b
}

// Sizes of submessages without their tag and length.

func (c Contact) size() int { return bytesSize(len(c.ID)) + numberSize(uint64(c.Addr)) }

func (m *Message) storeSize() int {
	return bytesSize(len(m.Key)) + bytesSize(len(m.Value)) + numberSize(uint64(m.Expiry))
}

func (m *Message) findSize() int { return numberSize(m.Cookie) + bytesSize(len(m.Key)) }

func (m *Message) nodeSize() int {
	n := m.findSize()
	for _, c := range m.Contacts {
		n += bytesSize(c.size())
	}
	return n
}

func (m *Message) valSize() (n int) {
	for _, v := range m.Values {
		n += bytesSize(len(v))
	}
	return n
}

func (c Contact) append(b []byte, field protowire.Number) []byte {
	b = appendLen(b, field, c.size())
	b = appendBytes(b, contactID, c.ID)
	return appendNumber(b, contactAddr, uint64(c.Addr))
}

// All fields have numbers below 16, so a tag is one byte.

func numberSize(v uint64) int { return 1 + protowire.SizeVarint(v) }
func bytesSize(n int) int     { return 1 + protowire.SizeBytes(n) }

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendLen(b []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(n))
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}
