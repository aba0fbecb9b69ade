package crypt

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	wire "ouroboros/internal/wire/oap"
)

func allExchanges() []Exchange {
	var all []Exchange
	for _, name := range ExchangeNames() {
		all = append(all, ExchangeOf(name))
	}
	return all
}

// parse reads a key in the form that travels.
func parse(x Exchange, b []byte) (*PublicKey, error) {
	if x.Hybrid() {
		return ParseRawPublicKey(b)
	}
	return ParsePublicKey(b)
}

// lengths are those of the keys and answers on the wire.
var lengths = map[Exchange][2]int{
	P256: {91, 91}, X25519: {44, 44}, P384: {120, 120}, X448: {68, 68}, P521: {158, 158},
	MLKEM512: {822, 768}, MLKEM768: {1206, 1088}, MLKEM1024: {1590, 1568},
	X25519MLKEM768: {1216, 1120}, X448MLKEM1024: {1624, 1624},
}

func TestAllExchangesWithAllDerivations(t *testing.T) {
	if len(allExchanges()) != 13 || len(wire.HashNames()) != 8 {
		t.Fatal(ExchangeNames(), wire.HashNames())
	}
	for _, x := range allExchanges() {
		t.Run(x.String(), func(t *testing.T) {
			own := must(GenerateKey(x))(t)
			if want, ok := lengths[x]; ok && len(own.Public()) != want[0] {
				t.Errorf("a key of %d bytes, want %d", len(own.Public()), want[0])
			}
			seen := map[Key]bool{}
			for _, name := range wire.HashNames() {
				peer := must(parse(x, own.Public()))(t)
				if peer.Exchange() != x {
					t.Fatalf("read as a key of %v", peer.Exchange())
				}
				answer, a, err := peer.Answer(wire.HashOf(name))
				if err != nil {
					t.Fatal(err)
				}
				if want, ok := lengths[x]; ok && len(answer) != want[1] {
					t.Errorf("an answer of %d bytes, want %d", len(answer), want[1])
				}
				b, err := own.Finish(answer, wire.HashOf(name))
				if err != nil {
					t.Fatal(err)
				}
				if *a != *b || *a == (Key{}) || seen[*a] {
					t.Errorf("%s: the two sides have other keys, or one twice", name)
				}
				seen[*a] = true
				if c := must(own.Finish(answer, wire.HashOf(wire.HashNames()[0])))(t); name != wire.HashNames()[0] && *c == *a {
					t.Errorf("%s derives the same key as another hash", name)
				}
			}
		})
	}
}

// A static key for clients that encapsulate lives through its file.
func TestStaticKeys(t *testing.T) {
	for _, x := range allExchanges() {
		if !x.KEM() {
			if _, err := GenerateStaticKey(x); err == nil {
				t.Errorf("a static key of %v", x)
			}
			continue
		}
		own := must(GenerateStaticKey(x))(t)
		file := must(own.PKCS8())(t)
		read := ParsePrivateKey
		if x.Hybrid() {
			read = ParseRawPrivateKey
		}
		again := must(read(file))(t)
		if !bytes.Equal(own.Public(), again.Public()) || again.Exchange() != x {
			t.Errorf("%v: another key is in the file", x)
		}
		ct, a, err := must(parse(x, own.Public()))(t).Answer(wire.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if b := must(again.Finish(ct, wire.SHA256))(t); *a != *b {
			t.Errorf("%v: the two sides have other keys", x)
		}
	}
	for _, x := range []Exchange{MLKEM768, MLKEM1024, X25519MLKEM768} { // of one flow only
		if _, err := must(GenerateKey(x))(t).PKCS8(); err == nil {
			t.Errorf("%v: a key for one flow is written", x)
		}
	}
}

// The other private keys live through PKCS#8, too.
func TestPrivateKeysAreWrittenAndRead(t *testing.T) {
	for _, x := range allExchanges() {
		if x.KEM() {
			continue
		}
		own := must(GenerateKey(x))(t)
		again := must(ParsePrivateKey(must(own.PKCS8())(t)))(t)
		if !bytes.Equal(own.Public(), again.Public()) {
			t.Errorf("%v: another key is in the file", x)
		}
	}
}

// All three forms of an ML-KEM key are read, and one whose parts do not fit is
// not.
func TestFormsOfKEMKeys(t *testing.T) {
	for _, x := range []Exchange{MLKEM512, MLKEM768, MLKEM1024} {
		s := must(newStaticKEM(x))(t)
		write := func(inner func(b *cryptobyte.Builder)) []byte {
			var b cryptobyte.Builder
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(0)
				addAlgorithm(b, x)
				b.AddASN1(tag.OCTET_STRING, inner)
			})
			return b.BytesOrPanic()
		}
		both := func(seed, expanded []byte) func(b *cryptobyte.Builder) {
			return func(b *cryptobyte.Builder) {
				b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(seed)
					b.AddASN1OctetString(expanded)
				})
			}
		}
		flip := func(b []byte, at int) []byte {
			c := bytes.Clone(b)
			c[at] ^= 1
			return c
		}
		for name, tc := range map[string]struct {
			der []byte
			ok  bool
		}{
			"both":              {write(both(s.seed, s.expanded)), true},
			"seed":              {write(func(b *cryptobyte.Builder) { b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(s.seed) }) }), true},
			"expanded":          {write(func(b *cryptobyte.Builder) { b.AddASN1OctetString(s.expanded) }), true},
			"other seed":        {write(both(flip(s.seed, 0), s.expanded)), false},
			"short seed":        {write(both(s.seed[1:], s.expanded)), false},
			"short expanded":    {write(func(b *cryptobyte.Builder) { b.AddASN1OctetString(s.expanded[1:]) }), false},
			"its own key wrong": {write(func(b *cryptobyte.Builder) { b.AddASN1OctetString(flip(s.expanded, len(s.expanded)-70)) }), false},
			"trailing":          {append(write(both(s.seed, s.expanded)), 0), false},
			"nothing":           {write(func(*cryptobyte.Builder) {}), false},
		} {
			k, err := ParsePrivateKey(tc.der)
			if (err == nil) != tc.ok {
				t.Errorf("%v %s: %v", x, name, err)
			}
			if err == nil && !bytes.Equal(k.kem.public(), s.public()) {
				t.Errorf("%v %s: another key", x, name)
			}
		}
	}
}

// spki describes bits as a key of an exchange, whatever they are.
func spki(t testing.TB, algorithm func(b *cryptobyte.Builder), bits []byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		algorithm(b)
		b.AddASN1BitString(bits)
	})
	return must(b.Bytes())(t)
}

func TestKeysThatAreNoneAreRefused(t *testing.T) {
	of := func(x Exchange) func(b *cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { addAlgorithm(b, x) }
	}
	integer := func(n *big.Int) []byte {
		var b cryptobyte.Builder
		b.AddASN1BigInt(n)
		return must(b.Bytes())(t)
	}
	refused := func(name string, der []byte) {
		t.Helper()
		if k, err := ParsePublicKey(der); err == nil {
			t.Errorf("%s: read as a key of %v", name, k.Exchange())
		}
	}
	for _, x := range []Exchange{FFDHE2048, FFDHE3072, FFDHE4096} {
		p := new(big.Int).SetBytes(groups[x]().p)
		for name, n := range map[string]*big.Int{
			"-1": big.NewInt(-1), "0": {}, "1": big.NewInt(1), "p": p,
			"p-1": new(big.Int).Sub(p, big.NewInt(1)), "p+2": new(big.Int).Add(p, big.NewInt(2)),
			"long": new(big.Int).Lsh(p, 100),
		} {
			refused(fmt.Sprint(x, " y = ", name), spki(t, of(x), integer(n)))
		}
		for _, n := range []*big.Int{big.NewInt(2), new(big.Int).Sub(p, big.NewInt(2))} {
			if _, err := ParsePublicKey(spki(t, of(x), integer(n))); err != nil {
				t.Errorf("%v: y = %v is refused: %v", x, n.BitLen(), err)
			}
		}
		refused("not minimal", spki(t, of(x), []byte{2, 2, 0, 5}))
		other := func(p, g *big.Int, rest ...int64) func(b *cryptobyte.Builder) {
			return func(b *cryptobyte.Builder) {
				b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidDH)
					b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1BigInt(p)
						b.AddASN1BigInt(g)
						for _, r := range rest {
							b.AddASN1Int64(r)
						}
					})
				})
			}
		}
		refused("another generator", spki(t, other(p, big.NewInt(5)), integer(big.NewInt(9))))
		refused("another prime", spki(t, other(new(big.Int).Add(p, big.NewInt(2)), big.NewInt(2)), integer(big.NewInt(9))))
		refused("a small group", spki(t, other(big.NewInt(23), big.NewInt(2)), integer(big.NewInt(9))))
		refused("a length of the exponent", spki(t, other(p, big.NewInt(2), 225), integer(big.NewInt(9))))
	}

	point := must(ecdh.P256().GenerateKey(rand.Reader))(t).PublicKey().Bytes()
	off := bytes.Clone(point)
	off[64] ^= 1
	xy := new(big.Int).SetBytes(point[1:33])
	refused("not on the curve", spki(t, of(P256), off))
	refused("compressed", spki(t, of(P256), elliptic.MarshalCompressed(elliptic.P256(), xy, new(big.Int).SetBytes(point[33:]))))
	refused("infinity", spki(t, of(P256), []byte{0}))
	refused("of another curve", spki(t, of(P384), point))
	refused("no point", spki(t, of(P256), nil))
	refused("explicit parameters", spki(t, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidEC)
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(1) })
		})
	}, point))
	refused("P-224", spki(t, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidEC)
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 132, 0, 33})
		})
	}, point))
	refused("RSA", must(x509.MarshalPKIXPublicKey(&must(rsa.GenerateKey(rand.Reader, 2048))(t).PublicKey))(t))
	refused("parameters where there are none", spki(t, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidX25519)
			b.AddASN1NULL()
		})
	}, make([]byte, 32)))
	refused("short", spki(t, of(X25519), make([]byte, 31)))
	refused("long", spki(t, of(X448), make([]byte, 57)))

	for _, x := range []Exchange{MLKEM512, MLKEM768, MLKEM1024} {
		raw := must(GenerateKey(x))(t).kem.public()
		high := bytes.Clone(raw)
		high[0], high[1] = 0xff, 0xff // a coefficient that is not reduced
		refused(x.String()+" not reduced", spki(t, of(x), high))
		refused(x.String()+" short", spki(t, of(x), raw[1:]))
	}
	for _, x := range allExchanges() {
		if x.Hybrid() {
			continue
		}
		der := must(GenerateKey(x))(t).Public()
		for n := range der {
			refused(fmt.Sprint(x, " cut at ", n), der[:n])
		}
		refused(x.String()+" with a byte more", append(bytes.Clone(der), 0))
	}
	raw := must(GenerateKey(X25519MLKEM768))(t).Public()
	for _, n := range []int{0, 1, 1120, 1215, 1217, 1624, 1625} {
		if _, err := ParseRawPublicKey(make([]byte, n)); err == nil && n != 1624 && n != 1216 {
			t.Errorf("%d raw bytes are read as a key", n)
		}
	}
	swapped := append(bytes.Clone(raw[1184:]), raw[:1184]...)
	if k, err := ParseRawPublicKey(swapped); err == nil {
		// It can be a key all the same: then of nobody.
		_, a, err := k.Answer(wire.SHA256)
		if err == nil && *a == (Key{}) {
			t.Error("swapped halves")
		}
	}
}

// Keys with which everybody would know the secret, and answers of another kind.
func TestAnswersThatAreNoneAreRefused(t *testing.T) {
	for x, n := range map[Exchange]int{X25519: 32, X448: 56} {
		der := must(marshalSPKI(x, make([]byte, n)))(t)
		k := must(ParsePublicKey(der))(t)
		if _, _, err := k.Answer(wire.SHA256); err == nil {
			t.Errorf("%v: a key of low order is answered", x)
		}
		if _, err := must(GenerateKey(x))(t).Finish(der, wire.SHA256); err == nil {
			t.Errorf("%v: a key of low order is an answer", x)
		}
	}
	for _, x := range allExchanges() {
		own := must(GenerateKey(x))(t)
		answer, _, err := must(parse(x, own.Public()))(t).Answer(wire.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, {0}, answer[:len(answer)-1], append(bytes.Clone(answer), 0)} {
			if _, err := own.Finish(bad, wire.SHA256); err == nil {
				t.Errorf("%v: an answer of %d bytes is taken", x, len(bad))
			}
		}
		for _, y := range allExchanges() {
			if x == y || x.KEM() {
				continue
			}
			if _, err := own.Finish(must(GenerateKey(y))(t).Public(), wire.SHA256); err == nil {
				t.Errorf("%v: a key of %v is taken", x, y)
			}
		}
	}
	// A changed ciphertext gives another key, so that nothing can be read.
	for _, x := range []Exchange{MLKEM512, MLKEM768, MLKEM1024, X25519MLKEM768, X448MLKEM1024} {
		own := must(GenerateKey(x))(t)
		answer, key, err := must(parse(x, own.Public()))(t).Answer(wire.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		answer[5] ^= 1
		if got := must(own.Finish(answer, wire.SHA256))(t); *got == *key {
			t.Errorf("%v: a changed ciphertext gives the same key", x)
		}
		if x.Hybrid() { // the halves the other way round
			n := 32
			if x == X448MLKEM1024 {
				n = 56
			}
			answer[5] ^= 1
			swapped := append(bytes.Clone(answer[len(answer)-n:]), answer[:len(answer)-n]...)
			if got, err := own.Finish(swapped, wire.SHA256); err == nil && *got == *key {
				t.Errorf("%v: swapped halves give the same key", x)
			}
		}
	}
}

func TestThePrimesAreSafe(t *testing.T) {
	for x, g := range groups {
		p := new(big.Int).SetBytes(g().p)
		q := new(big.Int).Rsh(p, 1)
		if !p.ProbablyPrime(1) || !q.ProbablyPrime(1) {
			t.Errorf("%v: not a safe prime", x)
		}
		// Both ends are 64 ones, and the generator is a square: of order q.
		if !strings.HasPrefix(p.Text(16), "ffffffffffffffff") || !strings.HasSuffix(p.Text(16), "ffffffffffffffff") ||
			new(big.Int).Exp(big.NewInt(2), q, p).Cmp(big.NewInt(1)) != 0 {
			t.Errorf("%v: not of RFC 7919", x)
		}
	}
}

// The smaller key is the first in the salt, on whichever side it is.
func TestTheOrderOfTheSalt(t *testing.T) {
	a, b := []byte{1, 2, 3}, []byte{1, 2, 4}
	if agreedSalt(a, b) != agreedSalt(b, a) || agreedSalt(a, a[:2]) != agreedSalt(a[:2], a) || agreedSalt(a, b) == agreedSalt(a, a) {
		t.Error("the salt depends on the side")
	}
}

func TestSecretsAreWiped(t *testing.T) {
	k := Key{1, 2, 3}
	k.Wipe()
	if k != (Key{}) {
		t.Error("the key is left")
	}
	(*Key)(nil).Wipe()
	secret := []byte("a secret of thirty-two bytes....")
	derive(wire.SHA256, secret, [32]byte{}, infoAgreed)
	if !bytes.Equal(secret, make([]byte, 32)) {
		t.Error("the shared secret is left")
	}
	a, b := []byte{1}, []byte{2}
	if join(a, b); a[0] != 0 || b[0] != 0 {
		t.Error("the parts of a joined secret are left")
	}
	f := must(newFFDHE(groups[FFDHE2048]()))(t)
	x := new(x448Key)
	x.secret[0] = 1
	s := must(newStaticKEM(MLKEM512))(t)
	(&PrivateKey{dh: f}).Wipe()
	(&PrivateKey{dh: x}).Wipe()
	(&PrivateKey{kem: s}).Wipe()
	for _, left := range [][]byte{f.x, x.secret[:], s.seed, s.expanded} {
		if len(left) == 0 || !bytes.Equal(left, make([]byte, len(left))) {
			t.Error("a private key is left")
		}
	}
}

func TestAKeyShowsItselfNowhere(t *testing.T) {
	k := &Key{0xaa, 0xbb}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("", "key", k, "value", *k)
	shown := log.String() + fmt.Sprintf("%v %+v %#v %x %s %d %q", k, *k, *k, *k, k, *k, struct{ K Key }{*k})
	for _, part := range []string{"aa", "170", "\xaa", "AA"} {
		if strings.Contains(shown, part) {
			t.Errorf("shown: %s", shown)
		}
	}
	if _, err := json.Marshal(k); err == nil {
		t.Error("a key is written as JSON")
	}
}

// FuzzPublicKey: what is read as a key can be answered, or is refused then.
func FuzzPublicKey(f *testing.F) {
	for _, x := range allExchanges() {
		k, err := GenerateKey(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.Public())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte) (*PublicKey, error){ParsePublicKey, ParseRawPublicKey} {
			k, err := read(b)
			if err != nil {
				continue
			}
			if _, key, err := k.Answer(wire.SHA256); err == nil && *key == (Key{}) {
				t.Fatal("a key of zeros")
			}
			if out, err := marshalSPKI(k.exchange, append(k.kem[:len(k.kem):len(k.kem)], k.dh...)); !k.exchange.Hybrid() && (err != nil || !bytes.Equal(out, b)) {
				t.Fatalf("read %x, written %x, %v", b, out, err)
			}
		}
	})
}

// FuzzPrivateKey: what is read as a private key has a public one.
func FuzzPrivateKey(f *testing.F) {
	for _, x := range []Exchange{P256, X25519, X448, FFDHE2048} {
		k, err := GenerateKey(x)
		if err != nil {
			f.Fatal(err)
		}
		b, err := k.PKCS8()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, x := range []Exchange{MLKEM512, MLKEM768, X25519MLKEM768} {
		k, err := GenerateStaticKey(x)
		if err != nil {
			f.Fatal(err)
		}
		b, err := k.PKCS8()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte) (*PrivateKey, error){ParsePrivateKey, ParseRawPrivateKey} {
			if k, err := read(b); err == nil {
				if _, err := parse(k.exchange, k.Public()); err != nil {
					t.Fatal(err)
				}
				k.Wipe()
			}
		}
	})
}
