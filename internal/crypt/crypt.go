// Package crypt holds the algorithms with which two nodes agree on the key of
// a flow and prove who they are: key exchanges, key derivation, signatures,
// certificates and the authorities that a node trusts. It does no I/O other
// than reading the files that its functions name.
package crypt

import (
	"errors"
	"fmt"
	"log/slog"
)

// KeySize is the length of a flow's key in bytes, whatever the cipher: one
// with a shorter key uses the first bytes.
const KeySize = 32

// Key is the key of one flow, which both ends have. Whoever owns it wipes it.
// It shows itself in no log, print or JSON.
type Key [KeySize]byte

// Wipe overwrites the key. A nil key has nothing to wipe.
func (k *Key) Wipe() {
	if k != nil {
		clear(k[:])
	}
}

// Format shows that there is a key, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, "(key)") }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue("(key)") }

// MarshalText fails: a key leaves the process in no document.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("the key of a flow is not to be written")
}
