package ring

import "ouroboros/internal/flow"

// State is what one side of a flow says about itself. It travels as one word:
//
//	bits    meaning
//	0       closed: this side deallocated, nothing more comes
//	1       down: packets cannot be carried now
//	2       peer: the peer behind this side timed out
//	3       deaf: this side does not read, it is write-only
//	4       stalled: packets cannot be carried now, and are kept
//	8-15    options, for the node at the other end
//	16-39   number of times that down was said
//	40-63   number of times that up was said
type State uint64

// The flags of a state.
const (
	StateClosed  State = 1 << 0
	StateDown    State = 1 << 1
	StatePeer    State = 1 << 2
	StateDeaf    State = 1 << 3
	StateStalled State = 1 << 4

	stateFlags = 0xff

	optionsShift = 8
	downsShift   = 16
	upsShift     = 40
)

// SayMask bounds the counts of a state: their differences are modulo 2^24.
const SayMask = 1<<24 - 1

// Has reports whether any of the flags is set.
func (s State) Has(flags State) bool { return s&flags != 0 }

// OptionSaid marks options that were set: none is another word than all off.
const OptionSaid = 1 << 7

// Options are the eight bits given with SetOptions.
func (s State) Options() uint8 { return uint8(s >> optionsShift) }

// Downs and Ups count, modulo 2^24, how often the side said down and up.
func (s State) Downs() uint32 { return uint32(s>>downsShift) & SayMask }
func (s State) Ups() uint32   { return uint32(s>>upsShift) & SayMask }

// after is the state after saying an event. Down and up are counted, so that
// none is missed by a side that looks late.
func (s State) after(ev flow.Event) State {
	switch ev {
	case flow.EventDown:
		n := State(s.Downs()+1) & SayMask
		return s&^(SayMask<<downsShift) | n<<downsShift | StateDown
	case flow.EventUp:
		n := State(s.Ups()+1) & SayMask
		return s&^(SayMask<<upsShift|StateDown) | n<<upsShift
	case flow.EventStalled: // told like a down, and nothing fails
		n := State(s.Downs()+1) & SayMask
		return s&^(SayMask<<downsShift) | n<<downsShift | StateStalled
	case flow.EventMoving:
		n := State(s.Ups()+1) & SayMask
		return s&^(SayMask<<upsShift|StateStalled) | n<<upsShift
	case flow.EventPeer:
		return s | StatePeer
	case flow.EventDealloc:
		return s | StateClosed
	}
	return s
}

// Marks are what this program knows about a flow besides what the other side
// says of itself: local, and beyond the reach of the other side.
const (
	markDown   = 1 << 0 // the node reported that the other process is gone, or the layer down
	markPeer   = 1 << 1 // the node reported a peer time-out
	markClosed = 1 << 2 // the node reported that the other side deallocated
	markPoison = 1 << 3 // the other side wrote an impossible word
	markOwn    = 1 << 4 // this side set its flow down
)
