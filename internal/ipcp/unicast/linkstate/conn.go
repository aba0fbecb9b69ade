package linkstate

import (
	"fmt"
	"slices"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/wire/cep"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

// carrier is what is asked of a connection; *connmgr.Conn is one.
type carrier interface {
	Flow() flow.Flow
	HandOver(h flow.Handler)
	Lost(why error)
	ID() int
}

// conn is a Management connection, the flow.Handler of its flow.
type conn struct {
	l *LinkState
	p *peer
	c carrier

	readyAt time.Time // when the pause of a new connection is over
	ready   bool      // it is
	up      bool      // the flow is
	full    bool      // the flow takes nothing until EventWritable
	room    bool      // EventWritable came during Send
	gone    bool

	sentAt         time.Time // when something was sent last
	sent, received uint64    // packets
}

// Management is the component of the Management connections.
func (l *LinkState) Management() connmgr.Component { return management{l} }

type management struct{ l *LinkState }

// Info implements connmgr.Component. The messages are no GPB, but their syntax
// is called so.
func (m management) Info() cep.Message {
	return cep.Message{Component: irm.Management, Protocol: "LSP", Version: 1, Syntax: cep.SyntaxGPB, Address: m.l.cfg.Own}
}

// Added implements connmgr.Component.
func (m management) Added(c *connmgr.Conn) error { return m.l.join(c, c.Peer().Address) }

// Removed implements connmgr.Component.
func (m management) Removed(c *connmgr.Conn) { m.l.part(c) }

// join takes a connection to a neighbour over.
func (l *LinkState) join(c carrier, peer wire.Addr) error {
	l.mu.Lock()
	n, old, err := l.enter(c, peer)
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if old != nil {
		old.c.Lost(fmt.Errorf("the neighbour %v has %d newer Management connections", peer, maxConns))
	}
	c.HandOver(n)
	return nil
}

// enter makes a connection one of a peer's, and may put out its oldest. The lock
// is held.
func (l *LinkState) enter(c carrier, addr wire.Addr) (n, old *conn, err error) {
	p := l.peers[addr]
	switch {
	case l.closed:
		return nil, nil, errno.New(errno.IPCP, "the IPCP is being destroyed")
	case !addr.Valid():
		return nil, nil, errno.New(errno.Invalid, "the neighbour says that its address is %d, which no member can have", uint64(addr))
	case addr == l.cfg.Own:
		// Who has dialled takes another address if it can. Who was dialled would
		// have to believe it of everybody.
		l.count.conflicts++
		l.once("a neighbour has the address of this member", "address", l.cfg.Own)
		return nil, nil, errno.New(errno.Exist, "the neighbour has the address %v, which is that of this member", addr).
			Next("connect to another member; if it is another, destroy one of the two and enroll it again")
	case p == nil && len(l.peers) >= maxPeers:
		l.count.refused++
		return nil, nil, errno.New(errno.NoBufs, "there are Management connections to %d neighbours", maxPeers)
	case p == nil:
		p = newPeer(addr)
		p.kin = l.kin(addr)
		l.peers[addr] = p
	case len(p.conns) >= maxConns:
		old = p.conns[0]
		l.remove(old)
		l.peers[addr] = p // it has others
	}
	now := time.Now()
	n = &conn{l: l, p: p, c: c, up: true, readyAt: now.Add(firstPause), sentAt: now}
	p.conns = append(p.conns, n)
	l.conns[c] = n
	l.count.connections++
	l.due(n.readyAt)
	l.firstConn(now)
	return n, old, nil
}

// part forgets a connection that ends.
func (l *LinkState) part(c carrier) {
	l.mu.Lock()
	if n := l.conns[c]; n != nil {
		l.remove(n)
	}
	l.mu.Unlock()
	l.flush()
}

// remove takes a connection out. Its peer is one as long as it has another. The
// lock is held.
func (l *LinkState) remove(c *conn) {
	c.gone = true
	delete(l.conns, c.c)
	p := c.p
	p.conns = slices.DeleteFunc(p.conns, func(o *conn) bool { return o == c })
	l.choose(p)
	if len(p.conns) == 0 {
		delete(l.peers, p.addr)
	}
}

// Event implements flow.Handler.
func (c *conn) Event(e flow.Event) {
	switch e {
	case flow.EventDealloc:
		c.lost(errno.FlowDown, e)
	case flow.EventPeer:
		c.lost(errno.FlowPeer, e)
	default:
		c.state(e)
		c.l.flush()
	}
}

// lost ends a connection that is dead.
func (c *conn) lost(why error, e flow.Event) {
	l := c.l
	l.mu.Lock()
	if c.gone {
		l.mu.Unlock()
		return
	}
	l.remove(c)
	if e == flow.EventPeer {
		l.count.silent++
	} else {
		l.count.ended++
	}
	l.mu.Unlock()
	c.c.Lost(fmt.Errorf("the Management connection to %v: %w", c.p.addr, why))
	l.flush()
}

// state takes over what an event says.
func (c *conn) state(e flow.Event) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.gone {
		return
	}
	switch e {
	case flow.EventWritable:
		c.room, c.full = true, false
		l.list(c.p)
	case flow.EventDown:
		if c.up {
			c.up = false
			l.count.down++
			l.choose(c.p)
		}
	case flow.EventUp:
		if !c.up { // what was sent meanwhile is lost
			c.up, c.full = true, false
			l.count.up++
			l.choose(c.p)
		}
	}
}
