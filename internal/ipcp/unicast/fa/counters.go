package fa

import "sync/atomic"

// counters are what happened at one allocator since it was made.
type counters struct {
	unknown   atomic.Uint64 // data for an endpoint that is not open
	overrun   atomic.Uint64 // data that the user did not take
	long      atomic.Uint64 // sent packets longer than the MTU
	malformed atomic.Uint64 // messages that make no sense

	requests   atomic.Uint64 // asked of peers
	probes     atomic.Uint64 // of those, sent once more
	accepted   atomic.Uint64 // by peers
	refused    atomic.Uint64 // by peers
	unanswered atomic.Uint64 // given up

	late         atomic.Uint64 // replies to nothing that is open
	duplicate    atomic.Uint64 // replies to what is answered already
	forged       atomic.Uint64 // ends of flows that are others
	strayUpdates atomic.Uint64 // for nothing that is open

	arrived    atomic.Uint64 // requests of peers
	again      atomic.Uint64 // of those, seen before
	excess     atomic.Uint64 // over a limit
	taken      atomic.Uint64 // accepted here
	denied     atomic.Uint64 // refused here
	unsendable atomic.Uint64 // replies that could not be sent
	withdrawn  atomic.Uint64 // by who asked

	left    atomic.Uint64 // flows that the peer ended
	bounced atomic.Uint64 // peers that were told so again
}
