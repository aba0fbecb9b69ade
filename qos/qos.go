// Package qos describes what a flow is asked to give, and the presets that
// programs usually ask for.
//
// A Spec travels unchanged in the flow allocation from the client to the
// server: both ends of a flow hold the same Spec. There is no negotiation.
package qos

import (
	"fmt"
	"math"
)

// DefaultTimeout is the peer time-out of the presets, in milliseconds.
const DefaultTimeout = 120000

// Spec is a quality-of-service specification. The zero value asks for a
// reliable, checksummed datagram flow without limits on delay; most callers
// start from a preset instead.
type Spec struct {
	Delay        uint32 // highest one-way delay, ms; MaxUint32 = any
	Bandwidth    uint64 // wanted, bit/s; 0 = any
	Availability uint8  // class of nines: 3 = 99.9 %
	Loss         uint32 // 0 = nothing may be lost (retransmission, needs InOrder)
	BER          uint32 // residual errors per 10^9 bits; 0 = CRC32 on each packet
	InOrder      bool   // deliver in order: the flow runs FRCP
	MaxGap       uint32 // longest gap, ms; MaxUint32 = any
	Timeout      uint32 // peer time-out, ms; 0 = none
}

// The presets. Their numbers are those of the wire.
var (
	Raw         = Spec{Delay: math.MaxUint32, Loss: 1, BER: 1, MaxGap: math.MaxUint32, Timeout: DefaultTimeout}
	RawNoErrors = Spec{Delay: math.MaxUint32, Loss: 1, BER: 0, MaxGap: math.MaxUint32, Timeout: DefaultTimeout}
	BestEffort  = Spec{Delay: math.MaxUint32, Loss: 1, InOrder: true, MaxGap: math.MaxUint32, Timeout: DefaultTimeout}
	Video       = Spec{Delay: 100, Bandwidth: math.MaxUint64, Availability: 3, Loss: 1, InOrder: true, MaxGap: 100, Timeout: DefaultTimeout}
	Voice       = Spec{Delay: 50, Bandwidth: 100000, Availability: 5, Loss: 1, InOrder: true, MaxGap: 50, Timeout: DefaultTimeout}
	Data        = Spec{Delay: 1000, InOrder: true, MaxGap: 2000, Timeout: DefaultTimeout}

	// NP1 is the specification of a flow between a layer and its user, and of
	// a joined broadcast flow: packets pass as they are.
	NP1 = Spec{Delay: math.MaxUint32, Loss: math.MaxUint32, BER: math.MaxUint32, MaxGap: math.MaxUint32}
)

// Reliable reports whether nothing written to such a flow is lost or
// reordered while both ends live.
func (s Spec) Reliable() bool { return s.InOrder && s.Loss == 0 }

// Cube is the class in which a layer schedules and routes a flow.
type Cube uint8

// The cubes, with their numbers on the wire.
const (
	CubeBestEffort Cube = 0
	CubeVideo      Cube = 1
	CubeVoice      Cube = 2
)

// Cube gives the first class whose limits s meets.
func (s Spec) Cube() Cube {
	switch {
	case s.Delay <= 50 && s.Bandwidth <= 100000 && s.Availability >= 5 && s.MaxGap <= 50:
		return CubeVoice
	case s.Delay <= 100 && s.Availability >= 3 && s.MaxGap <= 100:
		return CubeVideo
	}
	return CubeBestEffort
}

func (c Cube) String() string {
	switch c {
	case CubeBestEffort:
		return "best effort"
	case CubeVideo:
		return "video"
	case CubeVoice:
		return "voice"
	}
	return fmt.Sprintf("cube %d", uint8(c))
}

// Names lists the words that Parse understands, in the order in which help
// texts show them.
var Names = []string{"raw", "best", "video", "voice", "data"}

// Parse gives the preset that the tools call by a word: raw, best, video,
// voice or data.
func Parse(word string) (Spec, bool) {
	switch word {
	case "raw":
		return Raw, true
	case "best":
		return BestEffort, true
	case "video":
		return Video, true
	case "voice":
		return Voice, true
	case "data":
		return Data, true
	}
	return Spec{}, false
}

// String names the preset, with its peer time-out if that is another one, or
// says what is asked for.
func (s Spec) String() string {
	for _, w := range Names {
		p, _ := Parse(w)
		if p == s {
			return w
		}
		if p.Timeout = s.Timeout; p == s {
			return fmt.Sprintf("%s (timeout %d ms)", w, s.Timeout)
		}
	}
	kind := "datagram"
	if s.InOrder {
		kind = "ordered"
	}
	if s.Reliable() {
		kind = "reliable"
	}
	return fmt.Sprintf("%s (delay %d ms, bandwidth %d bit/s, availability %d, loss %d, ber %d, max gap %d ms, timeout %d ms)",
		kind, s.Delay, s.Bandwidth, s.Availability, s.Loss, s.BER, s.MaxGap, s.Timeout)
}
