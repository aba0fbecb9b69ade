package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// rotation is the info of the derivation of a key from the one before.
const rotation = "o7s-key-rotation"

// chain gives the keys of the epochs, one after the other.
type chain struct {
	salt [sha256.Size]byte
	next [KeySize]byte
}

func newChain(key *[KeySize]byte) *chain { return &chain{sha256.Sum256(key[:]), *key} }

// take makes something of the next key, and derives the one after it.
func (c *chain) take(use func(k *[KeySize]byte)) {
	use(&c.next)
	k, err := hkdf.Key(sha256.New, c.next[:], c.salt[:], rotation, KeySize)
	if err != nil {
		panic("seal: " + err.Error())
	}
	copy(c.next[:], k)
	clear(k)
}

// wipe forgets all.
func (c *chain) wipe() { *c = chain{} }
