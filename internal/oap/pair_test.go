package oap

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// pair is a client and a server, each with files of its own for the name
// "web.example".
type pair struct {
	client Client
	server *Server
	c, s   Security
}

const name = "web.example"

// newPair makes both. Each trusts the authorities.
func newPair(t testing.TB, authorities ...*ct.Identity) *pair {
	t.Helper()
	store := ct.Trust(t, authorities...)
	return &pair{
		client: Client{Store: store},
		server: NewServer(ServerConfig{Store: store}),
		c:      Security{Dir: t.TempDir()},
		s:      Security{Dir: t.TempDir()},
	}
}

// encrypt writes an enc.conf: lines divided by semicolons; "-" = there is none.
func encrypt(t testing.TB, s Security, conf string) {
	t.Helper()
	if conf != "-" {
		ct.Write(t, filepath.Join(s.Dir, encryptionFile), []byte(strings.ReplaceAll(conf, ";", "\n")))
	}
}

// ends is what came of an exchange.
type ends struct {
	request, response []byte
	client, server    *Session
	clientErr         error // of Begin or Complete
	serverErr         error // of Check or Respond
}

func (e *ends) err() error { return errors.Join(e.clientErr, e.serverErr) }

// run makes the whole exchange. What is in between may change both messages.
func (p *pair) run(between ...func(message []byte) []byte) *ends {
	e := new(ends)
	a, err := p.client.Begin(name, p.c)
	if err != nil {
		e.clientErr = err
		return e
	}
	defer a.Abandon()
	e.request = a.Request()
	request := e.request
	if len(between) > 0 && between[0] != nil {
		request = between[0](append([]byte(nil), request...))
	}
	accepted, err := p.server.Check(name, p.s, request, time.Now())
	if err == nil {
		e.response, e.server, err = accepted.Respond()
	}
	if err != nil {
		e.serverErr = err
		return e
	}
	response := e.response
	if len(between) > 1 && between[1] != nil {
		response = between[1](append([]byte(nil), response...))
	}
	e.client, e.clientErr = a.Complete(response)
	return e
}

// works fails the test unless the exchange came to the same end on both sides.
func (e *ends) works(t testing.TB, cipher wire.Cipher, exchange string, kdf wire.Hash) {
	t.Helper()
	if err := e.err(); err != nil {
		t.Fatal(err)
	}
	for side, s := range map[string]*Session{"client": e.client, "server": e.server} {
		if s.Cipher != cipher || s.Exchange != exchange || s.KDF != kdf || (s.Key != nil) != (cipher != 0) {
			t.Errorf("%s: %v, %q, %v, want %v, %q, %v", side, s.Cipher, s.Exchange, s.KDF, cipher, exchange, kdf)
		}
	}
	if cipher != 0 && (*e.client.Key != *e.server.Key || *e.client.Key == (crypt.Key{})) {
		t.Error("the two sides have other keys")
	}
	if e.client.Self != e.server.Peer || e.client.Peer != e.server.Self {
		t.Errorf("they know each other as %q, %q and %q, %q", e.client.Self, e.client.Peer, e.server.Peer, e.server.Self)
	}
}

// fails fails the test unless one side refuses the other, and says all of says.
func fails(t testing.TB, err, want error, says ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	var d *errno.Detail
	if !errors.As(err, &d) || d.Hint == "" {
		t.Errorf("%q says no next step", err)
	}
}

// static gives the server a key for clients that encapsulate, and the client
// its public part.
func (p *pair) static(t testing.TB, x crypt.Exchange) {
	t.Helper()
	own, err := crypt.GenerateStaticKey(x)
	if err != nil {
		t.Fatal(err)
	}
	file, err := own.PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	if x.Hybrid() {
		ct.Write(t, filepath.Join(p.s.Dir, crypt.StaticKeyRaw), file)
		ct.Write(t, filepath.Join(p.c.Dir, crypt.StaticPublicRaw), own.Public())
		return
	}
	ct.Write(t, filepath.Join(p.s.Dir, crypt.StaticKeyPEM), ct.PEM("PRIVATE KEY", file))
	ct.Write(t, filepath.Join(p.c.Dir, crypt.StaticPublicPEM), ct.PEM("PUBLIC KEY", own.Public()))
}
