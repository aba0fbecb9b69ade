package dt

import (
	"slices"
	"sync/atomic"

	wire "ouroboros/internal/wire/dt"
	"ouroboros/qos"
)

// cubes is the number of classes that are counted apart. What a packet says to
// be of another counts as best effort.
const cubes = 3

func cubeOf(b uint8) uint8 {
	if b < cubes {
		return b
	}
	return 0
}

// traffic counts packets and bytes, headers included.
type traffic struct{ packets, bytes atomic.Uint64 }

func (t *traffic) add(packets, bytes int) {
	if packets > 0 {
		t.packets.Add(uint64(packets))
		t.bytes.Add(uint64(bytes))
	}
}

// cubeCounters are those of one class on one port.
type cubeCounters struct{ in, transit, localOut traffic }

// portCounters count packets of a port.
type portCounters struct {
	local      atomic.Uint64 // for an endpoint of this member
	short      atomic.Uint64 // dropped: no whole header
	ttl        atomic.Uint64 // dropped: at the end of their life
	noRoute    atomic.Uint64 // dropped: no way to the destination
	back       atomic.Uint64 // dropped: the way leads back
	noEndpoint atomic.Uint64 // dropped: for a component that there is not
	full       atomic.Uint64 // dropped: in transit, and the port was full
	marked     atomic.Uint64 // in transit with a congestion level of this port
	downs      atomic.Uint64 // times that the port went down
}

// counters of the engine.
type counters struct {
	noRouteLocal atomic.Uint64 // dropped: sent here, and no way to the destination
}

// tally adds up a batch before it is counted.
type tally [cubes]struct{ packets, bytes int }

func (t *tally) add(cube uint8, bytes int) {
	c := &t[cubeOf(cube)]
	c.packets++
	c.bytes += bytes
}

func (t *tally) count(p *Port) {
	for i := range t {
		p.cubes[i].in.add(t[i].packets, t[i].bytes)
	}
}

func (t *tally) transit(p *Port) {
	for i := range t {
		p.cubes[i].transit.add(t[i].packets, t[i].bytes)
	}
}

// Show describes the ports and what they did, JSON-ready.
func (e *Engine) Show() map[string]any {
	e.mu.Lock()
	ports := slices.Clone(e.ports)
	e.mu.Unlock()
	slices.Reverse(ports)
	shown := make([]any, 0, len(ports))
	for _, p := range ports {
		shown = append(shown, p.show())
	}
	return map[string]any{
		"address":             e.cfg.Own.String(),
		"max_ttl":             int(e.cfg.MaxTTL),
		"destinations":        len(e.table.Load().to),
		"ports":               shown,
		"forwarding":          e.forwarding(),
		"dropped_no_route":    e.count.noRouteLocal.Load(),
		"congestion_marking":  e.cfg.Mark,
		"equal_cost_spraying": e.cfg.Spread,
	}
}

// shownRoutes is the most destinations that Show lists one by one.
const shownRoutes = 1000

// forwarding lists the neighbours that lead to each destination now, in the
// order in which they are tried.
func (e *Engine) forwarding() map[string][]string {
	to := e.table.Load().to
	shown := make(map[string][]string, min(len(to), shownRoutes))
	for dst, r := range to {
		if len(shown) == shownRoutes {
			break
		}
		next := make([]string, 0, len(r.hops))
		for _, ports := range r.hops {
			if i := slices.IndexFunc(ports, (*Port).Up); i >= 0 {
				next = append(next, ports[i].peer.String())
			}
		}
		shown[dst.String()] = next
	}
	return shown
}

func (p *Port) show() map[string]any {
	perCube := make([]any, 0, cubes)
	for i := range p.cubes {
		c := &p.cubes[i]
		if i > 0 && c.in.packets.Load()+c.transit.packets.Load()+c.localOut.packets.Load() == 0 {
			continue
		}
		perCube = append(perCube, map[string]any{
			"cube":             qos.Cube(i).String(),
			"received_packets": c.in.packets.Load(), "received_bytes": c.in.bytes.Load(),
			"forwarded_packets": c.transit.packets.Load(), "forwarded_bytes": c.transit.bytes.Load(),
			"sent_packets": c.localOut.packets.Load(), "sent_bytes": c.localOut.bytes.Load(),
		})
	}
	return map[string]any{
		"id": p.id, "neighbour": p.peer.String(), "up": p.up.Load(), "qos": p.flow.QoS().String(),
		"mtu": p.mtu(), "queued": p.flow.QueueLen(), "since": p.since.UTC().Format("2006-01-02T15:04:05Z"),
		"cubes":               perCube,
		"delivered":           p.count.local.Load(),
		"dropped_short":       p.count.short.Load(),
		"dropped_ttl":         p.count.ttl.Load(),
		"dropped_no_route":    p.count.noRoute.Load(),
		"dropped_back":        p.count.back.Load(),
		"dropped_no_endpoint": p.count.noEndpoint.Load(),
		"dropped_full":        p.count.full.Load(),
		"marked":              p.count.marked.Load(),
		"downs":               p.count.downs.Load(),
	}
}

// Neighbours lists the neighbours with a port that is up.
func (e *Engine) Neighbours() (all []wire.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.ports {
		if p.up.Load() && !slices.Contains(all, p.peer) {
			all = append(all, p.peer)
		}
	}
	return all
}
