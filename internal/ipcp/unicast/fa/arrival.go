package fa

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/fa"
)

// Bounds of what is kept of requests from peers.
const (
	arrivalsPending = 1024             // undecided, or with a reply that has not left
	arrivalsSource  = 256              // of those, from one address
	arrivalsKept    = 16384            // decided
	arrivalsTime    = 30 * time.Second // how long a decided one is kept
	farewellWait    = 500 * time.Millisecond
)

// leastTimeout is the shortest peer time-out in ms that a request may ask for:
// keep-alives take four times as many packets.
const leastTimeout = 10

// pause is how long a reply waits for the C implementation, which sends its
// request before it notes where: a reply that comes at once finds nothing.
const pause = 5 * time.Millisecond

// arrivalKey is what tells requests apart.
type arrivalKey struct {
	from wire.Addr
	eid  uint64
}

// arrival is a request of a peer: pending, or with the reply that was sent.
type arrival struct {
	key    arrivalKey
	cancel context.CancelFunc // ends the decision

	// By arrivals.mu.
	reply     *fa.Message // nil while the host decides
	flow      *Flow       // what the reply gives
	withdrawn bool        // the peer does not wait for the reply any more
	until     time.Time

	heard  atomic.Bool // data has come on the flow, so the reply has arrived
	closed atomic.Bool // the flow was deallocated here
}

// arrivals are the requests of peers.
type arrivals struct {
	mu      sync.Mutex
	of      map[arrivalKey]*arrival
	pending int               // not decided, or the reply has not left
	source  map[wire.Addr]int // pending, by address
	decided []*arrival        // oldest first
	timer   bool              // runs
	closed  bool              // no more of them
	idle    chan struct{}     // closed when none is pending; nil while nobody waits
}

func (as *arrivals) init() {
	as.of = make(map[arrivalKey]*arrival)
	as.source = make(map[wire.Addr]int)
}

// request takes a REQUEST or a PROBE.
func (a *Allocator) request(m *fa.Message) {
	if !m.SAddr.Valid() || m.SAddr == a.net.Own() || m.SEID < wire.FirstFlowEID {
		a.malformed("request of", m.SAddr, "endpoint", m.SEID)
		return
	}
	ar := &arrival{key: arrivalKey{m.SAddr, m.SEID}}
	as := &a.arrivals
	as.mu.Lock()
	if as.closed {
		as.mu.Unlock()
		return
	}
	if old := as.of[ar.key]; old != nil {
		reply := old.reply
		as.mu.Unlock()
		a.count.again.Add(1)
		if m.Code == fa.Probe { // a REQUEST was doubled on the way
			a.repeat(old, reply)
		}
		return
	}
	if as.pending >= arrivalsPending || as.source[m.SAddr] >= arrivalsSource {
		as.mu.Unlock()
		a.count.excess.Add(1)
		a.send(m.SAddr, 0, a.deny(ar, errno.NoBufs))
		return
	}
	var ctx context.Context
	ctx, ar.cancel = context.WithCancel(a.ctx)
	as.of[ar.key] = ar
	as.pending++
	as.source[m.SAddr]++
	as.mu.Unlock()

	a.count.arrived.Add(1)
	req := &ipcp.Request{
		Hash: append([]byte(nil), m.Hash...), QoS: m.QoS,
		Data: append([]byte(nil), m.Data...), MPL: MPL,
	}
	a.cfg.Go(func() {
		defer as.done(ar)
		defer ar.cancel()
		a.decide(ctx, ar, req)
	})
}

// done counts a request out whose reply has been sent.
func (as *arrivals) done(ar *arrival) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.source[ar.key.from]--; as.source[ar.key.from] == 0 {
		delete(as.source, ar.key.from)
	}
	if as.pending--; as.pending == 0 && as.idle != nil {
		close(as.idle)
		as.idle = nil
	}
}

// close takes no more requests and waits until those that are here have been
// refused: the host gives them up when the allocator ends.
func (as *arrivals) close() {
	as.mu.Lock()
	as.closed = true
	if as.pending == 0 || as.idle != nil {
		as.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	as.idle = idle
	as.mu.Unlock()
	late := time.NewTimer(farewellWait)
	defer late.Stop()
	select {
	case <-idle:
	case <-late.C:
	}
}

// decide asks the host and replies.
func (a *Allocator) decide(ctx context.Context, ar *arrival, req *ipcp.Request) {
	arrived := time.Now()
	offer, err := a.offer(ctx, req)
	if err != nil {
		if a.ctx.Err() != nil {
			err = errno.IPCPState
		}
		a.count.denied.Add(1)
		_ = a.settle(ctx, ar, a.deny(ar, err), nil, arrived)
		return
	}
	data := offer.Data()
	var f *Flow
	if len(data) > fa.MaxData(fa.Reply, a.cfg.HashLen) {
		err = errno.New(errno.MsgSize, "the reply has %d bytes of data, and %d fit into a message of this layer",
			len(data), fa.MaxData(fa.Reply, a.cfg.HashLen)).Next("use a shorter certificate")
	} else {
		f, err = a.serve(ar, req.QoS)
	}
	if err != nil {
		a.count.denied.Add(1)
		offer.Fail(err)
		_ = a.settle(ctx, ar, a.deny(ar, err), nil, arrived)
		return
	}
	reply := &fa.Message{Code: fa.Reply, REID: ar.key.eid, SEID: f.eid, Data: data}
	if err := a.settle(ctx, ar, reply, f, arrived); err != nil {
		a.count.unsendable.Add(1)
		f.Dealloc()
		offer.Fail(err)
		return
	}
	a.count.taken.Add(1)
	offer.Complete(f)
}

// offer asks the host for what is worth asking.
func (a *Allocator) offer(ctx context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	if t := req.QoS.Timeout; t != 0 && t < leastTimeout {
		return nil, errno.New(errno.Invalid, "a peer time-out of %d ms is too short", t)
	}
	return a.cfg.Host.Arrive(ctx, req)
}

// deny makes a negative reply. As in those of the C implementation there is an
// endpoint in it, though nobody has it.
func (a *Allocator) deny(ar *arrival, err error) *fa.Message {
	n := errno.Number(err)
	if n <= 0 || n > math.MaxInt32 {
		n = errno.Perm.Errno()
	}
	return &fa.Message{Code: fa.Reply, REID: ar.key.eid, SEID: a.table.spare(), Response: -int32(n)}
}

// settle keeps the reply, then sends it. A reply that cannot be sent becomes a
// refusal.
func (a *Allocator) settle(ctx context.Context, ar *arrival, reply *fa.Message, f *Flow, arrived time.Time) error {
	if !a.keep(ar, reply, f) {
		return errno.New(errno.FlowDown, "the peer has withdrawn its request")
	}
	to := ar.key.from
	if foreign(ar.key.eid) {
		if d := pause - time.Since(arrived); d > 0 {
			timer := time.NewTimer(d)
			select {
			case <-timer.C:
			case <-a.ctx.Done():
			}
			timer.Stop()
		}
	}
	if reply.Response < 0 {
		a.send(to, 0, reply) // lost or not: nothing depends on it here
		return nil
	}
	err := a.peers.route(ctx, to)
	if err == nil {
		err = a.insist(ctx, to, reply)
	}
	if err != nil {
		refused := a.deny(ar, err)
		a.arrivals.mu.Lock()
		ar.reply, ar.flow = refused, nil
		a.arrivals.mu.Unlock()
		a.send(to, 0, refused)
	}
	return err
}

// repeat answers a PROBE: with the reply, if there is one yet and it has not
// arrived. A flow that was deallocated meanwhile is not given any more.
func (a *Allocator) repeat(ar *arrival, reply *fa.Message) {
	switch {
	case reply == nil:
		reply = &fa.Message{Code: fa.Pending, SAddr: a.net.Own(), REID: ar.key.eid}
	case ar.heard.Load():
		return
	case reply.Response == 0 && ar.closed.Load():
		reply = a.deny(ar, errno.FlowDown)
	}
	a.send(ar.key.from, 0, reply) // when it cannot be sent, the peer asks again
}

// withdrawn takes the word that a peer does not wait for a reply any more.
func (a *Allocator) withdrawn(key arrivalKey) {
	as := &a.arrivals
	as.mu.Lock()
	ar := as.of[key]
	if ar == nil {
		as.mu.Unlock()
		return
	}
	ar.withdrawn = true
	f, undecided := ar.flow, ar.reply == nil
	as.mu.Unlock()
	a.count.withdrawn.Add(1)
	if undecided {
		ar.cancel()
	} else if f != nil {
		f.leave()
	}
}

// keep notes the reply of a pending request, and reports whether the peer still
// wants it.
func (a *Allocator) keep(ar *arrival, reply *fa.Message, f *Flow) (wanted bool) {
	as := &a.arrivals
	as.mu.Lock()
	defer as.mu.Unlock()
	now := time.Now()
	ar.reply, ar.flow, ar.until = reply, f, now.Add(arrivalsTime)
	if reply.Response == -int32(errno.NameError.Errno()) || reply.Response == -int32(errno.AuthFailed.Errno()) {
		// To be refused for what it is, nothing was used up: when it comes
		// again it is refused again, and whoever floods us fills no table.
		delete(as.of, ar.key)
		return !ar.withdrawn
	}
	as.decided = append(as.decided, ar)
	as.expire(now)
	if !as.timer {
		as.timer = true
		a.cfg.AfterFunc(arrivalsTime, a.sweep)
	}
	return !ar.withdrawn
}

// expire forgets what is old, and the oldest when there are too many.
func (as *arrivals) expire(now time.Time) {
	n := 0
	for n < len(as.decided) && (!now.Before(as.decided[n].until) || len(as.decided)-n > arrivalsKept) {
		delete(as.of, as.decided[n].key)
		as.decided[n] = nil
		n++
	}
	if as.decided = as.decided[n:]; len(as.decided) == 0 {
		as.decided = nil
	}
}

// sweep runs as long as there is something to forget.
func (a *Allocator) sweep() {
	as := &a.arrivals
	as.mu.Lock()
	defer as.mu.Unlock()
	now := time.Now()
	as.expire(now)
	if as.timer = len(as.decided) > 0 && !as.closed; as.timer {
		a.cfg.AfterFunc(as.decided[0].until.Sub(now), a.sweep)
	}
}

// size is the number of requests that are pending and decided.
func (as *arrivals) size() (pending, decided int) {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.pending, len(as.decided)
}
