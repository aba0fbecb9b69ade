package server

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"ouroboros/internal/pb"
)

// accept gives the next connection. When descriptors run out it waits, longer
// each time, for some to come back; the clients wait in the backlog.
func (s *Server) accept(l *net.UnixListener) (*net.UnixConn, error) {
	const longest = time.Second
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, longest) {
		c, err := l.AcceptUnix()
		if err == nil || s.ctx.Err() != nil || !outOfFiles(err) {
			return c, err
		}
		s.count.accept.Add(1)
		if pause == 10*time.Millisecond {
			s.log.Error("cannot take new clients for now", "err", err,
				"hint", "raise the limit of open files (LimitNOFILE, ulimit -n)")
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.ctx.Done():
			t.Stop()
		}
	}
}

// admit finds out who connected and whether there is room.
func (s *Server) admit(c *net.UnixConn, g *gate) (*peer, error) {
	p, err := peerOf(c)
	if err != nil {
		return nil, err
	}
	if err := g.enter(p); err != nil {
		s.count.full.Add(1)
		s.log.Debug("client refused", "pid", p.pid, "uid", p.uid, "err", err)
		return nil, err
	}
	return p, nil
}

// acceptSessions serves the flow socket until it is closed.
func (s *Server) acceptSessions() {
	for {
		c, err := s.accept(s.flows)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("the flow socket failed", "err", err)
			}
			return
		}
		p, err := s.admit(c, &s.gate)
		if err != nil {
			refuse(c, err)
			continue
		}
		s.work.Add(1)
		go func() {
			defer s.work.Done()
			defer s.gate.leave(p)
			s.session(c, p)
		}()
	}
}

// refuse tells a client why it cannot stay. It does not wait for it.
func refuse(c *net.UnixConn, err error) {
	defer c.Close()
	b, merr := proto.Marshal(&pb.ToProcess{Request: 1, Body: &pb.ToProcess_Failure{Failure: pb.FailureOf(err)}})
	raw, rerr := c.SyscallConn()
	if merr == nil && rerr == nil {
		raw.Control(func(fd uintptr) { unix.Sendto(int(fd), b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil) })
	}
}
