package fa_test

import (
	"context"
	"crypto/sha3"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/unicast/dt"
	"ouroboros/internal/ipcp/unicast/fa"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	msg "ouroboros/internal/wire/fa"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

const hashLen = 32

// layer joins members. Each packet takes latency, unless fate says how often it
// arrives, and after how long besides.
type layer struct {
	latency time.Duration
	fate    func(from, to wire.Addr) (copies int, later time.Duration)
	pass    func(from, to wire.Addr, m *msg.Message) bool // does this message arrive?

	mu      sync.Mutex
	members map[wire.Addr]*member
	last    map[[2]wire.Addr]time.Time // when the latest packet of a way arrives
}

func newLayer() *layer {
	return &layer{latency: 5 * time.Millisecond, members: make(map[wire.Addr]*member), last: make(map[[2]wire.Addr]time.Time)}
}

// losses loses a share of all packets, and of the others doubles and delays
// some, so that they overtake each other.
func losses(share float64, seed uint64) func(from, to wire.Addr) (int, time.Duration) {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 3))
	return func(_, _ wire.Addr) (int, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Float64() < share:
			return 0, 0
		case r.Float64() < 0.1:
			return 2, time.Duration(r.IntN(20)) * time.Millisecond
		}
		return 1, time.Duration(r.IntN(10)) * time.Millisecond
	}
}

// member is the network as one member sees it.
type member struct {
	l       *layer
	addr    wire.Addr
	room    atomic.Int64 // packets that Send takes; negative = all
	mtu     atomic.Int64
	mark    atomic.Uint32 // of what is sent
	blocked sync.Map      // addresses that there is no route to

	mu      sync.Mutex
	comp    func([]*packet.Buffer)
	flows   func(uint64, []*packet.Buffer)
	changed func()
	waiting map[dt.Waiter]struct{}
}

func (l *layer) add(addr wire.Addr) *member {
	m := &member{l: l, addr: addr, waiting: make(map[dt.Waiter]struct{})}
	m.room.Store(-1)
	m.mtu.Store(1000)
	l.mu.Lock()
	l.members[addr] = m
	l.mu.Unlock()
	return m
}

func (m *member) Own() wire.Addr { return m.addr }

func (m *member) HasRoute(to wire.Addr) bool {
	_, blocked := m.blocked.Load(to)
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	return !blocked && m.l.members[to] != nil
}

func (m *member) MTU(to wire.Addr) int {
	if !m.HasRoute(to) {
		return 0
	}
	return int(m.mtu.Load())
}

func (m *member) QueueLen(wire.Addr) int { return 0 }

func (m *member) OnChange(f func()) { m.changed = f }

func (m *member) Register(_ uint64, f func([]*packet.Buffer)) { m.comp = f }

func (m *member) RegisterFlows(f func(uint64, []*packet.Buffer)) { m.flows = f }

// route makes or takes away the route to a member.
func (m *member) route(to wire.Addr, up bool) {
	if up {
		m.blocked.Delete(to)
	} else {
		m.blocked.Store(to, true)
	}
	m.changed()
}

func (m *member) Stall(_ wire.Addr, w dt.Waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[w] = struct{}{}
}

func (m *member) Unstall(w dt.Waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiting, w)
}

// writable gives room and tells who waits.
func (m *member) writable(room int64) {
	m.room.Store(room)
	m.mu.Lock()
	waiting := m.waiting
	m.waiting = make(map[dt.Waiter]struct{})
	m.mu.Unlock()
	for w := range waiting {
		w.Writable()
	}
}

func (m *member) Send(to wire.Addr, cube uint8, eid uint64, batch []*packet.Buffer) (taken int) {
	if !m.HasRoute(to) {
		packet.ReleaseAll(batch)
		return len(batch)
	}
	n := len(batch)
	if room := m.room.Load(); room >= 0 {
		n = min(n, int(room))
		m.room.Add(-int64(n))
	}
	for _, b := range batch[:n] {
		copies, later := 1, time.Duration(0)
		if m.l.fate != nil {
			copies, later = m.l.fate(m.addr, to)
		}
		if eid == wire.EIDFlowAllocator && m.l.pass != nil {
			if parsed, err := msg.Parse(b.Bytes(), hashLen); err == nil && !m.l.pass(m.addr, to, &parsed) {
				copies = 0
			}
		}
		wire.Header{Dst: to, QoS: cube, TTL: 60, ECN: uint8(m.mark.Load()), EID: eid}.Put(b.Prepend(wire.HeaderLen))
		for range copies {
			c := b.Clone()
			time.AfterFunc(m.l.due(m.addr, to)+later, func() { m.l.arrive(to, eid, c) })
		}
		b.Release()
	}
	return n
}

// due is the latency of a packet, such that those of a way keep their order.
func (l *layer) due(from, to wire.Addr) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	way := [2]wire.Addr{from, to}
	at := time.Now().Add(l.latency)
	if last := l.last[way]; !at.After(last) {
		at = last.Add(1)
	}
	l.last[way] = at
	return time.Until(at)
}

// arrive gives a packet to a member.
func (l *layer) arrive(at wire.Addr, eid uint64, b *packet.Buffer) {
	l.mu.Lock()
	m := l.members[at]
	l.mu.Unlock()
	switch {
	case m != nil && eid == wire.EIDFlowAllocator && m.comp != nil:
		m.comp([]*packet.Buffer{b})
	case m != nil && eid >= wire.FirstFlowEID && m.flows != nil:
		m.flows(eid, []*packet.Buffer{b})
	default:
		b.Release()
	}
}

// say lets a message arrive at a member, from nobody in particular.
func (m *member) say(message *msg.Message) {
	b := packet.Get(wire.HeaderLen + message.Size())
	clear(b.Bytes()[:wire.HeaderLen])
	message.Put(b.Bytes()[wire.HeaderLen:])
	m.comp([]*packet.Buffer{b})
}

// directory is where names are.
type directory struct {
	mu     sync.Mutex
	at     map[string][]wire.Addr
	failed []wire.Addr
}

func (d *directory) Query(_ context.Context, hash []byte) ([]wire.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := d.at[string(hash)]; at != nil {
		return at, nil
	}
	return nil, errno.NameError
}

func (d *directory) Failed(_ []byte, a wire.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = append(d.failed, a)
}

func (d *directory) set(s string, at ...wire.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at[string(name(s))] = at
}

// host is what stands behind an allocator: decide answers each request, and
// flows that are complete come out of flows.
type host struct {
	decide func(ctx context.Context, req *ipcp.Request) error
	answer func(req *ipcp.Request) []byte
	flows  chan flow.Flow
	failed chan error
}

func newHost() *host {
	return &host{
		decide: func(context.Context, *ipcp.Request) error { return nil },
		answer: func(req *ipcp.Request) []byte { return append([]byte("answer to "), req.Data...) },
		flows:  make(chan flow.Flow, 100000), failed: make(chan error, 100000),
	}
}

type offer struct {
	*host
	data []byte
}

func (h *host) Arrive(ctx context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	if err := h.decide(ctx, req); err != nil {
		return nil, err
	}
	return offer{h, h.answer(req)}, nil
}

func (h *host) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	return nil, errno.NotSup
}

func (h *host) Accept(context.Context) (flow.Flow, qos.Spec, error) {
	return nil, qos.Spec{}, errno.NotSup
}

func (o offer) Data() []byte         { return o.data }
func (o offer) Complete(f flow.Flow) { o.flows <- f }
func (o offer) Fail(err error)       { o.failed <- err }

// node is a member with an allocator.
type node struct {
	*fa.Allocator
	net  *member
	dir  *directory
	host *host
	work sync.WaitGroup
}

// change is made to the configuration of an allocator.
type change func(*fa.Config)

// join makes a member, in operation until the test ends.
func (l *layer) join(t testing.TB, addr wire.Addr, changes ...change) *node {
	n := &node{net: l.add(addr), dir: &directory{at: make(map[string][]wire.Addr)}, host: newHost()}
	cfg := fa.Config{
		Net: n.net, Directory: n.dir, Host: n.host, HashLen: hashLen, CA: irm.MBECN,
		Go:        func(f func()) { n.work.Go(f) },
		AfterFunc: time.AfterFunc,
	}
	for _, c := range changes {
		c(&cfg)
	}
	n.Allocator = fa.New(cfg)
	t.Cleanup(n.close)
	return n
}

func (n *node) close() {
	n.Allocator.Close()
	n.work.Wait()
}

// name is a hash.
func name(s string) []byte {
	h := sha3.Sum256([]byte(s))
	return h[:]
}

func request(s, data string) *ipcp.Request {
	return &ipcp.Request{Hash: name(s), QoS: qos.Raw, Data: []byte(data)}
}

// shown is a number out of Show.
func (n *node) shown(component, key string) uint64 {
	switch v := n.Show()[component].(map[string]any)[key].(type) {
	case uint64:
		return v
	case int:
		return uint64(v)
	}
	return 1 << 63
}

// expect compares numbers out of Show.
func (n *node) expect(t testing.TB, component string, want map[string]uint64) {
	t.Helper()
	for key, w := range want {
		if got := n.shown(component, key); got != w {
			t.Errorf("%s: %s is %d, want %d", component, key, got, w)
		}
	}
}

// collect attaches a handler that copies what comes.
type collect struct {
	mu     sync.Mutex
	got    [][]byte
	events []flow.Event
}

func (c *collect) Receive(batch []*packet.Buffer) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range batch {
		c.got = append(c.got, append([]byte(nil), b.Bytes()...))
		b.Release()
	}
	return len(batch)
}

func (c *collect) Event(e flow.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func (c *collect) seen() (packets int, events []flow.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got), append([]flow.Event(nil), c.events...)
}

func settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

func packets(n, size int) []*packet.Buffer {
	batch := make([]*packet.Buffer, n)
	for i := range batch {
		batch[i] = packet.From(make([]byte, size))
	}
	return batch
}

// pair is two members, and the name "there" at the second.
func pair(t testing.TB, l *layer, changes ...change) (a, b *node) {
	a, b = l.join(t, 1, changes...), l.join(t, 2, changes...)
	a.dir.set("there", 2)
	return a, b
}

// alloc asks as the node does: again, as long as there is a chance.
func alloc(t testing.TB, n *node, limit time.Duration) (*ipcp.Reply, error) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		r, err := n.AllocFlow(ctx, request("there", "hello"))
		if err == nil || errno.Number(err) != errno.Again.Errno() {
			return r, err
		}
	}
}

func mustAlloc(t testing.TB, n *node) *fa.Flow {
	t.Helper()
	r, err := alloc(t, n, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return r.Flow.(*fa.Flow)
}

// joined is a flow between two members, with a collector at each end.
func joined(t testing.TB, l *layer, changes ...change) (a, b *node, near, far *fa.Flow, here, there *collect) {
	a, b = pair(t, l, changes...)
	near = mustAlloc(t, a)
	far = (<-b.host.flows).(*fa.Flow)
	here, there = new(collect), new(collect)
	near.Attach(here)
	far.Attach(there)
	return a, b, near, far, here, there
}
