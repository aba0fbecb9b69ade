package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/cert"
	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/netns"
	"ouroboros/irm"
	"ouroboros/test/host"
)

// jumbo is for messages of the length that the C implementation has room for:
// those with post-quantum certificates take most of it.
var (
	jumbo = netns.MTU(9000)
	usual = netns.MTU(1500)
)

// withQuantum skips what a C implementation is needed for that has the algorithms
// that stand against quantum computers.
func withQuantum(t testing.TB, p peers) {
	t.Helper()
	if p != oursOurs {
		host.NeedQuantum(t)
	}
}

// quantum is an exchange, and what a node of ours shows of its flow.
type quantum struct {
	exchange
	static  crypt.Exchange // the server has a key of it for clients that encapsulate
	keyless string         // the side that has not got its part of that key
	made    bool           // its files are there already

	kex, kdf, me, by string // shown; me and by are of the certificates in files that are there

	own int // number when the server is ours; 0 = the same
	toC int // number when the certificate goes to the C implementation; 0 = the same
}

// staticKey makes the key of a server for clients that encapsulate.
func (q *quantum) staticKey(t testing.TB, s *security) {
	t.Helper()
	if q.static == 0 {
		return
	}
	k, err := crypt.GenerateStaticKey(q.static)
	if err != nil {
		t.Fatal(err)
	}
	private, err := k.PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{crypt.StaticKeyRaw, crypt.StaticPublicRaw}
	public := k.Public()
	if !q.static.Hybrid() {
		names = []string{crypt.StaticKeyPEM, crypt.StaticPublicPEM}
		private, public = ct.PEM("PRIVATE KEY", private), ct.PEM("PUBLIC KEY", public)
	}
	if q.keyless != "server" {
		s.put(t, "server/"+q.name+"/"+names[0], private)
	}
	if q.keyless != "client" {
		s.put(t, "client/"+q.name+"/"+names[1], public)
	}
}

// quantumExchanges are the ways to agree on a key with one side encapsulating.
func quantumExchanges() (all []*quantum) {
	add := func(name, client, server string, number int, kex string) *quantum {
		q := &quantum{kex: kex, kdf: "sha256"}
		q.exchange = exchange{name: name, client: end{conf: client}, server: end{conf: server}, number: number}
		all = append(all, q)
		return q
	}
	for _, x := range cert.KEMNames() {
		n, conf := strings.ToLower(x), "kex="+x
		add(n, conf, conf, 0, x)
		add(n+"-client-only", conf, "-", 0, x)
		add(n+"-client-encapsulates", conf+";kem_mode=client", conf, 0, x).static = crypt.ExchangeOf(x)
	}
	add("to-classical", "kex=ML-KEM-768", "kex=X25519", 0, "ML-KEM-768")
	add("hybrid-to-pure", "kex=X25519MLKEM768", "kex=ML-KEM-512", 0, "X25519MLKEM768")
	add("from-classical", "kex=X25519", "kex=ML-KEM-512", 1008, "")
	add("pure-to-hybrid", "kex=ML-KEM-1024", "kex=X25519MLKEM768", 1008, "")
	add("weaker", "kex=ML-KEM-512", "kex=ML-KEM-768", 1008, "")
	add("mode-of-the-server", "kex=ML-KEM-768", "kex=ML-KEM-768;kem_mode=client", 0, "ML-KEM-768")
	const encapsulates = "kex=ML-KEM-768;kem_mode=client"
	kem := crypt.MLKEM768
	add("encapsulates-to-classical", encapsulates, "kex=prime256v1", 1008, "").static = kem
	add("encapsulates-to-another", "kex=X25519MLKEM768;kem_mode=client", "kex=ML-KEM-768", 0, "X25519MLKEM768").static = crypt.X25519MLKEM768
	add("no-private-key", encapsulates, "kex=ML-KEM-768", 1008, "").keyless = "server"
	all[len(all)-1].static = kem
	add("no-public-key", encapsulates, "kex=ML-KEM-768", noPublicKey, "").keyless = "client"
	all[len(all)-1].static = kem
	add("encapsulates-weaker-kdf", encapsulates+";kdf=sha256", "kex=ML-KEM-768;kdf=sha512", 1008, "").static = kem
	strong := add("encapsulates-stronger-kdf", encapsulates+";kdf=sha512", "kex=ML-KEM-768;kdf=sha256", 0, "ML-KEM-768")
	strong.static, strong.kdf = kem, "sha512"
	for _, h := range []string{"sha384", "sha512", "sha3-256", "sha3-384", "sha3-512", "blake2b512", "blake2s256"} {
		pure := add("kdf-"+h, "kex=ML-KEM-512;kdf="+h, "kex=X25519;kdf="+h, 0, "ML-KEM-512")
		mine := add("kdf-hybrid-"+h, "kex=X448MLKEM1024;kem_mode=client;kdf="+h, "kex=ML-KEM-512;kdf="+h, 0, "X448MLKEM1024")
		pure.kdf, mine.kdf, mine.static = h, h, crypt.X448MLKEM1024
	}
	return all
}

// noPublicKey stands for the number of a client that has not got the key for
// which it shall encapsulate: each implementation has its own.
const noPublicKey = -1

// quantumCertificates are certificates with keys and signatures that stand
// against quantum computers, as long as fit into a message of the C
// implementation. Those of SLH-DSA take long with the race detector, those with
// SHAKE minutes, and say little where both ends are ours.
func quantumCertificates(t testing.TB, s *security) (all []*quantum) {
	t.Helper()
	skip := func(kind string) bool {
		need := soak != "" || !strings.Contains(kind, "SHAKE") && host.HasReference()
		return strings.HasPrefix(kind, "SLH-DSA") && !need
	}
	authority := func(name, kind string) *ct.Identity {
		ca := ct.Authority(t, name, kind)
		s.put(t, "cacert/"+name+".pem", ca.CertPEM())
		return ca
	}
	root := authority("root", "P-256")
	add := func(name string, client, server *ct.Identity, kex string) *quantum {
		q := &quantum{kex: kex, kdf: "sha256"}
		q.exchange = exchange{name: name, client: end{"kex=" + kex, client}, server: end{"kex=" + kex, server}}
		if kex == "" {
			q.client.conf, q.server.conf = "-", "-"
		}
		all = append(all, q)
		return q
	}
	for _, k := range []struct{ kind, longest string }{
		{"ML-DSA-44", "X448MLKEM1024"},
		{"ML-DSA-65", "X448MLKEM1024"},
		{"ML-DSA-87", "X25519MLKEM768"},
		{"SLH-DSA-SHA2-128s", "X25519"},
		{"SLH-DSA-SHAKE-128s", "X25519"},
	} {
		if skip(k.kind) {
			continue
		}
		n := strings.ToLower(k.kind)
		me := root.Issue(t, "me", k.kind)
		of := func(name string) *ct.Identity { return root.Issue(t, name, k.kind) }
		add(n+"-server", nil, of(n+"-server"), "")
		add(n+"-client", me, nil, "")
		add(n+"-server-enc", nil, of(n+"-server-enc"), k.longest)
		add(n+"-client-enc", me, root.Issue(t, n+"-client-enc", "P-256"), k.longest)
		add(n+"-both", me, of(n+"-both"), k.longest)
	}
	for _, k := range []struct{ authority, kind, longest string }{
		{"ML-DSA-44", "P-256", "X448MLKEM1024"},
		{"ML-DSA-65", "P-384", "X448MLKEM1024"},
		{"ML-DSA-87", "RSA-2048", "X448MLKEM1024"},
		{"SLH-DSA-SHA2-128s", "P-256", "X25519"},
		{"SLH-DSA-SHAKE-128s", "P-256", "X25519"},
		{"ML-DSA-44", "ML-DSA-44", "X25519MLKEM768"},
		{"ML-DSA-65", "ML-DSA-44", "X25519"},
	} {
		if skip(k.authority) {
			continue
		}
		n := strings.ToLower(k.kind + "-by-" + k.authority)
		ca := authority("ca-"+n, k.authority)
		add(n, ca.Issue(t, "me", k.kind), ca.Issue(t, n, k.kind), k.longest)
	}
	between := root.Intermediate(t, "between", "ML-DSA-65")
	s.put(t, "untrusted/between.pem", between.CertPEM())
	add("between", between.Issue(t, "me", "P-256"), between.Issue(t, "between", "P-256"), "X25519MLKEM768")

	rogue := ct.Authority(t, "rogue", "ML-DSA-65")
	add("rogue-server", nil, rogue.Issue(t, "rogue-server", "ML-DSA-44"), "").number = 1008
	add("rogue-client", rogue.Issue(t, "me", "ML-DSA-44"), nil, "").number = 1009
	add("wrong-name", nil, root.Issue(t, "other", "ML-DSA-65"), "").number = 1008
	other := root.Issue(t, "stolen", "ML-DSA-44")
	other.Key = root.Issue(t, "stolen", "ML-DSA-44").Key
	stolen := add("stolen", nil, other, "")
	stolen.number, stolen.own = 1008, 1009
	digest := add("digest", root.Issue(t, "me", "ML-DSA-44"), root.Issue(t, "digest", "ML-DSA-65"), "X25519")
	digest.client.conf += ";digest=sha3-512"
	digest.server.conf += ";digest=sha512"
	return all
}

func TestKeysAreExchangedAgainstQuantumComputers(t *testing.T) {
	againstQuantum(t, layers[2], jumbo, func(testing.TB, *security) []*quantum { return quantumExchanges() })
}

func TestCertificatesAgainstQuantumComputers(t *testing.T) {
	againstQuantum(t, layers[2], jumbo, quantumCertificates)
}

// What irm cert makes with the defaults for encryption, keys for clients that
// encapsulate, and certificates with post-quantum keys.
func TestFilesOfIrmCertAgainstQuantumComputers(t *testing.T) {
	againstQuantum(t, layers[2], jumbo, func(t testing.TB, s *security) (all []*quantum) {
		made, into := cert.Dir(t.TempDir()), cert.Dir(s.dir)
		ok := func(_ any, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		ok(made.MakeAuthority("home", cert.Options{}))
		add := func(name, kex, me, server string) {
			q := &quantum{kex: kex, kdf: cert.DefaultKDF, me: me, by: server, made: true}
			q.exchange.name = name
			all = append(all, q)
		}
		for _, kind := range []string{"ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "SLH-DSA-SHA2-128s"} {
			name, o := strings.ToLower(kind), cert.Options{Algorithm: kind}
			e := cert.Encryption{}
			if strings.HasPrefix(kind, "SLH") {
				e.Exchange = cert.ServerExchange // with a KEM it does not fit
			}
			ok(made.Issue(cert.Request{Name: name, Into: into, Options: o}))
			ok(made.Issue(cert.Request{Name: "me", To: []string{name}, Into: into, Options: o}))
			ok(into.Encrypt(cert.Client, name, e, false))
			ok(into.Encrypt(cert.Server, name, cert.Encryption{}, false))
			kex := e.Exchange
			if kex == "" {
				kex = cert.ClientExchange
			}
			add(name, kex, "me", name)
		}
		for _, x := range cert.KEMNames() {
			name := strings.ToLower(x)
			ok(into.MakeKEM(name, x, "", false))
			ok(into.Encrypt(cert.Client, name, cert.Encryption{Exchange: x, Encapsulate: true}, false))
			ok(into.Encrypt(cert.Server, name, cert.Encryption{Exchange: "ML-KEM-512"}, false))
			add(name, x, "", "")
		}
		s.collect(t)
		return all
	})
}

// doesNotFit is the number of an allocation whose messages the layer does not carry.
const doesNotFit = 90

// What is longer than a frame, or than the C implementation survives over UDP, is
// not sent, and who allocates hears why. Where the C implementation shall send more
// than a frame, nobody hears anything, and it may come to a stand.
func TestCertificatesThatAreTooLongAreNotSent(t *testing.T) {
	long := func(t testing.TB, s *security, kind string) []*quantum {
		root := ct.Authority(t, "root", "P-256")
		s.put(t, "cacert/root.pem", root.CertPEM())
		client, server := &quantum{kex: "X25519", kdf: "sha256"}, &quantum{kex: "X25519", kdf: "sha256"}
		client.exchange = exchange{name: "client", client: end{"kex=X25519", root.Issue(t, "me", kind)}, server: end{conf: "-"}, ours: "client"}
		server.exchange = exchange{name: "server", client: end{conf: "kex=X25519"}, server: end{"-", root.Issue(t, "server", kind)}, ours: "server"}
		return []*quantum{client, server}
	}
	t.Run("eth-dix", func(t *testing.T) {
		againstQuantum(t, layers[2], jumbo, func(t testing.TB, s *security) []*quantum {
			all := long(t, s, "SLH-DSA-SHA2-128f")
			for _, q := range all {
				q.number = doesNotFit
			}
			return all
		})
	})
	t.Run("udp4", func(t *testing.T) {
		againstQuantum(t, layers[0], usual, func(t testing.TB, s *security) []*quantum {
			all := long(t, s, "ML-DSA-44")
			for _, q := range all {
				// A node of ours takes them, whoever sends them.
				q.ours, q.toC = "", doesNotFit
			}
			return all
		})
	})
}

// In a frame of the usual length there is no room for the hybrid together with a
// certificate, and none for the longest one.
func TestKeysAreExchangedInUsualFrames(t *testing.T) {
	againstQuantum(t, layers[2], usual, func(t testing.TB, s *security) (all []*quantum) {
		root := ct.Authority(t, "root", "P-256")
		s.put(t, "cacert/root.pem", root.CertPEM())
		add := func(name, kex string, client, server *ct.Identity) *quantum {
			q := &quantum{kex: kex, kdf: "sha256"}
			q.exchange = exchange{name: name, client: end{"kex=" + kex, client}, server: end{"kex=X25519", server}}
			all = append(all, q)
			return q
		}
		for _, x := range cert.KEMNames() {
			q := add(strings.ToLower(x), x, nil, nil)
			if x == "ML-KEM-1024" || x == "X448MLKEM1024" {
				q.number, q.ours = doesNotFit, "client"
			}
		}
		add("certificates", "ML-KEM-512", root.Issue(t, "me", "P-256"), root.Issue(t, "certificates", "P-256"))
		add("hybrid-client", "X25519MLKEM768", root.Issue(t, "me", "P-256"), nil)
		add("hybrid-server", "X25519MLKEM768", nil, root.Issue(t, "hybrid-server", "P-256"))
		for i, end := range []string{"client", "server"} {
			q := all[len(all)-2+i]
			q.number, q.exchange.ours = doesNotFit, end
		}
		return all
	})
}

// Over UDP there is room for every exchange of keys, and for a certificate of the
// usual kind with the hybrid.
func TestKeysAreExchangedOverUDP(t *testing.T) {
	againstQuantum(t, layers[0], usual, func(t testing.TB, s *security) (all []*quantum) {
		root := ct.Authority(t, "root", "P-256")
		s.put(t, "cacert/root.pem", root.CertPEM())
		for _, x := range cert.KEMNames() {
			n, conf := strings.ToLower(x), "kex="+x
			one, two := &quantum{kex: x, kdf: "sha256"}, &quantum{kex: x, kdf: "sha256", static: crypt.ExchangeOf(x)}
			one.exchange = exchange{name: n, client: end{conf: conf}, server: end{conf: conf}}
			two.exchange = exchange{name: n + "-client-encapsulates", client: end{conf: conf + ";kem_mode=client"}, server: end{conf: conf}}
			all = append(all, one, two)
		}
		q := &quantum{kex: "X25519MLKEM768", kdf: "sha256"}
		q.exchange = exchange{
			name:   "certificates",
			client: end{"kex=X25519MLKEM768", root.Issue(t, "me", "P-256")},
			server: end{"kex=X25519", root.Issue(t, "certificates", "P-256")},
		}
		return append(all, q)
	})
}

// A layer that routes carries the hybrid for flows over it, and its members' own
// flows can be encrypted in the same way.
func TestALayerEncryptedAgainstQuantumComputers(t *testing.T) {
	for _, a := range arrangements(2) {
		t.Run(a.String(), func(t *testing.T) {
			if a.has(reference) {
				host.NeedQuantum(t)
			}
			t.Parallel()
			tried(t, a, func(t testing.TB) {
				const conf = "kex=X25519MLKEM768\n"
				file := filepath.Join(t.TempDir(), "enc.conf")
				if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
					t.Fatal(err)
				}
				n := cabled(t, "unicast", a, chain(2))
				first, second := n.hosts[0], n.hosts[1]
				for i, m := range n.hosts {
					other := n.hosts[1-i]
					for _, name := range []string{m.ipcp(), "oping." + m.name} {
						m.encrypts(t, "server", name, file, conf)
						other.encrypts(t, "client", name, file, conf)
					}
				}
				n.join(t)
				first.serve(t, "oping.a", "oping", "-Q")
				second.serve(t, "oping.b", "oping", "-Q")
				for _, way := range []struct {
					from *member
					to   string
				}{{second, "oping.a"}, {first, "oping.b"}} {
					// At a low rate: the C implementation does not stand a reader and
					// a writer at the same time on an encrypted flow.
					interval := "50ms"
					if way.from.who == reference {
						interval = "50"
					}
					r := way.from.use(t, "oping", way.to, "-c", "5", "-i", interval)
					if !all5.MatchString(r.Stdout) {
						t.Fatalf("%s pings %s: exit %d\n%s%s", way.from.name, way.to, r.Code, r.Stdout, r.Stderr)
					}
				}
				for _, m := range n.hosts {
					if m.who != ours {
						continue
					}
					flows, err := m.ours().Irm.ListFlows(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					encrypted := 0
					for _, f := range flows {
						if f.Protection.Exchange == "X25519MLKEM768" {
							encrypted++
						}
					}
					if encrypted == 0 {
						t.Errorf("%s: no flow between the members is encrypted: %+v", m.name, flows)
					}
				}
				n.healthy(t)
			})
		})
	}
}

// encrypts gives a host the settings of one side of a name.
func (m *member) encrypts(t testing.TB, side, name, file, conf string) {
	t.Helper()
	if r, ok := m.Node.(*host.Reference); ok {
		r.Secure(t, host.SecurityFile{Path: side + "/" + name + "/enc.conf", Data: []byte(conf)})
		if side == "client" {
			// So it finds the file, which a name that irm creates may not.
			r.OK(t, "irm", "bind", "program", "/bin/true", "name", name)
		}
		return
	}
	m.OK(t, "irm", "name", "create", name, side[:1]+"encpath", file)
}

// Packets on the wire are not to be read, those of raw and of reliable flows.
func TestFlowsAreEncryptedAgainstQuantumComputers(t *testing.T) {
	for _, p := range allPeers {
		t.Run(p.String(), func(t *testing.T) {
			withQuantum(t, p)
			t.Parallel()
			for _, x := range cert.KEMNames() {
				t.Run(x, func(t *testing.T) {
					for try := uint64(1); ; try++ {
						g := guard(t, layers[0], p, "kex="+x+"\n", try)
						err := pings(g)
						if err == nil {
							return
						}
						if p == oursOurs || try == tries {
							t.Fatalf("try %d: %v", try, err)
						}
						t.Logf("try %d: %v", try, err)
					}
				})
			}
		})
	}
}

// againstQuantum runs exchanges between all pairs of peers.
func againstQuantum(t *testing.T, l layer, mtu netns.Option, exchanges func(t testing.TB, s *security) []*quantum) {
	for _, p := range allPeers {
		t.Run(p.String(), func(t *testing.T) {
			withQuantum(t, p)
			t.Parallel()
			s := &security{dir: t.TempDir()}
			all := exchanges(t, s)
			var plain []exchange
			for _, q := range all {
				if !q.made {
					q.staticKey(t, s)
					s.side(t, "client/"+q.name, q.client)
					s.side(t, "server/"+q.name, q.server)
				}
				plain = append(plain, q.exchange)
			}
			w := trusting(t, l, p, s, plain, mtu)
			for i, q := range all {
				t.Run(q.name, func(t *testing.T) {
					if q.ours == "client" && p.client == reference || q.ours == "server" && p.server == reference {
						t.Skip("the C implementation cannot be at that end")
					}
					for try := 1; ; try++ {
						err := w.agrees(t, q)
						if err == nil {
							return
						}
						// What was not agreed on is not tried again, only what the C
						// implementation loses, or where it comes to a stand or an end.
						broken := w.broken()
						if p == oursOurs || try == tries || !broken && !errors.Is(err, errLost) {
							t.Fatalf("try %d: %v", try, err)
						}
						t.Logf("try %d: %v", try, err)
						if broken || try > 1 {
							w = trusting(w.t, l, p, s, plain[i:], mtu)
						}
					}
				})
			}
			for _, n := range []host.Node{w.client, w.server} {
				if err := counted(n, 0, 0); err != nil {
					t.Error(err)
				}
			}
			w.healthy(t)
		})
	}
}

// errLost is of an allocation that nobody decided: no answer came, or none to the
// question where the name is.
var errLost = errors.New("nobody answered")

var undecided = regexp.MustCompile(`Failed to allocate flow: -(1|110|1003|1007)\b`)

// broken says whether a reference of the world ended by itself or has come to a
// stand.
func (w *world) broken() bool {
	for _, n := range []host.Node{w.client, w.server} {
		if r, ok := n.(*host.Reference); ok && (r.Stands() || len(r.Crashed()) > 0) {
			return true
		}
	}
	return false
}

// agrees says whether what was to come of an exchange does, and whether a node of
// ours shows the flow as it was to be.
func (w *world) agrees(t testing.TB, q *quantum) error {
	t.Helper()
	d, ok := w.client.(*host.Daemon)
	if !ok {
		d = w.server.(*host.Daemon)
	}
	x := q.exchange
	if x.number == noPublicKey {
		x.number = 1008
		if w.peers.client == reference {
			x.number = 9
		}
	}
	if q.own != 0 && w.peers.server == ours {
		x.number = q.own
	}
	if q.toC != 0 && (x.client.crt != nil && w.peers.server == reference || x.server.crt != nil && w.peers.client == reference) {
		x.number = q.toC
	}
	ctx, cancel := context.WithTimeout(t.Context(), host.Patience)
	defer cancel()
	seen := make(chan irm.Protection, 1)
	go func() {
		defer close(seen)
		for ctx.Err() == nil {
			flows, err := d.Irm.ListFlows(ctx)
			if err != nil {
				return
			}
			for _, f := range flows {
				if f.Name == x.name && f.State == "allocated" {
					seen <- f.Protection
					return
				}
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if err := w.meets(t, x); err != nil {
		if undecided.MatchString(err.Error()) {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		return err
	}
	if x.number != 0 {
		return nil
	}
	cancel()
	got, ok := <-seen
	want := irm.Protection{Cipher: "none"}
	if q.kex != "" {
		want = irm.Protection{Cipher: "aes-256-gcm", Exchange: q.kex, KDF: q.kdf}
	}
	want.Client, want.Server = q.me, q.by
	if x.client.crt != nil {
		want.Client = x.client.crt.Cert.Name
	}
	if x.server.crt != nil {
		want.Server = x.server.crt.Cert.Name
	}
	if !ok || got != want {
		return fmt.Errorf("the flow is shown as %+v, %v, want %+v", got, ok, want)
	}
	return nil
}
