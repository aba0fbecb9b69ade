package oap

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// ServerConfig says what a server accepts. The zero value is the default.
type ServerConfig struct {
	Slack  time.Duration // how far a request may be ahead of this node's clock; 0 = Slack of the protocol
	MaxAge time.Duration // how old a request may be when it arrives; 0 = MaxAge of the protocol
	Recent int           // how many requests are remembered at the most; 0 = 262144
	Store  *crypt.Store  // of the authorities that this node trusts; nil = none
	Log    *slog.Logger  // nil = no log
}

// Server checks the requests that arrive at a node. Its methods may be called
// from any goroutine.
type Server struct {
	slack, maxAge time.Duration
	store         *crypt.Store
	log           *slog.Logger
	recent        recent

	// turns bounds how many requests are checked at a time. Were it as many as
	// arrive, certificates and signatures would keep the processors from those
	// that have passed and hold a server's accept, and all would be late.
	turns chan struct{}
}

// NewServer makes a server that has seen nothing yet.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Slack <= 0 {
		cfg.Slack = Slack
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = MaxAge
	}
	if cfg.Recent <= 0 {
		cfg.Recent = 1 << 18
	}
	s := &Server{slack: cfg.Slack, maxAge: cfg.MaxAge, store: cfg.Store, log: cfg.Log, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	// A request is in time for so long after its arrival, give or take the
	// milliseconds that are cut off.
	s.recent.keep = cfg.MaxAge + cfg.Slack + 10*time.Millisecond
	s.recent.limit = cfg.Recent
	return s
}

// Accepted is a request that passed the checks. A server still has to be
// found for it: Respond is called when there is one, and Abandon when there is
// none.
type Accepted struct {
	session Session
	dst     string
	sec     Security
	id      [wire.IDSize]byte
	named   wire.Hash // by the request
	hash    []byte    // of the request

	who    *identity         // of this side
	digest wire.Hash         // of its signatures
	peer   *crypt.PublicKey  // to be answered; nil = plain, or the client has encapsulated
	sealed []byte            // what it has encapsulated
	static *crypt.PrivateKey // with which that is opened
}

// Check looks at a request for the name dst that came at the time arrived,
// which is not to include any waiting of this node's own. What costs least is
// checked first. The request is not kept.
//
//	ErrAuth    cannot be read, too old, ahead of time, seen before, or of
//	           somebody whom this node does not trust or let
//	ErrCrypt   asks for what this side does not do, or not for what it demands
//	NoBufs     more requests in a short time than can be remembered
func (s *Server) Check(dst string, sec Security, request []byte, arrived time.Time) (*Accepted, error) {
	m, err := wire.DecodeRequest(request)
	if err != nil {
		return nil, denied("the request for %q cannot be read: %v", dst, err).Next(sameWire)
	}
	if err := s.inTime(m.Time, arrived); err != nil {
		return nil, err
	}
	if err := s.recent.add(key{m.Time, m.ID}, arrived); err != nil {
		return nil, err
	}
	return s.check(dst, sec, m, request)
}

// check makes the checks of who asks and for what.
func (s *Server) check(dst string, sec Security, m *wire.Message, request []byte) (*Accepted, error) {
	s.turns <- struct{}{}
	defer func() { <-s.turns }()
	who, err := sec.identity(s.log)
	if err != nil {
		return nil, because(errno.AuthFailed, err, ownFiles(dst), "the server of %q cannot show who it is", dst)
	}
	a := &Accepted{dst: dst, sec: sec, id: m.ID, named: m.Hash, who: who}
	if err := s.examine(a, m, request); err != nil {
		a.Abandon()
		return nil, err
	}
	a.session.Self = who.name()
	a.session.Data = bytes.Clone(m.Data)
	a.hash = m.Hash.OrDefault().Sum(request)
	return a, nil
}

func (s *Server) examine(a *Accepted, m *wire.Message, request []byte) error {
	want, _, err := a.sec.encryption()
	if err != nil {
		return because(errno.Crypt, err, ownFiles(a.dst), "flows to %q cannot be encrypted", a.dst)
	}
	if len(m.Certificate) == 0 && a.sec.RequireAuth {
		return denied("the client shows no certificate, and %q demands one", a.dst).
			Next("give the client a certificate for its flows to %q", a.dst)
	}
	crt, err := peer(s.store, m, request, "the client", errno.AuthFailed)
	if err != nil {
		return err
	}
	if crt != nil {
		a.session.Peer = crt.Name
	}
	if len(a.sec.Allow) > 0 && !slices.Contains(a.sec.Allow, a.session.Peer) {
		if crt == nil {
			return denied("%q is for certain clients, and this one shows no certificate", a.dst).
				Next("give the client a certificate for its flows to %q", a.dst)
		}
		return denied("%q is for certain clients, and %q is none of them", a.dst, crt.Name).
			Next("put it on the list of the name, if it may")
	}
	if want != nil {
		a.digest = want.Digest
	}
	return a.negotiate(m, want)
}

// negotiate decides how the flow is encrypted. want is this side's wish.
func (a *Accepted) negotiate(m *wire.Message, want *crypt.Encryption) error {
	if len(m.KeyExchange) == 0 {
		switch {
		case m.Raw || m.Encapsulated:
			return broken("the client asks for an encrypted flow to %q, and there is no key in its request", a.dst).Next(sameWire)
		case want != nil:
			return broken("flows to %q are encrypted, and the client asks for a plain one", a.dst).
				Next("put the same enc.conf for %q on the node of the client", a.dst)
		case a.sec.RequireEncryption:
			return broken("flows to %q must be encrypted, and the client asks for a plain one", a.dst).
				Next("put an enc.conf for %q on the node of the client", a.dst)
		}
		return nil
	}
	var least crypt.Exchange
	cipher, kdf := m.Cipher, m.KDF
	if want != nil {
		least = want.Exchange
		if want.Cipher.Rank() > cipher.Rank() {
			cipher = want.Cipher
		}
		if want.KDF.Rank() > kdf.Rank() {
			if m.Encapsulated {
				return broken("the client derives the key with %v, which is weaker than the %v of %q", m.KDF, want.KDF, a.dst).
					Next("put kdf=%v into the enc.conf for %q on the node of the client", want.KDF, a.dst)
			}
			kdf = want.KDF
		}
	}
	switch {
	case cipher == 0:
		return broken("the client sends a key for a flow to %q, and names no cipher", a.dst).Next(sameWire)
	case a.sec.RequireEncryption && !cipher.Authenticated():
		return broken("flows to %q must be encrypted so that changes are noticed, and %v does not notice them", a.dst, cipher).
			Next("choose another cipher in the enc.conf for %q on the node of the client", a.dst)
	}
	x, err := a.exchange(m, want)
	if err != nil {
		return err
	}
	if x < least {
		return broken("the client exchanges keys with %v, which is weaker than the %v of %q", x, least, a.dst).
			Next("put kex=%v into the enc.conf for %q on the node of the client", least, a.dst)
	}
	if kdf == 0 {
		kdf = wire.SHA256
	}
	a.session.Cipher, a.session.KDF, a.session.Exchange = cipher, kdf, x.String()
	return nil
}

// exchange reads the client's part of the key exchange.
func (a *Accepted) exchange(m *wire.Message, want *crypt.Encryption) (crypt.Exchange, error) {
	if m.Encapsulated {
		if want == nil || !want.Exchange.KEM() {
			return 0, broken("the client encapsulates for a key of %q, which does not have flows encrypted so", a.dst).
				Next("put kem_mode=server into the enc.conf for %q on the node of the client", a.dst)
		}
		key, err := crypt.ReadStaticKey(a.sec.Dir, m.Raw)
		if err != nil {
			return 0, because(errno.Crypt, err, ownFiles(a.dst), "the key for %q cannot be opened", a.dst)
		}
		a.static, a.sealed = key, bytes.Clone(m.KeyExchange)
		return key.Exchange(), nil
	}
	parse := crypt.ParsePublicKey
	if m.Raw {
		parse = crypt.ParseRawPublicKey
	}
	peer, err := parse(bytes.Clone(m.KeyExchange))
	if err != nil {
		return 0, because(errno.Crypt, err, "let the client use one of the exchanges of enc.conf; if it does, "+sameWire, "the key in the client's request for %q is of no use", a.dst)
	}
	a.peer = peer
	return peer.Exchange(), nil
}

// inTime checks the time of a request. Milliseconds count, and what is less
// is cut off.
func (s *Server) inTime(stamp uint64, arrived time.Time) error {
	const ms = uint64(time.Millisecond)
	now := uint64(max(0, arrived.UnixNano()))
	if stamp > now {
		if ahead := stamp - now; ahead/ms > uint64(s.slack)/ms {
			return denied("the request is %v ahead of this node's clock, and may be %v", span(ahead), s.slack).
				Next("set the clocks of both nodes")
		}
		return nil
	}
	if age := now - stamp; age/ms > uint64(s.maxAge)/ms {
		return denied("the request is %v old by this node's clock, and may be %v", span(age), s.maxAge).
			Next("set the clocks of both nodes")
	}
	return nil
}

// span shows a length of time in ns that somebody else chose.
func span(ns uint64) string {
	if ns > uint64(100*365*24*time.Hour) {
		return "a century"
	}
	return fmt.Sprint(time.Duration(ns).Round(time.Millisecond))
}

// Data is that of the client's user; nil when there is none.
func (a *Accepted) Data() []byte { return a.session.Data }

// Peer is the common name in the client's certificate; "" = anonymous.
func (a *Accepted) Peer() string { return a.session.Peer }

// Abandon wipes the secrets of a request that is not answered.
func (a *Accepted) Abandon() {
	a.who.wipe()
	a.static.Wipe()
	a.who, a.static = nil, nil
}

// Respond makes the response, as of now, and with it the session: the server
// may use its key as soon as the response is on its way. It is called once.
// Errors are those of Check.
func (a *Accepted) Respond() ([]byte, *Session, error) {
	defer a.Abandon()
	s := &a.session
	m := wire.Message{ID: a.id, Cipher: s.Cipher, KDF: s.KDF, RequestHash: a.hash}
	err := a.answer(&m)
	if err != nil {
		return nil, nil, because(errno.Crypt, err, sameWire, "no key can be exchanged with the client for %q", a.dst)
	}
	a.who.introduce(&m, a.digest)
	m.Time = uint64(time.Now().UnixNano())
	if err = a.who.sign(&m); err == nil {
		var b []byte
		if b, err = m.AppendResponse(make([]byte, 0, m.Size()), a.named); err == nil {
			return b, s, nil
		}
	}
	s.Key.Wipe()
	return nil, nil, because(errno.AuthFailed, err, ownFiles(a.dst), "the response for %q cannot be made", a.dst)
}

// answer makes this side's part of the key exchange, and the key.
func (a *Accepted) answer(m *wire.Message) (err error) {
	switch s := &a.session; {
	case a.static != nil:
		s.Key, err = a.static.Finish(a.sealed, s.KDF)
	case a.peer != nil:
		m.KeyExchange, s.Key, err = a.peer.Answer(s.KDF)
		m.Raw = a.peer.Exchange().Hybrid()
	}
	return err
}
