package udpmgmt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"ouroboros/qos"
)

// datagram is one of testdata: bytes of the C implementation, and what they
// mean.
type datagram struct {
	Note   string
	Hex    string
	Fields struct {
		EID          uint32
		SEID         uint32 `json:"s_eid"`
		DEID         uint32 `json:"d_eid"`
		Response     int32
		Bandwidth    uint64
		Delay        uint32
		Loss         uint32
		BER          uint32
		MaxGap       uint32 `json:"max_gap"`
		Timeout      uint32
		Code         uint8
		Availability uint8
		InOrder      uint8 `json:"in_order"`
		Hash         string
		OAP          string
		Payload      *string
	}
}

func datagrams(t testing.TB) (l []datagram) {
	t.Helper()
	text, err := os.ReadFile("testdata/datagrams.json")
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

func TestDatagramsOfTheCImplementationAreReadAndWrittenToTheByte(t *testing.T) {
	for _, d := range datagrams(t) {
		b, f := unhex(t, d.Hex), d.Fields
		if eid, ok := EID(b); !ok || eid != f.EID {
			t.Errorf("%s: EID %d, want %d", d.Hex, eid, f.EID)
		}
		m, err := Parse(b)
		if f.Payload != nil {
			if !errors.Is(err, ErrData) && !errors.Is(err, ErrShort) {
				t.Errorf("%s: data is taken for a message: %v", d.Hex, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", d.Hex, err)
			continue
		}
		if f.Code == 0 { // the refusal, of which not all fields are listed
			f.Code = uint8(FlowReply)
		}
		spec := qos.Spec{Delay: f.Delay, Bandwidth: f.Bandwidth, Availability: f.Availability, Loss: f.Loss, BER: f.BER,
			InOrder: f.InOrder != 0, MaxGap: f.MaxGap, Timeout: f.Timeout}
		if m.Code != Code(f.Code) || m.SEID != f.SEID || m.DEID != f.DEID || m.Response != f.Response || m.QoS != spec {
			t.Errorf("%s is read as %+v", d.Hex, m)
		}
		if hex.EncodeToString(m.Hash) != f.Hash || f.OAP != "" && hex.EncodeToString(m.Data) != f.OAP {
			t.Errorf("%s: hash %x, data %x", d.Hex, m.Hash, m.Data)
		}
		again := make([]byte, m.Size())
		m.Put(again)
		if !bytes.Equal(again, b) {
			t.Errorf("%s is written as %x", d.Hex, again)
		}
	}
}

func TestAMessageIsAsLongAsItsCodeRequires(t *testing.T) {
	for _, c := range []struct {
		code  Code
		least int
		err   error
	}{
		{FlowReq, 63, nil}, {FlowReply, 47, nil}, {Probe, 63, nil}, {ProbeAnswer, 47, nil},
		{0, 47, ErrCode}, {3, 47, ErrCode}, {255, 100, ErrCode},
	} {
		b := make([]byte, c.least)
		b[min(44, c.least-1)] = byte(c.code)
		if _, err := Parse(b); !errors.Is(err, c.err) {
			t.Errorf("%v of %d bytes: %v", c.code, c.least, err)
		}
		for n := range c.least {
			if _, err := Parse(b[:n]); err == nil {
				t.Errorf("%v of %d bytes is taken", c.code, n)
			}
		}
	}
	for n := range EIDSize {
		if _, ok := EID(make([]byte, n)); ok {
			t.Errorf("%d bytes have an EID", n)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, d := range datagrams(f) {
		f.Add(unhex(f, d.Hex))
	}
	for n := range 70 {
		f.Add(make([]byte, n))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		again := make([]byte, m.Size())
		m.Put(again)
		if len(b) > 46 && b[46] > 1 { // any number but 0 says "in order"; 1 is written
			b[46] = 1
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}
