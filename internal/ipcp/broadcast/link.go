package broadcast

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/broadcast/spantree"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

// linkQueue bounds what waits for a connection.
var linkQueue = flow.Limit{Packets: 256, Bytes: 512 << 10}

// link is a connection of Data Transfer with another member.
//
//	peer's id 0: a member of the C implementation          open, at once
//	else         ┌─ a control connection with it ────────► in the tree
//	   waiting ──┤
//	             └─ none within controlTime ─────────────► open
type link struct {
	neighbour
	b    *IPCP
	conn *connmgr.Conn
	peer uint64

	ctx     context.Context // ends with the connection
	cancel  context.CancelFunc
	settled chan struct{} // closed when it is decided how it carries
	once    sync.Once     // closes it

	// Of the IPCP's mu:
	control *control
	state   linkState
	ended   bool

	port    *spantree.Port // of the tree's mu
	inForce bool           // what it decided last; of the tree's mu
}

type linkState int

const (
	waiting linkState = iota // for the control connection
	inTree
	open
)

func newLink(b *IPCP, c *connmgr.Conn) *link {
	l := &link{b: b, conn: c, peer: uint64(c.Peer().Address), settled: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(b.env.Context)
	l.f, l.flow, l.link = b.fwd, c.Flow(), l
	l.queue.most = linkQueue
	return l
}

// foreign: a member of the C implementation.
func (l *link) foreign() bool { return l.peer == 0 }

// describe names the connection for people.
func (n *neighbour) describe() string {
	switch {
	case n.link == nil:
		return "a process"
	case n.link.conn.Dialled():
		return fmt.Sprintf("to %q", n.link.conn.Dst())
	case n.link.foreign():
		return fmt.Sprintf("number %d, which a member made that does not say who it is", n.link.conn.ID())
	}
	return fmt.Sprintf("from member %s", name(n.link.peer))
}

// name shows the id of a member.
func name(id uint64) string {
	if id == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%016x", id)
}

// dataTransfer is the component of that name.
type dataTransfer struct{ b *IPCP }

// Info implements connmgr.Component. The address says who this member is to
// others of its kind; the C implementation sends 0 and ignores it.
func (d dataTransfer) Info() cep.Message {
	return cep.Message{Component: irm.DataTransfer, Address: dt.Addr(d.b.own)}
}

// Added implements connmgr.Component.
func (d dataTransfer) Added(c *connmgr.Conn) error {
	b := d.b
	peer := uint64(c.Peer().Address)
	if peer == b.own {
		b.count.self.Add(1)
		return errno.New(errno.Invalid, "that is this IPCP itself").Next("connect it to another member")
	}
	l := newLink(b, c)

	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errGone()
	}
	old, err := b.rival(l)
	if err != nil {
		b.mu.Unlock()
		b.count.double.Add(1)
		return err
	}
	b.links[c] = l
	if peer != 0 {
		b.byPeer[peer] = l
	} else {
		l.state, l.open, l.agreed = open, true, true
		l.settle()
	}
	b.mu.Unlock()
	if old != nil {
		old.lost(errno.New(errno.Exist, "another connection with that member has taken its place"))
	}
	l.resize()
	b.fwd.add(&l.neighbour)
	c.HandOver(l)
	if peer != 0 {
		b.seek(l)
	}
	return nil
}

// rival finds the other connection with the same member: an error when l must
// go, the other when that must. b.mu is held.
//
// Two connections between two members would be a loop. Both ends decide alike:
// one that has a control connection is known to live, and stays; of two that
// crossed each other that of the lower member does. A member that dials once
// more has lost the old one.
func (b *IPCP) rival(l *link) (old *link, err error) {
	if l.peer == 0 {
		return nil, nil
	}
	old = b.byPeer[l.peer]
	if old == nil {
		return nil, nil
	}
	here, there := old.conn.Dialled(), l.conn.Dialled()
	switch {
	case old.state == inTree, here && there:
	case here == there: // both were dialled by the peer
		return old, nil
	case (b.own < l.peer) == there:
		return old, nil
	}
	e := errno.New(errno.Exist, "there is a connection with that member already, %s", old.describe())
	if here {
		return nil, e.Next("one is enough: what goes over both would be delivered twice")
	}
	return nil, e.Next("it was made from the other end; see it with: irm ipcp show %s", b.env.Identity.Name)
}

// Removed implements connmgr.Component.
func (d dataTransfer) Removed(c *connmgr.Conn) {
	d.b.mu.Lock()
	l := d.b.links[c]
	d.b.mu.Unlock()
	if l != nil {
		l.unlink()
	}
}

// Event implements flow.Handler.
func (l *link) Event(e flow.Event) {
	switch e {
	case flow.EventWritable:
		l.queue.room(&l.neighbour)
	case flow.EventDown, flow.EventUp:
		l.setDown(e == flow.EventDown)
	case flow.EventMTU:
		l.resize()
		l.b.fwd.measure()
	case flow.EventDealloc:
		l.lost(errno.New(errno.FlowDown, "its flow was deallocated"))
	case flow.EventPeer:
		l.lost(errno.New(errno.FlowPeer, "nothing was heard of the member for too long"))
	}
}

func (l *link) setDown(down bool) {
	l.b.fwd.set(&l.neighbour, func(n *neighbour) { n.down = down })
	l.b.tree.turn(func(m *spantree.Machine, now time.Time) {
		if l.port != nil {
			m.SetDown(now, l.port, down)
		}
	})
}

// settle says that it is decided how the connection carries.
func (l *link) settle() { l.once.Do(func() { close(l.settled) }) }

// lost ends the connection; one that was asked for is dialled again.
func (l *link) lost(why error) {
	if l.unlink() {
		l.conn.Lost(why)
	}
}

// unlink takes the connection out of everything; false when it is already.
func (l *link) unlink() bool {
	b := l.b
	b.mu.Lock()
	if l.ended {
		b.mu.Unlock()
		return false
	}
	l.ended = true
	l.cancel()
	delete(b.links, l.conn)
	if b.byPeer[l.peer] == l {
		delete(b.byPeer, l.peer)
	}
	c := l.control
	b.mu.Unlock()
	b.fwd.remove(&l.neighbour)
	if c != nil {
		b.tree.remove(l)
		c.end()
	}
	return true
}

// free lets the connection carry although it takes no part in the tree.
func (l *link) free(why error) {
	b := l.b
	b.mu.Lock()
	if l.ended || l.state != waiting {
		b.mu.Unlock()
		return
	}
	l.state = open
	b.mu.Unlock()
	b.count.uncontrolled.Add(1)
	b.fwd.set(&l.neighbour, func(n *neighbour) { n.open, n.agreed = true, true })
	l.settle()
	if b.env.Context.Err() == nil {
		b.env.Log.Warn("no control connection with a member: loops through it cannot be prevented",
			"connection", l.describe(), "err", why)
	}
}
