package cert

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"ouroboros/internal/crypt"
)

// template is what a certificate says. The standard library signs with none of
// the newer kinds of keys, so certificates are written here, all in one way:
//
//	Certificate ::= SEQUENCE { tbs, algorithm, BIT STRING signature }
//	tbs         ::= SEQUENCE { [0] 2, serial, algorithm, issuer, validity,
//	                           subject, SubjectPublicKeyInfo, [3] extensions }
//
// The extensions are those that a check of the chain looks at (RFC 5280):
// basicConstraints and keyUsage, both critical, and the two key identifiers.
type template struct {
	subject    string // common name, the only part of the subject
	ca         bool   // issues certificates of names, and no authorities
	begin, end time.Time
}

// Object identifiers of attributes and extensions.
var (
	oidCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// Bits of keyUsage as they stand in the first byte.
const (
	digitalSignature = 0x80
	keyCertSign      = 0x04
	crlSign          = 0x02
)

// issuer is who signs: its name and key identifier as its own certificate has
// them.
type issuer struct {
	name  []byte // DER
	keyID []byte // may be empty
	key   *crypt.Signer
}

// sign gives the certificate for a public key, in DER.
func (t *template) sign(by issuer, subject *crypt.Signer) ([]byte, error) {
	spki, err := subject.SPKI()
	if err != nil {
		return nil, err
	}
	algorithm, err := by.key.X509Algorithm()
	if err != nil {
		return nil, err
	}
	name, err := commonName(t.subject)
	if err != nil {
		return nil, err
	}
	own, err := keyID(spki)
	if err != nil {
		return nil, err
	}
	if by.name == nil { // signs itself
		by.name, by.keyID = name, own
	}
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // v3
		b.AddASN1BigInt(serial())
		b.AddBytes(algorithm)
		b.AddBytes(by.name)
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, t.begin)
			addTime(b, t.end)
		})
		b.AddBytes(name)
		b.AddBytes(spki)
		b.AddASN1(tag.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) { t.extensions(b, own, by.keyID) })
		})
	})
	tbs, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	signature, err := by.key.SignX509(tbs)
	if err != nil {
		return nil, err
	}
	var c cryptobyte.Builder
	c.AddASN1(tag.SEQUENCE, func(c *cryptobyte.Builder) {
		c.AddBytes(tbs)
		c.AddBytes(algorithm)
		c.AddASN1BitString(signature)
	})
	return c.Bytes()
}

func (t *template) extensions(b *cryptobyte.Builder, own, by []byte) {
	extension := func(oid asn1.ObjectIdentifier, critical bool, value func(*cryptobyte.Builder)) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			if critical {
				b.AddASN1Boolean(true)
			}
			b.AddASN1(tag.OCTET_STRING, value)
		})
	}
	usage := []byte{7, digitalSignature} // unused bits, bits
	if t.ca {
		usage = []byte{1, keyCertSign | crlSign}
	}
	extension(oidBasicConstraints, true, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			if t.ca {
				b.AddASN1Boolean(true)
				b.AddASN1Int64(0) // no authority below it
			}
		})
	})
	extension(oidKeyUsage, true, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.BIT_STRING, func(b *cryptobyte.Builder) { b.AddBytes(usage) })
	})
	extension(oidSubjectKeyID, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(own) })
	if len(by) > 0 {
		extension(oidAuthorityKeyID, false, func(b *cryptobyte.Builder) {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(tag.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(by) })
			})
		})
	}
}

// serial is a random number of 127 bits, so that no two certificates share one.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40 // positive, and of one length
	return new(big.Int).SetBytes(b)
}

// commonName is the Name with one common name.
func commonName(s string) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidCommonName)
				b.AddASN1(tag.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
			})
		})
	})
	return b.Bytes()
}

// keyID names a key: the first 160 bits of the SHA-256 of its bits, RFC 7093.
func keyID(spki []byte) ([]byte, error) {
	in := cryptobyte.String(spki)
	var seq, bits cryptobyte.String
	if !in.ReadASN1(&seq, tag.SEQUENCE) || !seq.SkipASN1(tag.SEQUENCE) || !seq.ReadASN1(&bits, tag.BIT_STRING) || len(bits) < 1 {
		return nil, fmt.Errorf("the description of the public key cannot be read")
	}
	sum := sha256.Sum256(bits[1:])
	return sum[:20], nil
}

// addTime writes a time as RFC 5280 wants it: with two digits of the year
// until 2049.
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	if t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}
