// Package enroll is the wire format of enrolment: the three messages by which
// an IPCP joins a layer, and the configuration of the layer inside of them. It
// is bytes in, struct out.
//
//	joiner                       enroller
//	   │── Request ─────────────────► │
//	   │ ◄───────────────── Response ─│ configuration and time
//	   │── Ack ─────────────────────► │
//
// The encoding is that of Protocol Buffers. Which message a packet is, only its
// place in the sequence tells. Fields that are required are always present, also
// when they are zero, in the order of their numbers; others are skipped. A
// message has at most MaxSize bytes.
//
//	message   field  type    field of the struct
//	Request   1      bytes   ID        8 bytes, random
//	Response  1      bytes   ID        that of the request
//	          2      int64   Sec       clock of the enroller: seconds since 1970
//	          3      int32   Nsec      and nanoseconds
//	          4      int32   Response  0 = accepted, negative = refused
//	          5      config  Config    when Response is not negative
//	Ack       1      bytes   ID        that of the request
//	          2      int32   Result    0 = enrolled
//
// The configuration, message by message; all numbers are uint32 but the peer,
// which is uint64:
//
//	config     1  layer     Layer, Hash
//	           2  number    Type          irm.IPCPType
//	           3  unicast   Unicast       only of unicast layers
//	           4, 5, 6      those of shims, never in an enrolment
//	layer      1  string    Layer         at most 255 bytes
//	           2  number    Hash          irm.HashAlgo
//	unicast    1  dt
//	           2  directory
//	           3  number    AddrAuth      0 = flat, random
//	           4  number    Congestion    irm.Congestion
//	dt         1  number    AddrSize      4
//	           2  number    EIDSize       8
//	           3  number    MaxTTL
//	           4  routing
//	routing    1  number    Routing       0 = link state
//	           2  ls        LS            with link state
//	ls         1  number    Policy        irm.Routing
//	           2  number    Recalc        seconds
//	           3  number    Update        seconds
//	           4  number    Timeout       seconds
//	directory  1  number    Directory     0 = DHT
//	           2  dht       DHT           with DHT
//	dht        1  number    Alpha
//	           2  number    K
//	           3  number    Expire        seconds
//	           4  number    Refresh       seconds
//	           5  number    Replicate     seconds
//	           6  number    Peer          address of the enroller
//
// A Response of a layer "dhbc" of type broadcast:
//
//	0a 08 ID  10 Sec  18 Nsec  20 00  2a 0c { 0a 08 { 0a 04 "dhbc"  10 01 }  10 02 }
package enroll

import (
	"encoding/hex"
	"errors"
	"time"
)

// Sizes in bytes.
const (
	IDSize   = 8
	MaxSize  = 1024 // of a message
	MaxLayer = 255  // of the name of a layer
)

// Failed is the Result that an enroller takes for one of its own: no joiner
// sends it.
const Failed = -100

// ID tells an enrolment from others.
type ID [IDSize]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Request asks for the configuration.
type Request struct{ ID ID }

// Response gives it.
type Response struct {
	ID       ID
	Sec      int64
	Nsec     int32
	Response int32
	Config   *Config // not nil unless Response is negative
}

// Time is the enroller's clock.
func (r *Response) Time() time.Time { return time.Unix(r.Sec, int64(r.Nsec)) }

// SetTime sets it.
func (r *Response) SetTime(t time.Time) { r.Sec, r.Nsec = t.Unix(), int32(t.Nanosecond()) }

// Ack says how it ended.
type Ack struct {
	ID     ID
	Result int32
}

// Why bytes are no message.
var (
	ErrSize     = errors.New("the message is longer than 1024 bytes")
	ErrEncoding = errors.New("the message is not encoded as it must be")
	ErrMissing  = errors.New("the message lacks a field")
	ErrRepeated = errors.New("the message has a field twice")
	ErrRange    = errors.New("the message has a number that does not fit its field")
	ErrID       = errors.New("the message has an id that is not 8 bytes long")
	ErrName     = errors.New("the message has a layer name that is empty, too long or not UTF-8")
)

// ParseRequest reads a packet.
func ParseRequest(b []byte) (m Request, err error) {
	if err := size(b); err != nil {
		return m, err
	}
	err = read(b, set(1), 0, func(_ number, f field) error {
		return f.id(&m.ID)
	})
	if err != nil {
		return Request{}, err
	}
	return m, nil
}

// ParseResponse reads a packet.
func ParseResponse(b []byte) (m Response, err error) {
	if err := size(b); err != nil {
		return m, err
	}
	err = read(b, set(1, 2, 3, 4), set(5), func(n number, f field) error {
		switch n {
		case 1:
			return f.id(&m.ID)
		case 2:
			return f.int64(&m.Sec)
		case 3:
			return f.int32(&m.Nsec)
		case 4:
			return f.int32(&m.Response)
		}
		m.Config = new(Config)
		return f.message(m.Config.read)
	})
	if err == nil && m.Config == nil && m.Response >= 0 {
		err = ErrMissing
	}
	if err != nil {
		return Response{}, err
	}
	return m, nil
}

// ParseAck reads a packet.
func ParseAck(b []byte) (m Ack, err error) {
	if err := size(b); err != nil {
		return m, err
	}
	err = read(b, set(1, 2), 0, func(n number, f field) error {
		if n == 1 {
			return f.id(&m.ID)
		}
		return f.int32(&m.Result)
	})
	if err != nil {
		return Ack{}, err
	}
	return m, nil
}

func size(b []byte) error {
	if len(b) > MaxSize {
		return ErrSize
	}
	return nil
}

// Size is the length of the packet.
func (m *Request) Size() int { return len(m.fields(nil)) }

// Put writes the packet into b, which has Size bytes.
func (m *Request) Put(b []byte) { m.fields(b[:0:len(b)]) }

func (m *Request) fields(b writer) writer { return b.bytes(1, m.ID[:]) }

// Size is the length of the packet. A layer name of MaxLayer bytes fits.
func (m *Response) Size() int { return len(m.fields(nil)) }

// Put writes the packet into b, which has Size bytes.
func (m *Response) Put(b []byte) { m.fields(b[:0:len(b)]) }

func (m *Response) fields(b writer) writer {
	b = b.bytes(1, m.ID[:]).number(2, uint64(m.Sec)).number(3, uint64(m.Nsec)).number(4, uint64(m.Response))
	if m.Config != nil {
		b = b.bytes(5, m.Config.fields(nil))
	}
	return b
}

// Size is the length of the packet.
func (m *Ack) Size() int { return len(m.fields(nil)) }

// Put writes the packet into b, which has Size bytes.
func (m *Ack) Put(b []byte) { m.fields(b[:0:len(b)]) }

func (m *Ack) fields(b writer) writer { return b.bytes(1, m.ID[:]).number(2, uint64(m.Result)) }
