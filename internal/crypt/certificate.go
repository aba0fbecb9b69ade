package crypt

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// Certificate is an X.509 certificate with a key of any kind that this package
// knows, signed by one of any kind.
type Certificate struct {
	X509 *x509.Certificate
	Name string // the first common name of its subject; "" when there is none

	key       *VerifyKey
	keyErr    error  // why there is no key
	algorithm []byte // AlgorithmIdentifier of the signature, DER
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// ParseCertificate reads a certificate in DER.
func ParseCertificate(der []byte) (*Certificate, error) {
	x, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, problem("it is no certificate: %w", err).next("it must be one of X.509, whole")
	}
	c := &Certificate{X509: x}
	for _, a := range x.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(oidCommonName) {
			c.Name = s
			break
		}
	}
	c.key, c.keyErr = parseVerifyKey(x)
	c.algorithm, err = signatureAlgorithm(der)
	return c, err
}

// signatureAlgorithm gives the AlgorithmIdentifier between what is signed and
// the signature: of a certificate or a list of revoked ones.
func signatureAlgorithm(der []byte) ([]byte, error) {
	s := cryptobyte.String(der)
	var seq, signed, id cryptobyte.String
	if !s.ReadASN1(&seq, tag.SEQUENCE) || !seq.ReadASN1(&signed, tag.SEQUENCE) || !seq.ReadASN1Element(&id, tag.SEQUENCE) {
		return nil, problem("it is no certificate: it has no signature")
	}
	return id, nil
}

// ParseCertificatePEM reads the first certificate of a text in PEM.
func ParseCertificatePEM(text []byte) (*Certificate, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return ParseCertificate(block.Bytes)
		}
	}
	return nil, problem("there is no certificate in it").next("it must be one in PEM: CERTIFICATE")
}

// ReadCertificate reads the first certificate in the file of that path; nil
// when there is no file.
func ReadCertificate(path string) (*Certificate, error) {
	b, ok, err := readFile(path, shared)
	if err != nil || !ok {
		return nil, err
	}
	c, err := ParseCertificatePEM(b)
	if err != nil {
		return nil, in(path, err)
	}
	return c, nil
}

// Key is the public key of its owner.
func (c *Certificate) Key() (*VerifyKey, error) { return c.key, c.keyErr }

// called is how people are told of the certificate.
func (c *Certificate) called() string {
	if c.Name != "" {
		return c.Name
	}
	return c.X509.Subject.String()
}

// CheckDates is nil while the certificate is valid.
func (c *Certificate) CheckDates(now time.Time) error {
	const day = "2006-01-02 15:04 MST"
	switch {
	case now.After(c.X509.NotAfter):
		return problem("the certificate of %q ended on %s", c.called(), c.X509.NotAfter.UTC().Format(day)).
			next("renew it")
	case now.Before(c.X509.NotBefore):
		return problem("the certificate of %q begins on %s, which is not yet by this node's clock (%s)",
			c.called(), c.X509.NotBefore.UTC().Format(day), now.UTC().Format(day)).
			next("set the clocks of both nodes")
	}
	return nil
}

// signedBy is nil when the issuer has signed the certificate.
func (c *Certificate) signedBy(issuer *Certificate) error {
	if issuer.key == nil {
		return issuer.keyErr
	}
	if c.X509.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		return issuer.X509.CheckSignature(c.X509.SignatureAlgorithm, c.X509.RawTBSCertificate, c.X509.Signature)
	}
	if s := issuer.key.scheme; s == nil || !s.named(c.algorithm) {
		return errSignature
	}
	return issuer.key.Verify(0, c.X509.RawTBSCertificate, c.X509.Signature)
}

// named reports whether an AlgorithmIdentifier is that of the scheme.
func (s *scheme) named(algorithm []byte) bool {
	var id cryptobyte.String
	var oid asn1.ObjectIdentifier
	outer := cryptobyte.String(algorithm)
	return outer.ReadASN1(&id, tag.SEQUENCE) && id.ReadASN1ObjectIdentifier(&oid) && id.Empty() && oid.Equal(s.oid)
}

// selfSigned reports whether its owner has issued the certificate.
func (c *Certificate) selfSigned() bool {
	return string(c.X509.RawSubject) == string(c.X509.RawIssuer) && c.signedBy(c) == nil
}
