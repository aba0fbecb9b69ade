package seal

import (
	"fmt"
	"sync/atomic"

	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/oap"
)

// epochBit is the number of the bit of the count of packets that ends an epoch.
const epochBit = 20

// Config says how the packets of a flow are sealed.
type Config struct {
	Cipher wire.Cipher
	Key    *[KeySize]byte // copied; the caller wipes its own

	// EpochBit makes an epoch of 2^EpochBit packets, 1 to 31. It is part of the
	// protocol: both ends must have the same, and a peer that does not say
	// otherwise has 20. 0 = 20.
	EpochBit int

	Counters *Counters // may be shared by many flows; nil = own
}

// Counters of one flow or of many, in packets.
type Counters struct {
	Sealed   atomic.Uint64
	Opened   atomic.Uint64
	Earlier  atomic.Uint64 // of those opened, under the key of the epoch before
	Later    atomic.Uint64 // of those opened, under a key that this end had not come to
	Refused  atomic.Uint64 // received, and nothing that the peer has sealed
	Short    atomic.Uint64 // received, and too short for that
	Repeated atomic.Uint64 // received again, or back
	Epochs   atomic.Uint64 // changes of the key
}

// Sealer is one end of a flow. Its methods may be called from any goroutine.
type Sealer struct {
	machine
	overhead int
	aead     bool
	counters *Counters
}

// machine seals and opens for a kind of ciphers.
type machine interface {
	// seal seals all packets but empty ones, from the front; fewer when the machine
	// is closed meanwhile.
	seal(batch []*packet.Buffer) (sealed int)
	// open opens a packet that is long enough.
	open(b *packet.Buffer) verdict
	// opened takes in how many were opened under the present key.
	opened(n uint64)
	close()
}

// verdict is what becomes of a packet.
type verdict uint8

const (
	closed verdict = iota // nobody wants to know
	refused
	repeated
	earlier // opened, under the key before the present one
	current
	later // opened, under a key that has become the present one
)

// New makes one end of a flow. It fails for a cipher that does not exist, or that may
// not be used here: where only approved algorithms may be (GODEBUG=fips140=only).
func New(c Config) (*Sealer, error) {
	u, ok := suiteOf(c.Cipher)
	if !ok {
		return nil, fmt.Errorf("seal: no cipher has the number %d", uint16(c.Cipher))
	}
	if err := u.usable(c.Key); err != nil {
		return nil, fmt.Errorf("seal: %v: %w", c.Cipher, err)
	}
	if c.EpochBit == 0 {
		c.EpochBit = epochBit
	}
	if c.EpochBit < 1 || c.EpochBit > 31 {
		return nil, fmt.Errorf("seal: an epoch of 2^%d packets", c.EpochBit)
	}
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	s := &Sealer{counters: c.Counters, aead: u.aead != nil}
	if s.aead {
		s.overhead = aeadIV + tag
		s.machine = newAuthenticated(u, c)
	} else {
		s.overhead = ctrIV
		s.machine = newCounterMode(u, c)
	}
	return s, nil
}

// Overhead is by how many bytes a sealed packet is longer.
func (s *Sealer) Overhead() int { return s.overhead }

// Authenticates reports whether a packet that the peer did not seal is noticed.
func (s *Sealer) Authenticates() bool { return s.aead }

// Seal seals the packets of the batch, all but empty ones, and says how many are
// done, from the front. Fewer than all says that the Sealer is closed: the rest
// is as it was, and must not be sent.
func (s *Sealer) Seal(batch []*packet.Buffer) (sealed int) {
	sealed = s.seal(batch)
	var n uint64
	for _, b := range batch[:sealed] {
		if b.Len() > 0 {
			n++
		}
	}
	add(&s.counters.Sealed, n)
	return sealed
}

// Open opens what was received and gives how many packets are good: these are
// moved to the front of batch, in order. What cannot be opened is released, and
// so is what holds nothing.
func (s *Sealer) Open(batch []*packet.Buffer) (good int) {
	var short uint64
	var n [later + 1]uint64
	for _, b := range batch {
		if b.Len() < s.overhead {
			short++
			b.Release()
			continue
		}
		v := s.open(b)
		n[v]++
		if v <= repeated || b.Len() == 0 {
			b.Release()
			continue
		}
		batch[good] = b
		good++
	}
	s.opened(n[current] + n[later])
	c := s.counters
	add(&c.Opened, n[earlier]+n[current]+n[later])
	add(&c.Earlier, n[earlier])
	add(&c.Later, n[later])
	add(&c.Refused, n[refused])
	add(&c.Repeated, n[repeated])
	add(&c.Short, short)
	return good
}

func add(c *atomic.Uint64, n uint64) {
	if n > 0 {
		c.Add(n)
	}
}

// Close forgets the keys. Nothing is sealed or opened after it, but by calls that
// were running.
func (s *Sealer) Close() { s.close() }

// String keeps keys out of whatever prints a Sealer.
func (s *Sealer) String() string { return "seal.Sealer" }

// GoString implements fmt.GoStringer.
func (s *Sealer) GoString() string { return s.String() }
