package broadcast

import (
	"context"
	"errors"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/broadcast/spantree"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dt"
	wire "ouroboros/internal/wire/tree"
	"ouroboros/qos"
)

// spanningTree is the name of the component that only members of our kind have.
const spanningTree = "Spanning Tree"

// Of control connections.
const (
	controlTime  = 10 * time.Second // for who dials it; then there is none
	controlWait  = 15 * time.Second // for the other
	controlTries = 8                // that may lead to other members
	controlAgain = 100 * time.Millisecond

	strayTime = 10 * time.Second // for the data connection of one that came first
	strayMost = 64
)

// control is a control connection: beside a connection of Data Transfer
// between two members of our kind, dialled by the same side, it carries what
// they tell each other of the tree. It begins with one and ends with it.
type control struct {
	b    *IPCP
	conn *connmgr.Conn
	peer uint64

	link *link // of the IPCP's mu; nil: a stray, its data connection has not come yet
}

// treeComponent is the component.
type treeComponent struct{ b *IPCP }

// Info implements connmgr.Component.
func (t treeComponent) Info() cep.Message {
	return cep.Message{
		Component: spanningTree, Protocol: "stp", Version: wire.Version,
		Syntax: cep.SyntaxFixed, Address: dt.Addr(t.b.own),
	}
}

// Added implements connmgr.Component: a peer has dialled.
func (t treeComponent) Added(c *connmgr.Conn) error {
	b := t.b
	k := &control{b: b, conn: c, peer: uint64(c.Peer().Address)}
	if k.peer == 0 || k.peer == b.own {
		return errno.New(errno.Invalid, "a member calls itself %s", name(k.peer))
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errGone()
	}
	l := b.byPeer[k.peer]
	if l == nil {
		old := b.strays[k.peer]
		if old == nil && len(b.strays) >= strayMost {
			b.mu.Unlock()
			b.count.strays.Add(1)
			return errno.New(errno.NoBufs, "there are %d control connections already whose data connections are missing", strayMost)
		}
		b.strays[k.peer] = k
		b.mu.Unlock()
		if old != nil {
			old.conn.Close()
		}
		b.env.AfterFunc(strayTime, k.expire)
		return nil
	}
	if l.state != waiting || l.conn.Dialled() {
		b.mu.Unlock()
		b.count.strays.Add(1)
		return errno.New(errno.Exist, "the connection with member %s has or needs none", name(k.peer))
	}
	b.join(l, k)
	return nil
}

// expire ends a stray.
func (k *control) expire() {
	b := k.b
	b.mu.Lock()
	stray := b.strays[k.peer] == k
	if stray {
		delete(b.strays, k.peer)
	}
	b.mu.Unlock()
	if stray {
		b.count.strays.Add(1)
		k.conn.Close()
	}
}

// Removed implements connmgr.Component.
func (t treeComponent) Removed(c *connmgr.Conn) {
	b := t.b
	var l *link
	b.mu.Lock()
	for _, o := range b.links {
		if o.control != nil && o.control.conn == c {
			l = o
		}
	}
	for peer, k := range b.strays {
		if k.conn == c {
			delete(b.strays, peer)
		}
	}
	b.mu.Unlock()
	if l != nil {
		l.unlink()
	}
}

// join gives a data connection its control connection. b.mu is held, and not any
// more at the return.
func (b *IPCP) join(l *link, k *control) {
	l.control, k.link = k, l
	l.state = inTree
	b.mu.Unlock()
	b.tree.add(l, b.fwd.isDown(&l.neighbour))
	k.conn.HandOver(k)
}

// seek looks for the control connection of a new data connection: who has
// dialled the one dials the other.
func (b *IPCP) seek(l *link) {
	if l.conn.Dialled() {
		b.env.Go(func() { b.dial(l) })
		return
	}
	b.mu.Lock()
	k := b.strays[l.peer]
	if k != nil && !l.ended && l.state == waiting {
		delete(b.strays, l.peer)
		b.join(l, k)
		return
	}
	b.mu.Unlock()
	b.env.AfterFunc(controlWait, func() {
		l.free(errno.New(errno.TimedOut, "the member has dialled none within %v", controlWait))
	})
}

// dial makes the control connection. The name may lead to any of several
// members; only the one with the data connection will do.
func (b *IPCP) dial(l *link) {
	ctx, cancel := context.WithTimeout(l.ctx, controlTime)
	defer cancel()
	var last error
	for range controlTries {
		c, err := b.mgr.Dial(ctx, spanningTree, l.conn.Dst(), qos.RawNoErrors)
		if err != nil {
			if l.ctx.Err() != nil {
				return
			}
			last = err
			break
		}
		if peer := uint64(c.Peer().Address); peer != l.peer {
			c.Close()
			b.count.astray.Add(1)
			last = errno.New(errno.NameError, "the name leads to several members, and not to member %s again", name(l.peer)).
				Next("connect to a name that only one member has")
			if !pause(ctx, controlAgain) {
				break
			}
			continue
		}
		k := &control{b: b, conn: c, peer: l.peer}
		b.mu.Lock()
		if l.ended || l.state != waiting {
			b.mu.Unlock()
			c.Close()
			return
		}
		b.join(l, k)
		return
	}
	if l.ctx.Err() == nil && !errors.Is(last, context.Canceled) {
		l.free(last)
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Receive implements flow.Handler.
func (k *control) Receive(batch []*packet.Buffer) (taken int) {
	var gone bool
	var room [16]wire.Message
	messages := room[:0]
	for _, p := range batch {
		m, err := wire.Parse(p.Bytes())
		empty := p.Len() == 0
		p.Release()
		switch {
		case empty:
		case err != nil:
			k.b.count.garbage.Add(1)
		case m.Kind == wire.Gone:
			gone = gone || m.Sender == k.peer
		default:
			messages = append(messages, m)
		}
	}
	l := k.link // joined before the flow was handed over
	if len(messages) > 0 {
		k.b.tree.turn(func(m *spantree.Machine, now time.Time) {
			if l.port == nil {
				return
			}
			for _, msg := range messages {
				m.Receive(now, l.port, msg)
			}
		})
	}
	if gone {
		l.lost(errno.New(errno.FlowDown, "the member has ended it"))
	}
	return len(batch)
}

// Event implements flow.Handler.
func (k *control) Event(e flow.Event) {
	switch e {
	case flow.EventDealloc:
		k.link.lost(errno.New(errno.FlowDown, "the flow of its control connection was deallocated"))
	case flow.EventPeer:
		k.link.lost(errno.New(errno.FlowPeer, "nothing was heard on its control connection for too long"))
	}
}

// end tells the peer, which may hear of it in no other way, and deallocates.
func (k *control) end() {
	transmit(k.conn.Flow(), wire.Message{Kind: wire.Gone, Sender: k.b.own})
	k.conn.Close()
}
