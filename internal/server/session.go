package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/fabric"
	"ouroboros/internal/flow"
	"ouroboros/internal/pb"
	"ouroboros/internal/registry"
	"ouroboros/internal/session"
)

// process is the session of one connection to the flow socket. Several
// connections of one pid are one process to the registry, each with the flows
// that it was granted.
//
//	reader: records ──► accepts, or a goroutine per request ──► outbox
//	watcher: pidfd ──► closes the connection
type process struct {
	s    *Server
	peer *peer
	c    *net.UnixConn
	out  *outbox

	owner    *fabric.Owner
	registry *registry.Process

	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	calls  sync.WaitGroup

	mu       sync.Mutex
	requests map[uint64]func()   // pending: how each is cancelled
	flows    map[int]*fabric.End // granted and not deallocated
}

// session serves a connection until it ends, and releases everything of it.
func (s *Server) session(c *net.UnixConn, peer *peer) {
	defer c.Close()
	pidfd, id, err := s.greet(c, peer)
	if err != nil {
		refuse(c, err)
		return
	}
	defer pidfd.Close()

	p := &process{
		s: s, peer: peer, c: c,
		requests: make(map[uint64]func()),
		flows:    make(map[int]*fabric.End),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	defer p.cancel()
	p.out = newOutbox(c, s.limits, &s.count)
	p.owner = s.fabric.NewRemote(fmt.Sprintf("process %d", peer.pid), p.out.unlink)
	p.registry, err = s.node.Announce(id, p.owner)
	if err != nil {
		refuse(c, err)
		return
	}
	s.count.sessions.Add(1)
	s.log.Debug("process connected", "pid", id.PID, "uid", id.UID, "exe", id.Exe)

	// A process can die and leave the socket to a child.
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if awaitEnd(pidfd) {
			s.count.died.Add(1)
			c.Close()
		}
	})
	// When the daemon stops the connection goes first: calls that are cut short
	// are not answered, and the process learns that the daemon is gone.
	stopped := context.AfterFunc(s.ctx, func() { c.Close() })
	defer stopped()

	p.out.send(&pb.ToProcess{Request: 1, Body: &pb.ToProcess_Welcome{Welcome: &pb.Welcome{Version: session.Version}}})
	err = p.read()

	c.Close()
	p.cancel()
	p.registry.Exit()
	pidfd.Close()
	p.out.close()
	watcher.Wait()
	p.calls.Wait()
	p.owner.Leave()
	s.log.Debug("process left", "pid", id.PID, "why", err)
}

// greet reads the Hello and finds out who it is.
func (s *Server) greet(c *net.UnixConn, peer *peer) (pidfd *os.File, id registry.Identity, err error) {
	if err := s.access.Load().mayFlow(peer); err != nil {
		s.count.denied.Add(1)
		return nil, id, err
	}
	stop := context.AfterFunc(s.ctx, func() { c.Close() })
	defer stop()
	c.SetReadDeadline(time.Now().Add(s.limits.Hello))
	defer c.SetReadDeadline(time.Time{})
	var m pb.ToDaemon
	if _, _, err := session.ReadRecord(c, make([]byte, session.MaxToDaemon), nil, &m); err != nil {
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.count.silent.Add(1)
			return nil, id, errno.New(errno.TimedOut, "no Hello in time")
		case errors.Is(err, session.ErrRecord):
			s.count.malformed.Add(1)
		}
		return nil, id, errno.New(errno.Invalid, "no Hello: %v", err)
	}
	hello, ok := m.Body.(*pb.ToDaemon_Hello)
	if !ok || m.Request == 0 {
		s.count.malformed.Add(1)
		return nil, id, errno.New(errno.Invalid, "a session begins with a Hello")
	}
	if v := hello.Hello.Version; v != session.Version {
		return nil, id, errno.New(errno.NotSup,
			"cannot talk to the IRM daemon: this program speaks version %d of its protocol, the daemon version %d", v, session.Version).
			Next("use programs and daemon of the same version")
	}
	if pidfd, err = peer.pidfd(c); err != nil {
		if outOfFiles(err) {
			return nil, id, errNoFiles()
		}
		return nil, id, fmt.Errorf("watch process %d: %w", peer.pid, err)
	}
	if id, err = peer.identity(pidfd); err != nil {
		pidfd.Close()
		return nil, id, err
	}
	return pidfd, id, nil
}

// read handles records until the connection ends or the client breaks the
// protocol.
func (p *process) read() error {
	buf := make([]byte, session.MaxToDaemon)
	for {
		var m pb.ToDaemon
		_, _, err := session.ReadRecord(p.c, buf, nil, &m)
		if err == nil {
			err = p.handle(&m)
		}
		if errors.Is(err, session.ErrRecord) {
			p.s.count.malformed.Add(1)
		}
		if err != nil {
			return err
		}
	}
}

func (p *process) handle(m *pb.ToDaemon) error {
	switch b := m.Body.(type) {
	case *pb.ToDaemon_Alloc:
		if g := p.allocNow(m.Request, b.Alloc); g != nil {
			p.grant(m.Request, g)
			return nil
		}
		return p.begin(m, func(ctx context.Context) (*registry.Grant, error) {
			return p.registry.Alloc(ctx, b.Alloc.Dst, b.Alloc.Qos.Spec())
		})
	case *pb.ToDaemon_Accept:
		return p.accept(m)
	case *pb.ToDaemon_Join:
		return p.begin(m, func(ctx context.Context) (*registry.Grant, error) {
			return p.registry.Join(ctx, b.Join.Layer)
		})
	case *pb.ToDaemon_Bind:
		return p.begin(m, func(ctx context.Context) (*registry.Grant, error) {
			return nil, p.bind(ctx, b.Bind.Name)
		})
	case *pb.ToDaemon_Cancel:
		p.mu.Lock()
		cancel := p.requests[m.Request]
		p.mu.Unlock()
		if cancel != nil {
			cancel()
		}
		return nil
	case *pb.ToDaemon_Dealloc:
		p.dealloc(int(b.Dealloc.Flow), b.Dealloc.LinkLost)
		return nil
	}
	return fmt.Errorf("%w: of an unknown kind", session.ErrRecord)
}

// bind is management: it decides who gets the flows to a name. A process that
// was bound by others asks for nothing new.
func (p *process) bind(ctx context.Context, name string) error {
	if p.registry.Bound(name) {
		return nil
	}
	if err := p.s.access.Load().mayManage(p.peer, fmt.Sprintf("bind this process to %q", name)); err != nil {
		p.s.count.denied.Add(1)
		return err
	}
	return p.registry.Bind(ctx, name)
}

// allocNow answers the common case where it was read: a server waits, and no
// other goroutine needs to be woken. Nil when there is more to it.
func (p *process) allocNow(request uint64, a *pb.Alloc) *registry.Grant {
	p.mu.Lock()
	_, taken := p.requests[request]
	full := len(p.requests) >= p.s.limits.Pending
	p.mu.Unlock()
	if taken || full || request == 0 {
		return nil
	}
	return p.registry.AllocNow(a.Dst, a.Qos.Spec())
}

// enter notes a request and how it is cancelled. It is false when there is no
// room, which the process has been told then.
func (p *process) enter(request uint64, cancel func()) (bool, error) {
	p.mu.Lock()
	if _, taken := p.requests[request]; taken || request == 0 {
		p.mu.Unlock()
		return false, fmt.Errorf("%w: request number %d", session.ErrRecord, request)
	}
	if n := p.s.limits.Pending; len(p.requests) >= n {
		p.mu.Unlock()
		p.s.count.pending.Add(1)
		p.fail(request, errno.New(errno.NoBufs, "this process has %d requests pending already", n).
			Next("wait for some of them"))
		return false, nil
	}
	p.requests[request] = cancel
	p.mu.Unlock()
	return true, nil
}

func (p *process) leave(request uint64) {
	p.mu.Lock()
	delete(p.requests, request)
	p.mu.Unlock()
}

// accept waits for a flow without a goroutine: whoever makes the flow passes
// it on.
func (p *process) accept(m *pb.ToDaemon) error {
	request := m.Request
	a := p.registry.NewAccept(func(g *registry.Grant, err error) {
		p.leave(request)
		if err != nil {
			p.fail(request, err)
			return
		}
		p.grant(request, g)
	})
	if ok, err := p.enter(request, func() { a.Stop(context.Canceled) }); !ok {
		return err
	}
	if err := a.Start(); err != nil {
		p.leave(request)
		p.fail(request, err)
	} else if m.Expired {
		a.Stop(context.DeadlineExceeded)
	}
	return nil
}

// begin runs a request on a goroutine of its own.
func (p *process) begin(m *pb.ToDaemon, ask func(context.Context) (*registry.Grant, error)) error {
	request := m.Request
	ctx, cancel := context.WithCancel(p.ctx)
	if m.Expired {
		cancel()
		ctx, cancel = context.WithDeadline(p.ctx, time.Unix(0, 0))
	}
	if ok, err := p.enter(request, cancel); !ok {
		cancel()
		return err
	}
	p.calls.Go(func() {
		g, err := ask(ctx)
		cancel()
		p.leave(request)
		switch {
		case err != nil:
			p.fail(request, err)
		case g != nil:
			p.grant(request, g)
		default:
			p.out.send(&pb.ToProcess{Request: request, Body: &pb.ToProcess_Done{Done: &pb.Done{}}})
		}
	})
	return nil
}

func (p *process) fail(request uint64, err error) {
	p.out.send(&pb.ToProcess{Request: request, Body: &pb.ToProcess_Failure{Failure: pb.FailureOf(err)}})
}

// grant passes a flow to the process.
func (p *process) grant(request uint64, g *registry.Grant) {
	end := g.End.(*fabric.End)
	p.mu.Lock()
	p.flows[g.ID] = end
	p.mu.Unlock()
	p.out.grant(&parcel{
		end: end,
		m: &pb.Grant{
			Flow: int32(g.ID), Name: g.Name, Qos: pb.QoSOf(g.QoS), Mpl: int64(g.MPL),
			Mtu: int32(g.MTU), Remote: g.Remote, Peer: int32(g.Peer),
		},
		request: request,
		failed: func(err error) {
			p.s.count.undelivered.Add(1)
			p.dealloc(g.ID, false)
			p.fail(request, err)
		},
	})
	// The event of a flow follows its grant.
	end.OnEvent(func(e flow.Event) { p.event(g.ID, end, e) })
}

// event reports what the node saw of a flow. An event that is late finds
// another flow under the number, or none: it must not be taken for that one's.
func (p *process) event(id int, end *fabric.End, e flow.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flows[id] == end {
		p.out.event(id, e)
	}
}

// dealloc ends a flow of this session. What is not one is not looked at.
func (p *process) dealloc(id int, linkLost bool) {
	p.mu.Lock()
	end := p.flows[id]
	delete(p.flows, id)
	p.mu.Unlock()
	if end == nil {
		p.s.count.foreign.Add(1)
		return
	}
	if linkLost {
		end.LinkLost()
	}
	if err := p.registry.Dealloc(id); err != nil {
		p.s.log.Debug("deallocation failed", "pid", p.peer.pid, "flow", id, "err", err)
	}
}
