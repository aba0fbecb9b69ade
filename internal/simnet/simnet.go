// Package simnet is a network in memory for many nodes of one program: links
// with a bandwidth, a delay and faults, in real time and under testing/synctest.
//
//	net := simnet.New(simnet.Options{Seed: 1})
//	cable := net.Link("a-b", simnet.Link{Bandwidth: 100e6, Delay: time.Millisecond})
//	kinds := map[irm.IPCPType]ipcp.Constructor{irm.EthDIX: net.Kind()}
//	a, err := stack.New(stack.Config{Kinds: kinds})
//	b, err := stack.New(stack.Config{Kinds: kinds})
//	// in each: an IPCP of type irm.EthDIX, bootstrapped with cfg.Eth.Device = "a-b"
//	cable.Cut()
//
// An IPCP of a Net stands in the place of an eth-dix one and is an honest
// member of that family: endpoints, allocation and directory are those of
// package shim, frames and messages those of package ethmgmt, and all of them
// travel over the link with what it does to them.
//
//	shim.Shim                                            shim.Shim
//	    │ Transmit, Manage                 Deliver, Message  ▲
//	 station ── queue, paced ──► way ── delay, faults ──► station
//	         ◄─────────────────── way ◄──────────────────
//
// A link has as many stations as IPCPs name it: with more than two it is a
// switched segment, where each station has a queue of its own and what is sent
// to everybody goes to all others.
//
// There is no goroutine that waits: a way has one timer while packets are on
// it, and delivers what is due in batches. An idle link is memory only, so a
// thousand nodes fit into a test.
//
// Chances are drawn from a generator for each way, seeded by the Net's seed and
// the name of the link. In virtual time a way therefore does the same to the
// same packets in every run; what several goroutines send in the same instant
// still comes in the order in which they run.
package simnet

import (
	"sync"
	"time"

	"ouroboros/internal/ipcp"
	wire "ouroboros/internal/wire/ethmgmt"
)

// Options say what a Net is like.
type Options struct {
	Seed uint64 // of all chances
}

// Link says what a link does. The zero value carries everything at once, as
// fast as it comes. Chances are from 0 to 1, of each frame on its own.
type Link struct {
	// Bandwidth in bit/s of each station's direction, 0 = no limit. A frame
	// counts with its header of 18 bytes.
	Bandwidth uint64
	Delay     time.Duration // one way
	Jitter    time.Duration // up to this more, evenly; keeps the order

	Loss      float64 // chance to be lost
	Duplicate float64 // chance to arrive twice
	Reorder   float64 // chance to be held back for HoldBack, so that later ones pass

	// Queue is how many packets of a station can wait for the Bandwidth, the
	// one that is being sent included; 0 = DefaultQueue. When it is full a
	// sender waits.
	Queue int
	// DropTail drops what comes to a full queue instead.
	DropTail bool

	// MTU is that of the device in bytes, 0 = DefaultMTU; 4 of them are taken
	// by the header of the layer.
	MTU int
}

// What a Link has when it says nothing else.
const (
	DefaultQueue = 1000
	DefaultMTU   = 1500
)

// HoldBack is for how long a frame is overtaken.
const HoldBack = 5 * time.Millisecond

// flying is how many packets of a station are on a link without a Bandwidth at
// most: in virtual time a sender that never waits would stop the clock.
const flying = 8192

func (c Link) queue() int {
	if c.Queue > 0 {
		return c.Queue
	}
	return DefaultQueue
}

// payload is the longest payload of a flow.
func (c Link) payload() int {
	mtu := c.MTU
	if mtu <= 0 {
		mtu = DefaultMTU
	}
	return wire.DIX.MaxPayload(mtu)
}

// Net is the links of some nodes. Its methods may be called from any
// goroutine. Under synctest it is made inside the bubble.
type Net struct {
	seed  uint64
	epoch time.Time

	mu       sync.Mutex
	segments map[string]*Segment
	stations uint32 // ever made
}

// New makes a Net without links.
func New(o Options) *Net {
	return &Net{seed: o.Seed, epoch: time.Now(), segments: make(map[string]*Segment)}
}

// Link makes the link that a device name stands for, at most 15 bytes, or gives
// the one that there is the new properties.
func (n *Net) Link(device string, c Link) *Segment {
	n.mu.Lock()
	s := n.segments[device]
	if s == nil {
		s = &Segment{net: n, name: device, cfg: c}
		n.segments[device] = s
		n.mu.Unlock()
		return s
	}
	n.mu.Unlock()
	s.Set(c)
	return s
}

// Segment gives the link of a device name; nil when there is none.
func (n *Net) Segment(device string) *Segment {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.segments[device]
}

// Kind is the constructor of the IPCPs on the links of this Net, for
// irm.EthDIX.
func (n *Net) Kind() ipcp.Constructor {
	return func(env ipcp.Env) (ipcp.IPCP, error) { return &IPCP{net: n, env: env}, nil }
}

// now is the time since the Net was made, in nanoseconds.
func (n *Net) now() int64 { return int64(time.Since(n.epoch)) }

// address gives a station its own.
func (n *Net) address() wire.MAC {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stations++
	k := n.stations
	return wire.MAC{0x02, 0, byte(k >> 24), byte(k >> 16), byte(k >> 8), byte(k)}
}
