// Package ring is the data path of a flow between two owners: a segment of
// memory with two single-producer single-consumer rings, and a link with the
// doorbells of all flows between the same two.
package ring

import "ouroboros/internal/flow"

// Segment is the memory of one flow: a control page and two rings.
type Segment struct{}

// SegmentOptions says what to make. The zero value means the defaults.
type SegmentOptions struct {
	Shared bool // a sealed memfd that can be passed on; else memory of this program
	Size   int  // bytes of a ring, a power of two; 0 = 2 MiB, enough for a message of 1 MiB
}

// NewSegment makes a segment (in the daemon).
func NewSegment(o SegmentOptions) (*Segment, error) { panic("not built yet") }

// OpenSegment maps a segment that was passed here. It takes fd over, checks
// its seals and size, and closes it when mapped.
func OpenSegment(fd int) (*Segment, error) { panic("not built yet") }

// FD is the descriptor to pass on; -1 when not shared.
func (s *Segment) FD() int { panic("not built yet") }

// CloseFD gives the descriptor back when it has been passed to all.
func (s *Segment) CloseFD() { panic("not built yet") }

// Link carries the doorbells of all flows between two owners.
type Link struct{}

// NewLink makes a link. A shared one has a sealed memfd and two eventfds.
func NewLink(shared bool) (*Link, error) { panic("not built yet") }

// OpenLink maps a link that was passed here, for the side of this process. It
// takes the descriptors over, also when it fails.
func OpenLink(mem, bell0, bell1, side int) (*Link, error) { panic("not built yet") }

// FDs are the descriptors to pass on: the memory and the doorbells of side 0
// and 1. All -1 when not shared.
func (l *Link) FDs() (mem, bell0, bell1 int) { panic("not built yet") }

// MaxSlots is the number of flows that one link can carry.
const MaxSlots = 1 << 16

// Close ends the poller of this program's side and releases all; ends made
// with the link must be closed before.
func (l *Link) Close() error { panic("not built yet") }

// End is one side of a flow: it produces into one ring and consumes from the
// other.
type End struct{}

// NewEnd makes the end of a side (0 the client's, 1 the server's) of a
// segment, with its doorbell in a slot of the link.
func NewEnd(s *Segment, l *Link, slot, side int) (*End, error) { panic("not built yet") }

// OnWake sets who is called, on the link's poller, after this side had armed
// its doorbell and the other rang it; the callee must not block.
func (e *End) OnWake(f func()) { panic("not built yet") }

// Close marks this side closed for the other, rings, and releases the
// segment's mapping when no call is running any more.
func (e *End) Close() { panic("not built yet") }

// SetState tells the other side that the flow is down, up or that the peer
// timed out, and rings.
func (e *End) SetState(ev flow.Event) { panic("not built yet") }
