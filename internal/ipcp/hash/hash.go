// Package hash gives the names of a layer's directory: a service name is
// known in a layer by the hash of its bytes, without a terminating zero, with
// the algorithm of that layer.
//
//	number  algorithm  bytes  layers
//	0       SHA3-224   28     chosen
//	1       SHA3-256   32     chosen; broadcast always
//	2       SHA3-384   48     chosen
//	3       SHA3-512   64     chosen
//	4       CRC32       4     none; known to the protocols
//	5       MD5        16     udp4, udp6 always
//
// None of it protects anything: a hash is an address.
package hash

import (
	"crypto/md5"
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"ouroboros/irm"
)

// MaxSize is the longest hash in bytes.
const MaxSize = 64

// Size is the length in bytes of a hash; 0 for an algorithm that does not
// exist.
func Size(a irm.HashAlgo) int {
	switch a {
	case irm.SHA3_224:
		return 28
	case irm.SHA3_256:
		return 32
	case irm.SHA3_384:
		return 48
	case irm.SHA3_512:
		return 64
	case irm.CRC32:
		return 4
	case irm.MD5:
		return 16
	}
	return 0
}

// Sum is the hash of a name, nil for an algorithm that does not exist. CRC32
// is in network byte order.
func Sum(a irm.HashAlgo, name string) []byte {
	switch b := []byte(name); a {
	case irm.SHA3_224:
		h := sha3.Sum224(b)
		return h[:]
	case irm.SHA3_256:
		h := sha3.Sum256(b)
		return h[:]
	case irm.SHA3_384:
		h := sha3.Sum384(b)
		return h[:]
	case irm.SHA3_512:
		h := sha3.Sum512(b)
		return h[:]
	case irm.CRC32:
		return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b))
	case irm.MD5:
		h := md5.Sum(b)
		return h[:]
	}
	return nil
}

// Check says whether h can be a hash of the algorithm.
func Check(a irm.HashAlgo, h []byte) error {
	if want := Size(a); len(h) != want || want == 0 {
		return fmt.Errorf("a hash of %d bytes where %v has %d", len(h), a, want)
	}
	return nil
}
