package seal

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/oap"
)

func load(t testing.TB, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newSealer(t testing.TB, c Config) *Sealer {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// opens gives what a Sealer makes of one packet.
func opens(s *Sealer, p []byte) (plain string, ok bool) {
	batch := []*packet.Buffer{packet.From(p)}
	if s.Open(batch) == 0 {
		return "", false
	}
	defer batch[0].Release()
	return string(batch[0].Bytes()), true
}

// sealed gives a packet for the wire.
func sealed(s *Sealer, plain string) []byte {
	b := packet.From([]byte(plain))
	defer b.Release()
	if s.Seal([]*packet.Buffer{b}) != 1 {
		panic("the sealer is closed")
	}
	return append([]byte(nil), b.Bytes()...)
}

type packetVectors struct {
	Key     string
	Packets []struct {
		Cipher                      string
		NID                         uint16
		IVSize                      int `json:"ivsz"`
		Plaintext, Packet0, Packet1 string
	}
}

func TestPacketsOfTheCImplementation(t *testing.T) {
	var v packetVectors
	load(t, "crypt-packets.json", &v)
	if len(v.Packets) != 7 {
		t.Fatalf("%d vectors", len(v.Packets))
	}
	key := [KeySize]byte(unhex(t, v.Key))
	for _, p := range v.Packets {
		t.Run(p.Cipher, func(t *testing.T) {
			plain := string(unhex(t, p.Plaintext))
			s := newSealer(t, Config{Cipher: wire.Cipher(p.NID), Key: &key})
			first, second := unhex(t, p.Packet0), unhex(t, p.Packet1)
			for i, p := range [][]byte{first, second} {
				want := fmt.Sprintf("packet %04d", i)
				if got, ok := opens(s, p); !ok || got != want {
					t.Errorf("packet %d opens to %q, %v; want %q", i, got, ok, want)
				}
			}
			// And with the same IV the same packet is made.
			switch m := s.machine.(type) {
			case *authenticated:
				e := m.epoch.Load()
				e.used.Store(0)
				e.start = positionOf(first)
			case *counterMode:
				m.hi, m.lo = binary.BigEndian.Uint64(first), binary.BigEndian.Uint64(first[8:])
			}
			if got := sealed(s, plain); string(got) != string(first) {
				t.Errorf("sealed to\n%x, want\n%x", got, first)
			}
			if got, want := s.Overhead(), len(first)-len(plain); got != want {
				t.Errorf("%d bytes longer, want %d", got, want)
			}
		})
	}
}

func TestTheKeysOfTheEpochs(t *testing.T) {
	var v struct {
		Salt string   `json:"rotation_salt"`
		Keys []string `json:"epoch_keys"`
	}
	load(t, "crypt-rotation.json", &v)
	key := [KeySize]byte(unhex(t, v.Keys[0]))
	c := newChain(&key)
	if got := hex.EncodeToString(c.salt[:]); got != v.Salt {
		t.Errorf("salt %s", got)
	}
	for i, want := range v.Keys {
		c.take(func(k *[KeySize]byte) {
			if got := hex.EncodeToString(k[:]); got != want {
				t.Errorf("key %d is %s, want %s", i, got, want)
			}
		})
	}
	c.wipe()
	if *c != (chain{}) {
		t.Error("something is left of the keys")
	}
}

// trace is what two ends of the C implementation did.
type trace struct {
	Description string
	Cipher      uint16 `json:"cipher_nid"`
	Bit         int    `json:"rotation_bit"`
	Key         string `json:"initial_key"`
	Events      []struct {
		Who, Op string
		N, OK   int
		Packet  string
		Phase   int
		Epoch   int `json:"key_epoch"`
	}
}

func traces(t testing.TB) map[string]trace {
	t.Helper()
	var all map[string]json.RawMessage
	load(t, "crypt-rotation.json", &all)
	found := make(map[string]trace)
	for name, text := range all {
		var tr trace
		if json.Unmarshal(text, &tr) == nil && len(tr.Events) > 0 {
			found[name] = tr
		}
	}
	if len(found) != 11 {
		t.Fatalf("%d traces", len(found))
	}
	return found
}

// Our end stands for either one of the trace: it seals when that one did, and
// must open what that one was sent, as long as the key is one that it can have.
func TestTracesOfTheCImplementationAreOpened(t *testing.T) {
	for name, tr := range traces(t) {
		for _, who := range []string{"A", "B"} {
			t.Run(name+" "+who, func(t *testing.T) {
				key := [KeySize]byte(unhex(t, tr.Key))
				s := newSealer(t, Config{Cipher: wire.Cipher(tr.Cipher), Key: &key, EpochBit: tr.Bit})
				packets := make(map[int]string)
				epochs := make(map[int]int)
				opened := 0
				for _, ev := range tr.Events {
					if ev.Op == "tx" {
						packets[ev.N], epochs[ev.N] = ev.Packet, ev.Epoch
						if ev.Who == who {
							sealed(s, "whatever")
						}
						continue
					}
					if ev.Who != who {
						continue
					}
					plain, ok := opens(s, unhex(t, packets[ev.N]))
					good := ok && plain == fmt.Sprintf("packet %04d", ev.N)
					if good {
						opened++
					}
					switch m := s.machine.(type) {
					case *authenticated:
						at := int64(epochs[ev.N]) - int64(m.epoch.Load().number)
						if ok && !good {
							t.Fatalf("packet %d opens to %q", ev.N, plain)
						}
						if !good && at >= -1 && at <= 2 {
							t.Errorf("packet %d of epoch %d is refused in epoch %d", ev.N, epochs[ev.N], m.epoch.Load().number)
						}
						if !good && ev.OK == 1 {
							t.Errorf("packet %d is refused, which the C implementation opened", ev.N)
						}
					case *counterMode:
						if good != (ev.OK == 1) {
							t.Errorf("packet %d opens to %q, and %d at the C implementation", ev.N, plain, ev.OK)
						}
					}
				}
				t.Logf("%s: %d opened", tr.Description, opened)
			})
		}
	}
}

// Phase and key of what we seal with CTR are those of the C implementation, step
// by step.
func TestCounterModeCountsLikeTheCImplementation(t *testing.T) {
	for name, tr := range traces(t) {
		for _, who := range []string{"A", "B"} {
			t.Run(name+" "+who, func(t *testing.T) {
				key := [KeySize]byte(unhex(t, tr.Key))
				c := Config{Cipher: wire.AES256CTR, Key: &key, EpochBit: tr.Bit}
				s := newSealer(t, c)
				var at [16]*counterMode // one for each epoch
				for i := range at {
					at[i] = newSealer(t, c).machine.(*counterMode)
					for range i {
						at[i].rotate()
					}
				}
				phases := make(map[int]int)
				for _, ev := range tr.Events {
					switch {
					case ev.Op == "tx":
						phases[ev.N] = ev.Phase
						if ev.Who != who {
							continue
						}
						got := sealed(s, "whatever")
						if phase := int(got[0] >> 7); phase != ev.Phase {
							t.Fatalf("packet %d has phase %d, want %d", ev.N, phase, ev.Phase)
						}
						b := packet.From(got)
						at[ev.Epoch].n, at[ev.Epoch].age = 0, 0
						if at[ev.Epoch].open(b); string(b.Bytes()) != "whatever" {
							t.Fatalf("packet %d is not sealed under key %d", ev.N, ev.Epoch)
						}
						b.Release()
					case ev.Who == who:
						// Whatever it holds: only the phase counts.
						p := make([]byte, 20)
						p[0] = byte(phases[ev.N]) << 7
						opens(s, p)
					}
				}
			})
		}
	}
}
