package oap

import (
	"log/slog"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

// The files of a name, see Security.
const (
	encryptionFile  = "enc.conf"
	certificateFile = "crt.pem"
	keyFile         = "key.pem"
)

// identity is with what one side shows who it is. A nil one is anonymous.
type identity struct {
	crt *crypt.Certificate
	key *crypt.Signer
}

// identity reads who this side is for the name. With one of the two files
// missing it is nobody, as the protocol has it: the log tells.
func (s *Security) identity(log *slog.Logger) (*identity, error) {
	crtPath, keyPath := s.path(s.Certificate, certificateFile), s.path(s.Key, keyFile)
	crt, err := crypt.ReadCertificate(crtPath)
	if err != nil {
		return nil, err
	}
	key, err := crypt.ReadSigner(keyPath)
	switch {
	case err != nil:
		return nil, err
	case crt == nil && key == nil:
		return nil, nil
	case crt == nil || key == nil:
		key.Wipe()
		if log != nil {
			log.Warn("a certificate counts only together with its private key, and one of the two is missing: this side stays anonymous",
				"certificate", crtPath, "has_certificate", crt != nil, "key", keyPath, "has_key", key != nil)
		}
		return nil, nil
	case !key.Matches(crt):
		key.Wipe()
		return nil, &crypt.Problem{
			Cause: "the private key " + keyPath + " is not that of the certificate " + crtPath,
			Hint:  "put the two there that were made together",
		}
	}
	return &identity{crt, key}, nil
}

// encryption reads how this side wants flows of the name encrypted; nil = not.
func (s *Security) encryption() (e *crypt.Encryption, exists bool, err error) {
	return crypt.ReadEncryption(s.path(s.Encryption, encryptionFile))
}

func (i *identity) name() string {
	if i == nil {
		return ""
	}
	return i.crt.Name
}

func (i *identity) wipe() {
	if i != nil {
		i.key.Wipe()
	}
}

// introduce puts the certificate into a message whose sender has configured
// the hash h for signatures.
func (i *identity) introduce(m *wire.Message, h wire.Hash) {
	m.Hash = h
	if i != nil {
		m.Hash = i.key.Digest(h)
		m.Certificate = i.crt.X509.Raw
	}
}

// sign puts the signature to everything that is in the message already.
func (i *identity) sign(m *wire.Message) error {
	if i == nil {
		return nil
	}
	b, err := m.AppendSigned(make([]byte, 0, m.Size()))
	if err != nil {
		return err
	}
	m.Signature, err = i.key.Sign(m.Hash, b)
	return err
}

// peer finds out who has sent a message: nobody that can be known when there is
// no certificate in it. whole are the bytes of the message. Errors are those of
// the sentinel.
func peer(store *crypt.Store, m *wire.Message, whole []byte, who string, sentinel error) (*crypt.Certificate, error) {
	if len(m.Certificate) == 0 {
		return nil, nil
	}
	crt, err := crypt.ParseCertificate(m.Certificate)
	if err != nil {
		return nil, because(sentinel, err, sameWire, "the certificate that %s shows cannot be read", who)
	}
	if crt.Name == "" {
		return nil, errno.New(sentinel, "the certificate that %s shows has no common name", who).
			Next("issue one with a common name (CN): that of the service or of the client")
	}
	if err := store.Verify(crt, time.Now()); err != nil {
		return nil, because(sentinel, err, "issue it another certificate, by an authority that this node trusts", "%s is not who it says", who)
	}
	key, err := crt.Key()
	if err != nil {
		return nil, because(sentinel, err, "issue it a certificate for a key of another kind", "the key in the certificate of %q does not serve", crt.Name)
	}
	if err := key.Verify(m.Hash, whole[:m.SignedSize()], m.Signature); err != nil {
		return nil, errno.New(sentinel, "%s shows the certificate of %q and cannot sign for it: %v", who, crt.Name, err).
			Next("see whether its private key is that of its certificate; else somebody on the way changes messages")
	}
	return crt, nil
}
