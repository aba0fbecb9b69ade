package unicast

import (
	"context"
	"errors"
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/wire/cep"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/irm"
)

// proxy is a component of the IPCP whatever address it has: it passes each
// connection to that component of the member which is there at that time.
type proxy struct {
	u    *IPCP
	info func(own wire.Addr) cep.Message
	of   func(*member) connmgr.Component

	mu    sync.Mutex
	conns map[*connmgr.Conn]*member
	added chan struct{} // closed, and made anew, when a connection was added or dropped
}

func newProxy(u *IPCP, info func(wire.Addr) cep.Message, of func(*member) connmgr.Component) *proxy {
	return &proxy{u: u, info: info, of: of, conns: make(map[*connmgr.Conn]*member), added: make(chan struct{})}
}

// managementInfo is what is said of the component Management. Its messages have
// a fixed form, but their syntax is called GPB.
func managementInfo(own wire.Addr) cep.Message {
	return cep.Message{Component: irm.Management, Protocol: "LSP", Version: 1, Syntax: cep.SyntaxGPB, Address: own}
}

// transferInfo is what is said of the component Data Transfer.
func transferInfo(own wire.Addr) cep.Message {
	return cep.Message{Component: irm.DataTransfer, Protocol: "dtp", Version: 1, Syntax: cep.SyntaxFixed, Address: own}
}

// Info implements connmgr.Component.
func (p *proxy) Info() cep.Message {
	own := wire.Addr(0)
	if m, err := p.u.now(); err == nil {
		own = m.own
	}
	return p.info(own)
}

// Added implements connmgr.Component.
func (p *proxy) Added(c *connmgr.Conn) error {
	m, err := p.u.now()
	if err != nil {
		return err
	}
	p.mu.Lock()
	for old := range p.conns { // those that the component has lost
		select {
		case <-old.Done():
			delete(p.conns, old)
		default:
		}
	}
	p.conns[c] = m
	p.mu.Unlock()
	if err := p.of(m).Added(c); err != nil {
		p.forget(c)
		if c.Dialled() && errors.Is(err, errno.Exist) {
			p.u.env.Go(func() { p.u.move(m) }) // the address is that of the neighbour
		}
		return err
	}
	p.mu.Lock()
	p.wake()
	p.mu.Unlock()
	return nil
}

// wake tells those who await. p.mu is held.
func (p *proxy) wake() {
	close(p.added)
	p.added = make(chan struct{})
}

// Removed implements connmgr.Component.
func (p *proxy) Removed(c *connmgr.Conn) {
	if m := p.forget(c); m != nil {
		p.of(m).Removed(c)
	}
}

// forget takes a connection out, and gives the member that has it.
func (p *proxy) forget(c *connmgr.Conn) *member {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.conns[c]
	delete(p.conns, c)
	return m
}

// drop ends all connections of a member because of why.
func (p *proxy) drop(m *member, why error) {
	p.mu.Lock()
	var all []*connmgr.Conn
	for c, of := range p.conns {
		if of == m {
			all = append(all, c)
			delete(p.conns, c)
		}
	}
	p.wake()
	p.mu.Unlock()
	for _, c := range all {
		p.of(m).Removed(c)
		c.Lost(why)
	}
}

// await waits until a member has a connection, or is no longer the present one.
func (p *proxy) await(ctx context.Context, m *member) {
	for {
		p.mu.Lock()
		added := p.added
		has := false
		for _, of := range p.conns {
			has = has || of == m
		}
		p.mu.Unlock()
		if now, err := p.u.now(); has || err != nil || now != m {
			return
		}
		select {
		case <-added:
		case <-ctx.Done():
			return
		}
	}
}
