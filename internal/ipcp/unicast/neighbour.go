package unicast

import (
	"fmt"
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/unicast/dt"
	"ouroboros/internal/wire/cep"
	wire "ouroboros/internal/wire/dt"
)

// adjacencies are the data transfer connections of a member, each a port of the
// engine; routing hears which neighbours can be reached over them.
type adjacencies struct {
	m *member

	mu    sync.Mutex // also orders what routing hears
	ports map[*connmgr.Conn]*dt.Port
}

// Info implements connmgr.Component. The IPCP's proxy gives the message itself.
func (a *adjacencies) Info() cep.Message { return transferInfo(a.m.own) }

// Removed implements connmgr.Component.
func (a *adjacencies) Removed(c *connmgr.Conn) { a.remove(c) }

// Added implements connmgr.Component: it makes a port of a connection.
func (a *adjacencies) Added(c *connmgr.Conn) error {
	peer := c.Peer().Address
	switch {
	case !peer.Valid():
		return errno.New(errno.Invalid, "the neighbour says that its address is %d, which no member can have", uint64(peer))
	case peer == a.m.own:
		return errno.New(errno.Exist, "the neighbour has the address %v, which is that of this member", peer).
			Next("connect to another member; if it is another, destroy one of the two and enroll it again")
	}
	a.mu.Lock()
	if a.ports == nil {
		a.ports = make(map[*connmgr.Conn]*dt.Port)
	}
	p := a.m.engine.AddPort(peer, c.Flow(), func(e flow.Event) { a.event(c, e) })
	a.ports[c] = p
	a.tell(peer)
	a.m.routing.Connected(peer)
	a.mu.Unlock()
	c.HandOver(p)
	return nil
}

// event is what the flow of a connection has to say.
func (a *adjacencies) event(c *connmgr.Conn, e flow.Event) {
	switch e {
	case flow.EventDealloc, flow.EventPeer:
		a.remove(c)
		why := "has deallocated the connection"
		if e == flow.EventPeer {
			why = "is silent"
		}
		c.Lost(fmt.Errorf("the neighbour %v %s", c.Peer().Address, why))
	default:
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.ports[c] != nil {
			a.tell(c.Peer().Address)
		}
	}
}

// remove takes the port of a connection out of use.
func (a *adjacencies) remove(c *connmgr.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.ports[c]
	if p == nil {
		return
	}
	delete(a.ports, c)
	p.Remove()
	a.tell(p.Peer())
}

// tell says to routing whether a neighbour can be reached. a.mu is held.
func (a *adjacencies) tell(peer wire.Addr) {
	mtu := 0
	for _, p := range a.ports {
		if p.Peer() == peer && p.Up() {
			mtu = max(mtu, p.MTU())
		}
	}
	if mtu > 0 {
		a.m.routing.Up(peer, mtu)
	} else {
		a.m.routing.Down(peer)
	}
}

// any reports whether there is a data transfer connection.
func (a *adjacencies) any() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ports) > 0
}
