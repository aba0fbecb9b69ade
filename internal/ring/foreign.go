package ring

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// Foreign is memory outside of Go in which an End keeps its positions, so that
// code in another language reads and writes messages without a call. What is
// below is all that it does; whatever else there is to do, it leaves to the
// methods of the End:
//
//   - It sets busy of a lane from 0 to 1, or does nothing. It looks whether the
//     lane is open, and that no mark or state forbids it.
//   - A whole message that is next is copied out, if it is shorter than the
//     buffer and no partial read is under way: then the head is published.
//   - A message is copied in, if it fits as far as is known or the head says,
//     as producer does it: then the tail is published.
//   - Impossible words are left for the End to find.
//   - It sets busy to 0. If the other side had armed its doorbell, the armed
//     word was cleared, and Ring is called.
//
// The memory must stay, zeroed before first use, as long as the End is open,
// and may be used for another End afterwards. Its layout, on 64 bits:
//
//	offset  size  field
//	0       4     marks: what the node says of the flow
//	64      ..    In: the lane of reading
//	192     ..    Out: the lane of writing
type Foreign struct {
	marks atomic.Uint32
	_     [60]byte

	In struct {
		gate
		inPositions
		_ [128 - gateSize - unsafe.Sizeof(inPositions{})]byte
	}
	Out struct {
		gate
		outPositions
		peerState uintptr // of a uint64
		peerMTU   uintptr // of a uint32
		most      uint64  // longest message that the ring carries
		limit     uint64  // and that the flow carries, while the other side says nothing
	}
	_ [40]byte
}

// gateSize is the size of a gate on 64 bits.
const gateSize = 56

// gate is how a lane is entered, and where its ring lies. The addresses are
// those of mapped memory, of which the garbage collector knows nothing.
type gate struct {
	busy      atomic.Uint32
	open      uint32  // guarded by busy
	mem       uintptr // of the ring
	mask      uint64
	mine      uintptr // of the word that this side publishes, a uint64
	theirs    uintptr // of that of the other side
	dataArmed uintptr // of a uint32
	roomArmed uintptr
}

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// ForeignSize is what the other language must reserve.
const ForeignSize = unsafe.Sizeof(Foreign{})

// KeepIn moves the positions of the End to f, once, until it is closed.
func (e *End) KeepIn(f *Foreign) {
	e.out.mu.Lock()
	e.in.mu.Lock()
	if !e.closed && e.foreign.Load() == nil {
		e.keepIn(f)
	}
	e.in.mu.Unlock()
	e.out.mu.Unlock()
}

func (e *End) keepIn(f *Foreign) {
	c, p := &e.in, &e.out
	f.In.busy.Store(1)
	f.Out.busy.Store(1)

	e.marking.Lock()
	f.marks.Store(e.marks.Load())
	e.foreign.Store(f)
	e.marking.Unlock()

	f.In.inPositions = c.own
	f.In.mem, f.In.mask = address(&c.mem[0]), c.mask
	f.In.mine, f.In.theirs = address(c.headWord), address(c.tailWord)
	f.In.dataArmed, f.In.roomArmed = address(c.dataArmed), address(c.roomArmed)
	f.In.open = 1
	c.inPositions = &f.In.inPositions

	f.Out.outPositions = p.own
	f.Out.mem, f.Out.mask = address(&p.mem[0]), p.mask
	f.Out.mine, f.Out.theirs = address(p.tailWord), address(p.headWord)
	f.Out.dataArmed, f.Out.roomArmed = address(p.dataArmed), address(p.roomArmed)
	f.Out.peerState, f.Out.peerMTU = address(e.peerState), address(e.peerMTU)
	f.Out.most, f.Out.limit = uint64(e.most), uint64(e.limit)
	f.Out.open = 1
	p.outPositions = &f.Out.outPositions

	c.mu.foreign, p.mu.foreign = &f.In.busy, &f.Out.busy
}

// leaveForeign takes the positions back. Callers hold both locks.
func (e *End) leaveForeign() {
	f := e.foreign.Load()
	if f == nil {
		return
	}
	e.marking.Lock()
	e.foreign.Store(nil)
	e.marking.Unlock()
	c, p := &e.in, &e.out
	c.own, p.own = f.In.inPositions, f.Out.outPositions
	c.inPositions, p.outPositions = &c.own, &p.own
	f.In.open, f.Out.open = 0, 0
	c.mu.foreign, p.mu.foreign = nil, nil
	f.In.busy.Store(0)
	f.Out.busy.Store(0)
}

// Ring wakes the other side, for who has cleared its armed word.
func (e *End) Ring() {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if !e.closed {
		e.ringPeer()
	}
}

// lock guards one half of an End, also against the other language, if its
// positions are kept there.
type lock struct {
	mu      sync.Mutex
	foreign *atomic.Uint32 // busy of the lane; guarded by mu
}

func (l *lock) Lock() {
	l.mu.Lock()
	if l.foreign != nil {
		// Whoever is inside copies one message.
		for !l.foreign.CompareAndSwap(0, 1) {
			lend()
		}
	}
}

func (l *lock) Unlock() {
	if l.foreign != nil {
		l.foreign.Store(0)
	}
	l.mu.Unlock()
}
