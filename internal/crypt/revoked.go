package crypt

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
)

// revoked are the certificates that are refused although an authority has
// signed them. That a file lies in the directory is what makes it count: it
// takes trust away and gives none, so nobody's signature is asked for.
type revoked struct {
	certificates map[[sha256.Size]byte]string // path, by digest
	serials      map[serial]string            // path
}

// serial is a certificate as its issuer numbers it.
type serial struct{ issuer, number string }

// add reads a file: certificates, and lists of the serial numbers of an issuer.
// It must hold at least one, and be free of what cannot be read.
func (r *revoked) add(path string, text []byte) error {
	found := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			c, err := ParseCertificate(block.Bytes)
			if err != nil {
				return in(path, err)
			}
			if r.certificates == nil {
				r.certificates = make(map[[sha256.Size]byte]string)
			}
			r.certificates[sha256.Sum256(c.X509.Raw)] = path
			r.number(c.X509.RawIssuer, c.X509.SerialNumber.Bytes(), path)
		case "X509 CRL":
			l, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return in(path, problem("it is no list of revoked certificates: %w", err))
			}
			for _, e := range l.RevokedCertificateEntries {
				if e.ReasonCode != removeFromCRL {
					r.number(l.RawIssuer, e.SerialNumber.Bytes(), path)
				}
			}
		default:
			continue
		}
		found++
	}
	if found == 0 {
		return in(path, problem("there is no revoked certificate in it, and no list of them").
			next("it must be in PEM: CERTIFICATE or X509 CRL"))
	}
	return nil
}

// removeFromCRL is the reason of an entry that takes another one back.
const removeFromCRL = 8

func (r *revoked) number(issuer, number []byte, path string) {
	if r.serials == nil {
		r.serials = make(map[serial]string)
	}
	r.serials[serial{string(issuer), string(number)}] = path
}

// check is nil for a certificate that is not among them.
func (r *revoked) check(c *Certificate) error {
	path, ok := r.certificates[sha256.Sum256(c.X509.Raw)]
	if !ok {
		path, ok = r.serials[serial{string(c.X509.RawIssuer), string(c.X509.SerialNumber.Bytes())}]
	}
	if !ok {
		return nil
	}
	return problem("the certificate of %q is revoked (%s)", c.called(), path).next("issue a new one, with a new key")
}
