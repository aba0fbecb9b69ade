package crypt

import (
	"crypto/hkdf"
	"crypto/sha256"

	wire "ouroboros/internal/wire/oap"
)

// What a derived key is for, as HKDF (RFC 5869) wants it.
const (
	infoAgreed       = "o7s-ossl-dhe"
	infoEncapsulated = "o7s-ossl-encap"
)

// derive makes the key of a flow, and wipes the secret that it is made from.
// Without a hash it takes SHA-256.
func derive(kdf wire.Hash, secret []byte, salt [sha256.Size]byte, info string) *Key {
	if kdf == 0 {
		kdf = wire.SHA256
	}
	b, err := hkdf.Key(kdf.New, secret, salt[:], info, KeySize)
	clear(secret)
	if err != nil {
		panic(err) // the length fits every hash
	}
	k := Key(b)
	clear(b)
	return &k
}
