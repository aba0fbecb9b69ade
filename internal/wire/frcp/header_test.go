package frcp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// frame is a packet of the golden exchanges.
type frame struct {
	Payload string `json:"payload_hex"`
	Kind    string `json:"kind"`
	Flags   string `json:"flags"`
	Window  string `json:"window24"`
	Seq     string `json:"seqno"`
	Ack     string `json:"ackno"`
	Data    string `json:"user_data_hex"`
}

func number(t *testing.T, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func bytesOf(t *testing.T, s string) []byte {
	t.Helper()
	p, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHeadersOfTheGoldenExchanges(t *testing.T) {
	raw, err := os.ReadFile("testdata/frcp_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, one := range all {
		var exchange struct {
			Frames []frame `json:"frames"`
		}
		if json.Unmarshal(one, &exchange) != nil {
			continue
		}
		for i, fr := range exchange.Frames {
			if fr.Kind != "frcp" {
				continue
			}
			seen++
			p := bytesOf(t, fr.Payload)
			h, ok := Parse(p)
			want := Header{Flags(number(t, fr.Flags)), number(t, fr.Window), Seq(number(t, fr.Seq)), Seq(number(t, fr.Ack))}
			if !ok || h != want {
				t.Errorf("%s, frame %d: %+v, want %+v", name, i, h, want)
			}
			if data := bytesOf(t, fr.Data); !bytes.HasPrefix(p[HeaderLen:], data) {
				t.Errorf("%s, frame %d: data %x, want %x", name, i, p[HeaderLen:], data)
			}
			out := make([]byte, HeaderLen)
			h.Put(out)
			if !bytes.Equal(out, p[:HeaderLen]) {
				t.Errorf("%s, frame %d: written as %x, want %x", name, i, out, p[:HeaderLen])
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d frames in the vectors", seen)
	}
}

func TestPacketsOnTheWireMeanWhatTheyMean(t *testing.T) {
	for _, c := range []struct {
		bytes string
		want  Header
	}{
		{"03000000616623d200000000", Header{DATA | DRF, 0, 0x616623d2, 0}},
		{"0c6624d300000000616623d3", Header{ACK | FC, 0x6624d3, 0, 0x616623d3}},
		{"0f6624d356833e59616623d3", Header{DATA | DRF | ACK | FC, 0x6624d3, 0x56833e59, 0x616623d3}},
		{"0d971ffa1c510f22bc971efa", Header{DATA | ACK | FC, 0x971ffa, 0x1c510f22, 0xbc971efa}},
		{"0ba59f098daaa75b00000000", Header{DATA | DRF | FC, 0xa59f09, 0x8daaa75b, 0}},
		{"100000000000000000000000", Header{RDVS, 0, 0, 0}},
		{"08a59ef90000000000000000", Header{FC, 0xa59ef9, 0, 0}},
		{"04000000000000008e232e49", Header{ACK, 0, 0, 0x8e232e49}},
		{"0e0e84c310000000950e83c3", Header{DRF | ACK | FC, 0x0e84c3, 0x10000000, 0x950e83c3}},
		{"ffffffffffffffffffffffff", Header{0xff, 0xffffff, 0xffffffff, 0xffffffff}},
	} {
		p := bytesOf(t, c.bytes)
		if h, ok := Parse(p); !ok || h != c.want {
			t.Errorf("%s: %+v, want %+v", c.bytes, h, c.want)
		}
		out := make([]byte, HeaderLen)
		if c.want.Put(out); !bytes.Equal(out, p) {
			t.Errorf("%s written as %x", c.bytes, out)
		}
	}
}

func TestAShortPacketHasNoHeader(t *testing.T) {
	for n := range HeaderLen {
		if _, ok := Parse(make([]byte, n)); ok {
			t.Errorf("a header in %d bytes", n)
		}
	}
}

func TestOrderHoldsAcross32Bits(t *testing.T) {
	for _, c := range []struct {
		s, t  Seq
		since int
	}{
		{0, 0, 0},
		{1, 0, 1},
		{0, 0xffffffff, 1},
		{0xfffffff0, 0x10, -0x20},
		{0x7fffffff, 0, 0x7fffffff},
		{0x80000001, 0, -0x7fffffff},
	} {
		if n := c.s.Since(c.t); n != c.since || c.s.Before(c.t) != (n < 0) || c.s.After(c.t) != (n > 0) || c.t.Add(n) != c.s {
			t.Errorf("%#x and %#x: %d apart, want %d", c.s, c.t, n, c.since)
		}
	}
}

func TestAnEdgeIsFoundAcross24And32Bits(t *testing.T) {
	for _, c := range []struct {
		window     uint32
		base, want Seq
	}{
		{0x6624d3, 0x616623d3, 0x616624d3},
		{0x000010, 0x61fffff0, 0x62000010},
		{0x000010, 0xfffffff0, 0x00000010},
		{0xfffff0, 0xfffffff0, 0xfffffff0},
		{0xffffef, 0xfffffff0, 0x00ffffef},
		{0x000000, 0x00000001, 0x01000000},
	} {
		if got := Edge(c.window, c.base); got != c.want {
			t.Errorf("window %#x from %#x: %#x, want %#x", c.window, c.base, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "03000000616623d200000000", "0c6624d300000000616623d3ff", "ffffffffffffffffffffffff"} {
		p, _ := hex.DecodeString(s)
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, ok := Parse(p)
		if ok != (len(p) >= HeaderLen) {
			t.Fatalf("%d bytes: %v", len(p), ok)
		}
		if !ok {
			return
		}
		out := make([]byte, HeaderLen)
		if h.Put(out); !bytes.Equal(out, p[:HeaderLen]) {
			t.Fatalf("%x read and written is %x", p[:HeaderLen], out)
		}
		if e := Edge(h.Window, h.Seq); e.Since(h.Seq) < 0 || uint32(e)&windowMask != h.Window {
			t.Fatalf("edge %#x of window %#x from %#x", e, h.Window, h.Seq)
		}
	})
}
