package dyndns

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ouroboros/internal/errno"
)

const hash = "397677694da4970d660892a7f7d461e9"

var (
	first  = netip.MustParseAddr("10.9.0.2")
	second = netip.MustParseAddr("10.9.0.3")
	sixth  = netip.MustParseAddr("fd77::2")
)

func client(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// lookup gives the addresses of a name, sorted; none when it is unknown.
func lookup(t *testing.T, c *Client, name string, v6 bool) []netip.Addr {
	t.Helper()
	addrs, _, err := c.Lookup(patient(t), name, v6)
	if err != nil && !errors.Is(err, errno.NameError) {
		t.Fatal(err)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsRegisteredIsFoundUntilItIsUnregistered(t *testing.T) {
	server, keyFile := named(t)
	for name, cfg := range map[string]Config{
		"the zone is found":          {Server: server},
		"the root zone":              {Server: server, Zone: "."},
		"with a key":                 {Server: server, Zone: "signed.example", KeyName: keyName, Secret: keySecret},
		"with a file":                {Server: server, Zone: "Signed.Example.", KeyFile: keyFile},
		"a key where none is needed": {Server: server, KeyFile: keyFile},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, c := patient(t), client(t, cfg)
			if got := lookup(t, c, hash, false); len(got) > 0 {
				t.Fatalf("%v before anything is registered", got)
			}
			must(t, c.Register(ctx, hash, first))
			must(t, c.Register(ctx, hash, first))
			must(t, c.Register(ctx, hash, second))
			must(t, c.Register(ctx, hash, sixth))
			if got := lookup(t, c, hash, false); !slices.Equal(got, []netip.Addr{first, second}) {
				t.Errorf("IPv4: %v", got)
			}
			if got := lookup(t, c, strings.ToUpper(hash), true); !slices.Equal(got, []netip.Addr{sixth}) {
				t.Errorf("IPv6: %v", got)
			}
			must(t, c.Unregister(ctx, hash, first))
			must(t, c.Unregister(ctx, hash, first))
			if got := lookup(t, c, hash, false); !slices.Equal(got, []netip.Addr{second}) {
				t.Errorf("after one is gone: %v", got)
			}
			must(t, c.Unregister(ctx, hash, second))
			if got := lookup(t, c, hash, false); len(got) > 0 {
				t.Errorf("IPv4 after all are gone: %v", got)
			}
			must(t, c.Unregister(ctx, hash, sixth))
			if got := lookup(t, c, hash, true); len(got) > 0 {
				t.Errorf("IPv6 after all are gone: %v", got)
			}
		})
	}
}

func TestTheTimeToLiveIsTheConfiguredOne(t *testing.T) {
	server, _ := named(t)
	c := client(t, Config{Server: server, TTL: 77 * time.Second})
	must(t, c.Register(patient(t), hash, first))
	if _, ttl, err := c.Lookup(patient(t), hash, false); err != nil || ttl != 77*time.Second {
		t.Errorf("%v, %v", ttl, err)
	}
}

func TestANameInTheRootZoneIsFoundFromAnotherZone(t *testing.T) {
	server, _ := named(t)
	must(t, client(t, Config{Server: server}).Register(patient(t), hash, first))
	c := client(t, Config{Server: server, Zone: "closed.example"})
	if got := lookup(t, c, hash, false); !slices.Equal(got, []netip.Addr{first}) {
		t.Errorf("%v", got)
	}
}

func TestAnAliasIsFollowed(t *testing.T) {
	server, _ := named(t)
	c := client(t, Config{Server: server, Zone: "closed.example"})
	if got := lookup(t, c, "alias", false); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("192.0.2.7")}) {
		t.Errorf("%v", got)
	}
}

// nsupdate is what the C implementation runs.
func TestARecordThatNsupdateWroteIsFoundAndOursIsSeenByIt(t *testing.T) {
	if _, err := exec.LookPath("nsupdate"); err != nil {
		t.Skip("the program nsupdate is missing (package bind9-dnsutils)")
	}
	server, _ := named(t)
	cmd := exec.CommandContext(patient(t), "nsupdate")
	cmd.Stdin = strings.NewReader("server 127.0.0.1 " + server.String()[len("127.0.0.1:"):] +
		"\nupdate add " + hash + " 86400 A 10.9.0.2\nsend\nquit\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := client(t, Config{Server: server})
	addrs, ttl, err := c.Lookup(patient(t), hash, false)
	if err != nil || !slices.Equal(addrs, []netip.Addr{first}) || ttl != 86400*time.Second {
		t.Errorf("%v, %v, %v", addrs, ttl, err)
	}
	must(t, c.Unregister(patient(t), hash, first))
	if got := lookup(t, c, hash, false); len(got) > 0 {
		t.Errorf("still there: %v", got)
	}
}

func TestRefusalsSayTheCauseAndTheNextStep(t *testing.T) {
	server, keyFile := named(t)
	late := client(t, Config{Server: server, Zone: "signed.example", KeyFile: keyFile})
	late.now = func() time.Time { return time.Now().Add(-time.Hour) }
	for name, c := range map[string]struct {
		client   *Client
		sentinel error
		cause    string
		next     string
	}{
		"no key": {client(t, Config{Server: server, Zone: "signed.example"}),
			errno.Perm, "does not let this host change the zone signed.example.", "configure a key"},
		"the key may not": {client(t, Config{Server: server, Zone: "closed.example", KeyFile: keyFile}),
			errno.Perm, "does not let the key layer-key change the zone closed.example.", "update-policy"},
		"a wrong secret": {client(t, Config{Server: server, Zone: "signed.example", KeyName: keyName, Secret: wrong}),
			errno.AuthFailed, "secret of the key layer-key", "copy the secret"},
		"an unknown key": {client(t, Config{Server: server, Zone: "signed.example", KeyName: "other", Secret: keySecret}),
			errno.AuthFailed, "does not know the key other", "same key"},
		"a clock that is wrong": {late, errno.AuthFailed, "clock", "NTP"},
		"no such zone": {client(t, Config{Server: server, Zone: "elsewhere.example"}),
			errno.NoEntry, "not the primary server of the zone elsewhere.example.", "make that zone"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.client.Register(patient(t), hash, first)
			if !errors.Is(err, c.sentinel) || !strings.Contains(err.Error(), c.cause) || !strings.Contains(err.Error(), c.next) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestANameThatIsUnknownIsANameError(t *testing.T) {
	server, _ := named(t)
	for _, cfg := range []Config{{Server: server}, {Server: server, Zone: "signed.example"}} {
		c := client(t, cfg)
		if _, _, err := c.Lookup(patient(t), hash, false); !errors.Is(err, errno.NameError) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	c := client(t, Config{Server: server})
	must(t, c.Register(patient(t), hash, first))
	if _, _, err := c.Lookup(patient(t), hash, true); !errors.Is(err, errno.NameError) {
		t.Errorf("a name without an IPv6 address: %v", err)
	}
}

func TestAServerThatIsNotThereSaysSo(t *testing.T) {
	c := client(t, Config{Server: freePort(t), Timeout: 50 * time.Millisecond})
	err := c.Register(patient(t), hash, first)
	if err == nil || !strings.Contains(err.Error(), "nothing listens there") {
		t.Errorf("%v", err)
	}
}

func TestAServerThatSaysNothingIsGivenUp(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	c := client(t, Config{Server: netip.MustParseAddrPort(l.LocalAddr().String()), Timeout: 20 * time.Millisecond})
	_, _, err = c.Lookup(patient(t), hash, false)
	if !errors.Is(err, errno.TimedOut) || !strings.Contains(err.Error(), "firewall") {
		t.Errorf("%v", err)
	}

	c.timeout = patience
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	begun := time.Now()
	if err := c.Register(ctx, hash, first); !errors.Is(err, context.Canceled) || time.Since(begun) > patience/2 {
		t.Errorf("cancelled: %v after %v", err, time.Since(begun))
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Register(ctx, hash, first); !errors.Is(err, errno.TimedOut) {
		t.Errorf("timed out: %v", err)
	}
}

// scripted answers each datagram with what reply makes of it.
func scripted(t *testing.T, reply func(n int, raw []byte, q *dns.Msg) [][]byte) netip.AddrPort {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		p := make([]byte, 1<<16)
		for n := 0; ; n++ {
			k, from, err := l.ReadFrom(p)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(p[:k]) != nil {
				continue
			}
			for _, r := range reply(n, p[:k], q) {
				l.WriteTo(r, from)
			}
		}
	}()
	return netip.MustParseAddrPort(l.LocalAddr().String())
}

func answerTo(q *dns.Msg, addr string) *dns.Msg {
	r := new(dns.Msg).SetReply(q)
	rr, _ := dns.NewRR(q.Question[0].Name + " 60 A " + addr)
	r.Answer = append(r.Answer, rr)
	return r
}

func packed(m *dns.Msg) []byte {
	p, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return p
}

func TestWhatIsNoAnswerToTheQuestionIsPassedOver(t *testing.T) {
	server := scripted(t, func(n int, _ []byte, q *dns.Msg) [][]byte {
		if n == 0 {
			return nil // lost
		}
		other := answerTo(q, "192.0.2.66")
		other.Id++
		elsewhere := answerTo(q, "192.0.2.66")
		elsewhere.Question[0].Name = "other."
		question := answerTo(q, "192.0.2.66")
		question.Response = false
		return [][]byte{{}, []byte("garbage"), packed(other), packed(elsewhere), packed(question), packed(answerTo(q, "10.9.0.2"))}
	})
	c := client(t, Config{Server: server, Timeout: 500 * time.Millisecond})
	if got := lookup(t, c, hash, false); !slices.Equal(got, []netip.Addr{first}) {
		t.Errorf("%v", got)
	}
}

func TestAnUnsignedAnswerToASignedQuestionIsNotBelieved(t *testing.T) {
	server := scripted(t, func(_ int, _ []byte, q *dns.Msg) [][]byte {
		r := answerTo(q, "192.0.2.66")
		r.Extra = nil
		return [][]byte{packed(r)}
	})
	c := client(t, Config{Server: server, KeyName: keyName, Secret: keySecret, Timeout: 100 * time.Millisecond})
	if addrs, _, err := c.Lookup(patient(t), hash, false); !errors.Is(err, errno.AuthFailed) {
		t.Errorf("%v, %v", addrs, err)
	}
}

func TestALongAnswerIsReadOverTCP(t *testing.T) {
	server, _ := named(t)
	c := client(t, Config{Server: server})
	var want []netip.Addr
	for i := range 100 { // 1.6 kB, more than UDP without extensions has
		addr := netip.AddrFrom4([4]byte{10, 1, 0, byte(i)})
		want = append(want, addr)
		must(t, c.Register(patient(t), hash, addr))
	}
	if got := lookup(t, c, hash, false); !slices.Equal(got, want) {
		t.Errorf("%d of %d addresses", len(got), len(want))
	}
}

// captured gives the DNS messages of a capture: 24 bytes of file header, then
// records of 16 bytes and a packet: Linux cooked v1 (16), IPv4, UDP, DNS.
func captured(t *testing.T, file string) (messages [][]byte) {
	t.Helper()
	p, err := os.ReadFile(filepath.Join("testdata", file))
	must(t, err)
	for p = p[24:]; len(p) > 16; {
		n := int(binary.LittleEndian.Uint32(p[8:]))
		rec := p[16 : 16+n]
		p = p[16+n:]
		// The link header ends where an IPv4 header of 20 bytes begins.
		for at := 14; at+28 <= len(rec) && at <= 20; at++ {
			ip := rec[at:]
			if ip[0] != 0x45 || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) || ip[9] != 17 {
				continue
			}
			from, to := binary.BigEndian.Uint16(ip[20:]), binary.BigEndian.Uint16(ip[22:])
			if from == 53 || to == 53 {
				messages = append(messages, ip[28:])
			}
			break
		}
	}
	if len(messages) == 0 {
		t.Fatalf("no DNS message in %s", file)
	}
	return messages
}

func TestOurUpdateIsTheOneOfTheCImplementation(t *testing.T) {
	var update []byte
	for _, p := range captured(t, "shim-udp4-ddns-server.pcap") {
		if p[2] == dns.OpcodeUpdate<<3 {
			update = p
		}
	}
	if update == nil {
		t.Fatal("no update was captured")
	}
	sent := make(chan []byte, 1)
	server := scripted(t, func(_ int, raw []byte, q *dns.Msg) [][]byte {
		if q.Opcode != dns.OpcodeUpdate {
			r := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
			soa, _ := dns.NewRR(". 0 SOA ns. root. 1 60 60 60 60")
			r.Ns = []dns.RR{soa}
			return [][]byte{packed(r)}
		}
		sent <- slices.Clone(raw)
		return [][]byte{packed(new(dns.Msg).SetReply(q))}
	})
	must(t, client(t, Config{Server: server, TTL: 86400 * time.Second}).Register(patient(t), hash, first))
	ours := <-sent
	copy(ours, update[:2]) // the identifier is random
	if string(ours) != string(update) {
		t.Errorf("\nours %x\nhas  %x", ours, update)
	}
}

// The server of the capture answers as it did then.
func TestTheRecordOfTheCImplementationIsFoundInTheCapture(t *testing.T) {
	answers := map[dns.Question][]byte{}
	for _, p := range captured(t, "shim-udp4-ddns-client.pcap") {
		m := new(dns.Msg)
		must(t, m.Unpack(p))
		if m.Response {
			answers[m.Question[0]] = p
		}
	}
	server := scripted(t, func(_ int, _ []byte, q *dns.Msg) [][]byte {
		p := slices.Clone(answers[q.Question[0]])
		if p == nil {
			return nil
		}
		binary.BigEndian.PutUint16(p, q.Id)
		return [][]byte{p}
	})
	c := client(t, Config{Server: server})
	if got := lookup(t, c, hash, false); !slices.Equal(got, []netip.Addr{first}) {
		t.Errorf("IPv4: %v", got)
	}
	if got := lookup(t, c, hash, true); len(got) > 0 {
		t.Errorf("IPv6: %v", got)
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	server := netip.MustParseAddrPort("127.0.0.1:53")
	for want, cfg := range map[string]Config{
		"address of a server":   {},
		"no name of a DNS zone": {Server: server, Zone: "a..b"},
		"no name of a DNS key":  {Server: server, Secret: keySecret},
		"no base64":             {Server: server, KeyName: "k", Secret: "?"},
		"not supported":         {Server: server, KeyName: "k", Secret: keySecret, Algorithm: "hmac-md5"},
		"two DNS keys":          {Server: server, KeyName: "k", KeyFile: "k"},
		"cannot read":           {Server: server, KeyFile: "/nonexistent"},
		"there is no key in":    {Server: server, KeyFile: os.DevNull},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %q", err, want)
		}
	}
	c := client(t, Config{Server: server})
	for _, name := range []string{"", ".", "a..b", strings.Repeat("a", 64)} {
		if err := c.Register(t.Context(), name, first); !errors.Is(err, errno.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, addr := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if err := c.Register(t.Context(), hash, addr); !errors.Is(err, errno.Invalid) {
			t.Errorf("%v: %v", addr, err)
		}
	}
}

func TestKeysAreReadAsTheServerDoes(t *testing.T) {
	want := Key{"layer", "hmac-sha256", "c2VjcmV0"}
	for _, text := range []string{
		`key "layer" { algorithm hmac-sha256; secret "c2VjcmV0"; };`,
		"# comment\nkey layer {\n\talgorithm hmac-sha256; // yes\n\tsecret c2VjcmV0;\n};\n",
		`/* key "old" { algorithm x; secret y; }; */ options { a { b; }; }; key layer{secret "c2VjcmV0";algorithm "hmac-sha256";};`,
		`key "half" { algorithm hmac-sha256; }; key "layer" { algorithm hmac-sha256; secret "c2VjcmV0"; };`,
	} {
		if k, ok := ParseKey(text); !ok || k != want {
			t.Errorf("%s: %+v", text, k)
		}
	}
	for _, text := range []string{"", "key", "key {", `key "a" {`, `key "a" { secret`, "/*", `"`} {
		if k, ok := ParseKey(text); ok {
			t.Errorf("%q is the key %+v", text, k)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(`key "layer" { algorithm hmac-sha256; secret "c2VjcmV0"; }; // /* "`)
	f.Fuzz(func(t *testing.T, text string) {
		if k, ok := ParseKey(text); ok && (k.Algorithm == "" || k.Secret == "") {
			t.Errorf("%+v", k)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg).SetQuestion(hash+".", dns.TypeA)
	f.Add(packed(answerTo(q, "10.9.0.2")), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, p []byte, signed bool) {
		cfg := Config{Server: netip.MustParseAddrPort("127.0.0.1:53")}
		if signed {
			cfg.KeyName, cfg.Secret = keyName, keySecret
		}
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.unpack(p, q, "00")
		if err != nil || r == nil {
			return
		}
		if signed && r.Rcode == dns.RcodeSuccess {
			t.Fatal("an answer without our signature was believed")
		}
		addresses(r, hash, dns.TypeA)
		_ = failure{c: c, verb: "look up", name: hash}.refused(r).Error()
	})
}
