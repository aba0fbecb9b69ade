// Package oap reads and writes the two messages of the Ouroboros Allocation
// Protocol, the request and the response that travel inside a flow
// allocation. IPCPs carry them as opaque bytes.
//
// All integers are big endian. There is no version and no total length: a
// message is as long as the bytes that carry it.
//
//	 0               16       24   26   28   30   32    34   36
//	 +---------------+--------+----+----+----+----+-----+----+-----+-----+------+----------+-----------+
//	 | id            | time   |ciph|kdf |hash|crt |FRkex|data| crt | kex | data | req_hash | signature |
//	 +---------------+--------+----+----+----+----+-----+----+-----+-----+------+----------+-----------+
//	 |<------------------------------- signed region ------------------------------------->|
//
//	offset  size     field       meaning
//	0       16       id          random, of one allocation; the response repeats it
//	16      8        time        wall clock of the sender, ns since 1970 UTC
//	24      2        cipher      Cipher, 0 = none
//	26      2        kdf         Hash of the key derivation, 0 = none
//	28      2        hash        Hash of the sender's signature, 0 = none or the default
//	30      2        crt         length of the certificate, 0 to 65535
//	32      2        kex         bit 15 F, bit 14 R, bits 13 to 0 length of the key exchange, 0 to 16383
//	34      2        data        length of the user data, 0 to 65535
//	36      crt      certificate one X.509 certificate, DER
//	..      kex      kex data    public key or KEM ciphertext
//	..      data     data        of the user
//	..      hashlen  req_hash    response only: hash of the whole request
//	..      rest     signature   only with a certificate
//
// The length of req_hash is not on the wire. Both sides know it: that of the
// hash which the request names, or of SHA-384 when it names none. The length
// of the signature is what is left.
//
// F says that the kex data are the raw bytes of a hybrid KEM, and not a DER
// SubjectPublicKeyInfo; R that the client encapsulates.
package oap

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Lengths in bytes.
const (
	IDSize         = 16
	HeaderSize     = 36 // all fixed fields
	MaxCertificate = 1<<16 - 1
	MaxKeyExchange = 1<<14 - 1
	MaxData        = 1<<16 - 1
)

// The flags in the field of the key exchange length.
const (
	flagFormat = 0x8000
	flagRole   = 0x4000
)

// Why a message cannot be read or written. All errors wrap one of them.
var (
	ErrShort     = errors.New("message too short")
	ErrAlgorithm = errors.New("unknown algorithm")
	ErrTrailing  = errors.New("trailing bytes")
	ErrLength    = errors.New("field too long")
	ErrHash      = errors.New("hash of the wrong length")
)

// Message is a request or a response. The slices of a decoded message lie in
// the bytes that it was decoded from.
type Message struct {
	ID     [IDSize]byte
	Time   uint64 // ns since 1970 UTC
	Cipher Cipher
	KDF    Hash
	Hash   Hash // of the sender's signature

	Raw          bool   // F: KeyExchange is in the raw format of a hybrid KEM
	Encapsulated bool   // R: the client encapsulates
	Certificate  []byte // DER
	KeyExchange  []byte
	Data         []byte
	RequestHash  []byte // of a response; empty in a request
	Signature    []byte // of everything before it; only with a Certificate
}

// DecodeRequest reads a request.
func DecodeRequest(b []byte) (*Message, error) { return decode(b, 0) }

// DecodeResponse reads the response to a request that named the hash named.
func DecodeResponse(b []byte, named Hash) (*Message, error) {
	return decode(b, named.OrDefault().Size())
}

// decode makes the checks in the order of the protocol.
func decode(b []byte, hashLen int) (*Message, error) {
	if len(b) < HeaderSize {
		return nil, fmt.Errorf("%w: %d bytes, the header alone has %d", ErrShort, len(b), HeaderSize)
	}
	m := &Message{
		Time:   binary.BigEndian.Uint64(b[16:]),
		Cipher: Cipher(binary.BigEndian.Uint16(b[24:])),
		KDF:    Hash(binary.BigEndian.Uint16(b[26:])),
		Hash:   Hash(binary.BigEndian.Uint16(b[28:])),
	}
	copy(m.ID[:], b)
	if err := m.checkAlgorithms(); err != nil {
		return nil, err
	}
	kex := binary.BigEndian.Uint16(b[32:])
	m.Raw, m.Encapsulated = kex&flagFormat != 0, kex&flagRole != 0
	crtLen := int(binary.BigEndian.Uint16(b[30:]))
	kexLen := int(kex & MaxKeyExchange)
	dataLen := int(binary.BigEndian.Uint16(b[34:]))
	if need := HeaderSize + crtLen + kexLen + dataLen + hashLen; len(b) < need {
		return nil, fmt.Errorf("%w: %d bytes, its lengths add up to %d", ErrShort, len(b), need)
	}
	rest := b[HeaderSize:]
	take := func(n int) []byte {
		if n == 0 {
			return nil
		}
		f := rest[:n:n]
		rest = rest[n:]
		return f
	}
	m.Certificate = take(crtLen)
	m.KeyExchange = take(kexLen)
	m.Data = take(dataLen)
	m.RequestHash = take(hashLen)
	m.Signature = take(len(rest))
	if crtLen == 0 && len(m.Signature) > 0 {
		return nil, fmt.Errorf("%w: %d, and no certificate whose signature they could be", ErrTrailing, len(m.Signature))
	}
	return m, nil
}

func (m *Message) checkAlgorithms() error {
	switch {
	case m.Cipher != 0 && !m.Cipher.Known():
		return fmt.Errorf("%w: cipher %d", ErrAlgorithm, uint16(m.Cipher))
	case m.KDF != 0 && !m.KDF.Known():
		return fmt.Errorf("%w: hash %d of the key derivation", ErrAlgorithm, uint16(m.KDF))
	case m.Hash != 0 && !m.Hash.Known():
		return fmt.Errorf("%w: hash %d of the signature", ErrAlgorithm, uint16(m.Hash))
	}
	return nil
}

// SignedSize is the length of what is signed, in bytes.
func (m *Message) SignedSize() int {
	return HeaderSize + len(m.Certificate) + len(m.KeyExchange) + len(m.Data) + len(m.RequestHash)
}

// Size is the length of the whole message in bytes.
func (m *Message) Size() int { return m.SignedSize() + len(m.Signature) }

// AppendSigned appends everything before the signature: what is to be signed.
func (m *Message) AppendSigned(b []byte) ([]byte, error) {
	if err := m.checkAlgorithms(); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		what string
		len  int
		most int
	}{
		{"certificate", len(m.Certificate), MaxCertificate},
		{"key exchange", len(m.KeyExchange), MaxKeyExchange},
		{"data", len(m.Data), MaxData},
	} {
		if f.len > f.most {
			return nil, fmt.Errorf("%w: the %s has %d bytes, and can have %d", ErrLength, f.what, f.len, f.most)
		}
	}
	kex := uint16(len(m.KeyExchange))
	if m.Raw {
		kex |= flagFormat
	}
	if m.Encapsulated {
		kex |= flagRole
	}
	b = append(b, m.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Time)
	b = binary.BigEndian.AppendUint16(b, uint16(m.Cipher))
	b = binary.BigEndian.AppendUint16(b, uint16(m.KDF))
	b = binary.BigEndian.AppendUint16(b, uint16(m.Hash))
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Certificate)))
	b = binary.BigEndian.AppendUint16(b, kex)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Data)))
	b = append(b, m.Certificate...)
	b = append(b, m.KeyExchange...)
	b = append(b, m.Data...)
	return append(b, m.RequestHash...), nil
}

// AppendRequest appends the message as a request.
func (m *Message) AppendRequest(b []byte) ([]byte, error) { return m.append(b, 0) }

// AppendResponse appends the message as the response to a request that named
// the hash named.
func (m *Message) AppendResponse(b []byte, named Hash) ([]byte, error) {
	return m.append(b, named.OrDefault().Size())
}

func (m *Message) append(b []byte, hashLen int) ([]byte, error) {
	if len(m.RequestHash) != hashLen {
		return nil, fmt.Errorf("%w: the hash of the request has %d bytes here and not %d", ErrHash, len(m.RequestHash), hashLen)
	}
	if len(m.Certificate) == 0 && len(m.Signature) > 0 {
		return nil, fmt.Errorf("%w: a signature goes with a certificate", ErrTrailing)
	}
	b, err := m.AppendSigned(b)
	if err != nil {
		return nil, err
	}
	return append(b, m.Signature...), nil
}
