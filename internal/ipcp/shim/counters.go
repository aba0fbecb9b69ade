package shim

import "sync/atomic"

// counters are what happened at one edge since it was made.
type counters struct {
	unknown   atomic.Uint64 // data for an endpoint that is not open
	foreign   atomic.Uint64 // data that did not come from the peer
	overrun   atomic.Uint64 // data that the user did not take
	long      atomic.Uint64 // sent packets longer than the MTU
	malformed atomic.Uint64 // messages that could not be decoded

	requests   atomic.Uint64 // asked of peers
	repeated   atomic.Uint64 // of those, sent once more
	probes     atomic.Uint64 // sent
	accepted   atomic.Uint64 // by peers
	refused    atomic.Uint64 // by peers
	unanswered atomic.Uint64 // given up

	late      atomic.Uint64 // replies to nothing that is open
	duplicate atomic.Uint64 // replies to what is answered already
	forged    atomic.Uint64 // replies from another than who was asked

	arrived    atomic.Uint64 // requests of peers
	again      atomic.Uint64 // of those, seen before
	ignored    atomic.Uint64 // for names that are not here
	excess     atomic.Uint64 // over a limit
	taken      atomic.Uint64 // accepted here
	denied     atomic.Uint64 // refused here
	unsendable atomic.Uint64 // replies that could not be sent
}
