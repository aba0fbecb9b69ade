package cert

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"ouroboros/internal/crypt"
)

// Info is a certificate as people and scripts see it.
type Info struct {
	Path        string    `json:"path"`
	Kind        Kind      `json:"kind"`
	For         string    `json:"for"`  // the server, for one of a side of a name; else empty
	Name        string    `json:"name"` // that it is for
	Issuer      string    `json:"issuer"`
	Authority   bool      `json:"authority"` // may issue
	Algorithm   string    `json:"algorithm"` // of the key
	Serial      string    `json:"serial"`
	Begin       time.Time `json:"begin"`
	End         time.Time `json:"end"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the whole, hexadecimal
	State       State     `json:"state"`
	Problem     string    `json:"problem"` // why it is refused; empty when it is not
}

// Kind is what a certificate in a security directory is for.
type Kind string

// The kinds.
const (
	KindFile      Kind = "file" // elsewhere
	KindAuthority Kind = "ca"   // with its private key here
	KindTrusted   Kind = "trusted"
	KindBetween   Kind = "untrusted"
	KindRevoked   Kind = "revoked"
	KindServer    Kind = "server"
	KindClient    Kind = "client"
)

// State is what this node makes of a certificate.
type State string

// The states.
const (
	Valid      State = "valid"
	Expired    State = "expired"
	NotYet     State = "not yet"
	Refused    State = "refused" // unknown authority, revoked
	Unreadable State = "unreadable"
)

// describe gives what the certificate says of itself.
func describe(path string, c *crypt.Certificate) *Info {
	x := c.X509
	sum := sha256.Sum256(x.Raw)
	i := &Info{
		Path: path, Kind: KindFile, Name: c.Name, Authority: x.IsCA,
		Serial: hex.EncodeToString(x.SerialNumber.Bytes()), Begin: x.NotBefore.UTC(), End: x.NotAfter.UTC(),
		Fingerprint: hex.EncodeToString(sum[:]), State: Valid,
	}
	if i.Issuer = x.Issuer.CommonName; i.Issuer == "" {
		i.Issuer = x.Issuer.String()
	}
	if k, err := c.Key(); err == nil {
		i.Algorithm = k.Algorithm()
	}
	return i
}

// judge adds what this node makes of it.
func (i *Info) judge(c *crypt.Certificate, store *crypt.Store, now time.Time) {
	err := store.Verify(c, now)
	if err == nil {
		return
	}
	i.State, i.Problem = Refused, err.Error()
	switch {
	case now.After(c.X509.NotAfter):
		i.State = Expired
	case now.Before(c.X509.NotBefore):
		i.State = NotYet
	}
}
