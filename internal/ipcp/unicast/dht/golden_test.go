package dht

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/packet"
	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// seen gives the messages that were seen between members of the C
// implementation, with their headers, in the order of the conversation.
func seen(t *testing.T) (packets [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/dht-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Packet string `json:"packet_hex"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		b, err := hex.DecodeString(v.Packet)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, b)
	}
	return packets
}

// wireTap is a network that keeps what was sent.
type wireTap struct {
	own     wire.Addr
	receive func([]*packet.Buffer)
	sent    chan []byte
}

func (w *wireTap) Own() wire.Addr                              { return w.own }
func (w *wireTap) HasRoute(a wire.Addr) bool                   { return a != w.own }
func (w *wireTap) Register(_ uint64, f func([]*packet.Buffer)) { w.receive = f }

func (w *wireTap) Send(_ wire.Addr, _ uint8, _ uint64, batch []*packet.Buffer) int {
	for _, b := range batch {
		w.sent <- bytes.Clone(b.Bytes())
		b.Release()
	}
	return len(batch)
}

// A directory that stands in the place of a C member says what that one said.
func TestTheConversationOfCMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		packets := seen(t)
		var said codec.Message
		if err := said.Parse(packets[1][wire.HeaderLen:], 32); err != nil {
			t.Fatal(err)
		}
		w := &wireTap{own: said.Src.Addr, sent: make(chan []byte, 64)}
		d := New(Config{Net: w, HashLen: 32})
		d.id, d.src = key(said.Src.ID), said.Src
		d.table = newTable(d.id, d.k)
		d.Start()
		defer d.Close()
		say := func(p []byte) { d.Receive([]*packet.Buffer{packet.From(p)}) }
		hear := func(code codec.Code) []byte {
			for {
				select {
				case b := <-w.sent:
					var m codec.Message
					if err := m.Parse(b, 32); err != nil {
						t.Fatal(err)
					}
					if m.Code == code {
						return b
					}
				case <-time.After(time.Minute):
					t.Fatalf("no %v is sent", code)
				}
			}
		}

		say(packets[0]) // a joiner
		if got := hear(codec.FindNodeRsp); !bytes.Equal(got, packets[1][wire.HeaderLen:]) {
			t.Errorf("the answer to a joiner is %x, want %x", got, packets[1][wire.HeaderLen:])
		}
		var store codec.Message
		if err := store.Parse(packets[2][wire.HeaderLen:], 32); err != nil {
			t.Fatal(err)
		}
		if err := d.Reg(t.Context(), store.Key); err != nil {
			t.Fatal(err)
		}
		say(packets[3]) // somebody asks for the name
		got := hear(codec.FindValueRsp)
		var have, want codec.Message
		if have.Parse(got, 32) != nil || want.Parse(packets[4][wire.HeaderLen:], 32) != nil {
			t.Fatal("the answer cannot be read")
		}
		if have.Cookie != want.Cookie || len(have.Values) != 1 || !bytes.Equal(have.Values[0], want.Values[0]) {
			t.Errorf("the answer is %+v, want %+v", have, want)
		}
		say(packets[5]) // for a name that is nowhere
		got = hear(codec.FindValueRsp)
		if !bytes.HasSuffix(got, []byte{0x32, 0}) {
			t.Errorf("the answer without a value is %x", got)
		}
	})
}

func TestAStoreIsThatOfACMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(2)
		var stored []byte
		b.set(func() {
			b.spy = func(_, _ wire.Addr, m *codec.Message) {
				if m.Code == codec.Store {
					stored = m.Append(nil)
				}
			}
		})
		all[0].reg("dhping")
		synctest.Wait()
		b.set(func() { b.spy = nil })
		var m, want codec.Message
		if err := want.Parse(seen(t)[2][wire.HeaderLen:], 32); err != nil {
			t.Fatal(err)
		}
		if err := m.Parse(stored, 32); err != nil || !bytes.Equal(m.Key, want.Key) {
			t.Fatalf("%x: %v", stored, err)
		}
		life := time.Unix(int64(m.Expiry), 0).Sub(time.Now())
		if a, ok := codec.Addr(m.Value); !ok || a != all[0].addr || life > 2*defaultReplicate+slack || life < 2*defaultReplicate {
			t.Errorf("%v is stored for %v", a, life)
		}
		m.Src, m.Value, m.Expiry = want.Src, want.Value, want.Expiry
		if got := m.Append(nil); !bytes.Equal(got, seen(t)[2][wire.HeaderLen:]) {
			t.Errorf("it has another form: %x", got)
		}
	})
}
