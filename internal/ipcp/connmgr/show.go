package connmgr

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// shownConns is the most connections that Show lists one by one.
const shownConns = 1000

// counters are what happened since the Switchboard was made.
type counters struct {
	dialled     atomic.Uint64 // exchanges that succeeded
	unallocated atomic.Uint64 // flows that could not be allocated
	unanswered  atomic.Uint64 // flows on which no answer came
	garbled     atomic.Uint64 // answers that could not be read
	denied      atomic.Uint64 // refusals, other protocols

	accepted   atomic.Uint64 // exchanges that succeeded
	silent     atomic.Uint64 // flows that were closed because no message came
	crowded    atomic.Uint64 // of those, to make room for others
	garbage    atomic.Uint64 // messages that could not be read
	refused    atomic.Uint64 // component unknown
	mismatched atomic.Uint64 // another protocol
	excess     atomic.Uint64 // over the limit of the component
	rejected   atomic.Uint64 // by the component

	lost      atomic.Uint64 // said by a component
	redialled atomic.Uint64 // connected again
}

// Show describes the connections as JSON-ready values.
func (s *Switchboard) Show() any {
	c := &s.count
	s.mu.Lock()
	names := make([]string, 0, len(s.components))
	for n := range s.components {
		names = append(names, n)
	}
	waiting, entries := len(s.waiting), s.entries()
	s.mu.Unlock()
	slices.Sort(names)
	list := make([]map[string]any, len(entries))
	for i, e := range entries {
		list[i] = e.show()
	}
	return map[string]any{
		"components": names,
		"dialling": map[string]any{
			"dialled": c.dialled.Load(), "unallocated": c.unallocated.Load(), "unanswered": c.unanswered.Load(),
			"garbage": c.garbled.Load(), "refused": c.denied.Load(),
			"lost": c.lost.Load(), "redialled": c.redialled.Load(),
		},
		"accepting": map[string]any{
			"accepted": c.accepted.Load(), "waiting": waiting, "silent": c.silent.Load(), "crowded": c.crowded.Load(),
			"garbage": c.garbage.Load(), "refused": c.refused.Load(), "other_protocol": c.mismatched.Load(),
			"excess": c.excess.Load(), "rejected": c.rejected.Load(), "limit": s.opts.Limit,
		},
		"connections": list,
	}
}

// entry is a connection, what somebody has asked for, or both.
type entry struct {
	id      int
	conn    *Conn
	link    *link
	redials int
	since   time.Time
	err     error
}

// entries are those that are shown, by number. s.mu is held.
func (s *Switchboard) entries() []entry {
	l := make([]entry, 0, len(s.conns)+len(s.links))
	for id, c := range s.conns {
		if c.link == nil {
			l = append(l, entry{id: id, conn: c})
		}
	}
	for _, k := range s.links {
		l = append(l, entry{k.id, k.conn, k, k.redials, k.since, k.err})
	}
	slices.SortFunc(l, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	return l[:min(len(l), shownConns)]
}

func (e entry) show() map[string]any {
	m := map[string]any{"id": e.id, "dst": "", "dialled": true, "state": "connected"}
	if c := e.conn; c != nil {
		m["component"], m["dst"], m["dialled"] = c.name, c.dst, c.dialled
		m["qos"], m["mtu"] = c.QoS().String(), c.Flow().MTU()
		m["since"] = c.since.Format(time.RFC3339)
		if c.peer.Address != 0 {
			m["peer"] = c.peer.Address.String()
		}
	}
	k := e.link
	if k == nil {
		return m
	}
	m["redials"] = e.redials
	if e.conn != nil {
		return m
	}
	m["component"], m["dst"], m["qos"] = k.call.Info.Component, k.call.Dst, k.call.QoS.String()
	m["since"], m["state"] = e.since.Format(time.RFC3339), "redialling"
	if e.redials == 0 && e.err == nil {
		m["state"] = "connecting"
	}
	if e.err != nil {
		m["error"] = e.err.Error()
	}
	return m
}
