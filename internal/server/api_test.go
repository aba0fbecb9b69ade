package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/rundir"
	"ouroboros/irm"
	"ouroboros/qos"
)

// script is an HTTP client on the management socket, as curl is one.
func (d *daemon) script() *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var nd net.Dialer
		return nd.DialContext(ctx, "unix", filepath.Join(d.dir, rundir.APISocket))
	}}
	d.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// post calls a method with a JSON body, as a script does.
func (d *daemon) post(method, body string) (int, string) {
	d.t.Helper()
	r, err := d.script().Post("http://irmd/ouroboros.v1.Irm/"+method, "application/json", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestNamesThroughTheClient(t *testing.T) {
	d := start(t, Config{})
	c, ctx := d.client(), soon(t)
	in := irm.NameInfo{
		Name: "web", Balance: irm.Spill,
		Server: irm.SecPaths{Enc: "/s/enc", Key: "/s/key", Cert: "/s/crt"},
		Client: irm.SecPaths{Enc: "/c/enc", Key: "/c/key", Cert: "/c/crt"},

		ServerDemand: irm.DemandBoth, ClientDemand: irm.DemandAuth, Allow: []string{"alice", "bob"},
	}
	if err := c.CreateName(ctx, in); err != nil {
		t.Fatal(err)
	}
	if err := c.BindProgram(ctx, irm.ProgramBinding{Program: "/bin/true", Args: []string{"-x", ""}, Name: "web"}); err != nil {
		t.Fatal(err)
	}
	l, err := c.ListNames(ctx)
	if err != nil || len(l) != 1 {
		t.Fatalf("%v, %v", l, err)
	}
	got := l[0]
	same := func(got, in irm.NameInfo) {
		t.Helper()
		if got.Name != in.Name || got.Balance != in.Balance || got.Server != in.Server || got.Client != in.Client ||
			got.ServerDemand != in.ServerDemand || got.ClientDemand != in.ClientDemand || !slices.Equal(got.Allow, in.Allow) {
			t.Errorf("got %+v", got)
		}
	}
	same(got, in)
	if len(got.Programs) != 1 || got.Programs[0].Name != "web" || len(got.Programs[0].Args) != 2 {
		t.Errorf("programs %+v", got.Programs)
	}
	if err := c.UnbindProgram(ctx, "true", ""); err != nil {
		t.Error(err)
	}
	// What is not named in a change stays, what is empty in it is emptied.
	robin, none, path, all := irm.RoundRobin, irm.DemandNothing, "", []string{}
	for _, change := range []irm.NameChange{
		{},
		{Balance: &robin},
		{Server: irm.SideChange{Enc: &path, Demand: &none}},
		{Client: irm.SideChange{Key: &path, Cert: &path}, Allow: &all},
	} {
		if err := c.SetName(ctx, "web", change); err != nil {
			t.Fatal(err)
		}
		in = change.Apply(in)
		if l, err = c.ListNames(ctx); err != nil {
			t.Fatal(err)
		}
		same(l[0], in)
	}
	if in.Server != (irm.SecPaths{Key: "/s/key", Cert: "/s/crt"}) || in.ClientDemand != irm.DemandAuth || len(in.Allow) != 0 {
		t.Errorf("the changes give %+v", in)
	}
	if err := c.SetName(ctx, "other", irm.NameChange{}); !errors.Is(err, errno.NameError) {
		t.Errorf("a change of a name that is not there: %v", err)
	}
	if err := c.DestroyName(ctx, "web"); err != nil {
		t.Error(err)
	}
	if l, err := c.ListNames(ctx); err != nil || len(l) != 0 {
		t.Errorf("%v, %v", l, err)
	}
}

func TestManyNamesAreListed(t *testing.T) {
	d := start(t, Config{})
	c, ctx := d.client(), soon(t)
	long := strings.Repeat("n", 250)
	for i := range 300 {
		if err := c.CreateName(ctx, irm.NameInfo{Name: fmt.Sprintf("%s-%d", long, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := c.ListNames(ctx); err != nil || len(l) != 300 {
		t.Errorf("%d names, %v", len(l), err)
	}
}

func TestProcessesAndFlowsAreListed(t *testing.T) {
	d := start(t, Config{})
	server, client := d.serve("seen"), d.dial()
	a, _ := pair(t, client, server, "seen")
	c, ctx := d.client(), soon(t)
	procs, err := c.ListProcesses(ctx)
	if err != nil || len(procs) != 1 || procs[0].PID != os.Getpid() || procs[0].Flows != 2 || procs[0].Since.IsZero() {
		t.Errorf("%+v, %v", procs, err)
	}
	flows, err := c.ListFlows(ctx)
	if err != nil || len(flows) != 1 || flows[0].QoS != qos.Data || flows[0].Name != "seen" || flows[0].ID == 0 {
		t.Errorf("%+v, %v", flows, err)
	}
	st, err := c.Status(ctx)
	if err != nil || st.Dir != d.dir || st.PID != os.Getpid() || st.Counters["server_sessions"] != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	_ = a
}

func TestErrorsOfTheClientAreSentinels(t *testing.T) {
	d := start(t, Config{})
	c, ctx := d.client(), soon(t)
	for what, test := range map[string]struct {
		got  error
		want error
	}{
		"an unknown name":   {c.DestroyName(ctx, "none"), errno.NameError},
		"an empty name":     {c.CreateName(ctx, irm.NameInfo{}), errno.Invalid},
		"a program":         {c.BindProgram(ctx, irm.ProgramBinding{Program: "/none", Name: "x"}), errno.NoEntry},
		"an unknown IPCP":   {c.DestroyIPCP(ctx, 1), errno.IPCP},
		"a pid beyond all":  {c.DestroyIPCP(ctx, 1<<32+1), errno.IPCP},
		"a kind not here":   {second(c.CreateIPCP(ctx, "u", irm.Unicast)), errno.IPCPType},
		"no configuration":  {second(c.BootstrapIPCP(ctx, 1, nil)), errno.Invalid},
		"a process unknown": {c.BindProcess(ctx, 1, "x"), errno.NoEntry},
	} {
		var detail *errno.Detail
		if !errors.Is(test.got, test.want) || !errors.As(test.got, &detail) || detail.Cause == "" {
			t.Errorf("%s: %v, not %v", what, test.got, test.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestWatchTellsEveryChangeInOrder(t *testing.T) {
	d := start(t, Config{})
	c := d.client()
	ctx, cancel := context.WithCancel(soon(t))
	got := make(chan string, 1000)
	done := make(chan error, 1)
	go func() {
		done <- c.Watch(ctx, func(e irm.Event) error {
			got <- e.Action + " " + e.Name
			return nil
		})
	}()
	// The watch has begun when it tells of a change.
	eventually(t, "the watch tells", func() bool {
		c.CreateName(ctx, irm.NameInfo{Name: "begin"})
		c.DestroyName(ctx, "begin")
		return len(got) > 0
	})
	c.CreateName(ctx, irm.NameInfo{Name: "a"})
	c.CreateName(ctx, irm.NameInfo{Name: "b"})
	c.DestroyName(ctx, "a")
	for _, want := range []string{"created a", "created b", "destroyed a"} {
		e := <-got
		for strings.HasSuffix(e, " begin") {
			e = <-got
		}
		if e != want {
			t.Errorf("%s, not %s", e, want)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("watch: %v", err)
	}
	failed := errors.New("enough")
	go func() { done <- c.Watch(soon(t), func(irm.Event) error { return failed }) }()
	eventually(t, "the failing watch ends", func() bool {
		c.CreateName(soon(t), irm.NameInfo{Name: "begin"})
		c.DestroyName(soon(t), "begin")
		return len(done) > 0
	})
	if err := <-done; !errors.Is(err, failed) {
		t.Errorf("watch: %v", err)
	}
}

func TestWatchEndsWithTheDaemon(t *testing.T) {
	d := start(t, Config{})
	c := d.client()
	done := make(chan error, 1)
	go func() { done <- c.Watch(soon(t), func(irm.Event) error { return nil }) }()
	eventually(t, "the call is there", func() bool { return d.s.count.calls.Load() > 0 })
	d.s.Close()
	if err := <-done; !errors.Is(err, errno.IRMd) {
		t.Errorf("watch: %v", err)
	}
	if err := c.CreateName(soon(t), irm.NameInfo{Name: "x"}); !errors.Is(err, errno.IRMd) {
		t.Errorf("call: %v", err)
	}
	if _, err := irm.DialDir(d.dir); !errors.Is(err, errno.IRMd) || !strings.Contains(err.Error(), "start one with: irmd") {
		t.Errorf("dial: %v", err)
	}
}

// The end of the server cancels the calls that run, and their answers may get
// through before the connections go.
func TestAWatchThatTheEndCutsShortSaysSo(t *testing.T) {
	d := start(t, Config{})
	c := d.client()
	done := make(chan error, 1)
	go func() { done <- c.Watch(soon(t), func(irm.Event) error { return nil }) }()
	eventually(t, "the call is there", func() bool { return d.s.count.calls.Load() > 0 })
	d.s.stop() // as Close begins
	if err := <-done; !errors.Is(err, errno.IRMd) || !strings.Contains(err.Error(), "is stopping") {
		t.Errorf("watch: %v", err)
	}
}

func TestAScriptUsesJSON(t *testing.T) {
	d := start(t, Config{})
	if status, body := d.post("CreateName", `{"name":"web","balance":"SPILL"}`); status != 200 || body != "{}" {
		t.Fatalf("%d %s", status, body)
	}
	status, body := d.post("ListNames", `{}`)
	var l struct {
		Names []struct {
			Name, Balance string
			Accepting     *int
		}
	}
	if err := json.Unmarshal([]byte(body), &l); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	if len(l.Names) != 1 || l.Names[0].Balance != "SPILL" || l.Names[0].Accepting == nil {
		t.Errorf("got %s", body)
	}
	if status, body := d.post("ListIPCPs", ``); status != 200 || strings.ReplaceAll(body, " ", "") != `{"ipcps":[]}` {
		t.Errorf("%d %s", status, body)
	}
	for method, bad := range map[string]string{
		"CreateName":    `{"nmae":"typo"}`,
		"CreateIPCP":    `{"name":"x","type":"ETHER"}`,
		"BootstrapIPCP": `{"pid":1}`,
		"DestroyName":   `{"name":"none"}`,
	} {
		status, body := d.post(method, bad)
		var e struct{ Code, Message string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || status < 400 || e.Code == "" || e.Message == "" {
			t.Errorf("%s %s: %d %s", method, bad, status, body)
		}
	}
}

func TestEventsAreLinesOfJSON(t *testing.T) {
	d := start(t, Config{})
	r, err := d.script().Get("http://irmd/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	told := make(chan string, 1)
	go func() {
		if lines.Scan() {
			told <- lines.Text()
		}
		close(told)
	}()
	c := d.client()
	for i := 0; ; i++ {
		if err := c.CreateName(soon(t), irm.NameInfo{Name: fmt.Sprint("n", i)}); err != nil {
			t.Fatal(err)
		}
		select {
		case line := <-told:
			var e struct{ Kind, Action, Name string }
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Kind != "name" || e.Action != "created" {
				t.Errorf("%s: %v", line, err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestMetricsAreText(t *testing.T) {
	d := start(t, Config{})
	r, err := d.script().Get("http://irmd/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(b), "\nouroboros_server_sessions 0\n") {
		t.Errorf("got %s", b)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	d := start(t, Config{})
	r, err := d.script().Post("http://irmd/ouroboros.v1.Irm/CreateName", "application/json",
		strings.NewReader(`{"name":"`+strings.Repeat("x", 2*maxBody)+`"}`))
	if err == nil {
		r.Body.Close()
		if r.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", r.StatusCode)
		}
	}
	req, _ := http.NewRequest("GET", "http://irmd/events", nil)
	req.Header.Set("X-Long", strings.Repeat("x", 4*maxHeader))
	r, err = d.script().Do(req)
	if err == nil {
		r.Body.Close()
		if r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d", r.StatusCode)
		}
	}
	d.works()
}

// A connection that was refused stays for a while, so that its client can read
// why.
func TestTheEndWaitsForConnectionsThatWereRefused(t *testing.T) {
	d := start(t, Config{})
	req, err := http.NewRequest("GET", "http://irmd/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 4*maxHeader))
	if r, err := d.script().Do(req); err == nil {
		r.Body.Close()
	}
	d.s.Close()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if bytes.Contains(stacks, []byte("closeWriteAndWait")) {
		t.Errorf("a connection is still there:\n%s", stacks)
	}
}

func TestCallsAreBounded(t *testing.T) {
	d := start(t, Config{Limits: Limits{Calls: 4}})
	for range 4 {
		c, err := net.Dial("unix", filepath.Join(d.dir, rundir.APISocket))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	eventually(t, "the fifth is refused", func() bool {
		r, err := d.script().Get("http://irmd/metrics")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusServiceUnavailable
	})
}

// faulty is a node with faults.
type faulty struct{ Node }

func (faulty) ListNames(context.Context) ([]irm.NameInfo, error) { panic("no names") }

func (f faulty) Status(ctx context.Context) (irm.Status, error) {
	if broken.Load() {
		panic("no status")
	}
	return f.Node.Status(ctx)
}

var broken atomic.Bool

func TestAFaultOfTheDaemonEndsNothingButTheCall(t *testing.T) {
	var log syncBuffer
	d := startOver(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(n Node) Node { return faulty{n} })
	c := d.client()
	for range 3 {
		_, err := c.ListNames(soon(t))
		if !errors.Is(err, errno.IRMd) || !strings.Contains(fmt.Sprint(err), "no names") {
			t.Errorf("a call: %v", err)
		}
	}
	broken.Store(true)
	r, err := d.script().Get("http://irmd/metrics")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusInternalServerError {
		t.Errorf("GET /metrics: %s", r.Status)
	}
	broken.Store(false)
	st, err := c.Status(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := st.Counters["server_calls_failed"]; n != 4 {
		t.Errorf("server_calls_failed = %d", n)
	}
	if got := log.String(); strings.Count(got, "a management call has failed") != 4 || !strings.Contains(got, "ListNames") {
		t.Errorf("log: %s", got)
	}
}

// syncBuffer is written by the server and read by the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
