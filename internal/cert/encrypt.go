package cert

import (
	"fmt"
	"strings"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
)

// The key exchanges that Encrypt writes unless told otherwise. A client offers
// the one that also stands against a quantum computer; of a server it is what
// it demands at least, and what it takes from any node of the C implementation.
const (
	ClientExchange = "X25519MLKEM768"
	ServerExchange = "X25519"
	DefaultCipher  = "aes-256-gcm"
	DefaultKDF     = "sha256"
)

// Encryption is what an enc.conf says; what is empty has its default.
type Encryption struct {
	Exchange, Cipher, KDF string
	Encapsulate           bool // the client encapsulates for a key of the server: see MakeKEM
}

// Encrypt writes the encryption settings of one side of a name.
func (d Dir) Encrypt(side Side, name string, e Encryption, replace bool) (path string, err error) {
	if err := CheckName("name", name); err != nil {
		return "", err
	}
	if e.Exchange == "" {
		e.Exchange = ClientExchange
		if side == Server {
			e.Exchange = ServerExchange
		}
	}
	if e.Cipher == "" {
		e.Cipher = DefaultCipher
	}
	if e.KDF == "" {
		e.KDF = DefaultKDF
	}
	var b strings.Builder
	if side == Server {
		fmt.Fprintf(&b, "# What the server %q demands at least.\n", name)
	} else {
		fmt.Fprintf(&b, "# How flows to %q are encrypted.\n", name)
	}
	fmt.Fprintf(&b, "kex=%s\ncipher=%s\nkdf=%s\n", e.Exchange, e.Cipher, e.KDF)
	if e.Encapsulate {
		b.WriteString("kem_mode=client\n")
	}
	if _, err := crypt.ParseEncryption([]byte(b.String())); err != nil {
		return "", errno.New(errno.Invalid, "cannot write the encryption settings of %q: %v", name, err)
	}
	if e.Encapsulate && !crypt.ExchangeOf(e.Exchange).KEM() {
		return "", errno.New(errno.Invalid, "with %s no side encapsulates", e.Exchange).Next("use ML-KEM or a hybrid")
	}
	path = d.join(string(side), name, encFile)
	if err := write(replace, output{path, []byte(b.String()), publicMode}); err != nil {
		return "", because(err, "cannot write the encryption settings of %q", name)
	}
	return path, nil
}

// Names of the files with static keys of a server, without the ending.
const (
	kemPrivate = "kex.key"
	kemPublic  = "kex.srv.pub"
)

// MakeKEM makes the key of a server for clients that encapsulate for it: the
// private part for the server here, the public part for clients in the
// security directory into, "" being this one. It gives the paths.
func (d Dir) MakeKEM(name, exchange string, into Dir, replace bool) ([]string, error) {
	if err := CheckName("name", name); err != nil {
		return nil, err
	}
	if exchange == "" {
		exchange = ClientExchange
	}
	x := crypt.ExchangeOf(exchange)
	if !x.KEM() {
		return nil, errno.New(errno.Invalid, "with %q no side encapsulates", exchange).Next("use one of %s", list(KEMNames()))
	}
	if into == "" {
		into = d
	}
	ending := ".pem"
	if x.Hybrid() {
		ending = ".raw"
	}
	private, public := d.join(string(Server), name, kemPrivate), into.join(string(Client), name, kemPublic)
	if err := mayWrite(replace, private+".pem", private+".raw", public+".pem", public+".raw"); err != nil {
		return nil, because(err, "cannot make a key of %s for %q", exchange, name)
	}
	key, err := crypt.GenerateStaticKey(x)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	secret, err := key.PKCS8()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	files := []output{{private + ending, secret, secretMode}, {public + ending, key.Public(), publicMode}}
	if !x.Hybrid() {
		files[0] = pemOutput(private+ending, "PRIVATE KEY", secret, secretMode)
		files[1] = pemOutput(public+ending, "PUBLIC KEY", key.Public(), publicMode)
		defer clear(files[0].data)
	}
	if err := write(replace, files...); err != nil {
		return nil, because(err, "cannot make a key of %s for %q", exchange, name)
	}
	return []string{files[0].path, files[1].path}, nil
}

// KEMNames are the exchanges in which a side encapsulates.
func KEMNames() (names []string) {
	for _, n := range crypt.ExchangeNames() {
		if crypt.ExchangeOf(n).KEM() {
			names = append(names, n)
		}
	}
	return names
}
