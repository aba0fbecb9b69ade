package flow

import (
	"context"
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/packet"
)

// connLimit bounds what waits for a Recv.
var connLimit = Limit{Packets: 64, Bytes: MaxPacket}

// Conn is a flow for code that waits: the few messages of an enrolment or of a
// connection establishment, sent and received one by one. HandOver ends that
// and gives the flow to a Handler, as when the connection is established and
// the data begins. One goroutine at a time may call Recv, Send and HandOver.
type Conn struct {
	flow  Flow
	in    Inbox
	news  chan struct{} // one token: a packet or the end has come
	room  chan struct{} // one token: EventWritable has come
	ended chan struct{} // closed by EventDealloc
	once  sync.Once
}

// NewConn attaches itself to f. spawn starts goroutines for the handler of
// HandOver, see Inbox; nil = go.
func NewConn(f Flow, spawn func(func())) *Conn {
	c := &Conn{flow: f, news: make(chan struct{}, 1), room: make(chan struct{}, 1), ended: make(chan struct{})}
	c.in.Init(connLimit, f.Resume, spawn)
	f.Attach((*connHandler)(c))
	return c
}

// Flow is the flow itself.
func (c *Conn) Flow() Flow { return c.flow }

// Recv waits for the next packet. errno.FlowDown when the flow has ended
// before one came, and ctx's error when that ends first.
func (c *Conn) Recv(ctx context.Context) (*packet.Buffer, error) {
	for {
		if b := c.in.Pop(); b != nil {
			return b, nil
		}
		select {
		case <-c.news:
			continue
		default:
		}
		select {
		case <-c.news:
		case <-c.ended:
			if b := c.in.Pop(); b != nil {
				return b, nil
			}
			return nil, errno.FlowDown
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Send passes b on, waiting for room. b is gone in any case.
func (c *Conn) Send(ctx context.Context, b *packet.Buffer) error {
	batch := []*packet.Buffer{b}
	for {
		select {
		case <-c.ended:
			b.Release()
			return errno.FlowDown
		default:
		}
		if c.flow.Send(batch) == 1 {
			return nil
		}
		select {
		case <-c.room:
		case <-c.ended:
		case <-ctx.Done():
			b.Release()
			return ctx.Err()
		}
	}
}

// HandOver gives the flow to h: what has come and was not received, then all
// that follows. Recv must not be called any more.
func (c *Conn) HandOver(h Handler) { c.in.Attach(h) }

// Resume is that of the flow, for the handler of HandOver.
func (c *Conn) Resume() { c.in.Resume() }

// Close deallocates the flow.
func (c *Conn) Close() {
	c.in.Close()
	c.flow.Dealloc()
}

// connHandler is the Conn towards its flow.
type connHandler Conn

func (c *connHandler) Receive(batch []*packet.Buffer) (taken int) {
	taken = c.in.Put(batch)
	wakeUp(c.news)
	return taken
}

func (c *connHandler) Event(e Event) {
	switch e {
	case EventDealloc:
		c.once.Do(func() { close(c.ended) })
		c.in.End(e)
	case EventWritable:
		wakeUp(c.room)
		c.in.Event(e)
	default:
		c.in.Event(e)
	}
}

// wakeUp leaves a token for who waits, or will.
func wakeUp(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}
