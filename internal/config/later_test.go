package config_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/config"
	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/registry"
	"ouroboros/irm"
	"ouroboros/qos"
)

// network says which members can be reached, and since when the others can.
type network struct {
	mu    sync.Mutex
	from  map[string]time.Time // the member answers from then on
	fail  map[string]error     // it never does, or the step never works
	steps []string             // what worked
}

func (n *network) ask(step, dst string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, what := range []string{dst, step} {
		if err := n.fail[what]; err != nil {
			return err
		}
	}
	if at, ok := n.from[dst]; ok && time.Now().Before(at) {
		return errno.New(errno.NameError, "nobody knows %q", dst)
	}
	n.steps = append(n.steps, step)
	return nil
}

func (n *network) done() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.steps)
}

// memberOf is an IPCP in a network.
type memberOf struct {
	ipcp.Unsupported
	n    *network
	name string
}

func (m *memberOf) Bootstrap(_ context.Context, c *irm.Config) (irm.LayerInfo, error) {
	return irm.LayerInfo{Name: c.Layer, Hash: c.Hash}, m.n.ask(m.name+" bootstraps", "")
}

func (m *memberOf) Enroll(_ context.Context, dst string) (irm.LayerInfo, error) {
	return irm.LayerInfo{Name: "big", Hash: irm.SHA3_256}, m.n.ask(m.name+" enrols with "+dst, dst)
}

func (m *memberOf) Connect(_ context.Context, component, dst string, _ qos.Spec) error {
	return m.n.ask(m.name+" connects "+component+" with "+dst, dst)
}

func (m *memberOf) Disconnect(_ context.Context, component, dst string) error {
	return m.n.ask(m.name+" disconnects "+component+" from "+dst, "")
}

func (m *memberOf) Reg(context.Context, []byte) error {
	return m.n.ask(m.name+" registers", "directory")
}
func (*memberOf) Unreg(context.Context, []byte) error { return nil }
func (*memberOf) Show() map[string]any                { return nil }
func (*memberOf) Close() error                        { return nil }

type noFlows struct{}

func (noFlows) Direct(registry.Owner, registry.Owner, qos.Spec) (a, b registry.End, err error) {
	return nil, nil, errno.NotSup
}
func (noFlows) Attach(registry.Owner, flow.Flow, qos.Spec) (registry.End, error) {
	return nil, errno.NotSup
}

func in(t *testing.T, n *network, s registry.Store) *registry.Registry {
	t.Helper()
	r, err := registry.New(registry.Config{Fabric: noFlows{}, Store: s,
		NewIPCP: func(_ irm.IPCPType, id ipcp.Identity, _ ipcp.Host) (ipcp.IPCP, error) {
			return &memberOf{n: n, name: id.Name}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

const joining = `
[unicast.u2]
enrol = "u1"
autobind = true
reg = ["service"]
conn = ["u1", "u3"]
[broadcast.b2]
enrol = "all"
conn = ["b1"]
[local.l]
bootstrap = "home"
`

func TestAHostThatStartsBeforeItsNeighboursComesUpAndGoesOnTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		n := &network{from: map[string]time.Time{"u1": begin.Add(time.Minute), "u3": begin.Add(time.Hour)}}
		r := in(t, n, nil)
		ctx, cancel := context.WithCancel(t.Context())
		rest, err := config.Apply(ctx, r, parse(t, joining))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the daemon came up after %v", took)
		}
		if w := rest.Waiting(); !slices.Equal(w, []string{"[unicast.u2]"}) {
			t.Errorf("waiting: %v", w)
		}
		if got := n.done(); len(got) != 3 || got[0] != "l bootstraps" { // and the broadcast IPCP, in any order with others
			t.Errorf("done at once: %q", got)
		}
		time.Sleep(2 * time.Minute)
		if w := rest.Waiting(); !slices.Equal(w, []string{"[unicast.u2]"}) {
			t.Errorf("waiting for u3: %v", w)
		}
		time.Sleep(time.Hour)
		if w := rest.Waiting(); len(w) != 0 {
			t.Errorf("waiting in the end: %v", w)
		}
		if err, ok := <-rest.Failed; ok {
			t.Error(err)
		}
		done := n.done()
		for _, pair := range [][2]string{
			{"u2 enrols with u1", "u2 registers"}, {"u2 enrols with u1", "u2 connects Management with u1"},
			{"u2 connects Management with u1", "u2 connects Data Transfer with u1"},
			{"u2 connects Data Transfer with u1", "u2 connects Management with u3"},
			{"b2 enrols with all", "b2 connects Data Transfer with b1"},
		} {
			if a, b := slices.Index(done, pair[0]), slices.Index(done, pair[1]); a < 0 || b < a {
				t.Errorf("%q is to come before %q: %q", pair[0], pair[1], done)
			}
		}
		if slices.Contains(done, "b2 connects Management with b1") {
			t.Error("a broadcast IPCP has no management to connect")
		}
		names, _ := r.ListNames(ctx)
		for _, want := range []string{"u2", "big", "service"} {
			if !slices.ContainsFunc(names, func(i irm.NameInfo) bool { return i.Name == want }) {
				t.Errorf("no name %q", want)
			}
		}
		cancel()
	})
}

func TestWhatWaitsEndsWithTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{from: map[string]time.Time{"u1": time.Now().Add(time.Hour), "b1": time.Now().Add(time.Hour)}}
		ctx, cancel := context.WithCancel(t.Context())
		rest, err := config.Apply(ctx, in(t, n, nil), parse(t, joining))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err, ok := <-rest.Failed; ok {
			t.Error(err)
		}
	})
}

func TestWhatCanNeverBeDoneIsAFailureWithItsPlace(t *testing.T) {
	for dst, place := range map[string]string{"u1": "t.toml:3:9: [unicast.u2]: cannot enrol with \"u1\"", "b1": "t.toml:9:9: [broadcast.b2]: cannot connect to \"b1\"",
		"directory": "t.toml:5:8: [unicast.u2]: cannot register the name \"service\""} {
		synctest.Test(t, func(t *testing.T) {
			n := &network{fail: map[string]error{dst: errno.New(errno.IPCPType, "it is a layer of another type")}}
			rest, err := config.Apply(t.Context(), in(t, n, nil), parse(t, joining))
			var e *config.Error
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), place) || rest != nil {
				t.Errorf("%s gives %v", dst, err)
			}
		})
		synctest.Test(t, func(t *testing.T) { // the neighbour came later
			n := &network{from: map[string]time.Time{dst: time.Now().Add(time.Minute)}}
			rest, err := config.Apply(t.Context(), in(t, n, nil), parse(t, joining))
			if err != nil {
				t.Fatal(err)
			}
			n.mu.Lock()
			n.fail = map[string]error{dst: errno.New(errno.IPCPType, "it is a layer of another type")}
			n.mu.Unlock()
			if err := <-rest.Failed; err == nil || !strings.HasPrefix(err.Error(), place) {
				t.Errorf("%s gives %v later", dst, err)
			}
		})
	}
}

// memory is a store that does not outlive the test.
type memory struct {
	mu sync.Mutex
	s  *registry.Snapshot
}

func (m *memory) Load() (*registry.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.s, nil
}

func (m *memory) Save(s *registry.Snapshot) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s = s
	return nil
}

func TestANodeThatKeptItsStateDoesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		n := &network{}
		r := in(t, n, store)
		if _, err := config.Apply(t.Context(), r, parse(t, joining)); err != nil {
			t.Fatal(err)
		}
		r.Close(t.Context())
		first := n.done()
		n.mu.Lock()
		n.steps, n.from = nil, map[string]time.Time{"u3": time.Now().Add(time.Minute), "all": time.Now().Add(20 * time.Second)}
		n.mu.Unlock()
		if _, err := config.Apply(t.Context(), in(t, n, store), parse(t, joining)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		again := n.done()
		slices.Sort(first)
		slices.Sort(again)
		// A registration may be repeated; nothing else may.
		again = slices.Compact(again)
		if !slices.Equal(first, again) || len(again) != len(slices.Compact(first)) {
			t.Errorf("first:\n%q\nagain:\n%q", first, again)
		}
		for _, step := range n.done() {
			if strings.Contains(step, "connects") && count(n.done(), step) != 1 {
				t.Errorf("%d times: %s", count(n.done(), step), step)
			}
		}
	})
}

func count(words []string, word string) (n int) {
	for _, w := range words {
		if w == word {
			n++
		}
	}
	return n
}

// remote is a node that is not patient: it does what it is told, once.
type remote struct{ irm.Service }

func TestANodeThatIsNotPatientFailsAtOnceAndLeavesNothingHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{from: map[string]time.Time{"u3": time.Now().Add(time.Hour)}}
		r := in(t, n, nil)
		_, err := config.Apply(t.Context(), remote{r}, parse(t, joining))
		if err == nil || !strings.HasPrefix(err.Error(), `t.toml:6:15: [unicast.u2]: cannot connect to "u3"`) {
			t.Fatal(err)
		}
		if slices.Contains(n.done(), "b2 enrols with all") {
			t.Error("it went on after the failure")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := &network{fail: map[string]error{"u2 connects Data Transfer with u1": errno.TimedOut}}
		r := in(t, n, nil)
		_, err := config.Apply(t.Context(), remote{r}, parse(t, joining))
		if err == nil || !strings.Contains(err.Error(), "cannot connect Data Transfer") {
			t.Error(err)
		}
		if done := n.done(); len(done) == 0 || done[len(done)-1] != "u2 disconnects Management from u1" {
			t.Errorf("it leaves something half: %q", done)
		}
	})
}
