package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"ouroboros/internal/packet"
)

// blocks are made at a time.
const blocks = 16

// step is how many counter blocks the IVs of two packets are apart, in bits: twice
// what the longest packet takes.
const step = 17

// counterMode seals with AES-CTR. Opening cannot fail, so the key to use must be
// known, and is known only to who counts exactly as the peer does: that of the C
// implementation, one state for both directions.
//
//	send      phase = bit 20 of n; n and age + 1; if bit 20 changed: rotate
//	receive   if the phase is not ours and age >= 3/4 of an epoch: rotate;
//	          n and age + 1
//	rotate    next key, age = 0, our phase flips
//
// The C implementation keeps the key before for a while. It is of no use here,
// as decryption with the present one never fails.
type counterMode struct {
	suite    suite
	bit      uint32
	counters *Counters

	mu     sync.Mutex // guards these
	n, age uint32
	phase  bool
	block  cipher.Block // of the present key; nil = closed
	chain  *chain
	hi, lo uint64 // the next IV but for its first bit

	sealing, unsealing stream
}

// stream makes key stream for one direction, a packet at a time.
type stream struct {
	mu  sync.Mutex
	iv  [aes.BlockSize]byte
	pad [blocks * aes.BlockSize]byte
}

func newCounterMode(u suite, c Config) *counterMode {
	m := &counterMode{suite: u, bit: 1 << c.EpochBit, counters: c.Counters, chain: newChain(c.Key)}
	m.begin()
	return m
}

// begin takes the next key and draws the start of its IVs.
func (m *counterMode) begin() {
	m.chain.take(func(k *[KeySize]byte) { m.block = m.suite.newBlock(k) })
	var start [aes.BlockSize]byte
	rand.Read(start[:])
	m.hi, m.lo = binary.BigEndian.Uint64(start[:]), binary.BigEndian.Uint64(start[8:])
}

func (m *counterMode) rotate() {
	m.begin()
	m.age, m.phase = 0, !m.phase
	m.counters.Epochs.Add(1)
}

// toSeal gives the key of the next packet and writes its IV.
func (m *counterMode) toSeal(iv []byte) cipher.Block {
	m.mu.Lock()
	defer m.mu.Unlock()
	block := m.block
	if block == nil {
		return nil
	}
	binary.BigEndian.PutUint64(iv, m.hi)
	binary.BigEndian.PutUint64(iv[8:], m.lo)
	if m.lo += 1 << step; m.lo < 1<<step {
		m.hi++
	}
	iv[0] &= 0x7f
	was := m.n & m.bit
	if was != 0 {
		iv[0] |= 0x80
	}
	m.n++
	m.age++
	if m.n&m.bit != was {
		m.rotate()
	}
	return block
}

// toOpen gives the key of a packet that was received.
func (m *counterMode) toOpen(phase bool) cipher.Block {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.block == nil {
		return nil
	}
	if phase != m.phase && m.age >= m.bit-m.bit>>2 {
		m.rotate()
	}
	m.n++
	m.age++
	return m.block
}

// seal implements machine.
func (m *counterMode) seal(batch []*packet.Buffer) (sealed int) {
	s := &m.sealing
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range batch {
		if b.Len() == 0 {
			continue
		}
		block := m.toSeal(s.iv[:])
		if block == nil {
			return i
		}
		copy(b.Prepend(ctrIV), s.iv[:])
		s.xor(block, b.Bytes()[ctrIV:])
	}
	return len(batch)
}

// open implements machine.
func (m *counterMode) open(b *packet.Buffer) verdict {
	s := &m.unsealing
	s.mu.Lock()
	defer s.mu.Unlock()
	p := b.Bytes()
	block := m.toOpen(p[0]&0x80 != 0)
	if block == nil {
		return closed
	}
	copy(s.iv[:], p)
	s.xor(block, p[ctrIV:])
	b.TrimHead(ctrIV)
	return current
}

// xor puts the key stream that begins at the IV over p. The standard library's
// own CTR would allocate a stream for each packet.
func (s *stream) xor(block cipher.Block, p []byte) {
	hi, lo := binary.BigEndian.Uint64(s.iv[:]), binary.BigEndian.Uint64(s.iv[8:])
	for len(p) > 0 {
		n := min(len(p), len(s.pad))
		for at := 0; at < n; at += aes.BlockSize {
			binary.BigEndian.PutUint64(s.iv[:], hi)
			binary.BigEndian.PutUint64(s.iv[8:], lo)
			block.Encrypt(s.pad[at:at+aes.BlockSize], s.iv[:])
			if lo++; lo == 0 {
				hi++
			}
		}
		subtle.XORBytes(p, p[:n], s.pad[:n])
		p = p[n:]
	}
	clear(s.pad[:])
}

// opened implements machine: all has been counted, packet by packet.
func (m *counterMode) opened(uint64) {}

// close implements machine.
func (m *counterMode) close() {
	m.mu.Lock()
	m.block = nil
	m.chain.wipe()
	m.mu.Unlock()
}
