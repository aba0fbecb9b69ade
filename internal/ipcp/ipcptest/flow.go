package ipcptest

import (
	"slices"
	"sync"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// Flow is a flow between two IPCPs of the world.
type Flow struct {
	From, To string // IPCPs
	Dst      string // that it was allocated to
	QoS      qos.Spec

	w    *World
	pipe *flow.Pipe
	ends [2]*end
}

func (w *World) newFlow(from, to *host, dst string, spec qos.Spec) *Flow {
	f := &Flow{From: from.name, To: to.name, Dst: dst, QoS: spec, w: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	a, b := flow.NewPipe(flow.PipeOptions{QoS: spec, MTU: w.mtu, Done: f.forget})
	f.pipe = a
	f.ends[0] = &end{Pipe: a, f: f, of: from, to: to}
	f.ends[1] = &end{Pipe: b, f: f, of: to, to: from}
	w.flows = append(w.flows, f)
	return f
}

func (f *Flow) forget() {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.flows = slices.DeleteFunc(f.w.flows, func(o *Flow) bool { return o == f })
}

// drop deallocates both ends.
func (f *Flow) drop() {
	f.ends[0].Dealloc()
	f.ends[1].Dealloc()
}

func (f *Flow) endOf(h *host) {
	for _, e := range f.ends {
		if e.of == h {
			e.Dealloc()
		}
	}
}

// Break ends the flow from below: both users get EventDealloc.
func (f *Flow) Break() { f.pipe.End(flow.EventDealloc) }

// SetDown makes it unable to carry packets, or able again; both users hear of it.
func (f *Flow) SetDown(down bool) { f.pipe.SetDown(down) }

// SetMTU changes the longest packet; both users hear of it.
func (f *Flow) SetMTU(n int) { f.pipe.SetMTU(n) }

// PeerGone tells both users that nothing was heard of the other for the peer
// time-out.
func (f *Flow) PeerGone() {
	for _, e := range f.ends {
		e.mu.Lock()
		h := e.h
		e.mu.Unlock()
		if h != nil {
			h.Event(flow.EventPeer)
		}
	}
}

// end is one end of a Flow.
type end struct {
	*flow.Pipe
	f      *Flow
	of, to *host

	mu sync.Mutex
	h  flow.Handler
}

// Send implements flow.Flow.
func (e *end) Send(batch []*packet.Buffer) (taken int) {
	pass := e.f.w.filter.Load()
	if pass == nil || *pass == nil {
		return e.Pipe.Send(batch)
	}
	for i, b := range batch {
		if !(*pass)(Packet{From: e.of.name, To: e.to.name, Dst: e.f.Dst, Bytes: b.Bytes()}) {
			b.Release()
		} else if e.Pipe.Send(batch[i:i+1]) == 0 {
			return i
		}
	}
	return len(batch)
}

// Lossless implements flow.Lossless: this is a network.
func (e *end) Lossless() bool { return false }

// Attach implements flow.Flow.
func (e *end) Attach(h flow.Handler) {
	e.mu.Lock()
	e.h = h
	e.mu.Unlock()
	e.Pipe.Attach(flow.Funcs{OnReceive: h.Receive, OnEvent: func(ev flow.Event) {
		if ev != flow.EventDealloc || !e.f.w.mute.Load() {
			h.Event(ev)
		}
	}})
}
