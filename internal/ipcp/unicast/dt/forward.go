package dt

import (
	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
)

// Receive implements flow.Handler: it takes all of a batch that came from the
// neighbour.
func (p *Port) Receive(batch []*packet.Buffer) (taken int) {
	e, t := p.e, p.e.table.Load()
	var in tally
	n := 0 // groups in use
	var last *route
	var lastDst wire.Addr
	for _, b := range batch {
		bytes := b.Bytes()
		h, ok := wire.Parse(bytes)
		if !ok {
			p.count.short.Add(1)
			b.Release()
			continue
		}
		in.add(h.QoS, len(bytes))
		if h.Dst == e.cfg.Own {
			n = p.sort(n, nil, h.EID, b)
			continue
		}
		// A packet that was sent with TTL t crosses at most t flows. One that
		// arrives with 0 is no packet of a sane member.
		if h.TTL <= 1 {
			p.count.ttl.Add(1)
			b.Release()
			continue
		}
		if h.Dst != lastDst {
			last, lastDst = t.to[h.Dst], h.Dst
		}
		var out *Port
		if last != nil {
			out = e.choose(last, h.EID)
		}
		switch {
		case out == nil:
			p.count.noRoute.Add(1)
			b.Release()
		case out.peer == p.peer:
			p.count.back.Add(1)
			b.Release()
		default:
			wire.SetTTL(bytes, h.TTL-1)
			n = p.sort(n, out, 0, b)
		}
	}
	in.count(p)
	for i := range n {
		g := &p.groups[i]
		if g.out == nil {
			e.deliver(p, g.eid, g.batch)
		} else {
			g.out.forward(p, g.batch)
		}
		g.batch = g.batch[:0]
	}
	return len(batch)
}

// sort puts a packet into its group, one of the first n, and gives how many
// groups there are.
func (p *Port) sort(n int, out *Port, eid uint64, b *packet.Buffer) int {
	for i := n - 1; i >= 0; i-- { // mostly the last
		g := &p.groups[i]
		if g.out == out && g.eid == eid {
			g.batch = append(g.batch, b)
			return n
		}
	}
	if n == len(p.groups) {
		p.groups = append(p.groups, group{})
	}
	g := &p.groups[n]
	g.out, g.eid = out, eid
	g.batch = append(g.batch[:0], b)
	return n + 1
}

// forward sends packets in transit. They never wait.
func (p *Port) forward(from *Port, batch []*packet.Buffer) {
	level := uint8(0)
	if p.e.cfg.Mark {
		level = p.level(len(batch))
	}
	var out tally
	for _, b := range batch {
		bytes := b.Bytes()
		if level != 0 {
			wire.Mark(bytes, level)
		}
		out.add(bytes[4], len(bytes))
	}
	if dropped := flow.SendOrDrop(p.flow, batch); dropped > 0 {
		p.count.full.Add(uint64(dropped))
	}
	out.transit(p)
	if level != 0 {
		p.count.marked.Add(uint64(len(batch)))
	}
}

// deliver gives packets to an endpoint of this member.
func (e *Engine) deliver(from *Port, eid uint64, batch []*packet.Buffer) {
	if eid >= wire.FirstFlowEID {
		if f := e.local.flows.Load(); f != nil {
			from.count.local.Add(uint64(len(batch)))
			(*f)(eid, batch)
			return
		}
	} else if eid < uint64(len(e.local.component)) {
		if f := e.local.component[eid].Load(); f != nil {
			from.count.local.Add(uint64(len(batch)))
			(*f)(batch)
			return
		}
	}
	from.count.noEndpoint.Add(uint64(len(batch)))
	packet.ReleaseAll(batch)
}
