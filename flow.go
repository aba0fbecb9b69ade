package ouroboros

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ring"
	"ouroboros/internal/session"
)

// Flow is one end of a flow: messages in, messages out. It is a net.Conn whose
// Read and Write keep message boundaries. All methods may be called from any
// goroutine; of two readers each gets different messages.
type Flow struct {
	end    *ring.End
	client *Client

	id     int
	qos    QoS
	mpl    time.Duration
	remote bool
	here   Addr
	there  Addr

	flags        atomic.Uint32
	readTimeout  atomic.Int64 // nanoseconds, -1 = none
	writeTimeout atomic.Int64
	gone         atomic.Bool // deallocated

	member atomic.Pointer[member] // of the set that the flow is in
	seen   atomic.Uint32          // node events not yet given to a set, a mask of EventTypes

	mu   sync.Mutex // SetFlags and its like; taken before the end's locks
	frct FRCTFlags
}

// newFlow wraps what a node granted. server says which side asked.
func newFlow(c *Client, g *session.Grant, server bool) *Flow {
	f := &Flow{
		end:    g.End,
		client: c,
		id:     g.ID,
		qos:    g.QoS,
		mpl:    g.MPL,
		remote: g.Remote,
		frct:   initialFRCT(g.QoS),
	}
	g.End.Limit(g.MTU)
	other := Addr("remote process")
	if g.Peer != 0 {
		other = Addr(fmt.Sprintf("process %d", g.Peer))
	}
	if server {
		f.here, f.there = Addr(g.Name), other
	} else {
		f.here, f.there = Addr(fmt.Sprintf("flow %d", g.ID)), Addr(g.Name)
	}
	f.flags.Store(uint32(DefaultFlags))
	f.readTimeout.Store(-1)
	f.writeTimeout.Store(-1)
	g.OnEvent(f.nodeEvent)
	return f
}

// nodeEvent is told by the node what it saw; it does not block.
func (f *Flow) nodeEvent(ev flow.Event) {
	switch ev {
	case flow.EventDown, flow.EventUp, flow.EventPeer, flow.EventDealloc:
	default:
		return
	}
	f.end.Mark(ev)
	f.seen.Or(uint32(ev))
	f.wake()
}

// wake tells the set of the flow to look at it.
func (f *Flow) wake() {
	if m := f.member.Load(); m != nil {
		m.set.raise(m)
	}
}

// Read gives the next message, or the next part of one that was longer than
// p: then the following calls give the rest, and one that exactly fills p is
// followed by one that returns 0, nil. With NoPartialRead a message longer
// than p is discarded with ErrMsgSize.
//
// Messages that were queued are read before the end of a flow is reported:
// ErrFlowDown, or ErrFlowPeer after a peer time-out. ErrTimeout after the
// deadline or read time-out, ErrWouldBlock with NonBlockingRead, ErrNotAlloc
// after Dealloc.
func (f *Flow) Read(p []byte) (n int, err error) {
	flags := Flags(f.flags.Load())
	mode := ring.Partial
	if flags&NoPartialRead != 0 {
		mode = ring.Whole
	}
	return f.end.Read(p, ring.ReadOptions{
		Mode:    mode,
		NoWait:  flags&NonBlockingRead != 0,
		Timeout: time.Duration(f.readTimeout.Load()),
	})
}

// Write sends p as one message. ErrMsgSize when the flow cannot carry it,
// ErrPerm when read-only, ErrWouldBlock with NonBlockingWrite when the queue
// is full, ErrTimeout, ErrFlowDown, ErrNotAlloc. An empty message is not sent.
func (f *Flow) Write(p []byte) (n int, err error) {
	flags := Flags(f.flags.Load())
	switch {
	case f.gone.Load():
		return 0, ErrNotAlloc
	case flags&AccessMode == ReadOnly:
		return 0, ErrPerm
	}
	err = f.end.Write(p, ring.WriteOptions{
		NoWait:  flags&NonBlockingWrite != 0,
		Timeout: time.Duration(f.writeTimeout.Load()),
	})
	if err != nil {
		if err == errno.MsgSize {
			err = errTooLong(len(p), f.MTU())
		}
		return 0, err
	}
	return len(p), nil
}

// errTooLong is for a message that the flow cannot carry.
func errTooLong(n, most int) error {
	return errno.New(errno.MsgSize, "cannot send a message of %d bytes: the flow carries %d at most", n, most).
		Next("send it in parts, or use the stream of a reliable flow")
}

// Dealloc ends the flow at this side. What was written is still delivered;
// what was not read is discarded. A second call returns ErrNotAlloc.
func (f *Flow) Dealloc() error {
	if !f.gone.CompareAndSwap(false, true) {
		return ErrNotAlloc
	}
	f.leaveSet()
	f.client.forget(f)
	f.end.Close()
	f.client.backend.Dealloc(f.id)
	return nil
}

// Close is Dealloc for defer and io.Closer: calling it again is no error.
func (f *Flow) Close() error {
	_ = f.Dealloc()
	return nil
}

// ID is the number of the flow on this node, the same at both ends of a flow
// between two of its processes.
func (f *Flow) ID() int { return f.id }

// QoS is what was agreed on.
func (f *Flow) QoS() QoS { return f.qos }

// MPL is the longest life of a packet in the layer that carries the flow.
func (f *Flow) MPL() time.Duration { return f.mpl }

// MTU is the longest message in bytes that a Write takes now. Over a layer it
// changes with the network below.
func (f *Flow) MTU() int { return f.end.MTU() }

// SetReadTimeout and SetWriteTimeout limit each following call; negative
// means no limit, zero means not to wait. The getters give -1 for none.
func (f *Flow) SetReadTimeout(d time.Duration)  { f.readTimeout.Store(int64(max(d, -1))) }
func (f *Flow) SetWriteTimeout(d time.Duration) { f.writeTimeout.Store(int64(max(d, -1))) }
func (f *Flow) ReadTimeout() time.Duration      { return time.Duration(f.readTimeout.Load()) }
func (f *Flow) WriteTimeout() time.Duration     { return time.Duration(f.writeTimeout.Load()) }

// RxQueueLen and TxQueueLen are the messages waiting to be read here, and
// those not yet taken by the other side or the layer.
func (f *Flow) RxQueueLen() int { return f.end.RxQueueLen() }
func (f *Flow) TxQueueLen() int { return f.end.TxQueueLen() }

// Remote reports whether the other end is reached through a layer. Such a flow
// may be down for a while and come up again, as an Ethernet does without its
// cable; one between two processes of a node is down for good.
func (f *Flow) Remote() bool { return f.remote }

// Ended reports whether the flow was deallocated, here or at the other end:
// nothing can bring it up again.
func (f *Flow) Ended() bool { return f.gone.Load() || f.end.Ended() }

// LocalAddr and RemoteAddr are, where it is known, the name that the flow was
// allocated to, and who else is at the other end.
func (f *Flow) LocalAddr() net.Addr  { return f.here }
func (f *Flow) RemoteAddr() net.Addr { return f.there }

// SetDeadline, SetReadDeadline and SetWriteDeadline set the point in time
// after which calls, those that wait included, fail with ErrTimeout; zero for
// none. Deadlines apply besides time-outs.
func (f *Flow) SetDeadline(t time.Time) error {
	if f.gone.Load() {
		return ErrNotAlloc
	}
	f.end.SetReadDeadline(t)
	f.end.SetWriteDeadline(t)
	return nil
}

func (f *Flow) SetReadDeadline(t time.Time) error {
	if f.gone.Load() {
		return ErrNotAlloc
	}
	f.end.SetReadDeadline(t)
	return nil
}

func (f *Flow) SetWriteDeadline(t time.Time) error {
	if f.gone.Load() {
		return ErrNotAlloc
	}
	f.end.SetWriteDeadline(t)
	return nil
}

// Addr is the net.Addr of a flow's end: a name, or who is there in words.
type Addr string

func (Addr) Network() string  { return "ouroboros" }
func (a Addr) String() string { return string(a) }
