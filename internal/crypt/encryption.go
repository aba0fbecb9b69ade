package crypt

import (
	"fmt"
	"strings"

	wire "ouroboros/internal/wire/oap"
)

// Encryption is how one side of a name wants its flows encrypted.
type Encryption struct {
	Exchange    Exchange
	Cipher      wire.Cipher
	KDF         wire.Hash
	Digest      wire.Hash // of signatures
	Encapsulate bool      // the client encapsulates for a key of the server; means nothing to a server
	Ignored     []string  // of the file: what says nothing
}

// DefaultEncryption is what an empty file says.
func DefaultEncryption() *Encryption {
	return &Encryption{Exchange: P256, Cipher: wire.AES256GCM, KDF: wire.SHA256, Digest: wire.SHA256}
}

// maxLine is the longest line of an enc.conf in bytes.
const maxLine = 255

// ParseEncryption reads an enc.conf; nil says that nothing is to be encrypted.
//
//	kex=X25519           any Exchange; without the line prime256v1
//	cipher=aes-256-gcm   any wire.Cipher; this is the default
//	kdf=sha256           any wire.Hash; this is the default
//	digest=sha256        any wire.Hash, of signatures; this is the default
//	kem_mode=server      or client: who encapsulates; this is the default
//	none                 nothing is encrypted; what follows is not read
//	# ...                a comment, when the line begins so
//
// Case counts, spaces and tabs around keys and values do not. Of several lines
// with one key the last counts. Lines without = and those with other keys say
// nothing; an unknown value is an error.
func ParseEncryption(text []byte) (*Encryption, error) {
	e := DefaultEncryption()
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSuffix(line, "\r")
		switch {
		case len(line) > maxLine:
			return nil, problem("line %d has %d bytes, the most is %d", i+1, len(line), maxLine)
		case line == "none":
			return nil, nil
		case line == "" || line[0] == '#':
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.Trim(key, " \t"), strings.Trim(value, " \t")
		if !ok || !e.set(key, value, &ok) {
			if strings.Trim(line, " \t") != "" {
				e.Ignored = append(e.Ignored, fmt.Sprintf("line %d: %.60q says nothing", i+1, line))
			}
			continue
		}
		if !ok {
			return nil, problem("line %d: %s cannot be %.60q", i+1, key, value).
				next("use one of: %s", strings.Join(values[key](), ", "))
		}
	}
	return e, nil
}

// values gives what a key can be set to.
var values = map[string]func() []string{
	"kex":      ExchangeNames,
	"cipher":   wire.CipherNames,
	"kdf":      wire.HashNames,
	"digest":   wire.HashNames,
	"kem_mode": func() []string { return []string{"server", "client"} },
}

// set reports whether there is such a key, and in ok whether the value is one
// for it.
func (e *Encryption) set(key, value string, ok *bool) bool {
	switch key {
	case "kex":
		e.Exchange = ExchangeOf(value)
		*ok = e.Exchange != 0
	case "cipher":
		e.Cipher = wire.CipherOf(value)
		*ok = e.Cipher != 0
	case "kdf":
		e.KDF = wire.HashOf(value)
		*ok = e.KDF != 0
	case "digest":
		e.Digest = wire.HashOf(value)
		*ok = e.Digest != 0
	case "kem_mode":
		e.Encapsulate = value == "client"
		*ok = e.Encapsulate || value == "server"
	default:
		return false
	}
	return true
}

// ReadEncryption reads the file of that path. nil says that nothing is to be
// encrypted: because there is no file, or because the file says so.
func ReadEncryption(path string) (e *Encryption, exists bool, err error) {
	b, exists, err := readFile(path, shared)
	if err != nil || !exists {
		return nil, exists, err
	}
	if e, err = ParseEncryption(b); err != nil {
		return nil, true, in(path, err)
	}
	return e, true, nil
}
