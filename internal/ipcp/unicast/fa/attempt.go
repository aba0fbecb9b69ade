package fa

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/fa"
)

// When a reply is late: the first wait, which doubles; the longest one; and how
// long a peer may be silent.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = time.Second
	giveUp      = 3 * time.Second
)

// attempt is an allocation that waits for the peer's reply.
type attempt struct {
	answer chan answer   // one place, filled once
	alive  chan struct{} // one token: the peer is deciding
}

// answer is how an attempt ended.
type answer struct {
	response int32
	data     []byte
	err      error // instead of a reply
}

// AllocFlow allocates a flow to a name: it asks the members that have it, one
// after the other, until one gives it or refuses for what the request is. The
// errors are those of ipcp.IPCP, errno.Again when a member was silent that a
// second request, with other data, might reach.
func (a *Allocator) AllocFlow(ctx context.Context, req *ipcp.Request) (*ipcp.Reply, error) {
	if len(req.Hash) != a.cfg.HashLen {
		return nil, errno.New(errno.Invalid, "a name of this layer is a hash of %d bytes, not %d", a.cfg.HashLen, len(req.Hash))
	}
	if most := fa.MaxData(fa.Request, a.cfg.HashLen); len(req.Data) > most {
		return nil, errno.New(errno.MsgSize, "the request has %d bytes of data, and %d fit into a message of this layer", len(req.Data), most).
			Next("use a shorter certificate, or key exchange (irm cert encrypt NAME client kex X25519 replace)")
	}
	found, err := a.cfg.Directory.Query(ctx, req.Hash)
	if err != nil {
		return nil, err
	}
	var again, last error
	asked := make(map[wire.Addr]bool, len(found))
	for _, to := range found {
		if !to.Valid() || to == a.net.Own() || asked[to] {
			continue
		}
		asked[to] = true
		r, err := a.alloc(ctx, to, req)
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil || a.ctx.Err() != nil || !elsewhere(err) {
			return nil, err
		}
		if d, ok := a.cfg.Directory.(Doubter); ok {
			d.Failed(req.Hash, to)
		}
		if errors.Is(err, errno.Again) {
			again = err
		} else {
			last = err
		}
	}
	switch {
	case again != nil:
		return nil, again
	case last != nil:
		return nil, last
	}
	return nil, errno.New(errno.NameError, "no other member of the layer has the name")
}

// elsewhere reports whether another member may do what one did not.
func elsewhere(err error) bool {
	return errors.Is(err, errno.Again) || errors.Is(err, errno.NameError) || errors.Is(err, errno.IPCP) ||
		errors.Is(err, errno.IPCPState)
}

// alloc asks one member. Whatever else it answers than a flow, it leaves
// nothing behind.
func (a *Allocator) alloc(ctx context.Context, to wire.Addr, req *ipcp.Request) (*ipcp.Reply, error) {
	if err := a.peers.route(ctx, to); err != nil {
		return nil, err
	}
	at := &attempt{answer: make(chan answer, 1), alive: make(chan struct{}, 1)}
	f, err := a.call(to, req.QoS, at)
	if err != nil {
		return nil, err
	}
	a.count.requests.Add(1)
	r, err := a.ask(ctx, f, at, req)
	switch {
	case err != nil:
		a.count.unanswered.Add(1)
	case r.response == 0:
		a.count.accepted.Add(1)
		return &ipcp.Reply{Flow: f, Data: r.data, MPL: MPL}, nil
	default:
		a.count.refused.Add(1)
		err = refusal(r.response)
	}
	f.Dealloc()
	return nil, err
}

// refusal is the error of a response that is not 0. A positive one is no error
// to the C implementation, which then fails on the data that is not there.
func refusal(response int32) error {
	if response > 0 {
		return errno.New(errno.Crypt, "the peer's reply has the response %d, which means nothing", response)
	}
	return fmt.Errorf("the peer refused: %w", errno.Of(int(response)))
}

// ask sends the request and waits, repeating what may have been lost.
func (a *Allocator) ask(ctx context.Context, f *Flow, at *attempt, req *ipcp.Request) (answer, error) {
	m := &fa.Message{
		Code: fa.Request, SAddr: a.net.Own(), SEID: f.eid, QoS: req.QoS, Hash: req.Hash, Data: req.Data,
	}
	to := f.peer.addr
	sent := a.send(to, 0, m)
	heard, wait := time.Now(), firstWait
	if !sent {
		wait = resend
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case r := <-at.answer:
			return r, r.err
		case <-ctx.Done():
			f.abandon(nil)
			select { // the reply was quicker
			case r := <-at.answer:
				return r, r.err
			default:
			}
			a.withdraw(f)
			return answer{}, noReply(ctx, to)
		case <-at.alive:
			heard = time.Now()
			continue
		case <-timer.C:
		}
		switch {
		case time.Since(heard) >= giveUp:
			f.abandon(nil)
			select {
			case r := <-at.answer:
				return r, r.err
			default:
			}
			a.withdraw(f)
			return answer{}, errno.New(errno.Again, "the member %v does not answer", to).Next(noAnswerHint)
		case !sent: // the first is the one that every peer understands
			if sent = a.send(to, 0, m); sent {
				wait = firstWait
			}
		default:
			a.count.probes.Add(1)
			m.Code = fa.Probe
			a.send(to, 0, m) // what has no room is like lost
			wait = min(2*wait, longestWait)
		}
		timer.Reset(min(wait, max(giveUp-time.Since(heard), 1)))
	}
}

const noAnswerHint = "see that the IPCP there runs and that members between here and there are connected"

// noReply is why an attempt without an answer ended.
func noReply(ctx context.Context, to wire.Addr) error {
	err := context.Cause(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errno.New(errno.TimedOut, "the member %v does not answer", to).Next(noAnswerHint)
	}
	return err
}

// withdraw says that a request is not waited for any more.
func (a *Allocator) withdraw(f *Flow) {
	a.send(f.peer.addr, 0, &fa.Message{Code: fa.Dealloc, SAddr: a.net.Own(), SEID: f.eid})
}

// abandon ends an attempt that has no answer yet; replies are late from now
// on. err, if there is one, is its result.
func (f *Flow) abandon(err error) {
	f.mu.Lock()
	at := f.attempt
	f.attempt = nil
	f.mu.Unlock()
	if at != nil && err != nil {
		at.answer <- answer{err: err}
	}
}

// reply takes a REPLY.
func (a *Allocator) reply(m *fa.Message) {
	if m.Response == 0 && m.SEID < wire.FirstFlowEID {
		a.malformed("reply with endpoint", m.SEID)
		return
	}
	f := a.table.get(m.REID)
	if f == nil {
		a.count.late.Add(1)
		if m.Response >= 0 {
			a.bounce(m.REID, m.SEID)
		}
		return
	}
	f.mu.Lock()
	at := f.attempt
	f.attempt = nil
	if at != nil && m.Response == 0 {
		f.remote.Store(m.SEID)
	}
	f.mu.Unlock()
	if at == nil {
		a.count.duplicate.Add(1)
		return
	}
	at.answer <- answer{response: m.Response, data: append([]byte(nil), m.Data...)}
}

// pending takes the word of a peer that it is deciding.
func (a *Allocator) pending(m *fa.Message) {
	f := a.table.get(m.REID)
	if f == nil || f.peer.addr != m.SAddr {
		return
	}
	f.mu.Lock()
	at := f.attempt
	f.mu.Unlock()
	if at == nil {
		return
	}
	select {
	case at.alive <- struct{}{}:
	default:
	}
}

// bounce tells who answers or sends to an endpoint that has ended, if it was
// one lately. remote is the endpoint of who does, 0 when it is not known.
func (a *Allocator) bounce(eid, remote uint64) {
	if r, tell := a.table.ended(eid, remote); tell {
		a.count.bounced.Add(1)
		a.send(r.peer, 0, &fa.Message{Code: fa.Dealloc, REID: r.remote, SEID: r.eid})
	}
}
