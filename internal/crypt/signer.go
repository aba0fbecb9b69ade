package crypt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"slices"

	"github.com/cloudflare/circl/sign"
	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	wire "ouroboros/internal/wire/oap"
)

// Signer is the private key of a certificate.
type Signer struct {
	VerifyKey // its public part

	std  crypto.Signer // without a scheme
	pure sign.PrivateKey
	seed []byte // of an ML-DSA key; nil when only the expanded form is known
}

// generators make the keys that SignerNames lists and schemes has not.
var generators = []struct {
	name string
	make func() (crypto.Signer, error)
}{
	{"Ed25519", func() (crypto.Signer, error) {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	}},
	{"P-256", ecdsaKey(elliptic.P256())},
	{"P-384", ecdsaKey(elliptic.P384())},
	{"P-521", ecdsaKey(elliptic.P521())},
	{"RSA-2048", rsaKey(2048)},
	{"RSA-3072", rsaKey(3072)},
	{"RSA-4096", rsaKey(4096)},
}

func ecdsaKey(c elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
}

func rsaKey(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

// SignerNames are the names of the kinds of keys that GenerateSigner makes.
func SignerNames() []string {
	var names []string
	for _, g := range generators {
		names = append(names, g.name)
	}
	for _, s := range schemes {
		names = append(names, s.name)
	}
	return names
}

// GenerateSigner makes a key of one of SignerNames.
func GenerateSigner(name string) (*Signer, error) {
	for _, g := range generators {
		if g.name == name {
			k, err := g.make()
			if err != nil {
				return nil, err
			}
			return stdSigner(k), nil
		}
	}
	for _, s := range schemes {
		if s.name != name {
			continue
		}
		if s.kind == lattice {
			seed := make([]byte, s.SeedSize())
			rand.Read(seed)
			return s.fromSeed(seed), nil
		}
		_, k, err := s.GenerateKey()
		if err != nil {
			return nil, err
		}
		return s.signer(k), nil
	}
	return nil, problem("keys of the kind %q are not known", name)
}

func stdSigner(k crypto.Signer) *Signer {
	return &Signer{VerifyKey: VerifyKey{std: k.Public()}, std: k}
}

func (s *scheme) signer(k sign.PrivateKey) *Signer {
	pub := k.Public()
	// One library makes the public keys of one scheme by value, of another by
	// reference, and wants them so.
	return &Signer{VerifyKey: VerifyKey{scheme: s, pure: pub.(sign.PublicKey)}, pure: k}
}

func (s *scheme) fromSeed(seed []byte) *Signer {
	_, k := s.DeriveKey(seed)
	out := s.signer(k)
	out.seed = bytes.Clone(seed)
	return out
}

// Public is the public part.
func (s *Signer) Public() *VerifyKey { return &s.VerifyKey }

// Matches reports whether a certificate is for this key.
func (s *Signer) Matches(c *Certificate) bool {
	spki, err := s.SPKI()
	return err == nil && bytes.Equal(spki, c.X509.RawSubjectPublicKeyInfo) || s.equal(c.key)
}

// equal is for a description of the key in another form, as without the NULL
// that some write for parameters.
func (s *Signer) equal(k *VerifyKey) bool {
	if k == nil || k.scheme != s.scheme {
		return false
	}
	if s.scheme != nil {
		return s.VerifyKey.pure.Equal(k.pure)
	}
	own, ok := s.std.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(k.std)
}

// Sign signs a message that names the hash h: one that Digest gives.
func (s *Signer) Sign(h wire.Hash, message []byte) ([]byte, error) {
	if s.Digest(h) != h {
		return nil, errHash
	}
	switch k := s.std.(type) {
	case *rsa.PrivateKey:
		id := rsaHash(h)
		if id == 0 {
			return nil, errRSAHash
		}
		return rsa.SignPKCS1v15(nil, k, id, signing(h).Sum(message))
	case *ecdsa.PrivateKey:
		return ecdsa.SignASN1(rand.Reader, k, signing(h).Sum(message))
	case ed25519.PrivateKey:
		return ed25519.Sign(k, message), nil
	}
	// ML-DSA signs with fresh randomness: it hides what the time and the power
	// of a computation would tell about the key.
	sig := make([]byte, s.scheme.SignatureSize())
	switch k := s.pure.(type) {
	case *mldsa44.PrivateKey:
		return sig, mldsa44.SignTo(k, message, nil, true, sig)
	case *mldsa65.PrivateKey:
		return sig, mldsa65.SignTo(k, message, nil, true, sig)
	case *mldsa87.PrivateKey:
		return sig, mldsa87.SignTo(k, message, nil, true, sig)
	}
	if sig = s.scheme.Sign(s.pure, message, nil); sig == nil {
		return nil, errors.New("the key cannot sign")
	}
	return sig, nil
}

// SignX509 signs what a certificate or a list of revoked ones says, and gives
// the AlgorithmIdentifier of the signature, which is in there, too.
func (s *Signer) SignX509(message []byte) (signature []byte, err error) {
	return s.Sign(s.Digest(s.x509Hash()), message)
}

func (s *Signer) x509Hash() wire.Hash {
	if k, ok := s.std.(*ecdsa.PrivateKey); ok {
		switch k.Params().BitSize {
		case 384:
			return wire.SHA384
		case 521:
			return wire.SHA512
		}
	}
	return wire.SHA256
}

// X509Algorithm is the AlgorithmIdentifier of the signatures of SignX509, in
// DER.
func (s *Signer) X509Algorithm() ([]byte, error) {
	var b cryptobyte.Builder
	if s.scheme != nil {
		s.scheme.addAlgorithm(&b)
		return b.Bytes()
	}
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		switch s.std.(type) {
		case *rsa.PrivateKey:
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}) // with SHA-256
			b.AddASN1NULL()
		case *ecdsa.PrivateKey:
			with := map[wire.Hash]int{wire.SHA256: 2, wire.SHA384: 3, wire.SHA512: 4}
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, with[s.x509Hash()]})
		default:
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 101, 112})
		}
	})
	return b.Bytes()
}

// SPKI is the SubjectPublicKeyInfo of the public part, in DER.
func (s *Signer) SPKI() ([]byte, error) {
	if s.scheme == nil {
		return x509.MarshalPKIXPublicKey(s.std.Public())
	}
	raw, err := s.VerifyKey.pure.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		s.scheme.addAlgorithm(b)
		b.AddASN1BitString(raw)
	})
	return b.Bytes()
}

// PKCS8 describes the private key for a file, in DER. Whoever gets the bytes
// wipes them.
//
//	Ed448    OCTET STRING
//	ML-DSA   SEQUENCE { seed, expanded key }
//	SLH-DSA  the key itself
//	others   as the standard library writes them
func (s *Signer) PKCS8() ([]byte, error) {
	if s.scheme == nil {
		return x509.MarshalPKCS8PrivateKey(s.std)
	}
	raw, err := s.pure.MarshalBinary()
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		s.scheme.addAlgorithm(b)
		b.AddASN1(tag.OCTET_STRING, func(b *cryptobyte.Builder) {
			switch {
			case s.scheme.kind == hashes:
				b.AddBytes(raw)
			case s.scheme.kind == edwards:
				b.AddASN1OctetString(s.pure.(ed448.PrivateKey).Seed())
			case s.seed == nil:
				b.AddASN1OctetString(raw)
			default:
				b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(s.seed)
					b.AddASN1OctetString(raw)
				})
			}
		})
	})
	return b.Bytes()
}

// Wipe overwrites of the key what lies in reach.
func (s *Signer) Wipe() {
	if s == nil {
		return
	}
	clear(s.seed)
	switch k := s.std.(type) {
	case ed25519.PrivateKey:
		clear(k)
	case *ecdsa.PrivateKey:
		//lint:ignore SA1019 there is no other way to overwrite it, and it is not used again
		clear(k.D.Bits())
	}
	if k, ok := s.pure.(ed448.PrivateKey); ok {
		clear(k)
	}
}

// ParseSigner reads a private key in PEM: PKCS#8, or the older forms of RSA and
// EC keys.
func ParseSigner(text []byte) (*Signer, error) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, problem("there is no private key in it").next("it must be one in PEM: PRIVATE KEY")
		}
		defer clear(block.Bytes)
		var k any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			return parsePKCS8Signer(block.Bytes)
		case "EC PRIVATE KEY":
			k, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, problem("the private key has a pass phrase").
				next("take it off with: openssl pkey -in KEY -out KEY.plain")
		default:
			continue // as EC PARAMETERS
		}
		if err != nil {
			return nil, problem("the private key cannot be read: %w", err)
		}
		return usable(k)
	}
}

// usable takes only keys with which this node signs.
func usable(k any) (*Signer, error) {
	switch k := k.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, problem("an RSA key of %d bits is not accepted", n).next("use %d to %d", minRSA, maxRSA)
		}
		return stdSigner(k), nil
	case *ecdsa.PrivateKey:
		return stdSigner(k), nil
	case ed25519.PrivateKey:
		return stdSigner(k), nil
	}
	return nil, problem("it is a private key that does not sign")
}

func parsePKCS8Signer(der []byte) (*Signer, error) {
	s := cryptobyte.String(der)
	var seq, id, key cryptobyte.String
	var version int
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1(&seq, tag.SEQUENCE) || !s.Empty() || !seq.ReadASN1Integer(&version) ||
		!seq.ReadASN1(&id, tag.SEQUENCE) || !id.ReadASN1ObjectIdentifier(&oid) || !seq.ReadASN1(&key, tag.OCTET_STRING) {
		return nil, problem("the private key cannot be read: %w", errPKCS8)
	}
	scheme := schemeOf(oid)
	if scheme == nil {
		k, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, problem("the private key cannot be read: %w", err)
		}
		return usable(k)
	}
	out, err := scheme.parse(key)
	if err == nil && !id.Empty() {
		err = errPKCS8
	}
	if err != nil {
		return nil, problem("the private key of %s cannot be read: %w", scheme.name, err)
	}
	return out, nil
}

func (s *scheme) parse(key cryptobyte.String) (*Signer, error) {
	if s.kind == hashes {
		// The key itself; the public root that is in it is taken on trust, and
		// is compared with the certificate later.
		k, err := s.UnmarshalBinaryPrivateKey(key)
		if err != nil {
			return nil, err
		}
		return s.signer(k), nil
	}
	var seed, expanded, both cryptobyte.String
	switch {
	case key.PeekASN1Tag(seedTag):
		if !key.ReadASN1(&seed, seedTag) {
			return nil, errPKCS8
		}
	case key.PeekASN1Tag(tag.SEQUENCE):
		if !key.ReadASN1(&both, tag.SEQUENCE) || !both.ReadASN1(&seed, tag.OCTET_STRING) ||
			!both.ReadASN1(&expanded, tag.OCTET_STRING) || !both.Empty() {
			return nil, errPKCS8
		}
	case s.kind == edwards:
		if !key.ReadASN1(&seed, tag.OCTET_STRING) {
			return nil, errPKCS8
		}
	default:
		if !key.ReadASN1(&expanded, tag.OCTET_STRING) {
			return nil, errPKCS8
		}
	}
	if !key.Empty() || seed != nil && len(seed) != s.SeedSize() {
		return nil, errPKCS8
	}
	if seed == nil {
		k, err := s.UnmarshalBinaryPrivateKey(expanded)
		if err != nil {
			return nil, err
		}
		return s.signer(k), nil
	}
	out := s.fromSeed(slices.Clone(seed))
	if expanded != nil {
		raw, err := out.pure.MarshalBinary()
		if err != nil {
			return nil, err
		}
		defer clear(raw)
		if subtle.ConstantTimeCompare(raw, expanded) != 1 {
			return nil, errors.New("the seed and the expanded key are not of the same key")
		}
	}
	return out, nil
}

// ReadSigner reads the private key in the file of that path; nil when there is
// no file.
func ReadSigner(path string) (*Signer, error) {
	b, ok, err := readFile(path, secret)
	if err != nil || !ok {
		return nil, err
	}
	defer clear(b)
	s, err := ParseSigner(b)
	if err != nil {
		return nil, in(path, err)
	}
	return s, nil
}
