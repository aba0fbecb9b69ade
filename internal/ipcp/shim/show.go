package shim

import (
	"cmp"
	"fmt"
	"slices"
)

// shownFlows is the most flows that Show lists one by one.
const shownFlows = 1000

// Show describes the flows, the allocations and the directory as JSON-ready
// values, keyed by component. An edge adds its own.
func (s *Shim[A]) Show() map[string]any {
	open, resting := s.table.size()
	pending, kept := s.arrivals.size()
	c := &s.count
	return map[string]any{
		"flows": map[string]any{
			"open": open, "limit": s.table.limit, "resting": resting, "mtu": s.MTU(), "down": s.Down(),
			"list":             s.list(),
			"unknown_endpoint": c.unknown.Load(), "foreign_source": c.foreign.Load(),
			"overrun": c.overrun.Load(), "too_long": c.long.Load(),
		},
		"allocation": map[string]any{
			"requests": c.requests.Load(), "repeated": c.repeated.Load(), "probes": c.probes.Load(),
			"accepted": c.accepted.Load(), "refused": c.refused.Load(), "unanswered": c.unanswered.Load(),
			"late_replies": c.late.Load(), "duplicate_replies": c.duplicate.Load(), "forged_replies": c.forged.Load(),
			"own_kind_peers": s.peers.len(),
		},
		"arrivals": map[string]any{
			"requests": c.arrived.Load(), "again": c.again.Load(), "ignored": c.ignored.Load(), "excess": c.excess.Load(),
			"accepted": c.taken.Load(), "refused": c.denied.Load(), "reply_not_sent": c.unsendable.Load(),
			"pending": pending, "kept": kept, "malformed": c.malformed.Load(),
		},
		"directory": map[string]any{"names": s.Names.Len(), "known": s.Directory.Len()},
	}
}

// list describes the flows by number.
func (s *Shim[A]) list() []map[string]any {
	all := s.table.all()
	slices.SortFunc(all, func(a, b *Endpoint[A]) int { return cmp.Compare(a.id, b.id) })
	all = all[:min(len(all), shownFlows)]
	l := make([]map[string]any, len(all))
	for i, e := range all {
		l[i] = map[string]any{
			"endpoint": e.id, "peer": fmt.Sprint(e.peer), "peer_endpoint": e.remote.Load(),
			"sent": e.sent.show(), "received": e.received.show(),
		}
	}
	return l
}

func (t *traffic) show() map[string]any {
	return map[string]any{"packets": t.packets.Load(), "bytes": t.bytes.Load(), "dropped": t.dropped.Load()}
}
