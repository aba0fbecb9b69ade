package udp

import (
	"net/netip"

	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/udpmgmt"
)

// run is the most datagrams that are sorted at a time.
const run = 64

// receiver sorts what arrives by endpoint. It belongs to the goroutine that
// serves the socket.
type receiver struct {
	l    *layer
	eids [run]uint32
	left [run]*packet.Buffer // nil = delivered
	same [run]*packet.Buffer // those of one endpoint
}

// Receive implements the handler of the socket. Datagrams for one endpoint
// stay in order and go up together, in the place of the first.
func (r *receiver) Receive(from netip.AddrPort, batch []*packet.Buffer) {
	for len(batch) > run {
		r.sort(from, batch[:run])
		batch = batch[run:]
	}
	r.sort(from, batch)
}

func (r *receiver) sort(from netip.AddrPort, batch []*packet.Buffer) {
	n, one := 0, true
	for _, b := range batch {
		eid, ok := udpmgmt.EID(b.Bytes())
		if !ok {
			r.l.runts.Add(1)
			b.Release()
			continue
		}
		r.eids[n], r.left[n] = eid, b
		one = one && eid == r.eids[0]
		n++
	}
	if n == 0 {
		return
	}
	if one {
		r.deliver(from, r.eids[0], r.left[:n])
		clear(r.left[:n])
		return
	}
	for i := range n {
		if r.left[i] == nil {
			continue
		}
		k := 0
		for j := i; j < n; j++ {
			if r.left[j] != nil && r.eids[j] == r.eids[i] {
				r.same[k], r.left[j] = r.left[j], nil
				k++
			}
		}
		r.deliver(from, r.eids[i], r.same[:k])
	}
	clear(r.same[:])
}

// deliver takes datagrams for one number.
func (r *receiver) deliver(from netip.AddrPort, eid uint32, batch []*packet.Buffer) {
	if eid == 0 {
		for _, b := range batch {
			r.l.message(from, b.Bytes())
			b.Release()
		}
		return
	}
	e := r.l.Endpoint(eid)
	if e == nil {
		packet.ReleaseAll(batch)
		return
	}
	for _, b := range batch {
		b.TrimHead(udpmgmt.EIDSize)
	}
	e.Deliver(from, batch)
}

// message takes a management datagram.
func (l *layer) message(from netip.AddrPort, datagram []byte) {
	w, err := udpmgmt.Parse(datagram)
	if err != nil {
		l.Malformed()
		return
	}
	m := shim.Message{
		Requester: w.SEID, Responder: w.DEID, Response: w.Response,
		QoS: w.QoS, Hash: w.Hash, Data: w.Data,
	}
	switch w.Code {
	case udpmgmt.FlowReq:
		m.Code = shim.FlowReq
	case udpmgmt.FlowReply:
		m.Code = shim.FlowReply
	case udpmgmt.Probe:
		m.Code = shim.Probe
	case udpmgmt.ProbeAnswer:
		m.Code = shim.ProbeAnswer
	}
	l.Message(from, &m)
}
