package oap

import (
	"bytes"
	"fmt"
	"time"

	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// ServerConfig says what a server accepts. The zero value is the default.
type ServerConfig struct {
	Slack  time.Duration // how far a request may be ahead of this node's clock; 0 = Slack of the protocol
	MaxAge time.Duration // how old a request may be when it arrives; 0 = MaxAge of the protocol
	Recent int           // how many requests are remembered at the most; 0 = 262144
}

// Server checks the requests that arrive at a node. Its methods may be called
// from any goroutine.
type Server struct {
	slack, maxAge time.Duration
	recent        recent
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
	s := &Server{slack: cfg.Slack, maxAge: cfg.MaxAge}
	// A request is in time for so long after its arrival, give or take the
	// milliseconds that are cut off.
	s.recent.keep = cfg.MaxAge + cfg.Slack + 10*time.Millisecond
	s.recent.limit = cfg.Recent
	return s
}

// Accepted is a request that passed the checks. A server still has to be
// found for it, and Respond is called when there is one.
type Accepted struct {
	Session
	dst   string
	id    [wire.IDSize]byte
	named wire.Hash // by the request
	hash  []byte    // of the request
}

// Check looks at a request for the name dst that came at the time arrived,
// which is not to include any waiting of this node's own. What costs least is
// checked first.
//
//	ErrAuth    cannot be read, too old, ahead of time, seen before, or of
//	           somebody whom this node does not trust
//	ErrCrypt   asks for what this node does not do
//	NoBufs     more requests in a short time than can be remembered
func (s *Server) Check(dst string, sec Security, request []byte, arrived time.Time) (*Accepted, error) {
	m, err := wire.DecodeRequest(request)
	if err != nil {
		return nil, denied("the request for %q cannot be read: %v", dst, err)
	}
	if err := s.inTime(m.Time, arrived); err != nil {
		return nil, err
	}
	if err := s.recent.add(key{m.Time, m.ID}, arrived); err != nil {
		return nil, err
	}
	if len(m.Certificate) > 0 {
		return nil, denied("the client shows a certificate, and this node trusts no authority that could have signed it")
	}
	if len(m.KeyExchange) > 0 || m.Encapsulated || m.Raw {
		return nil, errno.New(errno.Crypt, "the client asks for an encrypted flow to %q, and this node has no keys", dst)
	}
	return &Accepted{
		Session: Session{Data: bytes.Clone(m.Data)},
		dst:     dst, id: m.ID, named: m.Hash, hash: m.Hash.OrDefault().Sum(request),
	}, nil
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

// Respond makes the response, as of now, and with it the session.
func (a *Accepted) Respond() ([]byte, *Session, error) {
	m := wire.Message{ID: a.id, Time: uint64(time.Now().UnixNano()), RequestHash: a.hash}
	b, err := m.AppendResponse(make([]byte, 0, m.Size()), a.named)
	if err != nil {
		return nil, nil, denied("the response for %q cannot be made: %v", a.dst, err)
	}
	return b, &a.Session, nil
}
