package registry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// testFabric makes ends that only remember what happened to them.
type testFabric struct {
	mu     sync.Mutex
	ends   map[*testEnd]struct{} // open
	direct func(a, b Owner) error
}

type testEnd struct {
	f      *testFabric
	owner  Owner
	flow   flow.Flow // attached
	pipe   flow.Flow // of an IPCP
	mu     sync.Mutex
	events []flow.Event
	closed bool
	peer   *testEnd
}

func newFabric() *testFabric { return &testFabric{ends: make(map[*testEnd]struct{})} }

func (f *testFabric) end(o Owner) *testEnd {
	e := &testEnd{f: f, owner: o}
	f.mu.Lock()
	f.ends[e] = struct{}{}
	f.mu.Unlock()
	return e
}

func (f *testFabric) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ends)
}

func (f *testFabric) Direct(a, b Owner, spec qos.Spec) (End, End, error) {
	if f.direct != nil {
		if err := f.direct(a, b); err != nil {
			return nil, nil, err
		}
	}
	ea, eb := f.end(a), f.end(b)
	ea.peer, eb.peer = eb, ea
	_, pa := a.(FlowOwner)
	_, pb := b.(FlowOwner)
	if pa || pb {
		ea.pipe, eb.pipe = flow.NewPipe(flow.PipeOptions{QoS: spec})
	}
	return ea, eb, nil
}

func (f *testFabric) Attach(o Owner, fl flow.Flow, _ qos.Spec) (End, error) {
	e := f.end(o)
	e.flow = fl
	return e, nil
}

func (e *testEnd) Flow() flow.Flow { return e.pipe }

func (e *testEnd) Event(ev flow.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.events = append(e.events, ev)
	}
}

func (e *testEnd) Close() {
	e.mu.Lock()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	if again {
		panic("an end was closed twice")
	}
	e.f.mu.Lock()
	delete(e.f.ends, e)
	e.f.mu.Unlock()
	if e.flow != nil {
		e.flow.Dealloc()
	}
	if e.pipe != nil {
		e.pipe.Dealloc()
	}
}

func (e *testEnd) saw(ev flow.Event) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.events, ev)
}

type testOwner string

func (o testOwner) OwnerName() string { return string(o) }

// testNode is a registry with its fabric.
type testNode struct {
	*Registry
	t      testing.TB
	fabric *testFabric
}

// newNode makes a node that is closed, and checked for what is left of it, at
// the end of the test.
func newNode(t testing.TB, change func(*Config)) *testNode {
	t.Helper()
	f := newFabric()
	cfg := Config{Fabric: f}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &testNode{Registry: r, t: t, fabric: f}
	t.Cleanup(n.end)
	return n
}

func (n *testNode) end() {
	n.t.Helper()
	if err := n.Close(context.Background()); err != nil {
		n.t.Error("Close:", err)
	}
	if open := n.fabric.open(); open != 0 {
		n.t.Errorf("%d ends of flows are open after the end of the node", open)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.procs)+len(n.flows)+len(n.ipcps.sorted) != 0 {
		n.t.Errorf("left after the end of the node: %d processes, %d flows, %d IPCPs", len(n.procs), len(n.flows), len(n.ipcps.sorted))
	}
}

// process announces a process that is bound to names.
func (n *testNode) process(pid int, names ...string) *Process {
	n.t.Helper()
	h, err := n.Announce(Identity{PID: pid, UID: 1000, Exe: "/usr/bin/test"}, testOwner("test"))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, s := range names {
		if err := h.Bind(context.Background(), s); err != nil {
			n.t.Fatal(err)
		}
	}
	return h
}

// accepting starts an Accept and returns when it is pending.
func (n *testNode) accepting(h *Process) <-chan outcome {
	before := n.pendingOf(h)
	c := make(chan outcome, 1)
	go func() {
		g, err := h.Accept(context.Background())
		c <- outcome{g, err}
	}()
	for n.pendingOf(h) == before && len(c) == 0 {
		yield()
	}
	return c
}

func (n *testNode) pendingOf(h *Process) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return h.proc.nAccepts
}

type outcome struct {
	g   *Grant
	err error
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}
