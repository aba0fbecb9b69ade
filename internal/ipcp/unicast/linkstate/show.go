package linkstate

import (
	"cmp"
	"slices"
	"time"

	wire "ouroboros/internal/wire/dt"
)

// counters are what happened since the start.
type counters struct {
	received   uint64 // updates
	accepted   uint64 // of those, new
	duplicates uint64 // of those, known
	old        uint64 // of those, older than what was known
	refused    uint64 // of those, and of neighbours: over a limit
	malformed  uint64 // packets that are no updates, or of no link
	sent       uint64

	updates     uint64 // of own links
	withdrawals uint64 // of own links
	reminders   uint64 // sent back to who had older ones
	aged        uint64 // links that were not repeated

	forged     uint64 // updates of own links that others have made
	jumps      uint64 // of those, of links that are there
	unanswered uint64 // of those, over a limit
	conflicts  uint64 // signs of a second member with this address

	fillers uint64 // sent in the place of keep-alives
	nudges  uint64 // links that never were, withdrawn

	connections uint64 // that came
	ended       uint64 // of those, deallocated
	silent      uint64 // of those, given up
	down, up    uint64 // changes of their flows
	stuck       uint64 // times that one took no more

	computed  uint64
	installed uint64 // of those, others than before
	took      time.Duration
}

func (c *counters) show() map[string]any {
	return map[string]any{
		"received": c.received, "accepted": c.accepted, "duplicates": c.duplicates, "old": c.old,
		"refused": c.refused, "malformed": c.malformed, "sent": c.sent,
		"updates": c.updates, "withdrawals": c.withdrawals, "reminders": c.reminders, "aged": c.aged,
		"forged": c.forged, "jumps": c.jumps, "unanswered": c.unanswered, "conflicts": c.conflicts,
		"fillers": c.fillers, "nudges": c.nudges,
		"connections": c.connections, "ended": c.ended, "silent": c.silent,
		"flow_down": c.down, "flow_up": c.up, "stuck": c.stuck,
		"computed": c.computed, "installed": c.installed, "last_computation_us": c.took.Microseconds(),
	}
}

// Show describes the routing as JSON-ready values. The number of a link is the
// counter of a structured one.
func (l *LinkState) Show() map[string]any {
	r := l.routes.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	return map[string]any{
		"policy": l.cfg.Policy.String(), "own": l.cfg.Own.String(),
		"neighbours": l.showNeighbours(), "management": l.showManagement(),
		"lsdb": l.db.show(time.Now()), "routes": r.show(), "counters": l.count.show(),
	}
}

func (l *LinkState) showNeighbours() []any {
	var all []*ownLink
	for _, o := range l.own {
		if !o.phantom {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *ownLink) int { return cmp.Compare(a.nb, b.nb) })
	shown := make([]any, 0, len(all))
	for _, o := range all {
		shown = append(shown, map[string]any{"address": o.nb.String(), "up": o.up, "mtu": o.mtu})
	}
	return shown
}

func (l *LinkState) showManagement() []any {
	all := make([]*conn, 0, len(l.conns))
	for _, c := range l.conns {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *conn) int {
		return cmp.Or(cmp.Compare(a.p.addr, b.p.addr), cmp.Compare(a.c.ID(), b.c.ID()))
	})
	shown := make([]any, 0, len(all))
	for _, c := range all {
		queued := 0
		if c.p.use == c {
			queued = c.p.waiting()
		}
		shown = append(shown, map[string]any{
			"address": c.p.addr.String(), "conn": c.c.ID(), "up": c.up, "used": c.p.use == c,
			"queued": queued, "sent": c.sent, "received": c.received,
		})
	}
	return shown
}

func (d *database) show(now time.Time) []any {
	all := slices.Clone(d.all)
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.src, b.src), cmp.Compare(a.dst, b.dst))
	})
	shown := make([]any, 0, len(all))
	for _, e := range all {
		seq := uint64(e.seq)
		if e.seq.Structured() {
			seq = uint64(e.seq.Counter())
		}
		shown = append(shown, map[string]any{
			"src": e.src.String(), "dst": e.dst.String(), "seq": seq, "structured": e.seq.Structured(),
			"age_s": now.Sub(e.stamp).Seconds(), "mtu": e.mtu, "withdrawn": e.down, "usable": e.usable(),
		})
	}
	return shown
}

func (r *Routes) show() []any {
	all := make([]wire.Addr, 0, len(r.To))
	for a := range r.To {
		all = append(all, a)
	}
	slices.Sort(all)
	shown := make([]any, 0, len(all))
	for _, a := range all {
		h := r.To[a]
		next := make([]any, 0, len(h.Next))
		for _, n := range h.Next {
			next = append(next, n.String())
		}
		shown = append(shown, map[string]any{"dst": a.String(), "next": next, "mtu": h.MTU})
	}
	return shown
}
