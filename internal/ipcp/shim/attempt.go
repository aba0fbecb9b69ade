package shim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
)

// When a reply is late: the first wait, which doubles, the longest one towards
// a peer that may be of another make, and towards one of our own kind; and how
// many repetitions a peer may leave unanswered before it counts as another.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = time.Second
	ownWait     = 500 * time.Millisecond
	ownSilence  = 12
	giveUp      = 3 * time.Second
)

// attempt is an allocation that waits for the peer's reply.
type attempt struct {
	request RequestID
	answer  chan answer   // one place, filled once
	unseen  chan struct{} // one token: the peer has not seen the request
}

// answer is how an attempt ended.
type answer struct {
	response int32
	data     []byte
	err      error // instead of a reply
}

// Alloc asks the peer at an address for a flow and waits for its reply. A
// refusal is the peer's number as an error. errno.Again says that the peer is
// silent, and that a new request, with another id, may do better. Whatever
// else it answers than a flow, it leaves nothing behind.
func (s *Shim[A]) Alloc(ctx context.Context, to A, req *ipcp.Request) (*ipcp.Reply, error) {
	if s.down.Load() {
		return nil, errno.New(errno.IPCP, "the IPCP has no link at the moment")
	}
	at := &attempt{request: requestID(req.Data), answer: make(chan answer, 1), unseen: make(chan struct{}, 1)}
	e, err := s.call(to, req.QoS, at)
	if err != nil {
		return nil, err
	}
	s.count.requests.Add(1)
	a, err := s.ask(ctx, e, at, req)
	switch {
	case err != nil:
		s.count.unanswered.Add(1)
		s.Directory.Remove(req.Hash, to)
	case a.response == 0:
		s.count.accepted.Add(1)
		return &ipcp.Reply{Flow: e, Data: a.data, MPL: s.cfg.MPL}, nil
	default:
		s.count.refused.Add(1)
		if err = refusal(a.response); errors.Is(err, errno.NameError) {
			s.Directory.Remove(req.Hash, to)
		}
	}
	e.Dealloc()
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
//
// What is too long for a peer of another make (errno.MsgSize) is sent when the
// peer has shown, by answering a probe, that it is of our own kind.
func (s *Shim[A]) ask(ctx context.Context, e *Endpoint[A], at *attempt, req *ipcp.Request) (answer, error) {
	request := &Message{Code: FlowReq, Requester: e.id, QoS: req.QoS, Hash: req.Hash, Data: req.Data}
	probe := &Message{Code: Probe, Requester: e.id, Hash: req.Hash, Data: at.request[:]}
	err := s.edge.Manage(e.peer, request)
	long := errors.Is(err, errno.MsgSize) && !s.Knows(e.peer)
	switch {
	case long:
		err = errors.Join(err, s.edge.Manage(e.peer, probe))
	case err != nil && !errors.Is(err, errno.Again):
		return answer{}, err
	}
	begun, wait := time.Now(), firstWait
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for silent := 0; ; {
		select {
		case a := <-at.answer:
			return a, a.err
		case <-ctx.Done():
			e.abandon(nil)
			select { // the reply was quicker
			case a := <-at.answer:
				return a, a.err
			default:
			}
			return answer{}, noReply(ctx, e.peer)
		case <-at.unseen:
			s.count.repeated.Add(1)
			err := s.edge.Manage(e.peer, request)
			if errors.Is(err, errno.MsgSize) {
				return answer{}, err
			} // what else cannot be sent is like lost
			continue
		case <-timer.C:
		}
		own := s.Knows(e.peer)
		switch {
		case own:
			if silent++; silent == ownSilence {
				s.peers.forget(e.peer)
			}
			s.count.repeated.Add(1)
			_ = s.edge.Manage(e.peer, request)
		case time.Since(begun) < giveUp:
			s.count.probes.Add(1)
			_ = s.edge.Manage(e.peer, probe)
		case long:
			return answer{}, err
		default:
			return answer{}, errno.New(errno.Again, "the peer %v does not answer", e.peer).
				Next("see that the IPCP there runs and that nothing between filters the packets")
		}
		wait = min(2*wait, longestWait)
		if own {
			wait = min(wait, ownWait)
		}
		timer.Reset(wait)
	}
}

// noReply is why an attempt without an answer ended.
func noReply[A comparable](ctx context.Context, peer A) error {
	err := context.Cause(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errno.New(errno.TimedOut, "the peer %v does not answer", peer).
			Next("see that the IPCP there runs and that nothing between filters the packets")
	}
	return err
}

// abandon ends an attempt that has no answer yet; replies are late from now
// on. err, if there is one, is its result.
func (e *Endpoint[A]) abandon(err error) {
	e.mu.Lock()
	at := e.attempt
	e.attempt = nil
	e.mu.Unlock()
	if at != nil && err != nil {
		at.answer <- answer{err: err}
	}
}

// reply takes a FlowReply.
func (s *Shim[A]) reply(from A, m *Message) {
	e := s.table.get(m.Requester)
	if e == nil {
		s.count.late.Add(1)
		return
	}
	if e.peer != from {
		s.count.forged.Add(1)
		return
	}
	if m.Response == 0 && !s.cfg.Remote.has(m.Responder) {
		s.count.malformed.Add(1)
		return
	}
	e.mu.Lock()
	at := e.attempt
	e.attempt = nil
	if at != nil && m.Response == 0 {
		e.remote.Store(m.Responder)
	}
	e.mu.Unlock()
	if at == nil {
		s.count.duplicate.Add(1)
		return
	}
	if m.Response == 0 {
		s.meet(from, m.Responder)
	}
	at.answer <- answer{response: m.Response, data: append([]byte(nil), m.Data...)}
}

// probeAnswer takes what a peer of our own kind says of a request.
func (s *Shim[A]) probeAnswer(from A, m *Message) {
	e := s.table.get(m.Requester)
	if e == nil {
		s.count.late.Add(1)
		return
	}
	e.mu.Lock()
	at := e.attempt
	e.mu.Unlock()
	switch {
	case at == nil:
		s.count.duplicate.Add(1)
		return
	case e.peer != from || at.request != requestID(m.Data):
		s.count.forged.Add(1)
		return
	}
	s.peers.learn(from)
	if m.Response == Unseen {
		select {
		case at.unseen <- struct{}{}:
		default:
		}
	}
}
