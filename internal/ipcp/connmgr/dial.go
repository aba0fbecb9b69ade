package connmgr

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/qos"
)

// How a dialler tries again.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second
	nameWait     = 3 * time.Second // how long a name may be unknown: a neighbour may be starting
	garbageLimit = 3               // unreadable answers
)

// Call says who is dialled, and as whom.
type Call struct {
	Info cep.Message // own
	Dst  string      // a name that members are bound to
	QoS  qos.Spec

	// Parting, if there is one, is sent before a flow is deallocated on which no
	// answer came, or one that is not good enough: the peer may take it for a
	// connection and wait for what follows.
	Parting []byte
}

// Dial allocates a flow to dst and does the exchange as a component that is
// registered. It tries again, with new flows, until ctx ends. The connection is
// in no list; who dialled it closes it.
//
//	error     because
//	ENAME     no layer knows dst
//	ETIMEDOUT dst accepts the flow and does not answer
//	ENOTSUP   dst has no such component, or it speaks another protocol
//	others    the flow could not be allocated
func (s *Switchboard) Dial(ctx context.Context, component, dst string, spec qos.Spec) (*Conn, error) {
	c, err := s.component(component)
	if err != nil {
		return nil, err
	}
	return s.Call(ctx, Call{Info: c.Info(), Dst: dst, QoS: spec})
}

// Call is Dial for a component that need not be registered.
func (s *Switchboard) Call(ctx context.Context, call Call) (*Conn, error) {
	inner, cancel := s.within(ctx)
	defer cancel()
	var last error // that says more than "the time is over"
	var unknown time.Time
	garbage := 0
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		c, err := s.attempt(inner, call)
		if err == nil {
			return c, nil
		}
		if s.ctx.Err() != nil {
			return nil, errGone()
		}
		if last == nil || inner.Err() == nil {
			last = err
		}
		if !errors.Is(err, errno.NameError) {
			unknown = time.Time{}
		} else if unknown.IsZero() {
			unknown = time.Now()
		}
		var u *unreadable
		if errors.As(err, &u) {
			garbage++
		}
		switch {
		case final(err), garbage == garbageLimit, !unknown.IsZero() && time.Since(unknown) >= nameWait:
			return nil, err
		case !sleep(inner, jitter(pause)):
			if s.ctx.Err() != nil {
				return nil, errGone()
			}
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, last
		}
	}
}

// final reports whether another attempt cannot do better.
func final(err error) bool {
	for _, e := range []error{errno.NotSup, errno.AuthFailed, errno.Crypt, errno.Invalid, errno.MsgSize} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// jitter spreads what many may do at the same time.
func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2) }

// attempt allocates one flow and does the exchange.
func (s *Switchboard) attempt(ctx context.Context, call Call) (*Conn, error) {
	f, err := s.env.Host.Alloc(ctx, call.Dst, s.patient(call.QoS))
	if err != nil {
		s.count.unallocated.Add(1)
		return nil, About(err, "no flow to %q", call.Dst)
	}
	conn := flow.NewConn(f, s.env.Go)
	reply, err := exchange(ctx, conn, call.Info)
	if err = s.judge(call, reply, err); err != nil {
		if !errors.Is(err, errRefused) {
			s.part(conn, call.Parting)
		}
		conn.Close()
		return nil, err
	}
	s.count.dialled.Add(1)
	c := s.newConn(conn, call.Info.Component, reply)
	c.dst, c.dialled = call.Dst, true
	return c, nil
}

// patient sets the peer time-out.
func (s *Switchboard) patient(spec qos.Spec) qos.Spec {
	if s.opts.Silence > 0 && spec.Timeout == qos.DefaultTimeout {
		spec.Timeout = uint32(min(max(s.opts.Silence.Milliseconds(), 1), 1<<32-1))
	}
	return spec
}

// exchange sends the own message and waits for the peer's.
func exchange(ctx context.Context, conn *flow.Conn, own cep.Message) (cep.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if err := conn.Send(ctx, message(own)); err != nil {
		return cep.Message{}, err
	}
	return receive(ctx, conn)
}

// judge says what is wrong with the outcome of an exchange.
func (s *Switchboard) judge(call Call, reply cep.Message, err error) error {
	var garbage *unreadable
	switch {
	case errors.As(err, &garbage):
		s.count.garbled.Add(1)
		return &errno.Detail{Err: garbage, Cause: fmt.Sprintf("the member %q answers with something unreadable: %v", call.Dst, garbage.why),
			Hint: "see that a member of the layer is bound to that name, and no other program"}
	case errors.Is(err, errno.FlowDown):
		s.count.unanswered.Add(1)
		return errno.New(errno.FlowDown, "the member %q accepted the flow and closed it without an answer", call.Dst).
			Next("see that the IPCP there is a member of the layer")
	case err != nil:
		s.count.unanswered.Add(1)
		return errno.New(errno.TimedOut, "the member %q accepted the flow and did not answer", call.Dst).
			Next("see that the IPCP there is a member of the layer")
	}
	own := call.Info
	if err = own.Agrees(reply); err == nil && reply.Component == own.Component {
		return nil
	}
	s.count.denied.Add(1)
	switch {
	case reply.Refusal():
		return &errno.Detail{Err: errRefused, Cause: fmt.Sprintf("the member %q has no component %q", call.Dst, own.Component),
			Hint: "see that the IPCP there is in the layer and of the same type"}
	case err == nil:
		return errno.New(errno.NotSup, "the member %q was asked for the component %q and answers as %q",
			call.Dst, own.Component, reply.Component).Next("see that the IPCP there is of the same type")
	}
	return errno.New(errno.NotSup, "the component %q of the member %q is another: %v", own.Component, call.Dst, err).
		Next("see that the IPCP there is of the same type and version")
}

// part sends a last packet.
func (s *Switchboard) part(conn *flow.Conn, p []byte) {
	if len(p) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, answerWait)
	defer cancel()
	_ = conn.Send(ctx, packet.From(p)) // the flow is given up in any case
}
