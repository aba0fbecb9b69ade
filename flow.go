package ouroboros

import (
	"net"
	"time"
)

// Flow is one end of a flow: messages in, messages out. It is a net.Conn whose
// Read and Write keep message boundaries. All methods may be called from any
// goroutine; of two readers each gets different messages.
type Flow struct{}

// Flags change how a flow reads and writes; the values are those of the C
// interface.
type Flags uint32

// The flags. Note that ReadOnly is 0: include ReadWrite when setting others.
const (
	ReadOnly         Flags = 0
	WriteOnly        Flags = 1
	ReadWrite        Flags = 2
	AccessMode       Flags = 3
	Down             Flags = 4
	NonBlockingRead  Flags = 0o1000
	NonBlockingWrite Flags = 0o2000
	NonBlocking      Flags = 0o3000
	NoPartialRead    Flags = 0o10000
	NoPartialWrite   Flags = 0o20000

	DefaultFlags = ReadWrite | NoPartialWrite
)

// FRCTFlags govern the reliability protocol of an in-order flow.
type FRCTFlags uint16

// The flags.
const (
	Retransmit FRCTFlags = 1 // from the QoS, cannot be set
	ResControl FRCTFlags = 2 // obey the peer's window
	Linger     FRCTFlags = 4 // dealloc waits for acknowledgements
)

// Read gives the next message, or the next part of one that was longer than
// p: then the following calls give the rest, and one that exactly fills p is
// followed by one that returns 0, nil. With NoPartialRead a message longer
// than p is discarded with ErrMsgSize.
//
// Messages that were queued are read before the end of a flow is reported:
// ErrFlowDown, or ErrFlowPeer after a peer time-out. ErrTimeout after the
// deadline or read time-out, ErrWouldBlock with NonBlockingRead, ErrNotAlloc
// after Dealloc.
func (f *Flow) Read(p []byte) (n int, err error) { panic("not built yet") }

// Write sends p as one message. ErrMsgSize when the flow cannot carry it,
// ErrPerm when read-only, ErrWouldBlock with NonBlockingWrite when the queue
// is full, ErrTimeout, ErrFlowDown, ErrNotAlloc. An empty message is not sent.
func (f *Flow) Write(p []byte) (n int, err error) { panic("not built yet") }

// Dealloc ends the flow at this side. What was written is still delivered;
// what was not read is discarded. A second call returns ErrNotAlloc.
func (f *Flow) Dealloc() error { panic("not built yet") }

// Close is Dealloc for defer and io.Closer: calling it again is no error.
func (f *Flow) Close() error { panic("not built yet") }

// ID is the number of the flow on this node, the same at both ends of a flow
// between two of its processes.
func (f *Flow) ID() int { panic("not built yet") }

// QoS is what was agreed on.
func (f *Flow) QoS() QoS { panic("not built yet") }

// MPL is the longest life of a packet in the layer that carries the flow.
func (f *Flow) MPL() time.Duration { panic("not built yet") }

// Flags and SetFlags read and replace all flags. Setting or clearing Down is
// seen by the other side of the flow as a down or up event.
func (f *Flow) Flags() Flags               { panic("not built yet") }
func (f *Flow) SetFlags(flags Flags) error { panic("not built yet") }

// FRCTFlags and SetFRCTFlags fail with ErrPerm on a flow without FRCP.
func (f *Flow) FRCTFlags() (FRCTFlags, error)      { panic("not built yet") }
func (f *Flow) SetFRCTFlags(flags FRCTFlags) error { panic("not built yet") }

// SetReadTimeout and SetWriteTimeout limit each following call; negative
// means no limit, zero means not to wait. The getters give -1 for none.
func (f *Flow) SetReadTimeout(d time.Duration)  { panic("not built yet") }
func (f *Flow) SetWriteTimeout(d time.Duration) { panic("not built yet") }
func (f *Flow) ReadTimeout() time.Duration      { panic("not built yet") }
func (f *Flow) WriteTimeout() time.Duration     { panic("not built yet") }

// RxQueueLen and TxQueueLen are the messages waiting to be read here, and
// those not yet taken by the other side or the layer.
func (f *Flow) RxQueueLen() int { panic("not built yet") }
func (f *Flow) TxQueueLen() int { panic("not built yet") }

// The rest of net.Conn. Deadlines are absolute and apply besides time-outs.
func (f *Flow) LocalAddr() net.Addr                { panic("not built yet") }
func (f *Flow) RemoteAddr() net.Addr               { panic("not built yet") }
func (f *Flow) SetDeadline(t time.Time) error      { panic("not built yet") }
func (f *Flow) SetReadDeadline(t time.Time) error  { panic("not built yet") }
func (f *Flow) SetWriteDeadline(t time.Time) error { panic("not built yet") }

// Stream gives the byte-stream view of a reliable flow: writes are split into
// messages that fit, reads join them, and io.EOF follows the last byte after
// the peer deallocated. It fails with ErrNotSup on a flow that may lose
// messages. The flow and its stream must not be read both.
func (f *Flow) Stream() (net.Conn, error) { panic("not built yet") }

// Addr is the net.Addr of a flow's end: a name.
type Addr string

func (Addr) Network() string  { return "ouroboros" }
func (a Addr) String() string { return string(a) }
