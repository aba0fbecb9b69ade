package oping

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"
)

// captured gives the messages that were seen on a wire, requests and replies
// in turn.
func captured(t testing.TB) (messages [][]byte) {
	t.Helper()
	f, err := os.Open("testdata/captured.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		kind, digits, _ := strings.Cut(lines.Text(), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"request", "reply"}[len(messages)%2]; kind != want {
			t.Fatalf("a %s where a %s should be", kind, want)
		}
		messages = append(messages, b)
	}
	if err := lines.Err(); err != nil || len(messages) == 0 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	return messages
}

func TestCapturedMessagesAreRead(t *testing.T) {
	want := []Packet{
		{Request, 0, 1477*time.Second + 237379441},
		{Reply, 0, 1477*time.Second + 237379441},
		{Request, 1, 1477*time.Second + 437568936},
		{Reply, 1, 1477*time.Second + 437568936},
	}
	for i, b := range captured(t) {
		if got, ok := Decode(b); !ok || got != want[i] {
			t.Errorf("message %d: got %+v, %v; want %+v", i, got, ok, want[i])
		}
	}
}

func TestCapturedMessagesAreWritten(t *testing.T) {
	for i, want := range captured(t) {
		p, _ := Decode(want)
		got := make([]byte, len(want))
		p.Encode(got)
		if !bytes.Equal(got, want) {
			t.Errorf("message %d:\ngot  %x\nwant %x", i, got, want)
		}
	}
}

func TestCapturedRequestsGetTheCapturedReplies(t *testing.T) {
	m := captured(t)
	for i := 0; i+1 < len(m); i += 2 {
		b := bytes.Clone(m[i])
		if !isRequest(b) {
			t.Errorf("message %d is no request", i)
		}
		makeReply(b)
		if !bytes.Equal(b, m[i+1]) {
			t.Errorf("reply to message %d:\ngot  %x\nwant %x", i, b, m[i+1])
		}
		if isRequest(m[i+1]) {
			t.Errorf("message %d is a request", i+1)
		}
	}
}

func TestGarbageIsNoMessage(t *testing.T) {
	good := make([]byte, MinSize)
	Packet{Type: Reply, ID: 7, Sent: time.Hour}.Encode(good)
	for n := range headerSize {
		if _, ok := Decode(good[:n]); ok {
			t.Errorf("%d bytes are read", n)
		}
		if isRequest(make([]byte, n)) {
			t.Errorf("%d bytes are a request", n)
		}
	}
	for _, at := range []int{15, 12, 23, 20, 19} { // high bytes of the times
		bad := bytes.Clone(good)
		bad[at] = 0xff
		if p, ok := Decode(bad); ok {
			t.Errorf("byte %d of garbage: read as %+v", at, p)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range captured(f) {
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, MinSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Decode(b)
		if !ok {
			return
		}
		if p.Sent < 0 {
			t.Errorf("a negative time %v", p.Sent)
		}
		again := bytes.Clone(b)
		p.Encode(again)
		if !bytes.Equal(again, b) {
			t.Errorf("got %x, want %x", again, b)
		}
	})
}
