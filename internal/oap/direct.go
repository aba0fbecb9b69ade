package oap

import (
	"os"

	wire "ouroboros/internal/wire/oap"
)

// Bare reports whether this side does nothing for the name: it has no files,
// and demands nothing.
func (s *Security) Bare() bool {
	if s.RequireAuth || s.RequireEncryption || len(s.Allow) > 0 ||
		s.Encryption != "" || s.Certificate != "" || s.Key != "" {
		return false
	}
	if s.Dir == "" {
		return true
	}
	_, err := os.Lstat(s.Dir)
	return os.IsNotExist(err)
}

// Direct is the exchange for a flow between two processes of one node, which
// the node makes with itself: both sides know each other, and a flow is
// refused, as over a layer. No time is checked and nothing remembered, since
// nobody else could have made the request.
//
// The flow needs no key: it lies in memory that only its two ends see. That
// meets a demand for encryption, too. The session is that of the client.
func Direct(c *Client, s *Server, dst string, client, server Security) (*Session, error) {
	if client.Bare() && server.Bare() {
		return &Session{}, nil
	}
	client.RequireEncryption, server.RequireEncryption = false, false
	a, err := c.Begin(dst, client)
	if err != nil {
		return nil, err
	}
	defer a.Abandon()
	m, err := wire.DecodeRequest(a.Request())
	if err != nil {
		return nil, broken("the request for %q cannot be read: %v", dst, err).Next("use a shorter certificate or key")
	}
	accepted, err := s.check(dst, server, m, a.Request())
	if err != nil {
		return nil, err
	}
	response, other, err := accepted.Respond()
	if err != nil {
		return nil, err
	}
	other.Key.Wipe()
	session, err := a.Complete(response)
	if err != nil {
		return nil, err
	}
	session.Key.Wipe()
	return &Session{Self: session.Self, Peer: session.Peer}, nil
}
