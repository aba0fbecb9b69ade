package broadcast

import (
	"cmp"
	"slices"
	"time"
)

// Show implements ipcp.IPCP.
func (b *IPCP) Show() map[string]any {
	return map[string]any{
		"forwarding": b.fwd.show(), "tree": b.tree.show(), "guard": b.fwd.guard.show(),
		"connections": b.mgr.Show(), "enrollment": b.enroller.Show(),
	}
}

// show describes the neighbours, and what all of them have counted.
func (f *forwarder) show() map[string]any {
	f.mu.Lock()
	var links []*neighbour
	var sum tally
	sum.add(&f.gone)
	processes := 0
	for n := range f.all {
		sum.add(&n.count)
		if n.local() {
			processes++
		} else {
			links = append(links, n)
		}
	}
	slices.SortFunc(links, func(a, b *neighbour) int { return cmp.Compare(a.id, b.id) })
	list := make([]map[string]any, len(links))
	for i, n := range links {
		packets, _ := n.queue.held()
		l := n.link
		m := map[string]any{
			"dst": l.conn.Dst(), "peer": "", "state": n.state(), "mtu": n.limit.Load(), "queued": packets,
			"received": n.count.received.Load(), "sent": n.count.sent.Load(),
			"blocked": n.count.blocked.Load(), "overrun": n.count.overrun.Load(),
			"too_long": n.count.tooLong.Load(), "storm": n.count.storm.Load(),
		}
		if !l.foreign() {
			m["peer"] = name(l.peer)
		}
		list[i] = m
	}
	mtu := f.mtu
	f.mu.Unlock()
	return map[string]any{
		"neighbours": list, "processes": processes, "mtu": mtu,
		"received": sum.received.Load(), "received_bytes": sum.bytesIn.Load(), "sent": sum.sent.Load(),
		"blocked": sum.blocked.Load(), "overrun": sum.overrun.Load(), "too_long": sum.tooLong.Load(),
		"storm": sum.storm.Load(),
	}
}

// state says whether a connection carries, and if not why. The forwarder's mu
// is held.
func (n *neighbour) state() string {
	switch {
	case n.down:
		return "down"
	case n.stormy:
		return "storm"
	case !n.agreed:
		return "blocked"
	}
	return "forwarding"
}

// show describes the tree as this member sees it.
func (t *tree) show() map[string]any {
	b := t.b
	b.mu.Lock()
	strays := len(b.strays)
	b.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	links := make([]*link, 0, len(t.ports))
	for _, l := range t.ports {
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b *link) int { return cmp.Compare(a.id, b.id) })
	ports := make([]map[string]any, len(links))
	for i, l := range links {
		ports[i] = map[string]any{"peer": name(l.peer), "dst": l.conn.Dst(), "role": l.port.Role(), "settled": l.port.Settled()}
	}
	c := &t.m.Counters
	return map[string]any{
		"member": name(b.own), "root": name(t.m.Root()), "hops": t.m.Hops(), "attached": t.m.Attached(), "ports": ports,
		"root_changes": c.Roots, "parent_changes": c.Parents, "searches": c.Searches, "searches_failed": c.Failed,
		"news": c.News, "requests": c.Requests, "foreign": c.Foreign, "refused": c.Refused, "doubted": c.Doubted,
		"self": b.count.self.Load(), "double": b.count.double.Load(), "uncontrolled": b.count.uncontrolled.Load(),
		"astray": b.count.astray.Load(), "strays": strays, "strays_ended": b.count.strays.Load(),
		"garbage": b.count.garbage.Load(),
	}
}

// show describes the guard.
func (g *guard) show() map[string]any {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := map[string]any{"active": g.active.Load(), "tests": g.tests, "passed": g.passed, "blocked": g.blocks}
	if g.testing {
		m["testing"] = g.suspect.describe()
	}
	if g.last != nil && time.Now().Before(g.last.watch.until) {
		m["blocks"], m["until"] = g.last.describe(), g.last.watch.until.Format(time.RFC3339)
	}
	return m
}
