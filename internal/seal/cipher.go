package seal

import (
	"crypto/aes"
	"crypto/cipher"

	"golang.org/x/crypto/chacha20poly1305"

	wire "ouroboros/internal/wire/oap"
)

// KeySize is the length of a flow's key in bytes, whatever the cipher.
const KeySize = 32

// Lengths of what is put round a packet, in bytes.
const (
	aeadIV = 12
	tag    = 16
	ctrIV  = aes.BlockSize
)

// suite is what differs between ciphers: bytes of the key, and whether it
// authenticates.
type suite struct {
	key  int
	aead func(key []byte) (cipher.AEAD, error) // nil = CTR
}

func suiteOf(c wire.Cipher) (s suite, ok bool) {
	switch c {
	case wire.AES128GCM:
		return suite{16, gcm}, true
	case wire.AES192GCM:
		return suite{24, gcm}, true
	case wire.AES256GCM:
		return suite{32, gcm}, true
	case wire.ChaCha20Poly1305:
		return suite{32, chacha20poly1305.New}, true
	case wire.AES128CTR:
		return suite{16, nil}, true
	case wire.AES192CTR:
		return suite{24, nil}, true
	case wire.AES256CTR:
		return suite{32, nil}, true
	}
	return suite{}, false
}

func gcm(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// usable tries the cipher with a key: where it works, it does with all.
func (s suite) usable(k *[KeySize]byte) (err error) {
	if s.aead != nil {
		_, err = s.aead(k[:s.key])
	} else {
		_, err = aes.NewCipher(k[:s.key])
	}
	return err
}

// newAEAD and newBlock use a key of the chain, with a cipher that is usable.
func (s suite) newAEAD(k *[KeySize]byte) cipher.AEAD {
	a, err := s.aead(k[:s.key])
	if err != nil {
		panic("seal: " + err.Error())
	}
	return a
}

func (s suite) newBlock(k *[KeySize]byte) cipher.Block {
	b, err := aes.NewCipher(k[:s.key])
	if err != nil {
		panic("seal: " + err.Error())
	}
	return b
}
