package frcp

import "sync/atomic"

// Counters of one machine or of many. Packets, unless said otherwise.
type Counters struct {
	Sent          atomic.Uint64 // data, the first time
	Retransmitted atomic.Uint64 // data, again
	Timeouts      atomic.Uint64 // times that nothing was heard for a retransmission time-out
	Needless      atomic.Uint64 // of these, how many were too early
	Recoveries    atomic.Uint64 // losses noticed by acknowledgements
	AcksSent      atomic.Uint64 // without data
	WindowsSent   atomic.Uint64 // windows without data and acknowledgement
	RDVSSent      atomic.Uint64
	GaveUp        atomic.Uint64 // flows that went down: the peer did not acknowledge

	Received    atomic.Uint64 // data that is new
	OutOfOrder  atomic.Uint64 // of these, kept until the gap before them was filled
	Gaps        atomic.Uint64 // numbers that a flow without retransmission passed over
	AcksHeard   atomic.Uint64 // without data
	RDVSHeard   atomic.Uint64
	Duplicate   atomic.Uint64 // dropped: data that had come before, or came too late
	OutOfWindow atomic.Uint64 // dropped: data that the window does not allow
	Overfull    atomic.Uint64 // dropped: more bytes than there is room for
	NoRun       atomic.Uint64 // dropped: data before the beginning of a run
	Short       atomic.Uint64 // dropped: shorter than a header
	BadAck      atomic.Uint64 // acknowledgements and windows of what was never sent, ignored
	BadWindow   atomic.Uint64 // windows that move back or are impossible, ignored
	TooLong     atomic.Uint64 // dropped: sent by the user, longer than the MTU
	Dropped     atomic.Uint64 // dropped: sent by the user after the end
}
