package crypt

import (
	"bytes"
	"crypto/x509"
	"strings"
	"time"
)

// The bounds of the search for a chain.
const (
	maxChain  = 8  // certificates from the peer's to that of an authority
	maxChecks = 64 // signatures
)

// search looks for a chain from a certificate to an authority.
type search struct {
	*trusted
	now    time.Time
	checks int
	worst  error // why the chain that came furthest is none
	depth  int   // of it
}

// Verify is nil when a chain leads from the certificate to an authority that
// this node trusts: each is issued and signed by the next, which may issue, is
// valid now, and is not revoked.
//
// The names of a certificate are not looked at here, nor what it says of its
// use: the protocol knows no uses.
func (s *Store) Verify(c *Certificate, now time.Time) error { return s.current().verify(c, now) }

func (t *trusted) verify(c *Certificate, now time.Time) error {
	if t.broken != nil {
		return t.broken
	}
	if err := c.CheckDates(now); err != nil {
		return err
	}
	if err := t.revoked.check(c); err != nil {
		return err
	}
	if err := c.conditions(); err != nil {
		return err
	}
	if t.isAuthority(c) {
		return nil
	}
	look := &search{trusted: t, now: now, depth: -1}
	if look.from([]*Certificate{c}) {
		return nil
	}
	if look.worst != nil {
		return look.worst
	}
	return t.unknown(c)
}

// unknown is for a certificate whose issuer this node has not.
func (t *trusted) unknown(c *Certificate) error {
	issuer := c.X509.Issuer.String()
	switch {
	case len(t.authorities) == 0 && t.dirs.Authorities == "":
		return problem("%q shows a certificate, and this node trusts no authority that could have signed it", c.called()).
			next("tell the daemon a directory of authorities")
	case len(t.authorities) == 0:
		return problem("%q shows a certificate, and this node trusts no authority that could have signed it", c.called()).
			next("put the certificate of the authority %q into %s", issuer, t.dirs.Authorities)
	case bytes.Equal(c.X509.RawSubject, c.X509.RawIssuer):
		return problem("the certificate of %q is issued by its owner, and is none that this node trusts", c.called()).
			next("issue it by an authority, or put it into %s", t.dirs.Authorities)
	}
	return problem("the certificate of %q is issued by %q, which this node does not trust", c.called(), issuer).
		next("put the certificate of that authority into %s, if you trust it", t.dirs.Authorities)
}

// from goes on with a chain.
func (s *search) from(chain []*Certificate) bool {
	last := chain[len(chain)-1]
	if len(chain) >= maxChain {
		s.failed(chain, problem("the certificate of %q is further than %d others from an authority", chain[0].called(), maxChain-1))
		return false
	}
	for _, list := range []struct {
		of        []*Certificate
		authority bool
	}{{s.authorities, true}, {s.intermediates, false}} {
	next:
		for _, issuer := range list.of {
			if !bytes.Equal(issuer.X509.RawSubject, last.X509.RawIssuer) {
				continue
			}
			for _, c := range chain {
				if bytes.Equal(c.X509.Raw, issuer.X509.Raw) {
					continue next
				}
			}
			if s.checks++; s.checks > maxChecks {
				return false
			}
			if err := s.link(chain, issuer, list.authority); err != nil {
				s.failed(chain, err)
				continue
			}
			longer := append(chain[:len(chain):len(chain)], issuer)
			if list.authority || s.from(longer) {
				return true
			}
			if s.depth < len(chain) {
				s.failed(longer, s.unknown(issuer))
			}
		}
	}
	return false
}

// failed remembers why a chain ends: of several that which came furthest.
func (s *search) failed(chain []*Certificate, err error) {
	if len(chain) > s.depth {
		s.worst, s.depth = err, len(chain)
	}
}

// link is nil when the issuer can be the next in the chain.
func (s *search) link(chain []*Certificate, issuer *Certificate, authority bool) error {
	last, x := chain[len(chain)-1], issuer.X509
	if err := last.signedBy(issuer); err != nil {
		return problem("the certificate of %q is not signed by %q, in whose name it is: %w", last.called(), issuer.called(), err).
			next("see whether that authority has a new key: its certificate of before does not fit")
	}
	// Certificates of version 1 do not say whether they may issue. As those of
	// authorities they may.
	if !x.IsCA && !(authority && x.Version == 1) || x.KeyUsage != 0 && x.KeyUsage&x509.KeyUsageCertSign == 0 {
		return problem("the certificate of %q is issued by %q, whose own certificate does not let it issue any", last.called(), issuer.called()).
			next("issue it by an authority")
	}
	if err := issuer.CheckDates(s.now); err != nil {
		return err
	}
	if err := s.revoked.check(issuer); err != nil {
		return err
	}
	if x.MaxPathLen > 0 || x.MaxPathLenZero {
		between := 0
		for _, c := range chain[1:] {
			if !bytes.Equal(c.X509.RawSubject, c.X509.RawIssuer) {
				between++
			}
		}
		if between > x.MaxPathLen {
			return problem("%q does not let its certificates lead over %d others to that of %q", issuer.called(), between, chain[0].called())
		}
	}
	if err := issuer.conditions(); err != nil {
		return err
	}
	return confined(chain[0], issuer)
}

// conditions is nil for a certificate without conditions that this node does
// not know.
func (c *Certificate) conditions() error {
	if ext := c.X509.UnhandledCriticalExtensions; len(ext) > 0 {
		return problem("the certificate of %q has conditions that are not known here: %v", c.called(), ext)
	}
	return nil
}

// confined is nil when the names for which the issuer may issue have that of
// the certificate among them.
func confined(c, issuer *Certificate) error {
	x := issuer.X509
	allowed := len(x.PermittedDNSDomains) == 0
	for _, d := range x.PermittedDNSDomains {
		allowed = allowed || within(c.Name, d)
	}
	for _, d := range x.ExcludedDNSDomains {
		allowed = allowed && !within(c.Name, d)
	}
	if !allowed {
		return problem("the certificate of %q is issued by %q, which may not issue for that name", c.called(), issuer.called())
	}
	return nil
}

func within(name, domain string) bool {
	name, domain = strings.ToLower(name), strings.ToLower(strings.TrimPrefix(domain, "."))
	return name == domain || domain == "" || strings.HasSuffix(name, "."+domain)
}
