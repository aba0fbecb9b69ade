package registry

import "runtime"

// counters count what happened since the start. r.mu guards them.
type counters struct {
	announced, exited          uint64
	allocated, deallocated     uint64
	direct, outgoing, incoming uint64
	refused, timedOut          uint64
	arrived, unknownHash       uint64
	denied, badResponses       uint64
	reservedBack               uint64
	started, startFailed       uint64
	ipcpFailed                 uint64
	limit                      uint64
	eventsLost                 uint64
	saved, saveFailed          uint64
	notOwned                   uint64
}

// show gives the counters, and the present sizes, by name.
func (c *counters) show(r *Registry) map[string]uint64 {
	return map[string]uint64{
		"processes_announced":   c.announced,
		"processes_exited":      c.exited,
		"flows_allocated":       c.allocated,
		"flows_deallocated":     c.deallocated,
		"flows_direct":          c.direct,
		"flows_outgoing":        c.outgoing,
		"flows_incoming":        c.incoming,
		"allocations_refused":   c.refused,
		"allocations_timed_out": c.timedOut,
		"requests_arrived":      c.arrived,
		"requests_unknown_hash": c.unknownHash,
		"requests_denied":       c.denied,
		"responses_bad":         c.badResponses,
		"accepts_put_back":      c.reservedBack,
		"programs_started":      c.started,
		"programs_failed":       c.startFailed,
		"ipcps_failed":          c.ipcpFailed,
		"limits_reached":        c.limit,
		"events_lost":           c.eventsLost,
		"state_saved":           c.saved,
		"state_save_failures":   c.saveFailed,
		"dealloc_not_owned":     c.notOwned,
		"processes":             uint64(len(r.procs)),
		"flows":                 uint64(len(r.flows)),
		"names":                 uint64(len(r.names)),
		"ipcps":                 uint64(len(r.ipcps.sorted)),
		"watchers":              uint64(len(r.watchers)),
		"goroutines":            uint64(runtime.NumGoroutine()), // of the whole program
	}
}
