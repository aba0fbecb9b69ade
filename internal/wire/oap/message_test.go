package oap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// plain is a request without anything, and full one with everything.
func plain() *Message { return &Message{ID: [16]byte{1, 2, 3}, Time: 1 << 60} }

func full() *Message {
	return &Message{
		ID: [16]byte{15: 9}, Time: 42, Cipher: AES256GCM, KDF: SHA256, Hash: SHA3_512,
		Raw: true, Encapsulated: true,
		Certificate: []byte("certificate"), KeyExchange: []byte("key"), Data: []byte("data"), Signature: []byte("signature"),
	}
}

func written(t testing.TB, m *Message) []byte {
	t.Helper()
	b, err := m.AppendRequest(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestATruncatedMessageIsRefusedAtEachLength(t *testing.T) {
	for name, m := range map[string]*Message{"plain": plain(), "full": full()} {
		t.Run(name, func(t *testing.T) {
			b := written(t, m)
			for n := range b {
				got, err := DecodeRequest(b[:n])
				// Without a length of its own a signature cannot be seen to be short.
				if n >= m.SignedSize() && len(m.Certificate) > 0 {
					if err != nil || len(got.Signature) != n-m.SignedSize() {
						t.Fatalf("%d of %d bytes: %v, %v", n, len(b), got, err)
					}
				} else if !errors.Is(err, ErrShort) {
					t.Fatalf("%d of %d bytes: %v", n, len(b), err)
				}
			}
			_, err := DecodeRequest(append(bytes.Clone(b), 0))
			if len(m.Certificate) == 0 && !errors.Is(err, ErrTrailing) || len(m.Certificate) > 0 && err != nil {
				t.Errorf("one byte more: %v", err)
			}
		})
	}
}

func TestAResponseIsRefusedWithoutTheWholeHash(t *testing.T) {
	for _, h := range []Hash{0, SHA256, SHA384, SHA512, BLAKE2b512, BLAKE2s256, SHA3_256, SHA3_384, SHA3_512} {
		t.Run(h.String(), func(t *testing.T) {
			m := plain()
			m.RequestHash = h.OrDefault().Sum([]byte("request"))
			if len(m.RequestHash) != h.OrDefault().Size() {
				t.Fatalf("a digest of %d bytes, announced were %d", len(m.RequestHash), h.OrDefault().Size())
			}
			b, err := m.AppendResponse(nil, h)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeResponse(b, h)
			if err != nil || !bytes.Equal(got.RequestHash, m.RequestHash) {
				t.Fatal(got, err)
			}
			if _, err := DecodeResponse(b[:len(b)-1], h); !errors.Is(err, ErrShort) {
				t.Errorf("without its last byte: %v", err)
			}
			if _, err := DecodeResponse(append(bytes.Clone(b), 0), h); !errors.Is(err, ErrTrailing) {
				t.Errorf("with one more byte: %v", err)
			}
			if _, err := m.AppendRequest(nil); !errors.Is(err, ErrHash) {
				t.Errorf("as a request: %v", err)
			}
		})
	}
}

func TestOnlyKnownAlgorithmsAreRead(t *testing.T) {
	known := map[int]map[uint16]bool{
		24: {895: true, 898: true, 901: true, 904: true, 905: true, 906: true, 1018: true},
		26: {672: true, 673: true, 674: true, 1056: true, 1057: true, 1097: true, 1098: true, 1099: true},
	}
	known[28] = known[26]
	for offset, known := range known {
		for n := range 1 << 16 {
			b := written(t, plain())
			binary.BigEndian.PutUint16(b[offset:], uint16(n))
			m, err := DecodeRequest(b)
			if ok := n == 0 || known[uint16(n)]; ok != (err == nil) || !ok && !errors.Is(err, ErrAlgorithm) {
				t.Fatalf("%d at %d: %v", n, offset, err)
			}
			if err == nil {
				if out := written(t, m); !bytes.Equal(out, b) {
					t.Fatalf("%d at %d was written as %x", n, offset, out)
				}
			}
		}
	}
}

func TestWhatDoesNotFitItsFieldIsNotWritten(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(m *Message)
		want   error
	}{
		{"certificate", func(m *Message) { m.Certificate = make([]byte, MaxCertificate+1) }, ErrLength},
		{"key exchange", func(m *Message) { m.KeyExchange = make([]byte, MaxKeyExchange+1) }, ErrLength},
		{"data", func(m *Message) { m.Data = make([]byte, MaxData+1) }, ErrLength},
		{"hash in a request", func(m *Message) { m.RequestHash = make([]byte, 48) }, ErrHash},
		{"signature of nobody", func(m *Message) { m.Certificate = nil }, ErrTrailing},
		{"cipher", func(m *Message) { m.Cipher = 1 }, ErrAlgorithm},
		{"key derivation", func(m *Message) { m.KDF = 1096 }, ErrAlgorithm},
		{"hash of the signature", func(m *Message) { m.Hash = 65535 }, ErrAlgorithm},
		{"as much as fits", func(m *Message) {
			m.Certificate, m.KeyExchange, m.Data = make([]byte, MaxCertificate), make([]byte, MaxKeyExchange), make([]byte, MaxData)
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := full()
			tc.change(m)
			b, err := m.AppendRequest(nil)
			if !errors.Is(err, tc.want) {
				t.Fatalf("error is %v, want %v", err, tc.want)
			}
			if err != nil {
				return
			}
			if got, err := DecodeRequest(b); err != nil || got.Size() != len(b) || got.Size() != m.Size() {
				t.Fatal("read back:", err)
			}
		})
	}
}

func TestNamesOfAlgorithms(t *testing.T) {
	for got, want := range map[string]string{
		ChaCha20Poly1305.String(): "chacha20-poly1305", Cipher(0).String(): "none", Cipher(7).String(): "number 7",
		SHA3_256.String(): "sha3-256", Hash(0).String(): "none", Hash(1096).String(): "number 1096",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if Hash(1096).Size() != 0 || Hash(1096).Sum(nil) != nil {
		t.Error("an unknown hash has a digest")
	}
}

// What can be read is written as it was, and nothing else happens.
func FuzzDecode(f *testing.F) {
	for _, x := range exchanges(f) {
		f.Add(unhex(f, x.Request), uint16(0))
		f.Add(unhex(f, x.Response), uint16(x.Req.Hash))
	}
	f.Add(written(f, full()), uint16(SHA512))
	f.Fuzz(func(t *testing.T, b []byte, named uint16) {
		in := bytes.Clone(b)
		if m, err := DecodeRequest(b); err == nil {
			if out := written(t, m); !bytes.Equal(out, in) {
				t.Fatalf("%x was written as %x", in, out)
			}
		}
		h := Hash(named)
		if h != 0 && !h.Known() {
			return
		}
		if m, err := DecodeResponse(b, h); err == nil {
			if out, err := m.AppendResponse(nil, h); err != nil || !bytes.Equal(out, in) {
				t.Fatalf("%x was written as %x, %v", in, out, err)
			}
		}
		if !bytes.Equal(in, b) {
			t.Fatal("the message was changed by reading it")
		}
	})
}
