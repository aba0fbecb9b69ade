package crypt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	wire "ouroboros/internal/wire/oap"
)

// exchanged is an allocation as two nodes of the C implementation made it, with
// their secrets.
type exchanged struct {
	Case     string
	Request  string `json:"request_hex"`
	Response string `json:"response_hex"`
	KDF      *struct{ IKM, Salt, Info, OKM string }
	Private  map[string]string `json:"ephemeral_private_pkcs8"`
	Raw      string            `json:"ephemeral_private_raw_client"`

	StaticPEM    string `json:"server_static_private_pem"`
	StaticPubPEM string `json:"server_static_public_pem"`
	StaticRaw    string `json:"server_static_private_raw"`
	StaticPubRaw string `json:"server_static_public_raw"`
}

type vectors struct {
	Certificates map[string]struct{ Crt, Key string }
	Cases        []exchanged
}

func readVectors(t testing.TB) *vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/oap-vectors.json")
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

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantKey(t *testing.T, who string, k *Key, err error, okm string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", who, err)
	}
	if !bytes.Equal(k[:], unhex(t, okm)) {
		t.Errorf("%s derived another key", who)
	}
}

// In each exchange that came to a key, both sides derive it, and describe
// their own keys as they travelled.
func TestTheKeysOfTheVectors(t *testing.T) {
	derived := 0
	for _, c := range readVectors(t).Cases {
		if c.KDF == nil || c.Response == "" {
			continue
		}
		t.Run(c.Case, func(t *testing.T) {
			req := must(wire.DecodeRequest(unhex(t, c.Request)))(t)
			resp := must(wire.DecodeResponse(unhex(t, c.Response), req.Hash))(t)
			kdf := resp.KDF
			finish := func(who string, own *PrivateKey, public, answer []byte) {
				t.Helper()
				if public != nil && !bytes.Equal(own.Public(), public) {
					t.Errorf("%s describes its key otherwise", who)
				}
				k, err := own.Finish(answer, kdf)
				wantKey(t, who, k, err, c.KDF.OKM)
				derived++
			}
			switch {
			case c.StaticRaw != "":
				own := must(ParseRawPrivateKey(unhex(t, c.StaticRaw)))(t)
				finish("server", own, unhex(t, c.StaticPubRaw), req.KeyExchange)
				must(ParseRawPublicKey(unhex(t, c.StaticPubRaw)))(t)
			case c.StaticPEM != "":
				block, _ := pem.Decode([]byte(c.StaticPEM))
				pub, _ := pem.Decode([]byte(c.StaticPubPEM))
				own := must(ParsePrivateKey(block.Bytes))(t)
				finish("server", own, pub.Bytes, req.KeyExchange)
				if out := must(own.PKCS8())(t); !bytes.Equal(out, block.Bytes) {
					t.Error("the private key is written otherwise")
				}
			case c.Raw != "":
				finish("client", must(ParseRawPrivateKey(unhex(t, c.Raw)))(t), req.KeyExchange, resp.KeyExchange)
			default:
				finish("client", must(ParsePrivateKey(unhex(t, c.Private["client"])))(t), req.KeyExchange, resp.KeyExchange)
				if p := c.Private["server"]; p != "" {
					finish("server", must(ParsePrivateKey(unhex(t, p)))(t), resp.KeyExchange, req.KeyExchange)
				}
			}
		})
	}
	if derived < 30 {
		t.Errorf("only %d keys were derived", derived)
	}
}

// The keys of exchanges that came to nothing are the right ones, too.
func TestTheKeysOfRefusedVectors(t *testing.T) {
	for _, c := range readVectors(t).Cases {
		client, server := c.Private["client"], c.Private["server"]
		if c.KDF == nil || c.Response != "" || client == "" || server == "" || !strings.Contains(c.KDF.Info, "dhe") {
			continue
		}
		t.Run(c.Case, func(t *testing.T) {
			a, b := must(ParsePrivateKey(unhex(t, client)))(t), must(ParsePrivateKey(unhex(t, server)))(t)
			k, err := a.Finish(b.Public(), wire.SHA256)
			wantKey(t, "client", k, err, c.KDF.OKM)
			k, err = b.Finish(a.Public(), wire.SHA256)
			wantKey(t, "server", k, err, c.KDF.OKM)
		})
	}
}

func TestASecretWithLeadingZerosIsShort(t *testing.T) {
	var v struct {
		A      string `json:"a_private_pkcs8"`
		APub   string `json:"a_public_spki"`
		BPub   string `json:"b_public_spki"`
		Secret string `json:"shared_secret_as_used"`
	}
	b, err := os.ReadFile("testdata/crypt-ffdhe-short-secret.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	own := must(ParsePrivateKey(unhex(t, v.A)))(t)
	if hex.EncodeToString(own.Public()) != v.APub {
		t.Error("the public key is described otherwise")
	}
	peer := must(ParsePublicKey(unhex(t, v.BPub)))(t)
	secret := must(own.dh.agree(peer.dh))(t)
	if len(secret) != 255 || hex.EncodeToString(secret) != v.Secret {
		t.Errorf("a secret of %d bytes", len(secret))
	}
}

// The certificates and private keys of the vectors belong together.
func TestTheIdentitiesOfTheVectors(t *testing.T) {
	v := readVectors(t)
	for name, id := range v.Certificates {
		t.Run(name, func(t *testing.T) {
			c := must(ParseCertificatePEM([]byte(id.Crt)))(t)
			k := must(ParseSigner([]byte(id.Key)))(t)
			if !k.Matches(c) {
				t.Error("the key is not that of the certificate")
			}
			key := must(c.Key())(t)
			h := k.Digest(wire.SHA3_512)
			sig := must(k.Sign(h, []byte("message")))(t)
			if err := key.Verify(h, []byte("message"), sig); err != nil {
				t.Error(err)
			}
			if key.Verify(h, []byte("massage"), sig) == nil {
				t.Error("a signature of something else is taken")
			}
			if block, _ := pem.Decode([]byte(id.Key)); block.Type == "PRIVATE KEY" {
				if out := must(k.PKCS8())(t); !bytes.Equal(out, block.Bytes) && key.Algorithm() != "Ed25519" {
					t.Errorf("the private key is written otherwise:\n%x\n%x", out, block.Bytes)
				}
			}
			if other := "srv-wrong"; name != other && k.Matches(must(ParseCertificatePEM([]byte(v.Certificates[other].Crt)))(t)) {
				t.Error("the key goes with any certificate")
			}
		})
	}
}
