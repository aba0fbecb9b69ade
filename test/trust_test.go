package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/cert"
	"ouroboros/internal/netns"
	"ouroboros/irm"
	"ouroboros/test/host"
)

// party is a host with a security directory of its own.
type party struct {
	site
	sec    cert.Dir
	config string
}

// parties makes two hosts on an Ethernet that both have a layer on. Both trust
// the authority "home", whose key is at the first.
func parties(t *testing.T, table string) (client, server *party) {
	t.Helper()
	spaceA, spaceB := netns.Pair(t)
	raise := func(name string, space *netns.Space) *party {
		dir := t.TempDir()
		p := &party{sec: cert.Dir(filepath.Join(dir, "security")), config: filepath.Join(dir, "irmd.toml")}
		p.write(t, table)
		p.site = site{name: name, Daemon: host.StartAt(t, space, "--config", p.config)}
		p.Log().Await(t, "irmd is ready") // its layer is there
		p.client(t)                       // until the end of the whole test
		return p
	}
	client, server = raise("client", spaceA), raise("server", spaceB)
	if _, err := client.sec.MakeAuthority("home", cert.Options{}); err != nil {
		t.Fatal(err)
	}
	server.trust(t, client.sec, "home")
	return client, server
}

// write writes the configuration, with more lines for its table [security].
func (p *party) write(t *testing.T, table string) {
	t.Helper()
	text := fmt.Sprintf("[daemon]\nstate = \"keep\"\nstate_file = %q\n[eth-dix.e]\nbootstrap = \"lan\"\ndev = %q\n[security]\ndir = %q\n%s\n",
		filepath.Join(filepath.Dir(p.config), "state"), netns.Dev, p.sec, table)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *party) trust(t *testing.T, of cert.Dir, name string) {
	t.Helper()
	if _, err := p.sec.Trust(filepath.Join(string(of), "cacert", name+".pem"), true); err != nil {
		t.Fatal(err)
	}
}

// issue has the authority of one host issue for another one.
func (p *party) issue(t *testing.T, of *party, name string, to ...string) {
	t.Helper()
	if _, err := of.sec.Issue(cert.Request{Name: name, To: to, Into: p.sec}); err != nil {
		t.Fatal(err)
	}
}

func (p *party) encrypt(t *testing.T, side cert.Side, name string, e cert.Encryption) {
	t.Helper()
	if _, err := p.sec.Encrypt(side, name, e, true); err != nil {
		t.Fatal(err)
	}
}

func (p *party) set(t *testing.T, name string, words ...string) {
	t.Helper()
	p.OK(t, "irm", "name", "create", name)
	p.OK(t, "irm", append([]string{"name", "set", name}, words...)...)
}

// try allocates a flow, and gives how it is protected at both ends.
func try(t *testing.T, client, server *party, name string) (irm.Protection, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), host.Patience)
	defer cancel()
	f, err := client.client(t).Alloc(ctx, name, nil)
	if err != nil {
		return irm.Protection{}, err
	}
	defer f.Close()
	f.SetReadTimeout(host.Patience)
	buf := make([]byte, 100)
	if _, err := f.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	var both []irm.Protection
	for _, p := range []*party{client, server} {
		flows, err := p.Irm.ListFlows(ctx)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(flows, func(f irm.FlowInfo) bool { return f.Name == name && f.State == "allocated" })
		if at < 0 {
			t.Fatalf("%s has no flow to %s: %+v", p.name, name, flows)
		}
		both = append(both, flows[at].Protection)
	}
	if both[0] != both[1] {
		t.Errorf("the flow is %+v here and %+v there", both[0], both[1])
	}
	return both[0], nil
}

func TestDemandsAreMetOrRefusedAtBothEnds(t *testing.T) {
	client, server := parties(t, "")
	const aes, none = "aes-256-gcm", "none"
	for i, tc := range []struct {
		name     string
		set      func(name string) // up, and nothing else is there
		want     irm.Protection
		err      error
		atServer string // in its log, when it is who refuses
	}{
		{"nothing", func(string) {}, irm.Protection{Cipher: none}, nil, ""},
		{"the client encrypts", func(n string) { client.encrypt(t, cert.Client, n, cert.Encryption{}) },
			irm.Protection{Cipher: aes, Exchange: cert.ClientExchange, KDF: "sha256"}, nil, ""},
		{"all of it", func(n string) {
			server.issue(t, client, n)
			client.issue(t, client, "alice", n)
			client.encrypt(t, cert.Client, n, cert.Encryption{Exchange: "X25519", Cipher: "chacha20-poly1305"})
			server.encrypt(t, cert.Server, n, cert.Encryption{})
			server.set(t, n, "sdemand", "both", "allow", "alice", "allow", "bob")
			client.set(t, n, "cdemand", "both")
		}, irm.Protection{Cipher: "chacha20-poly1305", Exchange: "X25519", KDF: "sha256", Client: "alice", Server: n(2)}, nil, ""},
		{"the server demands a certificate", func(n string) { server.set(t, n, "sdemand", "auth") },
			irm.Protection{}, ouroboros.ErrAuth, "the client shows no certificate"},
		{"the server demands encryption", func(n string) { server.set(t, n, "sdemand", "encryption") },
			irm.Protection{}, ouroboros.ErrCrypt, "demands"},
		{"the server allows others", func(n string) {
			client.issue(t, client, "mallory", n)
			server.set(t, n, "allow", "alice")
		}, irm.Protection{}, ouroboros.ErrAuth, `\"mallory\" is none of them`},
		{"the server allows some, the client is nobody", func(n string) { server.set(t, n, "allow", "alice") },
			irm.Protection{}, ouroboros.ErrAuth, "shows no certificate"},
		{"the client demands a certificate", func(n string) { client.set(t, n, "cdemand", "auth") },
			irm.Protection{}, ouroboros.ErrAuth, ""},
		{"the client demands encryption, and has no settings", func(n string) { client.set(t, n, "cdemand", "encryption") },
			irm.Protection{Cipher: aes, Exchange: "X25519", KDF: "sha256"}, nil, ""},
		{"the server has a stronger exchange", func(n string) {
			client.encrypt(t, cert.Client, n, cert.Encryption{Exchange: "prime256v1"})
			server.encrypt(t, cert.Server, n, cert.Encryption{Exchange: "X448"})
		}, irm.Protection{}, ouroboros.ErrCrypt, "weaker than the X448"},
		{"a cipher that notices no changes, and a demand", func(n string) {
			client.encrypt(t, cert.Client, n, cert.Encryption{Cipher: "aes-256-ctr"})
			server.set(t, n, "sdemand", "encryption")
		}, irm.Protection{}, ouroboros.ErrCrypt, "ctr"},
		{"a static key of the server", func(n string) {
			if _, err := server.sec.MakeKEM(n, "ML-KEM-768", client.sec, false); err != nil {
				t.Fatal(err)
			}
			server.encrypt(t, cert.Server, n, cert.Encryption{Exchange: "ML-KEM-768"})
			client.encrypt(t, cert.Client, n, cert.Encryption{Exchange: "ML-KEM-768", Encapsulate: true})
		}, irm.Protection{Cipher: aes, Exchange: "ML-KEM-768", KDF: "sha256"}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := n(i)
			tc.set(name)
			server.serve(t, name, "lan", echoes)
			got, err := try(t, client, server, name)
			if !errors.Is(err, tc.err) || got != tc.want {
				t.Errorf("%+v, %v", got, err)
			}
			if tc.atServer != "" {
				server.Log().Await(t, "a flow was denied name="+name)
				if !strings.Contains(server.Log().String(), tc.atServer) {
					t.Errorf("the log of the server does not say %q", tc.atServer)
				}
			}
		})
	}
}

func n(i int) string { return fmt.Sprintf("n%d", i) }

func TestSettingsOfNamesSurviveARestart(t *testing.T) {
	client, server := parties(t, "")
	server.serve(t, "vault", "lan", echoes)
	server.set(t, "vault", "sdemand", "auth", "allow", "alice")
	if code := server.Stop(t); code != 0 {
		t.Fatalf("exit %d", code)
	}
	server.Daemon, server.me = server.Again(t, "--config", server.config), nil
	server.Log().Await(t, "irmd is ready")
	names, err := server.Irm.ListNames(t.Context())
	if err != nil || len(names) != 1 || names[0].ServerDemand != irm.DemandAuth || !slices.Equal(names[0].Allow, []string{"alice"}) {
		t.Fatalf("%+v, %v", names, err)
	}
	server.serve(t, "vault", "lan", echoes)
	if _, err := try(t, client, server, "vault"); !errors.Is(err, ouroboros.ErrAuth) {
		t.Error(err)
	}
	client.issue(t, client, "alice", "vault")
	if got, err := try(t, client, server, "vault"); err != nil || got.Client != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheDemandsOfANodeChangeWithASignal(t *testing.T) {
	client, server := parties(t, `server_demand = "encryption"`)
	server.serve(t, "vault", "lan", echoes)
	server.serve(t, "open", "lan", echoes)
	server.set(t, "open", "sdemand", "none")
	if _, err := try(t, client, server, "vault"); !errors.Is(err, ouroboros.ErrCrypt) {
		t.Error(err)
	}
	if _, err := try(t, client, server, "open"); err != nil {
		t.Error(err)
	}
	server.write(t, "")
	server.Signal(syscall.SIGHUP)
	server.Log().Await(t, "demands are as the configuration says")
	if got, err := try(t, client, server, "vault"); err != nil || got.Cipher != "none" {
		t.Errorf("%+v, %v", got, err)
	}
	// What a node demands holds for names, too, that it has never heard of.
	client.write(t, `client_demand = "auth"`)
	client.Signal(syscall.SIGHUP)
	client.Log().Await(t, "demands are as the configuration says")
	if _, err := try(t, client, server, "vault"); !errors.Is(err, ouroboros.ErrAuth) {
		t.Error(err)
	}
}

func TestFlowsWithinANodeMeetDemandsToo(t *testing.T) {
	client, _ := parties(t, "")
	client.serve(t, "vault", "lan", echoes)
	if got, err := try(t, client, client, "vault"); err != nil || got != (irm.Protection{Cipher: "local"}) {
		t.Errorf("%+v, %v", got, err)
	}
	client.set(t, "vault", "sdemand", "auth", "allow", "alice")
	if _, err := try(t, client, client, "vault"); !errors.Is(err, ouroboros.ErrAuth) {
		t.Error(err)
	}
	client.issue(t, client, "alice", "vault")
	client.issue(t, client, "vault")
	if got, err := try(t, client, client, "vault"); err != nil || got != (irm.Protection{Cipher: "local", Client: "alice", Server: "vault"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// forge issues a certificate as no tool of ours would.
func forge(t *testing.T, by *party, path, name string, change func(*x509.Certificate)) {
	t.Helper()
	read := func(elem ...string) []byte {
		b, err := os.ReadFile(filepath.Join(append([]string{string(by.sec), "ca", "home"}, elem...)...))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		return block.Bytes
	}
	ca, err := x509.ParseCertificate(read("crt.pem"))
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := x509.ParsePKCS8PrivateKey(read("key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{"crt.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What is wrong with a certificate is said, with the next step, to who can do
// something: in the error of the client for that of the server, and in the log
// of the server for that of the client. irm cert check finds it before.
func TestCertificatesThatCannotBeBelieved(t *testing.T) {
	client, server := parties(t, "")
	stranger := &party{sec: cert.Dir(t.TempDir())}
	if _, err := stranger.sec.MakeAuthority("elsewhere", cert.Options{}); err != nil {
		t.Fatal(err)
	}
	i := 0
	for _, tc := range []struct {
		name  string
		put   func(of *party, side cert.Side, dst, name string)
		want  []string // of the problem and the next step
		check bool     // that irm cert check at its owner finds it, too
	}{
		{"ended", func(of *party, side cert.Side, dst, name string) {
			forge(t, client, of.dir(side, dst), name, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-24 * time.Hour) })
		}, []string{"ended on 20", "renew it"}, true},
		{"not yet begun", func(of *party, side cert.Side, dst, name string) {
			forge(t, client, of.dir(side, dst), name, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) })
		}, []string{"begins on 20", "clocks"}, true},
		{"of an unknown authority", func(of *party, side cert.Side, dst, name string) {
			of.issueAs(t, stranger, side, dst, name)
		}, []string{"elsewhere", "put the certificate of that authority"}, false},
		{"revoked", func(of *party, side cert.Side, dst, name string) {
			of.issueAs(t, client, side, dst, name)
			for _, p := range []*party{client, server} {
				if _, err := p.sec.Revoke(filepath.Join(of.dir(side, dst), "crt.pem")); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"is revoked", "issue a new one"}, true},
		{"with another key", func(of *party, side cert.Side, dst, name string) {
			of.issueAs(t, client, side, dst, name)
			forge(t, client, of.dir(side, dst)+"x", name, func(*x509.Certificate) {})
			if err := os.Rename(filepath.Join(of.dir(side, dst)+"x", "key.pem"), filepath.Join(of.dir(side, dst), "key.pem")); err != nil {
				t.Fatal(err)
			}
		}, []string{"key.pem is not that of the certificate", "made together"}, true},
	} {
		for _, side := range []cert.Side{cert.Server, cert.Client} {
			t.Run(tc.name+", "+string(side), func(t *testing.T) {
				dst := n(i)
				i++
				of, name := server, dst
				if side == cert.Client {
					of, name = client, "alice"
				}
				tc.put(of, side, dst, name)
				server.serve(t, dst, "lan", echoes)
				_, err := try(t, client, server, dst)
				if !errors.Is(err, ouroboros.ErrAuth) && !errors.Is(err, ouroboros.ErrCrypt) {
					t.Fatal(err)
				}
				said := err.Error()
				// A key that does not fit is seen by its own node.
				if (side == cert.Client) != (tc.name == "with another key") {
					server.Log().Await(t, "a flow was denied name="+dst)
					said = server.Log().String()
				}
				for _, w := range tc.want {
					if !strings.Contains(said, w) {
						t.Errorf("%q is not said in: %s", w, said)
					}
				}
				if tc.check {
					r := of.Run(t, "irm", "cert", "check", dst, "dir", string(of.sec))
					if r.Code != 1 || !strings.Contains(r.Stdout, "wrong") {
						t.Errorf("irm cert check finds nothing:\n%s", r.Stdout)
					}
				}
			})
		}
	}
}

func (p *party) dir(side cert.Side, dst string) string {
	return filepath.Join(string(p.sec), string(side), dst)
}

// issueAs has a host's authority, which others need not trust, issue.
func (p *party) issueAs(t *testing.T, of *party, side cert.Side, dst, name string) {
	t.Helper()
	into := cert.Dir(t.TempDir())
	r := cert.Request{Name: name, Into: into}
	if side == cert.Client {
		r.To = []string{dst}
	}
	if _, err := of.sec.Issue(r); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(p.dir(side, dst), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"crt.pem", "key.pem"} {
		b, err := os.ReadFile(filepath.Join(string(into), string(side), dst, f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.dir(side, dst), f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
