package crypt

import (
	"bytes"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/kem"
	"github.com/cloudflare/circl/kem/mlkem/mlkem1024"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
)

// decapsulator is the own key of an ML-KEM.
type decapsulator interface {
	public() []byte // the encapsulation key of FIPS 203
	// decapsulate gives the secret in a ciphertext. Of one that somebody
	// changed it gives another secret: so the mechanism hides what was wrong.
	decapsulate(ciphertext []byte) ([]byte, error)
	wipe() // what can be wiped
}

var (
	kems = map[Exchange]kem.Scheme{
		MLKEM512: mlkem512.Scheme(), MLKEM768: mlkem768.Scheme(), MLKEM1024: mlkem1024.Scheme(),
	}
	errCiphertext = errors.New("the ciphertext has a wrong length")
)

// kemSeed is the length of the seed from which an ML-KEM key is made.
const kemSeed = 64

// The standard library has the two larger ones, without the expanded form that
// key files can be in.

func newDecapsulator(x Exchange) (decapsulator, error) {
	switch x {
	case MLKEM768:
		k, err := mlkem.GenerateKey768()
		return key768{k}, err
	case MLKEM1024:
		k, err := mlkem.GenerateKey1024()
		return key1024{k}, err
	}
	return newStaticKEM(x)
}

// checkEncapsulation is nil for what can be the public key of the other side.
func checkEncapsulation(x Exchange, public []byte) error {
	switch x {
	case MLKEM768:
		_, err := mlkem.NewEncapsulationKey768(public)
		return err
	case MLKEM1024:
		_, err := mlkem.NewEncapsulationKey1024(public)
		return err
	}
	_, err := kems[x].UnmarshalBinaryPublicKey(public)
	return err
}

// encapsulate makes a secret, and the ciphertext from which the owner of the
// public key gets it.
func encapsulate(x Exchange, public []byte) (ciphertext, secret []byte, err error) {
	switch x {
	case MLKEM768:
		k, err := mlkem.NewEncapsulationKey768(public)
		if err != nil {
			return nil, nil, err
		}
		secret, ciphertext = k.Encapsulate()
		return ciphertext, secret, nil
	case MLKEM1024:
		k, err := mlkem.NewEncapsulationKey1024(public)
		if err != nil {
			return nil, nil, err
		}
		secret, ciphertext = k.Encapsulate()
		return ciphertext, secret, nil
	}
	k, err := kems[x].UnmarshalBinaryPublicKey(public)
	if err != nil {
		return nil, nil, err
	}
	return kems[x].Encapsulate(k)
}

type key768 struct{ k *mlkem.DecapsulationKey768 }

func (k key768) public() []byte                        { return k.k.EncapsulationKey().Bytes() }
func (k key768) decapsulate(ct []byte) ([]byte, error) { return k.k.Decapsulate(ct) }
func (k key768) wipe()                                 {} // the library keeps it to itself

type key1024 struct{ k *mlkem.DecapsulationKey1024 }

func (k key1024) public() []byte                        { return k.k.EncapsulationKey().Bytes() }
func (k key1024) decapsulate(ct []byte) ([]byte, error) { return k.k.Decapsulate(ct) }
func (k key1024) wipe()                                 {}

// staticKEM is a key that is or could be in a file.
type staticKEM struct {
	scheme   kem.Scheme
	key      kem.PrivateKey
	seed     []byte // nil when only the expanded form is known
	expanded []byte
}

func newStaticKEM(x Exchange) (*staticKEM, error) {
	seed := make([]byte, kemSeed)
	rand.Read(seed)
	return staticFromSeed(x, seed)
}

func staticFromSeed(x Exchange, seed []byte) (*staticKEM, error) {
	if len(seed) != kemSeed {
		return nil, fmt.Errorf("the seed has %d bytes, want %d", len(seed), kemSeed)
	}
	_, key := kems[x].DeriveKeyPair(seed)
	expanded, err := key.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return &staticKEM{kems[x], key, bytes.Clone(seed), expanded}, nil
}

func staticFromExpanded(x Exchange, expanded []byte) (*staticKEM, error) {
	key, err := kems[x].UnmarshalBinaryPrivateKey(expanded)
	if err != nil {
		return nil, err
	}
	return &staticKEM{kems[x], key, nil, bytes.Clone(expanded)}, nil
}

// staticFromBoth is for a file that has the seed and the expanded form: they
// have to fit.
func staticFromBoth(x Exchange, seed, expanded []byte) (*staticKEM, error) {
	k, err := staticFromSeed(x, seed)
	if err == nil && subtle.ConstantTimeCompare(k.expanded, expanded) != 1 {
		k.wipe()
		return nil, errors.New("the seed and the expanded key are not of the same key")
	}
	return k, err
}

func (k *staticKEM) public() []byte {
	b, err := k.key.Public().MarshalBinary()
	if err != nil {
		panic(err) // the library has made the key
	}
	return b
}

func (k *staticKEM) decapsulate(ct []byte) ([]byte, error) {
	if len(ct) != k.scheme.CiphertextSize() {
		return nil, errCiphertext
	}
	return k.scheme.Decapsulate(k.key, ct)
}

func (k *staticKEM) wipe() {
	clear(k.seed)
	clear(k.expanded)
}
