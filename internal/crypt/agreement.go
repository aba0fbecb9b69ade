package crypt

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/cloudflare/circl/dh/x448"
)

// partner is the own key of a Diffie-Hellman exchange.
type partner interface {
	public() []byte // a point, a coordinate or a number: the key itself, without a description
	private() []byte
	// agree gives what both sides know then. It refuses a key with which
	// others would know it too.
	agree(peer []byte) ([]byte, error)
	wipe() // what can be wiped
}

var curves = map[Exchange]ecdh.Curve{
	P256: ecdh.P256(), P384: ecdh.P384(), P521: ecdh.P521(), X25519: ecdh.X25519(),
}

func newPartner(x Exchange) (partner, error) {
	switch curve, g := curves[x], groups[x]; {
	case curve != nil:
		k, err := curve.GenerateKey(rand.Reader)
		return curveKey{k}, err
	case g != nil:
		return newFFDHE(g())
	}
	k := new(x448Key)
	rand.Read(k.secret[:])
	x448.KeyGen(&k.own, &k.secret)
	return k, nil
}

// partnerFrom makes the key from the private part that partner.private gives.
func partnerFrom(x Exchange, private []byte) (partner, error) {
	switch curve, g := curves[x], groups[x]; {
	case curve != nil:
		k, err := curve.NewPrivateKey(private)
		return curveKey{k}, err
	case g != nil:
		if len(private) == 0 || len(private) > len(g().p) {
			return nil, errFieldElement
		}
		return ffdheFrom(g(), slices.Clone(private))
	}
	if len(private) != x448.Size {
		return nil, errors.New("the private key has a wrong length")
	}
	k := new(x448Key)
	copy(k.secret[:], private)
	x448.KeyGen(&k.own, &k.secret)
	return k, nil
}

// checkPartner is nil for what can be the public key of the other side.
func checkPartner(x Exchange, public []byte) error {
	switch curve, g := curves[x], groups[x]; {
	case curve != nil:
		_, err := curve.NewPublicKey(public)
		return err
	case g != nil:
		return g().check(public)
	}
	if len(public) != x448.Size {
		return errors.New("the public key has a wrong length")
	}
	return nil
}

type curveKey struct{ k *ecdh.PrivateKey }

func (c curveKey) public() []byte  { return c.k.PublicKey().Bytes() }
func (c curveKey) private() []byte { return c.k.Bytes() }
func (c curveKey) wipe()           {} // the library keeps it to itself

func (c curveKey) agree(peer []byte) ([]byte, error) {
	p, err := c.k.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, err
	}
	return c.k.ECDH(p)
}

type x448Key struct{ secret, own x448.Key }

func (k *x448Key) public() []byte  { return k.own[:] }
func (k *x448Key) private() []byte { return slices.Clone(k.secret[:]) }
func (k *x448Key) wipe()           { clear(k.secret[:]) }

func (k *x448Key) agree(peer []byte) ([]byte, error) {
	var shared, p x448.Key
	if len(peer) != len(p) {
		return nil, errors.New("the public key has a wrong length")
	}
	copy(p[:], peer)
	if !x448.Shared(&shared, &k.secret, &p) {
		return nil, errors.New("the public key is one of low order")
	}
	return shared[:], nil
}
