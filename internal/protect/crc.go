package protect

import (
	"encoding/binary"
	"hash/crc32"

	"ouroboros/internal/packet"
)

// crcSize is the length of the trailer in bytes.
const crcSize = 4

// addSums appends the checksum to each packet. A keep-alive has none.
func addSums(batch []*packet.Buffer) {
	for _, b := range batch {
		if b.Len() == 0 {
			continue
		}
		sum := crc32.ChecksumIEEE(b.Bytes())
		binary.BigEndian.PutUint32(b.Append(crcSize), sum)
	}
}

// cutSum takes the checksum off a packet that was not sent.
func cutSum(b *packet.Buffer) { b.TrimTail(crcSize) }

// cutSumIfGood takes the checksum off a packet that was received; false, and
// nothing changed, when it is wrong or there is none. A packet of nothing but a
// checksum carries no data and does not exist.
func cutSumIfGood(b *packet.Buffer) bool {
	p := b.Bytes()
	n := len(p) - crcSize
	if n <= 0 || binary.BigEndian.Uint32(p[n:]) != crc32.ChecksumIEEE(p[:n]) {
		return false
	}
	return b.TrimTail(crcSize)
}

// The FRCP header, as far as it tells control packets from data.
const (
	headerSize = 12

	flagData    = 0x01
	flagDRF     = 0x02
	flagAck     = 0x04
	flagFC      = 0x08
	flagRDVS    = 0x10
	controlBits = flagDRF | flagAck | flagFC | flagRDVS
)

// isControl reports whether p is an FRCP header that carries no data: an
// acknowledgement, a window, a rendez-vous.
func isControl(p []byte) bool {
	return len(p) == headerSize && p[0]&^controlBits == 0 && p[0]&(flagAck|flagFC|flagRDVS) != 0
}
