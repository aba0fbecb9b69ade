package linkstate

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
	"ouroboros/internal/wire/lsa"
	"ouroboros/irm"
)

func TestMain(m *testing.M) { leak.Main(m) }

// member is a LinkState with its surroundings.
type member struct {
	*LinkState
	installs   atomic.Int64
	installing atomic.Int64
	conflicts  atomic.Int64
}

// newMember makes a member with the address own and starts it.
func newMember(t testing.TB, own wire.Addr, change ...func(*Config)) *member {
	m := &member{}
	cfg := Config{
		Own: own, Policy: irm.LinkState,
		Install: func(r *Routes) {
			if m.installing.Add(1) != 1 {
				t.Error("two calls of Install at a time")
			}
			m.installs.Add(1)
			m.installing.Add(-1)
		},
		Conflict:  func() { m.conflicts.Add(1) },
		Log:       slog.New(slog.DiscardHandler),
		Go:        func(f func()) { go f() },
		AfterFunc: time.AfterFunc,
	}
	for _, c := range change {
		c(&cfg)
	}
	m.LinkState = New(cfg)
	m.Start()
	t.Cleanup(m.Close)
	return m
}

func policy(p irm.Routing) func(*Config) { return func(c *Config) { c.Policy = p } }

// next is the next hops towards a member.
func (m *member) next(dst wire.Addr) []wire.Addr { return m.routes.Load().To[dst].Next }

// counter gives a counter by its name.
func (m *member) counter(name string) int {
	switch n := m.Show()["counters"].(map[string]any)[name].(type) {
	case uint64:
		return int(n)
	case int64:
		return int(n)
	}
	panic("there is no counter " + name)
}

// shown gives the entry of the data base for a link, nil if there is none.
func (m *member) shown(src, dst wire.Addr) map[string]any {
	for _, e := range m.Show()["lsdb"].([]any) {
		if e := e.(map[string]any); e["src"] == src.String() && e["dst"] == dst.String() {
			return e
		}
	}
	return nil
}

// testConn is a Management connection without a connmgr.
type testConn struct {
	*flow.Conn
	id   int
	lost atomic.Pointer[error]
}

func (c *testConn) ID() int { return c.id }
func (c *testConn) Lost(why error) {
	c.lost.Store(&why)
	c.Close()
}

var lastID atomic.Int64

// connect gives one end of a flow to the member as a connection to peer.
func (m *member) connect(f flow.Flow, peer wire.Addr) (*testConn, error) {
	c := &testConn{Conn: flow.NewConn(f, nil), id: int(lastID.Add(1))}
	err := m.join(c, peer)
	if err != nil {
		c.Close()
	}
	return c, err
}

// heard is an update and the time when it came.
type heard struct {
	lsa.Update
	at time.Time
}

// station is the other end of a Management connection: it sends what the test
// wants and notes what comes.
type station struct {
	t     testing.TB
	m     *member
	addr  wire.Addr
	f     *flow.Pipe
	conn  *testConn
	since time.Time

	mu     sync.Mutex
	got    []heard
	events []flow.Event
	deaf   bool // takes nothing
}

// newStation connects a station as a neighbour of m.
func newStation(t testing.TB, m *member, addr wire.Addr, limit ...flow.Limit) *station {
	var o flow.PipeOptions
	if len(limit) > 0 {
		o.Limit = limit[0]
	}
	a, b := flow.NewPipe(o)
	s := &station{t: t, m: m, addr: addr, f: b, since: time.Now()}
	b.Attach(s)
	c, err := m.connect(a, addr)
	if err != nil {
		t.Fatal(err)
	}
	s.conn = c
	t.Cleanup(b.Dealloc)
	return s
}

// ready is newStation, and its pause is over; what came is forgotten.
func ready(t testing.TB, m *member, addr wire.Addr) *station {
	s := newStation(t, m, addr)
	time.Sleep(firstPause + time.Millisecond)
	synctest.Wait()
	s.take()
	return s
}

func (s *station) Receive(batch []*packet.Buffer) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		return 0
	}
	for _, b := range batch {
		u, ok := lsa.Parse(b.Bytes())
		if !ok {
			s.t.Errorf("a packet of %d bytes", b.Len())
		}
		s.got = append(s.got, heard{u, time.Now()})
		b.Release()
	}
	return len(batch)
}

func (s *station) Event(e flow.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
}

// take gives what has come and forgets it.
func (s *station) take() []heard {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// send sends updates as they are.
func (s *station) send(us ...lsa.Update) {
	batch := make([]*packet.Buffer, len(us))
	for i, u := range us {
		b := packet.Get(lsa.Size)
		u.Put(b.Bytes())
		batch[i] = b
	}
	flow.SendOrDrop(s.f, batch)
	synctest.Wait()
}

// raw sends a packet.
func (s *station) raw(p []byte) {
	s.f.Send([]*packet.Buffer{packet.From(p)})
	synctest.Wait()
}

// both is the two updates that make a link, with plain numbers.
func both(a, b wire.Addr, seq lsa.Seq) []lsa.Update {
	return []lsa.Update{{Src: a, Dst: b, Seq: seq}, {Src: b, Dst: a, Seq: seq}}
}

// updates are the updates of what came.
func updates(hs []heard) (us []lsa.Update) {
	for _, h := range hs {
		us = append(us, h.Update)
	}
	return us
}

// of are those of one link.
func of(hs []heard, src, dst wire.Addr) (some []heard) {
	return slices.DeleteFunc(slices.Clone(hs), func(h heard) bool { return h.Src != src || h.Dst != dst })
}

func describe(s lsa.Seq) string {
	if !s.Structured() {
		return fmt.Sprint(uint64(s))
	}
	return fmt.Sprintf("counter %d, MTU %d, withdrawn %v", s.Counter(), s.MTU(), s.Withdrawn())
}

func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
