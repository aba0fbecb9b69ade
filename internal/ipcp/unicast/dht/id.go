package dht

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// key is the id of a member or the hash of a name, of the length that the
// hashes of the layer have.
type key string

// closer reports whether the distance from target to a is less than to b.
func closer(target, a, b key) bool {
	for i := range len(target) {
		if x, y := target[i]^a[i], target[i]^b[i]; x != y {
			return x < y
		}
	}
	return false
}

// prefix is the number of leading bits that a and b share.
func prefix(a, b key) int {
	for i := range len(a) {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(a)
}

// randomKey gives n random bytes.
func randomKey(n int) key {
	b := make([]byte, n)
	rand.Read(b)
	return key(b)
}

// randomNear gives a random id that shares just n leading bits with own.
func randomNear(own key, n int) key {
	b := make([]byte, len(own))
	rand.Read(b)
	copy(b, own[:n/8])
	keep := byte(0xff) << (8 - n%8)
	flip := byte(0x80) >> (n % 8)
	b[n/8] = own[n/8]&keep | (own[n/8]^flip)&flip | b[n/8]&^(keep|flip)
	return key(b)
}

// newCookie gives a random cookie for a request for k, marked as one of a member
// that follows contacts by itself.
func newCookie(k key) uint64 {
	var b [8]byte
	for {
		rand.Read(b[:])
		high := binary.BigEndian.Uint64(b[:]) &^ 0xffff
		if c := high | uint64(mark(high, k)); c != 0 {
			return c
		}
	}
}

// marked reports whether a cookie of a request for k is one that newCookie
// gives. It is a hint and proves nothing.
func marked(cookie uint64, k key) bool { return uint16(cookie) == mark(cookie&^0xffff, k) }

// mark is FNV-1a over the upper 48 bits of the cookie and the key, folded to 16
// bits.
func mark(high uint64, k key) uint16 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for shift := 56; shift >= 16; shift -= 8 {
		h = (h ^ high>>shift&0xff) * prime
	}
	for i := range len(k) {
		h = (h ^ uint64(k[i])) * prime
	}
	h ^= h >> 32
	return uint16(h ^ h>>16)
}
