// Package operf measures the bandwidth of a flow between a client and a
// server, one way or both ways.
//
// The client begins with a configuration of 4 bytes:
//
//	offset  size  order   field
//	0       4     little  test: 0 one way (uni), 1 both ways (bi)
//
// Then it sends data, which the server of a bi test returns unchanged:
//
//	offset  size  order   field
//	0       4     little  id: 0, 1, 2, ... and from 0 again
//	4       rest  -       zero
//
// The numbers are in host order in the C implementation, which is the same on
// all machines that it is known to run on.
package operf

import "encoding/binary"

// Sizes of a data message in bytes.
const (
	idSize      = 4
	MinSize     = 64 // that a client sends
	MaxSize     = 1048576
	DefaultSize = 1500
)

// Test is the kind of a test.
type Test uint32

// The tests.
const (
	Uni Test = 0
	Bi  Test = 1
)

func (t Test) String() string {
	if t == Bi {
		return "bi"
	}
	return "uni"
}

// doing says at both ends which test begins.
func (t Test) doing() string {
	if t == Bi {
		return "Doing a bidirectional test.\n"
	}
	return "Doing a unidirectional test.\n"
}

// configSize is the length of a configuration.
const configSize = 4

// encodeConfig makes the configuration for a test.
func encodeConfig(t Test) []byte {
	return binary.LittleEndian.AppendUint32(nil, uint32(t))
}

// decodeConfig reads a configuration; ok is false when it is none.
func decodeConfig(message []byte) (t Test, ok bool) {
	if len(message) != configSize {
		return 0, false
	}
	t = Test(binary.LittleEndian.Uint32(message))
	return t, t == Uni || t == Bi
}

// putID writes the id of a data message of at least 4 bytes.
func putID(message []byte, id uint32) { binary.LittleEndian.PutUint32(message, id) }

// idOf reads the id; ok is false when the message is too short to have one.
func idOf(message []byte) (id uint32, ok bool) {
	if len(message) < idSize {
		return 0, false
	}
	return binary.LittleEndian.Uint32(message), true
}
