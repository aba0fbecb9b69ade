package cert

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
)

// newDir gives a security directory with an authority.
func newDir(t *testing.T, o Options) Dir {
	t.Helper()
	d := Dir(t.TempDir())
	if _, err := d.MakeAuthority("home", o); err != nil {
		t.Fatal(err)
	}
	return d
}

func issue(t *testing.T, d Dir, r Request) *Made {
	t.Helper()
	m, err := d.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestACertificateOfEachKindIsValid(t *testing.T) {
	for _, name := range crypt.SignerNames() {
		// One of the slow kinds stands for all but in the long tests.
		slow := strings.HasPrefix(name, "SLH-DSA") && name != "SLH-DSA-SHA2-128f" || name == "RSA-4096"
		if slow && os.Getenv("OUROBOROS_SOAK") == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			d := newDir(t, Options{Algorithm: name})
			m := issue(t, d, Request{Name: "web.example", Options: Options{Algorithm: name}})
			if m.Info.Algorithm != name || m.Info.Name != "web.example" || m.Info.Issuer != "home" || m.Info.Authority {
				t.Errorf("%+v", m.Info)
			}
			infos, err := d.Find("web.example")
			if err != nil || len(infos) != 1 || infos[0].State != Valid || infos[0].Kind != KindServer {
				t.Errorf("%+v, %v", infos, err)
			}
			found, err := d.Check("web.example")
			if err != nil || len(found) != 2 || !found[0].OK || !found[1].OK {
				t.Errorf("%+v, %v", found, err)
			}
			// Another implementation of the same rules, at its strictest.
			needs := ""
			if strings.Contains(name, "-DSA-") {
				needs = name
			}
			other, why := ct.LookOpenSSL(t, needs)
			if other == nil {
				t.Log(why)
				return
			}
			other.OK(t, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", d.trust("home"), m.Files[0])
			other.OK(t, "pkey", "-in", d.of(Server, "web.example").key, "-noout")
		})
	}
}

func TestWhatACertificateSays(t *testing.T) {
	d := newDir(t, Options{Days: 20000}) // beyond 2049, when times change their form
	before := time.Now()
	m := issue(t, d, Request{Name: "wéb", Options: Options{Days: 90}})
	c, err := crypt.ReadCertificate(m.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	x := c.X509
	if x.IsCA || x.KeyUsage != x509.KeyUsageDigitalSignature || !x.BasicConstraintsValid || c.Name != "wéb" ||
		len(x.SerialNumber.Bytes()) != 16 || len(x.SubjectKeyId) != 20 {
		t.Errorf("%+v", x)
	}
	if left := x.NotAfter.Sub(before); left < 89*24*time.Hour || left > 91*24*time.Hour || !x.NotBefore.Before(before) {
		t.Errorf("valid from %v to %v", x.NotBefore, x.NotAfter)
	}
	ca, err := crypt.ReadCertificate(d.trust("home"))
	if err != nil {
		t.Fatal(err)
	}
	if y := ca.X509; !y.IsCA || !y.MaxPathLenZero || y.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign ||
		!slices.Equal(x.AuthorityKeyId, y.SubjectKeyId) || y.NotAfter.Year() < 2075 {
		t.Errorf("%+v", y)
	}
	again := issue(t, d, Request{Name: "wéb", Options: Options{Replace: true}})
	if again.Info.Serial == m.Info.Serial || again.Info.Fingerprint == m.Info.Fingerprint {
		t.Error("two certificates have one serial number")
	}
}

func TestACertificateEndsWithItsAuthority(t *testing.T) {
	d := newDir(t, Options{Days: 10})
	m := issue(t, d, Request{Name: "web", Options: Options{Days: 100}})
	if left := time.Until(m.Info.End); left > 11*24*time.Hour || len(m.Notes) != 1 {
		t.Errorf("it ends in %v, and says %q", left, m.Notes)
	}
	found, err := d.Check("web")
	if err != nil || len(found) != 3 || found[1].OK || !strings.Contains(found[1].Text, "ends in 9 days") {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestKeysAreForTheirOwnerOnly(t *testing.T) {
	d := newDir(t, Options{})
	issue(t, d, Request{Name: "web"})
	issue(t, d, Request{Name: "alice", To: []string{"web", "mail"}})
	for _, kex := range []string{"ML-KEM-768", "X25519MLKEM768"} {
		if _, err := d.MakeKEM(kex, kex, "", false); err != nil {
			t.Fatal(err)
		}
	}
	keys := 0
	err := filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(publicMode)
		if strings.Contains(e.Name(), "key") {
			want = secretMode
			keys++
		}
		if info.Mode() != want {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil || keys != 6 {
		t.Errorf("%d keys, %v", keys, err)
	}
	if info, err := os.Stat(d.join(authorities)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the authorities lie in a directory of %v, %v", info.Mode(), err)
	}
}

func TestNothingIsOverwrittenUnasked(t *testing.T) {
	d := newDir(t, Options{})
	issue(t, d, Request{Name: "web"})
	if _, err := d.MakeKEM("web", "", "", false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Encrypt(Server, "web", Encryption{}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Trust(d.trust("home"), true); err != nil {
		t.Fatal(err)
	}
	all := map[string]func(replace bool) error{
		"ca":      func(r bool) error { _, err := d.MakeAuthority("home", Options{Replace: r}); return err },
		"issue":   func(r bool) error { _, err := d.Issue(Request{Name: "web", Options: Options{Replace: r}}); return err },
		"kem":     func(r bool) error { _, err := d.MakeKEM("web", "ML-KEM-512", "", r); return err },
		"encrypt": func(r bool) error { _, err := d.Encrypt(Server, "web", Encryption{}, r); return err },
		"trust":   func(r bool) error { _, err := d.Trust(d.trust("home"), r); return err },
	}
	for what, do := range all {
		before := contents(t, d)
		err := do(false)
		if !errors.Is(err, errno.Exist) || !strings.Contains(err.Error(), "replace") {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Equal(before, contents(t, d)) {
			t.Errorf("%s has changed something", what)
		}
	}
	for _, what := range []string{"issue", "kem", "encrypt", "trust", "ca"} {
		if err := all[what](true); err != nil {
			t.Errorf("%s with replace: %v", what, err)
		}
	}
}

func contents(t *testing.T, d Dir) (all []string) {
	t.Helper()
	err := filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, path+"\n"+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestADirectoryForAnotherHostIsWhole(t *testing.T) {
	d := newDir(t, Options{})
	other := Dir(filepath.Join(t.TempDir(), "other"))
	issue(t, d, Request{Name: "web", Into: other})
	issue(t, d, Request{Name: "alice", To: []string{"mail"}, Into: other}) // the authority is there already
	infos, err := other.List()
	if err != nil || len(infos) != 3 {
		t.Fatalf("%+v, %v", infos, err)
	}
	for _, i := range infos {
		if i.State != Valid || i.Kind == KindAuthority {
			t.Errorf("%+v", i)
		}
	}
	if _, err := os.Stat(other.join(authorities)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the key of the authority has left its host")
	}
	if _, err := other.Issue(Request{Name: "x"}); err == nil || !strings.Contains(err.Error(), "irm cert ca") {
		t.Errorf("a host without authority: %v", err)
	}
}

func TestARevokedCertificateIsRefused(t *testing.T) {
	d := newDir(t, Options{})
	issue(t, d, Request{Name: "alice", To: []string{"web", "mail"}})
	issue(t, d, Request{Name: "web"})
	infos, err := d.Revoke(d.of(Client, "mail").cert)
	if err != nil || len(infos) != 1 || infos[0].Name != "alice" {
		t.Fatalf("%+v, %v", infos, err)
	}
	found, err := d.Find("web") // the server's, and that of its client
	if err != nil || len(found) != 2 || found[0].State != Valid || found[1].State != Refused || !strings.Contains(found[1].Problem, "revoked") {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := d.Revoke("home"); err == nil || !strings.Contains(err.Error(), "all certificates that it has issued") {
		t.Errorf("an authority is revoked by its name: %v", err)
	}
	if _, err := d.Revoke(d.trust("home")); err != nil {
		t.Error(err)
	}
	if found, err = d.Find("web"); err != nil || found[0].State != Refused {
		t.Errorf("%+v, %v", found, err)
	}
}
