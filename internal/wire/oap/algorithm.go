package oap

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
)

// Cipher is the number of a symmetric cipher.
type Cipher uint16

// The ciphers that can be named in a message.
const (
	AES128GCM        Cipher = 895
	AES192GCM        Cipher = 898
	AES256GCM        Cipher = 901
	AES128CTR        Cipher = 904
	AES192CTR        Cipher = 905
	AES256CTR        Cipher = 906
	ChaCha20Poly1305 Cipher = 1018
)

// Known reports whether the number is one of them.
func (c Cipher) Known() bool { return c.name() != "" }

func (c Cipher) name() string {
	switch c {
	case AES128GCM:
		return "aes-128-gcm"
	case AES192GCM:
		return "aes-192-gcm"
	case AES256GCM:
		return "aes-256-gcm"
	case AES128CTR:
		return "aes-128-ctr"
	case AES192CTR:
		return "aes-192-ctr"
	case AES256CTR:
		return "aes-256-ctr"
	case ChaCha20Poly1305:
		return "chacha20-poly1305"
	}
	return ""
}

func (c Cipher) String() string { return called(c.name(), uint16(c)) }

// Hash is the number of a hash function.
type Hash uint16

// The hash functions that can be named in a message. The numbers of SHA-3 are
// those that travel; the C implementation's public header has others, each
// lower by one.
const (
	SHA256     Hash = 672
	SHA384     Hash = 673
	SHA512     Hash = 674
	BLAKE2b512 Hash = 1056
	BLAKE2s256 Hash = 1057
	SHA3_256   Hash = 1097
	SHA3_384   Hash = 1098
	SHA3_512   Hash = 1099
)

// Known reports whether the number is one of them.
func (h Hash) Known() bool { return h.name() != "" }

func (h Hash) name() string {
	switch h {
	case SHA256:
		return "sha256"
	case SHA384:
		return "sha384"
	case SHA512:
		return "sha512"
	case BLAKE2b512:
		return "blake2b512"
	case BLAKE2s256:
		return "blake2s256"
	case SHA3_256:
		return "sha3-256"
	case SHA3_384:
		return "sha3-384"
	case SHA3_512:
		return "sha3-512"
	}
	return ""
}

func (h Hash) String() string { return called(h.name(), uint16(h)) }

func called(name string, number uint16) string {
	switch {
	case name != "":
		return name
	case number == 0:
		return "none"
	}
	return fmt.Sprintf("number %d", number)
}

// OrDefault is the hash itself, or SHA-384 for none: what the request is
// hashed with.
func (h Hash) OrDefault() Hash {
	if h == 0 {
		return SHA384
	}
	return h
}

// Size is the length of a digest in bytes, 0 for an unknown hash.
func (h Hash) Size() int {
	switch h {
	case SHA256, BLAKE2s256, SHA3_256:
		return 32
	case SHA384, SHA3_384:
		return 48
	case SHA512, BLAKE2b512, SHA3_512:
		return 64
	}
	return 0
}

// Sum is the digest of b, nil for an unknown hash.
func (h Hash) Sum(b []byte) []byte {
	switch h {
	case SHA256:
		d := sha256.Sum256(b)
		return d[:]
	case SHA384:
		d := sha512.Sum384(b)
		return d[:]
	case SHA512:
		d := sha512.Sum512(b)
		return d[:]
	case BLAKE2b512:
		d := blake2b.Sum512(b)
		return d[:]
	case BLAKE2s256:
		d := blake2s.Sum256(b)
		return d[:]
	case SHA3_256:
		d := sha3.Sum256(b)
		return d[:]
	case SHA3_384:
		d := sha3.Sum384(b)
		return d[:]
	case SHA3_512:
		d := sha3.Sum512(b)
		return d[:]
	}
	return nil
}
