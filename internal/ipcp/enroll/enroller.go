package enroll

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/wire/cep"
	wire "ouroboros/internal/wire/enroll"
)

// How long the enroller waits, and for how many at a time.
const (
	requestWait = time.Second
	ackWait     = 5 * time.Second
	atATime     = 1024
)

// Enroller is the component of a member that lets others join. Each joiner has
// its own goroutine; of too many the oldest is given up.
type Enroller struct {
	env    ipcp.Env
	log    *slog.Logger
	config func() (*wire.Config, error)
	most   int // at a time

	enrolled, failed, denied, silent, garbage, crowded, unknown atomic.Uint64

	mu     sync.Mutex
	served []*joiner // oldest first
	said   map[string]bool
}

// joiner is a connection that is served.
type joiner struct {
	conn   *connmgr.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

var _ connmgr.Component = (*Enroller)(nil)

// NewEnroller makes the component. config gives what is handed out: ToWire of the
// layer's configuration, or what came with the own enrolment, with the own
// address. When it fails joiners are refused with its number. It is called on
// several goroutines.
func NewEnroller(env ipcp.Env, config func() (*wire.Config, error)) *Enroller {
	e := &Enroller{env: env, log: env.Log, config: config, most: atATime, said: make(map[string]bool)}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	return e
}

// Info implements connmgr.Component.
func (e *Enroller) Info() cep.Message { return info }

// Added implements connmgr.Component.
func (e *Enroller) Added(c *connmgr.Conn) error {
	j := &joiner{conn: c}
	j.ctx, j.cancel = context.WithCancel(e.env.Context)
	var oldest *joiner
	e.mu.Lock()
	if len(e.served) >= e.most {
		oldest = e.served[0]
		e.served = e.served[1:]
	}
	e.served = append(e.served, j)
	e.mu.Unlock()
	if oldest != nil {
		e.crowded.Add(1)
		oldest.cancel()
		e.once("many IPCPs begin to enroll and do not go on")
	}
	e.env.Go(func() {
		defer c.Close()
		defer e.done(j)
		e.serve(j)
	})
	return nil
}

// Removed implements connmgr.Component.
func (e *Enroller) Removed(c *connmgr.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, j := range e.served {
		if j.conn == c {
			j.cancel()
		}
	}
}

func (e *Enroller) done(j *joiner) {
	j.cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, o := range e.served {
		if o == j {
			e.served = append(e.served[:i], e.served[i+1:]...)
			return
		}
	}
}

// serve does one enrolment.
func (e *Enroller) serve(j *joiner) {
	packet, err := receive(j.ctx, j.conn, requestWait)
	if err != nil {
		e.silent.Add(1)
		return
	}
	request, err := wire.ParseRequest(packet)
	if err != nil {
		e.garbled("request", err)
		return
	}
	response := e.answer(request)
	ctx, cancel := context.WithTimeout(j.ctx, ackWait)
	defer cancel()
	if err := j.conn.Send(ctx, pack(response)); err != nil {
		e.failed.Add(1)
		return
	}
	if packet, err = receive(j.ctx, j.conn, ackWait); err != nil {
		e.unknown.Add(1)
		e.log.Debug("an enrolment has no known end", "id", request.ID, "err", err)
		return
	}
	ack, err := wire.ParseAck(packet)
	switch {
	case err != nil:
		e.garbled("ack", err)
	case ack.ID != request.ID:
		e.garbled("ack", errors.New("it belongs to another enrolment"))
	case response.Response != 0:
	case ack.Result != 0:
		e.failed.Add(1)
		e.log.Debug("an IPCP failed to enroll", "id", request.ID, "result", ack.Result, "err", errno.Of(int(ack.Result)))
	default:
		e.enrolled.Add(1)
		e.log.Info("an IPCP has enrolled", "id", request.ID)
	}
}

// answer makes the response to a request.
func (e *Enroller) answer(request wire.Request) *wire.Response {
	r := &wire.Response{ID: request.ID}
	cfg, err := e.config()
	if err == nil {
		r.Config = cfg
		if r.Size() > wire.MaxSize {
			err = errno.New(errno.MsgSize, "the configuration of the layer is too long for a message")
		}
	}
	if err != nil {
		e.denied.Add(1)
		e.once("an IPCP is not let into the layer", "err", err)
		r.Response, r.Config = number(err), nil
	}
	r.SetTime(time.Now())
	return r
}

// number is the negative number of an error, and never the one that enrollers
// take for their own.
func number(err error) int32 {
	n := errno.Number(err)
	if n <= 0 || n > math.MaxInt32 || n == -wire.Failed {
		n = errno.Perm.Errno()
	}
	return -int32(n)
}

// receive waits for a packet that is not a keep-alive.
func receive(ctx context.Context, c *connmgr.Conn, wait time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		b, err := c.Recv(ctx)
		if err != nil {
			return nil, err
		}
		p := append([]byte(nil), b.Bytes()...)
		b.Release()
		if len(p) > 0 {
			return p, nil
		}
	}
}

func (e *Enroller) garbled(what string, err error) {
	e.garbage.Add(1)
	e.once("an IPCP that enrolls sends something unreadable", "instead_of", what, "err", err)
}

// once logs what peers do wrong the first time.
func (e *Enroller) once(what string, args ...any) {
	e.mu.Lock()
	said := e.said[what]
	e.said[what] = true
	e.mu.Unlock()
	if !said {
		e.log.Warn(what+"; this is said once, see the counters", args...)
	}
}

// Show describes the enrolments as JSON-ready values.
func (e *Enroller) Show() any {
	e.mu.Lock()
	serving := len(e.served)
	e.mu.Unlock()
	return map[string]any{
		"serving": serving, "enrolled": e.enrolled.Load(), "failed": e.failed.Load(), "refused": e.denied.Load(),
		"silent": e.silent.Load(), "garbage": e.garbage.Load(), "crowded": e.crowded.Load(), "unknown_end": e.unknown.Load(),
	}
}
