package oap

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// Any two sides work, with and without a certificate, with and without
// encryption, whatever the keys in the certificates are.
func TestTwoSidesProveWhoTheyAre(t *testing.T) {
	kinds := []string{"P-256", "P-384", "P-521", "RSA-2048", "Ed25519", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "SLH-DSA-SHA2-128f"}
	root := ct.Authority(t, "root", "P-256")
	pq := ct.Authority(t, "pq", "ML-DSA-65")
	for i, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			by := []*ct.Identity{root, pq}[i%2]
			for _, conf := range []string{"-", "kex=X25519", "kex=X25519;digest=sha3-512;kdf=sha512"} {
				for _, who := range []string{"both", "client", "server", "nobody"} {
					p := newPair(t, root, pq)
					encrypt(t, p.c, conf)
					encrypt(t, p.s, conf)
					var self, peer string
					if who == "both" || who == "client" {
						by.Issue(t, "me", kind).Write(t, p.c.Dir)
						self = "me"
					}
					if who == "both" || who == "server" {
						by.Issue(t, name, kinds[(i+1)%len(kinds)]).Write(t, p.s.Dir)
						peer = name
					}
					e := p.run()
					if conf == "-" {
						e.works(t, 0, "", 0)
					} else {
						e.works(t, wire.AES256GCM, "X25519", e.client.KDF)
					}
					if e.client.Self != self || e.client.Peer != peer {
						t.Errorf("%s, %s: the client is %q, the server %q", who, conf, e.client.Self, e.client.Peer)
					}
					m, err := wire.DecodeRequest(e.request)
					if err != nil {
						t.Fatal(err)
					}
					// So that a peer of any kind can check it.
					if pure := strings.HasPrefix(kind, "Ed") && self != ""; pure && m.Hash != 0 || !pure && conf != "-" && m.Hash == 0 {
						t.Errorf("%s, %s: the request names the hash %v", who, conf, m.Hash)
					}
				}
			}
		})
	}
}

func TestSomebodyWhoIsNotTrusted(t *testing.T) {
	root := ct.Authority(t, "root", "P-256")
	other := ct.Authority(t, "other", "P-256")
	now, day := time.Now(), 24*time.Hour
	issue := func(n string) *ct.Identity { return root.Issue(t, n, "P-256") }
	mixed := func(t *testing.T, dir string, n string) {
		issue(n).Write(t, dir)
		ct.Write(t, filepath.Join(dir, keyFile), issue(n).KeyPEM(t))
	}
	for _, tc := range []struct {
		name  string
		write func(t *testing.T, dir, n string)
		says  string
		own   bool // the side itself notices
		host  bool // only the client looks at the name
	}{
		{"an unknown authority", func(t *testing.T, dir, n string) { other.Issue(t, n, "P-256").Write(t, dir) }, `"CN=other", which this node does not trust`, false, false},
		{"ended", func(t *testing.T, dir, n string) {
			root.Issue(t, n, "P-256", ct.Valid(now.Add(-2*day), now.Add(-day))).Write(t, dir)
		}, "ended on " + now.Add(-day).UTC().Format("2006-01-02"), false, false},
		{"not begun", func(t *testing.T, dir, n string) {
			root.Issue(t, n, "P-256", ct.Valid(now.Add(day), now.Add(2*day))).Write(t, dir)
		}, "begins on", false, false},
		{"for another name", func(t *testing.T, dir, n string) { issue("mail.example").Write(t, dir) }, `the certificate of "mail.example"`, false, true},
		{"for no name", func(t *testing.T, dir, n string) { issue("").Write(t, dir) }, "no common name", false, false},
		{"with a key of another", mixed, "is not that of the certificate", true, false},
		{"cut", func(t *testing.T, dir, n string) {
			issue(n).Write(t, dir)
			ct.Write(t, filepath.Join(dir, certificateFile), ct.PEM("CERTIFICATE", issue(n).Cert.X509.Raw[:200]))
		}, "it is no certificate", true, false},
		{"without PEM", func(t *testing.T, dir, n string) {
			issue(n).Write(t, dir)
			ct.Write(t, filepath.Join(dir, certificateFile), issue(n).Cert.X509.Raw)
		}, "there is no certificate in it", true, false},
		{"that everybody can change", func(t *testing.T, dir, n string) {
			issue(n).Write(t, dir)
			os.Chmod(filepath.Join(dir, certificateFile), 0o666)
		}, "can be changed by others", true, false},
		{"with a key that everybody can read", func(t *testing.T, dir, n string) {
			issue(n).Write(t, dir)
			os.Chmod(filepath.Join(dir, keyFile), 0o644)
		}, "can be read by everybody", true, false},
	} {
		for _, client := range []bool{true, false} {
			if tc.host && client {
				continue
			}
			t.Run(tc.name+map[bool]string{true: ", client", false: ", server"}[client], func(t *testing.T) {
				p := newPair(t, root)
				dir, n := p.s.Dir, name
				if client {
					dir, n = p.c.Dir, "me"
				}
				tc.write(t, dir, n)
				e := p.run()
				err, want := e.serverErr, errno.AuthFailed
				switch {
				case client && tc.own:
					err = e.clientErr
				case !client && !tc.own:
					err, want = e.clientErr, errno.Crypt
				}
				fails(t, err, want, tc.says)
			})
		}
	}
}

func TestARevokedCertificateIsRefusedFromTheNextFlowOn(t *testing.T) {
	root := ct.Authority(t, "root", "P-256")
	dirs := crypt.StoreDirsBelow(t.TempDir())
	ct.Put(t, dirs.Authorities, root)
	p := newPair(t)
	p.client.Store = crypt.NewStore(dirs, nil)
	p.server = NewServer(ServerConfig{Store: p.client.Store})
	me, web := root.Issue(t, "me", "P-256"), root.Issue(t, name, "P-256")
	me.Write(t, p.c.Dir)
	web.Write(t, p.s.Dir)
	p.run().works(t, 0, "", 0)
	ct.Put(t, dirs.Revoked, web)
	fails(t, p.run().clientErr, errno.Crypt, `"web.example" is revoked`)
	ct.Put(t, dirs.Revoked, me)
	fails(t, p.run().serverErr, errno.AuthFailed, `"me" is revoked`)
}

func TestDemandsForCertificates(t *testing.T) {
	root := ct.Authority(t, "root", "Ed25519")
	p := newPair(t, root)
	p.s.RequireAuth = true
	fails(t, p.run().serverErr, errno.AuthFailed, "the client shows no certificate")
	root.Issue(t, "me", "Ed25519").Write(t, p.c.Dir)
	p.run().works(t, 0, "", 0)
	p.c.RequireAuth = true
	fails(t, p.run().clientErr, errno.AuthFailed, "the server of \"web.example\" shows no certificate")
	root.Issue(t, name, "Ed25519").Write(t, p.s.Dir)
	p.run().works(t, 0, "", 0)

	p.s.RequireAuth, p.s.Allow = false, []string{"you", "he"}
	fails(t, p.run().serverErr, errno.AuthFailed, `"me" is none of them`)
	os.Remove(filepath.Join(p.c.Dir, keyFile))
	fails(t, p.run().serverErr, errno.AuthFailed, "is for certain clients")
	root.Issue(t, "he", "Ed25519").Write(t, p.c.Dir)
	p.run().works(t, 0, "", 0)
	// The list is one of whole names.
	for _, n := range []string{"h", "hee", "HE", "he ", "you, he"} {
		root.Issue(t, n, "Ed25519").Write(t, p.c.Dir)
		fails(t, p.run().serverErr, errno.AuthFailed, "none of them")
	}
}

// A certificate without its key, or the other way round, says nothing: the
// protocol has it so. The log says it.
func TestHalfAnIdentityIsNone(t *testing.T) {
	root := ct.Authority(t, "root", "Ed25519")
	for _, missing := range []string{certificateFile, keyFile} {
		var text bytes.Buffer
		p := newPair(t, root)
		p.client.Log = slog.New(slog.NewTextHandler(&text, nil))
		root.Issue(t, "me", "Ed25519").Write(t, p.c.Dir)
		os.Remove(filepath.Join(p.c.Dir, missing))
		e := p.run()
		e.works(t, 0, "", 0)
		if e.server.Peer != "" || !strings.Contains(text.String(), "stays anonymous") {
			t.Errorf("without %s the client is %q; the log says %q", missing, e.server.Peer, &text)
		}
	}
}

// What the messages say of who sent them cannot be changed.
func TestCertificatesOfOthersAreOfNoUse(t *testing.T) {
	root := ct.Authority(t, "root", "P-256")
	p := newPair(t, root)
	root.Issue(t, "me", "P-256").Write(t, p.c.Dir)
	root.Issue(t, name, "P-256").Write(t, p.s.Dir)
	big := make([]byte, wire.MaxCertificate)
	his := root.Issue(t, "he", "P-256")
	earlier, err := wire.DecodeRequest(p.run().request)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(m *wire.Message)
		says   string
	}{
		{"another's certificate", func(m *wire.Message) { m.Certificate = his.Cert.X509.Raw }, "cannot sign for it"},
		{"no signature", func(m *wire.Message) { m.Signature = nil }, "cannot sign for it"},
		{"the signature of another request", func(m *wire.Message) { m.Signature = earlier.Signature }, "cannot sign for it"},
		{"another hash", func(m *wire.Message) { m.Hash = wire.SHA512 }, "cannot sign for it"},
		{"another time", func(m *wire.Message) { m.Time++ }, "cannot sign for it"},
		{"another id", func(m *wire.Message) { m.ID[0]++ }, "cannot sign for it"},
		{"data", func(m *wire.Message) { m.Data = []byte("x") }, "cannot sign for it"},
		{"a certificate of zeros", func(m *wire.Message) { m.Certificate = big }, "cannot be read"},
		{"a certificate with more behind it", func(m *wire.Message) { m.Certificate = append(bytes.Clone(m.Certificate), 0) }, "cannot be read"},
		{"an authority", func(m *wire.Message) { m.Certificate = root.Cert.X509.Raw }, "cannot sign for it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fails(t, p.run(edit(t, tc.change)).serverErr, errno.AuthFailed, tc.says)
		})
	}
}

func TestSecretsAreWiped(t *testing.T) {
	root := ct.Authority(t, "root", "Ed25519")
	p := newPair(t, root)
	encrypt(t, p.c, "kex=ML-KEM-512;kem_mode=client")
	encrypt(t, p.s, "kex=ML-KEM-512")
	p.static(t, crypt.MLKEM512)
	root.Issue(t, name, "Ed25519").Write(t, p.s.Dir)
	a, err := p.client.Begin(name, p.c)
	if err != nil {
		t.Fatal(err)
	}
	sealed := a.key
	a.Abandon()
	if *sealed != (crypt.Key{}) || a.key != nil || a.own != nil {
		t.Error("an attempt that was given up keeps its key")
	}
	if a, err = p.client.Begin(name, p.c); err != nil {
		t.Fatal(err)
	}
	accepted, err := p.server.Check(name, p.s, a.Request(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	signer := accepted.who.key
	accepted.Abandon()
	if accepted.who != nil || accepted.static != nil {
		t.Error("a request that was given up keeps its keys")
	}
	if sig, err := signer.Sign(0, nil); err == nil && signer.Public().Verify(0, nil, sig) == nil {
		t.Error("the private key is left")
	}
	// A response that does not fit leaves nothing either.
	sealed = a.key
	if _, err := a.Complete(nil); err == nil || *sealed != (crypt.Key{}) {
		t.Error("a failed exchange keeps its key", err)
	}
}

// Many exchanges at once, all of which succeed.
func TestManyExchangesAtOnce(t *testing.T) {
	root := ct.Authority(t, "root", "Ed25519")
	p := newPair(t, root)
	encrypt(t, p.c, "kex=X25519")
	encrypt(t, p.s, "kex=X25519")
	root.Issue(t, "me", "Ed25519").Write(t, p.c.Dir)
	root.Issue(t, name, "Ed25519").Write(t, p.s.Dir)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if e := p.run(); e.err() != nil {
				t.Error(e.err())
			} else {
				e.works(t, wire.AES256GCM, "X25519", wire.SHA256)
			}
		})
	}
	all.Wait()
}
