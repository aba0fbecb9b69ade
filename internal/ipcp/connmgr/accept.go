package connmgr

import (
	"context"
	"errors"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
)

// The pauses after an Accept that failed.
const (
	firstRest   = 100 * time.Millisecond
	longestRest = 5 * time.Second
)

// caller is an accepted flow whose message has not come yet.
type caller struct {
	ctx    context.Context // ends when it is silent for too long, or makes room
	cancel context.CancelFunc
}

// accept takes flows and serves each on a goroutine of its own, so that a silent
// one delays no other.
func (s *Switchboard) accept() {
	rest := firstRest
	for {
		f, _, err := s.env.Host.Accept(s.ctx)
		if s.ctx.Err() != nil {
			if err == nil {
				f.Dealloc()
			}
			return
		}
		if err != nil {
			s.once("cannot accept connections", "err", err)
			sleep(s.ctx, rest)
			rest = min(2*rest, longestRest)
			continue
		}
		rest = firstRest
		w := s.wait()
		if !s.spawn(func() { s.serve(f, w) }) {
			s.unwait(w)
			f.Dealloc()
			return
		}
	}
}

// wait enters an accepted flow; the oldest makes room.
func (s *Switchboard) wait() *caller {
	w := &caller{}
	w.ctx, w.cancel = context.WithTimeout(s.ctx, answerWait)
	s.mu.Lock()
	var oldest *caller
	if len(s.waiting) >= s.opts.Waiting {
		oldest = s.waiting[0]
		s.waiting = s.waiting[1:]
	}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	if oldest != nil {
		s.count.crowded.Add(1)
		oldest.cancel()
		s.once("many flows are opened to this IPCP and send nothing")
	}
	return w
}

func (s *Switchboard) unwait(w *caller) {
	w.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.waiting {
		if o == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return
		}
	}
}

// serve does the exchange of an accepted flow.
func (s *Switchboard) serve(f flow.Flow, w *caller) {
	conn := flow.NewConn(f, s.env.Go)
	request, err := receive(w.ctx, conn)
	s.unwait(w)
	if err != nil {
		conn.Close()
		var garbage *unreadable
		if errors.As(err, &garbage) {
			s.count.garbage.Add(1)
			s.once("a peer begins a connection with something unreadable", "err", garbage.why)
		} else if s.ctx.Err() == nil {
			s.count.silent.Add(1)
		}
		return
	}
	c, info, ok := s.choose(conn, request)
	if !ok {
		conn.Close()
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, answerWait)
	defer cancel()
	err = conn.Send(ctx, message(info))
	if c == nil {
		conn.Close() // what was sent is still delivered
		return
	}
	if err != nil {
		s.mu.Lock()
		s.hangUp(info.Component)
		s.mu.Unlock()
		conn.Close()
		return
	}
	s.count.accepted.Add(1)
	if err := c.add(); err != nil && s.ctx.Err() == nil && !errors.Is(err, errEnded) {
		s.count.rejected.Add(1)
		s.once("a connection was not taken", "component", info.Component, "err", err)
	}
}

// choose finds what a peer wants to be connected to and what it is answered;
// false says nothing, so that it tries again. A nil Conn says that the flow is
// closed after the answer.
func (s *Switchboard) choose(conn *flow.Conn, request cep.Message) (c *Conn, answer cep.Message, ok bool) {
	s.mu.Lock()
	component := s.components[request.Component]
	s.mu.Unlock()
	if component == nil {
		s.count.refused.Add(1)
		s.once("a peer wants a component that is not here", "component", request.Component)
		return nil, cep.Message{}, true
	}
	info := component.Info()
	if err := info.Agrees(request); err != nil {
		s.count.mismatched.Add(1)
		s.once("a peer speaks another protocol", "component", request.Component, "err", err)
		return nil, info, true
	}
	s.mu.Lock()
	full := s.accepted[info.Component] >= s.opts.Limit
	if !full {
		s.accepted[info.Component]++
	}
	s.mu.Unlock()
	if full {
		s.count.excess.Add(1)
		s.once("there are too many connections; more are closed", "component", request.Component, "limit", s.opts.Limit)
		return nil, cep.Message{}, false
	}
	c = s.newConn(conn, info.Component, request)
	c.component = component
	return c, info, true
}

// hangUp gives back the place of an accepted connection. s.mu is held.
func (s *Switchboard) hangUp(component string) {
	if s.accepted[component]--; s.accepted[component] == 0 {
		delete(s.accepted, component)
	}
}

// unreadable is a packet that is no message.
type unreadable struct{ why error }

func (u *unreadable) Error() string { return u.why.Error() }

// receive waits for the message of the peer.
func receive(ctx context.Context, c *flow.Conn) (cep.Message, error) {
	for {
		b, err := c.Recv(ctx)
		if err != nil {
			return cep.Message{}, err
		}
		if b.Len() == 0 { // a keep-alive
			b.Release()
			continue
		}
		m, err := cep.Parse(b.Bytes())
		b.Release()
		if err != nil {
			return cep.Message{}, &unreadable{err}
		}
		return m, nil
	}
}

// message makes the packet of m.
func message(m cep.Message) *packet.Buffer {
	b := packet.Get(m.Size())
	m.Put(b.Bytes())
	return b
}

// sleep waits; false when ctx ended first.
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
