// Package enroll lets an IPCP join a layer and lets others join through it. The
// joiner learns the configuration of the layer; nothing else comes of it: no
// address, no neighbour, no directory.
//
//	joiner (Join)                                enroller (Enroller)
//	   │ ── connection, "Enrollment" ───────────► │ Added
//	   │ ── Request, a random id ───────────────► │ within 1 s
//	   │ ◄────── Response, id, clock, Config ──── │
//	   │ checks it, makes its components          │
//	   │ ── Ack, id, how it went ───────────────► │ within 5 s
//	   ╳                                          ╳ both deallocate
//
// The flow loses packets, and nothing is repeated on it: a joiner without an
// answer begins anew with another flow. Enrollers of the C implementation wait
// without an end for the message that is next, and serve nobody meanwhile. So a
// joiner never leaves silently: when no connection message comes it sends
// something, after the connection it sends a Request, and after that an Ack,
// whatever has failed. An Ack that says "enrolled" is sent after the joiner's
// components are made.
//
// An enroller keeps no list of members; what an Ack says changes nothing.
package enroll

import (
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	wire "ouroboros/internal/wire/enroll"
)

// Component is the name of the component.
const Component = "Enrollment"

// info is the component's message at the begin of a connection.
var info = cep.Message{Component: Component, Protocol: "OEP", Version: 1, Syntax: cep.SyntaxGPB}

// message is one of the three.
type message interface {
	Size() int
	Put(b []byte)
}

var _ = []message{(*wire.Request)(nil), (*wire.Response)(nil), (*wire.Ack)(nil)}

func pack(m message) *packet.Buffer {
	b := packet.Get(m.Size())
	m.Put(b.Bytes())
	return b
}
