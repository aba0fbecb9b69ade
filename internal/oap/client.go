package oap

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// Client prepares the requests of a node. The zero value trusts no authority;
// its methods may be called from any goroutine.
type Client struct {
	Store *crypt.Store // of the authorities that this node trusts; nil = none
	Log   *slog.Logger // nil = no log
}

// Attempt is one allocation that a client has begun. A second one for the same
// flow is another Attempt: each request is served once. It holds secrets until
// Complete or Abandon.
type Attempt struct {
	client  *Client
	dst     string
	sec     Security
	self    string
	id      [wire.IDSize]byte
	named   wire.Hash // by the request
	request []byte
	hash    []byte // of the request

	want *crypt.Encryption // nil = plain
	own  *crypt.PrivateKey // for the answer of the server
	key  *crypt.Key        // when the client has encapsulated
}

// Begin prepares the request for a flow to the name dst. It reads the files of
// the name, and fails when one that exists cannot be used: with AuthFailed for
// those of the certificate, with Crypt for the others.
func (c *Client) Begin(dst string, sec Security) (*Attempt, error) {
	a := &Attempt{client: c, dst: dst, sec: sec}
	who, err := sec.identity(c.Log)
	if err != nil {
		return nil, because(errno.AuthFailed, err, ownFiles(dst), "this side cannot show who it is to the server of %q", dst)
	}
	defer who.wipe()
	a.self = who.name()
	if err := a.choose(); err != nil {
		return nil, err
	}
	rand.Read(a.id[:]) // does not fail
	m := wire.Message{ID: a.id}
	digest := wire.Hash(0)
	if a.want != nil {
		m.Cipher, m.KDF, digest = a.want.Cipher, a.want.KDF, a.want.Digest
		if err := a.offer(&m); err != nil {
			return nil, because(errno.Crypt, err, ownFiles(dst), "no key can be exchanged with the server of %q", dst)
		}
	}
	who.introduce(&m, digest)
	a.named = m.Hash
	m.Time = uint64(time.Now().UnixNano())
	if err := who.sign(&m); err != nil {
		a.Abandon()
		return nil, because(errno.AuthFailed, err, ownFiles(dst), "the request for %q cannot be signed", dst)
	}
	b, err := m.AppendRequest(make([]byte, 0, m.Size()))
	if err != nil {
		a.Abandon()
		return nil, broken("the request for %q cannot be made: %v", dst, err).Next("use a shorter certificate or key")
	}
	a.request, a.hash = b, a.named.OrDefault().Sum(b)
	return a, nil
}

// choose finds out how the flow is to be encrypted.
func (a *Attempt) choose() error {
	want, exists, err := a.sec.encryption()
	if err != nil {
		return because(errno.Crypt, err, ownFiles(a.dst), "the flow to %q cannot be encrypted", a.dst)
	}
	if a.sec.RequireEncryption {
		path := a.sec.path(a.sec.Encryption, encryptionFile)
		switch {
		case want != nil && !want.Cipher.Authenticated():
			return broken("flows to %q are to be encrypted so that changes are noticed, and %v does not notice them", a.dst, want.Cipher).
				Next("choose another cipher in %s", path)
		case want == nil && exists:
			return broken("flows to %q are to be encrypted, and %s says none", a.dst, path).Next("change one of the two")
		case want == nil:
			want = crypt.DefaultEncryption()
			want.Exchange = crypt.X25519
		}
	}
	a.want = want
	return nil
}

// offer puts the client's part of the key exchange into the request.
func (a *Attempt) offer(m *wire.Message) (err error) {
	x := a.want.Exchange
	m.Raw = x.Hybrid()
	if a.want.Encapsulate && x.KEM() {
		m.Encapsulated = true
		server, err := crypt.ReadStaticPublic(a.sec.Dir, x)
		if err == nil {
			m.KeyExchange, a.key, err = server.Answer(m.KDF)
		}
		return err
	}
	if a.own, err = crypt.GenerateKey(x); err == nil {
		m.KeyExchange = a.own.Public()
	}
	return err
}

// Request is what travels to the server. It must not be changed.
func (a *Attempt) Request() []byte { return a.request }

// Abandon wipes the secrets of an attempt that nobody answers.
func (a *Attempt) Abandon() {
	a.own.Wipe()
	a.key.Wipe()
	a.own, a.key = nil, nil
}

// Complete checks the response that came with the server's acceptance. On any
// failure the flow must not be used: the caller deallocates it, so that the
// server does not keep it. It is called once.
func (a *Attempt) Complete(response []byte) (*Session, error) {
	defer a.Abandon()
	return a.complete(response)
}

func (a *Attempt) complete(response []byte) (*Session, error) {
	m, err := wire.DecodeResponse(response, a.named)
	switch {
	case err != nil:
		return nil, broken("the server of %q accepted with a response that cannot be read: %v", a.dst, err).
			Next(sameWire)
	case m.ID != a.id:
		return nil, broken("the server of %q answered another request", a.dst).
			Next("try again; if it stays so, somebody answers in its place")
	case len(m.Certificate) == 0 && a.sec.RequireAuth:
		return nil, denied("the server of %q shows no certificate, and this node demands one", a.dst).
			Next("give the server a certificate for %q; if it has one, somebody on the way has taken it out", a.dst)
	}
	crt, err := peer(a.client.Store, m, response, "the server of \""+a.dst+"\"", errno.Crypt)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(m.RequestHash, a.hash) != 1 {
		return nil, broken("the server of %q received something else than this node sent", a.dst).
			Next("somebody on the way changes requests: see which layer carries them")
	}
	s := &Session{Data: bytes.Clone(m.Data), Self: a.self}
	if crt != nil {
		if crt.Name != a.dst {
			return nil, broken("the server of %q shows the certificate of %q", a.dst, crt.Name).
				Next("issue it one for %q: the common name (CN) is that under which clients know the service", a.dst)
		}
		s.Peer = crt.Name
	}
	if a.want == nil {
		return s, nil // whatever the response says: no key was asked for
	}
	if err := a.agree(m, s); err != nil {
		return nil, err
	}
	return s, nil
}

// agree takes the key of the flow from the response. It is to be no weaker in
// anything than what was asked for.
func (a *Attempt) agree(m *wire.Message, s *Session) (err error) {
	switch {
	case m.Cipher == 0:
		return broken("the server of %q leaves the flow plain, and this node wants it encrypted", a.dst).
			Next("see that the server can encrypt; if it can, somebody on the way has taken it out")
	case m.Cipher.Rank() < a.want.Cipher.Rank():
		return broken("the server of %q chose the cipher %v, which is weaker than the %v that this node wants", a.dst, m.Cipher, a.want.Cipher).
			Next("somebody on the way may have changed it: servers choose the stronger one")
	}
	kdf := a.want.KDF
	if a.key == nil && m.KDF != 0 {
		if m.KDF.Rank() < kdf.Rank() {
			return broken("the server of %q derives keys with %v, which is weaker than the %v that this node wants", a.dst, m.KDF, kdf).
				Next("somebody on the way may have changed it: servers choose the stronger one")
		}
		kdf = m.KDF
	}
	key := a.key
	if key == nil {
		if len(m.KeyExchange) == 0 {
			return broken("the response of the server of %q has no key in it", a.dst).Next(sameWire)
		}
		if key, err = a.own.Finish(m.KeyExchange, kdf); err != nil {
			return because(errno.Crypt, err, sameWire, "the key in the response of the server of %q is of no use", a.dst)
		}
	}
	a.key = nil // it is the session's
	s.Cipher, s.Key, s.KDF, s.Exchange = m.Cipher, key, kdf, a.want.Exchange.String()
	return nil
}
