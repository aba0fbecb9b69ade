package crypt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	wire "ouroboros/internal/wire/oap"
)

// Exchange is a way in which two sides agree on a secret. Their order is that
// of their strength.
//
//	Exchange        request      bytes    response     bytes  secret
//	ffdhe2048       SPKI         552,553  SPKI         same   to 256, without leading zero bytes
//	prime256v1      SPKI         91       SPKI         91     32
//	X25519          SPKI         44       SPKI         44     32
//	ffdhe3072       SPKI         808,809  SPKI         same   to 384, without leading zero bytes
//	secp384r1       SPKI         120      SPKI         120    48
//	ffdhe4096       SPKI         1064,5   SPKI         same   to 512, without leading zero bytes
//	X448            SPKI         68       SPKI         68     56
//	secp521r1       SPKI         158      SPKI         158    66
//	ML-KEM-512      SPKI         822      ciphertext   768    32
//	ML-KEM-768      SPKI         1206     ciphertext   1088   32
//	ML-KEM-1024     SPKI         1590     ciphertext   1568   32
//	X25519MLKEM768  raw          1216     raw          1120   64
//	X448MLKEM1024   raw          1624     raw          1624   88
//
// SPKI is a SubjectPublicKeyInfo in DER. In the raw form of a hybrid the part
// of the ML-KEM comes first everywhere, and the secret is that of the ML-KEM
// followed by the other one.
//
// With an ML-KEM or a hybrid the client can also encapsulate for a key of the
// server that it has had before: then the request has what is the response
// above, and the response nothing.
type Exchange uint8

// The exchanges, the weakest first.
const (
	FFDHE2048 Exchange = 1 + iota
	P256
	X25519
	FFDHE3072
	P384
	FFDHE4096
	X448
	P521
	MLKEM512
	MLKEM768
	MLKEM1024
	X25519MLKEM768
	X448MLKEM1024
)

var exchanges = [...]struct {
	name    string
	dh, kem Exchange // what it consists of
}{
	FFDHE2048:      {"ffdhe2048", FFDHE2048, 0},
	P256:           {"prime256v1", P256, 0},
	X25519:         {"X25519", X25519, 0},
	FFDHE3072:      {"ffdhe3072", FFDHE3072, 0},
	P384:           {"secp384r1", P384, 0},
	FFDHE4096:      {"ffdhe4096", FFDHE4096, 0},
	X448:           {"X448", X448, 0},
	P521:           {"secp521r1", P521, 0},
	MLKEM512:       {"ML-KEM-512", 0, MLKEM512},
	MLKEM768:       {"ML-KEM-768", 0, MLKEM768},
	MLKEM1024:      {"ML-KEM-1024", 0, MLKEM1024},
	X25519MLKEM768: {"X25519MLKEM768", X25519, MLKEM768},
	X448MLKEM1024:  {"X448MLKEM1024", X448, MLKEM1024},
}

// ExchangeOf gives the exchange of a name; 0 when there is none.
func ExchangeOf(name string) Exchange {
	for x := FFDHE2048; x <= X448MLKEM1024; x++ {
		if exchanges[x].name == name {
			return x
		}
	}
	return 0
}

// ExchangeNames are the names of all exchanges, the weakest first.
func ExchangeNames() []string {
	var names []string
	for _, x := range exchanges[1:] {
		names = append(names, x.name)
	}
	return names
}

func (x Exchange) known() bool { return x >= FFDHE2048 && x <= X448MLKEM1024 }

func (x Exchange) String() string {
	if !x.known() {
		return "none"
	}
	return exchanges[x].name
}

// KEM reports whether a side encapsulates: ML-KEM and the hybrids.
func (x Exchange) KEM() bool { return x.known() && exchanges[x].kem != 0 }

// Hybrid reports whether keys travel in the raw form.
func (x Exchange) Hybrid() bool { return x.KEM() && exchanges[x].dh != 0 }

// split divides what a hybrid has in one piece.
func (x Exchange) split(b []byte, kemSize int) (kem, dh []byte, ok bool) {
	if len(b) != kemSize+x.rawSize() {
		return nil, nil, false
	}
	return b[:kemSize], b[kemSize:], true
}

// rawSize is the length of the other part of a hybrid: of X25519 or X448.
func (x Exchange) rawSize() int {
	if exchanges[x].dh == X448 {
		return 56
	}
	return 32
}

// PublicKey is the key of the other side, as it came.
type PublicKey struct {
	exchange Exchange
	wire     []byte // in the form that travels
	dh, kem  []byte // the keys themselves
}

// Exchange tells which.
func (k *PublicKey) Exchange() Exchange { return k.exchange }

// PrivateKey is the own key of an exchange.
type PrivateKey struct {
	exchange Exchange
	wire     []byte // the public key in the form that travels
	dh       partner
	kem      decapsulator
}

// GenerateKey makes a key for one exchange.
func GenerateKey(x Exchange) (*PrivateKey, error) {
	if !x.known() {
		return nil, errors.New("there is no such key exchange")
	}
	var dh partner
	var dk decapsulator
	var err error
	if part := exchanges[x].dh; part != 0 {
		if dh, err = newPartner(part); err != nil {
			return nil, err
		}
	}
	if part := exchanges[x].kem; part != 0 {
		if dk, err = newDecapsulator(part); err != nil {
			return nil, err
		}
	}
	return newPrivateKey(x, dh, dk)
}

func newPrivateKey(x Exchange, dh partner, dk decapsulator) (*PrivateKey, error) {
	k := &PrivateKey{exchange: x, dh: dh, kem: dk}
	switch {
	case x.Hybrid():
		k.wire = append(bytes.Clone(dk.public()), dh.public()...)
		return k, nil
	case x.KEM():
		return k, k.describe(dk.public())
	}
	return k, k.describe(dh.public())
}

func (k *PrivateKey) describe(public []byte) (err error) {
	k.wire, err = marshalSPKI(k.exchange, public)
	return err
}

// Exchange tells which.
func (k *PrivateKey) Exchange() Exchange { return k.exchange }

// Public is the public key in the form that travels: a SubjectPublicKeyInfo,
// or the raw bytes of a hybrid. It must not be changed.
func (k *PrivateKey) Public() []byte { return k.wire }

// Wipe overwrites of the key what lies in reach. What the standard library
// holds of it is left to the garbage collector.
func (k *PrivateKey) Wipe() {
	if k == nil {
		return
	}
	if k.dh != nil {
		k.dh.wipe()
	}
	if k.kem != nil {
		k.kem.wipe()
	}
}

// Answer makes the answer to the other side's key, and derives the key of the
// flow from both with the hash kdf.
func (k *PublicKey) Answer(kdf wire.Hash) (answer []byte, key *Key, err error) {
	if !k.exchange.KEM() {
		own, err := GenerateKey(k.exchange)
		if err != nil {
			return nil, nil, err
		}
		defer own.Wipe()
		secret, err := own.dh.agree(k.dh)
		if err != nil {
			return nil, nil, err
		}
		key, err = derive(kdf, secret, agreedSalt(k.wire, own.wire), infoAgreed)
		return own.wire, key, err
	}
	answer, secret, err := encapsulate(exchanges[k.exchange].kem, k.kem)
	if err != nil {
		return nil, nil, err
	}
	if k.exchange.Hybrid() {
		own, err := newPartner(exchanges[k.exchange].dh)
		if err != nil {
			return nil, nil, err
		}
		defer own.wipe()
		second, err := own.agree(k.dh)
		if err != nil {
			return nil, nil, err
		}
		answer = append(answer, own.public()...)
		secret = join(secret, second)
	}
	key, err = derive(kdf, secret, encapsulatedSalt(k.wire), infoEncapsulated)
	return answer, key, err
}

// Finish derives the key of the flow from the other side's answer with the
// hash kdf.
func (k *PrivateKey) Finish(answer []byte, kdf wire.Hash) (*Key, error) {
	if !k.exchange.KEM() {
		peer, err := ParsePublicKey(answer)
		if err != nil {
			return nil, err
		}
		if peer.exchange != k.exchange {
			return nil, fmt.Errorf("the key is one of %v, and not of %v", peer.exchange, k.exchange)
		}
		secret, err := k.dh.agree(peer.dh)
		if err != nil {
			return nil, err
		}
		return derive(kdf, secret, agreedSalt(k.wire, answer), infoAgreed)
	}
	if !k.exchange.Hybrid() {
		secret, err := k.kem.decapsulate(answer)
		if err != nil {
			return nil, err
		}
		return derive(kdf, secret, encapsulatedSalt(k.wire), infoEncapsulated)
	}
	first, second, ok := k.exchange.split(answer, kems[exchanges[k.exchange].kem].CiphertextSize())
	if !ok {
		return nil, errCiphertext
	}
	secret, err := k.kem.decapsulate(first)
	if err != nil {
		return nil, err
	}
	other, err := k.dh.agree(second)
	if err != nil {
		clear(secret)
		return nil, err
	}
	return derive(kdf, join(secret, other), encapsulatedSalt(k.wire), infoEncapsulated)
}

// join makes one secret of two, and wipes them.
func join(a, b []byte) []byte {
	s := append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
	clear(a)
	clear(b)
	return s
}

// agreedSalt is the same on both sides: the smaller of the public keys comes
// first, and of two that begin alike the shorter.
func agreedSalt(a, b []byte) [sha256.Size]byte {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	h := sha256.New()
	h.Write(a)
	h.Write(b)
	return [sha256.Size]byte(h.Sum(nil))
}

func encapsulatedSalt(public []byte) [sha256.Size]byte { return sha256.Sum256(public) }
