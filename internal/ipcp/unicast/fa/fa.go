// Package fa is the flow allocator of one member of a unicast layer: it makes
// flows with the allocators of other members, and is the flows' way between
// their users and data transfer.
//
//	    AllocFlow                         Host.Arrive        user of a flow
//	        ▼                                  ▲              │ Send   ▲
//	┌───────────────────────── Allocator ──────┴──────────────▼────────┴──┐
//	│ attempts ── table of endpoints ── arrivals    Flow: pacing, marks   │
//	└───┬───────────────────▲─────────────────────────┬────────▲──────────┘
//	    ▼ Send, endpoint 0  │ Register                ▼ Send   │ RegisterFlows
//	┌───────────────────────────── data transfer ─────────────────────────┐
//
// # Allocation over a layer that loses messages
//
// A message is one packet, and nobody below repeats it. The C implementation
// takes a repeated request for a second one, which uses up an accept and is
// refused. So what is repeated is a PROBE: it says the same as the request, and
// only an allocator of our kind knows it.
//
//	requester                             responder
//	   │── REQUEST ──────────────► ✗          │
//	   │── PROBE (250 ms later) ─────────────►│ not known: as a REQUEST. Host.Arrive
//	   │── PROBE (500 ms later) ─────────────►│ known
//	   │◄──────────────────────────── PENDING │ not decided
//	   │                                      │ decided; the reply is kept
//	   │          ✗ ◄────────────── REPLY 0 ──│ flow
//	   │── PROBE ────────────────────────────►│ known
//	   │◄── REPLY 0, the same ────────────────│
//
// The responder knows a request by the address and the endpoint of who asks, for
// half a minute. A requester that has heard nothing for three seconds gives up
// with errno.Again, and is asked again with new data: a peer of another make may
// have lost the first, or its answer.
//
// # End
//
// When a user deallocates, its peer hears so in a DEALLOC, twice since either
// can be lost, and once more when the peer still sends. It must name both
// endpoints, which no third party knows. A requester that gives up says the same
// of its request, and again to a reply that is late. The C implementation has no
// such message: there a flow ends with the peer's time-out.
package fa

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/unicast/dt"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/fa"
	"ouroboros/irm"
)

// MPL is the longest life of a packet in the layer.
const MPL = 100 * time.Millisecond

// Network is data transfer as an allocator sees it; *dt.Engine is one.
type Network interface {
	Own() wire.Addr
	Send(dst wire.Addr, cube uint8, eid uint64, batch []*packet.Buffer) (taken int)
	Stall(dst wire.Addr, w dt.Waiter)
	Unstall(w dt.Waiter)
	MTU(dst wire.Addr) int
	QueueLen(dst wire.Addr) int
	HasRoute(dst wire.Addr) bool
	OnChange(f func())
	Register(eid uint64, receive func(batch []*packet.Buffer))
	RegisterFlows(receive func(eid uint64, batch []*packet.Buffer))
}

var _ Network = (*dt.Engine)(nil)

// Directory knows where names are. Query gives the addresses of members, best
// first; errno.NameError when there are none.
type Directory interface {
	Query(ctx context.Context, hash []byte) ([]wire.Addr, error)
}

// Doubter is a Directory that wants to hear that a member it named did not
// answer, or does not have the name.
type Doubter interface {
	Failed(hash []byte, a wire.Addr)
}

// Config says what an Allocator is made of.
type Config struct {
	Net       Network
	Directory Directory
	Host      ipcp.Host
	HashLen   int            // of the layer's hashes, in bytes
	CA        irm.Congestion // of the layer
	Log       *slog.Logger   // nil = none

	// Go and AfterFunc start every goroutine and timer, as those of ipcp.Env.
	Go        func(func())
	AfterFunc func(time.Duration, func()) *time.Timer

	Rand io.Reader // draws endpoints; nil = crypto/rand
}

// Allocator is the flow allocator of a member. Its methods may be called from
// any goroutine.
type Allocator struct {
	cfg    Config
	net    Network
	log    *slog.Logger
	born   time.Time
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	table    table
	peers    peers
	arrivals arrivals
	count    counters

	singles sync.Pool // of *[1]*packet.Buffer
	odd     sync.Once // a peer's nonsense is logged once
}

// New makes an Allocator. What comes for it on the network is received from
// then on.
func New(c Config) *Allocator {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	a := &Allocator{cfg: c, net: c.Net, log: c.Log, born: time.Now()}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.singles.New = func() any { return new([1]*packet.Buffer) }
	a.table.init(c.Rand)
	a.peers.init(a)
	a.arrivals.init()
	c.Net.OnChange(a.peers.look)
	c.Net.Register(wire.EIDFlowAllocator, a.messages)
	c.Net.RegisterFlows(a.packets)
	return a
}

// now is the time in ns on the allocator's own clock.
func (a *Allocator) now() int64 { return int64(time.Since(a.born)) }

// messages takes what comes for endpoint 0.
func (a *Allocator) messages(batch []*packet.Buffer) {
	for _, b := range batch {
		if b.TrimHead(wire.HeaderLen) {
			a.message(b.Bytes())
		}
		b.Release()
	}
}

// message takes one message. Nothing of it is kept.
func (a *Allocator) message(b []byte) {
	m, err := fa.Parse(b, a.cfg.HashLen)
	if err != nil {
		a.malformed("err", err, "bytes", len(b))
		return
	}
	switch m.Code {
	case fa.Request, fa.Probe:
		a.request(&m)
	case fa.Reply:
		a.reply(&m)
	case fa.Update:
		a.update(&m)
	case fa.Pending:
		a.pending(&m)
	case fa.Dealloc:
		a.dealloc(&m)
	}
}

// malformed counts a message that makes no sense.
func (a *Allocator) malformed(args ...any) {
	a.count.malformed.Add(1)
	a.odd.Do(func() {
		a.log.Warn("a message to the flow allocator makes no sense; others are only counted", args...)
	})
}

// update takes the congestion level of a flow's packets.
func (a *Allocator) update(m *fa.Message) {
	f := a.table.get(m.REID)
	if f == nil || f.remote.Load() == 0 {
		a.count.strayUpdates.Add(1)
		return
	}
	f.report(m.ECE)
}

// dealloc takes the word that an end of a flow is gone.
func (a *Allocator) dealloc(m *fa.Message) {
	if m.REID == 0 {
		a.withdrawn(arrivalKey{m.SAddr, m.SEID})
		return
	}
	f := a.table.get(m.REID)
	if f == nil {
		return // mostly the second of two
	}
	if remote := f.remote.Load(); remote == 0 || remote != m.SEID {
		a.count.forged.Add(1)
		return
	}
	f.leave()
}

// send sends a message and reports whether the network took it; without a
// route it does.
func (a *Allocator) send(to wire.Addr, cube uint8, m *fa.Message) bool {
	b := packet.Get(m.Size())
	m.Put(b.Bytes())
	one := a.singles.Get().(*[1]*packet.Buffer)
	one[0] = b
	taken := a.net.Send(to, cube, wire.EIDFlowAllocator, one[:]) == 1
	one[0] = nil
	a.singles.Put(one)
	if !taken {
		b.Release()
	}
	return taken
}

// When there is no room for a message: how long until the next try, and how
// many there are.
const (
	resend  = 10 * time.Millisecond
	resends = 100
)

// insist sends a message, waiting a little when there is no room.
func (a *Allocator) insist(ctx context.Context, to wire.Addr, m *fa.Message) error {
	var timer *time.Timer
	for range resends {
		if a.send(to, 0, m) {
			return nil
		}
		if timer == nil {
			timer = time.NewTimer(resend)
			defer timer.Stop()
		} else {
			timer.Reset(resend)
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return errno.New(errno.IPCP, "the way to %v was full for %v", to, resends*resend)
}

// errClosed is what is answered after Close.
func errClosed() error { return errno.New(errno.IPCP, "the IPCP is being destroyed") }

// Close ends all flows towards their users and their peers, and all attempts,
// and refuses the requests of peers that are not decided. The network can still
// send, and need not any more after it.
func (a *Allocator) Close() {
	flows := a.table.close()
	a.cancel()
	for _, f := range flows {
		f.abandon(errClosed())
		if !f.gone.Swap(true) {
			f.farewell()
		}
		f.stop()
		f.in.End(flow.EventDealloc)
	}
	a.peers.stop()
	a.arrivals.close()
}
