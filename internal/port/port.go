// Package port joins an application's rings to a flow inside the stack. It is
// the Handler of the flow, and drives this program's end of the rings.
//
//	application        rings            Port                  flow.Flow
//	 Write ──────► ring ──────► ReadBatch ─ pump ─► Send ──────────►
//	 Read  ◄────── ring ◄────── TryWrite  ◄──────── Receive ◄───────
//	 state ◄──────────────────  SetState  ◄──────── Event   ◄───────
//
// A port has no goroutine. It runs on the poller of its link when the
// application rings, and on the goroutines on which the flow delivers. One
// that has much to carry at a time goes on in a goroutine of its own, so that
// the other flows of the application get their turn; it ends when the ring is
// empty.
//
// # Back-pressure
//
// When the flow takes fewer packets than were read, the port reads no more
// until EventWritable: the ring fills up, and the application's Write waits or
// would block. When the ring to the application is full, Receive takes fewer,
// and it is the flow that knows what to do: keep the packets, close a window,
// or drop. The application's next Read that makes room wakes the port, which
// asks the flow to resume.
//
// # The end
//
// An application that closed its end, or broke the memory, has its flow
// deallocated after what it wrote before has been sent; the end of the flow is
// told to the application after what came before it. Close then gives all
// back. What a flow does not take then because its peer is given up, or within
// two minutes because its peer lives and reads nothing, is lost: a process that
// is gone holds nothing for longer.
package port

import (
	"errors"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/ring"
)

const (
	batchPackets = 64      // read from the ring at a time
	batchBytes   = 1 << 18 // after which a batch takes no further packet
	stream       = 8       // packets at a time that are no question and answer
	turn         = 4       // batches that are carried on somebody else's goroutine
)

// patience is how long a flow may take for what was written before Close: as
// long as FRCP sends a message again.
const patience = 2 * time.Minute

// grace is how long an application that does not read is not told that its
// peer was given up, so that one that reads slowly reads all first.
const grace = 5 * time.Second

// Reliable is a flow with FRCP, whose flags the application may change: the
// options that it sets at its end of the ring.
type Reliable interface{ SetFlags(flags uint) }

// Port joins one end of a ring to one flow.
type Port struct {
	end  *ring.End
	flow flow.Flow
	done func()

	// calls counts wishes to pump. Who makes it 1 pumps until it is 0 again,
	// so there is one pump at a time and no wish is lost.
	calls atomic.Int32

	// The pump's own.
	batch  []*packet.Buffer // read and not sent yet
	bytes  int              // of batch, while it is being read
	room   func(n int) []byte
	downs  uint32 // as the application said them last
	ups    uint32
	said   uint8       // options of the application
	left   int         // messages still to be read after Close
	closed bool        // Close was seen, left is set
	ended  bool        // the flow was deallocated
	giveUp *time.Timer // begun when Close finds the flow full

	// Of the running call of Receive.
	incoming []*packet.Buffer
	message  func(i int) []byte

	full     atomic.Bool // Receive took fewer: Resume is owed
	closing  atomic.Bool
	late     atomic.Bool // closing for too long
	silent   atomic.Bool // the peer was given up
	owed     atomic.Bool // and the application is to hear of it
	finished atomic.Bool

	sent, received, dropped atomic.Uint64
}

// New joins this program's end of a ring to a flow and takes both over. done
// is called once, after Close has taken effect, on a goroutine of its own.
func New(end *ring.End, f flow.Flow, done func()) *Port {
	p := &Port{end: end, flow: f, done: done, batch: make([]*packet.Buffer, 0, batchPackets)}
	p.room = p.makeRoom
	p.message = func(i int) []byte { return p.incoming[i].Bytes() }
	s := end.PeerState()
	p.downs, p.ups = s.Downs(), s.Ups()
	if !flow.IsLossless(f) && !f.QoS().InOrder {
		end.WriteAhead() // what has no room is lost
	}
	end.SetMTU(f.MTU())
	end.OnWake(p.wake)
	f.Attach(p)
	end.SetMTU(f.MTU()) // it may have changed before we were attached
	p.pump()
	return p
}

// Stats are the packets carried, and those lost on the way to the application:
// too long for its ring, or sent to one that does not read.
type Stats struct {
	Sent, Received, Dropped uint64
}

// Stats gives the present figures.
func (p *Port) Stats() Stats {
	return Stats{p.sent.Load(), p.received.Load(), p.dropped.Load()}
}

// Close says that the application is done, or gone: what it had written until
// now is passed on, the flow deallocated, the ring's end closed, and done
// called. It does not wait for that, and may be repeated.
func (p *Port) Close() {
	if p.closing.Swap(true) {
		return
	}
	p.pump()
}

// hurry is called by the timer that begins when Close finds the flow full.
func (p *Port) hurry() {
	p.late.Store(true)
	p.pump()
}

// wake is called by the link's poller.
func (p *Port) wake() {
	if p.full.Swap(false) {
		p.flow.Resume()
		if !p.full.Load() {
			p.tellPeer()
		}
	}
	p.pump()
}

// tellPeer tells the application that the peer was given up, if that is owed.
func (p *Port) tellPeer() {
	if p.owed.Load() && p.owed.Swap(false) {
		p.end.SetState(flow.EventPeer)
	}
}

// Receive implements flow.Handler.
func (p *Port) Receive(batch []*packet.Buffer) (taken int) {
	for taken < len(batch) {
		p.incoming = batch[taken:]
		n, err := p.end.WriteBatch(len(p.incoming), p.message)
		p.incoming = nil
		p.received.Add(uint64(n))
		packet.ReleaseAll(batch[taken : taken+n])
		taken += n
		switch {
		case err == nil:
		case err == errno.Again:
			p.full.Store(true)
			if p.end.ArmRoom(batch[taken].Len()) {
				return taken
			}
			p.full.Store(false)
		default: // closed, down, not reading, too long
			p.dropped.Add(1)
			batch[taken].Release()
			taken++
		}
	}
	return taken
}

// Event implements flow.Handler.
func (p *Port) Event(e flow.Event) {
	switch e {
	case flow.EventDown, flow.EventUp, flow.EventStalled, flow.EventMoving, flow.EventDealloc:
		p.end.SetState(e)
	case flow.EventPeer:
		p.silent.Store(true)
		p.owed.Store(true)
		if p.full.Load() {
			// What waits in the flow is to be read first.
			time.AfterFunc(grace, p.tellPeer)
		} else {
			p.tellPeer()
		}
		p.pump()
	case flow.EventWritable:
		p.pump()
	case flow.EventMTU:
		p.end.SetMTU(p.flow.MTU())
	}
}

// pump carries messages from the ring to the flow, here for a few batches and
// then on a goroutine of its own.
func (p *Port) pump() {
	if p.calls.Add(1) > 1 {
		return // the running pump looks again
	}
	p.run(turn)
}

func (p *Port) run(turns int) {
	for {
		seen := p.calls.Load()
		more := p.carry(turns)
		if more {
			go p.run(int(^uint(0) >> 1))
			return
		}
		if p.calls.CompareAndSwap(seen, 0) {
			return
		}
	}
}

// carry moves up to turns batches and reports whether there are more.
func (p *Port) carry(turns int) (more bool) {
	if p.finished.Load() {
		return false
	}
	p.signal()
	last := 0 // packets in the last batch
	for ; ; turns-- {
		if !p.send() {
			if p.late.Load() || p.silent.Load() && p.closing.Load() {
				p.drop()
				p.finish()
				return false
			}
			if p.closing.Load() && p.giveUp == nil {
				p.giveUp = time.AfterFunc(patience, p.hurry)
			}
			return false // EventWritable comes
		}
		if !p.closed && p.closing.Load() {
			// A process that is gone, or says so, cannot go on writing for ever.
			p.closed, p.left = true, p.end.RxQueueLen()
		}
		if p.closed && p.left == 0 {
			p.finish()
			return false
		}
		if turns <= 0 {
			return true
		}
		most := batchPackets
		if p.closed {
			most = min(most, p.left)
		}
		n, err := p.read(most)
		if n == 0 && last >= stream && p.end.Linger() {
			n, err = p.read(most)
		}
		if last = n; n == batchPackets {
			// A writer that floods is ahead of everybody. Those who carry and
			// read its packets, when they are on the same processors, are let
			// past: else what is sent now is lost there.
			ring.Lend()
			ring.Lend()
		}
		p.left -= n
		if err == nil || n > 0 {
			continue
		}
		if !p.stop(err) {
			return false
		}
	}
}

// read fills the batch.
func (p *Port) read(most int) (n int, err error) {
	p.bytes = 0
	n, err = p.end.ReadBatch(most, p.room)
	if n < len(p.batch) { // the memory is broken in the middle of a message
		packet.ReleaseAll(p.batch[n:])
		p.batch = p.batch[:n]
	}
	return n, err
}

// makeRoom gives the ring a buffer for the next message.
func (p *Port) makeRoom(n int) []byte {
	if p.bytes > 0 && p.bytes+n > batchBytes {
		return nil
	}
	b := packet.Get(n)
	p.bytes += n
	p.batch = append(p.batch, b)
	return b.Bytes()
}

// send passes the batch on, and reports whether the flow took all.
func (p *Port) send() bool {
	if len(p.batch) == 0 {
		return true
	}
	n := p.flow.Send(p.batch)
	p.sent.Add(uint64(n))
	rest := copy(p.batch, p.batch[n:])
	clear(p.batch[rest:])
	p.batch = p.batch[:rest]
	return rest == 0
}

// drop gives up what was read and the flow does not take.
func (p *Port) drop() {
	p.dropped.Add(uint64(len(p.batch)))
	packet.ReleaseAll(p.batch)
	clear(p.batch)
	p.batch = p.batch[:0]
}

// stop looks at why there is nothing to read, asks to be woken, and reports
// whether to look again.
func (p *Port) stop(err error) (again bool) {
	switch {
	case p.closed:
		p.left = 0
		return true
	case errors.Is(err, errno.Again):
		return !p.end.Arm()
	case p.end.Poisoned(), p.end.PeerState().Has(ring.StateClosed):
		p.deallocate()
		return p.closing.Load()
	}
	// The application has set the flow down; a new state wakes without arming.
	p.end.Arm()
	_, err = p.end.NextLen()
	return err == nil || !p.end.PeerState().Has(ring.StateDown|ring.StatePeer)
}

// signal passes on what the application said of the flow's state.
func (p *Port) signal() {
	s := p.end.PeerState()
	down, up := s.Downs() != p.downs, s.Ups() != p.ups
	p.downs, p.ups = s.Downs(), s.Ups()
	if p.ended || s.Has(ring.StateClosed) {
		return
	}
	if o := s.Options(); o != p.said {
		p.said = o
		if r, ok := p.flow.(Reliable); ok && o&ring.OptionSaid != 0 {
			r.SetFlags(uint(o &^ ring.OptionSaid))
		}
	}
	// Of several since the last look, what holds now comes last.
	isDown := s.Has(ring.StateDown)
	if up && isDown {
		flow.Signal(p.flow, flow.EventUp)
	}
	if down {
		flow.Signal(p.flow, flow.EventDown)
	}
	if up && !isDown {
		flow.Signal(p.flow, flow.EventUp)
	}
}

// deallocate ends the flow at this side.
func (p *Port) deallocate() {
	if p.ended {
		return
	}
	p.ended = true
	p.flow.Dealloc()
	p.end.SetState(flow.EventDealloc)
}

// finish gives all back. done may have to wait for the poller that this may be
// running on.
func (p *Port) finish() {
	if p.finished.Swap(true) {
		return
	}
	if p.giveUp != nil {
		p.giveUp.Stop()
	}
	p.deallocate()
	p.end.Close()
	go p.done()
}
