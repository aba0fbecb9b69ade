package flow

import (
	"sync/atomic"

	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// PipeOptions says what a Pipe is. The zero value is a raw flow with the
// longest MTU.
type PipeOptions struct {
	QoS   qos.Spec
	MTU   int          // 0 = MaxPacket
	Limit Limit        // of each direction
	Spawn func(func()) // starts the rare goroutine of an Inbox; nil = go
	Done  func()       // called once, when both ends are deallocated; may be nil
}

// Pipe is one end of a flow between two users in one program: two IPCPs of a
// node, two ends of a local layer, a test and what it tests. What is sent at
// one end is delivered at the other on the goroutine of the sender; nothing is
// lost while both ends live, and when the receiver is full the sender gets to
// know by Send taking fewer.
//
//	one end                      the other
//	Send ──────► Inbox ──────► Receive
//	Receive ◄──── Inbox ◄────── Send
type Pipe struct {
	in    Inbox // what comes to this end
	other *Pipe
	line  *line
	long  atomic.Uint64
}

// line is what both ends share.
type line struct {
	qos  qos.Spec
	mtu  atomic.Int64
	down atomic.Bool
	ends atomic.Int32 // not deallocated yet
	done func()
}

// NewPipe makes the two ends.
func NewPipe(o PipeOptions) (a, b *Pipe) {
	if o.MTU <= 0 {
		o.MTU = MaxPacket
	}
	l := &line{qos: o.QoS, done: o.Done}
	l.mtu.Store(int64(o.MTU))
	l.ends.Store(2)
	a, b = &Pipe{line: l}, &Pipe{line: l}
	a.other, b.other = b, a
	// Room in the queue towards one end is news for the other.
	a.in.Init(o.Limit, func() { b.in.Event(EventWritable) }, o.Spawn)
	b.in.Init(o.Limit, func() { a.in.Event(EventWritable) }, o.Spawn)
	return a, b
}

// Send implements Flow.
func (p *Pipe) Send(batch []*packet.Buffer) (taken int) {
	if p.line.down.Load() {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	mtu := p.MTU()
	for taken < len(batch) {
		fit := taken
		for fit < len(batch) && batch[fit].Len() <= mtu {
			fit++
		}
		n := p.other.in.Put(batch[taken:fit])
		taken += n
		if taken < fit {
			return taken
		}
		if fit < len(batch) {
			p.long.Add(1)
			batch[fit].Release()
			taken++
		}
	}
	return taken
}

// Attach implements Flow.
func (p *Pipe) Attach(h Handler) { p.in.Attach(h) }

// Resume implements Flow.
func (p *Pipe) Resume() { p.in.Resume() }

// MTU implements Flow.
func (p *Pipe) MTU() int { return int(p.line.mtu.Load()) }

// QoS implements Flow.
func (p *Pipe) QoS() qos.Spec { return p.line.qos }

// QueueLen implements Flow: the packets that the other end has not taken.
func (p *Pipe) QueueLen() int { return p.other.in.Len() }

// Dealloc implements Flow. The other end gets EventDealloc after the last
// packet.
func (p *Pipe) Dealloc() {
	if !p.in.Close() {
		return
	}
	p.other.in.End(EventDealloc)
	if p.line.ends.Add(-1) == 0 && p.line.done != nil {
		p.line.done()
	}
}

// Lossless implements the interface of that name.
func (p *Pipe) Lossless() bool { return true }

// Signal implements Signaller.
func (p *Pipe) Signal(e Event) {
	if e == EventDown || e == EventUp {
		p.other.in.Event(e)
	}
}

// End ends the flow from the side of the layer: both users get e, each after
// the last packet for it.
func (p *Pipe) End(e Event) {
	p.in.End(e)
	p.other.in.End(e)
}

// SetDown makes the layer below both ends fail or work again; while it is down
// what is sent is lost. Both users get EventDown or EventUp when it changes.
func (p *Pipe) SetDown(down bool) {
	if p.line.down.Swap(down) == down {
		return
	}
	e := EventUp
	if down {
		e = EventDown
	}
	p.in.Event(e)
	p.other.in.Event(e)
}

// SetMTU changes the MTU for both ends and tells both users.
func (p *Pipe) SetMTU(n int) {
	if int(p.line.mtu.Swap(int64(n))) == n {
		return
	}
	p.in.Event(EventMTU)
	p.other.in.Event(EventMTU)
}

// Dropped counts the packets sent from this end that were too long or came
// after the other end had deallocated.
func (p *Pipe) Dropped() uint64 { return p.long.Load() + p.other.in.Dropped() }
