package ethmgmt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"ouroboros/qos"

	"github.com/google/go-cmp/cmp"
)

// vector is one frame of testdata/vectors.json with its fields.
type vector struct {
	IPCP   string
	Note   string
	Hex    string
	Fields map[string]any
}

func (v vector) frame(t *testing.T) []byte { return unhex(t, v.Hex) }

func (v vector) kind() Kind {
	if v.IPCP == "eth-llc" {
		return LLC
	}
	return DIX
}

func (v vector) number(name string) uint64 {
	n, _ := v.Fields[name].(float64)
	return uint64(int64(n))
}

func (v vector) octets(t *testing.T, name string) []byte {
	s, _ := v.Fields[name].(string)
	return unhex(t, s)
}

// message is what the fields say; false for data.
func (v vector) message(t *testing.T) (m Message, ok bool) {
	if _, ok = v.Fields["code"]; !ok {
		return m, false
	}
	m = Message{
		Code: Code(v.number("code")), Response: int32(v.number("response")),
		Source: uint16(v.number("seid") + v.number("ssap_num")), Destination: uint16(v.number("deid") + v.number("dsap_num")),
		QoS: qos.Spec{
			Delay: uint32(v.number("delay")), Bandwidth: v.number("bandwidth"), Availability: uint8(v.number("availability")),
			Loss: uint32(v.number("loss")), BER: uint32(v.number("ber")), InOrder: v.number("in_order") == 1,
			MaxGap: uint32(v.number("max_gap")), Timeout: uint32(v.number("timeout")),
		},
	}
	if m.Code.hashed() {
		m.Hash = v.octets(t, "hash")
	}
	if m.Code.withData() {
		m.Data = v.octets(t, "oap")
	}
	return m, true
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readVectors(t *testing.T) (frames []vector, saps map[string]string) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Frames []vector
		SAPs   map[string]string `json:"sap_wire_octet"`
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Frames) < 10 || len(all.SAPs) < 10 {
		t.Fatal("there are no vectors")
	}
	return all.Frames, all.SAPs
}

// capture gives the frames of a capture file.
func capture(t *testing.T, name string) (frames [][]byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	for b = b[24:]; len(b) > 16; {
		n := binary.LittleEndian.Uint32(b[8:])
		frames = append(frames, b[16:16+n])
		b = b[16+n:]
	}
	return frames
}

// rewrite parses a frame, and its message if it carries one, and writes what
// it understood.
func rewrite(t *testing.T, k Kind, frame []byte, ethertype uint16, hashSize int) (again []byte, m *Message) {
	t.Helper()
	var n int
	management := false
	head := make([]byte, k.Header())
	switch k {
	case DIX:
		eid, length, err := ParseDIX(frame, ethertype)
		if err != nil {
			t.Fatal(err)
		}
		n, management = length, eid == 0
		PutDIX(head, Destination(frame), Source(frame), ethertype, eid, n)
	case LLC:
		dsap, ssap, length, err := ParseLLC(frame)
		if err != nil {
			t.Fatal(err)
		}
		n, management = length, dsap == ManagementSAP
		PutLLC(head, Destination(frame), Source(frame), dsap, ssap, n)
	}
	payload := frame[k.Header() : k.Header()+n]
	if !management {
		return append(head, payload...), nil
	}
	parsed, err := k.Parse(payload, hashSize)
	if err != nil {
		t.Fatal(err)
	}
	return k.Append(head, &parsed), &parsed
}

func TestFramesAreThoseOfTheVectors(t *testing.T) {
	frames, _ := readVectors(t)
	for _, v := range frames {
		if v.Hex == "" {
			continue
		}
		frame := v.frame(t)
		ethertype := binary.BigEndian.Uint16(frame[12:])
		want, isMessage := v.message(t)
		hashSize := 32
		if len(want.Hash) > 0 {
			hashSize = len(want.Hash)
		}
		again, m := rewrite(t, v.kind(), frame, ethertype, hashSize)
		if !bytes.Equal(again, frame) {
			t.Errorf("%s:\nread    %x\nwritten %x", v.Note, frame, again)
		}
		if isMessage != (m != nil) {
			t.Errorf("%s: a message: %v, want %v", v.Note, m != nil, isMessage)
		}
		if m != nil {
			if d := cmp.Diff(want, *m); d != "" {
				t.Errorf("%s (-want +got):\n%s", v.Note, d)
			}
		}
		if m == nil && v.kind() == DIX {
			if eid, _, _ := ParseDIX(frame, ethertype); uint64(eid) != v.number("eid") {
				t.Errorf("%s: EID %d", v.Note, eid)
			}
		}
	}
}

func TestFramesAreThoseOfTheCaptures(t *testing.T) {
	for _, c := range []struct {
		file      string
		kind      Kind
		ethertype uint16
		hash      int
	}{
		{"shim-eth-dix-flow.pcap", DIX, 0xa000, 32},
		{"shim-eth-dix-voice-qos.pcap", DIX, 0xa000, 32},
		{"shim-eth-dix-sha3-384-keepalive.pcap", DIX, 0xb000, 48},
		{"shim-eth-llc-flow.pcap", LLC, 0, 32},
	} {
		seen := make(map[Code]int)
		for i, frame := range capture(t, c.file) {
			again, m := rewrite(t, c.kind, frame, c.ethertype, c.hash)
			if !bytes.Equal(again, frame) {
				t.Errorf("%s, frame %d:\nread    %x\nwritten %x", c.file, i+1, frame, again)
			}
			if m != nil {
				seen[m.Code]++
			}
		}
		for _, code := range []Code{FlowRequest, FlowReply} {
			if seen[code] == 0 {
				t.Errorf("%s: there is no %v", c.file, code)
			}
		}
	}
}

func TestSAPsAreReversedInTheHeader(t *testing.T) {
	_, saps := readVectors(t)
	for number, octet := range saps {
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		want := unhex(t, octet)[0]
		if got := SAP(n).Octet(); got != want || SAPOf(want) != SAP(n) {
			t.Errorf("SAP %d is %02x, want %02x", n, got, want)
		}
		if want&1 != 0 {
			t.Errorf("SAP %d is that of a group", n)
		}
	}
}
