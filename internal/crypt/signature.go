package crypt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/cloudflare/circl/sign/slhdsa"
	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	wire "ouroboros/internal/wire/oap"
)

// scheme is a signature algorithm that the standard library does not have.
// They sign the message itself. None has parameters, and the OID of the key is
// that of the signature.
type scheme struct {
	sign.Scheme
	name string
	oid  asn1.ObjectIdentifier
	kind kind
}

type kind uint8

const (
	edwards kind = iota // Ed448; Ed25519 is in the standard library
	lattice             // ML-DSA
	hashes              // SLH-DSA
)

// schemes are all of them, in the order of their OIDs.
var schemes = func() []*scheme {
	nist := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, n} }
	list := []*scheme{
		{ed448.Scheme(), "Ed448", asn1.ObjectIdentifier{1, 3, 101, 113}, edwards},
		{mldsa44.Scheme(), "ML-DSA-44", nist(17), lattice},
		{mldsa65.Scheme(), "ML-DSA-65", nist(18), lattice},
		{mldsa87.Scheme(), "ML-DSA-87", nist(19), lattice},
	}
	for i, s := range []struct {
		id   slhdsa.ID
		name string
	}{
		{slhdsa.SHA2_128s, "SHA2-128s"}, {slhdsa.SHA2_128f, "SHA2-128f"},
		{slhdsa.SHA2_192s, "SHA2-192s"}, {slhdsa.SHA2_192f, "SHA2-192f"},
		{slhdsa.SHA2_256s, "SHA2-256s"}, {slhdsa.SHA2_256f, "SHA2-256f"},
		{slhdsa.SHAKE_128s, "SHAKE-128s"}, {slhdsa.SHAKE_128f, "SHAKE-128f"},
		{slhdsa.SHAKE_192s, "SHAKE-192s"}, {slhdsa.SHAKE_192f, "SHAKE-192f"},
		{slhdsa.SHAKE_256s, "SHAKE-256s"}, {slhdsa.SHAKE_256f, "SHAKE-256f"},
	} {
		list = append(list, &scheme{s.id.Scheme(), "SLH-DSA-" + s.name, nist(20 + i), hashes})
	}
	return list
}()

func schemeOf(oid asn1.ObjectIdentifier) *scheme {
	for _, s := range schemes {
		if s.oid.Equal(oid) {
			return s
		}
	}
	return nil
}

func (s *scheme) addAlgorithm(b *cryptobyte.Builder) {
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(s.oid) })
}

// VerifyKey is the public key with which the owner of a certificate signs.
//
//	key         signature of a message        hash that a message names
//	RSA         PKCS#1 v1.5                   SHA-2 or SHA-3; none = SHA-256
//	ECDSA       DER SEQUENCE { r, s }         any; none = SHA-256
//	Ed25519/448 pure                          none, another is an error
//	ML-DSA      pure, without context         says nothing
//	SLH-DSA     pure, without context         says nothing
type VerifyKey struct {
	scheme *scheme
	pure   sign.PublicKey
	std    crypto.PublicKey // without a scheme
}

// The lengths of RSA keys in bits: shorter ones are too weak, and longer ones
// make whoever checks them work.
const (
	minRSA = 2048
	maxRSA = 8192
)

var (
	errSignature = errors.New("the signature is not of this message by this key")
	errHash      = errors.New("a key of this kind signs without a hash, and the message names one")
	errRSAHash   = errors.New("RSA does not sign with BLAKE2: use SHA-2 or SHA-3")
)

// parseVerifyKey takes the key out of a certificate.
func parseVerifyKey(c *x509.Certificate) (*VerifyKey, error) {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, fmt.Errorf("an RSA key of %d bits is not accepted: use %d to %d", n, minRSA, maxRSA)
		}
		return &VerifyKey{std: k}, nil
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return &VerifyKey{std: k}, nil
	}
	s := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var spki, id, bits cryptobyte.String
	var oid asn1.ObjectIdentifier
	var unused uint8
	if !s.ReadASN1(&spki, tag.SEQUENCE) || !s.Empty() || !spki.ReadASN1(&id, tag.SEQUENCE) ||
		!id.ReadASN1ObjectIdentifier(&oid) {
		return nil, errDER
	}
	scheme := schemeOf(oid)
	if scheme == nil {
		return nil, fmt.Errorf("keys of the kind %v cannot sign, or are not known", oid)
	}
	if !id.Empty() || !spki.ReadASN1(&bits, tag.BIT_STRING) || !spki.Empty() || !bits.ReadUint8(&unused) || unused != 0 {
		return nil, errDER
	}
	pure, err := scheme.UnmarshalBinaryPublicKey(bits)
	if err != nil {
		return nil, fmt.Errorf("it is no key of %s: %w", scheme.name, err)
	}
	return &VerifyKey{scheme: scheme, pure: pure}, nil
}

// Algorithm names the kind of the key, such as "P-256" or "ML-DSA-65".
func (k *VerifyKey) Algorithm() string {
	if k.scheme != nil {
		return k.scheme.name
	}
	switch std := k.std.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", std.N.BitLen())
	case *ecdsa.PublicKey:
		return std.Params().Name
	}
	return "Ed25519"
}

// Digest gives the hash that a message names when this key signs it and h is
// configured: a key that signs without one has none.
func (k *VerifyKey) Digest(h wire.Hash) wire.Hash {
	if _, ok := k.std.(ed25519.PublicKey); ok || k.scheme != nil && k.scheme.kind == edwards {
		return 0
	}
	return h
}

// Verify is nil when the signature is that of the message by the owner of the
// key, and the message names the hash h.
func (k *VerifyKey) Verify(h wire.Hash, message, signature []byte) error {
	if k.Digest(h) != h {
		return errHash
	}
	ok := false
	switch std := k.std.(type) {
	case *rsa.PublicKey:
		id := rsaHash(h)
		if id == 0 {
			return errRSAHash
		}
		ok = rsa.VerifyPKCS1v15(std, id, signing(h).Sum(message), signature) == nil
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(std, signing(h).Sum(message), signature)
	case ed25519.PublicKey:
		ok = ed25519.Verify(std, message, signature)
	default:
		ok = len(signature) == k.scheme.SignatureSize() && k.scheme.Verify(k.pure, message, signature, nil)
	}
	if !ok {
		return errSignature
	}
	return nil
}

// signing is the hash of a signature whose message names h.
func signing(h wire.Hash) wire.Hash {
	if h == 0 {
		return wire.SHA256
	}
	return h
}

// rsaHash gives what RSA calls the hash; 0 when it cannot sign with it.
func rsaHash(h wire.Hash) crypto.Hash {
	switch signing(h) {
	case wire.SHA256:
		return crypto.SHA256
	case wire.SHA384:
		return crypto.SHA384
	case wire.SHA512:
		return crypto.SHA512
	case wire.SHA3_256:
		return crypto.SHA3_256
	case wire.SHA3_384:
		return crypto.SHA3_384
	case wire.SHA3_512:
		return crypto.SHA3_512
	}
	return 0
}
