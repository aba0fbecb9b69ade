package crypt

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// seedTag marks the seed of an ML-KEM or ML-DSA key that stands alone.
var seedTag = tag.Tag(0).ContextSpecific()

// PKCS8 describes the key for a file, in DER; a hybrid has the raw bytes
// instead, as has its file. Whoever gets the bytes wipes them.
//
//	ML-KEM  SEQUENCE { seed, expanded key }
//	ffdhe   INTEGER x
//	X448    OCTET STRING
//	others  as the standard library writes them
func (k *PrivateKey) PKCS8() ([]byte, error) {
	if k.exchange.Hybrid() {
		s, ok := k.kem.(*staticKEM)
		if !ok {
			return nil, fmt.Errorf("a key of %v that is made for one flow cannot be kept", k.exchange)
		}
		own := k.dh.private()
		defer clear(own)
		return append(append(make([]byte, 0, len(s.expanded)+len(own)), s.expanded...), own...), nil
	}
	if c, ok := k.dh.(curveKey); ok {
		return x509.MarshalPKCS8PrivateKey(c.k)
	}
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		addAlgorithm(b, k.exchange)
		b.AddASN1(tag.OCTET_STRING, func(b *cryptobyte.Builder) {
			switch own := k.kem.(type) {
			case nil:
				private := k.dh.private()
				if groups[k.exchange] != nil {
					b.AddASN1BigInt(new(big.Int).SetBytes(private))
				} else {
					b.AddASN1OctetString(private)
					clear(private)
				}
			case *staticKEM:
				if own.seed == nil {
					b.AddASN1OctetString(own.expanded)
					return
				}
				b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(own.seed)
					b.AddASN1OctetString(own.expanded)
				})
			default:
				b.SetError(fmt.Errorf("a key of %v that is made for one flow cannot be kept", k.exchange))
			}
		})
	})
	return b.Bytes()
}

// GenerateStaticKey makes the key of a server whose clients encapsulate. The
// exchange is an ML-KEM or a hybrid.
func GenerateStaticKey(x Exchange) (*PrivateKey, error) {
	if !x.KEM() {
		return nil, fmt.Errorf("with %v no side encapsulates: use ML-KEM or a hybrid", x)
	}
	dk, err := newStaticKEM(exchanges[x].kem)
	if err != nil {
		return nil, err
	}
	var dh partner
	if x.Hybrid() {
		if dh, err = newPartner(exchanges[x].dh); err != nil {
			return nil, err
		}
	}
	return newPrivateKey(x, dh, dk)
}

// ParsePrivateKey reads the PKCS#8 form of a key of any exchange but a hybrid.
func ParsePrivateKey(der []byte) (*PrivateKey, error) {
	s := cryptobyte.String(der)
	var seq, key cryptobyte.String
	var version int
	if !s.ReadASN1(&seq, tag.SEQUENCE) || !s.Empty() || !seq.ReadASN1Integer(&version) || version != 0 {
		return nil, errPKCS8
	}
	x, err := readAlgorithm(&seq)
	if err != nil {
		return nil, err
	}
	// Attributes may follow, which say nothing here.
	if !seq.ReadASN1(&key, tag.OCTET_STRING) {
		return nil, errPKCS8
	}
	switch {
	case curves[x] != nil:
		return parseCurveKey(x, der)
	case x.KEM():
		dk, err := parseKEM(x, key)
		if err != nil {
			return nil, err
		}
		return newPrivateKey(x, nil, dk)
	}
	private := []byte(nil)
	if n := new(big.Int); groups[x] != nil {
		if !key.ReadASN1Integer(n) || n.Sign() < 0 {
			return nil, errPKCS8
		}
		private = n.Bytes()
	} else if !key.ReadASN1Bytes(&private, tag.OCTET_STRING) {
		return nil, errPKCS8
	}
	if !key.Empty() {
		return nil, errPKCS8
	}
	dh, err := partnerFrom(x, private)
	if err != nil {
		return nil, err
	}
	return newPrivateKey(x, dh, nil)
}

func parseCurveKey(x Exchange, der []byte) (*PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	var k *ecdh.PrivateKey
	switch p := parsed.(type) {
	case *ecdh.PrivateKey:
		k = p
	case *ecdsa.PrivateKey:
		if k, err = p.ECDH(); err != nil {
			return nil, err
		}
	default:
		return nil, errForeign
	}
	return newPrivateKey(x, curveKey{k}, nil)
}

// parseKEM reads any of the three forms of an ML-KEM key.
func parseKEM(x Exchange, key cryptobyte.String) (*staticKEM, error) {
	var seed, expanded, both cryptobyte.String
	switch {
	case key.PeekASN1Tag(seedTag):
		if !key.ReadASN1(&seed, seedTag) || !key.Empty() {
			return nil, errPKCS8
		}
		return staticFromSeed(x, seed)
	case key.PeekASN1Tag(tag.OCTET_STRING):
		if !key.ReadASN1(&expanded, tag.OCTET_STRING) || !key.Empty() {
			return nil, errPKCS8
		}
		return staticFromExpanded(x, expanded)
	}
	if !key.ReadASN1(&both, tag.SEQUENCE) || !key.Empty() ||
		!both.ReadASN1(&seed, tag.OCTET_STRING) || !both.ReadASN1(&expanded, tag.OCTET_STRING) || !both.Empty() {
		return nil, errPKCS8
	}
	return staticFromBoth(x, seed, expanded)
}

// ParseRawPrivateKey reads the raw form of a hybrid's key: the expanded key of
// the ML-KEM and the other one behind it. Which hybrid it is its length says.
func ParseRawPrivateKey(raw []byte) (*PrivateKey, error) {
	for _, x := range []Exchange{X25519MLKEM768, X448MLKEM1024} {
		part := exchanges[x].kem
		kem, own, ok := x.split(raw, kems[part].PrivateKeySize())
		if !ok {
			continue
		}
		dk, err := staticFromExpanded(part, kem)
		if err != nil {
			return nil, fmt.Errorf("it is no private key of %v: %w", x, err)
		}
		dh, err := partnerFrom(exchanges[x].dh, own)
		if err != nil {
			return nil, fmt.Errorf("it is no private key of %v: %w", x, err)
		}
		return newPrivateKey(x, dh, dk)
	}
	return nil, fmt.Errorf("no hybrid has private keys of %d bytes", len(raw))
}
