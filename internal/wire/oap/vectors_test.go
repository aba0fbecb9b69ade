package oap

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vector is a message as it was seen, and what is in it.
type vector struct {
	ID      string `json:"id"`
	Time    uint64 `json:"timestamp"`
	Cipher  Cipher `json:"cipher_nid"`
	KDF     Hash   `json:"kdf_nid"`
	Hash    Hash   `json:"md_nid"`
	CrtLen  int    `json:"crt_len"`
	Format  int    `json:"kex_fmt"`
	Role    int    `json:"kex_role"`
	KexLen  int    `json:"kex_len"`
	DataLen int    `json:"data_len"`
	ReqHash string `json:"req_hash"`
	Signed  int    `json:"signed_len"`
}

type exchange struct {
	Case     string  `json:"case"`
	Request  string  `json:"request_hex"`
	Response string  `json:"response_hex"`
	Req      vector  `json:"request"`
	Resp     *vector `json:"response"`
}

func exchanges(t testing.TB) []exchange {
	t.Helper()
	b, err := os.ReadFile("testdata/oap-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []exchange }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all.Cases
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// says gives what a decoded message says, in the form of the vectors.
func says(m *Message) vector {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return vector{
		ID: hex.EncodeToString(m.ID[:]), Time: m.Time, Cipher: m.Cipher, KDF: m.KDF, Hash: m.Hash,
		CrtLen: len(m.Certificate), Format: flag(m.Raw), Role: flag(m.Encapsulated), KexLen: len(m.KeyExchange),
		DataLen: len(m.Data), ReqHash: hex.EncodeToString(m.RequestHash), Signed: m.SignedSize(),
	}
}

func TestTheVectorsAreReadAndWritten(t *testing.T) {
	cases := exchanges(t)
	if len(cases) != 41 {
		t.Fatalf("%d exchanges, want 41", len(cases))
	}
	responses := 0
	for _, x := range cases {
		t.Run(x.Case, func(t *testing.T) {
			b := unhex(t, x.Request)
			req, err := DecodeRequest(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.Req, says(req)); diff != "" {
				t.Error("request: (-seen +decoded)\n", diff)
			}
			if out, err := req.AppendRequest(nil); err != nil || !bytes.Equal(out, b) || req.Size() != len(b) {
				t.Errorf("request written as %x, %v", out, err)
			}
			if (len(req.Certificate) > 0) != (len(req.Signature) > 0) {
				t.Errorf("%d bytes of certificate and %d of signature", len(req.Certificate), len(req.Signature))
			}
			if x.Response == "" {
				return
			}
			responses++
			b = unhex(t, x.Response)
			resp, err := DecodeResponse(b, req.Hash)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*x.Resp, says(resp)); diff != "" {
				t.Error("response: (-seen +decoded)\n", diff)
			}
			if out, err := resp.AppendResponse(nil, req.Hash); err != nil || !bytes.Equal(out, b) || resp.Size() != len(b) {
				t.Errorf("response written as %x, %v", out, err)
			}
			if resp.ID != req.ID {
				t.Error("the response is for another request")
			}
			if h := req.Hash.OrDefault().Sum(unhex(t, x.Request)); !bytes.Equal(h, resp.RequestHash) {
				t.Errorf("the hash of the request is %x, and %x was seen", h, resp.RequestHash)
			}
		})
	}
	if responses == 0 {
		t.Error("no vector has a response")
	}
}

// The frames of a capture on Ethernet, after the header of 18 bytes that this
// layer has and the 39 bytes of its management messages.
func TestThePlainExchangeOfACapture(t *testing.T) {
	const frameHeader, management, hashSize = 18, 39, 32
	b, err := os.ReadFile("testdata/oap-plain.pcap")
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for b = b[24:]; len(b) >= 16; {
		n := binary.LittleEndian.Uint32(b[8:])
		frames = append(frames, b[16:16+n])
		b = b[16+n:]
	}
	request, response := frames[2][frameHeader+management+hashSize:], frames[3][frameHeader+management:]
	req, err := DecodeRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := DecodeResponse(response, req.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ID != req.ID || !bytes.Equal(resp.RequestHash, SHA384.Sum(request)) || resp.Time <= req.Time {
		t.Errorf("%+v does not answer %+v", resp, req)
	}
}
