package ocbr

import (
	"bytes"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

// captured gives the messages that were seen on a wire, by sequence number.
func captured(t testing.TB) (messages [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/captured.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		seq, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if seq == "#" {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil || seq != strconv.Itoa(len(messages)) {
			t.Fatalf("%q: %v", line, err)
		}
		messages = append(messages, b)
	}
	if len(messages) == 0 {
		t.Fatal("no messages")
	}
	return messages
}

func TestCapturedMessagesAreWrittenAndRead(t *testing.T) {
	for i, want := range captured(t) {
		got := make([]byte, len(want))
		number(got, int64(i))
		if !bytes.Equal(got, want) {
			t.Errorf("message %d:\ngot  %x\nwant %x", i, got, want)
		}
		if seq, ok := numberOf(want); !ok || seq != int64(i) {
			t.Errorf("message %d: read as %d, %v", i, seq, ok)
		}
	}
}

func TestShortMessagesHoldTheFirstBytesOfTheNumber(t *testing.T) {
	const seq = 0x0807060504030201
	for size := range 12 {
		got := make([]byte, size)
		number(got, seq)
		want := []byte{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0}[:size]
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %x, want %x", size, got, want)
		}
		if back, ok := numberOf(got); ok != (size >= 8) || ok && back != seq {
			t.Errorf("%d bytes: read as %x, %v", size, back, ok)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, m := range captured(f) {
		f.Add(m)
	}
	f.Add([]byte{})
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, message []byte) {
		seq, ok := numberOf(message)
		if !ok {
			return
		}
		again := bytes.Clone(message)
		number(again, seq)
		if !bytes.Equal(again, message) {
			t.Errorf("got %x, want %x", again, message)
		}
	})
}
