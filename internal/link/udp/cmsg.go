package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Control messages are records of
//
//	length   size of a pointer, header included
//	level    4
//	type     4
//	data     padded to the size of a pointer
//
// in the byte order of the machine. Ours are those of level SOL_UDP:
//
//	UDP_SEGMENT   sending     u16   bytes of a segment
//	UDP_GRO       receiving   int   bytes of a segment (u16 in some kernels)
const (
	wordSize    = int(unsafe.Sizeof(uintptr(0)))
	cmsgHeader  = wordSize + 8
	controlSize = 64 // room for a few control messages
	segmentSize = cmsgHeader + wordSize
)

// segmentControl makes p the control message that asks for segments of n
// bytes.
func segmentControl(p *[segmentSize]byte, n int) {
	*p = [segmentSize]byte{}
	putWord(p[:], cmsgHeader+2)
	binary.NativeEndian.PutUint32(p[wordSize:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(p[wordSize+4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(p[cmsgHeader:], uint16(n))
}

// trainSegment finds the bytes of a segment in the control messages of a
// received message; 0 when it is no train, or the messages make no sense.
func trainSegment(p []byte) int {
	for len(p) >= cmsgHeader {
		length := word(p)
		if length < uint64(cmsgHeader) || length > uint64(len(p)) {
			return 0
		}
		data := p[cmsgHeader:length]
		if binary.NativeEndian.Uint32(p[wordSize:]) == unix.SOL_UDP &&
			binary.NativeEndian.Uint32(p[wordSize+4:]) == unix.UDP_GRO {
			switch {
			case len(data) >= 4:
				return max(0, int(int32(binary.NativeEndian.Uint32(data))))
			case len(data) >= 2:
				return int(binary.NativeEndian.Uint16(data))
			}
			return 0
		}
		next := (int(length) + wordSize - 1) &^ (wordSize - 1)
		p = p[min(next, len(p)):]
	}
	return 0
}

func word(p []byte) uint64 {
	if wordSize == 8 {
		return binary.NativeEndian.Uint64(p)
	}
	return uint64(binary.NativeEndian.Uint32(p))
}

func putWord(p []byte, v int) {
	if wordSize == 8 {
		binary.NativeEndian.PutUint64(p, uint64(v))
	} else {
		binary.NativeEndian.PutUint32(p, uint32(v))
	}
}
