package frcp

import (
	"sync"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

// burst is the number of packets that go down in one call.
const burst = 64

// state of the flow as a whole.
type state uint8

const (
	open    state = iota
	closing       // the user has deallocated; what was sent is being delivered
	dead          // given up, or ended from below: all that is sent is released
	gone          // the flow below is deallocated
)

// Flow is one end of a flow with FRCP.
type Flow struct {
	below      flow.Flow
	cfg        Config
	reliable   bool
	inactivity int64
	count      *Counters
	base       time.Time // times below are nanoseconds since then
	in         flow.Inbox
	done       chan struct{}

	mu     sync.Mutex
	state  state
	flags  uint
	ended  bool  // EventDealloc came from below
	silent int64 // when the peer was given up below; 0 = it was not
	snd    sender
	rcv    receiver
	cc     congestion
	rtt    estimator
	out    output
	timer  timer
	gap    int64        // between packets at an even pace, see spread
	events []flow.Event // for the handler, told when the lock is free
	telling,
	delivering bool
}

// New puts FRCP on below and attaches itself to it. The user attaches to the
// result. Packets go up and down from then on, and Dealloc ends both.
func New(below flow.Flow, c Config) *Flow {
	c = c.withDefaults()
	f := &Flow{
		below:      below,
		cfg:        c,
		reliable:   c.QoS.Loss == 0,
		inactivity: int64(c.inactivity()),
		count:      c.Counters,
		base:       time.Now(),
		done:       make(chan struct{}),
		flags:      flagResControl,
	}
	if f.reliable {
		f.flags |= flagLinger
	}
	f.snd.init(c.ISN())
	f.cc.init(f.snd.una, maxWindow)
	// The window bounds what is put into the Inbox; the limit is a second wall.
	f.in.Init(flow.Limit{Packets: 2 * c.Window, Bytes: 2*c.WindowBytes + 2*flow.MaxPacket}, f.deliverRest, c.Spawn)
	below.Attach((*handler)(f))
	return f
}

// now is the time in nanoseconds; never 0, which stands for "not set".
func (f *Flow) now() int64 { return int64(time.Since(f.base)) + 1 }

// SetFlags sets what the application may change: 2 = obey the peer's window,
// 4 = linger. Other bits do nothing.
func (f *Flow) SetFlags(flags uint) {
	f.mu.Lock()
	f.flags = flags & (flagResControl | flagLinger)
	f.send(f.now())
	f.leave()
}

// Attach implements flow.Flow.
func (f *Flow) Attach(h flow.Handler) { f.in.Attach(h) }

// MTU implements flow.Flow.
func (f *Flow) MTU() int { return max(0, f.below.MTU()-frcp.HeaderLen) }

// QoS implements flow.Flow.
func (f *Flow) QoS() qos.Spec { return f.cfg.QoS }

// QueueLen implements flow.Flow.
func (f *Flow) QueueLen() int {
	f.mu.Lock()
	n := f.snd.end.Since(f.snd.nxt) + len(f.out.rest)
	f.mu.Unlock()
	return n + f.below.QueueLen()
}

// Done is closed when the flow below has been deallocated: after Dealloc,
// when what was sent has been delivered or given up.
func (f *Flow) Done() <-chan struct{} { return f.done }

// Abort is Dealloc without waiting for anything: what is not acknowledged is
// lost. It ends a lingering Dealloc too.
func (f *Flow) Abort() {
	f.in.Close()
	f.mu.Lock()
	if f.state != gone {
		f.finish()
	}
	f.leave()
}

// Dealloc implements flow.Flow.
func (f *Flow) Dealloc() {
	if !f.in.Close() {
		return
	}
	f.mu.Lock()
	now := f.now()
	switch f.state {
	case open:
		f.state = closing
		f.snd.closedAt = now
		f.snd.endAt = now + int64(maxRetransmit+maxAckDelay)
		if f.flags&flagLinger == 0 {
			f.snd.endAt = now + int64(maxAckDelay)
		}
		f.send(now)
		if f.silent != 0 && f.rcv.any < f.silent {
			f.finish() // nobody is left to acknowledge anything
		}
	case dead:
		f.finish()
	}
	f.leave()
}

// leave tells the handler what is to be told, starts the timer and unlocks.
// Every way into the machine ends here. A call from inside the handler leaves
// the telling to the one that is at it, so that calls do not pile up.
func (f *Flow) leave() {
	for !f.telling && (len(f.events) > 0 || f.owesRoom()) {
		f.telling = true
		if f.owesRoom() {
			f.snd.refused = false
			f.events = append(f.events, flow.EventWritable)
		}
		e := f.events[0]
		f.events = f.events[:copy(f.events, f.events[1:])]
		f.mu.Unlock()
		f.in.Event(e)
		f.mu.Lock()
		f.telling = false
	}
	if f.state == closing && f.delivered() {
		f.finish()
	}
	f.arm()
	f.mu.Unlock()
}

// handler is the Flow towards the flow below.
type handler Flow

// Receive implements flow.Handler.
func (h *handler) Receive(batch []*packet.Buffer) int { return (*Flow)(h).receive(batch) }

// Event implements flow.Handler.
func (h *handler) Event(e flow.Event) {
	f := (*Flow)(h)
	f.mu.Lock()
	now := f.now()
	switch e {
	case flow.EventWritable:
		f.out.writable, f.out.waiting, f.out.againAt = true, false, 0
		f.send(now)
	case flow.EventDealloc:
		f.ended = true
		if f.state == closing {
			f.finish()
		} else if f.state != gone {
			f.die()
			f.leave()
			f.in.End(e)
			return
		}
	case flow.EventPeer:
		if f.state == closing {
			f.finish() // nobody is left to acknowledge anything
			break
		}
		f.silent = now
		f.events = append(f.events, e)
	case flow.EventUp:
		// What was lost meanwhile need not wait for the end of a long time-out.
		f.snd.backoff = 0
		if f.snd.rtoAt != 0 {
			f.snd.rtoAt = min(f.snd.rtoAt, now+f.rtt.timeout(0))
		}
		if f.reliable {
			e = flow.EventMoving
		}
		f.events = append(f.events, e)
	case flow.EventDown:
		if f.reliable && f.state < dead {
			e = flow.EventStalled
		}
		f.events = append(f.events, e)
	default:
		f.events = append(f.events, e)
	}
	f.leave()
}

// die drops what was to be sent and all deadlines. The lock is held.
func (f *Flow) die() {
	if f.state < dead {
		f.state = dead
	}
	f.snd.drop()
	if !f.out.busy {
		packet.ReleaseAll(f.out.rest)
		f.out.rest = nil
	}
	f.rcv.answers = f.rcv.answers[:0]
	f.rcv.ackNow, f.rcv.ackAt = false, 0
	f.out.againAt = 0
	f.timer.clear()
}
