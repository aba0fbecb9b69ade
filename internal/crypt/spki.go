package crypt

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// The SubjectPublicKeyInfo of each exchange:
//
//	exchange         algorithm               parameters          key bits
//	prime256v1, ...  1.2.840.10045.2.1       OID of the curve    uncompressed point
//	X25519, X448     1.3.101.110, 111        none                the key
//	ffdhe...         1.2.840.113549.1.3.1    SEQ { p, 2 }        INTEGER y
//	ML-KEM-...       2.16.840.1.101.3.4.4.*  none                encapsulation key
var (
	oidEC       = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidP256     = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP384     = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	oidP521     = asn1.ObjectIdentifier{1, 3, 132, 0, 35}
	oidX25519   = asn1.ObjectIdentifier{1, 3, 101, 110}
	oidX448     = asn1.ObjectIdentifier{1, 3, 101, 111}
	oidDH       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1}
	oidMLKEM512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1}
	oidMLKEM768 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}
	oidMLKEM1K  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}
)

// algorithms gives the AlgorithmIdentifier of an exchange: its OID, and for a
// curve that of the curve.
var algorithms = []struct {
	exchange   Exchange
	oid, curve asn1.ObjectIdentifier
}{
	{P256, oidEC, oidP256},
	{P384, oidEC, oidP384},
	{P521, oidEC, oidP521},
	{X25519, oidX25519, nil},
	{X448, oidX448, nil},
	{FFDHE2048, oidDH, nil},
	{FFDHE3072, oidDH, nil},
	{FFDHE4096, oidDH, nil},
	{MLKEM512, oidMLKEM512, nil},
	{MLKEM768, oidMLKEM768, nil},
	{MLKEM1024, oidMLKEM1K, nil},
}

var (
	errDER     = errors.New("it is not in the form that a key has (DER, SubjectPublicKeyInfo)")
	errPKCS8   = errors.New("it is not in the form that a private key has (DER, PKCS#8)")
	errForeign = errors.New("it is not a key of an exchange that this node knows")
)

// addAlgorithm writes the AlgorithmIdentifier.
func addAlgorithm(b *cryptobyte.Builder, x Exchange) {
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, a := range algorithms {
			if a.exchange != x {
				continue
			}
			b.AddASN1ObjectIdentifier(a.oid)
			if a.curve != nil {
				b.AddASN1ObjectIdentifier(a.curve)
			}
		}
		if g := groups[x]; g != nil {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BigInt(new(big.Int).SetBytes(g().p))
				b.AddASN1Int64(2)
			})
		}
	})
}

// readAlgorithm reads an AlgorithmIdentifier, nothing else being allowed in it
// than what addAlgorithm writes.
func readAlgorithm(s *cryptobyte.String) (Exchange, error) {
	var id cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1(&id, tag.SEQUENCE) || !id.ReadASN1ObjectIdentifier(&oid) {
		return 0, errDER
	}
	for _, a := range algorithms {
		if !a.oid.Equal(oid) {
			continue
		}
		params := id
		switch {
		case a.curve != nil:
			var curve asn1.ObjectIdentifier
			if !params.ReadASN1ObjectIdentifier(&curve) {
				return 0, errors.New("its curve has no name")
			}
			if !curve.Equal(a.curve) {
				continue
			}
		case groups[a.exchange] != nil:
			p, g := new(big.Int), new(big.Int)
			var seq cryptobyte.String
			if !params.ReadASN1(&seq, tag.SEQUENCE) || !seq.ReadASN1Integer(p) || !seq.ReadASN1Integer(g) || !seq.Empty() {
				return 0, errDER
			}
			if p.Cmp(new(big.Int).SetBytes(groups[a.exchange]().p)) != 0 || g.Cmp(big.NewInt(2)) != 0 {
				continue
			}
		}
		if !params.Empty() {
			return 0, errDER
		}
		return a.exchange, nil
	}
	return 0, errForeign
}

// marshalSPKI describes a public key.
func marshalSPKI(x Exchange, public []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		addAlgorithm(b, x)
		b.AddASN1(tag.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(0) // no unused bits
			if groups[x] != nil {
				b.AddASN1BigInt(new(big.Int).SetBytes(public))
			} else {
				b.AddBytes(public)
			}
		})
	})
	return b.Bytes()
}

// ParsePublicKey reads the SubjectPublicKeyInfo of a key that came from the
// other side, and sees whether it can be one. Hybrids have none.
func ParsePublicKey(der []byte) (*PublicKey, error) {
	s := cryptobyte.String(der)
	var spki, bits cryptobyte.String
	if !s.ReadASN1(&spki, tag.SEQUENCE) || !s.Empty() {
		return nil, errDER
	}
	x, err := readAlgorithm(&spki)
	if err != nil {
		return nil, err
	}
	var unused uint8
	if !spki.ReadASN1(&bits, tag.BIT_STRING) || !spki.Empty() || !bits.ReadUint8(&unused) || unused != 0 {
		return nil, errDER
	}
	k := &PublicKey{exchange: x, wire: der}
	switch {
	case groups[x] != nil:
		y := new(big.Int)
		if !bits.ReadASN1Integer(y) || !bits.Empty() {
			return nil, errDER
		}
		k.dh = groups[x]().fixed(y)
		err = checkPartner(x, k.dh)
	case x.KEM():
		k.kem = bits
		err = checkEncapsulation(x, k.kem)
	default:
		k.dh = bits
		err = checkPartner(x, k.dh)
	}
	if err != nil {
		return nil, fmt.Errorf("it is no key of %v: %w", x, err)
	}
	return k, nil
}

// ParseRawPublicKey reads the key of a hybrid. Which one it is its length says.
func ParseRawPublicKey(raw []byte) (*PublicKey, error) {
	for _, x := range []Exchange{X25519MLKEM768, X448MLKEM1024} {
		part := exchanges[x].kem
		kem, dh, ok := x.split(raw, kems[part].PublicKeySize())
		if !ok {
			continue
		}
		err := checkEncapsulation(part, kem)
		if err == nil {
			err = checkPartner(exchanges[x].dh, dh)
		}
		if err != nil {
			return nil, fmt.Errorf("it is no key of %v: %w", x, err)
		}
		return &PublicKey{exchange: x, wire: raw, dh: dh, kem: kem}, nil
	}
	return nil, fmt.Errorf("no hybrid has keys of %d bytes", len(raw))
}
