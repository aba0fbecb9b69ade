// Package crypttest makes authorities and certificates of any kind for tests,
// also those that nobody would issue.
package crypttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"ouroboros/internal/crypt"
)

// Identity is a certificate with its private key.
type Identity struct {
	Cert *crypt.Certificate
	Key  *crypt.Signer

	template *x509.Certificate
}

// keys are made once where making them takes long.
var keys sync.Map

func slow(algorithm string) bool {
	return strings.HasPrefix(algorithm, "RSA") || strings.HasPrefix(algorithm, "SLH-DSA") && strings.HasSuffix(algorithm, "s")
}

func newKey(tb testing.TB, algorithm string) *crypt.Signer {
	tb.Helper()
	if k, ok := keys.Load(algorithm); ok {
		return k.(*crypt.Signer)
	}
	k, err := crypt.GenerateSigner(algorithm)
	if err != nil {
		tb.Fatal(err)
	}
	if slow(algorithm) {
		keys.Store(algorithm, k)
	}
	return k
}

// Authority makes one that signs itself, with a key of one of
// crypt.SignerNames. What is changed in the template holds.
func Authority(tb testing.TB, name, algorithm string, change ...func(*x509.Certificate)) *Identity {
	tb.Helper()
	return (*Identity)(nil).issue(tb, name, algorithm, true, change)
}

// Issue makes a certificate that the identity has signed.
func (i *Identity) Issue(tb testing.TB, name, algorithm string, change ...func(*x509.Certificate)) *Identity {
	tb.Helper()
	return i.issue(tb, name, algorithm, false, change)
}

// Intermediate makes an authority that the identity has signed.
func (i *Identity) Intermediate(tb testing.TB, name, algorithm string, change ...func(*x509.Certificate)) *Identity {
	tb.Helper()
	return i.issue(tb, name, algorithm, true, change)
}

// Version1 makes a certificate of X.509 version 1, which has no extensions.
func Version1(t *x509.Certificate) { t.Version = 1 }

// Valid changes when the certificate is valid.
func Valid(from, to time.Time) func(*x509.Certificate) {
	return func(t *x509.Certificate) { t.NotBefore, t.NotAfter = from, to }
}

func (i *Identity) issue(tb testing.TB, name, algorithm string, ca bool, change []func(*x509.Certificate)) *Identity {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	for _, c := range change {
		c(t)
	}
	own := &Identity{Key: newKey(tb, algorithm), template: t}
	parent := own
	if i != nil {
		parent = i
	}
	// The standard library writes what the template says; with what it does
	// not know, the key and the signature, it is finished here.
	hand, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent.template, hand.Public(), hand)
	if err != nil {
		tb.Fatal(err)
	}
	der = finish(tb, der, t.Version == 1, own.Key, parent.Key)
	if own.Cert, err = crypt.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	return own
}

// finish puts the key of its owner into a certificate and signs it.
func finish(tb testing.TB, der []byte, version1 bool, owner, issuer *crypt.Signer) []byte {
	tb.Helper()
	spki, err := owner.SPKI()
	if err != nil {
		tb.Fatal(err)
	}
	algorithm, err := issuer.X509Algorithm()
	if err != nil {
		tb.Fatal(err)
	}
	s := cryptobyte.String(der)
	var cert, fields cryptobyte.String
	if !s.ReadASN1(&cert, tag.SEQUENCE) || !cert.ReadASN1(&fields, tag.SEQUENCE) {
		tb.Fatal("the library has written no certificate")
	}
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		// version, serial, algorithm, issuer, validity, subject, key, extensions
		for n := 0; !fields.Empty(); n++ {
			var f cryptobyte.String
			var any tag.Tag
			if !fields.ReadAnyASN1Element(&f, &any) {
				tb.Fatal("the library has written no certificate")
			}
			switch {
			case version1 && (n == 0 || n > 6):
			case n == 2:
				b.AddBytes(algorithm)
			case n == 6:
				b.AddBytes(spki)
			default:
				b.AddBytes(f)
			}
		}
	})
	tbs, err := b.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	signature, err := issuer.SignX509(tbs)
	if err != nil {
		tb.Fatal(err)
	}
	var out cryptobyte.Builder
	out.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	der, err = out.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// CertPEM is the certificate for a file.
func (i *Identity) CertPEM() []byte {
	return PEM("CERTIFICATE", i.Cert.X509.Raw)
}

// KeyPEM is the private key for a file.
func (i *Identity) KeyPEM(tb testing.TB) []byte {
	tb.Helper()
	der, err := i.Key.PKCS8()
	if err != nil {
		tb.Fatal(err)
	}
	return PEM("PRIVATE KEY", der)
}

// Write puts crt.pem and key.pem into a directory.
func (i *Identity) Write(tb testing.TB, dir string) {
	tb.Helper()
	Write(tb, filepath.Join(dir, "crt.pem"), i.CertPEM())
	Write(tb, filepath.Join(dir, "key.pem"), i.KeyPEM(tb))
}

// Write makes a file that only its owner can read, and its directory.
func Write(tb testing.TB, path string, text []byte) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Trust makes a store that trusts the authorities.
func Trust(tb testing.TB, authorities ...*Identity) *crypt.Store {
	tb.Helper()
	dirs := crypt.StoreDirsBelow(tb.TempDir())
	for _, a := range authorities {
		Put(tb, dirs.Authorities, a)
	}
	return crypt.NewStore(dirs, nil)
}

// Put puts a certificate into a directory, in a file of its serial number.
func Put(tb testing.TB, dir string, i *Identity) {
	tb.Helper()
	Write(tb, filepath.Join(dir, i.Cert.X509.SerialNumber.Text(16)+".pem"), i.CertPEM())
}

// List is a list of revoked certificates in the name of the identity, for a
// file. It is not its signature: nobody asks for that.
func (i *Identity) List(tb testing.TB, l *x509.RevocationList) []byte {
	tb.Helper()
	hand, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	by := *i.Cert.X509
	by.PublicKey, by.PublicKeyAlgorithm = hand.Public(), x509.ECDSA
	by.SubjectKeyId = []byte{1}
	der, err := x509.CreateRevocationList(rand.Reader, l, &by, hand)
	if err != nil {
		tb.Fatal(err)
	}
	return PEM("X509 CRL", der)
}

// PEM is a text with one block.
func PEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
