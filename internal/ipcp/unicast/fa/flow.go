package fa

import (
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp/unicast/ca"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/fa"
	"ouroboros/irm"
	"ouroboros/qos"
)

// inboxLimit bounds what waits for a flow's user: before the user is attached,
// and when it takes fewer. More is dropped and counted.
var inboxLimit = flow.Limit{Packets: 128, Bytes: 512 << 10}

// lastWord is how long after the first a second DEALLOC leaves, and how long a
// flow still receives after one has come: packets may have taken another way.
const (
	lastWord = 50 * time.Millisecond
	lastHear = 20 * time.Millisecond
)

// Flow is one end of a flow of the layer; it is a flow.Flow.
type Flow struct {
	a      *Allocator
	eid    uint64
	peer   *peer
	qos    qos.Spec
	cube   uint8
	paced  bool // congestion avoidance
	since  time.Time
	remote atomic.Uint64 // endpoint of the peer; 0 = not known yet
	mtu    atomic.Int64  // that the user was told
	in     flow.Inbox
	ended  atomic.Bool // deallocated here
	gone   atomic.Bool // deallocated by the peer, or with the allocator

	arrival *arrival // of the responder; nil at the requester
	down    bool     // what the user was told; see tell

	mu      sync.Mutex // also orders calls of sender
	attempt *attempt   // of the requester, until it is answered
	sender  ca.Sender
	timer   *time.Timer
	armed   bool // the timer will fire

	marks    sync.Mutex
	receiver ca.Receiver
	level    atomic.Uint32 // of receiver

	sent, received        traffic
	reported, wasReported atomic.Uint64 // updates received and sent
}

// traffic counts one direction of a flow.
type traffic struct{ packets, bytes, dropped atomic.Uint64 }

func (t *traffic) add(packets, bytes int) {
	t.packets.Add(uint64(packets))
	t.bytes.Add(uint64(bytes))
}

// call makes the flow of a requester; the endpoint of its peer is not known
// yet.
func (a *Allocator) call(to wire.Addr, spec qos.Spec, at *attempt) (*Flow, error) {
	return a.open(&Flow{qos: spec, attempt: at}, to)
}

// serve makes the flow of a responder.
func (a *Allocator) serve(ar *arrival, spec qos.Spec) (*Flow, error) {
	f := &Flow{qos: spec, arrival: ar}
	f.remote.Store(ar.key.eid)
	return a.open(f, ar.key.from)
}

func (a *Allocator) open(f *Flow, to wire.Addr) (*Flow, error) {
	f.a, f.since, f.cube = a, time.Now(), uint8(f.qos.Cube())
	f.paced = a.cfg.CA == irm.MBECN
	if f.paced {
		f.sender.Init(a.now())
	}
	f.in.Init(inboxLimit, nil, a.cfg.Go)
	a.peers.join(f, to)
	if err := a.table.add(f); err != nil {
		a.peers.part(f)
		return nil, err
	}
	return f, nil
}

// EID is the own endpoint, Remote that of the peer, 0 while it is not known,
// and Peer the peer's address.
func (f *Flow) EID() uint64     { return f.eid }
func (f *Flow) Remote() uint64  { return f.remote.Load() }
func (f *Flow) Peer() wire.Addr { return f.peer.addr }

// packets takes what comes for a flow.
func (a *Allocator) packets(eid uint64, batch []*packet.Buffer) {
	f := a.table.get(eid)
	if f == nil {
		a.count.unknown.Add(uint64(len(batch)))
		packet.ReleaseAll(batch)
		a.bounce(eid, 0)
		return
	}
	f.deliver(batch)
}

// deliver takes packets for the flow, their headers included. What the user
// does not take when the small queue is full is dropped and counted.
func (f *Flow) deliver(batch []*packet.Buffer) {
	if ar := f.arrival; ar != nil && !ar.heard.Load() {
		ar.heard.Store(true)
	}
	bytes, level, due := 0, f.level.Load(), false
	for _, b := range batch {
		if f.paced {
			if mark := wire.ECN(b.Bytes()); mark != 0 || level != 0 {
				var report bool
				level, report = f.mark(mark)
				due = due || report
			}
		}
		b.TrimHead(wire.HeaderLen)
		bytes += b.Len()
	}
	f.received.add(len(batch), bytes)
	if rest := batch[f.in.Put(batch):]; len(rest) > 0 {
		f.received.dropped.Add(uint64(len(rest)))
		f.a.count.overrun.Add(uint64(len(rest)))
		packet.ReleaseAll(rest)
	}
	if due {
		f.update(level)
	}
}

// mark notes the mark of a packet.
func (f *Flow) mark(mark uint8) (level uint32, report bool) {
	f.marks.Lock()
	defer f.marks.Unlock()
	report = f.receiver.Packet(mark)
	level = uint32(f.receiver.Level())
	f.level.Store(level)
	return level, report
}

// update reports the congestion level of the packets that came to the peer.
func (f *Flow) update(level uint32) {
	remote := f.remote.Load()
	if remote == 0 {
		return
	}
	f.wasReported.Add(1)
	f.a.send(f.peer.addr, 0, &fa.Message{Code: fa.Update, REID: remote, ECE: uint16(level)})
}

// report takes such a report from the peer.
func (f *Flow) report(level uint16) {
	f.reported.Add(1)
	if !f.paced {
		return
	}
	f.mu.Lock()
	f.sender.Report(f.a.now(), level)
	f.mu.Unlock()
}

// Send implements flow.Flow.
func (f *Flow) Send(batch []*packet.Buffer) (taken int) {
	if f.ended.Load() || f.gone.Load() || !f.peer.up.Load() {
		f.drop(batch)
		return len(batch)
	}
	mtu := int(f.peer.mtu.Load())
	for taken < len(batch) {
		fit := taken
		for fit < len(batch) && batch[fit].Len() <= mtu {
			fit++
		}
		n := f.pass(batch[taken:fit])
		taken += n
		if taken < fit {
			return taken
		}
		if fit < len(batch) {
			f.a.count.long.Add(1)
			f.drop(batch[fit : fit+1])
			taken++
		}
	}
	return taken
}

// pass sends as much of a run as the congestion on the way allows. For the
// rest the timer is set.
func (f *Flow) pass(run []*packet.Buffer) (taken int) {
	n, bytes := len(run), 0
	if !f.paced {
		for _, b := range run {
			bytes += b.Len()
		}
	} else if n > 0 {
		now := f.a.now()
		f.mu.Lock()
		for n = 0; n < len(run); n++ {
			size := run[n].Len()
			if wait := f.sender.Admit(now, size); wait > 0 {
				f.await(wait)
				break
			}
			bytes += size
		}
		f.mu.Unlock()
	}
	if n == 0 {
		return 0
	}
	taken = f.transmit(run[:n])
	if taken < n {
		left := 0
		for _, b := range run[taken:n] {
			left += b.Len()
		}
		bytes -= left
		if f.paced {
			f.mu.Lock()
			f.sender.Refund(n-taken, left)
			f.mu.Unlock()
		}
	}
	f.sent.add(taken, bytes)
	return taken
}

// await tells the user in a while that it may go on. f.mu is held.
func (f *Flow) await(wait time.Duration) {
	if f.armed {
		return
	}
	f.armed = true
	if f.timer == nil {
		f.timer = f.a.cfg.AfterFunc(wait, f.due)
	} else {
		f.timer.Reset(wait)
	}
}

func (f *Flow) due() {
	f.mu.Lock()
	f.armed = false
	f.mu.Unlock()
	f.in.Event(flow.EventWritable)
}

// transmit hands a run to the network. When that took fewer, this flow waits
// for Writable; room may have come before it was entered there, so it tries
// once more.
func (f *Flow) transmit(run []*packet.Buffer) (taken int) {
	taken = f.a.net.Send(f.peer.addr, f.cube, f.remote.Load(), run)
	if taken < len(run) {
		f.a.net.Stall(f.peer.addr, f)
		taken += f.a.net.Send(f.peer.addr, f.cube, f.remote.Load(), run[taken:])
	}
	return taken
}

// Writable implements dt.Waiter.
func (f *Flow) Writable() { f.in.Event(flow.EventWritable) }

func (f *Flow) drop(batch []*packet.Buffer) {
	f.sent.dropped.Add(uint64(len(batch)))
	packet.ReleaseAll(batch)
}

// Attach implements flow.Flow.
func (f *Flow) Attach(h flow.Handler) { f.in.Attach(h) }

// Resume implements flow.Flow.
func (f *Flow) Resume() { f.in.Resume() }

// MTU implements flow.Flow: that of the way to the peer, as last known.
func (f *Flow) MTU() int { return int(f.peer.mtu.Load()) }

// QoS implements flow.Flow.
func (f *Flow) QoS() qos.Spec { return f.qos }

// QueueLen implements flow.Flow: what waits at the first hop, for all flows
// that take it.
func (f *Flow) QueueLen() int { return f.a.net.QueueLen(f.peer.addr) }

// Dealloc implements flow.Flow. The peer is told.
func (f *Flow) Dealloc() {
	if f.ended.Swap(true) {
		return
	}
	if f.arrival != nil {
		f.arrival.closed.Store(true)
	}
	f.in.Close()
	f.stop()
	f.a.table.remove(f)
	f.a.peers.part(f)
	if !f.gone.Load() && f.farewell() {
		f.a.cfg.AfterFunc(lastWord, func() { f.farewell() })
	}
}

// stop ends what would call the user.
func (f *Flow) stop() {
	f.a.net.Unstall(f)
	f.mu.Lock()
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
}

// farewell tells the peer, if it understands, that this end is gone. It takes
// the way of the data, so as not to overtake it.
func (f *Flow) farewell() (told bool) {
	remote := f.remote.Load()
	if remote == 0 || foreign(remote) {
		return false
	}
	f.a.send(f.peer.addr, f.cube, &fa.Message{Code: fa.Dealloc, REID: remote, SEID: f.eid})
	return true
}

// leave ends the flow towards its user: the peer's end is gone. What is still
// on the way is waited for a moment.
func (f *Flow) leave() {
	if f.gone.Swap(true) {
		return
	}
	f.a.count.left.Add(1)
	f.a.cfg.AfterFunc(lastHear, func() { f.in.End(flow.EventDealloc) })
}
