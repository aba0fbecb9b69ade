package eth

import (
	"errors"

	"ouroboros/internal/ipcp/shim"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
)

// run is the most frames that are sorted at a time.
const run = 64

// flowKey is what frames of one flow have in common: from a station, and in
// eth-llc from an endpoint of it, to an endpoint of ours.
type flowKey struct {
	from    wire.MAC
	to, sap uint16
}

// receiver sorts what arrives by flow. It belongs to the goroutine that serves
// the link.
type receiver struct {
	l    *layer
	keys [run]flowKey
	left [run]*packet.Buffer // nil = delivered
	same [run]*packet.Buffer // those of one flow
}

// Receive implements link.Handler. Frames of one flow stay in order and go up
// together, in the place of the first.
func (r *receiver) Receive(frames []*packet.Buffer) {
	for len(frames) > run {
		r.sort(frames[:run])
		frames = frames[run:]
	}
	r.sort(frames)
}

func (r *receiver) sort(frames []*packet.Buffer) {
	n, one := 0, true
	for _, b := range frames {
		key, ok := r.l.strip(b)
		if !ok {
			b.Release()
			continue
		}
		r.keys[n], r.left[n] = key, b
		one = one && key == r.keys[0]
		n++
	}
	if n == 0 {
		return
	}
	if one {
		r.l.deliver(r.keys[0], r.left[:n])
		clear(r.left[:n])
		return
	}
	for i := range n {
		if r.left[i] == nil {
			continue
		}
		k := 0
		for j := i; j < n; j++ {
			if r.left[j] != nil && r.keys[j] == r.keys[i] {
				r.same[k], r.left[j] = r.left[j], nil
				k++
			}
		}
		r.l.deliver(r.keys[i], r.same[:k])
	}
	clear(r.same[:])
}

// strip takes the header and the padding off a frame. A frame that is not
// whole, or not ours, is counted.
func (l *layer) strip(b *packet.Buffer) (key flowKey, ok bool) {
	frame := b.Bytes()
	var n int
	var err error
	if l.kind == wire.LLC {
		var dsap, ssap wire.SAP
		dsap, ssap, n, err = wire.ParseLLC(frame)
		key.to, key.sap = uint16(dsap), uint16(ssap)
	} else {
		key.to, n, err = wire.ParseDIX(frame, l.ethertype)
	}
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrRunt):
		l.count.runt.Add(1)
		return key, false
	case errors.Is(err, wire.ErrLength):
		l.count.length.Add(1)
		return key, false
	default:
		l.count.foreign.Add(1)
		return key, false
	}
	if key.from = wire.Source(frame); !key.from.Individual() {
		l.count.group.Add(1)
		return key, false
	}
	b.TrimTail(len(frame) - l.kind.Header() - n)
	b.TrimHead(l.kind.Header())
	return key, true
}

// deliver takes frames of one flow, headers taken off.
func (l *layer) deliver(key flowKey, batch []*packet.Buffer) {
	if uint32(key.to) == l.kind.Management() {
		if l.kind == wire.LLC && key.sap != key.to {
			l.count.endpoint.Add(uint64(len(batch)))
			packet.ReleaseAll(batch)
			return
		}
		for _, b := range batch {
			l.manage(key.from, b.Bytes())
			b.Release()
		}
		return
	}
	e := l.Endpoint(uint32(key.to))
	switch {
	case e == nil:
		packet.ReleaseAll(batch)
	case l.kind == wire.LLC && e.Remote() != uint32(key.sap):
		l.count.endpoint.Add(uint64(len(batch)))
		packet.ReleaseAll(batch)
	default:
		e.Deliver(key.from, batch)
	}
}

// manage takes a management message.
func (l *layer) manage(from wire.MAC, p []byte) {
	w, err := l.kind.Parse(p, l.hashSize)
	if err != nil {
		l.Malformed()
		return
	}
	m := shim.Message{Response: w.Response, QoS: w.QoS, Hash: w.Hash, Data: w.Data}
	switch w.Code {
	case wire.NameQuery:
		l.answer(from, w.Hash)
		return
	case wire.NameReply:
		l.learn(from, w.Hash)
		return
	case wire.FlowRequest:
		m.Code, m.Requester = shim.FlowReq, uint32(w.Source)
	case wire.Probe:
		m.Code, m.Requester = shim.Probe, uint32(w.Source)
	case wire.FlowReply:
		m.Code, m.Requester, m.Responder = shim.FlowReply, uint32(w.Destination), uint32(w.Source)
	case wire.ProbeAnswer:
		m.Code, m.Requester = shim.ProbeAnswer, uint32(w.Destination)
	}
	l.Message(from, &m)
}
