// Package ipcptest is a world for tests of what IPCPs are made of: several IPC
// processes that reach each other by name, as over a layer below, in memory.
//
//	w := ipcptest.NewWorld(t)
//	a := connmgr.New(w.Env("a"), connmgr.Options{})
//	b := connmgr.New(w.Env("b"), connmgr.Options{})
//
//	┌── Env "a" ──┐   Host.Alloc("b")    ┌── Env "b" ──┐
//	│             │ ───────────────────► │ Host.Accept │
//	│         flow.Pipe ═══ Filter ═══ flow.Pipe       │
//	└─────────────┘                      └─────────────┘
//
// The flows are real (flow.Pipe); on the way packets can be lost, and flows can
// be broken, be down, or end without a word, as they do on networks. It is made
// for testing/synctest, where waiting costs nothing, and works without it. At
// the end of the test every Env ends, and its goroutines are waited for.
package ipcptest

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/packet"
	"ouroboros/qos"
)

// World is where the Envs of a test live. Its methods may be called from any
// goroutine.
type World struct {
	filter atomic.Pointer[func(Packet) bool]
	refuse atomic.Pointer[func(from, dst string) error]
	mute   atomic.Bool

	mu    sync.Mutex
	pid   int
	mtu   int
	hosts map[string]*host   // by IPCP
	bound map[string][]*host // by name
	flows []*Flow            // oldest first
	lines bytes.Buffer
}

// Packet is one on its way.
type Packet struct {
	From, To string // IPCPs
	Dst      string // that the flow was allocated to
	Bytes    []byte // not to be kept
}

// NewWorld makes an empty world that ends with the test.
func NewWorld(t testing.TB) *World {
	w := &World{hosts: make(map[string]*host), bound: make(map[string][]*host), pid: 4194304}
	t.Cleanup(w.end)
	return w
}

// Env makes an IPCP of that name, bound to it. It is given to a component, or
// to ipcp.Start, which then minds goroutines and timers.
func (w *World) Env(name string) ipcp.Env {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hosts[name] != nil {
		panic("ipcptest: there are two of " + name)
	}
	w.pid++
	h := &host{w: w, name: name, arrived: make(chan accepted)}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	w.hosts[name] = h
	w.bound[name] = append(w.bound[name], h)
	text := slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
	return ipcp.Env{
		Identity: ipcp.Identity{PID: w.pid, Name: name},
		Host:     h, Log: slog.New(text).With("ipcp", name),
		Context: h.ctx, Go: h.spawn, AfterFunc: h.afterFunc,
	}
}

// Bind lets an IPCP be reached under one more name; Unbind undoes it, also for
// its own name.
func (w *World) Bind(ipcp, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bound[name] = append(w.bound[name], w.hosts[ipcp])
}

// Unbind undoes Bind.
func (w *World) Unbind(ipcp, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unbind(w.hosts[ipcp], name)
}

func (w *World) unbind(h *host, name string) {
	w.bound[name] = slices.DeleteFunc(w.bound[name], func(o *host) bool { return o == h })
	if len(w.bound[name]) == 0 {
		delete(w.bound, name)
	}
}

// SetMTU is that of flows that are allocated from now on; 0 = the longest.
func (w *World) SetMTU(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mtu = n
}

// Filter decides which packets arrive; nil = all. It may be called from several
// goroutines.
func (w *World) Filter(pass func(p Packet) bool) { store(&w.filter, pass) }

// Refuse decides which allocations fail, and why; nil = none.
func (w *World) Refuse(f func(from, dst string) error) { store(&w.refuse, f) }

func store[F any](p *atomic.Pointer[F], f F) { p.Store(&f) }

// Mute makes deallocations unheard at the other end, as on an Ethernet.
func (w *World) Mute(mute bool) { w.mute.Store(mute) }

// Flows are those that have an end which is not deallocated, oldest first.
func (w *World) Flows() []*Flow {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.flows)
}

// Between are the Flows between two IPCPs, in either direction.
func (w *World) Between(a, b string) []*Flow {
	return slices.DeleteFunc(w.Flows(), func(f *Flow) bool {
		return !(f.From == a && f.To == b || f.From == b && f.To == a)
	})
}

// Stop ends an IPCP: its context, then its goroutines, which are waited for,
// then its flows. Its names are free again.
func (w *World) Stop(ipcp string) {
	w.mu.Lock()
	h := w.hosts[ipcp]
	delete(w.hosts, ipcp)
	for name := range w.bound {
		w.unbind(h, name)
	}
	w.mu.Unlock()
	if h == nil {
		return
	}
	h.stop()
	for _, f := range w.Flows() {
		f.endOf(h)
	}
}

// end stops all.
func (w *World) end() {
	w.mu.Lock()
	var names []string
	for n := range w.hosts {
		names = append(names, n)
	}
	w.mu.Unlock()
	for _, n := range names {
		w.Stop(n)
	}
}

// Write takes a line of a log.
func (w *World) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines.Write(line)
}

// Logged counts the lines that were logged and hold all of the texts.
func (w *World) Logged(texts ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
lines:
	for line := range strings.Lines(w.lines.String()) {
		for _, t := range texts {
			if !strings.Contains(line, t) {
				continue lines
			}
		}
		n++
	}
	return n
}

// host is the ipcp.Host of one Env.
type host struct {
	w       *World
	name    string
	ctx     context.Context
	cancel  context.CancelFunc
	arrived chan accepted

	mu      sync.Mutex
	stopped bool
	inside  sync.WaitGroup
}

// accepted is a flow for an Accept.
type accepted struct {
	f    flow.Flow
	spec qos.Spec
}

func (h *host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.inside.Add(1)
	}
	return !h.stopped
}

func (h *host) spawn(f func()) {
	if !h.enter() {
		return
	}
	go func() {
		defer h.inside.Done()
		f()
	}()
}

func (h *host) afterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if h.ctx.Err() == nil && h.enter() {
			defer h.inside.Done()
			f()
		}
	})
}

func (h *host) stop() {
	h.cancel()
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.inside.Wait()
}

// Arrive implements ipcp.Host: there are no names above.
func (h *host) Arrive(context.Context, *ipcp.Request) (ipcp.Offer, error) {
	return nil, errno.New(errno.NameError, "no name of this node has that hash")
}

// Alloc implements ipcp.Host. It waits for an Accept of one of those that are
// bound to dst; of several, the one that accepts next gets the flow.
func (h *host) Alloc(ctx context.Context, dst string, spec qos.Spec) (flow.Flow, error) {
	w := h.w
	if f := w.refuse.Load(); f != nil && *f != nil {
		if err := (*f)(h.name, dst); err != nil {
			return nil, err
		}
	}
	for ctx.Err() == nil && h.ctx.Err() == nil {
		to := w.turn(h, dst)
		if to == nil {
			return nil, errno.New(errno.NameError, "nobody knows that name: neither this node nor a layer that it is in").
				Next("see that it is registered")
		}
		f := w.newFlow(h, to, dst, spec)
		timer := time.NewTimer(10 * time.Millisecond) // then it is another's turn
		select {
		case to.arrived <- accepted{f.ends[1], spec}:
			timer.Stop()
			return f.ends[0], nil
		case <-timer.C:
		case <-to.ctx.Done():
		case <-ctx.Done():
		}
		timer.Stop()
		f.drop()
	}
	if h.ctx.Err() != nil {
		return nil, errno.New(errno.IPCP, "the IPCP is gone")
	}
	if ctx.Err() == context.DeadlineExceeded {
		return nil, errno.New(errno.TimedOut, "nobody accepts flows to %q", dst)
	}
	return nil, ctx.Err()
}

// Accept implements ipcp.Host.
func (h *host) Accept(ctx context.Context) (flow.Flow, qos.Spec, error) {
	select {
	case a := <-h.arrived:
		return a.f, a.spec, nil
	case <-ctx.Done():
		return nil, qos.Spec{}, ctx.Err()
	case <-h.ctx.Done():
		return nil, qos.Spec{}, errno.New(errno.IPCP, "the IPCP is gone")
	}
}

// turn gives the next of those that are bound to a name, and h itself only when
// there is nobody else.
func (w *World) turn(h *host, name string) *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.bound[name]
	if len(l) == 0 {
		return nil
	}
	for range l {
		next := l[0]
		copy(l, l[1:])
		l[len(l)-1] = next
		if next != h {
			return next
		}
	}
	return h
}

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
