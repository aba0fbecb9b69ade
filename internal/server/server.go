// Package server is the border of a daemon: its two sockets, who may ask what
// on them, and one session for each process.
//
//	flow.sock  SOCK_SEQPACKET, package session: a process and its flows
//	irmd.sock  HTTP/1.1: management, service ouroboros.v1.Irm; GET /events,
//	           GET /metrics
//
// Whoever can reach the sockets may be hostile. A client is known by the
// credentials that the kernel gives, never by its words; what it sends is
// bounded before it is looked at; what it does not read is bounded, too; and
// whatever it does ends at most its own connection and a counter goes up.
//
// # Who may do what
//
//	daemon's user, root,                    everything
//	group ouroboros, Access.Manage
//	Access.Flows (default: everybody)       flows; Status
//	others                                  nothing
//
// Lists show what other users run and with which arguments, so they are for
// those who manage the node. On a user's own daemon that is the user.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"ouroboros/internal/errno"
	"ouroboros/internal/fabric"
	"ouroboros/internal/registry"
	"ouroboros/internal/rundir"
	"ouroboros/irm"
)

// Node is what the server gives access to; *registry.Registry is one.
type Node interface {
	irm.Service
	// Announce makes a process known; owner is the *fabric.Owner that holds
	// its rings.
	Announce(id registry.Identity, owner registry.Owner) (*registry.Process, error)
	// BindProgramAs is BindProgram for a user: the program is started as
	// this user.
	BindProgramAs(ctx context.Context, b irm.ProgramBinding, uid, gid uint32) error
}

// Config says what to serve, where and to whom.
type Config struct {
	Dir string // runtime directory; empty = rundir.Default
	// Claimed is a runtime directory that the caller has claimed already, and
	// that is the server's from New on; Dir is not looked at then.
	Claimed *rundir.Directory
	Node    Node           //
	Fabric  *fabric.Fabric // of the node
	Access  Access         // besides the daemon's user, root and the group
	Limits  Limits         // the zero value means the defaults
	Log     *slog.Logger   // nil = none
}

// Server serves one node. Make it with New, run it with Serve.
type Server struct {
	node   Node
	fabric *fabric.Fabric
	access atomic.Pointer[Access]
	limits Limits
	log    *slog.Logger
	dir    *rundir.Directory
	count  counters

	flows *net.UnixListener
	api   *net.UnixListener
	http  *http.Server
	gate  gate // of the flow socket
	door  gate // of the management socket

	stop   context.CancelFunc // ends all sessions and calls
	ctx    context.Context
	work   sync.WaitGroup // the accept loop and the sessions
	conns  conns          // to the management socket
	close  sync.Once
	failed error
}

// New claims the runtime directory and opens the sockets. ErrExist when
// another daemon lives there. Clients that connect now wait for Serve.
func New(cfg Config) (*Server, error) {
	s := &Server{
		node: cfg.Node, fabric: cfg.Fabric,
		limits: cfg.Limits.withDefaults(), log: cfg.Log, dir: cfg.Claimed,
	}
	s.SetAccess(cfg.Access)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.gate = newGate(s.limits.Clients, s.limits.ClientsPerUser)
	s.door = newGate(s.limits.Calls, s.limits.CallsPerUser)
	s.ctx, s.stop = context.WithCancel(context.Background())

	var err error
	if s.dir == nil {
		if s.dir, err = rundir.Claim(cfg.Dir); err != nil {
			return nil, err
		}
	}
	if s.flows, err = s.listen("unixpacket", rundir.FlowSocket); err == nil {
		s.api, err = s.listen("unix", rundir.APISocket)
	}
	if err != nil {
		if s.flows != nil {
			s.flows.Close()
		}
		s.dir.Close()
		return nil, err
	}
	s.http = s.newHTTP()
	return s, nil
}

// listen opens a socket of the runtime directory. In a directory that others
// can reach everybody may connect: credentials decide.
func (s *Server) listen(network, name string) (*net.UnixListener, error) {
	path, err := s.dir.Socket(name)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, errno.New(errno.Of(errno.Number(err)), "cannot listen in %s: %v", s.dir.Path, err).
			Next("choose another directory with %s", rundir.Env)
	}
	l.SetUnlinkOnClose(false) // the directory removes it, while it is claimed
	mode := os.FileMode(0o666)
	if s.dir.Private {
		mode = 0o600
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// SetAccess changes who may do what. Sessions and calls that run go on.
func (s *Server) SetAccess(a Access) { s.access.Store(&a) }

// Dir is the runtime directory.
func (s *Server) Dir() string { return s.dir.Path }

// Serve serves until ctx ends or Close, and returns when every session has
// ended and the directory is free. It is called once.
func (s *Server) Serve(ctx context.Context) error {
	ended := context.AfterFunc(ctx, func() { s.Close() })
	defer ended()
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		s.acceptSessions()
	}()
	err := s.http.Serve(s.newAPIListener())
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, s.Close())
}

// Close ends all sessions and calls, waits for them, and frees the directory.
// Every process gets its flows' EventDown.
func (s *Server) Close() error {
	s.close.Do(func() {
		s.stop()
		s.flows.Close()
		s.http.Close()
		s.api.Close()
		s.work.Wait()
		s.conns.wait()
		s.failed = s.dir.Close()
	})
	return s.failed
}
