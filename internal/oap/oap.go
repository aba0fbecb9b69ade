// Package oap is the exchange that two nodes make inside each flow
// allocation over a layer: the client's request, the server's checks and its
// response, the client's checks. The messages are those of package wire/oap;
// the IPCP between the two carries them without looking.
//
//	client node                                     server node
//	Client.Begin ── Attempt.Request ──► IPCPs ──► Server.Check ── refused
//	                                                   │
//	Attempt.Complete ◄──────────── IPCPs ◄── Accepted.Respond
//
// Without certificates and keys the exchange still says that the response is
// for this request, made now by somebody who has seen all of it, and that no
// request is served twice. Neither side is then known to the other, and the
// flow is not encrypted.
//
// This node has no certificates, trusts no authority and has no keys, and the
// checks are those of the protocol for such a node:
//
//	request with a certificate    refused with errno.AuthFailed
//	request for an encrypted flow refused with errno.Crypt
//	response with a certificate   errno.Crypt
//	response that names a cipher  the flow is plain: none was asked for
//
// What a refusal is on the wire is the negative of errno.Number.
package oap

import (
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// The bounds of the protocol on the time of a request, as the server sees it.
const (
	MaxAge = 20 * time.Second       // older is refused
	Slack  = 100 * time.Millisecond // further ahead is refused
)

// Session is what the two sides have agreed upon.
type Session struct {
	Data []byte // of the other side's user; nil when there is none

	Cipher wire.Cipher // of the flow's packets; 0 = plain
	Key    *crypt.Key  // nil = plain; whoever takes the session wipes it

	Peer     string    // the common name in the peer's certificate; "" = anonymous
	Exchange string    // how the key was agreed on, such as "X25519MLKEM768"; "" = plain
	KDF      wire.Hash // of the key derivation; 0 = plain
}

// broken is an exchange that did not do what it is for.
func broken(format string, args ...any) *errno.Detail { return errno.New(errno.Crypt, format, args...) }

// denied is a request that is not served.
func denied(format string, args ...any) *errno.Detail {
	return errno.New(errno.AuthFailed, format, args...)
}
