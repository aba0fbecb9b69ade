package dht_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/wire/dht"
	"ouroboros/internal/wire/dt"
)

// vector is a packet of the C implementation, and what it means.
type vector struct {
	Name   string
	Packet string `json:"packet_hex"`
	Hex    string `json:"dht_hex"`
	DHT    struct {
		Code  uint32
		Src   contact
		Find  *find
		Node  *find
		Store *struct {
			Key, Val string
			Exp      uint32
		}
		Val *struct{ Values []string }
	}
}

type contact struct {
	ID   string
	Addr uint64
}

type find struct {
	Cookie   uint64
	Key      string
	Contacts []contact
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/dht-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Vectors
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// message gives what a vector says as a Message.
func (v vector) message(t testing.TB) dht.Message {
	d := v.DHT
	m := dht.Message{Code: dht.Code(d.Code), Src: dht.Contact{ID: unhex(t, d.Src.ID), Addr: dt.Addr(d.Src.Addr)}}
	if s := d.Store; s != nil {
		m.Key, m.Value, m.Expiry = unhex(t, s.Key), unhex(t, s.Val), s.Exp
	}
	f := d.Find
	if f == nil {
		f = d.Node
	}
	if f != nil {
		m.Key, m.Cookie = unhex(t, f.Key), f.Cookie
		for _, c := range f.Contacts {
			m.Contacts = append(m.Contacts, dht.Contact{ID: unhex(t, c.ID), Addr: dt.Addr(c.Addr)})
		}
	}
	if d.Val != nil {
		for _, v := range d.Val.Values {
			m.Values = append(m.Values, unhex(t, v))
		}
	}
	return m
}

// captured are the messages in a capture of Ethernet frames: addresses, type,
// endpoint and length of the layer below, header of data transfer, message.
func captured(t testing.TB, name string) (all [][]byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	le, be := binary.LittleEndian, binary.BigEndian
	for b = b[24:]; len(b) > 16; {
		n := le.Uint32(b[8:])
		frame := b[16 : 16+n]
		b = b[16+n:]
		if len(frame) < 18 || be.Uint16(frame[14:]) == 0 { // management
			continue
		}
		p := frame[18:min(len(frame), 18+int(be.Uint16(frame[16:])))]
		if h, ok := dt.Parse(p); ok && h.EID == dt.EIDDirectory && h.TTL > 32 {
			all = append(all, p[dt.HeaderLen:])
		}
	}
	return all
}

// same says that two messages mean the same.
func same(t *testing.T, got, want dht.Message) {
	t.Helper()
	for _, m := range []*dht.Message{&got, &want} { // empty is nil
		if len(m.Contacts) == 0 {
			m.Contacts = nil
		}
		if len(m.Values) == 0 {
			m.Values = nil
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("read as something else (-want +got):\n%s", d)
	}
}

func TestMessagesOfTheCImplementationAreReadAndWrittenToTheByte(t *testing.T) {
	all := vectors(t)
	for _, v := range all {
		b := unhex(t, v.Hex)
		if p := unhex(t, v.Packet); !bytes.Equal(p[dt.HeaderLen:], b) {
			t.Fatalf("%s: the packet is not header and message", v.Name)
		}
		var m dht.Message
		if err := m.Parse(b, 32); err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		same(t, m, v.message(t))
		if again := m.Append(nil); !bytes.Equal(again, b) || m.Size() != len(b) {
			t.Errorf("%s: written as %x with size %d", v.Name, again, m.Size())
		}
	}
	if len(all) < 7 {
		t.Errorf("%d vectors", len(all))
	}
}

func TestCapturedMessagesAreReadAndWrittenToTheByte(t *testing.T) {
	codes := make(map[dht.Code]int)
	for _, name := range []string{"dht-three-nodes.pcap", "dht-three-nodes-far-link.pcap"} {
		for i, b := range captured(t, name) {
			var m dht.Message
			if err := m.Parse(b, 32); err != nil {
				t.Errorf("%s, message %d: %v: %x", name, i, err, b)
				continue
			}
			codes[m.Code]++
			if again := m.Append(nil); !bytes.Equal(again, b) {
				t.Errorf("%s, message %d: %x is written as %x", name, i, b, again)
			}
		}
	}
	for c := dht.Store; c <= dht.FindValueRsp; c++ {
		if codes[c] == 0 {
			t.Errorf("no %v was captured: %v", c, codes)
		}
	}
}

// example gives a message of each code in a layer with hashes of n bytes.
func example(c dht.Code, n int) dht.Message {
	id := func(x byte) []byte { return bytes.Repeat([]byte{x}, n) }
	m := dht.Message{Code: c, Src: dht.Contact{ID: id(1), Addr: 7}, Key: id(2)}
	if c == dht.Store {
		m.Value, m.Expiry = dht.PutAddr(7), 1<<32-1
		return m
	}
	m.Cookie = 1<<64 - 1
	if c.Response() {
		m.Contacts = []dht.Contact{{ID: id(3), Addr: 1<<32 - 1}, {ID: id(4), Addr: 1}}
	}
	if c == dht.FindValueRsp {
		m.Values = [][]byte{dht.PutAddr(9), {0}}
	}
	return m
}

func TestAllLengthsOfHashes(t *testing.T) {
	for _, n := range []int{28, 32, 48, 64} {
		for c := dht.Store; c <= dht.FindValueRsp; c++ {
			want := example(c, n)
			b := want.Append(nil)
			var m dht.Message
			if err := m.Parse(b, n); err != nil || len(b) != want.Size() {
				t.Errorf("%v with %d bytes: %v, size %d of %d", c, n, err, want.Size(), len(b))
				continue
			}
			same(t, m, want)
			for _, other := range []int{27, 28, 32, 48, 64, 65} {
				if err := m.Parse(b, other); (err == nil) != (other == n) {
					t.Errorf("%v with %d bytes is read with %d: %v", c, n, other, err)
				}
			}
		}
	}
}

func TestWhatIsWrongIsRefused(t *testing.T) {
	change := func(c dht.Code, f func(m *dht.Message)) []byte {
		m := example(c, 32)
		f(&m)
		return m.Append(nil)
	}
	whole := example(dht.FindValueRsp, 32)
	bare := dht.Message{Code: 5, Src: whole.Src} // code and sender, nothing else
	with := func(c dht.Code) []byte { m := bare; m.Code = 5; b := m.Append(nil); b[1] = byte(c); return b }
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":                 {nil, dht.ErrMissing},
		"unknown code":            {bare.Append(nil), dht.ErrCode},
		"no sender":               {[]byte{8, 0}, dht.ErrMissing},
		"no code":                 {bare.Append(nil)[2:], dht.ErrMissing},
		"no store":                {with(dht.Store), dht.ErrMissing},
		"no find":                 {with(dht.FindNodeReq), dht.ErrMissing},
		"no node":                 {with(dht.FindNodeRsp), dht.ErrMissing},
		"no find for a value":     {with(dht.FindValueReq), dht.ErrMissing},
		"neither node nor values": {with(dht.FindValueRsp), dht.ErrMissing},
		"empty find":              {append(with(dht.FindNodeReq), 0x22, 0), dht.ErrMissing},
		"empty store":             {append(with(dht.Store), 0x1a, 0), dht.ErrMissing},
		"sender with a short id":  {change(0, func(m *dht.Message) { m.Src.ID = m.Src.ID[1:] }), dht.ErrSource},
		"sender without an id":    {change(0, func(m *dht.Message) { m.Src.ID = nil }), dht.ErrSource},
		"sender with address 0":   {change(0, func(m *dht.Message) { m.Src.Addr = 0 }), dht.ErrSource},
		"sender with 33 bits":     {change(0, func(m *dht.Message) { m.Src.Addr = 1 << 32 }), dht.ErrSource},
		"empty key":               {change(0, func(m *dht.Message) { m.Key = nil }), dht.ErrKey},
		"short key":               {change(1, func(m *dht.Message) { m.Key = m.Key[1:] }), dht.ErrKey},
		"long key":                {change(4, func(m *dht.Message) { m.Key = append(m.Key[:32:32], 0) }), dht.ErrKey},
		"cookie 0":                {change(3, func(m *dht.Message) { m.Cookie = 0 }), dht.ErrCookie},
		"empty value":             {change(0, func(m *dht.Message) { m.Value = nil }), dht.ErrValue},
		"too long":                {append(whole.Append(nil), append([]byte{0x7a, 0x80, 0x40}, make([]byte, 8192)...)...), dht.ErrLong},
		"code as bytes":           {[]byte{0x0a, 0}, dht.ErrSyntax},
		"sender as a number":      {[]byte{8, 0, 0x10, 0}, dht.ErrSyntax},
		"field 0":                 {[]byte{0, 0}, dht.ErrSyntax},
	} {
		var m dht.Message
		if err := m.Parse(c.b, 32); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// A request whose cookie stands in the submessage of a response.
	b := change(dht.FindNodeRsp, func(m *dht.Message) {})
	b[1] = byte(dht.FindNodeReq)
	var m dht.Message
	if err := m.Parse(b, 32); !errors.Is(err, dht.ErrMissing) {
		t.Errorf("a request without find: %v", err)
	}
}

func TestNoPartOfAMessageIsAMessage(t *testing.T) {
	for c := dht.Store; c <= dht.FindValueRsp; c++ {
		whole := example(c, 32)
		b := whole.Append(nil)
		// Without its last field a FIND_VALUE_RSP is no FIND_VALUE_RSP either.
		for n := range b {
			var m dht.Message
			if err := m.Parse(b[:n], 32); err == nil {
				t.Errorf("%v of %d bytes is taken with %d", c, len(b), n)
			}
		}
	}
}

func TestUnknownFieldsAreSkippedAndOrderDoesNotMatter(t *testing.T) {
	want := example(dht.FindValueRsp, 32)
	var m dht.Message
	b := want.Append([]byte{0x7a, 3, 1, 2, 3, 0x78, 5, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8})
	if err := m.Parse(b, 32); err != nil {
		t.Fatal(err)
	}
	same(t, m, want)
	whole := example(dht.FindNodeReq, 32)
	b = whole.Append(nil)
	if err := m.Parse(append(append([]byte{}, b[2:]...), b[:2]...), 32); err != nil {
		t.Fatal(err)
	}
	same(t, m, example(dht.FindNodeReq, 32))
}

func TestWhatAMemberPassesOnIsLookedAtOneByOne(t *testing.T) {
	sent := example(dht.FindValueRsp, 32)
	good := sent.Contacts[0]
	sent.Contacts = []dht.Contact{
		{ID: good.ID[:31], Addr: 5}, {ID: nil, Addr: 5}, {ID: good.ID[:1], Addr: 5}, good,
		{ID: good.ID, Addr: 0}, {ID: good.ID, Addr: 1 << 32}, {ID: make([]byte, 600), Addr: 5}, good,
	}
	sent.Values = [][]byte{{}, dht.PutAddr(1), {}, {1}}
	var m dht.Message
	if err := m.Parse(sent.Append(nil), 32); err != nil {
		t.Fatal(err)
	}
	if len(m.Contacts) != 2 || len(m.Values) != 2 || m.LeftOut != 8 {
		t.Errorf("%d contacts, %d values, %d left out", len(m.Contacts), len(m.Values), m.LeftOut)
	}
	sent.Contacts = nil
	for range 70 {
		sent.Contacts = append(sent.Contacts, good)
		sent.Values = append(sent.Values, dht.PutAddr(2))
	}
	if err := m.Parse(sent.Append(nil), 32); err != nil || len(m.Contacts) != dht.MaxListed || len(m.Values) != dht.MaxListed {
		t.Errorf("%d contacts, %d values: %v", len(m.Contacts), len(m.Values), err)
	}
}

func TestAValueIsAnAddressInEightBytes(t *testing.T) {
	if a, ok := dht.Addr(unhex(t, "00000000d031e312")); !ok || a != 0xd031e312 {
		t.Errorf("%v, %v", a, ok)
	}
	if !bytes.Equal(dht.PutAddr(0xd031e312), unhex(t, "00000000d031e312")) {
		t.Errorf("%x", dht.PutAddr(0xd031e312))
	}
	for _, s := range []string{"", "0000000000000000", "0000000100000000", "00000000d031e3", "00000000d031e31200"} {
		if a, ok := dht.Addr(unhex(t, s)); ok {
			t.Errorf("%q is %v", s, a)
		}
	}
}

func TestAMessageReadIntoAUsedOneAllocatesNothing(t *testing.T) {
	whole := example(dht.FindValueRsp, 32)
	b := whole.Append(nil)
	var m dht.Message
	out := make([]byte, 0, len(b))
	if n := testing.AllocsPerRun(100, func() {
		if err := m.Parse(b, 32); err != nil {
			t.Fatal(err)
		}
		out = m.Append(out[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzMessage(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Hex))
	}
	for c := dht.Store; c <= dht.FindValueRsp+1; c++ {
		m := example(c, 32)
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again dht.Message
		if err := m.Parse(b, 32); err != nil {
			return
		}
		if len(m.Key) != 32 || len(m.Src.ID) != 32 || !m.Src.Addr.Valid() || len(m.Contacts) > dht.MaxListed || len(m.Values) > dht.MaxListed {
			t.Fatalf("%+v", m)
		}
		for _, c := range m.Contacts {
			if len(c.ID) != 32 || !c.Addr.Valid() {
				t.Fatalf("%+v", c)
			}
		}
		out := m.Append(nil)
		if len(out) != m.Size() || len(out) > len(b) && len(out) > dht.MaxLen {
			t.Fatalf("%d bytes are written as %d, size %d", len(b), len(out), m.Size())
		}
		if err := again.Parse(out, 32); err != nil {
			t.Fatal(err)
		}
		if again.LeftOut, m.LeftOut = 0, 0; !cmp.Equal(again, m) {
			t.Fatal(cmp.Diff(again, m))
		}
	})
}
