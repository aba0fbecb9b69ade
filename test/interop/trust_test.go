package interop

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/netns"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/test/host"
)

// end is with what one side of an exchange is set up.
type end struct {
	conf string // enc.conf, lines divided by semicolons; "-" = there is none
	crt  *ct.Identity
}

// exchange is a pair of them under a name of its own, and what comes of it.
type exchange struct {
	name           string
	client, server end
	number         int    // with which the allocation fails; 0 = the flow carries pings
	ours           string // the end that the C implementation cannot be at
}

// security is a directory with the files of all exchanges, and whom both hosts
// trust.
type security struct {
	dir   string
	files []host.SecurityFile
}

func (s *security) put(t testing.TB, path string, text []byte) {
	t.Helper()
	ct.Write(t, filepath.Join(s.dir, path), text)
	s.files = append(s.files, host.SecurityFile{Path: path, Data: text})
}

func (s *security) side(t testing.TB, dir string, e end) {
	t.Helper()
	if e.conf != "-" {
		s.put(t, dir+"/enc.conf", []byte(strings.ReplaceAll(e.conf, ";", "\n")+"\n"))
	}
	if e.crt != nil {
		s.put(t, dir+"/crt.pem", e.crt.CertPEM())
		s.put(t, dir+"/key.pem", e.crt.KeyPEM(t))
	}
}

// exchanges are those that both implementations can make: no KEM and no
// post-quantum certificate, which the C implementation has with newer libraries
// only.
func exchanges(t testing.TB, s *security) []exchange {
	t.Helper()
	root := ct.Authority(t, "root", "P-256")
	between := root.Intermediate(t, "between", "P-384")
	s.put(t, "cacert/root.pem", root.CertPEM())
	s.put(t, "untrusted/between.pem", between.CertPEM())
	var all []exchange
	add := func(name string, client, server end, number int) *exchange {
		all = append(all, exchange{name: name, client: client, server: server, number: number})
		return &all[len(all)-1]
	}
	plain := end{conf: "-"}
	enc := func(conf string) end { return end{conf: conf} }
	const usual = "kex=prime256v1;cipher=aes-256-gcm;kdf=sha256"

	// Who they are.
	crt := func(by *ct.Identity, name, kind string, change ...func(*x509.Certificate)) *ct.Identity {
		return by.Issue(t, name, kind, change...)
	}
	with := func(e end, c *ct.Identity) end { e.crt = c; return e }
	for _, kind := range []string{"P-256", "P-384", "P-521", "RSA-2048", "Ed25519", "Ed448"} {
		n := strings.ToLower(kind)
		add(n+"-server", plain, with(plain, crt(root, n+"-server", kind)), 0)
		add(n+"-client", with(plain, crt(root, "me", kind)), plain, 0)
		if pure := strings.HasPrefix(kind, "Ed"); !pure {
			add(n+"-both", with(enc(usual), crt(root, "me", kind)), with(enc(usual), crt(root, n+"-both", kind)), 0)
			continue
		}
		// With encryption the C implementation has a hash in its messages, with
		// which no such key signs. It takes ours, which have none.
		add(n+"-enc-client", with(enc(usual), crt(root, "me", kind)), with(enc(usual), crt(root, n+"-enc-client", "P-256")), 0).ours = "client"
		add(n+"-enc-server", with(enc(usual), crt(root, "me", "P-256")), with(enc(usual), crt(root, n+"-enc-server", kind)), 0).ours = "server"
	}
	add("digests", with(enc(usual+";digest=sha512"), crt(root, "me", "P-384")), with(enc(usual+";digest=sha3-384"), crt(root, "digests", "RSA-2048")), 0)
	add("between", plain, with(plain, crt(between, "between", "P-256", func(c *x509.Certificate) {
		c.Subject = pkix.Name{Country: []string{"BE"}, Organization: []string{"x"}, CommonName: "between"}
	})), 0)
	old := ct.Valid(time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	rogue := ct.Authority(t, "rogue", "P-256")
	add("wrong-name", plain, with(plain, crt(root, "other", "P-256")), 1008)
	add("rogue-server", plain, with(plain, crt(rogue, "rogue-server", "P-256")), 1008)
	add("old-server", plain, with(plain, crt(root, "old-server", "P-256", old)), 1008)
	add("rogue-client", with(plain, crt(rogue, "me", "P-256")), plain, 1009)
	add("old-client", with(plain, crt(root, "me", "P-256", old)), plain, 1009)

	// How they encrypt.
	add("plain", plain, plain, 0)
	add("client-only", enc(usual), plain, 0)
	add("server-only", plain, enc(usual), 1008)
	add("server-none", enc(usual), enc("none"), 0)
	add("client-none", enc("none"), enc(usual), 1008)
	add("empty", enc(""), enc(""), 0)
	add("cipher-up", enc("kex=X25519;cipher=aes-128-gcm"), enc("kex=X25519;cipher=chacha20-poly1305"), 0)
	add("both-down", enc("kex=X25519;cipher=chacha20-poly1305;kdf=sha512"), enc("kex=X25519;cipher=aes-128-gcm;kdf=sha3-256"), 0)
	add("kex-weaker", enc("kex=ffdhe2048"), enc("kex=secp521r1"), 1008)
	add("kex-stronger", enc("kex=secp521r1"), enc("kex=ffdhe2048"), 0)
	add("unknown", enc(usual), enc("cipher=foo"), 1008)
	for _, x := range crypt.ExchangeNames() {
		if !crypt.ExchangeOf(x).KEM() {
			add("kex-"+x, enc("kex="+x), enc("kex="+x), 0)
		}
	}
	for _, h := range wire.HashNames() {
		add("kdf-"+h, enc("kex=X25519;kdf="+h), enc("kex=X25519;kdf="+h), 0)
	}
	for _, c := range wire.CipherNames() {
		add("cipher-"+c, enc("kex=X25519;cipher="+c), enc("kex=X25519;cipher="+c), 0)
	}
	for _, x := range all {
		s.side(t, "client/"+x.name, x.client)
		s.side(t, "server/"+x.name, x.server)
	}
	return all
}

// Certificates of all kinds and all ways to agree on encryption, with the C
// implementation at either end.
func TestTwoHostsAgreeOrDoNot(t *testing.T) {
	for _, p := range allPeers {
		t.Run(p.String(), func(t *testing.T) {
			if p != oursOurs && !host.HasReference() {
				t.Skip("no " + host.ReferenceVariable + ": the tests against the C implementation need the directory that it is installed in")
			}
			t.Parallel()
			s := &security{dir: t.TempDir()}
			all := exchanges(t, s)
			w := trusting(t, layers[2], p, s, all)
			for i, x := range all {
				t.Run(x.name, func(t *testing.T) {
					if x.ours == "client" && p.client == reference || x.ours == "server" && p.server == reference {
						t.Skip("the C implementation signs so not together with encryption")
					}
					for try := 1; ; try++ {
						err := w.meets(t, x)
						if err == nil {
							return
						}
						if p == oursOurs || try == tries {
							t.Fatalf("try %d: %v", try, err)
						}
						t.Logf("try %d: %v", try, err)
						if try > 1 { // it has come to a stand
							w = trusting(w.t, layers[2], p, s, all[i:])
						}
					}
				})
			}
			if p.client == ours {
				noFlows(t, w.here())
			}
			w.healthy(t)
		})
	}
}

// trusting makes a world with security files, in which the names of exchanges
// are served.
func trusting(t testing.TB, l layer, p peers, s *security, all []exchange, options ...netns.Option) *world {
	t.Helper()
	config := filepath.Join(t.TempDir(), "irmd.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[security]\ndir = %q\n", s.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{layer: l, peers: p, t: t, arguments: []string{"--config", config}, files: s.files}
	for _, x := range all {
		w.more = append(w.more, x.name)
	}
	w.a, w.b = netns.Pair(t, options...)
	w.start(t)
	server := w.server.Go(t, nil, "oping", "--listen", "-Q")
	for _, x := range all {
		w.server.Bind(t, server, x.name)
		w.register(t, x.name)
		if r, ok := w.client.(*host.Reference); ok {
			// So it finds the files, which a name that irm creates may not.
			r.OK(t, "irm", "bind", "program", "/bin/true", "name", x.name)
		}
	}
	return w
}

// meets says whether what was to come of an exchange does.
func (w *world) meets(t testing.TB, x exchange) error {
	t.Helper()
	words := []string{"-n", x.name, "-c", "2", "-i", "50ms", "-s", "64"}
	want := "2 packets transmitted, 2 received"
	if x.number != 0 {
		want = fmt.Sprintf("Failed to allocate flow: -%d", x.number)
	}
	if w.peers.client == reference {
		words[5] = "50" // it takes no units
	}
	r := w.client.Run(t, "oping", words...)
	if !strings.Contains(r.Stdout+r.Stderr, want) {
		return fmt.Errorf("want %q, exit %d:\n%s%s", want, r.Code, r.Stdout, r.Stderr)
	}
	return nil
}
