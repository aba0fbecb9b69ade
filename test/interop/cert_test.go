package interop

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/internal/cert"
	"ouroboros/test/host"
)

// What irm cert makes is what both implementations take, at either end.
func TestFilesOfIrmCertAreGoodForBoth(t *testing.T) {
	for _, p := range allPeers {
		t.Run(p.String(), func(t *testing.T) {
			if p != oursOurs && !host.HasReference() {
				t.Skip("no " + host.ReferenceVariable + ": the tests against the C implementation need the directory that it is installed in")
			}
			t.Parallel()
			made := cert.Dir(t.TempDir())
			s := &security{dir: t.TempDir()}
			ok := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			var all []exchange
			for _, ca := range []string{"P-256", "Ed25519", "RSA-2048"} {
				_, err := made.MakeAuthority("ca-"+ca, cert.Options{Algorithm: ca})
				ok(err)
				for _, kind := range []string{cert.DefaultAlgorithm, "P-384", "RSA-2048", "Ed25519"} {
					name := strings.ToLower(ca + "." + kind)
					o := cert.Options{Algorithm: kind}
					_, err := made.Issue(cert.Request{Name: name, Authority: "ca-" + ca, Into: cert.Dir(s.dir), Options: o})
					ok(err)
					_, err = made.Issue(cert.Request{Name: "me", To: []string{name}, Authority: "ca-" + ca, Into: cert.Dir(s.dir), Options: o})
					ok(err)
					all = append(all, exchange{name: name})
					if kind == "Ed25519" {
						continue // the C implementation does not encrypt with such a key of its own
					}
					// It may have no KEM; TestFilesOfIrmCertAgainstQuantumComputers has.
					e := cert.Encryption{Exchange: cert.ServerExchange}
					_, err = cert.Dir(s.dir).Encrypt(cert.Server, name, e, false)
					ok(err)
					_, err = cert.Dir(s.dir).Encrypt(cert.Client, name, e, false)
					ok(err)
				}
			}
			s.collect(t)
			w := trusting(t, layers[2], p, s, all)
			for _, x := range all {
				t.Run(x.name, func(t *testing.T) {
					var err error
					for range tries {
						if err = w.meets(t, x); err == nil {
							return
						}
					}
					t.Error(err)
				})
			}
			w.healthy(t)
		})
	}
}

// collect takes in what others have written into the directory.
func (s *security) collect(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, path)
		s.files = append(s.files, host.SecurityFile{Path: rel, Data: text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
