package obc

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"unicode"
)

// captured gives the message "hey" as it was seen on a wire.
func captured(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/captured.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, digits, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheMessageIsTheOneSeenOnAWire(t *testing.T) {
	if got := encode("hey"); !bytes.Equal(got, captured(t)) {
		t.Errorf("got %x, want %x", got, captured(t))
	}
	if got := decode(captured(t)); got != "hey" {
		t.Errorf("got %q", got)
	}
}

func TestTextsEndAtTheZeroAndCannotHarmATerminal(t *testing.T) {
	for message, want := range map[string]string{
		"":                    "",
		"\x00":                "",
		"no end":              "no end",
		"one\x00two\x00":      "one",
		"Grüße, 世界\x00":       "Grüße, 世界",
		"\x1b[2Jgone\n\x00":   "\uFFFD[2Jgone\uFFFD",
		"broken \xff\x00":     "broken \uFFFD",
		"\u202eright to left": "\uFFFDright to left",
	} {
		if got := decode([]byte(message)); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(captured(f))
	f.Add([]byte("\x1b]0;title\a"))
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, r := range decode(message) {
			if r != unicode.ReplacementChar && !unicode.IsPrint(r) {
				t.Errorf("%q passed in %q", r, message)
			}
		}
	})
}
