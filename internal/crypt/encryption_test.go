package crypt

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	wire "ouroboros/internal/wire/oap"
)

func TestEncryptionFiles(t *testing.T) {
	d := func(change func(e *Encryption)) *Encryption {
		e := DefaultEncryption()
		if change != nil {
			change(e)
		}
		return e
	}
	ignored := func(lines ...string) *Encryption { return d(func(e *Encryption) { e.Ignored = lines }) }
	x25519 := d(func(e *Encryption) { e.Exchange = X25519 })
	for _, tc := range []struct {
		name, text string
		want       *Encryption
	}{
		{"empty", "", d(nil)},
		{"everything", "kex=X448MLKEM1024\ncipher=chacha20-poly1305\nkdf=sha3-512\ndigest=blake2b512\nkem_mode=client\n",
			&Encryption{Exchange: X448MLKEM1024, Cipher: wire.ChaCha20Poly1305, KDF: wire.SHA3_512, Digest: wire.BLAKE2b512, Encapsulate: true}},
		{"none", "none\n", nil},
		{"none without an end of line", "none", nil},
		{"none after others", "kex=X25519\nnone\n", nil},
		{"what follows none is not read", "none\ncipher=foo\n", nil},
		{"none in the first column only", " none\n", ignored(`line 1: " none" says nothing`)},
		{"comments", "# kex=foo\n#\n\nkex=X25519\n", x25519},
		{"a comment not at the beginning", " # kex=foo\n", ignored(`line 1: " # kex=foo" says nothing`)},
		{"spaces", " \tkex \t= X25519\t \n", x25519},
		{"blank", "   \t\nkex=X25519\n", x25519},
		{"no end of line", "kex=X25519", x25519},
		{"of another system", "kex=X25519\r\n# x\r\n", x25519},
		{"later wins", "kex=X448\nkex=X25519\n", x25519},
		{"unknown key", "mode=foo\n", ignored(`line 1: "mode=foo" says nothing`)},
		{"keys have a case", "KEX=X25519\n", ignored(`line 1: "KEX=X25519" says nothing`)},
		{"no value sign", "kex\n", ignored(`line 1: "kex" says nothing`)},
		{"server mode", "kem_mode=client\nkem_mode=server\n", d(nil)},
		{"as long as can be", "# " + strings.Repeat("x", 253) + "\nkex=X25519", x25519},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseEncryption([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, tc := range []struct{ name, text, says string }{
		{"kex", "\nkex=foo\n", `line 2: kex cannot be "foo"; use one of: ffdhe2048, prime256v1, X25519,`},
		{"kex none", "kex=none\n", `line 1: kex cannot be "none"`},
		{"cipher", "cipher=AES-256-GCM\n", `cipher cannot be "AES-256-GCM"; use one of: aes-128-ctr,`},
		{"kdf", "kdf=md5\n", `kdf cannot be "md5"`},
		{"digest", "digest=\n", `digest cannot be ""`},
		{"kem_mode", "kem_mode=both\n", `use one of: server, client`},
		{"two signs", "kex=a=b\n", `kex cannot be "a=b"`},
		{"an earlier one", "kex=foo\nkex=X25519\n", `line 1`},
		{"too long", "kex=X25519\n#" + strings.Repeat("x", 300), "line 2 has 301 bytes"},
		{"a value of garbage", "kex=" + strings.Repeat("\x00", 200), "kex cannot be"},
	} {
		t.Run("bad "+tc.name, func(t *testing.T) {
			_, err := ParseEncryption([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error is %v, want %q", err, tc.says)
			}
		})
	}
}

func TestFilesThatCannotBeReadAreNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "enc.conf")
	read := func(says string) {
		t.Helper()
		e, exists, err := ReadEncryption(path)
		if says == "" {
			if err != nil || e != nil && !exists {
				t.Errorf("%v, %v, %v", e, exists, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("error is %v, want %q", err, says)
		}
	}
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	read("") // there is none
	write("", 0o644)
	if e, exists, err := ReadEncryption(path); err != nil || !exists || e == nil {
		t.Error("an empty file:", e, exists, err)
	}
	write("none", 0o644)
	if e, exists, err := ReadEncryption(path); err != nil || !exists || e != nil {
		t.Error("none:", e, exists, err)
	}
	write("\nkex=foo", 0o644)
	read("line 2")
	write("", 0o666)
	read("changed by others than its owner; run: chmod go-w")
	write(strings.Repeat("\n", maxFile+1), 0o644)
	read("the most is")
	os.Remove(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	read("not a regular file")
	os.Remove(path)
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	read("not a regular file")
	if _, _, err := ReadEncryption(filepath.Join(path, strings.Repeat("x", 300))); err == nil {
		t.Error("a name that is too long is passed over")
	}
	os.Remove(path)
	if err := os.Symlink(path, path); err != nil {
		t.Fatal(err)
	}
	read("cannot be read")
	os.Remove(path)

	k := must(GenerateSigner("Ed25519"))(t)
	write(string(pemOf("PRIVATE KEY", must(k.PKCS8())(t))), 0o644)
	if _, err := ReadSigner(path); err == nil || !strings.Contains(err.Error(), "read by everybody; run: chmod 600") {
		t.Error(err)
	}
	for _, mode := range []os.FileMode{0o600, 0o400, 0o640} {
		write("", 0o600)
		os.Remove(path)
		write(string(pemOf("PRIVATE KEY", must(k.PKCS8())(t))), mode)
		if _, err := ReadSigner(path); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
	}
	for _, none := range []string{"", filepath.Join(dir, "none")} {
		if k, err := ReadSigner(none); k != nil || err != nil {
			t.Error(k, err)
		}
		if c, err := ReadCertificate(none); c != nil || err != nil {
			t.Error(c, err)
		}
	}
}

func TestStaticKeysInFiles(t *testing.T) {
	dir := t.TempDir()
	fails := func(err error, says string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error is %v, want %q", err, says)
		}
	}
	_, err := ReadStaticKey(dir, false)
	fails(err, "there is none in "+filepath.Join(dir, StaticKeyPEM))
	_, err = ReadStaticPublic(dir, X25519MLKEM768)
	fails(err, "there is none in "+filepath.Join(dir, StaticPublicRaw))
	_, err = ReadStaticKey("", true)
	fails(err, "kem_mode=server")
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []Exchange{MLKEM512, MLKEM768, MLKEM1024, X25519MLKEM768, X448MLKEM1024} {
		own := must(GenerateStaticKey(x))(t)
		file := must(own.PKCS8())(t)
		if x.Hybrid() {
			write(StaticKeyRaw, file)
			write(StaticPublicRaw, own.Public())
		} else {
			write(StaticKeyPEM, pemOf("PRIVATE KEY", file))
			write(StaticPublicPEM, pemOf("PUBLIC KEY", own.Public()))
		}
		pub := must(ReadStaticPublic(dir, x))(t)
		ct, a, err := pub.Answer(wire.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if b := must(must(ReadStaticKey(dir, x.Hybrid()))(t).Finish(ct, wire.SHA256))(t); *a != *b {
			t.Errorf("%v: the two sides have other keys", x)
		}
	}
	_, err = ReadStaticPublic(dir, MLKEM512)
	fails(err, "a key of ML-KEM-1024, and the flow is to be encrypted with ML-KEM-512")
	write(StaticKeyPEM, pemOf("PRIVATE KEY", must(must(GenerateKey(X25519))(t).PKCS8())(t)))
	_, err = ReadStaticKey(dir, false)
	fails(err, "nobody encapsulates")
	write(StaticKeyPEM, nil)
	_, err = ReadStaticKey(dir, false)
	fails(err, "no private key in it")
	write(StaticPublicPEM, nil)
	_, err = ReadStaticPublic(dir, MLKEM768)
	fails(err, "no public key in it")
	write(StaticKeyRaw, make([]byte, 2432))
	_, err = ReadStaticKey(dir, true)
	fails(err, "no private key of X25519MLKEM768")
}

// FuzzEncryption: what is read of an enc.conf can be used.
func FuzzEncryption(f *testing.F) {
	f.Add([]byte("kex=X25519\ncipher=aes-256-gcm\nkdf=sha256\ndigest=sha512\nkem_mode=client\n"))
	f.Add([]byte("none"))
	f.Add([]byte("# x\r\n\tkex = X448 \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEncryption(b)
		if err != nil || e == nil {
			return
		}
		if !e.Exchange.known() || !e.Cipher.Known() || !e.KDF.Known() || !e.Digest.Known() {
			t.Fatalf("%+v", e)
		}
	})
}
