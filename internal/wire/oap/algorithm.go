package oap

import (
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"
	"hash"

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

// ciphers are all of them, the weakest first: each is worth more than those
// before it.
var ciphers = []struct {
	number Cipher
	name   string
}{
	{AES128CTR, "aes-128-ctr"},
	{AES192CTR, "aes-192-ctr"},
	{AES256CTR, "aes-256-ctr"},
	{AES128GCM, "aes-128-gcm"},
	{AES192GCM, "aes-192-gcm"},
	{AES256GCM, "aes-256-gcm"},
	{ChaCha20Poly1305, "chacha20-poly1305"},
}

// Known reports whether the number is one of them.
func (c Cipher) Known() bool { return c.Rank() > 0 }

// Rank orders the ciphers by strength: 1 is the weakest, 0 is none.
func (c Cipher) Rank() int {
	for i := range ciphers {
		if ciphers[i].number == c {
			return i + 1
		}
	}
	return 0
}

// Authenticated reports whether a packet that somebody changed is noticed.
func (c Cipher) Authenticated() bool { return c.Rank() >= AES128GCM.Rank() }

func (c Cipher) name() string {
	if n := c.Rank(); n > 0 {
		return ciphers[n-1].name
	}
	return ""
}

// CipherOf gives the cipher of a name; 0 when there is none.
func CipherOf(name string) Cipher {
	for _, c := range ciphers {
		if c.name == name {
			return c.number
		}
	}
	return 0
}

// CipherNames are the names of all ciphers, the weakest first.
func CipherNames() []string {
	names := make([]string, len(ciphers))
	for i, c := range ciphers {
		names[i] = c.name
	}
	return names
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

// hashes are all of them, the weakest first: each is worth more than those
// before it.
var hashes = []struct {
	number Hash
	name   string
	size   int // of a digest
	make   func() hash.Hash
}{
	{BLAKE2s256, "blake2s256", 32, unkeyed(blake2s.New256)},
	{SHA256, "sha256", 32, sha256.New},
	{SHA3_256, "sha3-256", 32, func() hash.Hash { return sha3.New256() }},
	{SHA384, "sha384", 48, sha512.New384},
	{SHA3_384, "sha3-384", 48, func() hash.Hash { return sha3.New384() }},
	{BLAKE2b512, "blake2b512", 64, unkeyed(blake2b.New512)},
	{SHA512, "sha512", 64, sha512.New},
	{SHA3_512, "sha3-512", 64, func() hash.Hash { return sha3.New512() }},
}

// unkeyed makes plain hashes with a function that can also make keyed ones.
func unkeyed(make func(key []byte) (hash.Hash, error)) func() hash.Hash {
	return func() hash.Hash {
		h, err := make(nil)
		if err != nil {
			panic(err) // only a key can be wrong
		}
		return h
	}
}

// Known reports whether the number is one of them.
func (h Hash) Known() bool { return h.Rank() > 0 }

// Rank orders the hashes by strength: 1 is the weakest, 0 is none.
func (h Hash) Rank() int {
	for i := range hashes {
		if hashes[i].number == h {
			return i + 1
		}
	}
	return 0
}

func (h Hash) name() string {
	if n := h.Rank(); n > 0 {
		return hashes[n-1].name
	}
	return ""
}

// New makes a hash. The number must be known.
func (h Hash) New() hash.Hash { return hashes[h.Rank()-1].make() }

// HashOf gives the hash of a name; 0 when there is none.
func HashOf(name string) Hash {
	for i := range hashes {
		if hashes[i].name == name {
			return hashes[i].number
		}
	}
	return 0
}

// HashNames are the names of all hashes, the weakest first.
func HashNames() []string {
	names := make([]string, len(hashes))
	for i := range hashes {
		names[i] = hashes[i].name
	}
	return names
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
	if n := h.Rank(); n > 0 {
		return hashes[n-1].size
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
