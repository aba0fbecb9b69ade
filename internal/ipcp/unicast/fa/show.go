package fa

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"ouroboros/irm"
)

// shownFlows is the most flows that Show lists one by one.
const shownFlows = 1000

// Show describes flows and allocations as JSON-ready values. Endpoints are
// strings, since they have more digits than a number in JSON can have.
func (a *Allocator) Show() map[string]any {
	open, resting := a.table.size()
	pending, kept := a.arrivals.size()
	c := &a.count
	return map[string]any{
		"flows": map[string]any{
			"open": open, "limit": flowsMost, "resting": resting, "peers": a.peers.len(), "list": a.list(),
			"unknown_endpoint": c.unknown.Load(), "overrun": c.overrun.Load(), "too_long": c.long.Load(),
			"stray_updates": c.strayUpdates.Load(), "ended_by_peer": c.left.Load(), "forged_ends": c.forged.Load(),
			"told_again": c.bounced.Load(),
		},
		"allocation": map[string]any{
			"requests": c.requests.Load(), "probes": c.probes.Load(),
			"accepted": c.accepted.Load(), "refused": c.refused.Load(), "unanswered": c.unanswered.Load(),
			"late_replies": c.late.Load(), "duplicate_replies": c.duplicate.Load(),
		},
		"arrivals": map[string]any{
			"requests": c.arrived.Load(), "again": c.again.Load(), "excess": c.excess.Load(),
			"accepted": c.taken.Load(), "refused": c.denied.Load(), "reply_not_sent": c.unsendable.Load(),
			"withdrawn": c.withdrawn.Load(), "pending": pending, "kept": kept, "malformed": c.malformed.Load(),
		},
	}
}

// list describes the flows, the oldest first.
func (a *Allocator) list() []map[string]any {
	all := a.table.all()
	slices.SortFunc(all, func(f, g *Flow) int {
		return cmp.Or(f.since.Compare(g.since), cmp.Compare(f.eid, g.eid))
	})
	all = all[:min(len(all), shownFlows)]
	l := make([]map[string]any, len(all))
	for i, f := range all {
		l[i] = f.show()
	}
	return l
}

func (f *Flow) show() map[string]any {
	m := map[string]any{
		"eid": eidString(f.eid), "remote_eid": eidString(f.remote.Load()), "remote": f.peer.addr.String(),
		"qos": f.qos.String(), "cube": f.cube, "state": f.state(), "since": f.since.UTC().Format(time.RFC3339),
		"mtu": f.MTU(), "route": f.peer.up.Load(),
		"sent": f.sent.show(), "received": f.received.show(),
		"updates_sent": f.wasReported.Load(), "updates_received": f.reported.Load(),
	}
	congestion := map[string]any{"policy": f.a.cfg.CA.String()}
	if f.a.cfg.CA == irm.MBECN {
		f.mu.Lock()
		s := f.sender.State(f.a.now())
		f.mu.Unlock()
		f.marks.Lock()
		level, count := f.receiver.Level(), f.receiver.Count()
		f.marks.Unlock()
		congestion["upstream_level"], congestion["upstream_packets"] = s.Level, s.Since
		congestion["downstream_level"], congestion["downstream_packets"] = level, count
		congestion["slot_ns"], congestion["packets"], congestion["bytes"] = s.Slot.Nanoseconds(), s.Packets, s.Bytes
		congestion["limit"], congestion["regime"] = s.Limit, s.Regime
	}
	m["congestion"] = congestion
	return m
}

// state is a word for how far the flow is.
func (f *Flow) state() string {
	switch {
	case f.gone.Load():
		return "ended by the peer"
	case f.remote.Load() == 0:
		return "allocating"
	}
	return "established"
}

func eidString(eid uint64) string { return strconv.FormatUint(eid, 10) }

func (t *traffic) show() map[string]any {
	return map[string]any{"packets": t.packets.Load(), "bytes": t.bytes.Load(), "dropped": t.dropped.Load()}
}
