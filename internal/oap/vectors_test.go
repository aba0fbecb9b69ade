package oap

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// seen is an allocation between two nodes of the C implementation, with their
// files and secrets.
type seen struct {
	Case      string
	Name      string
	ServerEnc *string `json:"server_enc_conf"`
	ClientEnc *string `json:"client_enc_conf"`
	ServerCrt string  `json:"server_crt"`
	ClientCrt string  `json:"client_crt"`
	Code      *int    `json:"response_code"`
	Result    string  `json:"client_result"`
	Request   string  `json:"request_hex"`
	Response  string  `json:"response_hex"`
	KDF       *struct{ OKM string }
	Private   map[string]string `json:"ephemeral_private_pkcs8"`
	Raw       string            `json:"ephemeral_private_raw_client"`

	StaticPEM    string `json:"server_static_private_pem"`
	StaticPubPEM string `json:"server_static_public_pem"`
	StaticRaw    string `json:"server_static_private_raw"`
	StaticPubRaw string `json:"server_static_public_raw"`
}

type vectors struct {
	Certificates map[string]struct{ Crt, Key string }
	Cases        []seen
}

func readVectors(t testing.TB) *vectors {
	t.Helper()
	b, err := os.ReadFile("../crypt/testdata/oap-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// side writes the files of one side of a vector.
func (v *vectors) side(t *testing.T, enc *string, crt string) Security {
	t.Helper()
	dir := t.TempDir()
	if enc != nil {
		ct.Write(t, filepath.Join(dir, "enc.conf"), []byte(*enc))
	}
	if crt != "" {
		id := v.Certificates[crt]
		ct.Write(t, filepath.Join(dir, "crt.pem"), []byte(id.Crt))
		ct.Write(t, filepath.Join(dir, "key.pem"), []byte(id.Key))
	}
	return Security{Dir: dir}
}

// store trusts whom the nodes of the vectors trusted.
func (v *vectors) store(t *testing.T) *crypt.Store {
	t.Helper()
	dirs := crypt.StoreDirsBelow(t.TempDir())
	for _, name := range []string{"ca", "pqca"} {
		ct.Write(t, filepath.Join(dirs.Authorities, name+".pem"), []byte(v.Certificates[name].Crt))
	}
	ct.Write(t, filepath.Join(dirs.Intermediates, "im.pem"), []byte(v.Certificates["im"].Crt))
	return crypt.NewStore(dirs, nil)
}

// client gives the attempt whose request was seen.
func (c *seen) client(t *testing.T, sec Security, store *crypt.Store) *Attempt {
	t.Helper()
	request := unhex(t, c.Request)
	m, err := wire.DecodeRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	a := &Attempt{client: &Client{Store: store}, dst: c.Name, sec: sec, id: m.ID, named: m.Hash, request: request,
		hash: m.Hash.OrDefault().Sum(request)}
	if err := a.choose(); err != nil {
		t.Fatal(err)
	}
	switch {
	case c.Raw != "":
		a.own, err = crypt.ParseRawPrivateKey(unhex(t, c.Raw))
	case m.Encapsulated && c.KDF != nil:
		k := crypt.Key(unhex(t, c.KDF.OKM)) // derived when it was sealed
		a.key = &k
	case c.Private["client"] != "":
		a.own, err = crypt.ParsePrivateKey(unhex(t, c.Private["client"]))
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The clock of a bubble is set to the time of the vectors.
func at(t *testing.T, request []byte) {
	t.Helper()
	m, err := wire.DecodeRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(time.Unix(0, int64(m.Time)).Add(2 * time.Millisecond)))
}

// Our server answers the requests that were seen as that of the C
// implementation did, with the files that it had.
func TestTheRequestsOfTheVectorsAreServed(t *testing.T) {
	v := readVectors(t)
	if len(v.Cases) != 41 {
		t.Fatalf("%d cases, want 41", len(v.Cases))
	}
	for _, c := range v.Cases {
		t.Run(c.Case, func(t *testing.T) {
			sec := v.side(t, c.ServerEnc, c.ServerCrt)
			if c.StaticPEM != "" {
				ct.Write(t, filepath.Join(sec.Dir, "kex.key.pem"), []byte(c.StaticPEM))
			}
			if c.StaticRaw != "" {
				ct.Write(t, filepath.Join(sec.Dir, "kex.key.raw"), unhex(t, c.StaticRaw))
			}
			store := v.store(t)
			synctest.Test(t, func(t *testing.T) {
				request := unhex(t, c.Request)
				at(t, request)
				want := 0
				if c.Code != nil {
					want = -*c.Code
				}
				if c.Case == "ed25519-enc" {
					want = 0 // our server signs without a hash then, and the C implementation takes it
				}
				s := NewServer(ServerConfig{Store: store})
				a, err := s.Check(c.Name, sec, request, time.Now())
				var response []byte
				var session *Session
				if err == nil {
					response, session, err = a.Respond()
				}
				if got := errno.Number(err); got != want {
					t.Fatalf("refused with %d, want %d: %v", got, want, err)
				}
				if err != nil {
					return
				}
				m, err := wire.DecodeRequest(request)
				if err != nil {
					t.Fatal(err)
				}
				got, err := wire.DecodeResponse(response, m.Hash)
				if err != nil {
					t.Fatal(err)
				}
				if session.Peer != "" != (c.ClientCrt != "") {
					t.Errorf("the client is called %q", session.Peer)
				}
				if (session.Key != nil) != (got.Cipher != 0) || (got.Cipher != 0) != (c.KDF != nil) {
					t.Errorf("cipher %v, key %v", got.Cipher, session.Key)
				}
				// Where the client had sealed the key, this is it.
				if m.Encapsulated && !bytes.Equal(session.Key[:], unhex(t, c.KDF.OKM)) {
					t.Error("another key")
				}
				if c.Response == "" {
					return
				}
				was, err := wire.DecodeResponse(unhex(t, c.Response), m.Hash)
				if err != nil {
					t.Fatal(err)
				}
				if got.ID != was.ID || got.Cipher != was.Cipher || got.KDF != was.KDF || got.Hash != was.Hash ||
					got.Raw != was.Raw || got.Encapsulated != was.Encapsulated ||
					!bytes.Equal(got.Certificate, was.Certificate) || !alike(got.KeyExchange, was.KeyExchange) ||
					!bytes.Equal(got.RequestHash, was.RequestHash) || len(got.Data) != len(was.Data) {
					t.Errorf("the response is\n%+v, was\n%+v", got, was)
				}
			})
		})
	}
}

// Our client takes the responses that were seen as that of the C implementation
// did, and comes to the same key.
func TestTheResponsesOfTheVectorsAreTaken(t *testing.T) {
	v := readVectors(t)
	taken := 0
	for _, c := range v.Cases {
		if c.Response == "" {
			continue
		}
		t.Run(c.Case, func(t *testing.T) {
			sec := v.side(t, c.ClientEnc, c.ClientCrt)
			store := v.store(t)
			synctest.Test(t, func(t *testing.T) {
				at(t, unhex(t, c.Request))
				a := c.client(t, sec, store)
				s, err := a.Complete(unhex(t, c.Response))
				if ok := strings.Contains(c.Result, "flow allocated"); ok != (err == nil) || !ok && !errors.Is(err, errno.Crypt) {
					t.Fatalf("%v; the C implementation: %s", err, c.Result)
				}
				if err != nil {
					return
				}
				taken++
				if (c.KDF != nil) != (s.Key != nil) || s.Key != nil && !bytes.Equal(s.Key[:], unhex(t, c.KDF.OKM)) {
					t.Errorf("another key: %v", s.Key)
				}
				if want := map[bool]string{true: c.Name}[c.ServerCrt != ""]; s.Peer != want {
					t.Errorf("the server is called %q, want %q", s.Peer, want)
				}
				if a.own != nil || a.key != nil {
					t.Error("the attempt keeps its secrets")
				}
			})
		})
	}
	if taken < 25 {
		t.Errorf("only %d were taken", taken)
	}
}

// What a client of ours makes with the files of the vectors is what theirs
// made: the same lengths, algorithms and flags.
func TestRequestsAreLikeThoseOfTheVectors(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Cases {
		if c.Case == "rogue-cli" {
			continue // whose certificate was not kept
		}
		t.Run(c.Case, func(t *testing.T) {
			sec := v.side(t, c.ClientEnc, c.ClientCrt)
			pub := c.StaticPubPEM
			if pub == "" {
				pub = v.static()
			}
			ct.Write(t, filepath.Join(sec.Dir, "kex.srv.pub.pem"), []byte(pub))
			if c.StaticPubRaw != "" {
				ct.Write(t, filepath.Join(sec.Dir, "kex.srv.pub.raw"), unhex(t, c.StaticPubRaw))
			}
			a, err := new(Client).Begin(c.Name, sec)
			if err != nil {
				t.Fatal(err)
			}
			got, err := wire.DecodeRequest(a.Request())
			if err != nil {
				t.Fatal(err)
			}
			was, err := wire.DecodeRequest(unhex(t, c.Request))
			if err != nil {
				t.Fatal(err)
			}
			if !alike(got.KeyExchange, was.KeyExchange) {
				t.Errorf("%d bytes of key exchange, want %d", len(got.KeyExchange), len(was.KeyExchange))
			}
			if got.Cipher != was.Cipher || got.KDF != was.KDF || got.Hash != was.Hash || got.Raw != was.Raw ||
				got.Encapsulated != was.Encapsulated || !bytes.Equal(got.Certificate, was.Certificate) {
				t.Errorf("the request is\n%+v, was\n%+v", got, was)
			}
			if len(got.Certificate) > 0 {
				crt, err := crypt.ParseCertificate(got.Certificate)
				if err != nil {
					t.Fatal(err)
				}
				key, err := crt.Key()
				if err != nil {
					t.Fatal(err)
				}
				if err := key.Verify(got.Hash, a.Request()[:got.SignedSize()], got.Signature); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// alike reports whether two keys can be of one kind. The number in one of ffdhe
// has a leading zero or not, and is now and then shorter.
func alike(a, b []byte) bool {
	n := len(a) - len(b)
	return n == 0 || -3 < n && n < 3 && len(b) > 500
}

// static is the public key of the server of the vectors whose clients
// encapsulate.
func (v *vectors) static() string {
	for _, c := range v.Cases {
		if c.StaticPubPEM != "" {
			return c.StaticPubPEM
		}
	}
	return ""
}
