package ring

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
)

// End is one side of a flow: it produces into one ring and consumes from the
// other. All methods may be called from any goroutine.
//
// Errors are the sentinels of package errno: NotAlloc after Close, FlowDown
// and FlowPeer as the other side or the node said, FlowDown also when the
// other side wrote what cannot be, Again when there is nothing or no room,
// TimedOut, MsgSize.
type End struct {
	in  consumer
	out producer

	slot  int
	side  int
	link  *Link
	seg   *Segment
	most  int // longest message
	limit int // that was granted, while the other side says nothing; guarded by out.mu

	peerState *atomic.Uint64 // the other side's
	ownState  *atomic.Uint64
	said      State // what ownState holds; guarded by out.mu
	peerMTU   *atomic.Uint32
	ownMTU    *atomic.Uint32 // written with out.mu
	marks     atomic.Uint32  // what is known here; changed by mark
	foreign   atomic.Pointer[Foreign]
	marking   sync.Mutex // keeps marks, and those of foreign, the same

	closing atomic.Bool
	closed  bool // guarded by in.mu and out.mu: written with both, read with either

	waiters waiters
	hook    atomic.Pointer[func()]

	readDeadline  deadline
	writeDeadline deadline
	readSpin      spinner // guarded by in.mu
	writeSpin     spinner // guarded by out.mu
}

// NewEnd makes the end of a side (0 the client's, 1 the server's) of a
// segment, with its doorbell in a slot of the link. Slots 0 to MaxSlots-1 are
// given out by whoever made the link; both ends of a flow use the same. The
// segment is mapped if it was not, and released by Close. A doorbell that was
// rung before is not lost: every wait looks at the rings first.
func NewEnd(s *Segment, l *Link, slot, side int) (*End, error) {
	if slot < 0 || slot >= MaxSlots || side != 0 && side != 1 {
		return nil, errno.New(errno.Invalid, "ring: no slot %d on side %d of a link", slot, side)
	}
	countProcessors()
	mem, both, err := s.acquire()
	if err != nil {
		return nil, err
	}
	e := &End{slot: slot, side: side, link: l, seg: s, most: s.size / 2, limit: s.size / 2}
	rings := [2][]byte{both[:s.size], both[s.size : 2*s.size]}
	e.out.init(mem, rings[side], side, uint64(min(DefaultWindow, s.size/2)))
	e.in.init(mem, rings[1-side], 1-side)
	e.ownState = word64(mem, ctlState+side*ctlStateStride)
	e.peerState = word64(mem, ctlState+(1-side)*ctlStateStride)
	e.ownMTU = word32(mem, ctlState+side*ctlStateStride+ctlMTU)
	e.peerMTU = word32(mem, ctlState+(1-side)*ctlStateStride+ctlMTU)
	e.readDeadline.wake = e.waiters.wake
	e.writeDeadline.wake = e.waiters.wake
	e.readSpin.init(l.shared)
	e.writeSpin.init(l.shared)
	if err := l.side[side].add(slot, e); err != nil {
		s.release()
		return nil, err
	}
	return e, nil
}

// MaxMessage is the longest message in bytes that the ring carries.
func (e *End) MaxMessage() int { return e.most }

// OnWake sets who is called, on the link's poller, after this side had armed
// its doorbell and the other rang it, or said a new state; nil for nobody. The
// callee must not block and may use the End, Close included, but not close the
// link. Calls do not overlap; one may come without a reason, and one that is
// running while Close is called may end after it. Arm afterwards: what came
// before is not told.
func (e *End) OnWake(f func()) {
	e.in.mu.Lock() // keeps the link in place
	defer e.in.mu.Unlock()
	if f == nil || e.closed {
		e.hook.Store(nil)
		return
	}
	if !e.link.shared {
		e.link.side[e.side].deferHooks()
	}
	e.hook.Store(&f)
}

// wake is called by the poller.
func (e *End) wake() {
	e.waiters.wake()
	if f := e.hook.Load(); f != nil {
		(*f)()
	}
}

// Wake makes the blocked calls of this side look again.
func (e *End) Wake() { e.waiters.wake() }

// ringPeer wakes the other side. It needs in.mu or out.mu, so that the link
// is still there.
func (e *End) ringPeer() { e.link.side[1-e.side].ring(e.slot) }

// Close marks this side closed for the other, rings, and releases the
// segment. Blocked calls and all later ones give errno.NotAlloc. Messages that
// the other side has not read yet stay readable there.
func (e *End) Close() {
	if !e.closing.CompareAndSwap(false, true) {
		return
	}
	// Calls hold a lock for a bounded time and park without one.
	e.out.mu.Lock()
	e.in.mu.Lock()
	e.said = e.said.after(flow.EventDealloc)
	e.ownState.Store(uint64(e.said))
	e.ringPeer()
	e.closed = true
	e.leaveForeign()
	e.link.side[e.side].remove(e.slot, e)
	e.hook.Store(nil)
	e.trim()
	e.in.mem, e.out.mem = nil, nil
	e.seg.release()
	e.in.mu.Unlock()
	e.out.mu.Unlock()

	e.readDeadline.stop()
	e.writeDeadline.stop()
	e.waiters.wake()
}

// trimFrom is how far messages must have got in a ring of a link for its memory
// to be given back between two flows. Less stays, warm for the next.
const trimFrom = 128 << 10

// trim gives memory of the link back that this flow has filled, if it is the
// last end: who marks its side closed second sees the other's mark. The slot
// is not used again before both have said that they are done, which they do
// later. Callers hold both locks.
func (e *End) trim() {
	if e.seg.link == nil || !State(e.peerState.Load()).Has(StateClosed) {
		return
	}
	for _, r := range []struct {
		mem  []byte
		used uint64
	}{{e.in.mem, e.in.head}, {e.out.mem, e.out.tail}} {
		if r.used > trimFrom {
			_ = unix.Madvise(r.mem, unix.MADV_REMOVE)
		}
	}
}

// SetState tells the other side that the flow is down, up, or that the peer
// timed out, and rings. It does not change what this side may do.
func (e *End) SetState(ev flow.Event) {
	e.say(func(s State) State { return s.after(ev) })
}

// WriteAhead lets this side fill the ring, beyond the window in which it else
// stays: for messages that would be lost if the reader is held up for a moment.
func (e *End) WriteAhead() {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	e.out.ahead = e.out.mask + 1
}

// SetDeaf tells the other side whether this one reads. Writing to one that
// does not fails with errno.NotAlloc.
func (e *End) SetDeaf(deaf bool) {
	e.say(func(s State) State {
		if deaf {
			return s | StateDeaf
		}
		return s &^ StateDeaf
	})
}

// SetOptions sets eight bits that mean something to the two sides only.
func (e *End) SetOptions(o uint8) {
	e.say(func(s State) State { return s&^(0xff<<optionsShift) | State(o)<<optionsShift })
}

// SetMTU says the longest message in bytes that this side passes on; 0 or less
// takes the word back. A longer one is refused at the other side's Write;
// messages that were written before are still to be read here.
func (e *End) SetMTU(n int) {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	if !e.closed {
		e.ownMTU.Store(uint32(min(max(n, 0), e.most)))
	}
}

// Limit sets the longest message in bytes that this side writes as long as the
// other has said nothing with SetMTU; 0 or less is no limit.
func (e *End) Limit(n int) {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	e.limit = e.most
	if n > 0 {
		e.limit = min(n, e.most)
	}
	if f := e.foreign.Load(); f != nil {
		f.Out.limit = uint64(e.limit)
	}
}

// MTU is the longest message in bytes that can be written now.
func (e *End) MTU() int {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	if e.closed {
		return e.limit
	}
	return e.longest()
}

// longest is MTU of an end that is not closed. Callers hold out.mu. What the
// other side says is not believed beyond what the ring carries.
func (e *End) longest() int {
	if n := e.peerMTU.Load(); n > 0 {
		return int(min(n, uint32(e.most)))
	}
	return e.limit
}

func (e *End) say(change func(State) State) {
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	if e.closed {
		return
	}
	s := change(e.said)
	if s == e.said {
		return
	}
	e.said = s
	e.ownState.Store(uint64(s))
	e.ringPeer()
}

// PeerState is what the other side said last; closed after Close.
func (e *End) PeerState() State {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.closed {
		return StateClosed
	}
	return State(e.peerState.Load())
}

// Mark notes what the node, and not the other side, says about this flow:
// EventDown when the process at the other end is gone or the layer cannot
// carry packets, EventUp, EventPeer, EventDealloc. Blocked calls look again.
func (e *End) Mark(ev flow.Event) {
	switch ev {
	case flow.EventDown:
		e.mark(markDown, 0)
	case flow.EventUp:
		e.mark(0, markDown)
	case flow.EventPeer:
		e.mark(markPeer, 0)
	case flow.EventDealloc:
		e.mark(markClosed, 0)
	}
	e.waiters.wake()
}

// mark sets and clears marks, and gives what they were.
func (e *End) mark(set, clear uint32) (before uint32) {
	e.marking.Lock()
	defer e.marking.Unlock()
	before = e.marks.Load()
	m := before&^clear | set
	e.marks.Store(m)
	if f := e.foreign.Load(); f != nil {
		f.marks.Store(m)
	}
	return before
}

// SetDown marks the flow down, or no longer down, by this side itself, for
// itself and for the other side, which sees a down or up event each time. A
// down that comes from elsewhere is not touched.
func (e *End) SetDown(down bool) {
	if down {
		e.mark(markOwn, 0)
		e.SetState(flow.EventDown)
	} else {
		e.mark(0, markOwn)
		e.SetState(flow.EventUp)
	}
	e.waiters.wake()
}

// Ended reports whether the other side deallocated in good order, and not just
// died.
func (e *End) Ended() bool {
	return e.marks.Load()&markClosed != 0 || e.PeerState().Has(StateClosed)
}

// IsDown reports whether the flow is down, for whatever reason.
func (e *End) IsDown() bool {
	return e.marks.Load()&(markDown|markClosed|markPoison|markOwn) != 0 ||
		e.PeerState().Has(StateClosed|StateDown)
}

// Poisoned reports whether the other side wrote what cannot be.
func (e *End) Poisoned() bool { return e.marks.Load()&markPoison != 0 }

// poison gives the flow up. Callers hold a lock.
func (e *End) poison() error {
	if e.mark(markPoison, 0)&markPoison == 0 {
		e.link.poisoned.Add(1)
		e.waiters.wake()
	}
	return fmt.Errorf("the other side broke the flow's memory: %w", errno.FlowDown)
}

// condition is why nothing more can be read, or nil. Callers hold in.mu or
// out.mu.
func (e *End) condition() error {
	m, s := e.marks.Load(), State(e.peerState.Load())
	switch {
	case m&(markDown|markClosed|markPoison|markOwn) != 0, s.Has(StateClosed | StateDown):
		return errno.FlowDown
	case m&markPeer != 0, s.Has(StatePeer):
		return errno.FlowPeer
	}
	return nil
}

// SetReadDeadline and SetWriteDeadline set the point in time after which
// calls, blocked ones included, fail with errno.TimedOut; zero for none.
func (e *End) SetReadDeadline(t time.Time)  { e.readDeadline.set(t) }
func (e *End) SetWriteDeadline(t time.Time) { e.writeDeadline.set(t) }
