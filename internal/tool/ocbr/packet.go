// Package ocbr sends messages from a client to a server at a constant bit
// rate, one way.
//
//	offset  size  order   field
//	0       8     little  sequence number, signed: 0, 1, 2, ...
//	8       rest  -       zero
//
// The length is what the user asks for; of a message shorter than 8 bytes only
// the first bytes are there. The server counts and does not look inside. The
// number is in host order in the C implementation, which is the same on all
// machines that it is known to run on.
package ocbr

import "encoding/binary"

// MaxSize is the longest message in bytes.
const MaxSize = 524288

// number writes the sequence number into a message of any length.
func number(message []byte, seq int64) {
	if len(message) >= 8 {
		binary.LittleEndian.PutUint64(message, uint64(seq))
		return
	}
	for i := range message {
		message[i] = byte(seq >> (8 * i))
	}
}

// numberOf reads the sequence number of a message; ok is false when it is too
// short to hold one.
func numberOf(message []byte) (seq int64, ok bool) {
	if len(message) < 8 {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint64(message)), true
}
