package fa_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"testing"

	"ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/fa"
	"ouroboros/qos"
)

const hashLen = 32

// message is one of testdata: bytes that members of the C implementation sent,
// and what they mean.
type message struct {
	Name   string
	Hex    string
	Fields struct {
		SAddr        string `json:"s_addr"`
		REID         string `json:"r_eid"`
		SEID         string `json:"s_eid"`
		Bandwidth    uint64 `json:"bw"`
		Response     int32  `json:"resp"`
		Delay        uint32
		Loss         uint32
		BER          uint32
		MaxGap       uint32 `json:"max_gap"`
		Timeout      uint32
		ECE          uint16
		Code         fa.Code
		Availability uint8  `json:"avail"`
		InOrder      uint8  `json:"in_order"`
		Hash         string `json:"dst_hash"`
		Data         string `json:"piggyback"`
	} `json:"fa"`
}

func messages(t testing.TB) (l []message) {
	t.Helper()
	text, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t testing.TB, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMessagesOfTheCImplementationAreReadAndWrittenToTheByte(t *testing.T) {
	seen := make(map[fa.Code]int)
	for _, v := range messages(t) {
		b, f := unhex(t, v.Hex), v.Fields
		m, err := fa.Parse(b, hashLen)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		seen[m.Code]++
		spec := qos.Spec{Delay: f.Delay, Bandwidth: f.Bandwidth, Availability: f.Availability, Loss: f.Loss, BER: f.BER,
			InOrder: f.InOrder != 0, MaxGap: f.MaxGap, Timeout: f.Timeout}
		if m.Code != f.Code || m.SAddr != dt.Addr(number(t, f.SAddr)) || m.REID != number(t, f.REID) ||
			m.SEID != number(t, f.SEID) || m.Response != f.Response || m.ECE != f.ECE || m.QoS != spec {
			t.Errorf("%s is read as %+v", v.Name, m)
		}
		if hex.EncodeToString(m.Hash) != f.Hash || hex.EncodeToString(m.Data) != f.Data {
			t.Errorf("%s: hash %x, data %x", v.Name, m.Hash, m.Data)
		}
		again := make([]byte, m.Size())
		m.Put(again)
		if !bytes.Equal(again, b) {
			t.Errorf("%s is written as %x", v.Name, again)
		}
	}
	if seen[fa.Request] < 4 || seen[fa.Reply] < 1 || seen[fa.Update] < 1 {
		t.Errorf("saw %v", seen)
	}
}

func TestARefusalIsANegativeNumber(t *testing.T) {
	m := fa.Message{Code: fa.Reply, REID: 1, SEID: 2, Response: -1009}
	b := make([]byte, m.Size())
	m.Put(b)
	if !bytes.Equal(b[32:36], []byte{0xff, 0xff, 0xfc, 0x0f}) {
		t.Errorf("written as %x", b[32:36])
	}
	if got, err := fa.Parse(b, hashLen); err != nil || got.Response != -1009 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAMessageIsAsLongAsItsCodeRequiresAndNotTooLong(t *testing.T) {
	for code := range 256 {
		c := fa.Code(code)
		least, known := fa.FixedSize, true
		switch c {
		case fa.Request, fa.Probe:
			least += hashLen
		case fa.Reply, fa.Update, fa.Pending, fa.Dealloc:
		default:
			known = false
		}
		for _, n := range []int{0, 1, 60, 61, 62, 92, 93, 94, 2047, 2048, 2049, 9000} {
			b := make([]byte, n)
			if n > 58 {
				b[58] = byte(c)
			}
			var want error
			switch {
			case n > fa.MaxSize:
				want = fa.ErrLong
			case n < fa.FixedSize || known && n < least:
				want = fa.ErrShort
			case !known:
				want = fa.ErrCode
			}
			if _, err := fa.Parse(b, hashLen); !errors.Is(err, want) {
				t.Errorf("code %d of %d bytes: %v, want %v", c, n, err, want)
			}
		}
	}
}

func TestTheLongestData(t *testing.T) {
	for c, want := range map[fa.Code]int{fa.Request: 1955, fa.Probe: 1955, fa.Reply: 1987, fa.Update: 0, fa.Dealloc: 0} {
		n := fa.MaxData(c, hashLen)
		if n != want {
			t.Errorf("%v: %d, want %d", c, n, want)
		}
		m := fa.Message{Code: c, Hash: make([]byte, hashLen), Data: make([]byte, n)}
		if m.Size() > fa.MaxSize {
			t.Errorf("%v: %d bytes", c, m.Size())
		}
	}
}

func TestWhatStandsBehindAnUpdateIsIgnored(t *testing.T) {
	b := make([]byte, 200)
	m := fa.Message{Code: fa.Update, REID: 7, ECE: 9}
	m.Put(b)
	if got, err := fa.Parse(b, hashLen); err != nil || got.Data != nil || got.ECE != 9 || got.Size() != fa.FixedSize {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range messages(f) {
		f.Add(unhex(f, v.Hex), hashLen)
	}
	for _, c := range []fa.Code{fa.Probe, fa.Pending, fa.Dealloc, 3} {
		b := make([]byte, 130)
		b[58] = byte(c)
		f.Add(b, 64)
		f.Add(b[:61], 28)
	}
	f.Fuzz(func(t *testing.T, b []byte, hashLen int) {
		if hashLen < 0 || hashLen > 64 {
			return
		}
		m, err := fa.Parse(b, hashLen)
		if err != nil {
			return
		}
		again := make([]byte, m.Size())
		m.Put(again)
		want := bytes.Clone(b[:len(again)])
		want[60] = min(want[60], 1) // any number but 0 says "in order"
		if !bytes.Equal(again, want) {
			t.Errorf("%x is written as %x", b, again)
		}
		if m.Data != nil && len(again) != len(b) {
			t.Errorf("%d bytes are written as %d", len(b), len(again))
		}
	})
}
