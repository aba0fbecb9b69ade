package eth

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/ethmgmt"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// host is what stands behind a member: decide answers each request, and flows
// that are complete come out of flows.
type host struct {
	mu     sync.Mutex
	decide func(req *ipcp.Request) error
	more   string // behind each answer

	flows  chan flow.Flow
	failed chan error
}

func newHost() *host {
	return &host{
		decide: accept,
		flows:  make(chan flow.Flow, 1000), failed: make(chan error, 1000),
	}
}

type offer struct {
	*host
	data []byte
}

func (h *host) Arrive(_ context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	h.mu.Lock()
	decide, more := h.decide, h.more
	h.mu.Unlock()
	if err := decide(req); err != nil {
		return nil, err
	}
	return offer{h, append(append([]byte("answer to "), req.Data...), more...)}, nil
}

// decides sets what is answered to requests from now on.
func (h *host) decides(f func(req *ipcp.Request) error, more string) {
	h.mu.Lock()
	h.decide, h.more = f, more
	h.mu.Unlock()
}

func accept(*ipcp.Request) error { return nil }

func (h *host) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	return nil, errno.NotSup
}

func (h *host) Accept(context.Context) (flow.Flow, qos.Spec, error) {
	return nil, qos.Spec{}, errno.NotSup
}

func (o offer) Data() []byte         { return o.data }
func (o offer) Complete(f flow.Flow) { o.flows <- f }
func (o offer) Fail(err error)       { o.failed <- err }

// member is an IPCP in a namespace, behind its guard.
type member struct {
	*ipcp.Guard
	i     *IPCP
	host  *host
	space *netns.Space
}

var types = map[wire.Kind]irm.IPCPType{wire.DIX: irm.EthDIX, wire.LLC: irm.EthLLC}

// create makes a member that is in no layer yet, until the test ends.
func create(t testing.TB, s *netns.Space, kind wire.Kind) *member {
	t.Helper()
	m := &member{host: newHost(), space: s}
	g, err := ipcp.Start(types[kind], func(env ipcp.Env) (ipcp.IPCP, error) {
		m.i = newIPCP(env, kind, s.Do)
		return m.i, nil
	}, ipcp.Env{Identity: ipcp.Identity{PID: 5000000, Name: "eth"}, Host: m.host}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	m.Guard = g
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func config(kind wire.Kind, dev string) *irm.Config {
	c := irm.NewConfig(types[kind], "lan")
	c.Eth.Device = dev
	return c
}

// join makes a member in operation on a device.
func join(t testing.TB, s *netns.Space, kind wire.Kind, dev string) *member {
	t.Helper()
	m := create(t, s, kind)
	if _, err := m.Bootstrap(t.Context(), config(kind, dev)); err != nil {
		t.Fatal(err)
	}
	return m
}

// both joins two members over a veth pair.
func both(t testing.TB, kind wire.Kind, options ...netns.Option) (a, z *member) {
	t.Helper()
	sa, sz := pair(t, options...)
	return join(t, sa, kind, sa.Dev), join(t, sz, kind, sz.Dev)
}

// pair is netns.Pair, but the two devices have different numbers. Else the
// kernel does not see that they are joined, and takes up to a second to tell
// of a lost carrier.
func pair(t testing.TB, options ...netns.Option) (a, z *netns.Space) {
	t.Helper()
	a, z = netns.Empty(t), netns.Empty(t)
	must(t, netns.Join(a, "pad0", a, "pad1"))
	err := netns.Connect(a, z, options...)
	if errors.Is(err, netns.ErrRefused) {
		t.Skip(err)
	}
	must(t, err)
	return a, z
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// name is a hash.
func name(s string) []byte { return hash.Sum(irm.SHA3_256, s) }

// request asks for a name, with data that begins with an id of its own.
func request(s, data string) *ipcp.Request {
	id := make([]byte, 16)
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	return &ipcp.Request{Hash: name(s), QoS: qos.Raw, Data: append(id, data...)}
}

// shown is a number out of Show.
func (m *member) shown(component, key string) uint64 {
	switch v := m.Show()[component].(map[string]any)[key].(type) {
	case uint64:
		return v
	case int:
		return uint64(v)
	}
	return 1 << 63
}

// user is the handler of a flow. It passes on what comes.
type user struct {
	packets chan string
	events  chan flow.Event
	n       atomic.Uint64
}

func newUser() *user {
	return &user{packets: make(chan string, 10000), events: make(chan flow.Event, 10000)}
}

func (u *user) Receive(batch []*packet.Buffer) int {
	for _, b := range batch {
		u.packets <- string(b.Bytes())
		b.Release()
	}
	u.n.Add(uint64(len(batch)))
	return len(batch)
}

func (u *user) Event(e flow.Event) {
	if e != flow.EventWritable {
		u.events <- e
	}
}

func (u *user) packet(t testing.TB, want string) {
	t.Helper()
	select {
	case p := <-u.packets:
		if p != want {
			t.Fatalf("received %d bytes %.40q, want %d bytes %.40q", len(p), p, len(want), want)
		}
	case <-time.After(patience):
		t.Fatalf("%.40q did not arrive", want)
	}
}

func (u *user) event(t testing.TB, want flow.Event) {
	t.Helper()
	select {
	case e := <-u.events:
		if e != want {
			t.Fatalf("event %v, want %v", e, want)
		}
	case <-time.After(patience):
		t.Fatalf("no event %v", want)
	}
}

func (u *user) quiet(t testing.TB) {
	t.Helper()
	select {
	case e := <-u.events:
		t.Errorf("event %v", e)
	case p := <-u.packets:
		t.Errorf("packet %.40q", p)
	default:
	}
}

// end is one end of a flow with its user.
type end struct {
	flow.Flow
	*user
}

// connect allocates a flow from a to a name at z.
func connect(t testing.TB, a, z *member, to string) (client, server end) {
	t.Helper()
	must(t, z.Reg(t.Context(), name(to)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req := request(to, "hello")
	reply, err := a.AllocFlow(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]byte("answer to "), req.Data...); !bytes.Equal(reply.Data, want) {
		t.Fatalf("the answer is %q", reply.Data)
	}
	client = end{reply.Flow, newUser()}
	client.Attach(client.user)
	select {
	case f := <-z.host.flows:
		server = end{f, newUser()}
		server.Attach(server.user)
	case <-time.After(patience):
		t.Fatal("no flow at the server")
	}
	return client, server
}

// send sends a packet and fails when it is not taken.
func (e end) send(t testing.TB, text string) {
	t.Helper()
	b := []*packet.Buffer{packet.From([]byte(text))}
	for limit := time.Now().Add(patience); e.Send(b) == 0; {
		if time.Now().After(limit) {
			t.Fatal("no room")
		}
	}
}

// exchange sends one each way.
func exchange(t testing.TB, client, server end) {
	t.Helper()
	client.send(t, "ping")
	server.packet(t, "ping")
	server.send(t, "pong")
	client.packet(t, "pong")
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

// kinds runs a test for both kinds.
func kinds(t *testing.T, f func(t *testing.T, kind wire.Kind)) {
	for _, k := range []wire.Kind{wire.DIX, wire.LLC} {
		t.Run(k.String(), func(t *testing.T) { f(t, k) })
	}
}
