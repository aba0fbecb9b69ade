// Package oap is the exchange that two nodes make inside each flow allocation
// over a layer: the client's request, the server's checks and its response,
// the client's checks. The messages are those of package wire/oap; the IPCP
// between the two carries them without looking.
//
//	client node                                     server node
//	Client.Begin ── Attempt.Request ──► IPCPs ──► Server.Check ── refused
//	                                                   │
//	Attempt.Complete ◄──────────── IPCPs ◄── Accepted.Respond
//
// Each side does what its files for the name say, see Security: it shows a
// certificate and signs, or stays anonymous; it wants the flow encrypted, or
// takes what the other wants. Without any the exchange still says that the
// response is for this request, made now by somebody who has seen all of it,
// and that no request is served twice.
//
// # The server
//
// The checks of a request, those first that cost least:
//
//	check                                                   refused with
//	it can be read; it is of now; it did not come before    AuthFailed
//	this side's certificate and key can be read             AuthFailed
//	this side's enc.conf can be read                        Crypt
//	the client's certificate: its chain, the signature      AuthFailed
//	the client is one of those that may                     AuthFailed
//	what both want of encryption goes together              Crypt
//
// The client chooses how keys are exchanged, and the server's own choice is
// the least that it takes. Of the two ciphers, and of the two hashes for the
// derivation of the key, the stronger is used; a client that encapsulates has
// used its hash already.
//
//	client                        server                  flow
//	nothing                       nothing                 plain
//	nothing                       encryption              refused
//	encryption                    nothing                 encrypted as the client wants
//	an exchange                   a stronger one          refused
//	an exchange                   the same or a weaker    encrypted with the client's
//	encapsulates                  no KEM, or no key       refused
//
// # The client
//
// The checks of a response, in their order: it can be read, has the id of the
// request, comes from whom its certificate names by chain and signature, has
// the hash of the request, its certificate is for the destination, and what it
// says of encryption is no less than what was asked for. All fail with Crypt
// but one: with AuthFailed when a certificate is demanded and none is there.
//
// # Ciphers without integrity
//
// AES-CTR hides what a flow carries, and does not notice when somebody changes
// it. It is used when both sides' files allow it, as the C implementation does;
// a side that demands encryption refuses it.
//
// What a refusal is on the wire is the negative of errno.Number.
package oap

import (
	"errors"
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

	Self     string    // the common name in the own certificate; "" = anonymous
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

// Where a message itself is wrong, one of these two is.
const sameWire = "see that both nodes run the same version, and whether something on the way changes packets"

// because gives an error of the algorithms, certificates or files a number and
// what was to be done, and keeps its next step; without one it is next.
func because(sentinel, err error, next, format string, args ...any) *errno.Detail {
	d := errno.New(sentinel, format+": %v", append(args, err)...)
	d.Hint = next
	var p *crypt.Problem
	if errors.As(err, &p) {
		d.Cause = errno.New(sentinel, format+": %s", append(args, p.Cause)...).Cause
		if p.Hint != "" {
			d.Hint = p.Hint
		}
	}
	return d
}

// ownFiles is the next step when something is wrong with this side's files.
func ownFiles(name string) string { return "see what is wrong with them: irm cert check " + name }
