package connmgr

import (
	"context"
	"errors"
	"slices"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/qos"
)

// How what is lost is dialled again: the first pause, which doubles, the
// longest, which is also how long a connection must have lasted for the next
// loss to begin with the first pause, and how long one attempt may take.
const (
	firstRedial   = time.Second
	longestRedial = 10 * time.Second // less than a refresh of link states, its jitter included
	redialTime    = 20 * time.Second
)

// link is a connection that somebody has asked for, and its connections one
// after the other.
type link struct {
	id        int
	component Component
	call      Call
	ctx       context.Context // ends with Disconnect and with the Switchboard
	cancel    context.CancelFunc

	// Of the Switchboard's mu:
	conn    *Conn // nil: not connected
	ended   bool
	since   time.Time     // of the last change
	pause   time.Duration // before the next attempt
	redials int
	err     error // of the last attempt, or why the connection was lost
}

// Connect makes a connection of a component to the member that is reached under
// dst. Once made it persists: when it is lost it is dialled again until
// Disconnect. Another Connect to the same dst makes another one. On an error
// nothing is left of it. The errors are those of Dial, and what the component
// says against the connection.
func (s *Switchboard) Connect(ctx context.Context, component, dst string, spec qos.Spec) error {
	comp, err := s.component(component)
	if err != nil {
		return err
	}
	l := &link{component: comp, call: Call{Info: comp.Info(), Dst: dst, QoS: spec}, since: time.Now(), pause: firstRedial}
	l.ctx, l.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		l.cancel()
		return errGone()
	}
	s.lastID++
	l.id = s.lastID
	s.links = append(s.links, l)
	s.mu.Unlock()

	dialling, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	c, err := s.Call(dialling, l.call)
	if err == nil {
		err = l.join(c)
	}
	if err == nil {
		s.log.Info("connected", "component", component, "dst", dst, "peer", c.peer.Address)
		return nil
	}
	s.mu.Lock()
	ended := l.ended
	s.unlink(l)
	s.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
		return errGone()
	case ended:
		err = errno.New(errno.FlowDown, "it was disconnected meanwhile")
	case errors.Is(err, context.Canceled):
		return err
	}
	return About(err, "cannot connect %q to %q", component, dst)
}

// join makes c the present connection of l.
func (l *link) join(c *Conn) error {
	c.link, c.component = l, l.component
	return c.add()
}

// unlink takes l out of the list; nothing is dialled for it any more. s.mu is
// held.
func (s *Switchboard) unlink(l *link) {
	l.ended = true
	l.cancel()
	if i := slices.Index(s.links, l); i >= 0 {
		s.links = slices.Delete(s.links, i, i+1)
	}
}

// Disconnect ends the newest connection of a component that was asked for with
// dst, and its redialling. There being none is no error.
func (s *Switchboard) Disconnect(ctx context.Context, component, dst string) error {
	if _, err := s.component(component); err != nil {
		return err
	}
	s.mu.Lock()
	var l *link
	for _, o := range s.links {
		if o.call.Dst == dst && o.call.Info.Component == component {
			l = o
		}
	}
	if l == nil {
		s.mu.Unlock()
		return nil
	}
	c := l.conn
	s.unlink(l)
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	c.remove()
	select {
	case <-c.done:
		s.log.Info("disconnected", "component", component, "dst", dst)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lost dials again what its component has lost.
func (s *Switchboard) lost(l *link, c *Conn, why error) {
	if why == nil {
		why = errno.FlowDown
	}
	now := time.Now()
	s.mu.Lock()
	if now.Sub(c.since) >= longestRedial {
		l.pause = firstRedial
	}
	l.since, l.err = now, why
	s.mu.Unlock()
	s.log.Warn("a connection is lost and dialled again", "component", l.call.Info.Component, "dst", l.call.Dst, "err", why)
	s.spawn(func() { s.redial(l) })
}

// redial tries until l is connected or ends.
func (s *Switchboard) redial(l *link) {
	for {
		s.mu.Lock()
		pause := l.pause
		l.pause = min(2*pause, longestRedial)
		s.mu.Unlock()
		if !sleep(l.ctx, jitter(pause)) {
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, redialTime)
		call := l.call
		call.Info = l.component.Info() // the address may be another by now
		c, err := s.attempt(ctx, call)
		cancel()
		if err == nil {
			err = l.join(c)
		}
		if l.ctx.Err() != nil {
			return
		}
		if err == nil {
			s.count.redialled.Add(1)
			s.mu.Lock()
			l.redials++
			s.mu.Unlock()
			s.log.Info("connected again", "component", l.call.Info.Component, "dst", l.call.Dst, "peer", c.peer.Address)
			return
		}
		s.mu.Lock()
		l.err = err
		s.mu.Unlock()
	}
}
