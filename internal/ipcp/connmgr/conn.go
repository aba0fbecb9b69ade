package connmgr

import (
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/wire/cep"
	"ouroboros/qos"
)

// state is the life of a Conn.
//
//	loose ───────────────────────────────────────────► gone   Dial
//	adding ──► up ──► ending (Removed is called) ────► gone   by Disconnect, Close
//	  │         └────────────────────────────────────► gone   by Lost, Conn.Close
//	  ├──► ending: once Added has returned ──────────► gone
//	  └──────────────────────────────────────────────► gone   by Lost, or refused
type state int

const (
	loose state = iota
	adding
	up
	ending
	gone
)

// Conn is a connection: a flow whose beginning is done.
type Conn struct {
	*flow.Conn
	s         *Switchboard
	component Component // nil: it is its dialler's alone
	name      string    // of the component
	link      *link     // nil: nobody asked for it to persist
	id        int
	peer      cep.Message
	dst       string
	dialled   bool
	since     time.Time
	done      chan struct{} // closed when it is gone

	state state // of s.mu
}

// newConn makes a Conn that is in no table.
func (s *Switchboard) newConn(f *flow.Conn, component string, peer cep.Message) *Conn {
	return &Conn{Conn: f, s: s, name: component, peer: peer, since: time.Now(), done: make(chan struct{})}
}

// Peer is the message of the peer; its Address is that of the neighbour in the
// layer, and not checked.
func (c *Conn) Peer() cep.Message { return c.peer }

// QoS is that of the flow below.
func (c *Conn) QoS() qos.Spec { return c.Flow().QoS() }

// Dst is the name that was dialled; empty when the peer has dialled.
func (c *Conn) Dst() string { return c.dst }

// Dialled reports whether this side has dialled.
func (c *Conn) Dialled() bool { return c.dialled }

// ID is a number for lists. A connection that is dialled again keeps its number.
// 0 for one that is in no list.
func (c *Conn) ID() int { return c.id }

// Done is closed when the connection has ended and its flow is deallocated.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Lost is called by the component when it sees that the connection is dead:
// flow.EventDealloc, flow.EventPeer, silence. The flow is deallocated, and a
// connection that somebody has asked for with Connect is dialled again. It does
// not block; only the first call counts.
func (c *Conn) Lost(why error) { c.leave(true, why) }

// Close ends the connection for good. Removed is not called. It does not block.
func (c *Conn) Close() { c.leave(false, nil) }

func (c *Conn) leave(lost bool, why error) {
	s := c.s
	s.mu.Lock()
	was := c.state
	switch was {
	case ending, gone: // somebody else ends it
		s.mu.Unlock()
		return
	}
	c.forget()
	l := c.link
	if was != up {
		l = nil // who is adding it sees that it is gone
	}
	if l != nil {
		l.conn = nil
		if !lost {
			s.unlink(l)
		}
	}
	s.mu.Unlock()
	c.release()
	if !lost {
		return
	}
	s.count.lost.Add(1)
	if l != nil {
		s.lost(l, c, why)
	}
}

// forget takes the connection out of the table. s.mu is held.
func (c *Conn) forget() {
	if c.state != loose {
		delete(c.s.conns, c.id)
		if !c.dialled {
			c.s.hangUp(c.name)
		}
	}
	c.state = gone
}

// release ends the flow.
func (c *Conn) release() {
	c.Conn.Close()
	close(c.done)
}

// add enters the connection and gives it to its component. On an error it is
// gone.
func (c *Conn) add() error {
	s := c.s
	s.mu.Lock()
	if s.closed || c.link != nil && c.link.ended {
		if !c.dialled {
			s.hangUp(c.name)
		}
		c.state = gone
		s.mu.Unlock()
		c.release()
		return errGone()
	}
	if c.link != nil {
		c.link.conn = c
		c.id = c.link.id
	} else {
		s.lastID++
		c.id = s.lastID
	}
	s.conns[c.id] = c
	c.state = adding
	s.mu.Unlock()

	err := c.component.Added(c)

	s.mu.Lock()
	was := c.state
	switch {
	case was == gone: // the component has ended it already
		if err == nil {
			err = errEnded
		}
	case err != nil:
		c.forget()
	case was == adding:
		c.state = up
		if c.link != nil {
			c.link.err, c.link.since = nil, c.since
		}
	default:
		err = errEnded
	}
	if c.link != nil && err != nil {
		c.link.conn = nil
	}
	s.mu.Unlock()
	switch {
	case was == gone:
	case was == ending && err == errEnded:
		c.finish()
	case err != nil:
		c.release()
	}
	return err
}

// remove ends the connection, telling the component. When it is being added
// who adds it does the rest: Done says when.
func (c *Conn) remove() {
	c.s.mu.Lock()
	was := c.state
	if was == adding || was == up {
		c.state = ending
	}
	c.s.mu.Unlock()
	if was == up {
		c.finish()
	}
}

// finish is the way from ending to gone.
func (c *Conn) finish() {
	c.component.Removed(c)
	c.s.mu.Lock()
	c.forget()
	c.s.mu.Unlock()
	c.release()
}
