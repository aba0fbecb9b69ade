package oap

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"time"

	wire "ouroboros/internal/wire/oap"
)

// Client prepares the requests of a node. The zero value is ready; its
// methods may be called from any goroutine.
type Client struct{}

// Attempt is one allocation that a client has begun. A second one for the same
// flow is another Attempt: each request is served once.
type Attempt struct {
	dst     string
	id      [wire.IDSize]byte
	named   wire.Hash // by the request
	request []byte
	hash    []byte // of the request
}

// Begin prepares the request for a flow to the name dst.
func (c *Client) Begin(dst string, sec Security) (*Attempt, error) {
	a := &Attempt{dst: dst}
	rand.Read(a.id[:]) // does not fail
	m := wire.Message{ID: a.id, Time: uint64(time.Now().UnixNano()), Hash: a.named}
	b, err := m.AppendRequest(make([]byte, 0, m.Size()))
	if err != nil {
		return nil, broken("the request for %q cannot be made: %v", dst, err)
	}
	a.request, a.hash = b, a.named.OrDefault().Sum(b)
	return a, nil
}

// Request is what travels to the server. It must not be changed.
func (a *Attempt) Request() []byte { return a.request }

// Complete checks the response that came with the server's acceptance. On any
// failure, which is errno.Crypt, the flow must not be used: the caller
// deallocates it.
func (a *Attempt) Complete(response []byte) (*Session, error) {
	m, err := wire.DecodeResponse(response, a.named)
	switch {
	case err != nil:
		return nil, broken("the server of %q accepted with a response that cannot be read: %v", a.dst, err).
			Next("see that both nodes run the same version, and whether something on the way changes packets")
	case m.ID != a.id:
		return nil, broken("the server of %q answered another request", a.dst).
			Next("try again; if it stays so, somebody answers in its place")
	case len(m.Certificate) > 0:
		return nil, broken("the server of %q shows a certificate, and this node trusts no authority that could have signed it", a.dst).
			Next("run the server without a certificate for %q", a.dst)
	case subtle.ConstantTimeCompare(m.RequestHash, a.hash) != 1:
		return nil, broken("the server of %q received something else than this node sent", a.dst).
			Next("somebody on the way changes requests: see which layer carries them")
	}
	// Neither the time nor the cipher of the response is looked at: the hash
	// binds it to a request of now, which asked for no cipher.
	return &Session{Data: bytes.Clone(m.Data)}, nil
}
