package dyndns

import (
	"os"
	"strings"

	"ouroboros/internal/errno"
)

// Key is a TSIG key.
type Key struct {
	Name      string
	Algorithm string // hmac-sha256, ...
	Secret    string // base64
}

// maxKeyFile bounds what is read of a key file in bytes.
const maxKeyFile = 64 << 10

// ReadKey reads the first key of a file in BIND's format.
func ReadKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, errno.New(errno.NoEntry, "cannot read the DNS key: %v", err).
			Next("make one with: tsig-keygen NAME > %s; and include it in the server's configuration", path)
	}
	k, ok := ParseKey(string(text[:min(len(text), maxKeyFile)]))
	if !ok {
		return Key{}, errno.New(errno.Invalid, "there is no key in %s", path).
			Next(`it should look like: key "NAME" { algorithm hmac-sha256; secret "..."; };`)
	}
	return k, nil
}

// ParseKey finds the first complete key in a text in BIND's format, other
// statements and comments (#, // and /* */) beside it:
//
//	key "layer" {
//		algorithm hmac-sha256;
//		secret "bm90IHZlcnkgc2VjcmV0IGF0IGFsbA==";
//	};
func ParseKey(text string) (Key, bool) {
	words := words(text)
	for i := 0; i+2 < len(words); i++ {
		if words[i] != "key" || words[i+2] != "{" {
			continue
		}
		k := Key{Name: words[i+1]}
		for j := i + 3; j+1 < len(words) && words[j] != "}"; j++ {
			switch words[j] {
			case "algorithm":
				k.Algorithm = words[j+1]
			case "secret":
				k.Secret = words[j+1]
			}
		}
		if k.Algorithm != "" && k.Secret != "" {
			return k, true
		}
	}
	return Key{}, false
}

// words splits a text in BIND's format: braces and semicolons are words of
// their own, and a quoted string is one word.
func words(text string) (w []string) {
	for len(text) > 0 {
		switch {
		case strings.ContainsRune(" \t\r\n", rune(text[0])):
			text = text[1:]
		case text[0] == '#' || strings.HasPrefix(text, "//"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text[2:], "*/")
		case text[0] == '{' || text[0] == '}' || text[0] == ';':
			w, text = append(w, text[:1]), text[1:]
		case text[0] == '"':
			var s string
			s, text, _ = strings.Cut(text[1:], `"`)
			w = append(w, s)
		default:
			end := strings.IndexAny(text, " \t\r\n{};\"")
			if end < 0 {
				end = len(text)
			}
			w, text = append(w, text[:end]), text[end:]
		}
	}
	return w
}
