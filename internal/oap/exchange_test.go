package oap

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

func begin(t testing.TB) *Attempt {
	t.Helper()
	a, err := new(Client).Begin("name", Security{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// respond serves a request and gives the response.
func respond(t testing.TB, s *Server, request []byte) []byte {
	t.Helper()
	acc, err := s.Check("name", Security{}, request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := acc.Respond()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changed gives a request of now that a client of another kind could have made.
func changed(t testing.TB, change func(m *wire.Message)) []byte {
	t.Helper()
	m, err := wire.DecodeRequest(begin(t).Request())
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	b, err := m.AppendRequest(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// response gives the response to the attempt, changed.
func response(t testing.TB, a *Attempt, change func(m *wire.Message)) []byte {
	t.Helper()
	m, err := wire.DecodeResponse(respond(t, NewServer(ServerConfig{}), a.Request()), 0)
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	b, err := m.AppendResponse(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func TestAPlainExchangeSucceeds(t *testing.T) {
	a := begin(t)
	response := respond(t, NewServer(ServerConfig{}), a.Request())
	if len(a.Request()) != 36 || len(response) != 84 {
		t.Errorf("%d and %d bytes, want 36 and 84", len(a.Request()), len(response))
	}
	s, err := a.Complete(response)
	if err != nil || s.Data != nil {
		t.Fatal(s, err)
	}
	if b := begin(t); b.id == a.id {
		t.Error("two requests have the same id")
	}
}

func TestDataOfUsersIsHandedOver(t *testing.T) {
	s := NewServer(ServerConfig{})
	request := changed(t, func(m *wire.Message) { m.Data = []byte("from the client") })
	acc, err := s.Check("name", Security{}, request, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	clear(request) // it was the IPCP's
	if string(acc.Data()) != "from the client" {
		t.Errorf("the server got %q", acc.Data())
	}
	a := begin(t)
	got, err := a.Complete(response(t, a, func(m *wire.Message) { m.Data = []byte("from the server") }))
	if err != nil || string(got.Data) != "from the server" {
		t.Errorf("the client got %v, %v", got, err)
	}
}

func TestTheResponseHasTheHashThatTheRequestNames(t *testing.T) {
	for _, h := range []wire.Hash{wire.SHA256, wire.SHA512, wire.BLAKE2b512, wire.BLAKE2s256, wire.SHA3_256, wire.SHA3_384, wire.SHA3_512} {
		request := changed(t, func(m *wire.Message) { m.Hash = h })
		m, err := wire.DecodeResponse(respond(t, NewServer(ServerConfig{}), request), h)
		if err != nil || !bytes.Equal(m.RequestHash, h.Sum(request)) || m.Hash != 0 {
			t.Errorf("%v: %+v, %v", h, m, err)
		}
	}
}

func TestAResponseThatDoesNotFitIsRefused(t *testing.T) {
	other := begin(t)
	for _, tc := range []struct {
		name   string
		change func(m *wire.Message)
		want   error
	}{
		{"as it was", func(m *wire.Message) {}, nil},
		{"another id", func(m *wire.Message) { m.ID[3] ^= 1 }, errno.Crypt},
		{"of another request", func(m *wire.Message) { m.ID, m.RequestHash = other.id, other.hash }, errno.Crypt},
		{"hash of another request", func(m *wire.Message) { m.RequestHash = other.hash }, errno.Crypt},
		{"a bit of the hash", func(m *wire.Message) { m.RequestHash[47] ^= 0x80 }, errno.Crypt},
		{"certificate", func(m *wire.Message) { m.Certificate, m.Signature = []byte("der"), []byte("sig") }, errno.Crypt},
		{"certificate without signature", func(m *wire.Message) { m.Certificate = []byte("der") }, errno.Crypt},
		{"a cipher that nobody asked for", func(m *wire.Message) { m.Cipher, m.KDF = wire.AES256GCM, wire.SHA256 }, nil},
		{"a clock of its own", func(m *wire.Message) { m.Time = 1 }, nil},
		{"a hash for a signature that is not there", func(m *wire.Message) { m.Hash = wire.SHA256 }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := begin(t)
			_, err := a.Complete(response(t, a, tc.change))
			wantIs(t, err, tc.want)
		})
	}
	a := begin(t)
	whole := response(t, a, func(*wire.Message) {})
	for n := range whole {
		_, err := a.Complete(whole[:n])
		wantIs(t, err, errno.Crypt)
	}
	_, err := a.Complete(append(whole, 0))
	wantIs(t, err, errno.Crypt)
	_, err = a.Complete(a.Request())
	wantIs(t, err, errno.Crypt)
}

func TestARequestThatIsNotServed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(m *wire.Message)
		want   error
	}{
		{"as it was", func(m *wire.Message) {}, nil},
		{"certificate", func(m *wire.Message) { m.Certificate, m.Signature = []byte("der"), []byte("sig") }, errno.AuthFailed},
		{"certificate without signature", func(m *wire.Message) { m.Certificate = []byte("der") }, errno.AuthFailed},
		{"a key", func(m *wire.Message) { m.KeyExchange, m.Cipher = make([]byte, 91), wire.AES256GCM }, errno.Crypt},
		{"a key without cipher", func(m *wire.Message) { m.KeyExchange = make([]byte, 91) }, errno.Crypt},
		{"an encapsulated key", func(m *wire.Message) { m.KeyExchange, m.Encapsulated = make([]byte, 1088), true }, errno.Crypt},
		{"encapsulated without key", func(m *wire.Message) { m.Encapsulated = true }, errno.Crypt},
		{"raw, ML-KEM-768", func(m *wire.Message) { m.KeyExchange, m.Raw = make([]byte, 1120), true }, errno.Crypt},
		{"raw, of no algorithm", func(m *wire.Message) { m.KeyExchange, m.Raw = make([]byte, 1215), true }, errno.Crypt},
		{"raw without key", func(m *wire.Message) { m.Raw = true }, errno.Crypt},
		{"a cipher without key", func(m *wire.Message) { m.Cipher, m.KDF = wire.AES256GCM, wire.SHA256 }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewServer(ServerConfig{}).Check("name", Security{}, changed(t, tc.change), time.Now())
			wantIs(t, err, tc.want)
		})
	}
	whole := begin(t).Request()
	s := NewServer(ServerConfig{})
	for n := range whole {
		_, err := s.Check("name", Security{}, whole[:n], time.Now())
		wantIs(t, err, errno.AuthFailed)
	}
	_, err := s.Check("name", Security{}, append(bytes.Clone(whole), 0), time.Now())
	wantIs(t, err, errno.AuthFailed)
	for _, offset := range []int{24, 26, 28} {
		for _, n := range []byte{1, 0xff} {
			b := bytes.Clone(whole)
			b[offset], b[offset+1] = n>>1, n
			_, err := s.Check("name", Security{}, b, time.Now())
			wantIs(t, err, errno.AuthFailed)
		}
	}
	if _, err := s.Check("name", Security{}, whole, time.Now()); err != nil {
		t.Error("what could not be read was remembered:", err)
	}
}

// People get a cause and a next step.
func TestErrorsSayWhatToDo(t *testing.T) {
	s := NewServer(ServerConfig{})
	a := begin(t)
	_, err := s.Check("name", Security{}, a.Request(), time.Now().Add(time.Minute))
	for _, part := range []string{"1m0s old", "20s", "set the clocks"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	_, err = s.Check("name", Security{}, changed(t, func(m *wire.Message) { m.Time = 1<<64 - 1 }), time.Now())
	if err == nil || !strings.Contains(err.Error(), "a century ahead") {
		t.Error(err)
	}
	_, err = a.Complete(response(t, a, func(m *wire.Message) { m.ID[0]++ }))
	if err == nil || !strings.Contains(err.Error(), `"name"`) {
		t.Error(err)
	}
}

// A server lives through any request, and a client through any response,
// whether they have certificates and encrypt or not.
func FuzzExchange(f *testing.F) {
	root := ct.Authority(f, "root", "Ed25519")
	plain, full := newPair(f), newPair(f, root)
	full.server = NewServer(ServerConfig{Store: full.client.Store})
	for _, s := range []Security{full.c, full.s} {
		encrypt(f, s, "kex=X25519MLKEM768")
	}
	full.static(f, crypt.X25519MLKEM768)
	root.Issue(f, "me", "Ed25519").Write(f, full.c.Dir)
	root.Issue(f, name, "Ed25519").Write(f, full.s.Dir)
	var begun []*Attempt
	for _, p := range []*pair{plain, full} {
		a, err := p.client.Begin(name, p.c)
		if err != nil {
			f.Fatal(err)
		}
		begun = append(begun, a)
		f.Add(a.Request())
		e := p.run()
		if err := e.err(); err != nil {
			f.Fatal(err)
		}
		f.Add(e.response)
	}
	for _, change := range []func(m *wire.Message){
		func(m *wire.Message) { m.KeyExchange, m.Encapsulated, m.Raw = make([]byte, 1120), true, true },
		func(m *wire.Message) { m.Certificate, m.Signature = []byte("der"), []byte("sig") },
		func(m *wire.Message) { m.Data, m.Hash = []byte("data"), wire.SHA3_512 },
	} {
		f.Add(changed(f, change))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i, p := range []*pair{plain, full} {
			if m, err := wire.DecodeRequest(b); err == nil {
				answered(t, p.server, p.s, m, b)
			}
			if _, err := begun[i].complete(b); err != nil && errno.Number(err) != 1008 {
				t.Fatal(err)
			}
		}
	})
}

// answered lets a server answer a request of any time.
func answered(t *testing.T, s *Server, sec Security, m *wire.Message, request []byte) {
	t.Helper()
	acc, err := s.check(name, sec, m, request)
	var r []byte
	if err == nil {
		if r, _, err = acc.Respond(); err == nil {
			if got, err := wire.DecodeResponse(r, acc.named); err != nil || got.ID != acc.id {
				t.Fatal(got, err)
			}
			return
		}
	}
	if n := errno.Number(err); n != 1008 && n != 1009 {
		t.Fatalf("refused with %d: %v", n, err)
	}
}
