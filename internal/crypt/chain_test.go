package crypt_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
)

func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not say %q", err, p)
		}
	}
}

// Authorities of each kind issue certificates of each kind.
func TestChainsOfAllKindsOfKeys(t *testing.T) {
	quick := []string{"Ed25519", "P-256", "P-384", "P-521", "RSA-2048", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "SLH-DSA-SHA2-128f"}
	for _, of := range quick {
		root := ct.Authority(t, "root", of)
		store := ct.Trust(t, root)
		other := ct.Trust(t, ct.Authority(t, "root", of)) // by the same name
		for _, kind := range quick {
			if of != "P-256" && kind != "P-256" && of != kind {
				continue
			}
			leaf := root.Issue(t, "name", kind)
			if err := store.Verify(leaf.Cert, time.Now()); err != nil {
				t.Errorf("%s issued by %s: %v", kind, of, err)
			}
			if !strings.HasPrefix(of, "RSA") { // whose keys here are all the same one
				says(t, other.Verify(leaf.Cert, time.Now()), `"name" is not signed by "root"`)
			}
			broken := append([]byte(nil), leaf.Cert.X509.Raw...)
			broken[len(broken)-1] ^= 1
			if c, err := crypt.ParseCertificate(broken); err == nil && store.Verify(c, time.Now()) == nil {
				t.Errorf("%s issued by %s: a broken signature is taken", kind, of)
			}
		}
	}
}

func TestACertificateThatIsNotTrusted(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	root := ct.Authority(t, "root", "P-256")
	old := ct.Authority(t, "old", "P-256", ct.Valid(now.Add(-2*day), now.Add(-day)))
	v1 := ct.Authority(t, "v1", "P-256", ct.Version1)
	noCA := ct.Authority(t, "noca", "P-256", func(c *x509.Certificate) { c.IsCA = false })
	noSign := ct.Authority(t, "nosign", "P-256", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	narrow := ct.Authority(t, "narrow", "P-256", func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains, c.ExcludedDNSDomains = true, []string{"example"}, []string{"bad.example"}
	})
	strange := ct.Authority(t, "strange", "P-256", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	})
	between := root.Intermediate(t, "between", "Ed25519")
	betweenPQ := between.Intermediate(t, "further", "ML-DSA-65")
	short := ct.Authority(t, "short", "P-256", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	underShort := short.Intermediate(t, "under short", "P-256")
	dirs := crypt.StoreDirsBelow(t.TempDir())
	for _, a := range []*ct.Identity{root, old, v1, noCA, noSign, narrow, strange, short} {
		ct.Put(t, dirs.Authorities, a)
	}
	for _, a := range []*ct.Identity{between, betweenPQ, underShort} {
		ct.Put(t, dirs.Intermediates, a)
	}
	selfSigned := ct.Authority(t, "self", "P-256")
	ct.Put(t, dirs.Intermediates, selfSigned) // and not trusted for that
	store := crypt.NewStore(dirs, nil)
	if p := store.Problems(); len(p) > 0 {
		t.Fatal(p)
	}
	leaf := func(by *ct.Identity, name string, change ...func(*x509.Certificate)) *ct.Identity {
		return by.Issue(t, name, "P-256", change...)
	}
	for _, tc := range []struct {
		name string
		crt  *ct.Identity
		says []string // nil = trusted
	}{
		{"from the root", leaf(root, "name"), nil},
		{"from a version 1 root", leaf(v1, "name"), nil},
		{"through one", leaf(between, "name"), nil},
		{"through two, post-quantum", leaf(betweenPQ, "name"), nil},
		{"a root itself", root, nil},
		{"ended", leaf(root, "name", ct.Valid(now.Add(-2*day), now.Add(-day))), []string{`"name" ended on ` + now.Add(-day).UTC().Format("2006-01-02"), "renew"}},
		{"not begun", leaf(root, "name", ct.Valid(now.Add(day), now.Add(2*day))), []string{`"name" begins on`, "clock"}},
		{"authority ended", leaf(old, "name"), []string{`"old" ended on`}},
		{"not an authority", leaf(noCA, "name"), []string{`"noca", whose own certificate does not let it issue`}},
		{"may not sign", leaf(noSign, "name"), []string{`"nosign", whose own`}},
		{"issued by a name", leaf(leaf(root, "web"), "name"), []string{`issued by "CN=web", which this node does not trust`, dirs.Authorities}},
		{"unknown authority", leaf(ct.Authority(t, "who", "P-256"), "name"), []string{`issued by "CN=who"`, dirs.Authorities}},
		{"forged", leaf(ct.Authority(t, "root", "P-256"), "name"), []string{`"name" is not signed by "root"`}},
		{"signed by itself", selfSigned, []string{"issued by its owner"}},
		{"inside the constraints", leaf(narrow, "a.example"), nil},
		{"outside the constraints", leaf(narrow, "a.other"), []string{`"narrow", which may not issue for that name`}},
		{"excluded by them", leaf(narrow, "a.bad.example"), []string{"may not issue"}},
		{"an authority with conditions", leaf(strange, "name"), []string{"conditions that are not known"}},
		{"with conditions", leaf(root, "name", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), []string{"conditions that are not known"}},
		{"too far from the root", leaf(underShort, "name"), []string{`"short" does not let`}},
		{"below an authority for names only", leaf(short, "name"), nil},
		{"for servers of the web", leaf(root, "name", func(c *x509.Certificate) {
			c.ExtKeyUsage, c.KeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, x509.KeyUsageKeyEncipherment
		}), nil}, // uses are not looked at
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := store.Verify(tc.crt.Cert, time.Now())
			if tc.says == nil && err != nil {
				t.Error(err)
			} else if tc.says != nil {
				says(t, err, tc.says...)
			}
		})
	}
}

// Without a chain to somebody who is trusted it does not matter how many
// authorities vouch for each other.
func TestAuthoritiesInACircleAreGivenUp(t *testing.T) {
	dirs := crypt.StoreDirsBelow(t.TempDir())
	ct.Put(t, dirs.Authorities, ct.Authority(t, "root", "P-256"))
	var last *ct.Identity
	for range 12 { // with one name, each could have signed the other
		a := ct.Authority(t, "a", "P-256")
		ct.Put(t, dirs.Intermediates, a)
		last = a
	}
	leaf := last.Issue(t, "name", "P-256")
	began := time.Now()
	says(t, crypt.NewStore(dirs, nil).Verify(leaf.Cert, time.Now()), "name")
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestTheNameOfACertificateIsItsFirstCommonName(t *testing.T) {
	root := ct.Authority(t, "root", "P-256")
	long := strings.Repeat("n", 64)
	named := func(s pkix.Name) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = s }
	}
	raw := func(rdns pkix.RDNSequence) func(*x509.Certificate) {
		b, err := asn1.Marshal(rdns)
		if err != nil {
			t.Fatal(err)
		}
		return func(c *x509.Certificate) { c.RawSubject = b }
	}
	cn, o := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}
	attr := func(id asn1.ObjectIdentifier, v string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: id, Value: v}
	}
	for _, tc := range []struct {
		name   string
		change func(*x509.Certificate)
		want   string
	}{
		{"alone", named(pkix.Name{CommonName: "web.example"}), "web.example"},
		{"among others", named(pkix.Name{Country: []string{"BE"}, Organization: []string{"x"}, CommonName: "web.example"}), "web.example"},
		{"pretended by an organization", named(pkix.Name{Organization: []string{"CN=other"}, CommonName: "web.example"}), "web.example"},
		{"only pretended", named(pkix.Name{Organization: []string{"CN=other"}}), ""},
		{"with the signs of other notations", named(pkix.Name{CommonName: "a/b,c=d"}), "a/b,c=d"},
		{"in UTF-8", named(pkix.Name{CommonName: "wéb.例"}), "wéb.例"},
		{"long", named(pkix.Name{CommonName: long}), long},
		{"none", func(c *x509.Certificate) { c.Subject, c.DNSNames = pkix.Name{}, []string{"web.example"} }, ""},
		{"second in its part", raw(pkix.RDNSequence{{attr(o, "x"), attr(cn, "web.example")}}), "web.example"},
		{"the first of two", raw(pkix.RDNSequence{{attr(cn, "first")}, {attr(cn, "second")}}), "first"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := root.Issue(t, "", "P-256", tc.change).Cert.Name; got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestRevokedCertificatesAreRefusedAtOnce(t *testing.T) {
	root := ct.Authority(t, "root", "Ed25519")
	between := root.Intermediate(t, "between", "Ed25519")
	dirs := crypt.StoreDirsBelow(t.TempDir())
	ct.Put(t, dirs.Authorities, root)
	ct.Put(t, dirs.Intermediates, between)
	store := crypt.NewStore(dirs, nil)
	a, b, c := root.Issue(t, "a", "P-256"), root.Issue(t, "b", "P-256"), between.Issue(t, "c", "P-256")
	trusted := func(x *ct.Identity, want bool) {
		t.Helper()
		if err := store.Verify(x.Cert, time.Now()); want && err != nil {
			t.Error(err)
		} else if !want {
			says(t, err, "is revoked", dirs.Revoked)
		}
	}
	trusted(a, true)
	ct.Put(t, dirs.Revoked, a)
	trusted(a, false)
	trusted(b, true)

	list := func(by *ct.Identity, serials ...*big.Int) []byte {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
		for _, s := range serials {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: s, RevocationTime: time.Now()})
		}
		return by.List(t, l)
	}
	path := filepath.Join(dirs.Revoked, "root.crl")
	ct.Write(t, path, list(root, b.Cert.X509.SerialNumber, between.Cert.X509.SerialNumber))
	trusted(b, false)
	trusted(c, false) // with its authority
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	trusted(b, true)
	trusted(c, true)
	trusted(a, false)

	// While a file cannot be read it could be anybody who is revoked.
	ct.Write(t, path, []byte("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"))
	says(t, store.Verify(b.Cert, time.Now()), "which are revoked", path, "repair or remove")
	ct.Write(t, path, []byte("nothing"))
	says(t, store.Verify(b.Cert, time.Now()), "no revoked certificate in it")
	os.Remove(path)
	trusted(b, true)
}

func TestAStoreReadsWhatItCan(t *testing.T) {
	dirs := crypt.StoreDirsBelow(t.TempDir())
	store := crypt.NewStore(dirs, nil)
	root := ct.Authority(t, "root", "Ed25519")
	leaf := root.Issue(t, "name", "Ed25519")
	says(t, store.Verify(leaf.Cert, time.Now()), "trusts no authority", dirs.Authorities)
	says(t, (*crypt.Store)(nil).Verify(leaf.Cert, time.Now()), "trusts no authority")

	ct.Write(t, filepath.Join(dirs.Authorities, "garbage.pem"), []byte("garbage"))
	ct.Write(t, filepath.Join(dirs.Authorities, ".hidden"), []byte("garbage"))
	ct.Write(t, filepath.Join(dirs.Authorities, "sub", "x.pem"), root.CertPEM())
	ct.Put(t, dirs.Authorities, root)
	ct.Put(t, dirs.Authorities, leaf)
	if err := store.Verify(leaf.Cert, time.Now()); err != nil {
		t.Error(err)
	}
	var all []string
	for _, p := range store.Problems() {
		all = append(all, p.Error())
	}
	if text := strings.Join(all, "\n"); len(all) != 3 || !strings.Contains(text, "garbage.pem") ||
		!strings.Contains(text, "sub is not a regular file") || !strings.Contains(text, "not signed by itself") {
		t.Errorf("problems:\n%s", text)
	}
	if err := os.Chmod(filepath.Join(dirs.Authorities, root.Cert.X509.SerialNumber.Text(16)+".pem"), 0o666); err != nil {
		t.Fatal(err)
	}
	says(t, store.Verify(leaf.Cert, time.Now()), "trusts no authority")
}

// Certificates are checked while an administrator changes what is trusted.
func TestAStoreThatChangesWhileItIsAsked(t *testing.T) {
	root := ct.Authority(t, "root", "Ed25519")
	dirs := crypt.StoreDirsBelow(t.TempDir())
	ct.Put(t, dirs.Authorities, root)
	store := crypt.NewStore(dirs, nil)
	leaf, other := root.Issue(t, "name", "Ed25519"), root.Issue(t, "other", "Ed25519")
	stop := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(stop)
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := store.Verify(other.Cert, time.Now()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	path := filepath.Join(dirs.Revoked, "name.pem")
	for range 50 {
		// Files come and go whole, as irm cert puts them there.
		ct.Write(t, filepath.Join(dirs.Revoked, ".new"), leaf.CertPEM())
		if err := os.Rename(filepath.Join(dirs.Revoked, ".new"), path); err != nil {
			t.Fatal(err)
		}
		says(t, store.Verify(leaf.Cert, time.Now()), "is revoked")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := store.Verify(leaf.Cert, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}
