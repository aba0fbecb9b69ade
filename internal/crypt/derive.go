package crypt

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	wire "ouroboros/internal/wire/oap"
)

// What a derived key is for, as HKDF (RFC 5869) wants it.
const (
	infoAgreed       = "o7s-ossl-dhe"
	infoEncapsulated = "o7s-ossl-encap"
)

// derive makes the key of a flow, and wipes the secret that it is made from.
// Without a hash it takes SHA-256. It fails where the standard library has been
// told to use approved algorithms only, and this is none.
func derive(kdf wire.Hash, secret []byte, salt [sha256.Size]byte, info string) (*Key, error) {
	if kdf == 0 {
		kdf = wire.SHA256
	}
	b, err := hkdf.Key(kdf.New, secret, salt[:], info, KeySize)
	clear(secret)
	if err != nil {
		return nil, fmt.Errorf("no key can be derived with %v: %w", kdf, err)
	}
	k := Key(b)
	clear(b)
	return &k, nil
}
