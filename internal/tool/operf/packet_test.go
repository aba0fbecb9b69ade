package operf

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// captured gives the messages that were seen on a wire: the configuration,
// and the first bytes of the data.
func captured(t testing.TB) (config []byte, data [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/captured.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		kind, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "#" {
			continue
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "config":
			config = b
		case "data":
			data = append(data, b)
		default:
			t.Fatalf("what is %q?", kind)
		}
	}
	return config, data
}

func TestTheConfigurationIsTheOneSeenOnAWire(t *testing.T) {
	want, _ := captured(t)
	if got := encodeConfig(Bi); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got, ok := decodeConfig(want); !ok || got != Bi {
		t.Errorf("read as %v, %v", got, ok)
	}
}

func TestTheDataIsTheOneSeenOnAWire(t *testing.T) {
	_, data := captured(t)
	if len(data) != 6 {
		t.Fatalf("%d messages", len(data))
	}
	for i, want := range data {
		id := uint32(i / 2) // there and back
		got := make([]byte, idSize)
		if putID(got, id); !bytes.Equal(got, want) {
			t.Errorf("message %d: got %x, want %x", i, got, want)
		}
		if back, ok := idOf(want); !ok || back != id {
			t.Errorf("message %d: read as %d, %v", i, back, ok)
		}
	}
}

func TestConfigurations(t *testing.T) {
	for _, tc := range []struct {
		message string
		want    Test
		ok      bool
	}{
		{"00000000", Uni, true},
		{"01000000", Bi, true},
		{"02000000", 0, false},
		{"00000001", 0, false}, // the other byte order
		{"ffffffff", 0, false},
		{"", 0, false},
		{"010000", 0, false},
		{"0100000000", 0, false},
	} {
		message, err := hex.DecodeString(tc.message)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := decodeConfig(message); ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: got %v, %v", tc.message, got, ok)
		}
	}
}

func FuzzDecode(f *testing.F) {
	config, data := captured(f)
	f.Add(config)
	f.Add(data[2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		if test, ok := decodeConfig(message); ok && !bytes.Equal(encodeConfig(test), message) {
			t.Errorf("%x is read as %v", message, test)
		}
		if id, ok := idOf(message); ok {
			again := bytes.Clone(message)
			if putID(again, id); !bytes.Equal(again, message) {
				t.Errorf("got %x, want %x", again, message)
			}
		}
	})
}
