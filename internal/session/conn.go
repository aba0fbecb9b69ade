package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/pb"
	"ouroboros/internal/rundir"
	"ouroboros/qos"
)

// patience is how long a daemon may take to answer the Hello or to take a
// record off the socket. It works on neither: a daemon that is slower hangs.
const patience = 10 * time.Second

// cancelWait is how long the answer to a Cancel may take; it is a matter of
// microseconds unless a layer is just answering.
const cancelWait = time.Second

// Conn is the connection of this process to a daemon, over its flow socket.
//
// One goroutine reads. It calls Grant.Notify, so handlers must not wait for
// other calls of the Conn. When the daemon is gone pending calls fail with
// ErrIRMd, and every flow that is held gets EventDown: its memory still works,
// but nobody would tell of the other side's death any more.
type Conn struct {
	c      *net.UnixConn
	reader sync.WaitGroup

	wmu sync.Mutex // held while writing
	out []byte

	mu    sync.Mutex
	last  uint64              // request number
	calls map[uint64]*call    // pending
	flows map[int]*held       // granted and not deallocated
	links map[linkKey]*linked // that this process holds
	ended error               // set once: why no more calls are possible
}

var _ Backend = (*Conn)(nil)

// call is a pending request; its answer is sent once.
type call struct {
	answer chan answer
	keep   bool // a flow is wanted, however late it comes
}

type answer struct {
	grant *Grant
	err   error
}

// held is a flow of this process.
type held struct {
	grant *Grant
	link  *linked
}

// Dial connects this process to the daemon in dir, the runtime directory;
// empty means the one that rundir finds. ErrIRMd when none answers.
func Dial(dir string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	uc, err := rundir.Dial(ctx, dir, "unixpacket", rundir.FlowSocket)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		c:     uc,
		calls: make(map[uint64]*call),
		flows: make(map[int]*held),
		links: make(map[linkKey]*linked),
	}
	if err := c.hello(); err != nil {
		uc.Close()
		return nil, err
	}
	c.reader.Add(1)
	go c.read()
	return c, nil
}

// hello opens the session.
func (c *Conn) hello() error {
	c.c.SetDeadline(time.Now().Add(patience))
	defer c.c.SetDeadline(time.Time{})
	err := c.send(&pb.ToDaemon{Request: 1, Body: &pb.ToDaemon_Hello{Hello: &pb.Hello{Version: Version}}})
	if err != nil && !errors.Is(err, unix.EPIPE) {
		return noContact(err)
	}
	// A daemon that is full says so and closes, perhaps before it was asked.
	// Then the kernel reports first that the Hello was not read.
	var m pb.ToProcess
	buf := make([]byte, MaxToProcess)
	_, _, err = ReadRecord(c.c, buf, nil, &m)
	if errors.Is(err, unix.ECONNRESET) {
		_, _, err = ReadRecord(c.c, buf, nil, &m)
	}
	if err != nil {
		return noContact(err)
	}
	switch b := m.Body.(type) {
	case *pb.ToProcess_Failure:
		return b.Failure.Err()
	case *pb.ToProcess_Welcome:
		c.last = 1
		return nil
	}
	return errno.New(errno.IRMd, "cannot talk to the IRM daemon: it does not speak this protocol").
		Next("use programs and daemon of the same version")
}

func noContact(err error) error {
	return errno.New(errno.IRMd, "cannot talk to the IRM daemon: %v", err).
		Next("see whether it still runs with: irm ipcp list")
}

// Alloc implements Backend.
func (c *Conn) Alloc(ctx context.Context, dst string, spec qos.Spec) (*Grant, error) {
	a := &pb.Alloc{Dst: dst, Qos: pb.QoSOf(spec)}
	return c.grant(ctx, &pb.ToDaemon{Body: &pb.ToDaemon_Alloc{Alloc: a}}, "allocate a flow to %q", dst)
}

// Accept implements Backend.
func (c *Conn) Accept(ctx context.Context) (*Grant, error) {
	return c.grant(ctx, &pb.ToDaemon{Body: &pb.ToDaemon_Accept{Accept: &pb.Accept{}}}, "accept a flow")
}

// Join implements Backend.
func (c *Conn) Join(ctx context.Context, layer string) (*Grant, error) {
	return c.grant(ctx, &pb.ToDaemon{Body: &pb.ToDaemon_Join{Join: &pb.Join{Layer: layer}}}, "join the layer %q", layer)
}

// Bind implements Backend.
func (c *Conn) Bind(ctx context.Context, name string) error {
	a := c.do(ctx, &pb.ToDaemon{Body: &pb.ToDaemon_Bind{Bind: &pb.Bind{Name: name}}}, "bind this process to %q", name)
	return a.err
}

func (c *Conn) grant(ctx context.Context, m *pb.ToDaemon, format string, args ...any) (*Grant, error) {
	a := c.do(ctx, m, format, args...)
	if a.err == nil && a.grant == nil {
		a.err = noContact(ErrRecord)
	}
	return a.grant, a.err
}

// do sends a request and waits for its answer or the end of ctx. format says
// what was to be done, for the error.
func (c *Conn) do(ctx context.Context, m *pb.ToDaemon, format string, args ...any) answer {
	if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
		// The daemon knows what can be had at once; it does not wait.
		m.Expired = true
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
	} else if err != nil {
		return answer{err: gaveUp(err, format, args...)}
	}
	cl := &call{answer: make(chan answer, 1)}
	_, cl.keep = m.Body.(*pb.ToDaemon_Accept)
	c.mu.Lock()
	if c.ended != nil {
		err := c.ended
		c.mu.Unlock()
		return answer{err: err}
	}
	c.last++
	m.Request = c.last
	c.calls[m.Request] = cl
	c.mu.Unlock()

	if err := c.send(m); err != nil {
		if errors.Is(err, errRefused) {
			c.take(m.Request)
			return answer{err: errno.New(errno.Invalid, "cannot %s: %v", fmt.Sprintf(format, args...), err)}
		}
		c.end(noContact(err))
	}
	select {
	case a := <-cl.answer:
		return a
	case <-ctx.Done():
	}
	return c.giveUp(ctx.Err(), m.Request, cl, format, args...)
}

// giveUp ends a call whose context has ended. The daemon answers at once, and
// is waited for: an Accept that has returned is not pending any more, and a
// flow that came at the last moment of its time is not lost. A caller who
// cancelled an allocation does not want it, though.
func (c *Conn) giveUp(why error, request uint64, cl *call, format string, args ...any) answer {
	c.post(&pb.ToDaemon{Request: request, Body: &pb.ToDaemon_Cancel{Cancel: &pb.Cancel{}}})
	late := time.NewTimer(cancelWait)
	defer late.Stop()
	var a answer
	select {
	case a = <-cl.answer:
	case <-late.C:
		if c.take(request) != nil {
			// What the daemon answers now finds no call: a grant is deallocated.
			return answer{err: gaveUp(why, format, args...)}
		}
		a = <-cl.answer
	}
	switch {
	case a.err != nil && (errors.Is(a.err, errno.IRMd) || errors.Is(a.err, errno.NotAlloc)):
		return a
	case a.err != nil:
		return answer{err: gaveUp(why, format, args...)}
	case a.grant != nil && !cl.keep && errors.Is(why, context.Canceled):
		a.grant.End.Close()
		c.Dealloc(a.grant.ID)
		return answer{err: gaveUp(why, format, args...)}
	}
	return a
}

func gaveUp(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if errors.Is(err, context.DeadlineExceeded) {
		return errno.New(errno.TimedOut, "cannot %s: no answer in time", what)
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}

// take removes and gives a pending call; nil when it was answered.
func (c *Conn) take(request uint64) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.calls[request]
	delete(c.calls, request)
	return cl
}

// Dealloc implements Backend. The end of the flow must be closed before.
func (c *Conn) Dealloc(id int) {
	c.mu.Lock()
	h := c.flows[id]
	delete(c.flows, id)
	var idle *linked
	if h != nil {
		idle = c.leave(h.link)
	}
	ended := c.ended != nil
	c.mu.Unlock()
	if idle != nil {
		idle.ring.Close()
	}
	if h != nil && !ended {
		c.post(&pb.ToDaemon{Body: &pb.ToDaemon_Dealloc{Dealloc: &pb.Dealloc{Flow: int32(id)}}})
	}
}

// Ended implements Backend.
func (c *Conn) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended != nil
}

// Close implements Backend. Pending calls fail with ErrNotAlloc.
func (c *Conn) Close() error {
	c.end(errno.New(errno.NotAlloc, "the client is closed"))
	c.reader.Wait()
	return nil
}

// end ends the session once: cause is what calls get from now on.
func (c *Conn) end(cause error) {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return
	}
	c.ended = cause
	calls := c.calls
	c.calls = nil
	flows := make([]*Grant, 0, len(c.flows))
	for _, h := range c.flows {
		flows = append(flows, h.grant)
	}
	idle := c.retireAll()
	c.mu.Unlock()

	c.c.Close()
	for _, cl := range calls {
		cl.answer <- answer{err: cause}
	}
	for _, g := range flows {
		g.Notify(flow.EventDown)
	}
	for _, l := range idle {
		l.ring.Close()
	}
}

// errRefused is why a request is not even sent.
var errRefused = errors.New("not a name")

// send writes one record, waiting for room in the socket.
func (c *Conn) send(m *pb.ToDaemon) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	var err error
	c.out, err = proto.MarshalOptions{}.MarshalAppend(c.out[:0], m)
	if err != nil {
		return fmt.Errorf("%w: not UTF-8", errRefused)
	}
	if len(c.out) > MaxToDaemon {
		return fmt.Errorf("%w: too long", errRefused)
	}
	raw, err := c.c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	late := false
	err = raw.Write(func(fd uintptr) bool {
		failed = Send(fd, c.out, nil)
		if failed != unix.EAGAIN {
			return true
		}
		if !late { // a deadline is for who has to wait
			late = true
			c.c.SetWriteDeadline(time.Now().Add(patience))
		}
		return false
	})
	if late {
		c.c.SetWriteDeadline(time.Time{})
	}
	if err == nil {
		err = failed
	}
	return err
}

// post sends what has no answer; the loss of the daemon is noticed by the
// reader.
func (c *Conn) post(m *pb.ToDaemon) { _ = c.send(m) }
