package ouroboros

import (
	"ouroboros/internal/errno"
	"ouroboros/internal/ring"
)

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

// Flags and SetFlags read and replace all flags. A call of SetFlags with Down
// is seen by the other side of the flow as a down event, one without as an up
// event; a down that the other side or the layer caused is not lifted by it.
// A flow that is WriteOnly here cannot be written to there. ErrInvalid for an
// access mode that does not exist, ErrNotAlloc after Dealloc.
func (f *Flow) Flags() Flags { return Flags(f.flags.Load()) }

func (f *Flow) SetFlags(flags Flags) error {
	if flags&AccessMode == AccessMode {
		return errno.New(errno.Invalid, "cannot set flags 0%o: no such access mode", uint32(flags))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone.Load() {
		return ErrNotAlloc
	}
	f.flags.Store(uint32(flags))
	f.end.SetDeaf(flags&AccessMode == WriteOnly)
	f.end.SetDown(flags&Down != 0)
	return nil
}

// FRCTFlags and SetFRCTFlags fail with ErrPerm on a flow without FRCP.
func (f *Flow) FRCTFlags() (FRCTFlags, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.needFRCP(); err != nil {
		return 0, err
	}
	return f.frct, nil
}

func (f *Flow) SetFRCTFlags(flags FRCTFlags) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.needFRCP(); err != nil {
		return err
	}
	f.frct = flags&(ResControl|Linger) | f.frct&Retransmit
	f.end.SetOptions(uint8(f.frct) | ring.OptionSaid) // for the node, which runs the protocol
	return nil
}

func (f *Flow) needFRCP() error {
	if f.gone.Load() {
		return ErrNotAlloc
	}
	if !f.qos.InOrder {
		return errno.New(errno.Perm, "cannot set up FRCP: flow %d does not run it", f.id)
	}
	return nil
}

// initialFRCT is how FRCP starts on a flow with the QoS.
func initialFRCT(spec QoS) FRCTFlags {
	switch {
	case spec.Reliable():
		return Retransmit | ResControl | Linger
	case spec.InOrder:
		return ResControl
	}
	return 0
}
