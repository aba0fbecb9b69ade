package broadcast

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

const layer = "dhbc"

// world is a layer of members of a test.
type world struct {
	*ipcptest.World
	t       testing.TB
	members map[string]*member
}

// member is one IPCP behind its guard.
type member struct {
	*ipcp.Guard
	w     *world
	name  string
	inner *IPCP
}

func newWorld(t testing.TB) *world {
	return &world{World: ipcptest.NewWorld(t), t: t, members: make(map[string]*member)}
}

// bare makes an IPCP that is in no layer.
func (w *world) bare(name string) *member {
	w.t.Helper()
	m := &member{w: w, name: name}
	g, err := ipcp.Start(irm.Broadcast, func(env ipcp.Env) (ipcp.IPCP, error) {
		m.inner = newIPCP(env)
		return m.inner, nil
	}, w.Env(name), func(err error) { w.t.Errorf("%s has failed: %v", name, err) })
	if err != nil {
		w.t.Fatal(err)
	}
	m.Guard = g
	w.members[name] = m
	w.t.Cleanup(func() { g.Close() })
	return m
}

// member makes one that is in the layer.
func (w *world) member(name string) *member {
	w.t.Helper()
	m := w.bare(name)
	if _, err := m.Bootstrap(w.t.Context(), irm.NewConfig(irm.Broadcast, layer)); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// kill ends a member without a word to others.
func (w *world) kill(name string) {
	w.Mute(true)
	m := w.members[name]
	delete(w.members, name)
	w.Filter(func(p ipcptest.Packet) bool { return p.From != name && p.To != name })
	w.Stop(name)
	m.Close()
	w.Filter(nil)
	w.Mute(false)
}

func (w *world) connect(a, b string) {
	w.t.Helper()
	if err := w.members[a].Connect(w.t.Context(), irm.DataTransfer, b, qos.Raw); err != nil {
		w.t.Fatalf("%s to %s: %v", a, b, err)
	}
}

// participant is a process that has joined.
type participant struct {
	name string
	f    flow.Flow

	mu     sync.Mutex
	got    []string
	full   bool // takes nothing
	events []flow.Event
	room   chan struct{}
}

func (m *member) join() *participant {
	m.w.t.Helper()
	f, err := m.Join(m.w.t.Context(), hash.Sum(irm.SHA3_256, layer))
	if err != nil {
		m.w.t.Fatalf("%s: %v", m.name, err)
	}
	p := &participant{name: m.name, f: f, room: make(chan struct{}, 1)}
	f.Attach(p)
	return p
}

func (p *participant) Receive(batch []*packet.Buffer) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full {
		return 0
	}
	for _, b := range batch {
		p.got = append(p.got, string(b.Bytes()))
	}
	packet.ReleaseAll(batch)
	return len(batch)
}

func (p *participant) Event(e flow.Event) {
	p.mu.Lock()
	p.events = append(p.events, e)
	p.mu.Unlock()
	if e == flow.EventWritable {
		select {
		case p.room <- struct{}{}:
		default:
		}
	}
}

// write writes messages, and waits when it has to.
func (p *participant) write(texts ...string) {
	for len(texts) > 0 {
		n := min(len(texts), 64)
		batch := make([]*packet.Buffer, n)
		for i := range batch {
			batch[i] = packet.From([]byte(texts[i]))
		}
		taken := p.f.Send(batch)
		packet.ReleaseAll(batch[taken:])
		texts = texts[taken:]
		if taken < n {
			<-p.room
		}
	}
}

// take gives what has come, and forgets it.
func (p *participant) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

func (p *participant) setFull(full bool) {
	p.mu.Lock()
	p.full = full
	p.mu.Unlock()
	if !full {
		p.f.Resume()
	}
}

// once fails unless each of all writes, and every other one gets it once.
func once(t testing.TB, what string, all ...*participant) {
	t.Helper()
	for _, p := range all {
		p.take()
	}
	for i, from := range all {
		text := fmt.Sprintf("%s: message %d of %s", what, i, from.name)
		from.write(text)
		synctest.Wait()
		for j, p := range all {
			want := []string{text}
			if i == j {
				want = nil
			}
			if got := p.take(); !slices.Equal(got, want) {
				t.Errorf("%s: from %d (%s) to %d (%s): got %q", what, i, from.name, j, p.name, got)
			}
		}
	}
}

// neighbours gives what a member shows of its connections.
func (m *member) neighbours() []map[string]any {
	return m.Show()["forwarding"].(map[string]any)["neighbours"].([]map[string]any)
}

func (m *member) tree() map[string]any { return m.Show()["tree"].(map[string]any) }

func (m *member) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: tree %v\n", m.name, m.tree())
	for _, n := range m.neighbours() {
		fmt.Fprintf(&b, "   %v\n", n)
	}
	return b.String()
}

func (w *world) String() string {
	var names []string
	for n := range w.members {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		b.WriteString(w.members[n].describe())
	}
	return b.String()
}

// rest lets all that is under way come to an end.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
