// Package protect guards a flow that an IPCP carries over a network: what was
// agreed to be secret is encrypted, a checksum finds damage, keep-alives show the peer that this side lives, and a
// peer that is silent for too long is given up. It is what stands nearest to
// the IPCP, so that acknowledgements and retransmissions of the protocol above
// are guarded like the rest.
//
//	port ─ [FRCP] ─ Flow ─ flow of an IPCP
//
// # Packets
//
//	BER other than 0   data                     as it is
//	BER 0              data | CRC-32 (4)        big endian, over all of data
//	keep-alive         nothing                  whatever the QoS
//
// With a Sealer, data is what package seal makes of what was handed down: the
// CRC is added after that and looked at before, and each packet is sealed when it
// is sent, so a retransmission is sealed afresh.
//
// The CRC is that of IEEE 802.3, over what is handed down: header and tag of
// the protocols above included. It is written into the tail room and cut off
// in place. A packet that fails is dropped and counted. One exception is for
// peers that send the acknowledgements of FRCP bare: on an ordered flow a
// packet of 12 bytes that is an FRCP header without data passes, and so does one
// that is sealed with an AEAD and holds as many, when it opens.
//
// An empty packet is a keep-alive. Who sends one through the Flow sends just
// that; on receipt it is consumed, so that the user above never sees one.
//
// # Time
//
//	nothing sent for timeout/4     a keep-alive is sent
//	nothing heard for timeout      EventPeer, once; no more keep-alives
//
// Every packet that arrives is heard of the peer, a damaged one too, at the
// moment it arrives and whether or not anybody reads it. What counts as sent
// are keep-alives and packets with data; control packets of FRCP do not. After
// the peer time-out packets go on in both directions, as far as there are any.
//
// A flow has one timer, which is set for the next of the two moments and
// looks then whether they have moved: the data path only notes the time, once
// a batch.
package protect

import (
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/seal"
	"ouroboros/qos"
)

// backlog bounds what is kept of a user that takes fewer: some milliseconds at
// full speed, as long as a program may wait for its processor. An IPCP on a
// network has no place for it.
var backlog = flow.Limit{Packets: 4096, Bytes: 4 << 20}

// shortBuffer is about what a short packet takes of memory.
const shortBuffer = 2048

// Config says how a flow is guarded.
type Config struct {
	QoS qos.Spec // as agreed: BER, InOrder and Timeout count here

	// Backlog is how many bytes are kept of a user that takes fewer; 0 = 4 MiB.
	// In short packets it is less, since their buffers are longer than they are.
	Backlog int

	Done func() // called once, when the user's Dealloc has taken effect; may be nil

	// Sealer encrypts the packets, and is closed with the flow; nil = they travel
	// in the clear.
	Sealer *seal.Sealer

	Counters *Counters // may be shared by many flows; nil = own
}

// Counters of one flow or of many: the packets that did not pass, and the
// keep-alives.
type Counters struct {
	Damaged  atomic.Uint64 // received with a wrong checksum, or too short to have one
	Bare     atomic.Uint64 // received without a checksum and passed: control packets of FRCP
	Alive    atomic.Uint64 // keep-alives received
	AliveOut atomic.Uint64 // keep-alives sent by the timer
	Silent   atomic.Uint64 // peers that were given up
	Overrun  atomic.Uint64 // received on a sealed flow, for a user that has no room
}

// Flow guards the flow below it. New makes one.
type Flow struct {
	below   flow.Flow
	in      flow.Inbox
	done    func()
	crc     bool
	ordered bool
	born    time.Time
	timeout time.Duration // 0 = none

	sealer *seal.Sealer // nil = in the clear
	out    outbox       // with a Sealer
	opened []*packet.Buffer

	sent, heard atomic.Int64 // ns since born

	counters *Counters

	mu      sync.Mutex
	timer   *time.Timer // nil before Attach and without a time-out
	armed   bool        // the timer will fire
	firing  bool        // it has: tick is running
	dead    bool        // the peer timed out
	ended   bool        // EventDealloc came from below
	owed    bool        // and is passed on when tick is done
	closed  bool        // by Dealloc
	leaving bool        // done is to be called when no tick is running
}

// New guards a flow and takes it over. It is not for a flow that loses
// nothing, see flow.IsLossless.
func New(below flow.Flow, c Config) *Flow {
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	f := &Flow{
		below:    below,
		done:     c.Done,
		crc:      c.QoS.BER == 0,
		ordered:  c.QoS.InOrder,
		born:     time.Now(),
		timeout:  time.Duration(c.QoS.Timeout) * time.Millisecond,
		counters: c.Counters,
		sealer:   c.Sealer,
	}
	f.out.below, f.out.tell = below, func() { f.in.Event(flow.EventWritable) }
	limit := backlog
	if c.Backlog > 0 {
		limit.Bytes = min(c.Backlog, limit.Bytes)
		limit.Packets = min(max(c.Backlog/shortBuffer, 1), limit.Packets)
	}
	f.in.Init(limit, below.Resume, nil)
	return f
}

// now is the time on the flow's own clock.
func (f *Flow) now() int64 { return int64(time.Since(f.born)) }

// Send implements flow.Flow.
func (f *Flow) Send(batch []*packet.Buffer) (taken int) {
	if f.timeout > 0 && f.carries(batch) {
		f.sent.Store(f.now())
	}
	if f.sealer != nil {
		return f.sendSealed(batch)
	}
	if !f.crc {
		return f.below.Send(batch)
	}
	addSums(batch)
	taken = f.below.Send(batch)
	if taken < len(batch) {
		for _, b := range batch[taken:] {
			cutSum(b)
		}
	}
	return taken
}

// carries reports whether the batch has more than control packets.
func (f *Flow) carries(batch []*packet.Buffer) bool {
	if !f.ordered {
		return len(batch) > 0
	}
	for _, b := range batch {
		if !isControl(b.Bytes()) {
			return true
		}
	}
	return false
}

// Receive implements flow.Handler for the flow below.
func (f *Flow) Receive(batch []*packet.Buffer) (taken int) {
	if f.timeout > 0 {
		f.heard.Store(f.now())
	}
	if f.sealer != nil {
		f.receiveSealed(batch)
		return len(batch)
	}
	from := 0 // of the run of good packets that is not passed on yet
	for i, b := range batch {
		if f.good(b) {
			continue
		}
		if n := f.pass(batch[from:i]); n < i-from {
			return from + n
		}
		f.count(b)
		b.Release()
		from = i + 1
	}
	return from + f.pass(batch[from:])
}

// good reports whether the packet is one for the user, and cuts the checksum
// off.
func (f *Flow) good(b *packet.Buffer) bool {
	switch {
	case b.Len() == 0:
		return false
	case !f.crc, cutSumIfGood(b):
		return true
	case f.ordered && isControl(b.Bytes()):
		f.counters.Bare.Add(1)
		return true
	}
	return false
}

// count notes a packet that is not for the user.
func (f *Flow) count(b *packet.Buffer) {
	if b.Len() == 0 {
		f.counters.Alive.Add(1)
	} else {
		f.counters.Damaged.Add(1)
	}
}

// pass gives packets to the user. What is not taken belongs to the flow below
// again, with its checksum.
func (f *Flow) pass(run []*packet.Buffer) (taken int) {
	if len(run) == 0 {
		return 0
	}
	taken = f.in.Put(run)
	if f.crc {
		addSums(run[taken:])
	}
	return taken
}

// Resume implements flow.Flow.
func (f *Flow) Resume() { f.in.Resume() }

// MTU implements flow.Flow: the checksum takes 4 bytes of that below, and sealing
// what it adds.
func (f *Flow) MTU() int {
	n := f.below.MTU()
	if f.crc {
		n -= crcSize
	}
	if f.sealer != nil {
		n -= f.sealer.Overhead()
	}
	return max(n, 0)
}

// QoS implements flow.Flow.
func (f *Flow) QoS() qos.Spec { return f.below.QoS() }

// QueueLen implements flow.Flow.
func (f *Flow) QueueLen() int { return f.below.QueueLen() + f.out.len() }
