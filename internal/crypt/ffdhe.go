package crypt

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math/big"
	"sync"

	"filippo.io/bigmod"
)

// group is one of the finite fields of RFC 7919. Private exponents are as short
// as the strength of the group allows; arithmetic with them takes a time that
// does not depend on them.
type group struct {
	p        []byte
	less     []byte // p - 1
	exponent int    // length of a private exponent in bytes
	mod      *bigmod.Modulus
}

// groups gives the group of an exchange.
var groups = map[Exchange]func() *group{
	FFDHE2048: sync.OnceValue(func() *group { return newGroup(prime2048, 32) }),
	FFDHE3072: sync.OnceValue(func() *group { return newGroup(prime3072, 36) }),
	FFDHE4096: sync.OnceValue(func() *group { return newGroup(prime4096, 42) }),
}

func newGroup(prime string, exponent int) *group {
	p, err := hex.DecodeString(prime)
	if err != nil {
		panic(err)
	}
	mod, err := bigmod.NewModulus(p)
	if err != nil {
		panic(err)
	}
	less := bytes.Clone(p)
	less[len(less)-1]-- // p is odd
	return &group{p: p, less: less, exponent: exponent, mod: mod}
}

var errFieldElement = errors.New("the number is not one that a partner can have")

// check is nil for 1 < y < p-1, given in as many bytes as p has.
func (g *group) check(y []byte) error {
	if len(y) != len(g.p) || bytes.Compare(y, g.less) >= 0 {
		return errFieldElement
	}
	var high byte
	for _, b := range y[:len(y)-1] {
		high |= b
	}
	if high == 0 && y[len(y)-1] <= 1 {
		return errFieldElement
	}
	return nil
}

func (g *group) power(y, x []byte) ([]byte, error) {
	n, err := bigmod.NewNat().SetBytes(y, g.mod)
	if err != nil {
		return nil, err
	}
	return bigmod.NewNat().Exp(n, x, g.mod).Bytes(g.mod), nil
}

// ffdheKey is the own key of an exchange in such a group.
type ffdheKey struct {
	g    *group
	x, y []byte
}

func newFFDHE(g *group) (*ffdheKey, error) {
	x := make([]byte, g.exponent)
	rand.Read(x)
	return ffdheFrom(g, x)
}

func ffdheFrom(g *group, x []byte) (*ffdheKey, error) {
	two := make([]byte, len(g.p))
	two[len(two)-1] = 2
	y, err := g.power(two, x)
	if err != nil {
		return nil, err
	}
	return &ffdheKey{g, x, y}, g.check(y)
}

func (k *ffdheKey) public() []byte  { return k.y }
func (k *ffdheKey) private() []byte { return k.x }
func (k *ffdheKey) wipe()           { clear(k.x) }

// agree gives the common number without its leading zero bytes: so it goes
// into the derivation of the key.
func (k *ffdheKey) agree(peer []byte) ([]byte, error) {
	if err := k.g.check(peer); err != nil {
		return nil, err
	}
	z, err := k.g.power(peer, k.x)
	if err != nil {
		return nil, err
	}
	return bytes.TrimLeft(z, "\x00"), nil
}

// fixed gives a number as many bytes as p has; nil when it does not fit.
func (g *group) fixed(n *big.Int) []byte {
	if n.Sign() < 0 || n.BitLen() > 8*len(g.p) {
		return nil
	}
	return n.FillBytes(make([]byte, len(g.p)))
}
