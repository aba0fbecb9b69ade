package oap

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// answer changes a response to a request that names no hash, or SHA-256.
func answer(t testing.TB, named wire.Hash, change func(m *wire.Message)) func([]byte) []byte {
	return func(b []byte) []byte {
		t.Helper()
		m, err := wire.DecodeResponse(b, named)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		if b, err = m.AppendResponse(nil, named); err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// Somebody between the two nodes who sees everything, and changes what he
// wants. Both sides have certificates, and want their flow encrypted and each
// other known.
func TestSomebodyInTheMiddleIsNoticed(t *testing.T) {
	root := ct.Authority(t, "root", "P-256")
	p := newPair(t, root)
	for _, s := range []Security{p.c, p.s} {
		encrypt(t, s, "kex=X25519;cipher=aes-256-gcm;kdf=sha256")
	}
	root.Issue(t, "me", "P-256").Write(t, p.c.Dir)
	root.Issue(t, name, "P-256").Write(t, p.s.Dir)
	p.c.RequireAuth, p.c.RequireEncryption = true, true
	p.s.RequireAuth, p.s.RequireEncryption = true, true
	own, err := crypt.GenerateKey(crypt.X25519)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := crypt.GenerateKey(crypt.P256)
	if err != nil {
		t.Fatal(err)
	}
	his := root.Issue(t, "he", "P-256") // whom the authority knows, too
	earlier := p.run()
	req := func(change func(m *wire.Message)) func([]byte) []byte { return edit(t, change) }
	resp := func(change func(m *wire.Message)) func([]byte) []byte { return answer(t, wire.SHA256, change) }
	strip := func(m *wire.Message) { m.Certificate, m.Signature = nil, nil }
	for _, tc := range []struct {
		name     string
		request  func([]byte) []byte
		response func([]byte) []byte
	}{
		{"his key for the client's", req(func(m *wire.Message) { m.KeyExchange = own.Public() }), nil},
		{"his key for the server's", nil, resp(func(m *wire.Message) { m.KeyExchange = own.Public() })},
		{"his key, and nobody's", req(func(m *wire.Message) { strip(m); m.KeyExchange = own.Public() }), nil},
		{"his key, and nobody's, to the client", nil, resp(func(m *wire.Message) { strip(m); m.KeyExchange = own.Public() })},
		{"no encryption asked for", req(func(m *wire.Message) { m.KeyExchange, m.Cipher, m.KDF = nil, 0, 0 }), nil},
		{"no encryption asked for, by nobody", req(func(m *wire.Message) { strip(m); m.KeyExchange, m.Cipher, m.KDF = nil, 0, 0 }), nil},
		{"no encryption answered", nil, resp(func(m *wire.Message) { m.KeyExchange, m.Cipher, m.KDF = nil, 0, 0 })},
		{"no encryption answered, by nobody", nil, resp(func(m *wire.Message) { strip(m); m.KeyExchange, m.Cipher, m.KDF = nil, 0, 0 })},
		{"a weaker exchange", req(func(m *wire.Message) { m.KeyExchange = weak.Public() }), nil},
		{"a weaker cipher", req(func(m *wire.Message) { m.Cipher = wire.AES128CTR }), nil},
		{"a weaker cipher answered", nil, resp(func(m *wire.Message) { m.Cipher = wire.AES128GCM })},
		{"a cipher without integrity answered", nil, resp(func(m *wire.Message) { m.Cipher = wire.AES256CTR })},
		{"a weaker derivation", req(func(m *wire.Message) { m.KDF = wire.BLAKE2s256 }), nil},
		{"a weaker derivation answered", nil, resp(func(m *wire.Message) { m.KDF = wire.BLAKE2s256 })},
		{"a stronger cipher", req(func(m *wire.Message) { m.Cipher = wire.ChaCha20Poly1305 }), nil},
		{"a stronger cipher answered", nil, resp(func(m *wire.Message) { m.Cipher = wire.ChaCha20Poly1305 })},
		{"no certificate of the client", req(strip), nil},
		{"no certificate of the server", nil, resp(strip)},
		{"no signature of the client", req(func(m *wire.Message) { m.Signature = nil }), nil},
		{"no signature of the server", nil, resp(func(m *wire.Message) { m.Signature = nil })},
		{"another's certificate to the server", req(func(m *wire.Message) { m.Certificate = his.Cert.X509.Raw }), nil},
		{"another's certificate to the client", nil, resp(func(m *wire.Message) { m.Certificate = his.Cert.X509.Raw })},
		{"signed by another to the client", nil, resp(func(m *wire.Message) { sign(t, m, his) })},
		{"an earlier request", func([]byte) []byte { return earlier.request }, nil},
		{"an earlier response", nil, func([]byte) []byte { return earlier.response }},
		{"the earlier response with this id", nil, func(b []byte) []byte { return append(bytes.Clone(b[:16]), earlier.response[16:]...) }},
		{"the request for an answer", nil, func([]byte) []byte { return earlier.request }},
		{"nothing", nil, func([]byte) []byte { return nil }},
		{"an old request", req(func(m *wire.Message) { m.Time -= uint64(21 * time.Second) }), nil},
		{"a request of the future", req(func(m *wire.Message) { m.Time += uint64(time.Second) }), nil},
		{"encapsulated", req(func(m *wire.Message) { m.Encapsulated = true }), nil},
		{"raw", req(func(m *wire.Message) { m.Raw = true }), nil},
		{"data to the server", req(func(m *wire.Message) { m.Data = []byte("data") }), nil},
		{"data to the client", nil, resp(func(m *wire.Message) { m.Data = []byte("data") })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := p.run(tc.request, tc.response)
			err := e.err()
			if !errors.Is(err, errno.AuthFailed) && !errors.Is(err, errno.Crypt) {
				t.Fatalf("it was not noticed: %v", err)
			}
			var d *errno.Detail
			if !errors.As(err, &d) || d.Hint == "" {
				t.Errorf("%q says no next step", err)
			}
			if e.client != nil {
				t.Error("the client has a session")
			}
		})
	}
	// A response that he keeps back for a while is still the right one.
	e := p.run(nil, func(b []byte) []byte { return b })
	e.works(t, wire.AES256GCM, "X25519", wire.SHA256)
}

// sign signs a response anew.
func sign(t testing.TB, m *wire.Message, by *ct.Identity) {
	t.Helper()
	m.Certificate = by.Cert.X509.Raw
	b, err := m.AppendSigned(nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Signature, err = by.Key.Sign(m.Hash, b); err != nil {
		t.Fatal(err)
	}
}

// Without certificates whoever is in the middle can take the place of the
// other side: that is what they are for. What he cannot do without taking it is
// change anything.
func TestWithoutCertificatesChangesAreHarmlessOrNoticed(t *testing.T) {
	p := newPair(t)
	for _, s := range []Security{p.c, p.s} {
		encrypt(t, s, "kex=X25519;cipher=aes-256-gcm;kdf=sha384")
	}
	other, err := crypt.GenerateKey(crypt.X25519)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		request  func([]byte) []byte
		response func([]byte) []byte
	}{
		{"a weaker cipher", edit(t, func(m *wire.Message) { m.Cipher = wire.AES128CTR }), nil},
		{"a weaker cipher answered", nil, answer(t, wire.SHA256, func(m *wire.Message) { m.Cipher = wire.AES128CTR })},
		{"no encryption", edit(t, func(m *wire.Message) { m.KeyExchange, m.Cipher, m.KDF = nil, 0, 0 }), nil},
		{"no encryption answered", nil, answer(t, wire.SHA256, func(m *wire.Message) { m.Cipher = 0 })},
		{"a weaker derivation", edit(t, func(m *wire.Message) { m.KDF = wire.SHA256 }), nil},
		{"another key", edit(t, func(m *wire.Message) { m.KeyExchange = other.Public() }), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if e := p.run(tc.request, tc.response); e.err() == nil {
				t.Error("it was not noticed")
			}
		})
	}
	// These give both sides other keys, or the same as before.
	for name, response := range map[string]func([]byte) []byte{
		"another key":         answer(t, wire.SHA256, func(m *wire.Message) { m.KeyExchange = other.Public() }),
		"a stronger one":      answer(t, wire.SHA256, func(m *wire.Message) { m.KDF = wire.SHA512 }),
		"another time":        answer(t, wire.SHA256, func(m *wire.Message) { m.Time = 0 }),
		"a stronger cipher":   answer(t, wire.SHA256, func(m *wire.Message) { m.Cipher = wire.ChaCha20Poly1305 }),
		"a hash of signature": answer(t, wire.SHA256, func(m *wire.Message) { m.Hash = wire.SHA512 }),
	} {
		e := p.run(nil, response)
		if e.clientErr != nil {
			t.Errorf("%s: %v", name, e.clientErr)
		} else if same := *e.client.Key == *e.server.Key; same && (name == "another key" || name == "a stronger one") {
			t.Errorf("%s: he knows the key", name)
		}
	}
}

// Each cut and each changed bit of both messages: noticed, and never worse.
func TestCutAndChangedMessages(t *testing.T) {
	root := ct.Authority(t, "root", "Ed25519")
	p := newPair(t, root)
	for _, s := range []Security{p.c, p.s} {
		encrypt(t, s, "kex=X25519")
	}
	root.Issue(t, "me", "Ed25519").Write(t, p.c.Dir)
	root.Issue(t, name, "Ed25519").Write(t, p.s.Dir)
	p.c.RequireAuth, p.s.RequireAuth = true, true
	check := func(what string, e *ends) {
		t.Helper()
		if err := e.err(); !errors.Is(err, errno.AuthFailed) && !errors.Is(err, errno.Crypt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	sample := p.run()
	for n := range sample.request {
		if raceEnabled && n > 40 && n%5 > 0 {
			continue
		}
		if n%7 == 0 || n < 40 {
			check(fmt.Sprint("request cut at ", n), p.run(func(b []byte) []byte { return b[:n] }))
		}
		check(fmt.Sprint("request changed at ", n), p.run(func(b []byte) []byte { b[n] ^= 1 << (n % 8); return b }))
	}
	for n := range sample.response {
		if raceEnabled && n > 40 && n%5 > 0 {
			continue
		}
		if n%7 == 0 || n < 40 {
			check(fmt.Sprint("response cut at ", n), p.run(nil, func(b []byte) []byte { return b[:n] }))
		}
		check(fmt.Sprint("response changed at ", n), p.run(nil, func(b []byte) []byte { b[n] ^= 1 << (n % 8); return b }))
	}
	check("request with a byte more", p.run(func(b []byte) []byte { return append(b, 0) }))
	check("response with a byte more", p.run(nil, func(b []byte) []byte { return append(b, 0) }))
}

// mutate changes a message in one of the ways in which they are found to be
// changed.
func mutate(r *rand.Rand, b []byte, other []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(3) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		if r.IntN(2) == 0 {
			at = min(at, r.IntN(40)) // where the lengths are
		}
		switch r.IntN(9) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			b = b[:at]
		case 3:
			b = append(b, make([]byte, r.IntN(100))...)
		case 4:
			n := min(r.IntN(64), len(b)-at)
			b = append(b[:at], b[at+n:]...)
		case 5:
			b = append(b[:at:at], append(bytes.Clone(other[:r.IntN(len(other))]), b[at:]...)...)
		case 6:
			copy(b[at:], other[r.IntN(len(other)):])
		case 7:
			b[at] = 0xff
		case 8:
			b[at] = 0
		}
	}
	return b
}

// No request and no response does harm, however often somebody tries:
// OUROBOROS_SOAK=1 makes ten millions of each kind.
func TestMillionsOfMutations(t *testing.T) {
	tries := 20_000
	if raceEnabled {
		tries = 2_000
	}
	if os.Getenv("OUROBOROS_SOAK") != "" {
		tries = 10_000_000
	}
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("OUROBOROS_SEED"), 10, 64); err == nil {
		seed = s
	}
	defer func() {
		if t.Failed() {
			t.Logf("again with OUROBOROS_SEED=%d", seed)
		}
	}()
	r := rand.New(rand.NewPCG(seed, 0))
	root := ct.Authority(t, "root", "Ed25519")
	type kind struct {
		server *Server
		sec    Security
		begun  *Attempt
		answer []byte
	}
	var kinds []kind
	for _, conf := range []string{"-", "kex=X25519", "kex=ML-KEM-768", "kex=X25519MLKEM768;kem_mode=client", "kex=ffdhe2048"} {
		for _, known := range []bool{false, true} {
			p := newPair(t, root)
			// So that a million requests of one time are no repetitions.
			p.server = NewServer(ServerConfig{Store: p.client.Store, Recent: 1 << 12})
			encrypt(t, p.c, conf)
			encrypt(t, p.s, conf)
			if conf == "kex=X25519MLKEM768;kem_mode=client" {
				p.static(t, crypt.X25519MLKEM768)
			}
			if known {
				root.Issue(t, "me", "Ed25519").Write(t, p.c.Dir)
				root.Issue(t, name, "Ed25519").Write(t, p.s.Dir)
			}
			a, err := p.client.Begin(name, p.c)
			if err != nil {
				t.Fatal(err)
			}
			acc, err := p.server.Check(name, p.s, a.Request(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			b, _, err := acc.Respond()
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, kind{p.server, p.s, a, b})
		}
	}
	passed, completed := 0, 0
	for n := range tries {
		k := &kinds[n%len(kinds)]
		other := kinds[r.IntN(len(kinds))]
		bad := mutate(r, k.begun.Request(), other.begun.Request())
		// What the replay list does is not the question here.
		if m, err := wire.DecodeRequest(bad); err == nil {
			if acc, err := k.server.check(name, k.sec, m, bad); err == nil {
				passed++
				if n%10 == 0 {
					if _, s, err := acc.Respond(); err == nil {
						s.Key.Wipe()
					} else if c := errno.Number(err); c != 1008 && c != 1009 {
						t.Fatalf("%x: %v", bad, err)
					}
				}
				acc.Abandon()
			} else if c := errno.Number(err); c != 1008 && c != 1009 {
				t.Fatalf("%x: %v", bad, err)
			}
		} else if _, err := k.server.Check(name, k.sec, bad, time.Now()); errno.Number(err) != 1009 {
			t.Fatalf("%x: %v", bad, err)
		}
		again := *k.begun // its secrets are needed again
		if again.key != nil {
			copied := *again.key
			again.key = &copied
		}
		bad = mutate(r, k.answer, other.answer)
		if s, err := again.complete(bad); err == nil {
			completed++
			s.Key.Wipe()
		} else if errno.Number(err) != 1008 {
			t.Fatalf("%x: %v", bad, err)
		}
	}
	t.Logf("%d of %d requests passed, and %d responses", passed, tries, completed)
}
