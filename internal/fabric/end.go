package fabric

import (
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/registry"
	"ouroboros/internal/ring"
)

// path is what both ends of a flow share. The Fabric guards it.
type path struct {
	seg    *ring.Segment // nil when it lies in the link
	link   *link
	slot   int
	open   int     // ends
	passed [2]bool // the side has the segment, or needs it no more
}

func (p *path) end(side int) *End { return &End{path: p, side: side} }

// End is one end of a flow in the hands of an Owner. It is turned into rings
// once: by Pass for a process in another program, by Ring in this one.
type End struct {
	path *path
	side int
	port Port // that carries the flow on; nil between two processes

	passing sync.Mutex // held while descriptors are in use

	mu      sync.Mutex
	closed  bool
	handler func(flow.Event)
	early   []flow.Event
}

var _ registry.End = (*End)(nil)

// maxEarly bounds the events kept for a flow that nobody handles yet.
const maxEarly = 8

// Event implements registry.End.
func (e *End) Event(ev flow.Event) {
	e.mu.Lock()
	h := e.handler
	if e.closed || h == nil && len(e.early) >= maxEarly {
		e.mu.Unlock()
		return
	}
	if h == nil {
		e.early = append(e.early, ev)
	}
	e.mu.Unlock()
	if h != nil {
		h(ev)
	}
}

// OnEvent sets who is told, and tells what came before. h must not block.
func (e *End) OnEvent(h func(flow.Event)) {
	e.mu.Lock()
	early := e.early
	e.handler, e.early = h, nil
	e.mu.Unlock()
	for _, ev := range early {
		h(ev)
	}
}

func (e *End) fabric() *Fabric { return e.path.link.pair[0].f }

// Parcel is what a process in another program needs to use its end.
type Parcel struct {
	Link uint64
	Side int
	Slot int
	// Inline says that the segment lies in the memory of the link, HasLink that
	// the link comes along.
	Inline, HasLink bool
	// FDs are the descriptors to pass: the segment unless Inline, then the
	// link's memory and doorbells if HasLink.
	FDs []int
}

// Pass gives the end to a process in another program. send must not block and
// must not keep the descriptors; it can be tried again when it failed. For one
// Owner the calls of Pass must not overlap, and parcels must arrive in their
// order: the later ones rely on the link of the first. ErrNotAlloc when the
// end is closed.
func (e *End) Pass(send func(Parcel) error) error {
	e.passing.Lock()
	defer e.passing.Unlock()
	parcel, err := e.parcel()
	if err != nil {
		return err
	}
	if err := send(parcel); err != nil {
		return err
	}
	f := e.fabric()
	var done cleanup
	f.mu.Lock()
	if l := e.path.link; !l.passed[e.side] {
		f.hand(l, e.side, &done)
	}
	f.settle(e.path, e.side, &done)
	f.mu.Unlock()
	done.run()
	return nil
}

func (e *End) parcel() (Parcel, error) {
	f := e.fabric()
	f.mu.Lock()
	defer f.mu.Unlock()
	p, l := e.path, e.path.link
	if p.passed[e.side] {
		return Parcel{}, errGone()
	}
	parcel := Parcel{Link: l.id, Side: e.side, Slot: p.slot, Inline: p.seg == nil, HasLink: !l.passed[e.side]}
	if !parcel.Inline {
		parcel.FDs = append(parcel.FDs, p.seg.FD())
	}
	if parcel.HasLink {
		mem, bell0, bell1 := l.ring.FDs()
		parcel.FDs = append(parcel.FDs, mem, bell0, bell1)
	}
	return parcel, nil
}

func errGone() error { return errno.New(errno.NotAlloc, "the flow was deallocated") }

// LinkLost says that the process could not take the link's descriptors: other
// flows get another link.
func (e *End) LinkLost() {
	f := e.fabric()
	var done cleanup
	f.mu.Lock()
	e.path.link.told[e.side] = true
	f.retire(e.path.link, &done)
	f.mu.Unlock()
	done.run()
}

// Ring gives the rings to a process in this program. ErrNotAlloc when the end
// is closed.
func (e *End) Ring() (*ring.End, error) {
	e.passing.Lock()
	defer e.passing.Unlock()
	f := e.fabric()
	f.mu.Lock()
	gone, link := e.path.passed[e.side], e.path.link.ring
	f.mu.Unlock()
	if gone {
		return nil, errGone()
	}
	seg := e.path.seg
	if seg == nil {
		seg = link.Segment(e.path.slot)
	}
	end, err := ring.NewEnd(seg, link, e.path.slot, e.side)
	if err != nil {
		return nil, noMemory(err)
	}
	var done cleanup
	f.mu.Lock()
	f.settle(e.path, e.side, &done)
	f.mu.Unlock()
	done.run()
	return end, nil
}

// settle notes that a side has the memory of the flow, and gives the
// descriptor back when both have.
func (f *Fabric) settle(p *path, side int, done *cleanup) {
	if p.passed[side] {
		return
	}
	p.passed[side] = true
	if p.passed[1-side] && p.seg != nil {
		done.add(p.seg.CloseFD)
	}
}

// Close implements registry.End. The end of a process in this program must
// have been closed before.
func (e *End) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	e.handler, e.early = nil, nil
	e.mu.Unlock()

	f, p := e.fabric(), e.path
	var done cleanup
	e.passing.Lock()
	f.mu.Lock()
	f.settle(p, e.side, &done)
	if p.open--; p.open == 0 {
		p.link.slots.give(p.slot)
		if p.seg != nil {
			done.add(p.seg.Close)
		}
	}
	f.leave(p.link, e.side, &done)
	f.mu.Unlock()
	e.passing.Unlock()
	done.run()
	if e.port != nil {
		e.port.Close()
	}
}
