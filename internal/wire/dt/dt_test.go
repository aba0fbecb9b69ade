package dt_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"ouroboros/internal/wire/dt"
)

// vectors are packets that were seen on a wire between members of the C
// implementation.
func vectors(t testing.TB) (all []struct {
	Name    string
	Packet  string `json:"n1_payload_hex"`
	Payload string `json:"payload_hex"`
	DT      *struct {
		Dst string `json:"dst_addr_hex"`
		QoS uint8  `json:"qos_cube"`
		TTL uint8  `json:"ttl"`
		ECN uint8  `json:"ecn"`
		EID string `json:"eid_hex"`
		Len int    `json:"payload_len"`
	}
}) {
	text, err := os.ReadFile("testdata/unicast-wire-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	file := struct{ Vectors any }{&all}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestHeadersSeenOnAWire(t *testing.T) {
	seen := 0
	for _, v := range vectors(t) {
		if v.DT == nil {
			continue
		}
		seen++
		start, _, cut := strings.Cut(v.Packet, ".") // some leave the payload out
		b, err := hex.DecodeString(start)
		if err != nil {
			t.Fatal(err)
		}
		h, ok := dt.Parse(b)
		if !ok {
			t.Fatalf("%s: no header", v.Name)
		}
		dst, _ := strconv.ParseUint(v.DT.Dst, 16, 64)
		eid, _ := strconv.ParseUint(v.DT.EID, 16, 64)
		want := dt.Header{Dst: dt.Addr(dst), QoS: v.DT.QoS, TTL: v.DT.TTL, ECN: v.DT.ECN, EID: eid}
		if h != want || !cut && len(b)-dt.HeaderLen != v.DT.Len {
			t.Errorf("%s: %+v and %d bytes, want %+v and %d", v.Name, h, len(b)-dt.HeaderLen, want, v.DT.Len)
		}
		again := bytes.Clone(b)
		clear(again[:dt.HeaderLen])
		h.Put(again)
		if !bytes.Equal(again, b) {
			t.Errorf("%s: written as %x, want %x", v.Name, again, b)
		}
	}
	if seen < 5 {
		t.Errorf("%d vectors", seen)
	}
}

func TestAShortPacketHasNoHeader(t *testing.T) {
	for n := range dt.HeaderLen {
		if _, ok := dt.Parse(make([]byte, n)); ok {
			t.Errorf("%d bytes are a header", n)
		}
	}
	if _, ok := dt.Parse(make([]byte, dt.HeaderLen)); !ok {
		t.Error("an empty payload is none")
	}
}

func TestMarksAreORed(t *testing.T) {
	b := make([]byte, dt.HeaderLen)
	dt.Mark(b, 2)
	dt.Mark(b, 1)
	dt.SetTTL(b, 9)
	if h, _ := dt.Parse(b); h.ECN != 3 || dt.ECN(b) != 3 || h.TTL != 9 {
		t.Errorf("%+v", h)
	}
}

func TestAnAddressIsPrintedAsItIsInTheHeader(t *testing.T) {
	for a, want := range map[dt.Addr]string{0x9253b4e2: "e2.b4.53.92", 1: "01.00.00.00", 1 << 32: "0x0000000100000000"} {
		if a.String() != want {
			t.Errorf("%s, want %s", a, want)
		}
	}
	for a, want := range map[dt.Addr]bool{0: false, 1: true, 1<<32 - 1: true, 1 << 32: false} {
		if a.Valid() != want {
			t.Errorf("%#x valid: %v", uint64(a), a.Valid())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		b, _ := hex.DecodeString(v.Packet)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := dt.Parse(b)
		if ok != (len(b) >= dt.HeaderLen) {
			t.Fatalf("%d bytes: %v", len(b), ok)
		}
		if !ok {
			return
		}
		out := make([]byte, dt.HeaderLen)
		h.Put(out)
		if !bytes.Equal(out, b[:dt.HeaderLen]) {
			t.Fatalf("%x became %x", b[:dt.HeaderLen], out)
		}
	})
}
