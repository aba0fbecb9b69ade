package registry

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/oap"
	wire "ouroboros/internal/wire/oap"
	"ouroboros/irm"
	"ouroboros/qos"
)

// altered is a request for a name with something else in it.
func altered(t *testing.T, name string, change func(m *wire.Message)) *ipcp.Request {
	t.Helper()
	req := asking(name)
	m, err := wire.DecodeRequest(req.Data)
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	if req.Data, err = m.AppendRequest(nil); err != nil {
		t.Fatal(err)
	}
	return req
}

func at(d time.Duration) func(m *wire.Message) {
	return func(m *wire.Message) { m.Time = uint64(time.Now().Add(d).UnixNano()) }
}

func TestARequestThatIsNotBelievedTakesNoAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		accepted := n.accepting(n.process(10, "a"))
		again := altered(t, "a", func(m *wire.Message) { m.Certificate = []byte("der") })
		for _, tc := range []struct {
			name string
			req  *ipcp.Request
			want error
		}{
			{"nothing", &ipcp.Request{Hash: again.Hash}, errno.AuthFailed},
			{"too short", &ipcp.Request{Hash: again.Hash, Data: again.Data[:35]}, errno.AuthFailed},
			{"too old", altered(t, "a", at(-21*time.Second)), errno.AuthFailed},
			{"ahead", altered(t, "a", at(time.Second)), errno.AuthFailed},
			{"a certificate", again, errno.AuthFailed},
			{"the same again", again, errno.AuthFailed},
			{"encryption", altered(t, "a", func(m *wire.Message) { m.KeyExchange = []byte("key") }), errno.Crypt},
			{"encapsulated", altered(t, "a", func(m *wire.Message) { m.KeyExchange, m.Encapsulated = []byte("key"), true }), errno.Crypt},
		} {
			took(t, 0, func() {
				_, err := e.arrive(bg, tc.req)
				if !errors.Is(err, tc.want) {
					t.Errorf("%s: %v", tc.name, err)
				}
			})
		}
		o, err := e.arrive(bg, asking("a"))
		if err != nil {
			t.Fatal("the accept has gone:", err)
		}
		a, b := flow.NewPipe(flow.PipeOptions{})
		defer b.Dealloc()
		o.Complete(a)
		if out := <-accepted; out.err != nil {
			t.Fatal(out.err)
		}
		if s, _ := n.Status(bg); s.Counters["requests_denied"] != 8 || s.Counters["allocations_refused"] != 8 {
			t.Errorf("counted: %v", s.Counters)
		}
	})
}

func TestTheWaitForAnAcceptIsNotPartOfTheAgeOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		server := n.process(10, "a")
		req := asking("a")
		time.Sleep(19_900 * time.Millisecond)
		time.AfterFunc(900*time.Millisecond, func() { server.Accept(within(t, time.Second)) })
		took(t, 900*time.Millisecond, func() {
			o, err := e.arrive(bg, req)
			if err != nil {
				t.Fatal(err)
			}
			o.Fail(errors.New("enough"))
		})
	})
}

func TestTheSlackOfClocksIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := New(Config{Fabric: newFabric(), ClockSlack: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close(bg)
		_, err = r.server.Check("a", oap.Security{}, altered(t, "a", at(2*time.Second)).Data, time.Now())
		if err != nil {
			t.Error(err)
		}
		_, err = r.server.Check("a", oap.Security{}, altered(t, "a", at(4*time.Second)).Data, time.Now())
		wantIs(t, err, errno.AuthFailed)
	})
}

func TestTheOfferCarriesTheResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		n.accepting(n.process(10, "a"))
		attempt, err := new(oap.Client).Begin("a", oap.Security{})
		if err != nil {
			t.Fatal(err)
		}
		req := asking("a")
		req.Data = bytes.Clone(attempt.Request())
		o, err := e.arrive(bg, req)
		if err != nil {
			t.Fatal(err)
		}
		clear(req.Data) // is the IPCP's again
		if _, err := attempt.Complete(o.Data()); err != nil {
			t.Error(err)
		}
		o.Fail(errors.New("enough"))
	})
}

func TestAFlowWhoseResponseDoesNotFitIsDeallocated(t *testing.T) {
	for name, respond := range map[string]func(b []byte) []byte{
		"none":           func([]byte) []byte { return nil },
		"short":          func(b []byte) []byte { return b[:35] },
		"without hash":   func(b []byte) []byte { return b[:36] },
		"another's":      func(b []byte) []byte { b[0] ^= 1; return b },
		"changed on way": func(b []byte) []byte { b[83] ^= 1; return b },
		"too long":       func(b []byte) []byte { return append(b, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, make := layered(t)
				e, second := make("i0", irm.Unicast, "l0"), make("i1", irm.EthDIX, "l1")
				e.answers(0)
				second.answers(time.Hour)
				e.respond = respond
				heard := &ear{}
				e.alloc = func(context.Context) (flow.Flow, error) {
					near, far := flow.NewPipe(flow.PipeOptions{})
					far.Attach(heard)
					t.Cleanup(far.Dealloc)
					return near, nil
				}
				_, err := n.process(20).Alloc(bg, "far", qos.Raw)
				wantIs(t, err, errno.Crypt)
				if len(heard.events) != 1 || heard.events[0] != flow.EventDealloc {
					t.Errorf("the server's side heard %v", heard.events)
				}
				if flows, _ := n.ListFlows(bg); len(flows) != 0 {
					t.Errorf("flows are left: %+v", flows)
				}
				if s, _ := n.Status(bg); s.Counters["responses_bad"] != 1 {
					t.Error("it was not counted")
				}
			})
		})
	}
}

func TestThePeersRefusalIsExplained(t *testing.T) {
	for _, tc := range []struct {
		err   error
		want  error
		parts []string
	}{
		{errno.Of(-1007), errno.NameError, []string{"does not know it", "irm name register far"}},
		{errno.Of(-1003), errno.IPCP, []string{"no process accepts it", "irm bind program PROGRAM name far"}},
		{errno.Of(-1009), errno.AuthFailed, []string{"does not believe", "clocks"}},
		{errno.Of(-1008), errno.Crypt, []string{"encrypted", `"far"`}},
		{errno.Of(-1004), errno.IPCPState, []string{"not in the layer", "try again"}},
		{errno.Of(-1002), errno.IRMd, []string{"stopping", "try again"}},
		{errno.Of(-110), errno.TimedOut, []string{"in time", "hangs"}},
		{errno.Of(-105), errno.NoBufs, []string{"limit", "try again"}},
		{errno.Of(-1), errno.Perm, []string{"does not say why", "log"}},
		{errno.Of(-90), errno.MsgSize, []string{"does not fit", "shorter certificate"}},
		{errno.Of(-12), errno.NoMemory, []string{"out of memory", "log"}},
		{errno.Of(-71), syscall.EPROTO, []string{"protocol error", "log"}},
		{errors.New("words"), nil, []string{"words"}},
		{errno.New(errno.IPCP, "the cable is cut").Next("mend it"), errno.IPCP, []string{"the cable is cut; mend it"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			n, make := layered(t)
			e := make("i0", irm.Unicast, "l0")
			e.answers(0)
			e.alloc = func(context.Context) (flow.Flow, error) { return nil, tc.err }
			_, err := n.process(20).Alloc(bg, "far", qos.Raw)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Fatalf("%v: got %v", tc.err, err)
			}
			if _, ok := tc.err.(*errno.Detail); !ok && errno.Number(err) != errno.Number(tc.err) {
				t.Errorf("%v: number %d", tc.err, errno.Number(err))
			}
			for _, part := range append(tc.parts, `cannot allocate a flow to "far"`, `layer "l0"`) {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v: %q does not say %q", tc.err, err, part)
				}
			}
		})
	}
}

// The C implementation takes a positive number or 0 in a reply for success.
func TestEveryRefusalHasANumberForTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		n.process(10, "hangs")
		n.CreateName(bg, irm.NameInfo{Name: "alone"})
		over, cancel := context.WithCancel(bg)
		cancel()
		for name, tc := range map[string]struct {
			ctx  context.Context
			req  *ipcp.Request
			want int
		}{
			"unknown name":      {bg, asking("unknown"), 1007},
			"nobody is bound":   {bg, asking("alone"), 1003},
			"nobody accepts":    {bg, asking("hangs"), 1003},
			"not in time":       {within(t, time.Millisecond), asking("hangs"), 110},
			"the IPCP gave up":  {over, asking("hangs"), 1},
			"made long ago":     {bg, altered(t, "alone", at(-time.Hour)), 1009},
			"wants an own key":  {bg, altered(t, "alone", func(m *wire.Message) { m.KeyExchange = []byte{1} }), 1008},
			"hash of no length": {bg, &ipcp.Request{}, 1007},
		} {
			_, err := e.arrive(tc.ctx, tc.req)
			if err == nil || errno.Number(err) != tc.want {
				t.Errorf("%s: %v, number %d, want %d", name, err, errno.Number(err), tc.want)
			}
		}
		n.Close(bg)
		_, err := e.arrive(bg, asking("alone"))
		if number := errno.Number(err); number != 1002 && number != 1004 {
			t.Errorf("after the end: %v, number %d", err, number)
		}
	})
}

func TestALayerWithoutAnswerIsAskedAgainWithANewRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, make := layered(t)
		e := make("i0", irm.Unicast, "l0")
		e.answers(0)
		give, tries := e.alloc, 0
		e.alloc = func(ctx context.Context) (flow.Flow, error) {
			if tries++; tries == 3 {
				return give(ctx)
			}
			time.Sleep(2 * time.Second)
			return nil, errno.Again
		}
		took(t, 4*time.Second, func() { // the server would refuse a request that it knows
			if _, err := n.process(20).Alloc(bg, "far", qos.Raw); err != nil {
				t.Error(err)
			}
		})
		e.alloc = func(context.Context) (flow.Flow, error) { tries++; return nil, errno.Again }
		tries = 0
		took(t, time.Second, func() {
			_, err := n.process(21).Alloc(within(t, time.Second), "far", qos.Raw)
			wantIs(t, err, errno.TimedOut)
		})
		if tries > 11 {
			t.Errorf("%d requests in a second", tries)
		}
	})
}

func TestManyAllocationsAtOnceToOneName(t *testing.T) {
	n, make := layered(t)
	e := make("i0", irm.Unicast, "l0")
	server := n.process(10, "a")
	const many = 100
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if _, err := server.Accept(bg); err != nil {
				t.Error(err)
			}
		})
	}
	var mu sync.Mutex
	refused := 0
	for range many {
		req := asking("a")
		for range 2 { // the layer brings each twice
			all.Go(func() {
				o, err := e.arrive(bg, req)
				if err != nil {
					if !errors.Is(err, errno.AuthFailed) {
						t.Error(err)
					}
					mu.Lock()
					refused++
					mu.Unlock()
					return
				}
				a, b := flow.NewPipe(flow.PipeOptions{})
				o.Complete(a)
				b.Dealloc()
			})
		}
	}
	all.Wait()
	if flows, _ := n.ListFlows(bg); len(flows) != many || refused != many {
		t.Errorf("%d flows and %d refusals", len(flows), refused)
	}
}

// A stopped accept is told of once, whatever becomes of the flow that it was
// reserved for.
func TestAStoppedAcceptEndsOnce(t *testing.T) {
	for name, then := range map[string]struct {
		do    func(o ipcp.Offer)
		taken bool
	}{
		"the reply never leaves":   {func(ipcp.Offer) {}, false},
		"the reply cannot be sent": {func(o ipcp.Offer) { o.Fail(errors.New("no carrier")) }, false},
		"the flow comes after all": {func(o ipcp.Offer) { a, b := flow.NewPipe(flow.PipeOptions{}); o.Complete(a); b.Dealloc() }, true},
		"the flow comes when it has gone": {func(o ipcp.Offer) {
			time.Sleep(settleWait + 1)
			a, b := flow.NewPipe(flow.PipeOptions{})
			o.Complete(a)
			b.Dealloc()
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, make := layered(t)
				e := make("i0", irm.Unicast, "l0")
				server := n.process(10, "a")
				var told []outcome
				a := server.NewAccept(func(g *Grant, err error) { told = append(told, outcome{g, err}) })
				if err := a.Start(); err != nil {
					t.Fatal(err)
				}
				o, err := e.arrive(bg, asking("a"))
				if err != nil {
					t.Fatal(err)
				}
				a.Stop(context.DeadlineExceeded)
				a.Stop(context.Canceled)
				then.do(o)
				time.Sleep(2 * settleWait)
				synctest.Wait()
				a.Stop(context.Canceled)
				if len(told) != 1 || (told[0].err == nil) != then.taken {
					t.Fatalf("told: %+v", told)
				}
				if !then.taken {
					wantIs(t, told[0].err, errno.TimedOut)
				}
				if n.pendingOf(server) != 0 || len(server.accepts) != 0 || server.proc.accepts.Len() != 0 {
					t.Error("something of the accept is left")
				}
			})
		})
	}
}
