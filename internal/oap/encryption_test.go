package oap

import (
	"os"
	"path/filepath"
	"testing"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

func TestTwoSidesAgreeOnEncryption(t *testing.T) {
	const gcm = wire.AES256GCM
	for _, tc := range []struct {
		name           string
		client, server string // enc.conf
		static         crypt.Exchange

		cipher   wire.Cipher
		exchange string
		kdf      wire.Hash
	}{
		{"nobody", "-", "-", 0, 0, "", 0},
		{"both none", "none", "none", 0, 0, "", 0},
		{"only the client", "kex=prime256v1", "-", 0, gcm, "prime256v1", wire.SHA256},
		{"the server says none", "kex=X448;kdf=sha512", "none", 0, gcm, "X448", wire.SHA512},
		{"empty files", "", "", 0, gcm, "prime256v1", wire.SHA256},
		{"the stronger cipher is the server's", "kex=X25519;cipher=aes-128-gcm", "kex=X25519;cipher=chacha20-poly1305", 0, wire.ChaCha20Poly1305, "X25519", wire.SHA256},
		{"both stronger ones are the client's", "kex=X25519;cipher=chacha20-poly1305;kdf=sha512", "kex=X25519;cipher=aes-128-gcm;kdf=sha3-256", 0, wire.ChaCha20Poly1305, "X25519", wire.SHA512},
		{"the stronger hash is the server's", "kex=X25519;kdf=blake2s256", "kex=X25519;kdf=sha3-512", 0, gcm, "X25519", wire.SHA3_512},
		{"a stronger exchange of the client", "kex=secp521r1", "kex=ffdhe2048", 0, gcm, "secp521r1", wire.SHA256},
		{"post-quantum to a classical server", "kex=ML-KEM-768", "kex=X25519", 0, gcm, "ML-KEM-768", wire.SHA256},
		{"a hybrid to a server of ML-KEM", "kex=X25519MLKEM768", "kex=ML-KEM-512", 0, gcm, "X25519MLKEM768", wire.SHA256},
		{"whose mode says nothing", "kex=ML-KEM-768", "kex=ML-KEM-768;kem_mode=client", 0, gcm, "ML-KEM-768", wire.SHA256},
		{"a mode without a KEM", "kex=X25519;kem_mode=client", "kex=X25519", 0, gcm, "X25519", wire.SHA256},
		{"encapsulated", "kex=ML-KEM-768;kem_mode=client", "kex=ML-KEM-768", crypt.MLKEM768, gcm, "ML-KEM-768", wire.SHA256},
		{"encapsulated, ML-KEM-512", "kex=ML-KEM-512;kem_mode=client", "kex=ML-KEM-512", crypt.MLKEM512, gcm, "ML-KEM-512", wire.SHA256},
		{"encapsulated, ML-KEM-1024", "kex=ML-KEM-1024;kem_mode=client;kdf=sha3-512", "kex=ML-KEM-512", crypt.MLKEM1024, gcm, "ML-KEM-1024", wire.SHA3_512},
		{"encapsulated, hybrid", "kex=X25519MLKEM768;kem_mode=client;kdf=sha384", "kex=ML-KEM-512;kem_mode=client;kdf=sha256", crypt.X25519MLKEM768, gcm, "X25519MLKEM768", wire.SHA384},
		{"encapsulated, the other hybrid", "kex=X448MLKEM1024;kem_mode=client", "kex=X448MLKEM1024", crypt.X448MLKEM1024, gcm, "X448MLKEM1024", wire.SHA256},
		{"other hashes for signatures", "kex=X25519;digest=sha512", "kex=X25519", 0, gcm, "X25519", wire.SHA256},
		{"without integrity, by both files", "kex=X25519;cipher=aes-128-ctr", "kex=X25519;cipher=aes-256-ctr", 0, wire.AES256CTR, "X25519", wire.SHA256},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			encrypt(t, p.c, tc.client)
			encrypt(t, p.s, tc.server)
			if tc.static != 0 {
				p.static(t, tc.static)
			}
			p.run().works(t, tc.cipher, tc.exchange, tc.kdf)
		})
	}
}

func TestTwoSidesThatDoNotAgreeOnEncryption(t *testing.T) {
	const client, server = true, false
	for _, tc := range []struct {
		name           string
		client, server string
		static         crypt.Exchange
		by             bool
		says           string
	}{
		{"only the server", "-", "kex=X25519", 0, server, "the client asks for a plain one"},
		{"the client says none", "none", "", 0, server, "the client asks for a plain one"},
		{"a weaker exchange of the client", "kex=ffdhe2048", "kex=secp521r1", 0, server, "ffdhe2048, which is weaker than the secp521r1"},
		{"encapsulated for a server without a KEM", "kex=ML-KEM-768;kem_mode=client", "kex=prime256v1", crypt.MLKEM768, server, "does not have flows encrypted so"},
		{"encapsulated for one that has no file", "kex=ML-KEM-768;kem_mode=client", "-", crypt.MLKEM768, server, "does not have flows encrypted so"},
		{"encapsulated with a weaker hash", "kex=ML-KEM-768;kem_mode=client;kdf=sha256", "kex=ML-KEM-768;kdf=sha512", crypt.MLKEM768, server, "sha256, which is weaker than the sha512"},
		{"encapsulated with a weaker algorithm", "kex=ML-KEM-512;kem_mode=client", "kex=ML-KEM-1024", crypt.MLKEM512, server, "ML-KEM-512, which is weaker than the ML-KEM-1024"},
		{"encapsulated without a key", "kex=ML-KEM-768;kem_mode=client", "kex=ML-KEM-768", 0, client, "public key of the server is needed"},
		{"an unknown value at the client", "kex=foo", "-", 0, client, `kex cannot be "foo"`},
		{"an unknown value at the server", "kex=X25519", "cipher=foo", 0, server, `cipher cannot be "foo"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			encrypt(t, p.c, tc.client)
			encrypt(t, p.s, tc.server)
			if tc.static != 0 {
				p.static(t, tc.static)
			}
			e := p.run()
			err := e.serverErr
			if tc.by == client {
				err = e.clientErr
			}
			fails(t, err, errno.Crypt, tc.says)
			if e.client != nil || e.server != nil {
				t.Error("there is a session")
			}
		})
	}
	t.Run("encapsulated for a server that has lost its key", func(t *testing.T) {
		p := newPair(t)
		encrypt(t, p.c, "kex=X25519MLKEM768;kem_mode=client")
		encrypt(t, p.s, "kex=X25519MLKEM768")
		p.static(t, crypt.X25519MLKEM768)
		os.Remove(filepath.Join(p.s.Dir, crypt.StaticKeyRaw))
		fails(t, p.run().serverErr, errno.Crypt, "there is none in "+p.s.Dir)
	})
	// Sealed for another key, the secret is another one: the flow comes to be,
	// and carries nothing. That is how the mechanism fails.
	t.Run("encapsulated for another key", func(t *testing.T) {
		p := newPair(t)
		encrypt(t, p.c, "kex=ML-KEM-768;kem_mode=client")
		encrypt(t, p.s, "kex=ML-KEM-768")
		p.static(t, crypt.MLKEM768)
		q := newPair(t)
		q.static(t, crypt.MLKEM768)
		p.s.Dir = q.s.Dir
		encrypt(t, p.s, "kex=ML-KEM-768")
		e := p.run()
		if e.err() != nil || *e.client.Key == *e.server.Key {
			t.Error(e.err())
		}
	})
}

// Keys that no client of ours sends. With them the C implementation's daemon
// has been seen to crash.
func TestKeysThatAreNoneAreRefused(t *testing.T) {
	rsa := ct.Authority(t, "rsa", "RSA-2048").Cert.X509.RawSubjectPublicKeyInfo
	for _, tc := range []struct {
		name   string
		conf   string // of the server
		change func(m *wire.Message)
	}{
		{"encapsulated, and the server has no file", "-", func(m *wire.Message) { m.Encapsulated, m.KeyExchange = true, make([]byte, 1088) }},
		{"an RSA key", "-", func(m *wire.Message) { m.KeyExchange = rsa }},
		{"an RSA key, and the server has a file", "kex=X25519", func(m *wire.Message) { m.KeyExchange = rsa }},
		{"raw, 1120 bytes", "-", func(m *wire.Message) { m.Raw, m.KeyExchange = true, make([]byte, 1120) }},
		{"raw, 1215 bytes", "-", func(m *wire.Message) { m.Raw, m.KeyExchange = true, make([]byte, 1215) }},
		{"raw, nothing", "-", func(m *wire.Message) { m.Raw, m.KeyExchange = true, nil }},
		{"encapsulated, nothing", "kex=ML-KEM-768", func(m *wire.Message) { m.Encapsulated, m.KeyExchange = true, nil }},
		{"bytes", "-", func(m *wire.Message) { m.KeyExchange = []byte("a key") }},
		{"of low order", "-", func(m *wire.Message) { clear(m.KeyExchange[12:]) }},
		{"without a cipher", "-", func(m *wire.Message) { m.Cipher = 0 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			encrypt(t, p.c, "kex=X25519")
			encrypt(t, p.s, tc.conf)
			fails(t, p.run(edit(t, tc.change)).serverErr, errno.Crypt)
		})
	}
}

// edit changes a request.
func edit(t testing.TB, change func(m *wire.Message)) func([]byte) []byte {
	return func(b []byte) []byte {
		t.Helper()
		m, err := wire.DecodeRequest(b)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		if b, err = m.AppendRequest(nil); err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func TestADemandForEncryptionIsMet(t *testing.T) {
	// Without a file the client encrypts all the same.
	p := newPair(t)
	p.c.RequireEncryption, p.s.RequireEncryption = true, true
	p.run().works(t, wire.AES256GCM, "X25519", wire.SHA256)
	// A client that does not care is refused.
	p.c.RequireEncryption = false
	fails(t, p.run().serverErr, errno.Crypt, "must be encrypted")
	// A file that says none contradicts it.
	p.c.RequireEncryption = true
	encrypt(t, p.c, "none")
	fails(t, p.run().clientErr, errno.Crypt, "enc.conf says none")
	// A cipher that notices no changes is none.
	encrypt(t, p.c, "kex=X25519;cipher=aes-256-ctr")
	fails(t, p.run().clientErr, errno.Crypt, "aes-256-ctr does not notice them")
	p.c.RequireEncryption = false
	fails(t, p.run().serverErr, errno.Crypt, "aes-256-ctr does not notice them")
	// Unless the server makes a better one of it.
	encrypt(t, p.s, "kex=X25519;cipher=aes-128-gcm")
	p.run().works(t, wire.AES128GCM, "X25519", wire.SHA256)
}

func TestFilesInOtherPlaces(t *testing.T) {
	p := newPair(t)
	elsewhere := t.TempDir()
	ct.Write(t, filepath.Join(elsewhere, "e"), []byte("kex=X448"))
	p.c = Security{Encryption: filepath.Join(elsewhere, "e")}
	p.run().works(t, wire.AES256GCM, "X448", wire.SHA256)
	for path, want := range map[string]string{
		DefaultDir("/sec", ServerSide, "web"):     "/sec/server/web",
		DefaultDir("/sec", ClientSide, "a b"):     "/sec/client/a b",
		DefaultDir("", ClientSide, "web"):         "",
		DefaultDir("/sec", ClientSide, "../web"):  "",
		DefaultDir("/sec", ClientSide, ".."):      "",
		DefaultDir("/sec", ClientSide, "a/b"):     "",
		DefaultDir("/sec", ClientSide, "a\x00b"):  "",
		DefaultDir("/sec", ClientSide, ""):        "",
		DefaultDir("/sec", ServerSide, ".hidden"): "/sec/server/.hidden",
	} {
		if path != want {
			t.Errorf("%q, want %q", path, want)
		}
	}
}
