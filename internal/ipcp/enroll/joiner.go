package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/wire/dt"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
	"ouroboros/qos"
)

// How a joiner waits and tries again.
const (
	responseWait = time.Second
	farewell     = time.Second // for a last packet when there is no room
	firstPause   = 200 * time.Millisecond
	longestPause = 2 * time.Second
	garbageLimit = 3
	clockLimit   = 20 * time.Millisecond
)

// parting releases an enroller whose connection message was lost: it is no
// message at all.
var parting = []byte{0}

// Result is what a joiner has learned.
type Result struct {
	Config *irm.Config
	Raw    *wire.Config  // as it came; what is handed on is Raw.WithPeer(own)
	Peer   dt.Addr       // of the enroller; 0 in a broadcast layer
	Offset time.Duration // how far the enroller's clock is ahead of this one
}

// Join gets the configuration of the layer of the member that is reached under
// dst, for an IPCP of type kind. check, if there is one, may refuse it. When an
// exchange has failed because something was lost there is another one with a new
// flow, until ctx ends.
//
// After success the enroller waits for finish, which is called once: finish(nil)
// when the components are made, finish(err) when they could not be. It does not
// block for long, and needs no ctx. On an error everything is finished.
//
//	error     because
//	ENAME     no layer knows dst
//	ETIMEDOUT the member does not answer
//	ENOTSUP   the IPCP of that name does not enroll, is of another type, or has
//	          a policy that is unknown here
//	others    the member's refusal, what check says, or why there is no flow
func Join(ctx context.Context, m *connmgr.Switchboard, log *slog.Logger, dst string, kind irm.IPCPType,
	check func(cfg *irm.Config) error) (r *Result, finish func(err error), err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	garbage := 0
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		x, err := begin(ctx, m, dst)
		if err == nil {
			r, err = x.ask(ctx, kind, check)
			if err == nil {
				x.clock(log)
				return r, x.finish, nil
			}
			x.finish(err)
		}
		var f *failure
		again := errors.As(err, &f) && f.again
		if again && f.garbage {
			garbage++
		}
		if !again || garbage == garbageLimit || !sleep(ctx, pause*3/4+mathrand.N(pause/2)) {
			return nil, nil, connmgr.About(err, "cannot enroll with %q", dst)
		}
	}
}

// failure is an exchange that failed and may succeed the next time.
type failure struct {
	*errno.Detail
	again, garbage bool
}

func (f *failure) Unwrap() error { return f.Detail }

// exchange is an enrolment with one flow.
type exchange struct {
	conn       *connmgr.Conn
	dst        string
	id         wire.ID
	begun, got time.Time
	there      time.Time // the enroller's clock
}

// begin makes the connection.
func begin(ctx context.Context, m *connmgr.Switchboard, dst string) (*exchange, error) {
	c, err := m.Call(ctx, connmgr.Call{Info: info, Dst: dst, QoS: qos.Raw, Parting: parting})
	if err != nil {
		return nil, err
	}
	x := &exchange{conn: c, dst: dst}
	rand.Read(x.id[:]) // never fails
	return x, nil
}

// ask sends the request and checks the response.
func (x *exchange) ask(ctx context.Context, kind irm.IPCPType, check func(*irm.Config) error) (*Result, error) {
	x.begun = time.Now()
	if err := x.send(&wire.Request{ID: x.id}); err != nil {
		return nil, x.again(err, "the request could not be sent to %q", x.dst)
	}
	packet, err := receive(ctx, x.conn, responseWait)
	switch {
	case errors.Is(err, errno.FlowDown):
		return nil, x.again(err, "the member %q closed the flow without a response", x.dst)
	case errors.Is(err, context.Canceled):
		return nil, err
	case err != nil:
		return nil, x.again(errno.TimedOut, "the member %q took the request and did not respond", x.dst)
	}
	x.got = time.Now()
	response, err := wire.ParseResponse(packet)
	if err == nil && response.ID != x.id {
		err = errors.New("it belongs to another enrolment")
	}
	if err != nil {
		f := x.again(errno.Invalid, "the response of %q cannot be read: %v", x.dst, err)
		f.garbage = true
		return nil, f
	}
	if response.Response < 0 {
		return nil, errno.New(errno.Of(int(response.Response)), "the member %q refuses: %v", x.dst, errno.Of(int(response.Response)))
	}
	x.there = response.Time()
	raw := response.Config
	if irm.IPCPType(raw.Type) != kind {
		return nil, errno.New(errno.NotSup, "%q is in the layer %q of type %v, and this IPCP is of type %v",
			x.dst, raw.Layer, irm.IPCPType(raw.Type), kind).Next("make an IPCP of the type of the layer")
	}
	cfg, err := FromWire(raw)
	if err == nil && check != nil {
		err = check(cfg)
	}
	if err != nil {
		return nil, err
	}
	return &Result{Config: cfg, Raw: raw, Peer: raw.Peer(), Offset: x.offset()}, nil
}

// again is a failure that another flow may not meet.
func (x *exchange) again(err error, format string, args ...any) *failure {
	return &failure{Detail: errno.New(err, format, args...).Next("see that the IPCP there is in the layer"), again: true}
}

// finish sends the ack and ends the flow. The ack goes twice: one may be lost,
// and where the request was lost the first one is taken for it.
func (x *exchange) finish(err error) {
	ack := &wire.Ack{ID: x.id}
	if err != nil {
		ack.Result = number(err)
	}
	if x.send(ack) == nil {
		_ = x.send(ack) // there is nobody to tell
	}
	x.conn.Close()
}

// send sends also when the time of the caller is over.
func (x *exchange) send(m message) error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	return x.conn.Send(ctx, pack(m))
}

// offset is how far the enroller's clock is ahead, taken that it was read in the
// middle of the exchange.
func (x *exchange) offset() time.Duration {
	return x.there.Sub(x.begun.Add(x.got.Sub(x.begun) / 2))
}

// clock warns when the clocks differ by more than the exchange explains.
func (x *exchange) clock(log *slog.Logger) {
	if x.there.Sub(x.begun).Abs()-x.got.Sub(x.begun) > clockLimit {
		log.Warn("the clock of the enroller differs from this one; names in the directory may expire early or late",
			"ahead", x.offset(), "dst", x.dst)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
