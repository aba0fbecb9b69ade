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

	"ouroboros/internal/ipcp"
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
