package registry

import (
	"context"
	"slices"

	"ouroboros/internal/errno"
	"ouroboros/irm"
	"ouroboros/qos"
)

// connection is one that an administrator has made. The IPCP keeps it up; the
// registry remembers it for the next start. r.mu guards it.
type connection struct {
	SavedConnection
	made bool // since the start of the node
}

// connectionTo finds the newest connection; nil when there is none. r.mu is
// held.
func (e *ipcpEntry) connectionTo(component, dst string) *connection {
	for _, c := range slices.Backward(e.conns) {
		if c.Component == component && c.Dst == dst {
			return c
		}
	}
	return nil
}

// ConnectIPCP makes the connection of a component to a neighbour. The IPCP
// keeps it up from then on, and with a Store it is made again at the next
// start. A second one to the same neighbour is another one.
func (r *Registry) ConnectIPCP(ctx context.Context, pid int, component, dst string, spec qos.Spec) error {
	e, err := r.connecting(pid, component, dst)
	if err != nil {
		return because(err, "cannot connect the IPCP")
	}
	return r.connect(ctx, e, SavedConnection{Component: component, Dst: dst, QoS: spec})
}

func (r *Registry) connect(ctx context.Context, e *ipcpEntry, want SavedConnection) error {
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	if err := e.impl.Connect(ctx, want.Component, want.Dst, want.QoS); err != nil {
		err = tooLong(ctx, err, connectWait)
		return because(r.unreached(e, err, want.Dst), "cannot connect %s of %q and %q", want.Component, e.name, want.Dst)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.state != stateUp {
		return errno.New(errno.IPCP, "cannot connect %s of %q and %q: the IPCP has ended meanwhile", want.Component, e.name, want.Dst)
	}
	e.conns = append(e.conns, &connection{want, true})
	r.tellConnection(e, "connected", want)
	r.stir()
	return nil
}

// tellConnection publishes a change of the connections. r.mu is held.
func (r *Registry) tellConnection(e *ipcpEntry, action string, c SavedConnection) {
	r.publish(irm.Event{Kind: "ipcp", Action: action, Name: e.name, PID: e.pid, Layer: e.layer.Name, Detail: c.Component + " with " + c.Dst})
	r.dirty()
}

// DisconnectIPCP ends the newest of them.
func (r *Registry) DisconnectIPCP(ctx context.Context, pid int, component, dst string) error {
	e, err := r.connecting(pid, component, dst)
	if err != nil {
		return because(err, "cannot disconnect the IPCP")
	}
	r.mu.Lock()
	c := e.connectionTo(component, dst)
	if c != nil && !c.made {
		r.forgetConnection(e, c)
		r.mu.Unlock()
		return nil // it was not made again yet
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	if err := e.impl.Disconnect(ctx, component, dst); err != nil {
		return because(tooLong(ctx, err, connectWait), "cannot disconnect %s of %q and %q", component, e.name, dst)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c != nil && slices.Contains(e.conns, c) {
		r.forgetConnection(e, c)
	}
	return nil
}

// forgetConnection ends what the registry knows of a connection. r.mu is held.
func (r *Registry) forgetConnection(e *ipcpEntry, c *connection) {
	e.conns = slices.DeleteFunc(e.conns, func(o *connection) bool { return o == c })
	r.tellConnection(e, "disconnected", c.SavedConnection)
}

// Connected reports whether an IPCP has been connected so, or is going to be
// since it was before the node started.
func (r *Registry) Connected(pid int, component, dst string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.ipcps.byPID[pid]
	return e != nil && e.connectionTo(component, dst) != nil
}

// connecting checks what a connection is asked for with.
func (r *Registry) connecting(pid int, component, dst string) (*ipcpEntry, error) {
	e, err := r.lookupIPCP(pid)
	if err != nil {
		return nil, err
	}
	if component != irm.DataTransfer && component != irm.Management {
		return nil, errno.New(errno.Invalid, "component %q is unknown", component).Next("use %q or %q", irm.DataTransfer, irm.Management)
	}
	return e, irm.CheckName("destination", dst)
}

// reconnect makes the connections of the time before the start again: those to
// one neighbour in their order, those to several at the same time.
func (r *Registry) reconnect(ctx context.Context, e *ipcpEntry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := make(map[string][]*connection)
	for _, c := range e.conns {
		if !c.made {
			to[c.Dst] = append(to[c.Dst], c)
		}
	}
	for dst, conns := range to {
		r.work.Go(func() {
			for _, c := range conns {
				if err := r.persist(ctx, e, "connect "+c.Component+" with "+dst, func(ctx context.Context) error {
					return r.connectAgain(ctx, e, c)
				}); err != nil && r.ctx.Err() == nil && r.lives(e) {
					r.log.Error("a saved connection cannot be made any more", "ipcp", e.name, "component", c.Component, "dst", dst, "err", err)
				}
			}
		})
	}
}

// connectAgain makes a connection unless it has been made, or is not wanted any
// more.
func (r *Registry) connectAgain(ctx context.Context, e *ipcpEntry, c *connection) error {
	r.mu.Lock()
	over := c.made || !slices.Contains(e.conns, c)
	want := c.SavedConnection
	r.mu.Unlock()
	if over {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	if err := e.impl.Connect(ctx, want.Component, want.Dst, want.QoS); err != nil {
		err = tooLong(ctx, err, connectWait)
		return because(r.unreached(e, err, want.Dst), "cannot connect %s of %q and %q", want.Component, e.name, want.Dst)
	}
	r.mu.Lock()
	if !slices.Contains(e.conns, c) {
		r.mu.Unlock()
		return e.impl.Disconnect(ctx, want.Component, want.Dst)
	}
	defer r.mu.Unlock()
	c.made = true
	r.tellConnection(e, "connected", want)
	r.stir()
	return nil
}
