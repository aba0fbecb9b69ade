package crypt_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ouroboros/internal/crypt"
	ct "ouroboros/internal/crypt/crypttest"
	wire "ouroboros/internal/wire/oap"
)

// forms are those in which OpenSSL writes a private key that has a seed.
var forms = []string{"seed-priv", "seed-only", "priv-only"}

// Keys, signatures and certificates are those of OpenSSL, in both directions:
// also of the kinds that no layer of the C implementation has messages for.
func TestSignaturesAgainstQuantumComputersAreThoseOfOpenSSL(t *testing.T) {
	message := []byte("the message")
	for _, kind := range crypt.SignerNames() {
		if !strings.Contains(kind, "-DSA-") {
			continue
		}
		// The slow ones sign in a second, and in many with the race detector.
		slow := strings.HasPrefix(kind, "SLH-DSA") && kind != "SLH-DSA-SHA2-128f"
		if slow && os.Getenv("OUROBOROS_SOAK") == "" {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := ct.FindOpenSSL(t, kind)
			o.Write(t, "message", message)
			// Nothing of what is set on this machine.
			o.Write(t, "conf", []byte("[req]\ndistinguished_name=name\n[name]\n"))

			// What it makes is taken.
			o.OK(t, "genpkey", "-algorithm", kind, "-out", "its.key")
			o.OK(t, "req", "-config", "conf", "-x509", "-new", "-key", "its.key", "-subj", "/CN=its", "-days", "2",
				"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign", "-out", "its.crt")
			o.OK(t, "genpkey", "-algorithm", kind, "-out", "its.leaf.key")
			o.OK(t, "req", "-config", "conf", "-x509", "-new", "-key", "its.leaf.key", "-subj", "/CN=leaf", "-days", "2",
				"-CA", "its.crt", "-CAkey", "its.key", "-addext", "basicConstraints=CA:FALSE", "-out", "its.leaf.crt")
			root, err := crypt.ParseCertificatePEM(o.Read(t, "its.crt"))
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := crypt.ParseCertificatePEM(o.Read(t, "its.leaf.crt"))
			if err != nil {
				t.Fatal(err)
			}
			dirs := crypt.StoreDirsBelow(t.TempDir())
			ct.Put(t, dirs.Authorities, &ct.Identity{Cert: root})
			if err := crypt.NewStore(dirs, nil).Verify(leaf, time.Now()); err != nil {
				t.Error(err)
			}
			public, err := root.Key()
			if err != nil {
				t.Fatal(err)
			}
			o.OK(t, "pkeyutl", "-sign", "-rawin", "-in", "message", "-inkey", "its.key", "-out", "its.sig")
			if err := public.Verify(wire.SHA256, message, o.Read(t, "its.sig")); err != nil {
				t.Error(err)
			}
			if public.Verify(wire.SHA256, message[1:], o.Read(t, "its.sig")) == nil {
				t.Error("its signature is taken for another message")
			}
			o.OK(t, "x509", "-in", "its.crt", "-pubkey", "-noout", "-out", "its.pub")
			read := []string{"its.key"}
			if strings.HasPrefix(kind, "ML-DSA") {
				for _, f := range forms {
					o.OK(t, "pkey", "-in", "its.key", "-provparam", "ml-dsa.output_formats="+f, "-out", f)
				}
				read = append(read, forms...)
			}
			for _, name := range read {
				signer, err := crypt.ParseSigner(o.Read(t, name))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if !signer.Matches(root) {
					t.Errorf("%s is another key", name)
				}
				sig, err := signer.Sign(wire.SHA256, message)
				if err != nil {
					t.Fatal(err)
				}
				o.Write(t, "our.sig", sig)
				o.OK(t, "pkeyutl", "-verify", "-rawin", "-in", "message", "-pubin", "-inkey", "its.pub", "-sigfile", "our.sig")
			}

			// It takes what is made here.
			ca := ct.Authority(t, "home", kind)
			own := ca.Issue(t, "own", kind)
			o.Write(t, "ca.crt", ca.CertPEM())
			o.Write(t, "own.crt", own.CertPEM())
			o.Write(t, "own.key", own.KeyPEM(t))
			o.OK(t, "verify", "-CAfile", "ca.crt", "own.crt")
			o.OK(t, "pkeyutl", "-sign", "-rawin", "-in", "message", "-inkey", "own.key", "-out", "its.sig")
			if err := own.Key.Public().Verify(0, message, o.Read(t, "its.sig")); err != nil {
				t.Errorf("a signature of it with a key of ours: %v", err)
			}
		})
	}
}

// Secrets go from one to the other, with a key of either.
func TestEncapsulationIsThatOfOpenSSL(t *testing.T) {
	for _, x := range []crypt.Exchange{crypt.MLKEM512, crypt.MLKEM768, crypt.MLKEM1024} {
		t.Run(x.String(), func(t *testing.T) {
			t.Parallel()
			o := ct.FindOpenSSL(t, x.String())
			// The secret itself does not leave the package: what is compared is
			// the key of a flow that is derived from it.
			derived := func(public *crypt.PrivateKey) []byte {
				salt := sha256.Sum256(public.Public())
				k, err := hkdf.Key(sha256.New, o.Read(t, "secret"), salt[:], "o7s-ossl-encap", crypt.KeySize)
				if err != nil {
					t.Fatal(err)
				}
				return k
			}
			o.OK(t, "genpkey", "-algorithm", x.String(), "-out", "its.key")
			for _, f := range forms {
				o.OK(t, "pkey", "-in", "its.key", "-provparam", "ml-kem.output_formats="+f, "-out", f)
			}
			made, err := crypt.GenerateStaticKey(x)
			if err != nil {
				t.Fatal(err)
			}
			der, err := made.PKCS8()
			if err != nil {
				t.Fatal(err)
			}
			o.Write(t, "our.key", ct.PEM("PRIVATE KEY", der))
			for _, name := range append([]string{"its.key", "our.key"}, forms...) {
				dir := t.TempDir()
				ct.Write(t, filepath.Join(dir, crypt.StaticKeyPEM), o.Read(t, name))
				own, err := crypt.ReadStaticKey(dir, false)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				o.OK(t, "pkey", "-in", name, "-pubout", "-out", "pub")
				if b, _ := pem.Decode(o.Read(t, "pub")); b == nil || !bytes.Equal(b.Bytes, own.Public()) {
					t.Errorf("%s is another key", name)
				}
				ct.Write(t, filepath.Join(dir, crypt.StaticPublicPEM), o.Read(t, "pub"))
				public, err := crypt.ReadStaticPublic(dir, x)
				if err != nil {
					t.Fatal(err)
				}

				o.OK(t, "pkeyutl", "-encap", "-pubin", "-inkey", "pub", "-out", "sealed", "-secret", "secret")
				key, err := own.Finish(o.Read(t, "sealed"), wire.SHA256)
				if err != nil || !bytes.Equal(key[:], derived(own)) {
					t.Errorf("%s: what it encapsulated is not opened: %v", name, err)
				}

				sealed, key, err := public.Answer(wire.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				o.Write(t, "sealed", sealed)
				o.OK(t, "pkeyutl", "-decap", "-inkey", name, "-in", "sealed", "-secret", "secret")
				if !bytes.Equal(key[:], derived(own)) {
					t.Errorf("%s: it does not open what was encapsulated", name)
				}
			}
		})
	}
}
