package crypt

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	wire "ouroboros/internal/wire/oap"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// slow are the kinds whose keys or signatures take a second.
func slow(name string) bool { return strings.HasPrefix(name, "SLH-DSA") && name != "SLH-DSA-SHA2-128f" }

func TestKeysOfAllKindsSign(t *testing.T) {
	message := []byte("the message")
	for _, name := range SignerNames() {
		if slow(name) && os.Getenv("OUROBOROS_SOAK") == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			made := must(GenerateSigner(name))(t)
			if made.Algorithm() != name {
				t.Errorf("it is called %s", made.Algorithm())
			}
			k := must(ParseSigner(pemOf("PRIVATE KEY", must(made.PKCS8())(t))))(t)
			if !bytes.Equal(must(k.SPKI())(t), must(made.SPKI())(t)) {
				t.Error("another key came out of the file")
			}
			hashes := append(wire.HashNames(), "none")
			if k.scheme != nil && k.scheme.kind != edwards {
				hashes = []string{"sha3-512", "none"} // which say nothing
			}
			for _, h := range hashes {
				h := wire.HashOf(h)
				sig, err := k.Sign(h, message)
				switch {
				case k.Digest(h) != h:
					if err == nil || k.Public().Verify(h, message, make([]byte, 64)) == nil {
						t.Errorf("it signs with %v", h)
					}
					continue
				case strings.HasPrefix(name, "RSA") && strings.HasPrefix(h.String(), "blake"):
					if err == nil || !strings.Contains(err.Error(), "use SHA-2") {
						t.Errorf("it signs with %v: %v", h, err)
					}
					continue
				case err != nil:
					t.Fatal(err)
				}
				if err := k.Public().Verify(h, message, sig); err != nil {
					t.Errorf("%v: %v", h, err)
				}
				bad := bytes.Clone(sig)
				bad[len(bad)/2] ^= 1
				for what, wrong := range map[string][]byte{"changed": bad, "cut": sig[:len(sig)-1], "none": nil} {
					if k.Public().Verify(h, message, wrong) == nil {
						t.Errorf("%v: a signature is taken that is %s", h, what)
					}
				}
				if k.Public().Verify(h, message[1:], sig) == nil {
					t.Errorf("%v: another message", h)
				}
				if k.scheme == nil && h == wire.SHA384 && k.Public().Verify(wire.SHA256, message, sig) == nil {
					t.Error("the hash does not count")
				}
			}
		})
	}
	if _, err := GenerateSigner("MD5"); err == nil {
		t.Error("there is a key of a kind that is none")
	}
}

// Signatures of ML-DSA hold something random.
func TestSignaturesOfMLDSAAreHedged(t *testing.T) {
	for _, name := range []string{"ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		k := must(GenerateSigner(name))(t)
		if a, b := must(k.Sign(0, nil))(t), must(k.Sign(0, nil))(t); bytes.Equal(a, b) {
			t.Errorf("%s: two signatures are the same", name)
		}
	}
}

func TestFormsOfPrivateKeys(t *testing.T) {
	ec := must(GenerateSigner("P-384"))(t).std.(*ecdsa.PrivateKey)
	rs := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	small := must(rsa.GenerateKey(rand.Reader, 1024))(t)
	ed := must(GenerateSigner("Ed25519"))(t)
	x := must(ecdh.X25519().GenerateKey(rand.Reader))(t)
	lat := must(GenerateSigner("ML-DSA-44"))(t)
	raw := must(lat.pure.MarshalBinary())(t)
	in := func(inner func(b *cryptobyte.Builder)) []byte {
		var b cryptobyte.Builder
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			lat.scheme.addAlgorithm(b)
			b.AddASN1(tag.OCTET_STRING, inner)
		})
		return pemOf("PRIVATE KEY", b.BytesOrPanic())
	}
	ecDER := must(x509.MarshalECPrivateKey(ec))(t)
	for _, tc := range []struct {
		name string
		text []byte
		says string // "" = read
	}{
		{"older, EC", pemOf("EC PRIVATE KEY", ecDER), ""},
		{"older, EC, behind its parameters", append(pemOf("EC PARAMETERS", []byte{6, 1, 0}), pemOf("EC PRIVATE KEY", ecDER)...), ""},
		{"older, RSA", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs)), ""},
		{"ML-DSA, seed", in(func(b *cryptobyte.Builder) { b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(lat.seed) }) }), ""},
		{"ML-DSA, expanded", in(func(b *cryptobyte.Builder) { b.AddASN1OctetString(raw) }), ""},
		{"ML-DSA, both, of two keys", in(func(b *cryptobyte.Builder) {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1OctetString(make([]byte, 32))
				b.AddASN1OctetString(raw)
			})
		}), "not of the same key"},
		{"ML-DSA, a short seed", in(func(b *cryptobyte.Builder) {
			b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(lat.seed[1:]) })
		}), "cannot be read"},
		{"ML-DSA, more behind it", in(func(b *cryptobyte.Builder) { b.AddASN1OctetString(raw); b.AddUint8(0) }), "cannot be read"},
		{"nothing", nil, "no private key in it"},
		{"a certificate", pemOf("CERTIFICATE", []byte{1}), "no private key in it"},
		{"garbage", pemOf("PRIVATE KEY", []byte{1, 2, 3}), "cannot be read"},
		{"garbage, EC", pemOf("EC PRIVATE KEY", []byte{1, 2, 3}), "cannot be read"},
		{"with a pass phrase", pemOf("ENCRYPTED PRIVATE KEY", []byte{1}), "pass phrase"},
		{"short RSA", pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(small))(t)), "1024 bits is not accepted"},
		{"that does not sign", pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(x))(t)), "does not sign"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := ParseSigner(tc.text)
			if tc.says != "" {
				if err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("error is %v, want %q", err, tc.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			h := k.Digest(wire.SHA256)
			if err := k.Public().Verify(h, []byte("m"), must(k.Sign(h, []byte("m")))(t)); err != nil {
				t.Error(err)
			}
		})
	}
	ed.Wipe()
	if !bytes.Equal(ed.std.(ed25519.PrivateKey), make([]byte, 64)) {
		t.Error("a private key is left")
	}
	(*Signer)(nil).Wipe()
}

// FuzzSigner: what is read as a private key signs.
func FuzzSigner(f *testing.F) {
	for _, name := range []string{"Ed25519", "P-256", "Ed448", "ML-DSA-44", "SLH-DSA-SHA2-128f"} {
		k, err := GenerateSigner(name)
		if err != nil {
			f.Fatal(err)
		}
		der, err := k.PKCS8()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, older := range []string{"EC PRIVATE KEY", "RSA PRIVATE KEY"} {
			if k, err := ParseSigner(pemOf(older, der)); err == nil {
				k.Wipe()
			}
		}
		k, err := ParseSigner(pemOf("PRIVATE KEY", der))
		if err != nil {
			return
		}
		if _, err := k.SPKI(); err != nil {
			t.Fatal(err)
		}
		if k.scheme != nil && k.scheme.kind == hashes {
			return // a signature takes long
		}
		h := k.Digest(wire.SHA256)
		sig, err := k.Sign(h, der)
		if err != nil {
			return
		}
		// A key whose parts do not fit signs for nobody; that must not end in
		// anything worse.
		_ = k.Public().Verify(h, der, sig)
		k.Wipe()
	})
}

// FuzzRevoked: a file of revoked certificates is read or refused.
func FuzzRevoked(f *testing.F) {
	c, err := ParseCertificatePEM([]byte(readVectors(f).Certificates["srv-ec"].Crt))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.X509.Raw)
	f.Add(revocationList(f))
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, kind := range []string{"CERTIFICATE", "X509 CRL"} {
			var r revoked
			if err := r.add("file", pemOf(kind, der)); err == nil {
				_ = r.check(c)
			}
		}
	})
}

// revocationList is a list with one number in it.
func revocationList(tb testing.TB) []byte {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	issuer := &x509.Certificate{SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Unix(0, 0), NextUpdate: time.Unix(1, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Unix(0, 0)}},
	}, issuer, key)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// FuzzCertificate: what is read as a certificate can be checked.
func FuzzCertificate(f *testing.F) {
	v := readVectors(f)
	for _, id := range v.Certificates {
		block, _ := pem.Decode([]byte(id.Crt))
		f.Add(block.Bytes)
	}
	ca, err := ParseCertificatePEM([]byte(v.Certificates["ca"].Crt))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ParseCertificate(der)
		if err != nil {
			return
		}
		if key, err := c.Key(); err == nil {
			_ = key.Verify(wire.SHA256, der, c.X509.Signature)
		}
		store := &trusted{authorities: []*Certificate{ca}, intermediates: []*Certificate{c}}
		_ = store.verify(c, c.X509.NotBefore)
		_ = c.selfSigned()
	})
}
