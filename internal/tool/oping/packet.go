// Package oping measures round-trip times between a client and a server.
//
// The client sends requests, and the server sends each back as a reply. A
// message is
//
//	offset  size  order    field
//	0       4     network  type: 0 request, 1 reply
//	4       4     network  id: 0, 1, 2, ...
//	8       8     little   seconds     of the sender's monotonic clock
//	16      8     little   nanoseconds
//	24      rest  -        zero from our client
//
// The server changes the type and nothing else, so only the client reads the
// rest. The time is in host order in the C implementation, which is the same
// on all machines that it is known to run on.
package oping

import (
	"encoding/binary"
	"time"
)

// Sizes of a message in bytes.
const (
	headerSize  = 24
	MinSize     = 64 // that a client sends
	MaxSize     = 1500
	DefaultSize = 64
)

// Types of a message.
const (
	Request uint32 = 0
	Reply   uint32 = 1
)

// Packet is the header of a message.
type Packet struct {
	Type uint32
	ID   uint32
	Sent time.Duration // on the clock of the client
}

// maxSeconds keeps a time within a time.Duration: 272 years.
const maxSeconds = 1<<33 - 1

// Encode writes the header to b, which holds at least 24 bytes.
func (p Packet) Encode(b []byte) {
	_ = b[headerSize-1]
	binary.BigEndian.PutUint32(b[0:], p.Type)
	binary.BigEndian.PutUint32(b[4:], p.ID)
	binary.LittleEndian.PutUint64(b[8:], uint64(p.Sent/time.Second))
	binary.LittleEndian.PutUint64(b[16:], uint64(p.Sent%time.Second))
}

// Decode reads the header of a message; ok is false when it is too short, or
// its time is none.
func Decode(b []byte) (p Packet, ok bool) {
	if len(b) < headerSize {
		return Packet{}, false
	}
	sec := binary.LittleEndian.Uint64(b[8:])
	nsec := binary.LittleEndian.Uint64(b[16:])
	if sec > maxSeconds || nsec >= uint64(time.Second) {
		return Packet{}, false
	}
	return Packet{
		Type: binary.BigEndian.Uint32(b[0:]),
		ID:   binary.BigEndian.Uint32(b[4:]),
		Sent: time.Duration(sec)*time.Second + time.Duration(nsec),
	}, true
}

// isRequest reports whether a server answers the message b.
func isRequest(b []byte) bool {
	return len(b) >= headerSize && binary.BigEndian.Uint32(b) == Request
}

// makeReply turns a request into its reply.
func makeReply(b []byte) { binary.BigEndian.PutUint32(b, Reply) }
