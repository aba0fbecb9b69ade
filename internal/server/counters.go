package server

import "sync/atomic"

// counters are events since the start.
type counters struct {
	sessions    atomic.Uint64 // opened
	calls       atomic.Uint64 // connections to the management socket
	full        atomic.Uint64 // refused: a limit on connections
	denied      atomic.Uint64 // refused: no permission
	silent      atomic.Uint64 // ended: no Hello in time
	malformed   atomic.Uint64 // ended: a record that is none
	stalled     atomic.Uint64 // ended: did not read
	pending     atomic.Uint64 // refused: too many requests pending
	foreign     atomic.Uint64 // ignored: a flow that the process does not hold
	accept      atomic.Uint64 // accept failed
	failed      atomic.Uint64 // management calls that ended in a fault of ours
	died        atomic.Uint64 // process ended and left its socket to others
	undelivered atomic.Uint64 // flows that could not be passed to their process
}

// snapshot gives the counters by name.
func (c *counters) snapshot() map[string]uint64 {
	return map[string]uint64{
		"server_sessions":             c.sessions.Load(),
		"server_calls":                c.calls.Load(),
		"server_refused_full":         c.full.Load(),
		"server_refused_permission":   c.denied.Load(),
		"server_refused_pending":      c.pending.Load(),
		"server_cut_silent":           c.silent.Load(),
		"server_cut_malformed":        c.malformed.Load(),
		"server_cut_stalled":          c.stalled.Load(),
		"server_foreign_flows":        c.foreign.Load(),
		"server_accept_failed":        c.accept.Load(),
		"server_calls_failed":         c.failed.Load(),
		"server_process_died":         c.died.Load(),
		"server_grants_undeliverable": c.undelivered.Load(),
	}
}
